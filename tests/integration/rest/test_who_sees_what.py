"""All routes, walked by an administrator who may not see an item.

Once it is on a stage that is hidden from him, once it is the personal draft of somebody else. No
answer shows any of it, no list names it, and what would be done with it by its id is refused. A
route that is not part of the walk fails it: whoever adds one has to say how it may be reached.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from bson import ObjectId
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from apps.archive.visibility import NOT_READABLE
from apps.graph.build import Graph
from apps.notifications.viewers import VISIBILITY_EVENT, Viewer
from tests.support.clients import Client, first_client
from tests.support.events import Events
from tests.support.fake_sites import FakeWordPress
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import Newsroom, push
from tests.support.publisher_client import Publisher
from tests.support.receivers import HTTPReceiver

CONTENT, NAME = "kestrel", "osprey"
"""What is in the texts of what is hidden, and in its ids."""

NAMES_NO_ITEM = {
    *("activity", "auth", "auth_db", "change_user_password", "content_filters"),
    *("content_templates", "content_types", "desks", "filter_conditions", "highlights"),
    *("internal_destinations", "products", "roles", "stages", "stages_order", "subscribers"),
    *("subscriber_token", "users", "validators", "vocabularies"),
    *("publisher_sites", "publisher_integrations", "publisher_taxonomy_map"),
    *("publisher POST integrations/test", "publisher POST integrations/<id>/test"),
    "publisher POST integrations/<id>/taxonomies/sync",
    *("publisher POST deployments/<id>/cancel", "publisher POST deployments/<id>/retry"),
    "destinations POST <subscriber>/destinations/<path:destination>/<action>/",
}
"""Resources whose writes name no item."""

TAKES_A_TOKEN = {"feeds", "feed_media"}
"""Routes of subscribers, who are no users."""

EXISTS_FOR_EVE = {"archive_versions", "legal_archive_versions"}
"""Resources that share the addresses of others, which Eve finds first."""

SAYS_UNKNOWN = {"publisher POST publish", "publishing_records"}
"""Writes that answer as if what is hidden was not there: a body that names it is wrong."""

COMPUTED = {"privileges", "formatters", "output_formats", "filter_condition_parameters"}
"""Lists that are not searched."""

OPEN_BY_ID = {
    *("archive", "archive_related", "workqueue", "explain"),
    *("archive_publish", "archive_correct", "archive_kill", "archive_takedown"),
    *("archive_unpublish", "archive_correction", "archive_spike", "archive_unspike"),
    *("copy", "duplicate", "move", "translate", "archive_rewrite", "archive_resend"),
    "archive_broadcast",
    *("marked_for_desks", "marked_for_highlights", "published_package_items", "fetch"),
    *("published", "publish_queue", "archived", "validate", "content_templates_apply"),
    "publish_queue POST <id>/<action>",
    *("upload_raw", "content_api_users_assets/<path:id>"),
}
"""Resources where a personal item may be worked on by its id."""


class World:
    """A newsroom with something in it that an administrator does not see.

    Attributes:
        outsider: the administrator.
        insider: who sees it.
        item_id: the item.
        ids: what it and all that belongs to it may be addressed by.
        stories: an item of the outsider, and a package of his that is out.
    """

    def __init__(self, app: Any, graph: Graph, receiver: HTTPReceiver) -> None:
        self.app, self.graph, self.db = app, graph, graph.db
        self.newsroom = Newsroom(self.db)
        for kind in ("text", "picture", "composite"):
            self.newsroom.validators(item_type=kind)
        self.outsider = first_client(app, graph, "outsider", user_type="administrator")
        self.insider = first_client(app, graph, "insider", user_type="administrator")
        self.subscriber = self.newsroom.subscriber(
            "all",
            push(receiver.url),
            api_products=[self.newsroom.product("api", product_type="api")],
        )
        self.highlight = self.outsider.create("highlights", {"name": "best", "desks": []})["_id"]
        self.filter = self.outsider.create("content_filters", {"name": "x", "content_filter": []})
        self.outsider.create(
            "content_templates",
            {"template_name": "plain", "template_type": "create", "is_public": True, "data": {}},
        )
        graph.platforms.add(FakeWordPress, replace=True)
        publisher = Publisher(self.outsider)
        self.site = publisher.site(name="Heron", slug="heron", url="https://heron.example")
        self.integration = publisher.integration(self.site)["_id"]
        self.db["ingest"].insert_one(
            {"_id": "ingested", "guid": "ingested", "type": "text", "state": "ingested"}
        )
        own = Newsdesk(self.outsider, self.newsroom)
        self.story = own.story(family_id="family")
        self.package = own.act("publish", own.story(type="composite", groups=groups(own.story())))
        self.ids: list[str] = []
        self.item_id = f"tag:{NAME}:working"

    def user_id(self, name: str) -> ObjectId:
        return ObjectId(self.db["users"].find_one({"username": name})["_id"])

    def body(self, **fields: Any) -> dict[str, Any]:
        """Return the body of an item that must not be shown."""
        words = dict.fromkeys(("headline", "slugline", "body_html"), f"the {CONTENT}")
        media = str(self.graph.media.put(CONTENT.encode(), "a.txt", "text/plain"))
        self.ids.append(media)
        return {"type": "text", "family_id": "family", **words, **fields} | {
            "renditions": {"original": {"href": "http://x/a.txt", "media": media}}
        }

    def work_on(self, item_id: str) -> None:
        """Lock the item, type into it, and mark it."""
        assert self.insider.post(f"archive/{item_id}/lock", {}).status_code == 201
        self.insider.create("archive_autosave", {"_id": item_id, "headline": CONTENT})
        marks = {"marked_item": item_id, "highlights": [self.highlight]}
        self.insider.create("marked_for_highlights", marks)
        self.db["activity"].insert_one(
            {
                "name": "update",
                "item": item_id,
                "item_slugline": CONTENT,
                "recipients": [],
                "_created": self.graph.clock.now(),
            }
        )

    def hide(self) -> None:
        """Put items on a stage of a desk that only the insider is a member of, and hide it."""
        member = {"user": str(self.user_id("insider"))}
        desk = self.insider.create("desks", {"name": "Investigations", "members": [member]})
        self.desk, self.stage = desk["_id"], desk["working_stage"]
        task = {"desk": desk["_id"], "stage": self.stage}
        self.insider.patch(f"stages/{self.stage}", {"is_visible": False})
        newsdesk = Newsdesk(self.insider, self.newsroom)

        def story(name: str, **fields: Any) -> Any:
            id_ = f"tag:{NAME}:{name}"
            about = self.body(_id=id_, guid=id_, task=task, state="in_progress", **fields)
            self.ids.append(id_)
            return self.insider.create("archive", about)

        working = story("working")
        out = newsdesk.act("publish", story("out"))
        story("package", type="composite", groups=groups(working))
        self.graph.enqueue.run()
        self.graph.transmit.run()
        self.graph.legal_items.run()
        self.graph.legal_queue.run()
        operation = Publisher(self.insider).publish(out["_id"]).get_json()["operations"][0]
        self.ids.append(operation["record"])
        record = Publisher(self.insider).patch(
            f"records/{operation['record']}", {"metadata": {"about": CONTENT}}
        )
        assert record.status_code == 200
        again = {"subscribers": [str(self.subscriber)], "version": out["_current_version"]}
        self.insider.create(f"archive/{out['_id']}/resend", again)
        row = self.db["published"].find_one({"item_id": out["_id"]})
        archived = {**row, "_id": ObjectId(), "item_id": f"tag:{NAME}:archived"}
        archived["archived_id"] = f"{archived['item_id']}:1"
        self.db["archived"].insert_one(archived)
        self.ids += [archived["item_id"], archived["archived_id"]]
        self.work_on(self.item_id)

    def keep(self) -> None:
        """Let the insider write an item of his own."""
        about = self.body(_id=self.item_id, guid=self.item_id)
        self.ids.append(self.item_id)
        self.insider.create("archive", about)
        self.work_on(self.item_id)

    def collect(self) -> None:
        """Take the id of a document of each kind that belongs to what is hidden."""
        for name in (
            *("published", "publish_queue", "archive_history", "resends", "activity", "archived"),
            *("media_references", "legal_archive_history", "legal_publish_queue"),
        ):
            field = "item" if name == "activity" else "item_id"
            if row := self.db[name].find_one({field: {"$regex": NAME}}, {"_id": 1}):
                self.ids.append(str(row["_id"]))
        self.ids = list(dict.fromkeys(self.ids))

    def stored(self) -> Any:
        """Return all that is hidden, as it is stored."""
        collections = (
            *("archive", "archive_autosave", "published", "archived", "publish_queue"),
            "publishing_records",
        )
        fields = ("_id", "item_id", "content")
        return {
            name: list(self.db[name].find({"$or": [{field: BELONGS} for field in fields]}))
            for name in collections
        }


BELONGS = {"$regex": NAME}


def groups(*items: Any) -> list[Any]:
    return [
        {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": "main"}]},
        {"id": "main", "refs": [{"residRef": item["_id"]} for item in items]},
    ]


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "LEGAL_ARCHIVE": True, "CORRECTIONS_WORKFLOW": True}


@pytest.fixture
def receiver() -> Iterator[HTTPReceiver]:
    with HTTPReceiver() as listening:
        yield listening


@pytest.fixture
def world(app: Any, graph: Graph, receiver: HTTPReceiver) -> World:
    return World(app, graph, receiver)


@pytest.fixture(params=["hidden", "personal"])
def kind(request: Any, world: World) -> str:
    if request.param == "hidden":
        world.hide()
    else:
        world.keep()
    world.collect()
    return str(request.param)


def resource_of(rule: Rule) -> str:
    return str(rule.endpoint).partition("|")[0]


def methods_of(rule: Rule) -> set[str]:
    return set(rule.methods or ()) - {"HEAD", "OPTIONS"}


def paths_of(rule: Rule, ids: list[str]) -> list[str]:
    """Return the addresses of a rule: with every id in the place of its variables."""
    path = rule.rule.removeprefix("/api/").replace("<action>", "resend")
    variables = [part for part in segments(path) if part.startswith("<")]
    if not variables:
        return [path]
    paths = []
    for id_ in ids:
        filled = path
        for variable in variables:
            filled = filled.replace(variable, id_)
        paths.append(filled)
    return paths


def segments(path: str) -> list[str]:
    """Return the parts of a rule; those that are variables with their brackets."""
    parts, depth, part = [], 0, ""
    for letter in path:
        depth += (letter == "<") - (letter == ">")
        if letter == "/" and not depth:
            parts.append(part)
            part = ""
        else:
            part += letter
    return [*parts, part]


def arguments_of(rule: Rule, world: World) -> list[dict[str, str]]:
    """Return the arguments that a route is called with."""
    resource = resource_of(rule)
    common: list[dict[str, str]] = [{}, {"projection": '{"headline": 1}'}]
    holder = str(world.user_id("insider"))
    special: dict[str, list[dict[str, str]]] = {
        "archive": [{"version": "all"}, {"version": "1"}],
        "legal_archive": [{"version": "all"}, {"query": "the"}],
        "published": [{"published_id": "1"}],
        "workqueue": [{"source": f'{{"filter": {{"term": {{"lock_user": "{holder}"}}}}}}'}],
        "explain": [{"version": "1"}],
        "content_api_users_items": [{"start_date": "2000-01-01"}],
        "publisher GET publish/status": [{"content": ",".join(world.ids)}],
    }
    if resource == "format_document_for_preview":
        wanted = {"subscriber_id": str(world.subscriber), "formatter": "ninjs"}
        return [{**wanted, "document_id": world.item_id}]
    # Answers repeat it.
    where = {"where": '{"headline": {"$regex": "kes[t]rel"}}'}
    searched = [] if "<" in rule.rule else [where]
    return [*common, *special.get(resource, []), *searched]


def reads(world: World, client: Client) -> Iterator[tuple[Rule, bool, TestResponse]]:
    """Yield every answer to a GET of the client, and whether it asks for something by its id."""
    for rule in world.app.url_map.iter_rules():
        if "GET" not in methods_of(rule) or resource_of(rule) in EXISTS_FOR_EVE | {"static"}:
            continue
        for path in paths_of(rule, [*world.ids, str(world.story["_id"])]):
            for arguments in arguments_of(rule, world):
                is_by_id = rule.rule.count("<") > 0 or bool(
                    {"document_id", "content"} & arguments.keys()
                )
                yield rule, is_by_id, client.get(path, **arguments)


def test_no_answer_shows_it(world: World, kind: str) -> None:
    """By any address, with any arguments. Lists do not even name it, or count it."""
    opened = OPEN_BY_ID if kind == "personal" else set()
    for rule, is_by_id, answer in reads(world, world.outsider):
        where = f"{rule.rule} {answer.request.query_string.decode()} {answer.request.path}"
        if is_by_id and resource_of(rule) in opened:
            continue
        assert answer.status_code < 500, where
        assert CONTENT not in answer.text, where
        if not is_by_id:
            assert NAME not in answer.text, where
            assert world.item_id not in answer.text, where
        if "where" in answer.request.args and answer.status_code == 200:
            counted = (answer.get_json() or {}).get("_meta", {}).get("total", 0)
            assert counted == 0 or resource_of(rule) in COMPUTED, where


SHOWN = {
    "hidden": {
        *("archive|resource", "archive|item_lookup", "workqueue|resource", "workqueue|item_lookup"),
        *("archive_related|resource", "archive_autosave|item_lookup", "activity|resource"),
        *("activity|item_lookup", "archive_history|resource", "archive_history|item_lookup"),
        *("published|resource", "published|item_lookup"),
        *("publish_queue|resource", "publish_queue|item_lookup"),
        *("publish_queue|item_additional_lookup", "archived|resource", "archived|item_lookup"),
        *("archived|item_additional_lookup", "legal_archive|resource", "legal_archive|item_lookup"),
        *("legal_versions|resource", "legal_versions|item_lookup"),
        *("legal_archive_history|resource", "legal_archive_history|item_lookup"),
        *("legal_publish_queue|resource", "legal_publish_queue|item_lookup"),
        *("content_api_users_items", "content_api_users_items/<path:id>", "upload_raw"),
        *("content_api_users_search_capi", "content_api_users_search_capi/<path:id>"),
        *("format_document_for_preview", "content_api_users_assets/<path:id>"),
        *("publishing_records|resource", "publishing_records|item_lookup"),
        *("publisher GET publish/status", "publish_queue GET <id>/preview"),
    },
    "personal": {
        *("archive|resource", "archive|item_lookup", "workqueue|resource", "workqueue|item_lookup"),
        *("archive_autosave|item_lookup", "activity|resource"),
        *("activity|item_lookup", "archive_history|resource", "archive_history|item_lookup"),
        *("format_document_for_preview", "upload_raw", "content_api_users_assets/<path:id>"),
    },
}
"""Endpoints that show it to those who may see it: so the walk really finds it."""


def test_who_may_see_it_does(world: World, kind: str) -> None:
    found = set()
    for rule, _, answer in reads(world, world.insider):
        assert answer.status_code < 500, f"{answer.request.path} {answer.text}"
        if CONTENT in answer.text:
            found.add(str(rule.endpoint))

    assert SHOWN[kind] == found


def writes(world: World) -> dict[tuple[str, str], list[Any]]:
    """Return resource and method to the bodies that name what is hidden."""
    item_id = world.item_id
    held = {"x": {"_id": item_id, "type": "text"}}
    package = {"type": "composite", "task": world.newsroom.task, "groups": groups({"_id": item_id})}
    mark = {"marked_item": item_id}
    task = {"task": world.newsroom.task}
    desk = world.newsroom.task["desk"]
    change: list[Any] = [{"headline": "x"}]
    nothing: list[Any] = [{}]
    return {
        ("archive", "POST"): [{"associations": held, "task": world.newsroom.task}, package],
        ("archive", "PATCH"): change,
        ("archive", "PUT"): change,
        ("archive_autosave", "POST"): [{"_id": item_id, "headline": "x"}],
        ("archive_autosave", "PATCH"): change,
        ("archive_autosave", "PUT"): change,
        ("archive_autosave", "DELETE"): [None],
        **{
            (f"archive_{verb}", "PATCH"): nothing
            for verb in (
                *("publish", "correct", "kill", "takedown", "unpublish", "correction"),
                *("spike", "unspike"),
            )
        },
        ("archive_resend", "POST"): [{"subscribers": [str(world.subscriber)], "version": 1}],
        ("archive_broadcast", "POST"): nothing,
        ("archive_rewrite", "POST"): nothing,
        ("archive_rewrite", "DELETE"): [None],
        ("copy", "POST"): nothing,
        ("duplicate", "POST"): [
            {"desk": desk, "type": "archive"},
            {"desk": desk, "type": "archived", "item_id": item_id.replace("working", "archived")},
        ],
        ("move", "POST"): [task, {**task, "allPackageItems": True}],
        ("archive_lock", "POST"): nothing,
        ("archive_unlock", "POST"): nothing,
        ("translate", "POST"): [{"guid": item_id, "language": "de"}],
        ("fetch", "POST"): [{"desk": desk, "associations": held}],
        ("archived", "PATCH"): [{"operation": "kill"}],
        ("archived", "DELETE"): [None],
        ("published", "POST"): [{"_id": item_id, "item_id": item_id, "state": "published"}],
        ("published", "PATCH"): change,
        ("publish_queue", "POST"): [{"item_id": item_id, "state": "pending"}],
        ("publish_queue", "PATCH"): [{"state": "canceled"}],
        ("publish_queue POST <id>/<action>", "POST"): nothing,
        ("publish_queue POST actions", "POST"): [
            {"action": action, "where": {"item_id": BELONGS}, "expected": 0}
            for action in ("resend", "cancel", "run_now")
        ],
        ("published_package_items", "POST"): [
            {"package_id": item_id.replace("working", "package"), "new_items": []},
            {
                "package_id": world.package["_id"],
                "new_items": [{"group": "main", "item_id": item_id}],
            },
        ],
        ("marked_for_highlights", "POST"): [{**mark, "highlights": [world.highlight]}],
        ("marked_for_desks", "POST"): [{**mark, "marked_desk": desk}],
        ("formatters", "POST"): [{"article_id": item_id, "formatter_name": "NINJSFormatter"}],
        ("export", "POST"): [
            {"item_ids": [item_id], "format_type": "NINJSFormatter", "inline": inline}
            for inline in (True, False)
        ],
        ("content_filter_test", "POST"): [
            {"filter_id": world.filter["_id"], "article_id": item_id},
            {"filter_id": world.filter["_id"], "return_matching": True},
            {"filter_id": world.filter["_id"], "return_matching": False},
        ],
        ("product_test", "POST"): [{"article_id": item_id}],
        ("validate", "POST"): [
            {"act": "publish", "type": "text", "validate": {"_id": item_id, "type": "text"}}
        ],
        ("content_templates_apply", "POST"): [
            {"template_name": "plain", "item": {"_id": item_id, "type": "text"}}
        ],
        ("ingest", "DELETE"): [],
        ("publishing_records", "POST"): [{"content": item_id, "integration": world.integration}],
        ("publishing_records", "PATCH"): [{"metadata": {}}],
        ("publishing_records", "DELETE"): [None],
        ("publisher POST publish", "POST"): [
            {"content": id_, "integrations": [world.integration]}
            for id_ in (item_id, item_id.replace("working", "out"))
        ],
        ("publisher POST deployments", "POST"): [
            {
                "site": world.site["_id"],
                "deployment_type": "full",
                "filter": {"items": [item_id]},
            }
        ],
        **{
            (f"publisher POST records/<id>/{action}", "POST"): nothing
            for action in ("retry", "retract", "reconcile")
        },
    }


ANSWERED = {
    *("export", "content_filter_test", "validate", "content_templates_apply"),
    "publish_queue POST actions",
}
"""Writes that are answered without a word of what is hidden: they take many items, or none."""

CHANGING = ("POST", "PATCH", "PUT", "DELETE")


def calls(world: World, rule: Rule, method: str) -> Iterator[tuple[str, str, Any]]:
    """Yield method, path and body of the writes of a rule that name what is hidden."""
    resource = resource_of(rule)
    is_override = str(rule.endpoint).endswith("item_post_override")
    wanted = ("PATCH", "PUT", "DELETE") if is_override else (method,)
    bodies = writes(world)
    ids = [id_ for id_ in world.ids if not (resource == "published" and NAME in id_)]
    for verb in wanted:
        for body in bodies.get((resource, verb), []):
            for path in paths_of(rule, ["ingested"] if resource == "fetch" else ids):
                yield verb if is_override else method, path, body


def etag_of(world: World, path: str) -> str:
    """Return the etag of what a path addresses, in whichever collection it is."""
    name = path.rpartition("/")[2]
    wanted = {"$in": [name, ObjectId(name)] if ObjectId.is_valid(name) else [name]}
    for collection in ("archive_autosave", "archive", "published", "publish_queue", "archived"):
        document = world.db[collection].find_one({"_id": wanted})
        if document and collection in path:
            return str(document.get("_etag"))
    return "x"


def test_nobody_works_on_it(world: World, kind: str) -> None:
    """Every write that names it is refused as a GET of it is, and changes nothing."""
    before = world.stored()
    for rule in world.app.url_map.iter_rules():
        resource = resource_of(rule)
        if kind == "personal" and resource in OPEN_BY_ID:
            continue
        for method in methods_of(rule) & set(CHANGING):
            for verb, path, body in calls(world, rule, method):
                headers = {"If-Match": etag_of(world, path)}
                if method != verb:
                    headers["X-HTTP-Method-Override"] = verb
                answer = world.outsider.request(method, path, json=body, headers=headers)
                where = f"{method} {path} {body} {answer.text}"
                assert CONTENT not in answer.text, where
                if resource in ANSWERED and answer.status_code < 400:
                    continue
                # A DELETE of what is not there is done.
                is_there = answer.status_code != 204
                if is_there and (NAME in path or NAME in str(body)):
                    # Some ids are of what the route does not take.
                    is_unknown = ":archived" in path or resource in SAYS_UNKNOWN
                    refused = (403, 404, 400) if is_unknown else (403, 404)
                    assert answer.status_code in (*refused, 405), where
                else:
                    # An id of something that the route does not take.
                    assert answer.status_code < 500, where
    assert before == world.stored()


def test_the_walk_knows_every_route(world: World) -> None:
    """A new route is thought of: its writes are in the walk, or name no item."""
    known = {resource for resource, _ in writes(world)}
    ways = {(resource, method) for resource, method in writes(world)}
    for rule in world.app.url_map.iter_rules():
        resource = resource_of(rule)
        if resource in NAMES_NO_ITEM | TAKES_A_TOKEN | EXISTS_FOR_EVE:
            continue
        for method in methods_of(rule) & set(CHANGING):
            if str(rule.endpoint).endswith("item_post_override"):
                continue
            assert (resource, method) in ways, f"{method} {rule.rule} is not in the walk"
    resources = {resource_of(rule) for rule in world.app.url_map.iter_rules()}
    assert known <= resources
    assert resources >= NAMES_NO_ITEM | TAKES_A_TOKEN


def test_nobody_is_told_of_it(world: World, settings: Any, kind: str) -> None:
    """Whatever happens to it, events that name it or its stage are for those who see it."""
    insider = Viewer.of(world.db["users"].find_one({"username": "insider"}))
    outsider = Viewer.of(world.db["users"].find_one({"username": "outsider"}))
    named = (NAME, CONTENT, str(getattr(world, "stage", NAME)))
    address = f"archive/{world.item_id}"
    with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
        assert world.insider.patch(address, {"headline": CONTENT}).status_code == 200
        assert world.insider.post(f"{address}/unlock", {}).status_code == 201
        assert world.insider.post(f"{address}/lock", {}).status_code == 201
        assert world.insider.post(f"{address}/unlock", {}).status_code == 201
        for mark in (
            {"highlights": [world.highlight]},
            {"marked_desk": world.newsroom.task["desk"]},
        ):
            route = "marked_for_highlights" if "highlights" in mark else "marked_for_desks"
            world.insider.create(route, {**mark, "marked_item": world.item_id})
        if kind == "hidden":
            out = f"tag:{NAME}:out"
            assert world.insider.patch(f"archive/correct/{out}", {}).status_code == 200
            version = world.db["archive"].find_one({"_id": out})["_current_version"]
            again = {"subscribers": [str(world.subscriber)], "version": version}
            world.insider.create(f"archive/{out}/resend", again)
            row = str(world.db["published"].find_one({"item_id": out})["_id"])
            marked = {"marked_for_user": str(world.user_id("insider"))}
            assert world.insider.patch(f"published/{row}", marked).status_code == 200
            assert world.insider.patch(f"archive/kill/{out}", {}).status_code == 200
            package = f"archive/spike/tag:{NAME}:package"
            assert world.insider.patch(package, {}).status_code == 200
            unspiked = f"archive/unspike/tag:{NAME}:package"
            back = {"task": {"desk": str(world.desk), "stage": str(world.stage)}}
            assert world.insider.patch(unspiked, back).status_code == 200
        else:
            assert world.insider.patch(f"archive/spike/{world.item_id}", {}).status_code == 200
            assert world.insider.patch(f"archive/unspike/{world.item_id}", {}).status_code == 200
        events.heard()
    about = [m for m in events.messages if any(word in str(m["extra"]) for word in named)]

    assert {"content:update", "item:lock", "item:unlock", "item:highlights"} <= {
        message["event"] for message in about
    }
    for message in about:
        assert message["event"] == VISIBILITY_EVENT or message.get("audience"), message
        assert insider.is_in(message["audience"]), message
        assert not outsider.is_in(message["audience"]), message


def test_who_has_left_a_stage_tells_those_who_saw_it_there(world: World, settings: Any) -> None:
    """An item that goes to a hidden stage goes from the lists of others: they are told."""
    world.hide()
    item = Newsdesk(world.insider, world.newsroom).story()
    desk = world.db["desks"].find_one({"name": "Investigations"})
    outsider = Viewer.of(world.db["users"].find_one({"username": "outsider"}))
    target = {"task": {"desk": str(desk["_id"]), "stage": str(world.stage)}}
    with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
        world.insider.create(f"archive/{item['_id']}/move", target)
        events.heard()
    (moved,) = [m for m in events.messages if m["event"] == "item:move"]

    assert outsider.is_in(moved["audience"])
    assert 403 == world.outsider.get(f"archive/{item['_id']}").status_code


class TestServerField:
    """`invisible_stages` is the server's alone."""

    @pytest.mark.parametrize("sent", [[], None, "none", 5, {"a": 1}, [None]])
    def test_nobody_opens_stages(self, world: World, sent: Any) -> None:
        world.hide()
        path = f"users/{world.user_id('outsider')}"

        answer = world.outsider.patch(path, {"invisible_stages": sent, "job_title": "editor"})

        assert 200 == answer.status_code, answer.text
        assert "editor" == answer.get_json()["job_title"]
        assert [str(world.stage)] == world.outsider.get(path).get_json()["invisible_stages"]
        assert 403 == world.outsider.get(f"archive/{world.item_id}").status_code

    @pytest.mark.parametrize("sent", [[], "none", [str(ObjectId())]])
    def test_new_users_have_the_stages_of_all(self, world: World, sent: Any) -> None:
        world.hide()
        user = {"username": "new", "email": "new@example.com", "invisible_stages": sent}

        created = world.outsider.create("users", user)

        stored = world.db["users"].find_one({"_id": ObjectId(created["_id"])})
        assert [ObjectId(world.stage)] == stored["invisible_stages"]


