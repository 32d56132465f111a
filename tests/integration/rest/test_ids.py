"""Ids of any form at the REST edge: of stored documents, in addresses, bodies and queries.

Resources contract 2. Others have stored documents under texts and whole numbers, and name documents
by the text of an id that is an ObjectId, or the other way round.
"""

import json
from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client, client_of, log_in_with_password, make_user, new_user
from tests.support.newsroom import Newsroom

HEX = "5f0000000000000000000001"

FORMS: dict[str, Any] = {
    "ObjectId": ObjectId(HEX),
    "text of an ObjectId": HEX,
    "text": "first",
    "text with dots": "urn:desk.1",
    "whole number": 7,
    "text of a number": "7",
    "long whole number": 2**40,
}

any_form = pytest.mark.parametrize("id_", FORMS.values(), ids=FORMS.keys())

DOCUMENTS: dict[str, Document] = {
    "desks": {"name": "Sports", "members": []},
    "stages": {"name": "Slot", "desk": ObjectId()},
    "users": {"username": "someone", "email": "a@example.com", "is_active": True},
    "roles": {"name": "Writers"},
    "content_types": {"label": "Story"},
    "content_templates": {"template_name": "story", "template_type": "create", "is_public": True},
    "highlights": {"name": "Best"},
    "products": {"name": "All", "product_type": "both"},
    "subscribers": {"name": "Times", "is_active": False},
    "content_filters": {"name": "Sport"},
    "filter_conditions": {"name": "Sport", "field": "headline", "operator": "in", "value": "a"},
    "internal_destinations": {"name": "Copy", "desk": ObjectId()},
}
"""What a stored document of each resource is like."""

PATCHES: dict[str, Document] = {
    "content_templates": {"data": {"headline": "x"}},
    "users": {"first_name": "x"},
    "subscribers": {"codes": "x"},
    "content_filters": {"is_global": True},
    "filter_conditions": {"value": "b"},
    "internal_destinations": {"is_active": False},
    "stages": {"task_status": "done"},
    "highlights": {"auto_insert": "now/d"},
}
"""Changes; `{"description": "x"}` for all others."""


def store(graph: Graph, resource: str, id_: Any, **fields: Any) -> Any:
    """Store a document as another program may have done it; return its id."""
    now = graph.clock.now()
    stamps = {"_created": now, "_updated": now, "_etag": "stored"}
    document = {**DOCUMENTS.get(resource, {}), **stamps, "_id": id_, **fields}
    graph.db[resource].insert_one(document)
    return id_


def store_desk(graph: Graph, desk: Any, incoming: Any, working: Any, **fields: Any) -> None:
    """Store a desk and its two stages under the given ids."""
    for order, (id_, flag) in enumerate(
        ((incoming, "default_incoming"), (working, "working_stage")), start=1
    ):
        store(graph, "stages", id_, name=flag, desk=desk, desk_order=order, **{flag: True})
    store(graph, "desks", desk, incoming_stage=incoming, working_stage=working, **fields)


def shown(id_: Any) -> Any:
    """Return how answers show an id."""
    return str(id_) if isinstance(id_, ObjectId) else id_


