"""Broadcast scripts and what becomes of them with their masters (lifecycle contract 5.15)."""

import json
from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client, log_in, make_user
from tests.support.commands import CommandCounter
from tests.support.dying import MOST_WRITES, complete_abandoned, dies
from tests.support.events import Events
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import Newsroom, groups_of
from tests.support.services import empty_services

GENRE = {"qcode": "Broadcast Script", "name": "Broadcast Script"}


@pytest.fixture
def eager() -> bool:
    """Tasks run at once."""
    return True


@pytest.fixture
def genres(desk: Newsdesk) -> None:
    items = [{**GENRE, "is_active": True}, {"qcode": "Article", "is_active": True}]
    desk.db["vocabularies"].insert_one({"_id": "genre", "items": items})


@pytest.fixture
def master(desk: Newsdesk, genres: None) -> Document:
    return desk.published(
        genre=[{"qcode": "Article", "name": "Article"}],
        slugline="comics",
        subject=[{"qcode": "17004000", "name": "Statistics"}],
        anpa_category=[{"qcode": "a", "name": "General"}],
        urgency=1,
        priority=3,
        place=[{"qcode": "VIC", "name": "VIC"}],
        family_id="xyz",
        dateline={"source": "AAP", "text": "Los Angeles, Aug 11 AAP -"},
    )


def json_with(value: Any, master_id: str) -> Any:
    """Return `value` with the id of the master in the place of `MASTER`."""
    return json.loads(json.dumps(value).replace("MASTER", master_id))


def script_of(newsdesk: Newsdesk, master: Document, **body: Any) -> Document:
    """Write a script; fails the test unless it is 201."""
    return newsdesk.client.create(f"archive/{master['_id']}/broadcast", body)


def published_script(desk: Newsdesk, master: Document, **fields: Any) -> Document:
    """Write a script on the desk, save it and publish it."""
    script = script_of(desk, master, desk=desk.newsroom.task["desk"])
    saved = desk.client.patch(f"archive/{script['_id']}", {"headline": "TEST", **fields})
    assert saved.status_code == 200, saved.text
    return desk.act("publish", script)


def kill_template(desk: Newsdesk, name: str, **data: Any) -> None:
    """Store the template of a kill or a takedown."""
    template = {"template_name": name, "template_type": "kill", "is_public": True}
    data = {"headline": name + ": {{ item.headline }}", "body_html": "<p>x</p>", **data}
    desk.client.create("content_templates", {**template, "data": data})


def package_of(desk: Newsdesk, *members: Document, **fields: Any) -> Document:
    """Create a package on the desk."""
    groups = groups_of(*members)
    return desk.story(type="composite", groups=groups, state="submitted", **fields)


def read(desk: Newsdesk, item: Document) -> Document:
    return dict(desk.client.get(f"archive/{item['_id']}").get_json())


def status(desk: Newsdesk, script: Document) -> tuple[str, str | None]:
    broadcast = read(desk, script)["broadcast"]
    return broadcast["status"], broadcast["rewrite_id"]


