"""Items leave the newsroom when their time is over (lifecycle contract 5.14)."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from apps.archive.journal.journal import Journal
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.crashes import Crash, CrashingDatabase, each_write
from tests.support.events import Events
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in
from tests.support.services import empty_services

ROOT = Path(__file__).parents[4]
TRACES = {
    "published": "item_id",
    "publish_queue": "item_id",
    "publish_payloads": "item_id",
    "archive_versions": "_id_document",
    "archive_history": "item_id",
}


@pytest.fixture
def desk(desk: Newsdesk, tmp_path: Path) -> Newsdesk:
    """The desk, with one subscriber that takes everything."""
    desk.newsroom.subscriber("s", file_in(tmp_path))
    return desk


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


def expire(graph: Graph, clock: HandClock) -> int:
    clock.advance(minutes=61)
    return graph.expiry.run()


def left(graph: Graph, item: Document) -> dict[str, int]:
    """Return how much there is of the item where it must leave nothing."""
    counts = {c: graph.db[c].count_documents({f: item["_id"]}) for c, f in TRACES.items()}
    items = graph.db["archive"].count_documents({"_id": item["_id"]})
    return {name: n for name, n in {**counts, "archive": items}.items() if n}


def archived_versions(graph: Graph, item: Document) -> list[int]:
    rows = graph.db["archived"].find({"item_id": item["_id"]})
    return [row["_current_version"] for row in rows.sort("_current_version", 1)]


class TestRemoval:
    def test_published_item_moves_to_archived(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """An expired item is archived with every version that was published.

        Lifecycle scenario 73.
        """
        item = desk.published()
        desk.act("correct", item, headline="corrected")
        deliver(graph)

        assert expire(graph, clock) == 1
        assert left(graph, item) == {}
        assert archived_versions(graph, item) == [2, 3]
        shown = desk.client.get(f"archived/{item['_id']}:3").get_json()
        assert shown["headline"] == "corrected"
        assert shown["item_id"] == item["_id"]
        assert graph.db["recipients"].count_documents({"_id": item["_id"]}) == 1
        explained = desk.client.get(f"explain/{item['_id']}").get_json()
        assert explained["version"] == 3
        told = [(s["name"], s["outcome"], s["delivered_version"]) for s in explained["subscribers"]]
        assert told == [("s", "sent", 3)]

    @pytest.mark.parametrize("operation", ["kill", "takedown"])
    def test_withdrawn_item_is_not_archived(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, operation: str
    ) -> None:
        """Lifecycle scenario 73: of killed and recalled items nothing is kept."""
        item = desk.published()
        deliver(graph)
        desk.act(operation, item, headline="gone")
        deliver(graph)

        assert expire(graph, clock) == 1
        assert left(graph, item) == {}
        assert archived_versions(graph, item) == []
        assert graph.db["recipients"].count_documents({}) == 0
        assert graph.db["routing_decisions"].count_documents({}) == 0

    def test_waits_for_its_deliveries(self, desk: Newsdesk, graph: Graph, clock: HandClock) -> None:
        """What somebody has yet to receive is not removed."""
        item = desk.published()
        graph.db["publish_queue"].update_many({}, {"$set": {"state": "retrying"}})
        assert expire(graph, clock) == 0

        graph.db["publish_queue"].update_many({}, {"$set": {"state": "failed"}})
        assert graph.expiry.run() == 1
        assert archived_versions(graph, item) == [2]

    def test_tells_clients(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, settings: dict[str, Any]
    ) -> None:
        """Clients hear of each item and of the end of the run."""
        item = desk.story()
        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            expire(graph, clock)
            assert events.named("item:expired") == [{"items": {item["_id"]: 1}}]
            assert len(events.named("content:expired")) == 1

    def test_personal_items_stay(self, desk: Newsdesk, graph: Graph, clock: HandClock) -> None:
        """Only items on a desk expire."""
        item = desk.client.create("archive", {"headline": "mine"})
        past = {"expiry": clock.now() - timedelta(days=1)}
        graph.db["archive"].update_one({"_id": item["_id"]}, {"$set": past})
        assert expire(graph, clock) == 0

    def test_more_than_a_batch(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, settings: dict[str, Any]
    ) -> None:
        """Items that stay do not keep the next batches from being looked at."""
        graph.expiry._limit = 2
        items = [desk.story() for _ in range(7)]
        assert expire(graph, clock) == len(items)

    def test_filter_keeps_items_out_of_the_archive(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """What an archived filter matches is removed without being archived."""
        condition = {"name": "c", "field": "headline", "operator": "like", "value": "secret"}
        created = desk.client.create("filter_conditions", condition)
        statement = {"expression": {"fc": [created["_id"]]}}
        body = {"name": "f", "content_filter": [statement], "is_archived_filter": True}
        desk.client.create("content_filters", body)
        secret, plain = desk.published(headline="secret"), desk.published()
        deliver(graph)

        assert expire(graph, clock) == 2
        assert archived_versions(graph, secret) == []
        assert archived_versions(graph, plain) == [2]


class TestHeld:
    def test_a_story_waits_for_its_package(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Lifecycle scenario 74: a story in a live package goes with the package, not before it."""
        story = desk.story()
        package = {
            **desk.newsroom.story(),
            "_id": "package",
            "type": "composite",
            "expiry": clock.now() + timedelta(hours=3),
            "task": {"desk": desk.newsroom.desk["_id"]},
            "groups": [{"id": "main", "refs": [{"residRef": story["_id"]}]}],
        }
        graph.db["archive"].insert_one(package)
        link = {"linked_in_packages": [{"package": "package"}]}
        graph.db["archive"].update_one({"_id": story["_id"]}, {"$set": link})

        assert expire(graph, clock) == 0
        clock.advance(hours=2)
        assert graph.expiry.run() == 2

    def test_a_story_waits_for_its_update(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """A story and its updates go together."""
        story, update = desk.story(), desk.story()
        for one, field, other in (
            (story, "rewritten_by", update),
            (update, "rewrite_of", story),
        ):
            graph.db["archive"].update_one({"_id": one["_id"]}, {"$set": {field: other["_id"]}})
        later = {"expiry": clock.now() + timedelta(hours=3)}
        graph.db["archive"].update_one({"_id": update["_id"]}, {"$set": later})

        assert expire(graph, clock) == 0
        clock.advance(hours=2)
        assert graph.expiry.run() == 2

    @pytest.mark.parametrize("fields", [{"type": "picture"}, {"state": "spiked"}])
    def test_what_a_story_shows_waits_for_it(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, fields: Document
    ) -> None:
        """Media, and whatever is spiked, stay as long as an item holds them."""
        used, story = desk.story(), desk.story()
        held = {"featuremedia": {"_id": used["_id"]}, "editor_0": None}
        saved = desk.client.patch(f"archive/{story['_id']}", {"associations": held})
        assert saved.status_code == 200, saved.text
        graph.db["archive"].update_one({"_id": used["_id"]}, {"$set": fields})
        graph.db["archive"].update_one({"_id": story["_id"]}, {"$set": {"expiry": None}})

        assert expire(graph, clock) == 0
        saved = desk.client.patch(f"archive/{story['_id']}", {"associations": None})
        assert saved.status_code == 200, saved.text
        graph.db["archive"].update_one({"_id": story["_id"]}, {"$set": {"expiry": None}})
        assert graph.expiry.run() == 1
        assert left(graph, used) == {}

    def test_a_desk_may_keep_what_is_out(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Published items of a desk with `preserve_published_content` stay; others go."""
        graph.db["desks"].update_many({}, {"$set": {"preserve_published_content": True}})
        out, draft = desk.published(), desk.story()
        deliver(graph)
        assert expire(graph, clock) == 1
        assert left(graph, draft) == {}
        assert "published" in left(graph, out)


class TestLegalArchive:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "LEGAL_ARCHIVE": True}

    def test_nothing_goes_before_it_is_there(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """An item whose deliveries the long-term archive lacks is marked, and goes after them."""
        item = desk.published()
        deliver(graph)
        assert expire(graph, clock) == 0
        stored = graph.db["archive"].find_one({"_id": item["_id"]})
        assert stored is not None
        assert stored["expiry_status"] == "invalid"

        graph.legal_queue.run()
        assert graph.expiry.run() == 1


WRITES = 10
"""Note, archived row, published row, five other collections, the item; the last one is no crash."""


class TestCrash:
    @pytest.mark.parametrize("before", each_write(WRITES))
    def test_is_completed_once(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, before: int
    ) -> None:
        """A removal that dies before any of its writes is completed by the next run."""
        item = desk.published()
        deliver(graph)
        clock.advance(minutes=61)
        stored = graph.db["archive"].find_one({"_id": item["_id"]})
        assert stored is not None
        dying: Any = CrashingDatabase(graph.db, before)
        try:
            Journal(dying, clock).remove(stored, archive=True)
        except Crash:
            assert archived_versions(graph, item) == [2] or "published" in left(graph, item)
        clock.advance(seconds=6)
        graph.expiry.run()

        assert left(graph, item) == {}
        assert archived_versions(graph, item) == [2]
        assert graph.db["recipients"].count_documents({"_id": item["_id"]}) == 1

    def test_a_later_write_comes_too_late(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """A correction that meets a removal half-way completes it and is refused."""
        item = desk.published()
        deliver(graph)
        etag = desk.client.etag_of(f"archive/{item['_id']}")
        stored = graph.db["archive"].find_one({"_id": item["_id"]})
        assert stored is not None
        dying: Any = CrashingDatabase(graph.db, 4)
        with pytest.raises(Crash):
            Journal(dying, clock).remove(stored, archive=True)

        answer = desk.client.patch(f"archive/correct/{item['_id']}", {"headline": "x"}, etag=etag)
        assert answer.status_code == 412
        assert left(graph, item) == {}
        assert archived_versions(graph, item) == [2]

    def test_an_earlier_write_wins(self, desk: Newsdesk, graph: Graph, clock: HandClock) -> None:
        """An item that was written since the job read it is not removed."""
        item = desk.published()
        stored = graph.db["archive"].find_one({"_id": item["_id"]})
        assert stored is not None
        desk.act("correct", item, headline="alive")
        assert Journal(graph.db, clock).remove(stored, archive=True) is False
        assert "archive" in left(graph, item)


@pytest.mark.parametrize("state", ["pending", "in-progress", "retrying", "success", "odd", None])
@pytest.mark.parametrize("has_legal_archive", [True, False])
def test_below_zero_every_delivery_goes(
    settings: dict[str, Any], clock: HandClock, state: str | None, has_legal_archive: bool
) -> None:
    """PUBLISH_QUEUE_EXPIRY_MINUTES below zero: whatever their state, and wherever else they are."""
    own = {"PUBLISH_QUEUE_EXPIRY_MINUTES": -1, "LEGAL_ARCHIVE": has_legal_archive}
    with empty_services({**settings, **own}, clock=clock) as graph:
        ids = [ObjectId(), "text", 7]
        rows = [{"_id": id_, "item_id": "item", "state": state} for id_ in ids]
        graph.db["publish_queue"].insert_many(rows)
        graph.expiry.run()
        assert graph.db["publish_queue"].count_documents({}) == 0


def test_zero_is_never(settings: dict[str, Any], clock: HandClock) -> None:
    """PUBLISH_QUEUE_EXPIRY_MINUTES 0 keeps all deliveries."""
    with empty_services({**settings, "PUBLISH_QUEUE_EXPIRY_MINUTES": 0}, clock=clock) as graph:
        old = ObjectId.from_datetime(clock.now() - timedelta(days=9999))
        graph.db["publish_queue"].insert_one({"_id": old, "item_id": "i", "state": "success"})
        graph.expiry.run()
        assert graph.db["publish_queue"].count_documents({}) == 1


class TestPurge:
    def row(self, graph: Graph, days: int, **fields: Any) -> ObjectId:
        """Store a delivery row as old as that; returns its id."""
        now = graph.clock.now()
        generated = ObjectId.from_datetime(now - timedelta(days=days))
        own = ObjectId(generated.binary[:4] + ObjectId().binary[4:])
        row = {"_id": own, "item_id": "item", "state": "success", **fields}
        graph.db["publish_queue"].insert_one(row)
        return own

    @pytest.mark.parametrize(
        ("days", "state", "stays"),
        [
            (15, "success", False),
            (15, "failed", False),
            (15, "canceled", False),
            (15, "pending", True),
            (15, "retrying", True),
            (15, "in-progress", True),
            (13, "success", True),
        ],
    )
    def test_only_what_is_finished_and_old(
        self, graph: Graph, days: int, state: str, stays: bool
    ) -> None:
        """Rows go after PUBLISH_QUEUE_EXPIRY_MINUTES, never while there is something to do."""
        own = self.row(graph, days, state=state)
        graph.expiry.run()
        assert stays == bool(graph.db["publish_queue"].count_documents({"_id": own}))

    @pytest.mark.parametrize(
        "broken",
        [
            {"item_id": None},
            {"item_id": {"a": 1}},
            {"item_id": 5},
            {"item_version": "x"},
            {"subscriber_id": {"a": 1}},
            {"payload_id": {"a": 1}},
            {"payload_id": 5},
            {"encoded_item_id": "x"},
            {"subscriber_id": ObjectId("5f2d1c0e9b1e8a4c3d7f6a52"), "codes": 5},
            {"subscriber_id": ObjectId("5f2d1c0e9b1e8a4c3d7f6a53"), "destination": "x"},
            {"subscriber_id": ObjectId("5f2d1c0e9b1e8a4c3d7f6a54"), "item_version": [1]},
        ],
        ids=repr,
    )
    def test_one_that_cannot_be_read_keeps_no_other(self, graph: Graph, broken: Document) -> None:
        """Of the same batch."""
        self.row(graph, 15, publishing_action="published", **broken)
        own = self.row(graph, 15)

        graph.expiry.run()

        assert graph.db["publish_queue"].count_documents({"_id": own}) == 0

    def test_payloads_go_with_their_last_row(self, graph: Graph) -> None:
        """A payload that a younger row refers to stays (delivery scenario 40)."""
        graph.db["publish_payloads"].insert_many([{"_id": "shared"}, {"_id": "own"}])
        self.row(graph, 15, payload_id="shared")
        self.row(graph, 15, payload_id="own")
        self.row(graph, 1, payload_id="shared")
        graph.expiry.run()
        assert ["shared"] == [p["_id"] for p in graph.db["publish_payloads"].find({})]

    def test_recipients_outlive_the_rows(self, graph: Graph) -> None:
        """Whom only a row knows as a recipient is on record when the row is gone."""
        subscriber = ObjectId()
        self.row(graph, 15, subscriber_id=subscriber, publishing_action="published")
        graph.expiry.run()
        (ledger,) = graph.db["recipients"].find({})
        assert [str(subscriber)] == list(ledger["subscribers"])


class TestArchivedPurge:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "ARCHIVED_EXPIRY_MINUTES": 120}

    def test_archived_items_go_in_the_end(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Archived rows go after ARCHIVED_EXPIRY_MINUTES, recipients and decisions with them."""
        item = desk.published()
        deliver(graph)
        expire(graph, clock)
        expire(graph, clock)
        assert graph.db["archived"].count_documents({}) == 1
        expire(graph, clock)
        for name in ("archived", "recipients", "routing_decisions"):
            assert graph.db[name].count_documents({}) == 0
        assert desk.client.get(f"explain/{item['_id']}").status_code == 404


class TestCommand:
    def test_runs_once(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        settings: dict[str, Any],
        tmp_path: Path,
    ) -> None:
        """`archive:remove_expired` does what the job does."""
        item = desk.story()
        past = {"expiry": clock.now() - timedelta(days=5000)}
        graph.db["archive"].update_one({"_id": item["_id"]}, {"$set": past})
        stores = {name: settings[name] for name in ("MONGO_URI", "MONGO_DBNAME", "REDIS_URL")}
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "archive:remove_expired"],
            cwd=ROOT,
            env={**os.environ, **stores, "DATA_DIR": str(tmp_path), "NO_BOOTSTRAP": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout == "1 expired items removed\n"
        assert left(graph, item) == {}

    def test_beat_starts_it_every_half_hour(self, app: Any) -> None:
        """The job has its own period and its own queue."""
        celery = app.extensions["celery"]
        entry = celery.conf.beat_schedule["apps.archive.content_expiry:tick"]
        assert entry["schedule"] == 1800
        assert celery.conf.task_routes["apps.archive.content_expiry"] == {"queue": "expiry"}