class TestAddresses:
    @any_form
    @pytest.mark.parametrize("resource", DOCUMENTS)
    def test_name_documents(self, admin: Client, graph: Graph, resource: str, id_: Any) -> None:
        """A document is read, changed and deleted under the text of its id."""
        store(graph, resource, id_)
        path, change = f"{resource}/{id_}", PATCHES.get(resource, {"description": "x"})

        read = admin.get(path)
        patched = admin.patch(path, change)
        stored = graph.db[resource].find_one({"_id": id_})
        deleted = admin.delete(path)

        assert (read.status_code, read.get_json()["_id"]) == (200, shown(id_))
        assert (patched.status_code, patched.get_json().get("_id")) == (200, shown(id_))
        assert change.items() <= (stored or {}).items()
        # Subscribers stay, and users are switched off.
        assert deleted.status_code == (405 if resource == "subscribers" else 204)
        left = graph.db[resource].find_one({"_id": id_})
        assert (left is None) is (resource not in ("subscribers", "users"))

    @pytest.mark.parametrize("resource", DOCUMENTS)
    def test_name_nothing_where_there_is_nothing(self, admin: Client, resource: str) -> None:
        """An id that exists in no form is neither read nor changed."""
        for id_ in (HEX, "first", "7"):
            read = admin.get(f"{resource}/{id_}")
            changed = admin.patch(f"{resource}/{id_}", {}, etag="x")
            assert (read.status_code, changed.status_code) == (404, 404)

    @pytest.mark.parametrize(
        ("text", "other"), [("7", 7), (HEX, ObjectId(HEX))], ids=["number", "ObjectId"]
    )
    def test_name_the_text_where_two_ids_read_the_same(
        self, admin: Client, graph: Graph, text: str, other: Any
    ) -> None:
        """Of two documents the one that is named exactly is read, changed and deleted."""
        store(graph, "roles", other, name="Other")
        store(graph, "roles", text, name="Text")

        read = admin.get(f"roles/{text}").get_json()
        admin.patch(f"roles/{text}", {"description": "x"})
        changed = [row["name"] for row in graph.db["roles"].find({"description": "x"})]
        admin.delete(f"roles/{text}")

        assert (read["name"], changed) == ("Text", ["Text"])
        assert [row["name"] for row in graph.db["roles"].find()] == ["Other"]

    def test_may_have_a_name_for_an_id(self, admin: Client, graph: Graph) -> None:
        """Users and public templates are read by their names, too, and written by ids alone."""
        make_user(graph, "jane")
        store(graph, "content_templates", "one")

        assert admin.get("users/jane").get_json()["username"] == "jane"
        assert admin.get("content_templates/story").get_json()["_id"] == "one"
        assert admin.patch("users/jane", {"first_name": "J"}, etag="x").status_code == 404

    @any_form
    def test_lead_to_what_belongs_to_documents(self, admin: Client, graph: Graph, id_: Any) -> None:
        """Members of a desk, and desks of a user, are found by ids of any form."""
        store(graph, "users", id_, username="jane", display_name="Jane")
        store(graph, "desks", id_, members=[{"user": str(id_)}])

        users = admin.get(f"desks/{id_}/users").get_json()["_items"]
        desks = admin.get(f"users/{id_}/desks").get_json()["_items"]

        assert [user["username"] for user in users] == ["jane"]
        assert [desk["members"] for desk in desks] == [[{"user": str(id_)}]]