class TestWritten:
    @pytest.mark.parametrize("wrapped", [True, False])
    @pytest.mark.parametrize("on_desk", [True, False])
    def test_for_a_story_that_is_out(
        self, desk: Newsdesk, master: Document, on_desk: bool, wrapped: bool
    ) -> None:
        """A draft of version 1, on a desk's working stage or the caller's own."""
        body = {"desk": desk.newsroom.task["desk"]} if on_desk else {}
        path = f"archive/{master['_id']}/broadcast"

        answer = desk.client.post(path, [body] if wrapped else body)

        assert answer.status_code == 201, answer.text
        script = answer.get_json()
        seen = read(desk, script)
        copied = ("slugline", "subject", "anpa_category", "urgency", "priority", "place")
        for item in (script, seen):
            assert {name: item[name] for name in copied} == {name: master[name] for name in copied}
            assert (item["state"], item["_current_version"], item["type"]) == ("draft", 1, "text")
            assert item["dateline"]["text"] == "Los Angeles, Aug 11 AAP -"
            assert item["family_id"] == "xyz"
            assert item["genre"] == [GENRE]
            wanted = {"status": "", "master_id": master["_id"], "rewrite_id": None}
            assert item["broadcast"] == wanted
            assert item["task"]["user"] == str(desk.client.session["user"])
            assert item["task"].get("desk") == (desk.newsroom.task["desk"] if on_desk else None)
        assert script["_id"] != master["_id"]
        assert script.get("headline") is None
        versions = desk.client.get(f"archive/{script['_id']}", version="all").get_json()["_items"]
        assert len(versions) == 1

    def test_for_a_corrected_preformatted_one(self, desk: Newsdesk, genres: None) -> None:
        """With the update that it has by now."""
        desk.newsroom.validators(item_type="preformatted")
        item = desk.act("correct", desk.published(type="preformatted"), headline="x")
        update = desk.client.create(f"archive/{item['_id']}/rewrite", {})

        assert script_of(desk, item)["broadcast"]["rewrite_id"] == update["_id"]

    @pytest.mark.parametrize("operation", ["kill", "takedown", "unpublish", None])
    def test_for_no_other(self, desk: Newsdesk, genres: None, operation: str | None) -> None:
        item = desk.act(operation, desk.published()) if operation else desk.story()

        answer = desk.client.post(f"archive/{item['_id']}/broadcast", {})

        text = answer.get_json()["_message"]
        assert (answer.status_code, text) == (400, "Invalid content state.")

    def test_refusals_have_an_order(self, desk: Newsdesk) -> None:
        """Existence, type, state, genre."""
        picture, draft, out = desk.story(type="picture"), desk.story(), desk.published()
        wanted = {
            "nothing": (404, "Cannot find the requested item id."),
            picture["_id"]: (400, "Invalid content type."),
            draft["_id"]: (400, "Invalid content state."),
            out["_id"]: (400, "Cannot find the Broadcast Script genre."),
        }
        for id_, refusal in wanted.items():
            answer = desk.client.post(f"archive/{id_}/broadcast", {})
            assert (answer.status_code, answer.get_json()["_message"]) == refusal

        inactive = {"_id": "genre", "items": [{**GENRE, "is_active": False}]}
        desk.db["vocabularies"].insert_one(inactive)
        answer = desk.client.post(f"archive/{out['_id']}/broadcast", {})
        assert answer.get_json()["_message"] == "Cannot find the Broadcast Script genre."

    def test_only_with_the_privilege(
        self, desk: Newsdesk, master: Document, graph: Graph, app: Any, editor: Client
    ) -> None:
        path = f"archive/{master['_id']}/broadcast"
        assert editor.post(path, {}).status_code == 403
        make_user(graph, "reader", privileges={"archive_broadcast": 1})
        assert log_in(app, "reader").post(path, {}).status_code == 201

    @pytest.mark.parametrize("desk_id", ["5f" * 12, "x", 5, {"a": 1}])
    def test_on_no_desk_that_is_not_there(
        self, desk: Newsdesk, master: Document, desk_id: Any
    ) -> None:
        before = desk.db["archive"].count_documents({})

        answer = desk.client.post(f"archive/{master['_id']}/broadcast", {"desk": desk_id})

        assert answer.status_code in (400, 404), answer.text
        assert desk.db["archive"].count_documents({}) == before

    def test_with_what_the_request_says(self, desk: Newsdesk, master: Document) -> None:
        """Except what comes from the master, and what is the server's."""
        sent = {"headline": "Read this", "body_html": "<p>x</p>", "language": "de"}
        others = {"slugline": "other", "genre": [{"qcode": "Article"}], "state": "published"}
        own = {"guid": master["_id"], "broadcast": {"master_id": "other"}, "version_creator": "x"}

        script = script_of(desk, master, **sent, **others, **own)

        assert {name: script[name] for name in sent} == sent
        assert (script["slugline"], script["genre"], script["state"]) == (
            "comics",
            [GENRE],
            "draft",
        )
        assert script["_id"] != master["_id"]
        assert script["broadcast"]["master_id"] == master["_id"]
        assert script["version_creator"] == str(desk.client.session["user"])

    @pytest.mark.parametrize("desk_id", ["sports", "5e" * 12, 7])
    def test_on_a_desk_with_an_id_of_any_form(
        self, desk: Newsdesk, master: Document, desk_id: Any
    ) -> None:
        own = {"_id": desk_id, "name": "Radio", "working_stage": "first", "members": []}
        desk.db["desks"].insert_one(own)
        desk.db["stages"].insert_one({"_id": "first", "desk": desk_id, "name": "First"})

        script = script_of(desk, master, desk=str(desk_id))

        (stored,) = desk.db["archive"].find({"_id": script["_id"]})
        assert (stored["task"]["desk"], stored["task"]["stage"]) == (desk_id, "first")

    def test_for_a_story_that_another_user_has_locked(
        self, desk: Newsdesk, master: Document, graph: Graph, app: Any
    ) -> None:
        """The story itself is not written."""
        assert desk.client.post(f"archive/{master['_id']}/lock", {}).status_code == 201
        before = desk.db["archive"].find_one({"_id": master["_id"]})
        make_user(graph, "reader", privileges={"archive_broadcast": 1})

        answer = log_in(app, "reader").post(f"archive/{master['_id']}/broadcast", {})

        assert answer.status_code == 201, answer.text
        assert desk.db["archive"].find_one({"_id": master["_id"]}) == before

    def test_tells_of_it(self, desk: Newsdesk, master: Document, settings: Any) -> None:
        """As of every new item: a script, its history, a sign-off."""
        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            script = script_of(desk, master, desk=desk.newsroom.task["desk"])
            (told,) = events.named("content:update")
        assert list(told["items"]) == [script["_id"]]
        rows = desk.db["archive_history"].find({"item_id": script["_id"]})
        assert [row["operation"] for row in rows] == ["create"]
        assert script["sign_off"] == "abc"

    def test_items_that_bring_such_a_field_are_saved(self, desk: Newsdesk) -> None:
        """It is the server's: dropped, whatever it holds."""
        for value in ({"master_id": "x", "status": ""}, "text", 5, None, [{}]):
            item = desk.client.create("archive", {"type": "text", "broadcast": value})
            saved = desk.client.patch(f"archive/{item['_id']}", {"broadcast": value, "ednote": "x"})
            assert saved.status_code == 200, saved.text
            assert read(desk, item).get("broadcast") is None

    def test_its_genre_stays(self, desk: Newsdesk, master: Document) -> None:
        script = script_of(desk, master)

        answer = desk.client.patch(f"archive/{script['_id']}", {"genre": [{"qcode": "Article"}]})

        issue = {"validator exception": "400: Cannot change the genre for broadcast content."}
        assert (answer.status_code, answer.get_json()["_issues"]) == (400, issue)


