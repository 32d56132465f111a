"""Stories as large as they may be, and larger (delivery contract X14)."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from bson import ObjectId
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from apps.graph.build import Graph, build_graph
from apps.publish.enqueue.claims import PublishedClaims
from apps.publish.queue.payloads import BodiesAhead, Payloads
from apps.routing.subscribers.stored_destinations import lane_id
from apps.store.mongo import connect
from formatters.base import Formatted
from formatters.plain import TextFormatter
from tests.support.conservation import Conservation, Recorder, check_manifest
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.receivers import HTTPReceiver

MEGABYTE = 1_000_000


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


def test_a_body_of_five_megabytes_goes_out_whole(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
) -> None:
    """In formats of both kinds; a small story behind it, too."""
    receiver.answer(recorder := Recorder())
    formats = ("ninjs", "nitf", "text")
    wanted = [{**push(f"{receiver.url}/{f}"), "_id": f, "format": f} for f in formats]
    subscriber = desk.newsroom.subscriber("all", *wanted)
    body = "<p>" + "river " * (5 * MEGABYTE // 6) + "</p>"

    large = desk.published(body_html=body)
    small = desk.published(headline="small")
    deliver(graph)

    assert Conservation(graph.db).check()["failed"] == 0
    for name in formats:
        arrivals = recorder.arrivals(f"/{name}")
        assert len(arrivals) == 2, name
        assert max(len(each.body) for each in arrivals) > 4.9 * MEGABYTE
        check_manifest(graph.db, {lane_id(subscriber, name): arrivals})
    told = {json.loads(each.body)["guid"] for each in recorder.arrivals("/ninjs")}
    assert told == {large["_id"], small["_id"]}


def test_a_story_that_cannot_be_stored_is_refused(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
) -> None:
    """With the reason; nothing of it is left, and the next one goes out."""
    desk.newsroom.subscriber("all", push(receiver.url))
    before = graph.db["archive"].count_documents({})

    answer = desk.client.post("archive", desk.newsroom.story(body_html="x" * 17 * MEGABYTE))

    assert answer.status_code == 413
    assert graph.db["archive"].count_documents({}) == before
    desk.published()
    deliver(graph)
    assert len(receiver.requests) == 1


def test_a_story_with_two_hundred_pictures_goes_out_whole(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
) -> None:
    desk.newsroom.subscriber("all", push(receiver.url))
    pictures: dict[str, Any] = {
        f"gallery--{number}": {
            "_id": f"urn:x:{number}",
            "guid": f"urn:x:{number}",
            "type": "picture",
            "headline": f"picture {number}",
            "description_text": "river " * 100,
            "renditions": {
                name: {"href": f"https://e.org/{number}", "mimetype": "image/jpeg"}
                for name in ("original", "viewImage", "baseImage", "thumbnail")
            },
        }
        for number in range(200)
    }

    desk.published(associations=pictures)
    deliver(graph)

    assert desk.row()["state"] == "success"
    (request,) = receiver.requests
    assert len(request.json()["associations"]) == 200


class Commands(CommandListener):
    """Notes how many documents of a collection each command names.

    Args:
        collection: the collection.
    """

    def __init__(self, collection: str) -> None:
        self.collection = collection
        self.found: list[int] = []
        self.inserted: list[int] = []

    def started(self, event: CommandStartedEvent) -> None:
        command = event.command
        if command.get("find") == self.collection:
            self.found.append(len(command["filter"]["_id"]["$in"]))
        elif command.get("insert") == self.collection:
            self.inserted.append(len(command["documents"]))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Only what is asked counts."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Only what is asked counts."""


@pytest.fixture
def commands() -> Commands:
    return Commands("publish_payloads")


@pytest.fixture
def payloads(graph: Graph, commands: Commands) -> Iterator[Payloads]:
    """Bodies that are read by `commands`."""
    db = connect(graph.settings, [commands])
    yield Payloads(db)
    db.client.close()