class TestBodies:
    @pytest.mark.parametrize("id_", ["mine", "urn:1.a", 7, "7", HEX])
    def test_may_bring_an_id_of_any_form(self, admin: Client, graph: Graph, id_: Any) -> None:
        """A new document has the id that it brings; the text of an ObjectId becomes one."""
        created = admin.create("roles", {"_id": id_, "name": "Writers"})

        stored = ObjectId(HEX) if id_ == HEX else id_
        assert created["_id"] == id_
        assert graph.db["roles"].find_one()["_id"] == stored
        assert admin.get(f"roles/{id_}").get_json()["name"] == "Writers"

    @pytest.mark.parametrize("id_", [True, 1.5, [], {}, ["a"]])
    def test_may_not_bring_what_cannot_be_an_id(self, admin: Client, id_: Any) -> None:
        """Ids are texts and whole numbers."""
        answer = admin.post("roles", {"_id": id_, "name": "Writers"})

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {"_id": "must be of id type"}

    @any_form
    def test_name_documents_as_these_are_stored(
        self, admin: Client, graph: Graph, id_: Any
    ) -> None:
        """References, at any depth, get the form of the id that they name."""
        for resource in ("users", "roles", "content_types"):
            store(graph, resource, id_)
        store_desk(graph, id_, id_, "working")
        name = str(id_)

        desk = admin.patch(
            f"desks/{id_}",
            {
                "members": [{"user": name}],
                "incoming_stage": name,
                "default_content_profile": name,
            },
        )
        user = admin.post("users", {"username": "new", "email": "n@x.org", "role": name})
        stage = admin.post("stages", {"name": "New", "desk": name})
        template = admin.post(
            "content_templates",
            {"template_name": "t", "template_type": "create", "template_desks": [name]},
        )
        highlight = admin.post("highlights", {"name": "Best", "desks": [name]})

        for answer in (desk, user, stage, template, highlight):
            assert answer.status_code in (200, 201), answer.text
        stored = graph.db["desks"].find_one({"_id": id_})
        assert stored["members"] == [{"user": id_}]
        assert (stored["incoming_stage"], stored["default_content_profile"]) == (id_, id_)
        assert graph.db["users"].find_one({"username": "new"})["role"] == id_
        assert graph.db["stages"].find_one({"name": "New"})["desk"] == id_
        assert graph.db["stages"].find_one({"name": "New"})["desk_order"] == 3
        assert graph.db["content_templates"].find_one()["template_desks"] == [id_]
        assert graph.db["highlights"].find_one()["desks"] == [id_]

    @pytest.mark.parametrize(
        ("path", "field", "value", "issue"),
        [
            ("stages", "desk", HEX, f"value '{HEX}' must exist in resource 'desks', field '_id'."),
            ("stages", "desk", "nothing", "must be of objectid type"),
            ("stages", "desk", "7", "must be of objectid type"),
            (
                "desks",
                "default_content_profile",
                "none",
                "value 'none' must exist in resource 'content_types', field '_id'.",
            ),
            ("desks", "default_content_template", "none", "must be of objectid type"),
        ],
    )
    def test_name_nothing_that_is_not_there(
        self, admin: Client, path: str, field: str, value: str, issue: str
    ) -> None:
        """What an id that exists in no form is told tells it from one that is none."""
        answer = admin.post(path, {"name": "A", field: value})

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {field: issue}

    @any_form
    def test_order_the_stages_of_a_desk(self, admin: Client, graph: Graph, id_: Any) -> None:
        """`stages_order` takes ids of any form."""
        store_desk(graph, id_, "first-stage", 12)

        answer = admin.post("stages_order", {"desk": str(id_), "stages": ["12", "first-stage"]})

        assert answer.status_code == 201, answer.text
        orders = {row["_id"]: row["desk_order"] for row in graph.db["stages"].find()}
        assert orders == {12: 1, "first-stage": 2}


class TestQueries:
    @any_form
    @pytest.mark.parametrize(
        "where",
        [
            {"desk": "ID"},
            {"desk": {"$in": ["other", "ID"]}},
            {"desk": {"$eq": "ID"}},
            {"$or": [{"desk": "ID"}, {"name": "none"}]},
            {"desk": {"$not": {"$ne": "ID"}}},
        ],
        ids=str,
    )
    def test_find_references_of_any_form(
        self, admin: Client, graph: Graph, where: Document, id_: Any
    ) -> None:
        """`where` compares with every form that the id may be stored with."""
        store(graph, "stages", "stored", desk=id_)
        store(graph, "stages", "other", desk="another")

        query = json.dumps(where).replace('"ID"', json.dumps(str(id_)))
        found = admin.get("stages", where=query).get_json()["_items"]

        assert [stage["_id"] for stage in found] == ["stored"]

    @any_form
    def test_leave_out_references_of_any_form(self, admin: Client, graph: Graph, id_: Any) -> None:
        """So does what a query leaves out."""
        store(graph, "stages", "stored", desk=id_)
        store(graph, "stages", "other", desk="another")

        for condition in ({"$ne": str(id_)}, {"$nin": [str(id_)]}):
            found = admin.get("stages", where=json.dumps({"desk": condition})).get_json()
            assert [stage["_id"] for stage in found["_items"]] == ["other"]

    @any_form
    def test_find_ids_and_nested_references(self, admin: Client, graph: Graph, id_: Any) -> None:
        """By the id of a document itself, in lists, and as comparisons in Python are written."""
        store(graph, "desks", id_, members=[{"user": id_}])
        text = str(id_)

        for where in (
            json.dumps({"_id": text}),
            json.dumps({"members.user": text}),
            json.dumps({"members": {"$elemMatch": {"user": text}}}),
            f'_id=="{text}"',
        ):
            found = admin.get("desks", where=where).get_json()["_items"]
            assert [desk["_id"] for desk in found] == [shown(id_)], where

    def test_find_texts_that_look_like_ids(self, admin: Client) -> None:
        """The text of an ObjectId may be a text all the same."""
        admin.create("archive", {"type": "text", "slugline": HEX, "family_id": HEX})

        for field in ("slugline", "family_id"):
            found = admin.get("archive", where=json.dumps({field: HEX})).get_json()["_items"]
            assert [item["slugline"] for item in found] == [HEX]

    @any_form
    def test_embed_what_is_named_in_another_form(
        self, admin: Client, graph: Graph, id_: Any
    ) -> None:
        """References are resolved whatever form they and the ids have."""
        store(graph, "desks", id_)
        store(graph, "stages", "one", desk=str(id_))
        store(graph, "stages", "gone", desk="nothing")
        embedded = json.dumps({"desk": 1})

        read = admin.get("stages/one", embedded=embedded).get_json()
        listed = admin.get("stages", embedded=embedded).get_json()["_items"]

        assert read["desk"]["name"] == "Sports"
        assert {stage["_id"]: isinstance(stage["desk"], dict) for stage in listed} == {
            "one": True,
            "gone": False,
        }