class TestTold:
    def test_of_corrections_and_updates(self, desk: Newsdesk, master: Document) -> None:
        """Version and etag stay; a locked script is left alone."""
        script, locked = script_of(desk, master), script_of(desk, master)
        assert desk.client.post(f"archive/{locked['_id']}/lock", {}).status_code == 201
        etag = read(desk, script)["_etag"]

        desk.act("correct", master, headline="x")
        assert status(desk, script) == ("Master Story Corrected", None)
        update = desk.client.create(f"archive/{master['_id']}/rewrite", {})
        assert status(desk, script) == ("Master Story Re-written", update["_id"])

        assert status(desk, locked) == ("", None)
        seen = read(desk, script)
        assert (seen["_current_version"], seen["_etag"]) == (1, etag)

    def test_of_the_end_of_an_update(self, desk: Newsdesk, master: Document) -> None:
        script = script_of(desk, master)
        update = desk.client.create(f"archive/{master['_id']}/rewrite", {})

        assert desk.client.patch(f"archive/spike/{update['_id']}", {}).status_code == 200

        assert status(desk, script) == ("", None)

    def test_of_the_next_update_after_the_first_was_unlinked(
        self, desk: Newsdesk, master: Document
    ) -> None:
        script = published_script(desk, master)
        path = f"archive/{master['_id']}/rewrite"
        first = desk.client.create(path, {})
        assert desk.client.delete(f"archive/{first['_id']}/rewrite").status_code == 204
        assert status(desk, script) == ("", None)

        second = desk.client.create(path, {"update": desk.story()})

        assert status(desk, script) == ("Master Story Re-written", second["_id"])
        (row,) = desk.db["published"].find({"item_id": script["_id"]})
        assert row["broadcast"]["rewrite_id"] == second["_id"]

    def test_of_a_publication_after_it_came_back(self, desk: Newsdesk, master: Document) -> None:
        """Scripts that were unspiked are items like others; new ones are told."""
        old = script_of(desk, master)
        desk.act("unpublish", master)
        desk.client.patch(f"archive/unspike/{old['_id']}", {})
        desk.act("publish", read(desk, master))
        assert read(desk, old)["broadcast"] is None

        new = script_of(desk, master)
        desk.act("correct", read(desk, master), headline="x")

        assert status(desk, new) == ("Master Story Corrected", None)
        assert read(desk, old)["broadcast"] is None

    def test_with_an_event_for_each(self, desk: Newsdesk, master: Document, settings: Any) -> None:
        scripts = {script_of(desk, master)["_id"], script_of(desk, master)["_id"]}
        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            desk.act("correct", master, headline="x")
            desk.client.create(f"archive/{master['_id']}/rewrite", {})
            told = [set(message["items"]) for message in events.named("content:update")]
        assert [told.count({script}) for script in scripts] == [2, 2]

    def test_copies_too_but_not_those_of_the_master(self, desk: Newsdesk, master: Document) -> None:
        script = script_of(desk, master, desk=desk.newsroom.task["desk"])
        where = {"desk": desk.newsroom.task["desk"], "type": "archive"}
        copy = desk.client.create(f"archive/{script['_id']}/duplicate", where)
        other = desk.client.create(f"archive/{master['_id']}/duplicate", where)

        desk.act("publish", other)
        assert status(desk, script) == ("", None)
        desk.act("correct", master, headline="x")

        assert status(desk, copy) == ("Master Story Corrected", None)

    def test_nobody_where_there_is_none(
        self, desk: Newsdesk, master: Document, graph: Graph
    ) -> None:
        """Neither a script of a script, nor an update of a script."""
        script = published_script(desk, master)
        inner = script_of(desk, script)
        desk.client.create(f"archive/{script['_id']}/rewrite", {})
        desk.act("correct", script, headline="x")
        desk.act("kill", script)
        assert status(desk, inner) == ("", None)
        assert read(desk, inner)["state"] == "draft"

    @pytest.mark.parametrize(
        "stored",
        [
            [{"master_id": "MASTER", "status": "x"}],
            {"master_id": ["MASTER"]},
            {"master_id": "MASTER", "status": 5, "rewrite_id": 7},
            {"master_id": "MASTER"},
        ],
    )
    def test_whatever_others_have_stored(
        self, desk: Newsdesk, master: Document, graph: Graph, stored: Any
    ) -> None:
        """The master goes its way, and nothing is left to complete."""
        script, fields = published_script(desk, master), json_with(stored, master["_id"])
        desk.db["archive"].update_one({"_id": script["_id"]}, {"$set": {"broadcast": fields}})
        desk.db["published"].update_many({"item_id": script["_id"]}, {"$set": {"broadcast": None}})

        desk.act("correct", master, headline="x")
        update = desk.client.create(f"archive/{master['_id']}/rewrite", {})
        assert desk.client.patch(f"archive/spike/{update['_id']}", {}).status_code == 200
        desk.act("correct", read(desk, script), headline="y")
        desk.act("kill", read(desk, master))
        graph.expiry.run()

        assert desk.db["archive"].count_documents({"journal": {"$ne": None}}) == 0

    def test_scripts_by_code_or_name_in_any_case(self, desk: Newsdesk, master: Document) -> None:
        scripts = [script_of(desk, master) for _ in range(3)]
        genres: list[Any] = [
            [{"qcode": "broadcast script"}],
            [{"qcode": "b", "name": "Broadcast Script"}],
            {"qcode": "Broadcast Script"},
        ]
        for script, genre in zip(scripts, genres, strict=True):
            desk.db["archive"].update_one({"_id": script["_id"]}, {"$set": {"genre": genre}})

        desk.act("correct", master, headline="x")

        assert {status(desk, script)[0] for script in scripts} == {"Master Story Corrected"}

    def test_published_rows_too(self, desk: Newsdesk, master: Document) -> None:
        script = published_script(desk, master)

        desk.act("correct", master, headline="x")

        (row,) = desk.db["published"].find({"item_id": script["_id"]})
        assert row["broadcast"]["status"] == "Master Story Corrected"
        desk.act("correct", read(desk, script), headline="read this")
        statuses = [
            row["broadcast"]["status"]
            for row in desk.db["published"].find({"item_id": script["_id"]})
        ]
        assert statuses == ["", ""]
        assert status(desk, script) == ("", None)

    def test_until_it_is_saved(self, desk: Newsdesk, master: Document) -> None:
        script = script_of(desk, master)
        desk.act("correct", master, headline="x")

        assert desk.client.patch(f"archive/{script['_id']}", {"headline": "y"}).status_code == 200

        assert status(desk, script) == ("", None)


