"""A write that cannot be completed is its own trouble: nothing else waits for it.

Documents are stored as migrations and earlier versions may have left them.
"""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Int64, ObjectId

from apps.archive.journal.journal import Journal
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.events import Events
from tests.support.newsdesk import HandClock, Newsdesk, goes_on
from tests.support.newsroom import push
from tests.support.receivers import HTTPReceiver

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LARGEST = 2**63 - 1

NO_NUMBERS = [None, "many", "", True, [], [1], {"a": 1}, LONG_AGO, float("inf"), Int64(LARGEST)]
NO_LISTS = [None, "a", "", 0, 1.5, False, {"a": 1}, {}, LONG_AGO, ObjectId("0" * 24)]

FOLLOW_UPS: list[Any] = [
    {"in": "archive", "where": {"_id": "x"}},
    {"in": 5, "where": {}, "set": {"a": 1}},
    {"where": {}, "delete": True},
    {"in": "a$b", "where": {}, "delete": True},
    {"in": "archive_history", "insert": {"no": "id"}},
    {"in": "archive_history", "insert": None},
    {"in": "archive", "upsert": [], "set": {}},
    {"in": "archive", "upsert": [{"no": "id"}], "set": {}},
    {"in": "archive", "where": None, "set": {"a": 1}},
    {"in": "archive", "where": {"type": {"$in": 5}}, "set": {"a": 1}},
    {"in": "archive", "where": {}, "set": {"headline.a": 1}},
    {"in": "archive", "where": {}, "set": {"_id": 1}},
    {"in": "archive", "where": {}, "add": {"headline.a": 1}},
    {"in": "archive", "where": {}, "take": 5},
    {"in": "archive", "where": 5, "used_at": LONG_AGO},
]
"""Writes of other documents that cannot be made."""

NOTES: list[Any] = [
    {"row_id": 5},
    {
        "row_id": ObjectId("5f2d1c0e9b1e8a4c3d7f6a2f"),
        "sequence_no": "x",
        "user_id": None,
        "operation": {},
        "mail": 5,
    },
    {"history": "x"},
    {"history": {"operation": "create"}},
    {"copies": 5},
    {"copies": {"source": {}, "history": [5]}},
    {"removal": 5},
    {"removal": {"archive": True}, "follow_ups": FOLLOW_UPS[:1]},
    {"version": {}, "copies": {"history": None}},
    {"retry_at": "tomorrow", "copies": 5},
    {"attempts": "many", "copies": 5},
    {"attempts": LARGEST, "copies": 5},
]
"""Notes that cannot be completed."""

LEFT_ALONE: list[Any] = [
    {"follow_ups": 5},
    {"follow_ups": [None, 5, "x"]},
    {"version": None},
    {"history": None},
]
"""Notes that hold nothing to be done."""


@pytest.fixture
def desk(desk: Newsdesk, receiver: HTTPReceiver) -> Newsdesk:
    """The desk, with one subscriber that takes everything."""
    desk.newsroom.subscriber("s", push(receiver.url))
    return desk


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def alerts(desk: Newsdesk) -> list[str]:
    found = desk.db["activity"].find({"name": "error"})
    return [row["item"] for row in found if "cannot be completed" in row["message"]]


def leave(desk: Newsdesk, note: Any) -> Document:
    """Store an item whose last write left `note` behind, long ago."""
    item = desk.story(headline="Guilty")
    change = {"journal": {"at": LONG_AGO, **note}}
    desk.db["archive"].update_one({"_id": item["_id"]}, {"$set": change})
    return item


def note_of(desk: Newsdesk, item: Document) -> Any:
    stored = desk.db["archive"].find_one({"_id": item["_id"]})
    return stored and stored.get("journal")


