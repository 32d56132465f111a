"""Broadcast scripts and what becomes of them with their masters (lifecycle contract 5.15)."""

from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client, log_in, make_user
from tests.support.newsdesk import HandClock, Newsdesk

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


def script_of(newsdesk: Newsdesk, master: Document, **body: Any) -> Document:
    """Write a script; fails the test unless it is 201."""
    return newsdesk.client.create(f"archive/{master['_id']}/broadcast", body)


def published_script(desk: Newsdesk, master: Document, **fields: Any) -> Document:
    """Write a script on the desk, save it and publish it."""
    script = script_of(desk, master, desk=desk.newsroom.task["desk"])
    saved = desk.client.patch(f"archive/{script['_id']}", {"headline": "TEST", **fields})
    assert saved.status_code == 200, saved.text
    return desk.act("publish", script)


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
        """What is out goes through the same, with the template of kills; drafts are spiked."""
        data = {"headline": "Kill notice", "abstract": "removed", "urgency": 1}
        template = {"template_name": "kill", "template_type": "kill", "is_public": True}
        desk.client.create("content_templates", {**template, "data": data})
        out = published_script(desk, master, slugline="broadcast")
        draft = script_of(desk, master)
        edited = script_of(desk, master, desk=desk.newsroom.task["desk"])
        desk.client.patch(f"archive/{edited['_id']}", {"headline": "x"})

        desk.act(operation, master, body_html="<p>This is kill body.</p>")

        seen = read(desk, out)
        assert (seen["state"], seen["headline"], seen["abstract"]) == (
            state,
            "Kill notice",
            "removed",
        )
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
        refs = [{"residRef": item["_id"], "type": "text"} for item in members]
        groups = [{"id": "root", "refs": [{"idRef": "main"}]}, {"id": "main", "refs": refs}]
        fields = {"type": "composite", "groups": groups, "state": "submitted"}
        package = desk.published(**fields) if is_out else desk.story(**fields)

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

    def test_spiked_alone(self, desk: Newsdesk, master: Document) -> None:
        script = script_of(desk, master)

        assert desk.client.patch(f"archive/spike/{script['_id']}", {}).status_code == 200

        seen = read(desk, script)
        assert (seen["state"], seen["broadcast"], seen["_current_version"]) == ("spiked", None, 2)

    def test_spiked_with_a_master_that_came_back(self, desk: Newsdesk, master: Document) -> None:
        script = script_of(desk, master)
        desk.act("unpublish", master)

        assert desk.client.patch(f"archive/spike/{master['_id']}", {}).status_code == 200

        assert read(desk, script)["state"] == "spiked"


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