class TestUsers:
    @any_form
    def test_log_in_and_out(self, app: Any, graph: Graph, id_: Any) -> None:
        """A user works, locks and leaves, whatever the id."""
        make_user(graph, "jane", _id=id_, privileges={"archive": 1, "users": 1})
        jane = log_in_with_password(app, "jane")
        item = jane.create("archive", {"type": "text"})

        locked = jane.post(f"archive/{item['_id']}/lock", {"lock_action": "edit"})
        saved = jane.patch(f"archive/{item['_id']}", {"headline": "x"})
        mine = jane.get(
            "workqueue", source=json.dumps({"filter": {"term": {"lock_user": str(id_)}}})
        )
        left = jane.delete(f"auth/{jane.session['_id']}")

        assert jane.session["user"] == shown(id_)
        assert item["original_creator"] == str(id_)
        assert locked.status_code == 201, locked.text
        assert (saved.status_code, saved.get_json()["version_creator"]) == (200, str(id_))
        assert [row["_id"] for row in mine.get_json()["_items"]] == [item["_id"]]
        assert left.status_code == 204
        stored = graph.db["archive"].find_one({"_id": item["_id"]})
        assert (stored["lock_user"], stored["headline"]) == (None, "x")

    @any_form
    def test_see_their_own_items_alone(
        self, app: Any, admin: Client, graph: Graph, id_: Any
    ) -> None:
        """Personal items are in the lists of whoever holds them."""
        make_user(graph, "jane", _id=id_, privileges={"archive": 1})
        jane = log_in_with_password(app, "jane")
        for number, holder in enumerate((id_, str(id_), "urn:deskx1")):
            graph.db["archive"].insert_one(
                {
                    "_id": f"item-{number}",
                    "state": "in_progress",
                    "task": {"user": holder},
                    "_created": graph.clock.now(),
                    "_updated": graph.clock.now(),
                }
            )

        own = {item["_id"] for item in jane.get("archive").get_json()["_items"]}
        others = admin.get("archive").get_json()["_items"]

        assert own == {"item-0", "item-1"}
        assert others == []

    @any_form
    def test_have_the_privileges_of_roles(self, app: Any, graph: Graph, id_: Any) -> None:
        """A role is found in any form; it cannot be deleted while users name it."""
        store(graph, "roles", id_, privileges={"desks": 1, "roles": 1})
        user = new_user("jane", role=str(id_))
        graph.db["users"].insert_one(user)
        jane = client_of(app, user)

        assert jane.post("desks", {"name": "Sports"}).status_code == 201
        assert jane.delete(f"roles/{id_}").status_code == 403

    @any_form
    def test_are_members_of_desks(self, admin: Client, graph: Graph, id_: Any) -> None:
        """Members are listed, and told apart, by ids of any form."""
        store(graph, "users", id_, username="jane", display_name="Jane")
        other = make_user(graph, "other")["_id"]
        store(graph, "desks", "sports", members=[{"user": str(id_)}, {"user": other}])

        listed = admin.get("desks/sports").get_json()["members"]
        twice = admin.patch("desks/sports", {"members": [{"user": str(id_)}, {"user": str(id_)}]})

        assert [member["user"] for member in listed] == [str(id_), str(other)]
        assert twice.get_json()["members"] == [{"user": shown(id_)}]

    @any_form
    def test_have_templates(self, app: Any, graph: Graph, id_: Any) -> None:
        """A personal template is its owner's, and makes items, in any form of both ids."""
        make_user(graph, "jane", _id=id_, privileges={"archive": 1})
        jane = log_in_with_password(app, "jane")
        data = {"headline": "From a template"}
        store(graph, "content_templates", id_, user=str(id_), is_public=False, data=data)

        listed = jane.get("content_templates").get_json()["_items"]
        patched = jane.patch(f"content_templates/{id_}", {"data": {"slugline": "x"}})
        item = jane.post("archive", {"type": "text", "template": str(id_)})

        assert [row["template_name"] for row in listed] == ["story"]
        assert patched.status_code == 200, patched.text
        assert item.get_json().get("headline") == "From a template", item.text


