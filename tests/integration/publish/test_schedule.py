"""Scheduled items: held back, released once, taken back (lifecycle contract 5.3, 5.4)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from apps.archive.journal.journal import Journal
from apps.core.service import Document
from apps.graph.build import Graph
from apps.publish.enqueue.claims import ScheduledRelease
from tests.support.clients import Client
from tests.support.crashes import Crash, CrashingDatabase, each_write
from tests.support.events import Events
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push

NOWHERE = "http://127.0.0.1:9"
ONE_O_CLOCK = "2030-01-01T13:00:00+0000"
"""An hour after the clock's start."""

RELEASE_WRITES = 5
"""Item, version, history, published row, the end of the note."""


@pytest.fixture
def desk(desk: Newsdesk) -> Newsdesk:
    """The desk, with one subscriber that takes everything."""
    desk.newsroom.subscriber("s", push(NOWHERE))
    return desk


def schedule(desk: Newsdesk, **changes: Any) -> Document:
    return desk.act("publish", desk.story(), publish_schedule=ONE_O_CLOCK, **changes)


def read(desk: Newsdesk, item: Document) -> Document:
    return dict(desk.client.get(f"archive/{item['_id']}").get_json())


def save(desk: Newsdesk, item: Document, **changes: Any) -> Any:
    return desk.client.patch(f"archive/{item['_id']}", changes)


def issue(answer: Any) -> tuple[int, Any]:
    return answer.status_code, answer.get_json()["_issues"]


def versions(desk: Newsdesk, item: Document) -> list[int]:
    rows = desk.db["archive_versions"].find({"_id_document": item["_id"]})
    return sorted(row["_current_version"] for row in rows)