class TestBodiesOfALane:
    """Bodies are read ahead by their bytes (delivery contract C11)."""

    def stored(self, graph: Graph, count: int, size: int, **fields: Any) -> list[dict[str, Any]]:
        """Store bodies; return rows that name them."""
        form = {"encoding": "utf-8", "media_type": "text/plain", "file_extension": "txt"}
        for number in range(count):
            body = {"_id": f"{number:03}", "body": str(number % 10) * size}
            graph.db["publish_payloads"].insert_one({**body, **form})
        return [
            {"_id": number, "payload_id": f"{number:03}", "payload_size": size, **fields}
            for number in range(count)
        ]

    def read(self, payloads: Payloads, rows: list[dict[str, Any]]) -> None:
        """Take the bodies of rows in their order."""
        ahead = BodiesAhead(payloads, rows)
        for row in rows:
            body = ahead.take(row)
            assert body is not None
            assert body.text[:1] == str(row["_id"] % 10)
            assert ahead.take(row) is None

    def test_small_ones_are_read_at_once(
        self, graph: Graph, payloads: Payloads, commands: Commands
    ) -> None:
        self.read(payloads, self.stored(graph, 100, 1000))
        assert commands.found == [100]

    def test_large_ones_are_read_one_after_the_other(
        self, graph: Graph, payloads: Payloads, commands: Commands
    ) -> None:
        self.read(payloads, self.stored(graph, 4, 5 * MEGABYTE))
        assert commands.found == [1, 1, 1, 1]

    def test_as_many_are_read_as_there_is_room_for(
        self, graph: Graph, payloads: Payloads, commands: Commands
    ) -> None:
        self.read(payloads, self.stored(graph, 5, 3 * MEGABYTE))
        assert commands.found == [2, 2, 1]

    @pytest.mark.parametrize("size", [None, "x", {}])
    def test_some_are_read_where_rows_do_not_tell(
        self, graph: Graph, payloads: Payloads, commands: Commands, size: Any
    ) -> None:
        """Rows of an earlier release have no size."""
        self.read(payloads, self.stored(graph, 20, 1000, payload_size=size))
        assert commands.found == [8, 8, 4]

    def test_rows_that_hold_their_text_or_none_are_not_read(
        self, payloads: Payloads, commands: Commands
    ) -> None:
        rows = [{"_id": 1, "formatted_item": "a"}, {"_id": 2}]
        ahead = BodiesAhead(payloads, rows)

        bodies = [ahead.take(row) for row in rows]

        assert (bodies[0] and bodies[0].data, bodies[1], commands.found) == (b"a", None, [])

    def test_lanes_share_a_large_one(
        self, graph: Graph, payloads: Payloads, commands: Commands
    ) -> None:
        """However many threads ask for it at once, one of them reads it."""
        rows = self.stored(graph, 1, 9 * MEGABYTE)
        start = Barrier(8)

        def load(_: int) -> int:
            start.wait()
            return id(payloads.load(rows)[0].data)

        with ThreadPoolExecutor(8) as threads:
            assert len(set(threads.map(load, range(8)))) == 1
        assert commands.found == [1]

    def test_what_is_kept_at_hand_is_bounded(
        self, graph: Graph, payloads: Payloads, commands: Commands
    ) -> None:
        """Of many large bodies, the last ones are kept."""
        rows = self.stored(graph, 5, 5 * MEGABYTE)
        for row in rows:
            payloads.load([row])

        payloads.load([rows[-1]])
        assert len(commands.found) == 5
        payloads.load([rows[0]])
        assert len(commands.found) == 6


def test_published_rows_are_claimed_by_their_bytes(graph: Graph, clock: HandClock) -> None:
    """In routing order; one that is larger than a batch is claimed alone."""
    sizes = [3, 3, 3, 9, 1, 1]
    for number, size in enumerate(sizes):
        row = {"item_id": f"i{number}", "operation": "publish", "state": "published"}
        order = {"queue_state": "pending", "publish_sequence_no": number, "_current_version": 1}
        graph.db["published"].insert_one({**row, **order, "body_html": "x" * size * MEGABYTE})
    claims = PublishedClaims(graph.db, clock, timedelta(minutes=1), 200)

    taken = [[row["item_id"] for row in claims.take()] for _ in range(5)]

    assert taken == [["i0", "i1"], ["i2"], ["i3"], ["i4", "i5"], []]


def test_copies_of_their_own_are_stored_while_others_are_made(
    settings: dict[str, Any],
    desk: Newsdesk,
    clock: HandClock,
    receiver: HTTPReceiver,
    commands: Commands,
) -> None:
    """A format that shows the number of the delivery makes a body for each subscriber."""
    for number in range(6):
        desk.newsroom.subscriber(f"s{number}", {**push(receiver.url), "format": "newsmlg2"})
    desk.published(body_html="<p>" + "river " * (3 * MEGABYTE // 6) + "</p>")

    with closing(build_graph(settings, clock=clock, listeners=[commands])) as graph:
        deliver(graph)

    assert (sum(commands.inserted), max(commands.inserted)) == (6, 3)
    assert {row["state"] for row in desk.rows()} == {"success"}
    assert all(len(request.body) > 3 * MEGABYTE for request in receiver.requests)


def test_a_list_of_large_deliveries_says_what_to_ask_for(desk: Newsdesk, graph: Graph) -> None:
    """One page shows so many bytes of what was sent; by smaller pages all of it can be read."""
    row = {"item_id": "i", "state": "success", "payload_id": "p", "payload_size": 15 * MEGABYTE}
    graph.db["publish_queue"].insert_many({**row, "_id": ObjectId()} for _ in range(4))

    refused = desk.client.get("publish_queue")
    assert refused.status_code == 413
    assert "max_results" in refused.get_json()["_message"]
    assert desk.client.get("publish_queue", max_results=3).status_code == 200
    without = desk.client.get("publish_queue", projection='{"state": 1}')
    assert len(without.get_json()["_items"]) == 4


def test_a_body_that_is_larger_in_the_store_than_on_the_wire(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the store cannot hold is a failed row of its format; others get theirs."""
    latin = [Formatted("\u00e9" * 9 * MEGABYTE, "latin-1")]
    monkeypatch.setattr(TextFormatter, "format", lambda *_: latin)
    formats = ("text", "ninjs")
    desk.newsroom.subscriber(
        "all", *({**push(receiver.url), "_id": f, "format": f} for f in formats)
    )

    item = desk.published()
    deliver(graph)

    rows = {row["destination"]["format"]: row for row in desk.rows()}
    assert rows["ninjs"]["state"] == "success"
    assert rows["text"]["state"] == "failed"
    assert "18000000 bytes" in rows["text"]["error_message"]
    assert desk.queue_states(item) == ["queued"]
