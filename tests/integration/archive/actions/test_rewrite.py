"""Updates of stories at the HTTP edge (lifecycle contract 3.7, 5.11)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from apps.archive.journal.journal import Journal
from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from tests.support.clients import Client
from tests.support.crashes import Crash, CrashingDatabase, each_write
from tests.support.events import Events
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import Newsroom

LATER, LATEST = "2099-01-01T10:00:00+0000", "2099-01-01T11:00:00+0000"
TAKEN = "Workflow transition is invalid."


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "CELERY_TASK_ALWAYS_EAGER": False}


@pytest.fixture
def desk(admin: Client, graph: Graph) -> Newsdesk:
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    return Newsdesk(admin, newsroom)


def rewrite(desk: Newsdesk, item: Document, **body: Any) -> Document:
    """Write an update; fails the test unless it is 201."""
    return desk.client.create(f"archive/{item['_id']}/rewrite", body)


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["_message"]


def read(desk: Newsdesk, item: Document) -> Document:
    return dict(desk.client.get(f"archive/{item['_id']}").get_json())


def editor(text: str) -> Document:
    """Return what an item has in `fields_meta` of a field with one paragraph."""
    return {"draftjsState": [{"blocks": [{"text": text, "type": "unstyled"}], "entityMap": {}}]}


def history(desk: Newsdesk, item: Document) -> list[str]:
    rows = desk.db["archive_history"].find({"item_id": item["_id"]}).sort("_id", 1)
    return [row["operation"] for row in rows]


class TestNewItem:
    def test_takes_the_custom_fields_of_its_story(self, desk: Newsdesk) -> None:
        """With the states of its editors, of which they are made; on a desk of the request too."""
        story = desk.story(extra={"sub": "x", "empty": "", "none": None, "list": []})
        meta = {"body_html": editor("text"), "extra>other": editor("other")}
        assert (
            desk.client.patch(f"archive/{story['_id']}", {"fields_meta": meta}).status_code == 200
        )
        desk.act("publish", story)

        update = rewrite(desk, story, desk_id=story["task"]["desk"])

        seen = read(desk, update)
        assert seen["body_html"] == "<p>text</p>"
        assert seen["fields_meta"] == meta
        assert seen["extra"] == {
            **{"sub": "x", "empty": "", "none": None, "list": []},
            "other": "<p>other</p>",
        }

    def test_a_published_story_gets_an_update(self, desk: Newsdesk) -> None:
        """Version 1, in progress, linked both ways, no SMS flag, same etag.

        Lifecycle scenario 60.
        """
        story = desk.published(flags={"marked_for_sms": True}, subject=[{"qcode": "1"}])

        update = rewrite(desk, story)

        seen = read(desk, update)
        expected = {
            "_current_version": 1,
            "state": "in_progress",
            "rewrite_of": story["_id"],
            "rewrite_sequence": 1,
            "anpa_take_key": "update",
            "headline": story["headline"],
            "event_id": story["event_id"],
            "family_id": story["family_id"],
            "subject": [{"qcode": "1"}],
        }
        assert expected == {name: seen[name] for name in expected}
        assert seen["flags"]["marked_for_sms"] is False
        assert seen["task"]["stage"] == desk.newsroom.task["stage"]
        assert seen["task"]["user"] == str(desk.client.session["user"])
        assert read(desk, story)["rewritten_by"] == update["_id"]
        assert read(desk, story)["_etag"] == story["_etag"]
        rows = list(desk.db["published"].find({"item_id": story["_id"]}))
        assert [row["rewritten_by"] for row in rows] == [update["_id"]]
        assert history(desk, story) == ["create", "publish", "rewrite"]
        assert history(desk, update) == ["create", "link"]

    def test_the_answer_can_be_saved(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 60: the etag of the answer is the one of the stored update."""
        update = rewrite(desk, desk.published())

        path = f"archive/{update['_id']}"
        saved = desk.client.patch(path, {"headline": "New"}, etag=update["_etag"])

        assert (saved.status_code, saved.get_json()["_current_version"]) == (200, 2)

    def test_updates_are_counted(self, desk: Newsdesk) -> None:
        """The update of an update has sequence 2 and the take key `2nd update`.

        Lifecycle scenario 61.
        """
        first = rewrite(desk, desk.published())
        desk.act("publish", first)

        second = rewrite(desk, first)

        assert (second["rewrite_sequence"], second["anpa_take_key"]) == (2, "2nd update")

    def test_of_two_at_once_one_wins(self, app: Any, desk: Newsdesk) -> None:
        """Lifecycle scenario 60: requests at once leave one update; the others are told of it."""
        story = desk.published()
        clients = [Client(app, desk.client.token) for _ in range(6)]

        with ThreadPoolExecutor(len(clients)) as threads:
            answers = list(
                threads.map(lambda c: c.post(f"archive/{story['_id']}/rewrite", {}), clients)
            )

        codes = sorted(answer.status_code for answer in answers)
        assert codes == [201] + [400] * 5
        assert desk.db["archive"].count_documents({"rewrite_of": story["_id"]}) == 1

    @pytest.mark.parametrize("before", each_write(8))
    def test_a_link_is_completed_whatever_dies(
        self, desk: Newsdesk, graph: Graph, before: int
    ) -> None:
        """A process that dies between the writes leaves no story whose update is not there."""
        story = desk.published()
        db: Any = CrashingDatabase(graph.db, before)
        service = graph.editing.services["archive_rewrite"]
        service.db, service._journal = db, Journal(db, graph.clock)
        document = {"original_id": story["_id"]}
        with suppress(Crash):
            service.create([document], graph_caller(desk, graph))

        Journal(graph.db, graph.clock).complete(story["_id"])

        updates = list(graph.db["archive"].find({"rewrite_of": story["_id"]}))
        assert [u["_id"] for u in updates] == [
            i for i in [read(desk, story).get("rewritten_by")] if i
        ]
        for update in updates:
            assert history(desk, update) == ["create", "link"]
            found = graph.db["archive_versions"].count_documents({"_id_document": update["_id"]})
            assert found == 1