class TestWhatHoldsIt:
    """Items that hold an item which is hidden from their editor."""

    @pytest.fixture
    def holder(self, world: World) -> Any:
        """A story on an open desk that holds the hidden item, as the insider has put it there."""
        world.hide()
        held = {"x": {"_id": world.item_id, "type": "text", "headline": "as it was held"}}
        item = Newsdesk(world.insider, world.newsroom).story()
        path = f"archive/{item['_id']}"
        assert 200 == world.insider.patch(path, {"associations": held}).status_code
        world.db["archive"].update_one(
            {"_id": world.item_id}, {"$set": {"abstract": f"new {CONTENT}"}}
        )
        return world.outsider.get(path).get_json()

    def test_a_save_leaves_it_as_it_is_held(self, world: World, holder: Any) -> None:
        path = f"archive/{holder['_id']}"
        kept = {"x": {"_id": world.item_id, "type": "text", "byline": "me"}}

        saved = world.outsider.patch(path, {"associations": kept})

        assert 200 == saved.status_code, saved.text
        assert "as it was held" == saved.get_json()["associations"]["x"]["headline"]
        assert f"new {CONTENT}" not in saved.text

    def test_it_does_not_go_out_by_the_hand_of_who_does_not_see_it(
        self, world: World, holder: Any
    ) -> None:
        answer = world.outsider.patch(f"archive/publish/{holder['_id']}", {})

        issues = answer.get_json()["_issues"]
        assert {"validator exception": f"403: {NOT_READABLE}"} == issues
        assert 200 == world.insider.patch(f"archive/publish/{holder['_id']}", {}).status_code

    @pytest.mark.parametrize("verb", ["copy", "duplicate", "move", "translate"])
    def test_a_package_goes_nowhere_without_it(self, world: World, verb: str) -> None:
        world.hide()
        newsdesk = Newsdesk(world.insider, world.newsroom)
        refs = groups(newsdesk.story(), {"_id": world.item_id})
        package = newsdesk.story(type="composite", groups=refs)
        before = world.db["archive"].count_documents({})
        desk = world.db["desks"].find_one({"name": "Sports"})
        target = {"desk": str(desk["_id"]), "stage": str(desk["incoming_stage"])}
        path, body = {
            "copy": (f"archive/{package['_id']}/copy", {}),
            "duplicate": (
                f"archive/{package['_id']}/duplicate",
                {"desk": target["desk"], "type": "archive"},
            ),
            "move": (
                f"archive/{package['_id']}/move",
                {"task": target, "allPackageItems": True},
            ),
            "translate": ("archive/translate", {"guid": package["_id"], "language": "de"}),
        }[verb]

        answer = world.outsider.post(path, body)

        assert 403 == answer.status_code, answer.text
        assert before == world.db["archive"].count_documents({})
        stored = world.db["archive"].find_one({"_id": package["_id"]})
        assert package["_etag"] == stored["_etag"]

    def test_a_package_of_a_highlight_takes_what_its_editor_sees(self, world: World) -> None:
        world.hide()
        package = {"type": "composite", "highlight": world.highlight, "task": world.newsroom.task}

        of_insider = world.insider.post("archive", package)
        of_outsider = world.outsider.post("archive", package)

        assert world.item_id in of_insider.text
        assert world.item_id not in of_outsider.text


