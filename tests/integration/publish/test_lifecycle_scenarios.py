"""Scenarios of the lifecycle from their first request to their last.

They complete the tests of the single rules, which cite scenarios as well.
"""

from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from tests.support.clients import log_in, make_user
from tests.support.newsdesk import HandClock, Newsdesk

REFUSED = "validator exception"
ONE_O_CLOCK = "2030-01-01T13:00:00+0000"


def read(desk: Newsdesk, item: Document) -> Document:
    return dict(desk.client.get(f"archive/{item['_id']}").get_json())


def refusal(desk: Newsdesk, operation: str, item: Document) -> str:
    answer = desk.client.patch(f"archive/{operation}/{item['_id']}", {})
    assert answer.status_code == 400, answer.text
    return str(answer.get_json()["_issues"][REFUSED])


def operations(desk: Newsdesk, item: Document) -> list[str]:
    where = f'item_id=="{item["_id"]}"'
    rows = desk.client.get("archive_history", where=where).get_json()["_items"]
    return [row["operation"] for row in sorted(rows, key=lambda row: row["_id"])]


class TestSave:
    def test_leaves_two_versions_and_two_rows_of_history(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 2: the version of before, the new one; `create` and `update`."""
        item = desk.story()

        desk.client.patch(f"archive/{item['_id']}", {"headline": "new"})

        versions = desk.client.get(f"archive/{item['_id']}", version="all").get_json()["_items"]
        assert [(1, "Rivers rise"), (2, "new")] == [
            (version["_current_version"], version["headline"]) for version in versions
        ]
        assert ["create", "update"] == operations(desk, item)

    def test_of_what_has_been_published_is_refused(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 16: whatever the item is when it is out, it is not saved."""
        item = desk.published()

        answer = desk.client.patch(f"archive/{item['_id']}", {"headline": "new"})

        issues = {REFUSED: "412: Workflow transition is invalid."}
        assert (400, issues) == (answer.status_code, answer.get_json()["_issues"])
        assert ("Rivers rise", 2) == (
            read(desk, item)["headline"],
            read(desk, item)["_current_version"],
        )


class TestPublish:
    def test_waits_for_the_enqueue_run_without_its_lock(self, desk: Newsdesk, graph: Graph) -> None:
        """Lifecycle scenario 8: `pending` until enqueued; no lock in the row; ids of both kinds."""
        item = desk.story()
        desk.client.create(f"archive/{item['_id']}/lock", {})
        desk.act("publish", item)

        (row,) = desk.client.get("published").get_json()["_items"]
        (plain,) = desk.client.get("published", published_id="1").get_json()["_items"]
        stored = desk.db["published"].find_one({}) or {}

        assert ("pending", item["_id"], None) == (
            row["queue_state"],
            row["_id"],
            row.get("lock_user"),
        )
        assert (str(stored["_id"]), item["_id"]) == (plain["_id"], plain["item_id"])
        assert not {"lock_user", "lock_session", "lock_time", "lock_action"} & stored.keys()
        graph.enqueue.run()
        assert ["queued_not_transmitted"] == desk.queue_states(item)

    def test_ends_an_autosave(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 9: nothing unsaved is left of an item that is out."""
        item = desk.story()
        desk.client.create("archive_autosave", {"_id": item["_id"], "headline": "typed"})

        desk.act("publish", item)

        assert 404 == desk.client.get(f"archive_autosave/{item['_id']}").status_code

    def test_of_what_was_corrected_names_its_state(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 10: the same for a corrected item."""
        item = desk.published()
        desk.act("correct", item)

        assert "412: Can't publish as item state is corrected" == refusal(desk, "publish", item)

    def test_of_a_picture_that_is_out_speaks_of_packages(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 11: published once, and again."""
        picture = desk.published(type="picture")

        assert refusal(desk, "publish", picture) == (
            "412: Can't publish as either package state or one of the items state is published"
        )

    def test_gives_the_default_source_and_leaves_that_of_a_provider(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 17: without a source of the desk; an ingested item keeps its own."""
        ingested = desk.story()
        own = {"ingest_provider": desk.newsroom.desk["_id"], "source": "Wire"}
        desk.db["archive"].update_one({"_id": ingested["_id"]}, {"$set": own})

        assert ["AAP", "Wire"] == [
            desk.act("publish", item)["source"] for item in (desk.story(), ingested)
        ]

    @pytest.mark.parametrize(("minutes", "expiry"), [(0, "13:00"), (30, "12:30")])
    def test_expires_by_the_desk_or_the_setting(
        self, desk: Newsdesk, graph: Graph, minutes: int, expiry: str
    ) -> None:
        """Desk expiry 60; PUBLISHED_CONTENT_EXPIRY_MINUTES 30 counts before it.

        Lifecycle scenario 18.
        """
        desk.db["desks"].update_one({}, {"$set": {"content_expiry": 60}})
        item = desk.story()
        settings = {**graph.settings, "PUBLISHED_CONTENT_EXPIRY_MINUTES": minutes}
        own = build_graph(settings, clock=graph.clock)
        own.publishing.operations.by_endpoint["archive_publish"].patch(item["_id"], {})
        own.close()

        assert read(desk, item)["expiry"] == f"2030-01-01T{expiry}:00+0000"

    def test_keeps_whose_personal_item_it_was(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 19: the desk of the request is added to the task."""
        item = desk.story(task={"user": desk.client.session["user"]}, state="in_progress")

        out = desk.client.patch(
            f"archive/publish/{item['_id']}", {}, desk_id=desk.newsroom.task["desk"]
        ).get_json()

        assert (desk.newsroom.task["desk"], str(desk.client.session["user"])) == (
            out["task"]["desk"],
            out["task"]["user"],
        )

    def test_at_an_hour_expires_after_it(self, desk: Newsdesk, graph: Graph) -> None:
        """Lifecycle scenario 20: minutes count from the schedule; nothing is queued before."""
        desk.db["desks"].update_one({}, {"$set": {"content_expiry": 60}})

        item = desk.act("publish", desk.story(), publish_schedule=ONE_O_CLOCK)
        graph.enqueue.run()

        assert ("scheduled", ONE_O_CLOCK, "2030-01-01T14:00:00+0000") == (
            item["state"],
            item["firstpublished"],
            item["expiry"],
        )
        assert 0 == desk.db["publish_queue"].count_documents({})


class TestWithdraw:
    @pytest.mark.parametrize("operation", ["kill", "takedown", "unpublish"])
    def test_is_of_its_time(self, desk: Newsdesk, clock: HandClock, operation: str) -> None:
        """Lifecycle scenario 31, 32, 33: `versioncreated` is now."""
        item = desk.published()
        clock.advance(hours=1)

        assert ONE_O_CLOCK == desk.act(operation, item)["versioncreated"]

    @pytest.mark.parametrize("operation", ["kill", "takedown", "unpublish"])
    @pytest.mark.parametrize("state", ["draft", "fetched"])
    def test_of_what_is_not_out_is_refused_alike(
        self, desk: Newsdesk, operation: str, state: str
    ) -> None:
        """Lifecycle scenario 34: drafts and fetched items, in the words of a kill."""
        item = desk.story(state=state)

        assert f"412: Can't kill as item state is {state}" == refusal(desk, operation, item)


class TestSchedule:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "PUBLISH_ASSOCIATED_ITEMS": True}

    def test_of_a_story_with_a_picture_comes_and_goes_for_both(self, desk: Newsdesk) -> None:
        """The same settings; descheduled, both are in progress, without rows.

        Lifecycle scenario 26.
        """
        picture = desk.story(type="picture")
        held = {"featuremedia": {"_id": picture["_id"], "type": "picture"}}
        story = desk.story(associations=held)

        settings = {"time_zone": "Europe/Berlin"}
        hour = {"publish_schedule": ONE_O_CLOCK, "schedule_settings": settings}
        desk.act("publish", story, **hour)
        both = [read(desk, item) for item in (story, picture)]
        desk.client.patch(f"archive/{story['_id']}", {"publish_schedule": None})

        assert ["scheduled"] * 2 == [item["state"] for item in both]
        assert both[0]["schedule_settings"] == both[1]["schedule_settings"]
        assert "2030-01-01T12:00:00+0000" == both[1]["schedule_settings"]["utc_publish_schedule"]
        assert ["in_progress"] * 2 == [read(desk, item)["state"] for item in (story, picture)]
        assert 0 == desk.db["published"].count_documents({})


class TestUpdates:
    def test_a_spiked_update_leaves_nothing_behind(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 66: references, take key and sequence are null everywhere."""
        story = desk.published()
        update = desk.client.create(f"archive/{story['_id']}/rewrite", {})

        desk.client.patch(f"archive/spike/{update['_id']}", {})

        gone = ("rewrite_of", "anpa_take_key", "rewrite_sequence")
        assert [None] * 3 == [read(desk, update)[name] for name in gone]
        row = desk.db["published"].find_one({"item_id": story["_id"]}) or {}
        assert (None, None) == (read(desk, story)["rewritten_by"], row["rewritten_by"])

    def test_a_duplicate_of_what_is_out_has_not_been_out(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 67: from version 3: version 4, four rows, no `firstpublished`."""
        item = desk.published()
        desk.act("correct", item)
        body = {"desk": desk.newsroom.task["desk"], "type": "archive"}

        copied = read(desk, desk.client.create(f"archive/{item['_id']}/duplicate", body))

        assert ("submitted", 4, item["_id"], None) == (
            copied["state"],
            copied["_current_version"],
            copied["original_id"],
            copied.get("firstpublished"),
        )
        assert 4 == desk.db["archive_versions"].count_documents({"_id_document": copied["_id"]})
        assert "duplicated_from" == operations(desk, copied)[-1]
        assert "duplicate" in operations(desk, item)


def test_a_forced_unlock_saves_what_was_typed(desk: Newsdesk, app: Any, graph: Graph) -> None:
    """Lifecycle scenario 70: another user takes the lock away; the autosave is the next version."""
    desk.newsroom.join(make_user(graph, "chief", user_type="administrator"))
    item = desk.story()
    desk.client.create(f"archive/{item['_id']}/lock", {})
    desk.client.create("archive_autosave", {"_id": item["_id"], "headline": "typed"})

    log_in(app, "chief").create(f"archive/{item['_id']}/unlock", {})

    seen = read(desk, item)
    assert ("typed", 2, None) == (seen["headline"], seen["_current_version"], seen["lock_user"])