class TestDesksAndStages:
    @any_form
    def test_in_use_are_not_deleted(self, admin: Client, graph: Graph, id_: Any) -> None:
        """What names a desk or a stage keeps it, in any form."""
        store_desk(graph, id_, "incoming", id_)
        graph.db["archive"].insert_one({"_id": "item", "task": {"desk": str(id_)}})

        assert admin.delete(f"desks/{id_}").status_code == 412
        graph.db["archive"].delete_many({})
        graph.db["users"].update_one({}, {"$set": {"desk": str(id_)}})
        assert admin.delete(f"desks/{id_}").status_code == 412
        graph.db["users"].update_one({}, {"$unset": {"desk": 1}})
        assert admin.delete(f"stages/{id_}").status_code == 412
        assert admin.delete(f"desks/{id_}").status_code == 204
        assert graph.db["stages"].count_documents({}) == 0

    @any_form
    def test_have_one_working_stage(self, admin: Client, graph: Graph, id_: Any) -> None:
        """A stage that becomes the desk's working stage takes the flag from the other one."""
        store_desk(graph, id_, "incoming", "working")
        store(graph, "stages", "new", desk=str(id_), name="New")

        answer = admin.patch("stages/new", {"working_stage": True})

        assert answer.status_code == 200, answer.text
        assert graph.db["stages"].find_one({"_id": "working"})["working_stage"] is False
        assert graph.db["desks"].find_one({"_id": id_})["working_stage"] == "new"


class TestProfiles:
    @any_form
    def test_are_found_by_what_items_name(self, admin: Client, graph: Graph, id_: Any) -> None:
        """An item is checked by the profile that its text names, not by the default rules."""
        schema = {"slugline": {"type": "string", "required": True}, "headline": {}}
        store(graph, "content_types", id_, schema=schema)
        item = admin.create("archive", {"type": "text", "profile": str(id_)})

        refused = admin.post(
            "validate",
            {"act": "publish", "type": "text", "validate": {"type": "text", "profile": str(id_)}},
        )
        used = admin.get(f"content_types/{id_}").get_json()
        deleted = admin.delete(f"content_types/{id_}")

        assert refused.get_json()["errors"] == ["SLUGLINE is a required field"]
        assert used["is_used"] is True
        assert item["profile"] == str(id_)
        assert deleted.status_code == 202

    @any_form
    def test_of_desks_are_kept_and_let_go(self, admin: Client, graph: Graph, id_: Any) -> None:
        """A profile that a desk names is not switched off; one that is deleted is forgotten."""
        store(graph, "content_types", id_, enabled=True)
        store(graph, "desks", "sports", default_content_profile=str(id_))

        refused = admin.patch(f"content_types/{id_}", {"enabled": False})
        deleted = admin.delete(f"content_types/{id_}")

        assert "following desks are referencing: Sports" in refused.text
        assert deleted.status_code == 204
        assert graph.db["desks"].find_one()["default_content_profile"] is None