class TestPersonal:
    def test_the_privilege_reads_and_saves_by_id(self, world: World) -> None:
        """As in Superdesk; then the item is also of who has saved it. Locks stay its holder's."""
        world.keep()
        address = f"archive/{world.item_id}"
        refused = (403, "Item belongs to another user.")

        for verb in ("lock", "unlock"):
            answer = world.outsider.post(f"{address}/{verb}", {})
            assert refused == (answer.status_code, answer.get_json()["_message"])
        world.insider.post(f"{address}/unlock", {})
        assert 200 == world.outsider.get(address).status_code
        saved = world.outsider.patch(address, {"headline": "better"})

        assert 200 == saved.status_code, saved.text
        assert "ins/out" == saved.get_json()["sign_off"]
        listed = world.outsider.get("workqueue").get_json()["_items"]
        assert world.item_id in [item["_id"] for item in listed]

    def test_nobody_locks_what_its_writer_has_not_locked(self, world: World) -> None:
        """A copy in the personal space is held by nobody until its owner works on it."""
        copied = world.insider.create(f"archive/{world.story['_id']}/copy", {})

        answer = world.outsider.post(f"archive/{copied['_id']}/lock", {})

        assert (403, "Item belongs to another user.") == (
            answer.status_code,
            answer.get_json()["_message"],
        )
        assert 201 == world.insider.post(f"archive/{copied['_id']}/lock", {}).status_code


class TestExports:
    def test_only_who_made_one_downloads_it(self, world: World) -> None:
        world.hide()
        wanted = {"item_ids": [world.item_id], "format_type": "NINJSFormatter"}
        url = world.insider.create("export", wanted)["url"]
        path = url[url.index("download/") :]

        assert 200 == world.insider.get(path).status_code
        assert 404 == world.outsider.get(path).status_code

    def test_what_is_hidden_is_a_failure(self, world: World) -> None:
        world.hide()
        ids = [world.item_id, world.story["_id"]]
        wanted = {"item_ids": ids, "format_type": "NINJSFormatter", "inline": True}

        answer = world.outsider.create("export", wanted)

        assert (1, [world.story["_id"]]) == (answer["failures"], list(answer["export"]))


def test_a_projection_uncovers_nothing_on_a_write(world: World) -> None:
    """Eve reads what a write changes with the projection of the request."""
    world.hide()
    path = f"archive/publish/{world.item_id}"

    answer = world.outsider.patch(path, {}, etag="x", projection='{"headline": 1}')

    assert 403 == answer.status_code, answer.text