class TestWithdrawn:
    @pytest.mark.parametrize(("operation", "state"), [("kill", "killed"), ("takedown", "recalled")])
    def test_with_the_master(
        self, desk: Newsdesk, master: Document, graph: Graph, operation: str, state: str
    ) -> None:
        """What is out goes through the same, with the template of its name; drafts are spiked."""
        kill_template(desk, operation, abstract="removed", urgency=1, ednote="gone", genre=[])
        kill_template(desk, "kill" if operation == "takedown" else "takedown", byline="other")
        out = published_script(desk, master, slugline="broadcast")
        draft = script_of(desk, master)
        edited = script_of(desk, master, desk=desk.newsroom.task["desk"])
        desk.client.patch(f"archive/{edited['_id']}", {"headline": "x"})

        desk.act(operation, master, body_html="<p>This is kill body.</p>")

        seen = read(desk, out)
        assert (seen["state"], seen["headline"]) == (state, f"{operation}: TEST")
        assert (seen["abstract"], seen["urgency"], seen["ednote"]) == ("removed", 1, "gone")
        assert (seen["genre"], seen.get("byline")) == ([GENRE], None)
        assert f"Please {operation} story slugged broadcast headlined TEST" in seen["body_html"]
        assert seen["body_html"].endswith("<p>This is kill body.</p>")
        assert seen["_current_version"] == out["_current_version"] + 1
        assert [read(desk, item)["state"] for item in (draft, edited)] == ["spiked"] * 2
        rows = desk.db["published"].find({"item_id": out["_id"]}).sort("publish_sequence_no", 1)
        assert [row["state"] for row in rows] == ["published", state]

    @pytest.mark.parametrize("has_other", [True, False])
    @pytest.mark.parametrize("is_out", [True, False])
    def test_from_packages_first(
        self, desk: Newsdesk, master: Document, has_other: bool, is_out: bool
    ) -> None:
        """A package that is out is corrected, killed where nothing is left."""
        desk.newsroom.validators(item_type="composite")
        script = published_script(desk, master)
        other = desk.published()
        members = [script, other] if has_other else [script]
        package = package_of(desk, *members)
        if is_out:
            desk.act("publish", package)

        desk.act("kill", master, body_html="x")

        seen = read(desk, package)
        left = [ref["residRef"] for ref in seen["groups"][1]["refs"]]
        assert left == ([other["_id"]] if has_other else [])
        expected = ("corrected" if has_other else "killed") if is_out else "in_progress"
        assert seen["state"] == expected
        assert (read(desk, script)["state"], read(desk, master)["state"]) == ("killed", "killed")
        assert not read(desk, script).get("linked_in_packages")

    def test_each_for_itself(self, desk: Newsdesk, master: Document) -> None:
        """One that cannot be withdrawn keeps neither the others nor the master."""
        broken, good = script_of(desk, master), script_of(desk, master)
        task = {"task": {"desk": "nowhere"}, "state": "published"}
        desk.db["archive"].update_one({"_id": broken["_id"]}, {"$set": task})

        desk.act("kill", master, body_html="x")

        assert read(desk, good)["state"] == "spiked"

    @pytest.mark.parametrize("is_broken", [True, False])
    def test_without_a_template(self, desk: Newsdesk, master: Document, is_broken: bool) -> None:
        """They keep what they say; what stands in the story's fields does not get in the way."""
        kill_template(desk, "kill")
        broken = {"data.headline": "{{ item.", "data.slugline": ["x"]}
        change: Document = {"$set": broken if is_broken else {"is_public": False}}
        desk.db["content_templates"].update_one({}, change)
        script = published_script(desk, master)
        master = desk.act("correct", master, slugline="a</p>b", headline="</p>")

        desk.act("kill", master, body_html="<p>Gone.</p>")

        seen = read(desk, script)
        assert (seen["state"], seen["headline"], seen["slugline"]) == ("killed", "TEST", "comics")
        assert seen["body_html"].count("</p>") == 2
        assert seen["body_html"].endswith("<p>Gone.</p>")

    def test_without_a_body(self, desk: Newsdesk, master: Document) -> None:
        script = published_script(desk, master, body_html="<p>Read this</p>")
        desk.act("kill", master)
        assert "Read this" not in read(desk, script)["body_html"]

    def test_when_the_master_is_unpublished(self, desk: Newsdesk, master: Document) -> None:
        """Those that are out are unpublished, too, and say what they said; others are spiked."""
        out, draft = published_script(desk, master, body_html="<p>x</p>"), script_of(desk, master)

        desk.act("unpublish", master)

        assert [read(desk, item)["state"] for item in (out, draft)] == ["unpublished", "spiked"]
        assert (read(desk, out)["body_html"], read(desk, out)["headline"]) == ("<p>x</p>", "TEST")

    @pytest.mark.parametrize("has_other", [True, False])
    def test_from_packages_that_stay_out_or_go_the_same_way(
        self, desk: Newsdesk, master: Document, has_other: bool
    ) -> None:
        """Unpublished with the master: a package of nothing else is unpublished, too."""
        desk.newsroom.validators(item_type="composite")
        script, other = published_script(desk, master), desk.published()
        members = [script, other] if has_other else [script]
        package = desk.act("publish", package_of(desk, *members))

        desk.act("unpublish", master)

        states = [read(desk, item)["state"] for item in (package, script)]
        assert states == ["corrected" if has_other else "unpublished", "unpublished"]

    def test_in_every_state(self, desk: Newsdesk, master: Document) -> None:
        """Killed where the workflow lets them be, otherwise spiked; withdrawn ones stay."""
        later = {"publish_schedule": "2031-01-01T12:00:00+0000"}
        saved = script_of(desk, master, desk=desk.newsroom.task["desk"])
        desk.client.patch(f"archive/{saved['_id']}", {"headline": "x"})
        scheduled = desk.act("publish", saved, **later)
        corrected = published_script(desk, master)
        desk.act("correct", corrected, headline="y")
        unpublished = published_script(desk, master)
        desk.act("unpublish", unpublished)
        recalled = published_script(desk, master)
        desk.act("takedown", recalled)
        version = read(desk, recalled)["_current_version"]

        desk.act("kill", master, body_html="x")

        scripts = (scheduled, corrected, unpublished, recalled)
        states = [read(desk, script)["state"] for script in scripts]
        assert states == ["killed", "killed", "spiked", "recalled"]
        assert read(desk, recalled)["_current_version"] == version

    def test_also_what_others_have_locked_or_hide(
        self, desk: Newsdesk, master: Document, graph: Graph, app: Any
    ) -> None:
        out = published_script(desk, master)
        draft = script_of(desk, master, desk=desk.newsroom.task["desk"])
        for script in (out, draft):
            assert desk.client.post(f"archive/{script['_id']}/lock", {}).status_code == 201
        stage = ObjectId(desk.newsroom.task["stage"])
        desk.db["archive"].update_one({"_id": master["_id"]}, {"$unset": {"task.stage": 1}})
        user = make_user(graph, "killer", privileges={"kill": 1, "archive": 1})
        desk.db["users"].update_one({"_id": user["_id"]}, {"$set": {"invisible_stages": [stage]}})

        client = log_in(app, "killer")
        answer = client.patch(f"archive/kill/{master['_id']}", {"body_html": "x"})

        assert answer.status_code == 200, answer.text
        stored = [desk.db["archive"].find_one({"_id": i["_id"]}) or {} for i in (out, draft)]
        assert [item["state"] for item in stored] == ["killed", "spiked"]
        assert [item["lock_user"] for item in stored] == [None, None]
        assert client.get(f"archive/{out['_id']}").status_code == 403

    def test_before_the_master(self, desk: Newsdesk, master: Document) -> None:
        """Each with a row of its own, as killed items are."""
        script = published_script(desk, master)

        desk.act("kill", master, body_html="x")

        rows = desk.db["published"].find({"state": "killed"}).sort("publish_sequence_no", 1)
        killed = [(row["item_id"], row["operation"], row["pubstatus"]) for row in rows]
        wanted = [(item["_id"], "kill", "canceled") for item in (script, master)]
        assert killed == wanted

    @pytest.mark.parametrize("operation", ["kill", "spike"])
    def test_from_packages_of_packages(
        self, desk: Newsdesk, master: Document, operation: str
    ) -> None:
        """Packages that are not out are saved without a draft."""
        draft, other = script_of(desk, master, desk=desk.newsroom.task["desk"]), desk.story()
        inner = package_of(desk, draft, other)
        package_of(desk, inner)
        if operation == "spike":
            change = {"$set": {"state": "in_progress"}}
            desk.db["archive"].update_one({"_id": master["_id"]}, change)
            assert desk.client.patch(f"archive/spike/{master['_id']}", {}).status_code == 200
        else:
            desk.act("kill", master, body_html="x")

        assert read(desk, draft)["state"] == "spiked"
        seen = read(desk, inner)
        assert [ref["residRef"] for ref in seen["groups"][1]["refs"]] == [other["_id"]]
        assert (seen["state"], seen["_current_version"]) == ("in_progress", 2)
        versions = desk.client.get(f"archive/{inner['_id']}", version="all").get_json()["_items"]
        assert [row["_current_version"] for row in versions] == [1, 2]

    @pytest.mark.parametrize("stride", [pytest.param(1, marks=pytest.mark.chaos), 5])
    def test_whatever_write_the_process_dies_before(
        self, desk: Newsdesk, genres: None, graph: Graph, stride: int
    ) -> None:
        """A repeated request withdraws what is left, and nothing twice."""
        desk.newsroom.validators(item_type="composite")
        for before in range(1, MOST_WRITES, stride):
            master = desk.published()
            out, draft = published_script(desk, master), script_of(desk, master)
            package = desk.act("publish", package_of(desk, out))

            died = dies(graph, "kill", master, before, {"body_html": "x"})
            if read(desk, master)["state"] != "killed":
                desk.act("kill", master, body_html="x")
            complete_abandoned(graph)

            states = [read(desk, item)["state"] for item in (package, out, draft, master)]
            assert (before, states) == (before, ["killed", "killed", "spiked", "killed"])
            rows = desk.db["published"].find({"state": "killed"}).sort("publish_sequence_no", 1)
            killed = [row["item_id"] for row in rows][-3:]
            assert killed == [package["_id"], out["_id"], master["_id"]]
            if not died:
                return
        pytest.fail(f"more than {MOST_WRITES} writes")

    def test_spiked_alone(self, desk: Newsdesk, master: Document) -> None:
        script = script_of(desk, master)

        assert desk.client.patch(f"archive/spike/{script['_id']}", {}).status_code == 200

        seen = read(desk, script)
        assert (seen["state"], seen["broadcast"], seen["_current_version"]) == ("spiked", None, 2)

    def test_spiked_with_the_master_unless_they_are_out(
        self, desk: Newsdesk, master: Document
    ) -> None:
        out, draft = published_script(desk, master), script_of(desk, master)
        change = {"$set": {"state": "unpublished"}}
        desk.db["archive"].update_one({"_id": master["_id"]}, change)

        assert desk.client.patch(f"archive/spike/{master['_id']}", {}).status_code == 200

        assert [read(desk, item)["state"] for item in (out, draft)] == ["published", "spiked"]