class TestRepair:
    """What others have stored in counters and lists keeps no write from being completed."""

    @pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
    def test_uses_are_counted(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, value: Any
    ) -> None:
        """What is no number counts as 0; the largest number stays."""
        picture = desk.story(type="picture", headline="P")
        broken = {"$set": {"used_count": value}}
        desk.db["archive"].update_one({"_id": picture["_id"]}, broken)

        held = {"_id": picture["_id"], "type": "picture", "headline": "P", "guid": picture["guid"]}
        story = desk.published(associations={"featuremedia": held})

        stored = desk.db["archive"].find_one({"_id": picture["_id"]})
        largest = {float("inf"): float("inf"), LARGEST: LARGEST}
        is_large = not isinstance(value, bool) and isinstance(value, (int, float))
        assert stored["used_count"] == (largest[value] if is_large else 1)
        assert (stored["used"], note_of(desk, picture)) == (True, None)
        goes_on(desk, graph, receiver)
        assert (desk.queue_states(story), note_of(desk, story)) == (["queued"], None)

    @pytest.mark.parametrize("value", NO_LISTS, ids=repr)
    def test_lists_are_added_to(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, value: Any
    ) -> None:
        """What is no list counts as an empty one: links of members, and translations."""
        member = desk.story()
        broken = {"$set": {"linked_in_packages": value, "translations": value}}
        desk.db["archive"].update_one({"_id": member["_id"]}, broken)

        groups = [
            {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": "main"}]},
            {"id": "main", "role": "grpRole:main", "refs": [{"residRef": member["_id"]}]},
        ]
        package = desk.client.create(
            "archive", desk.newsroom.story(type="composite", groups=groups)
        )

        stored = desk.db["archive"].find_one({"_id": member["_id"]})
        assert stored["linked_in_packages"] == [{"package": package["_id"]}]
        assert note_of(desk, package) is None
        body = {"guid": member["_id"], "language": "de"}
        translation = desk.client.create("archive/translate", body)
        stored = desk.db["archive"].find_one({"_id": member["_id"]})
        assert stored["translations"] == [translation["_id"]]
        goes_on(desk, graph, receiver)

    @pytest.mark.parametrize("value", NO_LISTS, ids=repr)
    def test_lists_are_taken_from(self, desk: Newsdesk, graph: Graph, value: Any) -> None:
        """A package lets go of a member that does not know it."""
        member = desk.story()
        groups = [
            {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": "main"}]},
            {"id": "main", "role": "grpRole:main", "refs": [{"residRef": member["_id"]}]},
        ]
        package = desk.client.create(
            "archive", desk.newsroom.story(type="composite", groups=groups)
        )
        broken = {"$set": {"linked_in_packages": value}}
        desk.db["archive"].update_one({"_id": member["_id"]}, broken)
        groups[1]["refs"] = []

        answer = desk.client.patch(f"archive/{package['_id']}", {"groups": groups})

        assert answer.status_code == 200, answer.text
        stored = desk.db["archive"].find_one({"_id": member["_id"]})
        assert (stored["linked_in_packages"], note_of(desk, package)) == ([], None)


class TestIsolation:
    """A note that cannot be completed stays, and the run goes on."""

    @pytest.mark.parametrize("follow_up", FOLLOW_UPS, ids=repr)
    def test_of_writes_of_other_documents(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, follow_up: Document
    ) -> None:
        item = leave(desk, {"follow_ups": [follow_up]})

        goes_on(desk, graph, receiver)

        assert note_of(desk, item)["attempts"] == 1
        assert alerts(desk) == [item["_id"]]

    @pytest.mark.parametrize("note", NOTES, ids=repr)
    def test_of_writes_of_the_item(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, note: Document
    ) -> None:
        item = leave(desk, note)

        goes_on(desk, graph, receiver)

        assert note_of(desk, item)["error_message"]
        graph.expiry.run()
        assert graph.db["archive"].find_one({"_id": item["_id"]}) is not None

    @pytest.mark.parametrize("note", LEFT_ALONE, ids=repr)
    def test_a_note_that_says_nothing_goes(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, note: Document
    ) -> None:
        item = leave(desk, note)

        goes_on(desk, graph, receiver)

        assert note_of(desk, item) is None

    @pytest.mark.parametrize("junk", [{}, [], "x", 5, False, [{"at": LONG_AGO}]], ids=repr)
    def test_what_is_no_note_keeps_nobody_from_writing(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, junk: Any
    ) -> None:
        item = desk.story()
        desk.db["archive"].update_one({"_id": item["_id"]}, {"$set": {"journal": junk}})

        goes_on(desk, graph, receiver)

        assert desk.act("publish", item)["state"] == "published"

    def test_completes_the_others(self, desk: Newsdesk, graph: Graph) -> None:
        """Those before it in the list, and those behind it."""
        change = {"in": "archive", "where": {"headline": "Guilty"}, "set": {"slugline": "made"}}
        items = [leave(desk, {"follow_ups": [f]}) for f in (change, FOLLOW_UPS[0], change)]

        graph.enqueue.run()

        assert [note_of(desk, item) is None for item in items] == [True, False, True]


class TestRetries:
    def test_wait_longer_each_time_and_are_told_once(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """10, 20, 40 seconds ..., an hour at most, whatever process tries."""
        item = leave(desk, {"follow_ups": [FOLLOW_UPS[0]]})
        waits = []
        for attempt in range(1, 12):
            graph.enqueue.run()
            other = Journal(graph.db, clock)
            assert other.complete_abandoned() == 0
            note = note_of(desk, item)
            assert note["attempts"] == attempt
            waits.append((note["retry_at"] - clock.precise()).total_seconds())
            clock.at = note["retry_at"]

        assert waits == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
        assert alerts(desk) == [item["_id"]]

    def test_end_when_the_cause_is_gone(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        item = leave(desk, {"follow_ups": [FOLLOW_UPS[0]]})
        graph.enqueue.run()
        mended = {"journal.follow_ups.0.set": {"slugline": "x"}}
        desk.db["archive"].update_one({"_id": item["_id"]}, {"$set": mended})

        clock.advance(seconds=10)
        graph.enqueue.run()

        assert note_of(desk, item) is None


class TestNextWrite:
    """Who writes the item goes on where its own rows are there, or is told what is wrong."""

    def test_of_other_documents_keeps_nobody_from_a_kill(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, events: Events
    ) -> None:
        """What could not be made goes over to the next note, and is not told again."""
        item = leave(desk, {"follow_ups": [FOLLOW_UPS[0]]})

        desk.act("publish", item)
        graph.enqueue.run()
        desk.act("kill", item)
        graph.enqueue.run()
        graph.transmit.run()

        (body,) = [request.json() for request in receiver.requests]
        assert (body["guid"], body["pubstatus"]) == (item["_id"], "canceled")
        assert note_of(desk, item)["follow_ups"][0] == FOLLOW_UPS[0]
        assert alerts(desk) == [item["_id"]]
        assert desk.queue_states(item) == ["queued", "queued"]

    def test_of_its_own_rows_is_refused_with_the_reason(self, desk: Newsdesk) -> None:
        item = leave(desk, {"copies": 5})

        saved = desk.client.patch(f"archive/{item['_id']}", {"headline": "New"})
        published = desk.client.patch(f"archive/publish/{item['_id']}", {})

        for answer in (saved, published):
            assert answer.status_code in (400, 409), answer.text
            assert f"The last write of item {item['_id']} cannot be completed" in answer.text
        assert note_of(desk, item)["attempts"] == 2

    def test_of_an_associated_picture_keeps_no_story_from_going_out(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        picture = desk.story(type="picture", headline="P")
        note = {"at": LONG_AGO, "follow_ups": [FOLLOW_UPS[0]]}
        desk.db["archive"].update_one({"_id": picture["_id"]}, {"$set": {"journal": note}})
        held = {"_id": picture["_id"], "type": "picture", "headline": "P", "guid": picture["guid"]}

        story = desk.published(associations={"featuremedia": held})
        graph.enqueue.run()

        assert desk.queue_states(story) == ["queued"]


class TestRemoval:
    """What keeps one item from being removed keeps no other."""

    @pytest.mark.parametrize(
        "broken",
        [
            {"broadcast": "x"},
            {"broadcast": [1]},
            {"linked_in_packages": [None, 5]},
            {"linked_in_packages": "x"},
            {"groups": 5},
            {"groups": [None]},
            {"rewrite_of": {"a": 1}},
            {"rewritten_by": [1]},
            {"associations": "x"},
            {"associations": {"a": {"_id": 5}}},
            {"renditions": {"original": {"media": [1]}}},
            {"assignment_id": {"a": 1}},
            {"assignment_id": [1]},
            {"task": {"desk": {"a": 1}}},
            {"task": {"desk": [1]}},
            {"subject": [None, 5]},
            {"_current_version": "x"},
            {"journal": {"at": LONG_AGO, "copies": 5}},
            {"journal": {"at": LONG_AGO, "removal": 5}},
            {"type": {"a": 1}},
            {"state": "published", "task": {"desk": {"a": 1}}},
        ],
        ids=repr,
    )
    def test_of_an_item_that_is_broken(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, broken: Document
    ) -> None:
        guilty, innocent = desk.story(), desk.story()
        for item, fields in ((guilty, broken), (innocent, {})):
            change = {"$set": {"expiry": LONG_AGO, **fields}}
            desk.db["archive"].update_one({"_id": item["_id"]}, change)
        clock.advance(seconds=10)

        graph.expiry.run()

        assert desk.db["archive"].find_one({"_id": innocent["_id"]}) is None