class TestItems:
    @any_form
    def test_live_on_desks_of_any_form(self, admin: Client, graph: Graph, id_: Any) -> None:
        """Created, saved, moved, duplicated, translated, updated, marked: all by the text."""
        admin_id = ObjectId(admin.session["user"])
        store_desk(graph, id_, id_, "working", members=[{"user": admin_id}])
        store(graph, "highlights", id_)
        name = str(id_)
        item = admin.create(
            "archive",
            {"type": "text", "language": "en", "task": {"desk": name, "stage": "working"}},
        )
        path = f"archive/{item['_id']}"

        saved = admin.patch(path, {"headline": "x", "task": {"desk": name, "stage": "working"}})
        moved = admin.post(f"{path}/move", {"task": {"desk": name, "stage": name}})
        again = admin.post(f"{path}/move", {"task": {"desk": name, "stage": name}})
        copies = [
            admin.post(f"{path}/duplicate", {"desk": name, "stage": name, "type": "archive"}),
            admin.post("archive/translate", {"guid": item["_id"], "language": "de", "desk": name}),
            admin.post(f"{path}/rewrite", {"desk_id": name}),
        ]
        marked = [
            admin.post("marked_for_highlights", {"marked_item": item["_id"], "highlights": [name]}),
            admin.post("marked_for_desks", {"marked_item": item["_id"], "marked_desk": name}),
        ]
        collected = admin.post(
            "archive",
            {
                "type": "composite",
                "highlight": name,
                "task": {"desk": name},
                "groups": [
                    {"id": "root", "refs": [{"idRef": "main"}]},
                    {"id": "main", "refs": []},
                ],
            },
        )

        for answer in (saved, moved, *copies, *marked, collected):
            assert answer.status_code in (200, 201), answer.text
        assert again.status_code == 412, again.text
        stored = graph.db["archive"].find_one({"_id": item["_id"]})
        assert (stored["task"]["desk"], stored["task"]["stage"]) == (id_, id_)
        assert stored["highlights"] == [id_]
        assert [mark["desk_id"] for mark in stored["marked_desks"]] == [name]
        for answer in copies:
            copy = graph.db["archive"].find_one({"_id": answer.get_json()["_id"]})
            assert copy["task"]["desk"] == id_
        package = collected.get_json()
        assert [r["residRef"] for g in package["groups"] for r in g["refs"] if "residRef" in r] == [
            item["_id"]
        ]

    @any_form
    def test_are_fetched_to_desks_of_any_form(self, admin: Client, graph: Graph, id_: Any) -> None:
        """An ingested item comes to the desk that the request names by a text."""
        store_desk(graph, id_, id_, "working")
        store(graph, "ingest", "source", type="text", state="ingested", guid="source")

        answer = admin.post("ingest/source/fetch", {"desk": str(id_)})

        assert answer.status_code == 201, answer.text
        stored = graph.db["archive"].find_one({"_id": answer.get_json()["_id"]})
        assert (stored["task"]["desk"], stored["task"]["stage"]) == (id_, id_)

    @pytest.mark.parametrize("verb", ["move", "duplicate", "fetch"])
    def test_go_to_no_desk_that_is_not_there(self, admin: Client, graph: Graph, verb: str) -> None:
        """A text that names nothing is refused by the schema, an ObjectId by the command."""
        item = admin.create("archive", {"type": "text"})["_id"]
        store(graph, "ingest", item, type="text", state="ingested")
        path = f"{'ingest' if verb == 'fetch' else 'archive'}/{item}/{verb}"

        def body(desk: str) -> Document:
            if verb == "move":
                return {"task": {"desk": desk, "stage": HEX}}
            return {"desk": desk} if verb == "fetch" else {"desk": desk, "type": "archive"}

        text, unknown = admin.post(path, body("nothing")), admin.post(path, body(HEX))

        issues = {"desk": "must be of objectid type"}
        assert text.status_code == 400
        assert text.get_json()["_issues"] == ({"task": issues} if verb == "move" else issues)
        assert unknown.status_code == 404


def test_null_names_nothing(admin: Client, graph: Graph) -> None:
    """Where it is allowed: no document is looked for."""
    newsroom = Newsroom(graph.db)
    path = f"archive/{admin.create('archive', newsroom.story())['_id']}"
    duplicate = {"type": "archive", "stage": None}

    on_desk = admin.post(f"{path}/duplicate", {**duplicate, "desk": newsroom.task["desk"]})
    own = admin.post(f"{path}/duplicate", {**duplicate, "desk": None})
    translated = {"guid": path.partition("/")[2], "language": "de", "desk": None}

    assert [on_desk.status_code, own.status_code] == [201, 201], own.text
    assert admin.post("archive/translate", translated).status_code == 201