class TestUnderCorrection:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "CORRECTIONS_WORKFLOW": True}

    def test_a_script_is_killed(self, desk: Newsdesk, master: Document) -> None:
        """It is out, in its old version."""
        script = published_script(desk, master)
        desk.act("correction", script)
        assert read(desk, script)["state"] == "correction"

        desk.act("kill", master, body_html="x")

        assert read(desk, script)["state"] == "killed"
        states = {row["state"] for row in desk.db["published"].find({"item_id": script["_id"]})}
        assert states == {"published", "killed"}

    def test_a_master_has_no_new_scripts(self, desk: Newsdesk, master: Document) -> None:
        desk.act("correction", master)
        answer = desk.client.post(f"archive/{master['_id']}/broadcast", {})
        assert (answer.status_code, answer.get_json()["_message"]) == (
            400,
            "Invalid content state.",
        )


class TestCost:
    def test_a_first_publication_asks_for_no_scripts(
        self, settings: dict[str, Any], clock: HandClock
    ) -> None:
        """No more commands than without the setting; a later kill has one look-up more."""
        counts = {}
        for is_on in (True, False):
            counter = CommandCounter()
            own = {**settings, "BROADCAST_ENABLED": is_on}
            with empty_services(own, clock=clock, listeners=[counter]) as graph:
                Newsroom(graph.db).validators()
                counts[is_on] = commands_of_a_life(graph, counter)
        with_scripts, without = counts[True], counts[False]
        assert [a - b for a, b in zip(with_scripts, without, strict=True)] == [0, 1, 1]