class TestSchedule:
    def test_holds_the_item_back(self, desk: Newsdesk, graph: Graph) -> None:
        """Lifecycle scenario 20: scheduled, first published in the future, nothing in the queue."""
        item = schedule(desk)

        graph.enqueue.run()

        seen = read(desk, item)
        assert (seen["state"], seen["firstpublished"]) == ("scheduled", ONE_O_CLOCK)
        assert (desk.queue_states(item), desk.rows()) == (["pending"], [])

    def test_is_over_in_time(self, desk: Newsdesk, graph: Graph, clock: HandClock) -> None:
        """The same row as version 3, queued; two `publish` in the history.

        Lifecycle scenario 21.
        """
        item = schedule(desk)
        (before,) = desk.db["published"].find({})
        clock.advance(hours=1)

        graph.enqueue.run()

        (row,) = desk.db["published"].find({})
        assert (row["_id"], row["state"], row["_current_version"], row["queue_state"]) == (
            before["_id"],
            "published",
            3,
            "queued",
        )
        assert read(desk, item)["_current_version"] == 3
        found = {"item_id": item["_id"], "operation": "publish"}
        assert desk.db["archive_history"].count_documents(found) == 2

    def test_tells_clients_when_it_is_over(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, settings: dict[str, Any]
    ) -> None:
        """`content:update` names the item that has come out, on behalf of nobody.

        Lifecycle contract 6.
        """
        item = schedule(desk)
        clock.advance(hours=1)

        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            graph.enqueue.run()
            told = events.named("content:update")

        assert [({item["_id"]: 1}, "")] == [(event["items"], event["user"]) for event in told]

    def test_counts_only_in_the_request(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 22: what was saved earlier holds nothing back; it is cleared."""
        item = desk.story()
        save(desk, item, publish_schedule=ONE_O_CLOCK)

        out = desk.act("publish", item)

        assert (out["state"], out["publish_schedule"]) == ("published", None)

    @pytest.mark.parametrize("moment", ["2030-01-01T11:00:00+0000", "1960-01-01T11:00:00+0000"])
    def test_lies_ahead(self, desk: Newsdesk, moment: str) -> None:
        """Lifecycle scenario 23: a save with a passed time is refused."""
        text = "earlier than now" if moment.startswith("2030") else "not recognized"

        status, issues = issue(save(desk, desk.story(), publish_schedule=moment))

        assert status == 400
        assert text in issues["validator exception"]

    def test_is_a_date(self, desk: Newsdesk) -> None:
        """Lifecycle contract 5.4: what is no date is refused by the schema."""
        answer = save(desk, desk.story(), publish_schedule="soon")

        assert (400, {"publish_schedule": "must be of datetime type"}) == issue(answer)

    @pytest.mark.parametrize(
        ("zone", "utc"),
        [
            ("Australia/Sydney", "2030-06-01T03:00:00+0000"),
            ("America/New_York", "2030-06-01T17:00:00+0000"),
            (None, "2030-06-01T13:00:00+0000"),
        ],
    )
    def test_is_a_wall_clock_in_its_zone(self, desk: Newsdesk, zone: str | None, utc: str) -> None:
        """The UTC value is that of the clock in the zone; the zone may come later.

        Lifecycle scenario 24.
        """
        item = desk.story()
        save(desk, item, publish_schedule="2030-06-01T13:00:00+0000")

        saved = save(desk, item, schedule_settings={"time_zone": zone}).get_json()

        assert saved["schedule_settings"]["utc_publish_schedule"] == utc
        assert saved["schedule_settings"]["time_zone"] == zone

    def test_can_be_cleared(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 24: null is null in both values."""
        item = desk.story()
        save(desk, item, publish_schedule=ONE_O_CLOCK)

        saved = save(desk, item, publish_schedule=None).get_json()

        settings = saved["schedule_settings"]
        assert (saved["publish_schedule"], settings["utc_publish_schedule"]) == (None, None)

    def test_is_replaced_by_publishing_now(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Lifecycle contract 5.4: what is scheduled is taken back and published, once."""
        item = schedule(desk)

        out = desk.act("publish", item, publish_schedule=None)
        clock.advance(hours=2)
        graph.enqueue.run()

        assert (out["state"], out["firstpublished"]) == ("published", "2030-01-01T12:00:00+0000")
        assert [row["item_version"] for row in desk.rows()] == [3]

    @pytest.mark.parametrize("operation", ["kill", "takedown", "unpublish"])
    def test_ends_with_a_withdrawal(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, operation: str
    ) -> None:
        """Lifecycle contract 5.1 step 17: nothing withdrawn before its hour ever comes out."""
        item = schedule(desk)
        desk.act(operation, item)

        for _ in range(3):
            graph.enqueue.run()
            clock.advance(hours=1)

        assert desk.rows() == []
        assert versions(desk, item) == [1, 2, 3]


class TestDeschedule:
    def test_takes_the_item_back(self, desk: Newsdesk, graph: Graph, clock: HandClock) -> None:
        """In progress, a new version, no rows; the date stays until the next null.

        Lifecycle scenario 25.
        """
        item = schedule(desk)

        answer = save(desk, item, publish_schedule=None)
        seen = read(desk, item)
        again = save(desk, item, publish_schedule=None).get_json()
        clock.advance(hours=2)
        graph.enqueue.run()

        assert answer.status_code == 200
        assert (seen["state"], seen["operation"], seen["_current_version"]) == (
            "in_progress",
            "deschedule",
            3,
        )
        assert (seen["firstpublished"], seen["publish_schedule"]) == (None, ONE_O_CLOCK)
        assert again["publish_schedule"] is None
        assert (list(desk.db["published"].find({})), desk.rows()) == ([], [])
        history = desk.db["archive_history"].find({"item_id": item["_id"], "operation": "update"})
        assert [row["update"]["operation"] for row in history] == ["deschedule", "update"]

    def test_can_be_scheduled_anew(self, desk: Newsdesk, graph: Graph, clock: HandClock) -> None:
        """Lifecycle scenario 25: the old date, passed or not, says nothing about the new one."""
        item = schedule(desk)
        save(desk, item, publish_schedule=None)
        clock.advance(hours=2)

        desk.act("publish", item, publish_schedule="2030-01-01T15:00:00+0000")
        graph.enqueue.run()
        held_back = desk.rows()
        clock.advance(hours=1)
        graph.enqueue.run()

        assert (held_back, desk.row()["item_version"]) == ([], 5)

    def test_keeps_what_was_out(self, desk: Newsdesk, graph: Graph) -> None:
        """Lifecycle scenario 25: of an item that was out before, only the scheduled row goes."""
        item = desk.published()
        desk.act("unpublish", item)
        graph.enqueue.run()
        desk.act("publish", item, publish_schedule=ONE_O_CLOCK)

        save(desk, item, publish_schedule=None)

        rows = list(desk.db["published"].find({}).sort("publish_sequence_no", 1))
        assert [(r["state"], r["last_published_version"]) for r in rows] == [
            ("published", False),
            ("unpublished", True),
        ]
        assert len(desk.rows()) == 2

    @pytest.mark.parametrize("was_out", [False, True])
    def test_stays_when_its_schedule_is_completed_late(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, was_out: bool
    ) -> None:
        """A process that was to complete the schedule wakes up when the item has been taken back.

        Lifecycle scenario 25.
        """
        item = desk.published() if was_out else desk.story()
        if was_out:
            desk.act("unpublish", item)
            graph.enqueue.run()
        desk.act("publish", item, publish_schedule=ONE_O_CLOCK)
        read_by_others = desk.db["archive"].find_one({"_id": item["_id"]}) or {}
        assert save(desk, item, publish_schedule=None).status_code == 200
        before = list(desk.db["published"].find({}))

        Journal(graph.db, clock).add_publication(read_by_others, read_by_others["journal"])

        assert list(desk.db["published"].find({})) == before
        assert len(before) == (2 if was_out else 0)

    def test_stays_when_an_earlier_schedule_is_completed_late(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """The same, after it was scheduled again: it comes out once, as it was scheduled last."""
        item = schedule(desk)
        read_by_others = desk.db["archive"].find_one({"_id": item["_id"]}) or {}
        save(desk, item, publish_schedule=None)
        desk.act("publish", item, publish_schedule=ONE_O_CLOCK, headline="second")

        Journal(graph.db, clock).add_publication(read_by_others, read_by_others["journal"])
        clock.advance(hours=1)
        graph.enqueue.run()

        out = list(desk.db["published"].find({}))
        assert [(r["headline"], r["last_published_version"]) for r in out] == [("second", True)]
        assert len(desk.rows()) == 1

    @pytest.mark.parametrize("attempt", range(8))
    def test_against_its_release_one_wins(
        self, app: Any, desk: Newsdesk, graph: Graph, clock: HandClock, attempt: int
    ) -> None:
        """Taken back and released at once: it is out or in progress, never both.

        Lifecycle scenario 25.
        """
        item = schedule(desk)
        etag = desk.client.etag_of(f"archive/{item['_id']}")
        clock.advance(hours=1)
        editor = Client(app, desk.client.token)
        body = {"publish_schedule": None}

        with ThreadPoolExecutor(2) as threads:
            run = threads.submit(graph.enqueue.run)
            saved = threads.submit(editor.patch, f"archive/{item['_id']}", body, etag)
            run.result(), saved.result()
        graph.enqueue.run()

        seen, rows = read(desk, item), desk.rows()
        if saved.result().status_code == 200:
            assert (seen["state"], rows) == ("in_progress", [])
            assert list(desk.db["published"].find({})) == []
        else:
            assert saved.result().status_code == 412
            assert (seen["state"], [r["item_version"] for r in rows]) == ("published", [3])
        assert versions(desk, item) == [1, 2, 3]


class TestRelease:
    def test_of_an_item_that_was_saved_since(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """What was scheduled goes out, on top of the versions written since.

        Lifecycle scenario 21.
        """
        item = schedule(desk)
        assert save(desk, item, ednote="call me").status_code == 200
        clock.advance(hours=1)

        graph.enqueue.run()

        seen = read(desk, item)
        assert (seen["state"], seen["_current_version"]) == ("published", 4)
        assert versions(desk, item) == [1, 2, 3, 4]
        assert [(r["item_version"], r["publishing_action"]) for r in desk.rows()] == [
            (4, "published")
        ]
        out = desk.db["published"].find_one({"item_id": item["_id"]}) or {}
        assert (seen["ednote"], out.get("ednote")) == ("call me", None)

    @pytest.mark.parametrize("before", each_write(RELEASE_WRITES))
    @pytest.mark.parametrize("corrects", [False, True])
    def test_survives_a_crash(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        settings: dict[str, Any],
        before: int,
        corrects: bool,
    ) -> None:
        """A run dies at any write, and an editor corrects before the next one.

        Lifecycle scenario 21.
        """
        item = schedule(desk)
        clock.advance(hours=1)
        die_releasing(graph, item, before)
        is_out = read(desk, item)["state"] == "published"
        corrects = corrects and is_out
        if corrects:
            desk.act("correct", item, headline="corrected")

        clock.advance(minutes=2)
        graph.enqueue.run()

        last = 4 if corrects else 3
        assert versions(desk, item) == list(range(1, last + 1))
        told = [(r["item_version"], r["publishing_action"]) for r in desk.rows()]
        assert told == [(3, "published"), (4, "corrected")][: last - 2]
        found = {"item_id": item["_id"], "operation": "publish"}
        assert desk.db["archive_history"].count_documents(found) == 2
        assert set(desk.queue_states(item)) == {"queued"}


def die_releasing(graph: Graph, item: Document, before: int) -> None:
    """Leave the row as a run leaves it that claims it and dies before its write number `before`."""
    claim = {
        "queue_state": "in_progress",
        "queue_owner": "dead",
        "queue_lease_until": graph.clock.precise(),
    }
    graph.db["published"].update_one({"item_id": item["_id"]}, {"$set": claim})
    rows = list(graph.db["published"].find({"item_id": item["_id"]}))
    db: Any = CrashingDatabase(graph.db, before)
    release = ScheduledRelease(
        db, graph.clock, Journal(db, graph.clock), graph.notifier, lambda item: None
    )
    with pytest.raises(Crash):
        release.release(rows)