def graph_caller(desk: Newsdesk, graph: Graph) -> Any:
    caller = graph.newsroom.auth.caller_of(str(desk.client.token), {})
    assert caller is not None
    return caller


class TestOrder:
    def test_an_update_waits_for_its_story(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 62: the update of a story that is not out cannot be published."""
        story = desk.story()
        update = rewrite(desk, story)

        answer = desk.client.patch(f"archive/publish/{update['_id']}", {})

        text = "400: Can't publish update until original story is published."
        assert answer.get_json()["_issues"] == {"validator exception": text}

    def test_an_update_of_a_scheduled_story_is_later(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 62: with the original scheduled, only a later schedule passes."""
        story = desk.story()
        update = rewrite(desk, story)
        desk.act("publish", story, publish_schedule=LATER)
        path = f"archive/publish/{update['_id']}"

        codes = [
            desk.client.patch(path, body).status_code
            for body in ({}, {"publish_schedule": LATER}, {"publish_schedule": LATEST})
        ]

        assert codes == [400, 400, 200]

    def test_a_story_does_not_follow_its_update(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 63: an unpublished story whose update is out cannot be published."""
        story = desk.published()
        update = rewrite(desk, story)
        desk.act("publish", update)
        desk.act("unpublish", story)

        answer = desk.client.patch(f"archive/publish/{story['_id']}", {})

        text = "400: Cannot publish the story after Update is published."
        assert answer.get_json()["_issues"] == {"validator exception": text}


Prepare = Callable[[Newsdesk], Document]


def embargoed(desk: Newsdesk) -> Document:
    return desk.story(embargo=LATER)


def without_event(desk: Newsdesk) -> Document:
    item = desk.story()
    desk.db["archive"].update_one({"_id": item["_id"]}, {"$unset": {"event_id": 1}})
    return item


def rewritten(desk: Newsdesk) -> Document:
    item = desk.published()
    rewrite(desk, item)
    return item


def killed(desk: Newsdesk) -> Document:
    return desk.act("kill", desk.published())


def scheduled(desk: Newsdesk) -> Document:
    return desk.act("publish", desk.story(), publish_schedule=LATER)


def open_update(desk: Newsdesk) -> Document:
    return rewrite(desk, desk.published())


class TestRefusals:
    @pytest.mark.parametrize(
        ("prepare", "status", "text"),
        [
            (embargoed, 400, "Rewrite of an Item having embargo isn't possible"),
            (without_event, 404, "Event id does not exist"),
            (rewritten, 400, "Article has been rewritten before !"),
            (killed, 412, TAKEN),
            (scheduled, 412, TAKEN),
            (open_update, 400, "Rewrite is not published. Cannot rewrite the story again."),
        ],
    )
    def test_of_the_story(self, desk: Newsdesk, prepare: Prepare, status: int, text: str) -> None:
        """Each rule of the story refuses with its text, an unpublished update among them.

        Lifecycle contract 3.7; lifecycle scenario 64.
        """
        item = prepare(desk)

        answer = desk.client.post(f"archive/{item['_id']}/rewrite", {})

        assert (status, text) == refused(answer)

    def test_of_a_story_that_is_not_there(self, desk: Newsdesk) -> None:
        """Lifecycle contract 3.7: an unknown story is 404."""
        answer = desk.client.post("archive/nothing/rewrite", {})

        assert (404, "Cannot find the article") == refused(answer)

    @pytest.mark.parametrize(
        ("prepare", "status", "text"),
        [
            (open_update, 400, "Rewrite story has been used as update before !"),
            (lambda desk: desk.published(), 412, TAKEN),
            (
                lambda desk: desk.story(type="picture"),
                400,
                "Rewrite story can only be text or pre-formatted !",
            ),
            (
                lambda desk: desk.story(genre=[{"qcode": "Broadcast Script"}]),
                400,
                "Broadcast cannot be a update story !",
            ),
            (
                lambda desk: desk.story(profile="other"),
                400,
                "Rewrite item content profile does not match with Original item.",
            ),
        ],
    )
    def test_of_an_existing_item(
        self, desk: Newsdesk, prepare: Prepare, status: int, text: str
    ) -> None:
        """Each rule of the item that is to become the update refuses with its text.

        Lifecycle contract 3.7.
        """
        story, update = desk.published(), prepare(desk)

        answer = desk.client.post(f"archive/{story['_id']}/rewrite", {"update": update})

        assert (status, text) == refused(answer)
        assert read(desk, story).get("rewritten_by") is None

    def test_without_the_privilege(self, desk: Newsdesk, editor: Client) -> None:
        """Lifecycle contract 3.1: writing an update needs the privilege `rewrite`."""
        story = desk.published()

        assert editor.post(f"archive/{story['_id']}/rewrite", {}).status_code == 403


class TestSettings:
    @pytest.mark.parametrize(
        ("prepare", "setting"),
        [
            (open_update, "WORKFLOW_ALLOW_MULTIPLE_UPDATES"),
            (scheduled, "ALLOW_UPDATING_SCHEDULED_ITEMS"),
        ],
    )
    def test_lift_a_refusal(
        self, desk: Newsdesk, settings: dict[str, Any], prepare: Prepare, setting: str
    ) -> None:
        """Lifecycle scenario 64: the setting allows what is refused without it."""
        item = prepare(desk)
        own = build_graph({**settings, setting: True})
        documents: list[Document] = [{"original_id": item["_id"]}]
        own.editing.services["archive_rewrite"].create(documents, graph_caller(desk, own))
        own.close()

        assert documents[0]["rewrite_of"] == item["_id"]

    def test_choose_fields_and_priority(self, desk: Newsdesk, settings: dict[str, Any]) -> None:
        """Lifecycle contract 5.11: further fields go along; the priority starts anew."""
        story, own_item = desk.published(priority=1, byline="Ann"), desk.story(priority=2)
        changes = {
            "COPY_ON_REWRITE_FIELDS": ["byline"],
            "RESET_PRIORITY_VALUE_FOR_UPDATE_ARTICLES": True,
        }
        own = build_graph({**settings, **changes})
        body: Document = {"original_id": story["_id"], "update": {"_id": own_item["_id"]}}
        own.editing.services["archive_rewrite"].create([body], graph_caller(desk, own))
        own.close()

        seen = read(desk, own_item)
        assert (seen["byline"], seen["priority"]) == ("Ann", 6)


class TestExistingItem:
    def test_keeps_what_is_its_own(self, desk: Newsdesk) -> None:
        """Headline, associations, flags and version stay; subjects are merged.

        Lifecycle scenario 65.
        """
        story = desk.published(
            subject=[{"qcode": "1", "name": "story"}, {"qcode": "2"}],
            flags={"marked_for_legal": True},
            extra={"a": "story", "b": "story"},
        )
        own = desk.story(
            headline="Own",
            subject=[{"qcode": "1", "name": "own"}, {"qcode": "3"}],
            flags={"marked_for_sms": True},
            extra={"a": "own"},
        )

        answer = rewrite(desk, story, update=own)

        seen = read(desk, own)
        assert (answer["_id"], seen["headline"], seen["_current_version"]) == (
            own["_id"],
            "Own",
            1,
        )
        assert sorted((s["qcode"], s.get("name")) for s in seen["subject"]) == [
            ("1", "story"),
            ("2", None),
            ("3", None),
        ]
        assert (seen["flags"]["marked_for_sms"], seen["flags"]["marked_for_legal"]) == (True, True)
        assert seen["extra"] == {"a": "own", "b": "story"}
        assert (seen["state"], seen["rewrite_of"]) == ("in_progress", story["_id"])
        assert history(desk, own) == ["create", "link"]

    def test_takes_custom_fields_that_are_not_saved_yet(self, desk: Newsdesk) -> None:
        """What the request has of them counts, field by field, unless it is empty."""
        story = desk.published(extra={"only3": "story", "empty": "story"})
        own = desk.story(extra={"only2": "x", "empty": "", "kept": ["own"], "none": None})
        meta = {"body_html": {"draftjsState": [{"blocks": []}]}, "abstract": {"a": 1}}
        assert desk.client.patch(f"archive/{own['_id']}", {"fields_meta": meta}).status_code == 200
        extra = {"subheadline": "x", "only1": 0, "empty": "not empty here", "kept": []}
        new = {"headline": {"b": 1}, "abstract": {}, "body_html": {"c": 1}}
        update = {**read(desk, own), "extra": {**extra, "none": ""}, "fields_meta": new}

        answer = rewrite(desk, story, update=update)

        for seen in (answer, read(desk, own)):
            assert seen["extra"] == {**extra, "only2": "x", "kept": ["own"], "none": ""} | {
                "only3": "story"
            }
            assert seen["fields_meta"] == {
                "headline": {"b": 1},
                "abstract": {"a": 1},
                "body_html": {"c": 1},
            }

    @pytest.mark.parametrize("empty", [None, "", [], {}])
    def test_an_empty_value_replaces_no_filled_one(self, desk: Newsdesk, empty: Any) -> None:
        """Nor does it in the stored update replace that of its story; a zero is no empty value."""
        story = desk.published(extra={"story": "x", "both": "story"})
        own = desk.story(extra={"both": empty, "own": "own", "zero": 1, "no": True, "all": empty})
        sent = {"story": empty, "own": empty, "zero": 0, "no": False, "all": empty}

        rewrite(desk, story, update={"_id": own["_id"], "extra": sent})

        assert read(desk, own)["extra"] == {
            **{"story": "x", "both": "story", "own": "own", "zero": 0, "no": False},
            "all": empty,
        }

    def test_writes_the_fields_of_an_editor_that_are_not_saved_yet(self, desk: Newsdesk) -> None:
        """Lifecycle contract 1.7: a field is what its editor's state says, in later saves too."""
        story, own = desk.published(extra={"other": "x"}), desk.story(headline="Own")
        meta = {"body_html": editor("new"), "extra>sub": editor("sub"), "odd": "text", "no": None}
        body = {"_id": own["_id"], "fields_meta": meta, "headline": "not taken"}

        answer = rewrite(desk, story, update=body)

        for seen in (answer, read(desk, own)):
            assert (seen["body_html"], seen["headline"]) == ("<p>new</p>", "Own")
            assert seen["extra"] == {"other": "x", "sub": "<p>sub</p>"}
            assert seen["fields_meta"].keys() == {"body_html", "extra>sub"}
        later = {"headline": "Later", "fields_meta": {**meta, "headline": editor("Later")}}
        del later["fields_meta"]["odd"]
        assert desk.client.patch(f"archive/{own['_id']}", later).status_code == 200
        seen = read(desk, own)
        assert (seen["body_html"], seen["headline"]) == ("<p>new</p>", "Later")
        assert (seen["rewrite_of"], seen["extra"]["other"]) == (story["_id"], "x")

    def test_refuses_a_state_that_is_none(self, desk: Newsdesk) -> None:
        story, own = desk.published(), desk.story()
        meta = {"body_html": {"draftjsState": [{"blocks": [{"text": 5}]}]}}

        answer = desk.client.post(
            f"archive/{story['_id']}/rewrite", {"update": {"_id": own["_id"], "fields_meta": meta}}
        )

        text = "fields_meta of body_html is no state of an editor"
        assert refused(answer) == (400, text)
        assert read(desk, story).get("rewritten_by") is None
        assert read(desk, own).get("rewrite_of") is None

    @pytest.mark.parametrize("name", ["extra", "fields_meta"])
    @pytest.mark.parametrize("sent", [None, "x", [1], {}])
    def test_keeps_its_custom_fields_whatever_is_sent(
        self, desk: Newsdesk, name: str, sent: Any
    ) -> None:
        """What is no object has nothing to say."""
        story, own = desk.published(), desk.story(**{name: {"a": {"b": 1}}})

        rewrite(desk, story, update={"_id": own["_id"], name: sent})

        assert read(desk, own)[name] == {"a": {"b": 1}}


class TestUnlink:
    def test_takes_them_apart(self, desk: Newsdesk, settings: dict[str, Any]) -> None:
        """204 without an etag; references are null everywhere, a new event.

        Lifecycle scenario 66.
        """
        story = desk.published()
        update = rewrite(desk, story)
        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            answer = desk.client.request("DELETE", f"archive/{update['_id']}/rewrite")
            told = events.named("item:unlink")

        assert answer.status_code == 204
        seen, row = read(desk, update), desk.db["published"].find_one({"item_id": story["_id"]})
        fields = ("rewrite_of", "anpa_take_key", "rewrite_sequence")
        assert [seen[name] for name in fields] == [None] * 3
        assert seen["event_id"] != story["event_id"]
        assert (read(desk, story)["rewritten_by"], row["rewritten_by"]) == (None, None)
        assert history(desk, story)[-1] == history(desk, update)[-1] == "unlink"
        assert told == [{"item": update["_id"], "user": str(desk.client.session["user"])}]
        assert rewrite(desk, story)["rewrite_sequence"] == 1

    def test_of_what_is_no_update(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 66: only updates can be unlinked."""
        story = desk.published()

        answer = desk.client.request("DELETE", f"archive/{story['_id']}/rewrite")

        assert (400, "Only updates can be unlinked!") == refused(answer)