def commands_of_a_life(graph: Graph, counter: CommandCounter) -> list[int]:
    """Return how many commands a publication, a correction and a kill take."""
    item: Document = {"type": "text", "state": "in_progress"}
    graph.editing.archive.post([item])
    counts = []
    for endpoint in ("archive_publish", "archive_correct", "archive_kill"):
        before = counter.count
        graph.services[endpoint].patch(item["_id"], {})
        counts.append(counter.count - before)
    return counts


class TestExpiry:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "CONTENT_EXPIRY_MINUTES": 60}

    def test_goes_together(
        self, desk: Newsdesk, master: Document, graph: Graph, clock: HandClock
    ) -> None:
        """The master waits for its scripts, as they wait for it."""
        clock.advance(minutes=30)
        script = published_script(desk, master)
        clock.advance(minutes=45)
        graph.expiry.run()
        assert graph.db["archive"].count_documents({"_id": master["_id"]}) == 1

        desk.act("correct", read(desk, script), headline="y")
        clock.advance(minutes=120)
        graph.expiry.run()
        assert graph.db["archive"].count_documents({}) == 0


class TestOff:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "BROADCAST_ENABLED": False}

    def test_scripts_are_items_like_others(self, desk: Newsdesk, master: Document) -> None:
        """BROADCAST_ENABLED off: nothing follows from what happens to a master."""
        script = script_of(desk, master)

        desk.act("kill", master, body_html="x")

        assert read(desk, script)["state"] == "draft"
