"""Counts of deliveries by destination and hour (delivery contract 14.2)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect, BulkWriteError

from apps.graph.build import Graph
from apps.monitoring.counters import Attempted, DeliveryCounters
from tests.support.clients import Client
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.queues import fill
from tests.support.receivers import HTTPReceiver


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "RETRY_JITTER": 0, "DELIVERY_COUNTERS_DAYS": 2}


def listed(client: Client, **arguments: Any) -> list[dict[str, Any]]:
    answer = client.get("delivery_counters", **arguments)
    assert answer.status_code == 200, answer.text
    return list(answer.get_json()["_items"])


class TestWhatIsCounted:
    def test_attempts_of_each_hour_and_destination(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        editor: Client,
    ) -> None:
        """For every user, newest hour first; totals of types are no rows of the list."""
        receiver.answer([500, 404, 200])
        one = desk.newsroom.subscriber("one", push(receiver.url))
        for headline in ("a", "b", "c"):
            desk.published(headline=headline)
        graph.enqueue.run()
        clock.advance(seconds=7)
        graph.transmit.run()
        clock.advance(hours=1)
        graph.transmit.run()

        later, first = listed(editor)

        assert (first["hour"], later["hour"]) == (
            "2030-01-01T12:00:00+0000",
            "2030-01-01T13:00:00+0000",
        )
        assert (first["subscriber_id"], first["destination_id"]) == (str(one), "push")
        assert first["type"] == "http_push"
        assert (first["attempts"], first["delivered"], first["failed"]) == (3, 1, 1)
        assert first["outcomes"] == {"retrying": 1, "failed": 1, "success": 1}
        assert sum(first["ms"]["steps"].values()) == 3
        assert first["seconds"] == {"steps": {"10": 1}, "sum": 7}
        assert (later["attempts"], later["delivered"], later["failed"]) == (1, 1, 0)
        assert later["seconds"] == {"steps": {"14400": 1}, "sum": 3607}

    def test_lists_are_searched_and_nobody_writes(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        admin: Client,
        anonymous: Client,
    ) -> None:
        desk.newsroom.subscriber("one", push(receiver.url))
        two = desk.newsroom.subscriber("two", push(receiver.url))
        desk.published()
        graph.enqueue.run()
        graph.transmit.run()
        assert len(listed(admin)) == 2
        (found,) = listed(admin, where=f'{{"subscriber_id": "{two}"}}')
        assert found["lane"] == f"{two}:push"
        later = '{"hour": {"$gte": "2030-01-01T13:00:00+0000"}}'
        assert listed(admin, where=later) == []
        assert anonymous.get("delivery_counters").status_code == 401
        assert admin.post("delivery_counters", {}).status_code == 405

    def test_what_was_scheduled_counts_from_its_time(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        desk.newsroom.subscriber("one", push(receiver.url))
        later = (clock.at + timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%S+0000")
        desk.act("publish", desk.story(), publish_schedule=later)
        clock.advance(hours=5, seconds=4)
        graph.enqueue.run()
        graph.transmit.run()
        total = graph.db["delivery_counters"].find_one({"_id": "type http_push"}) or {}
        assert total["seconds"]["sum"] == 4

    def test_what_is_canceled_unsent_is_no_attempt(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """A kill overtakes what it makes pointless."""
        desk.newsroom.subscriber("one", push(receiver.url))
        item = desk.published()
        graph.enqueue.run()
        desk.act("kill", item)
        graph.enqueue.run()
        graph.transmit.run()
        total = graph.db["delivery_counters"].find_one({"_id": "type http_push"}) or {}
        assert (total["attempts"], total["outcomes"]) == (1, {"success": 1})

    def test_hours_expire_and_totals_stay(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        desk.newsroom.subscriber("one", push(receiver.url))
        desk.published()
        graph.enqueue.run()
        clock.advance(minutes=20)
        graph.transmit.run()
        hour, total = sorted(graph.db["delivery_counters"].find({}), key=lambda c: "hour" not in c)
        assert hour["expires_at"] == clock.at.replace(minute=0) + timedelta(days=2)
        assert "expires_at" not in total
        indexes = graph.db["delivery_counters"].index_information().values()
        expiring = [i for i in indexes if i.get("expireAfterSeconds") == 0]
        assert [i["key"] for i in expiring] == [[("expires_at", 1)]]


class TestCost:
    @pytest.mark.parametrize("lanes", [1, 4])
    def test_a_run_writes_all_it_has_counted_at_once(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        monkeypatch: pytest.MonkeyPatch,
        lanes: int,
    ) -> None:
        """One command, however many rows and lanes there are."""
        for number in range(lanes):
            subscriber = desk.newsroom.subscriber(f"s{number}", push(receiver.url))
            fill(graph.db, subscriber, push(receiver.url), clock.at, items=10)
        counters = DeliveryCounters(graph.db, clock, timedelta(days=1), lambda: 0.0)
        counters._collection = Recorded(counters._collection)  # type: ignore[assignment]
        monkeypatch.setattr(graph.transmit._attempt_log, "_counters", counters)

        graph.transmit.run()

        assert len(receiver.requests) == 10 * lanes
        assert counters._collection.writes == [lanes + 1]  # type: ignore[attr-defined]


class Recorded:
    """A collection that notes how many documents each write is for."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self.writes: list[int] = []

    def bulk_write(self, updates: list[Any], **options: Any) -> Any:
        self.writes.append(len(updates))
        return self._collection.bulk_write(updates, **options)


class TestStoreThatFails:
    """Counts are neither lost nor counted twice, and nothing but counting suffers."""

    @pytest.fixture
    def seconds(self) -> list[float]:
        """Seconds that never run backwards; the test moves them."""
        return [0.0]

    @pytest.fixture
    def counters(self, graph: Graph, clock: HandClock, seconds: list[float]) -> DeliveryCounters:
        return DeliveryCounters(graph.db, clock, timedelta(days=1), lambda: seconds[0])

    def test_what_is_not_written_is_written_later(
        self, graph: Graph, counters: DeliveryCounters, seconds: list[float]
    ) -> None:
        stored = counters._collection
        counters._collection = Broken(AutoReconnect("away"))  # type: ignore[assignment]
        counters.add([attempted()])
        seconds[0] += 2
        counters.add([attempted(), attempted(lane="2:b")])
        counters._collection = stored
        counters.write()
        counters.write()
        assert totals(graph) == {"type http_push": 3, "1:a": 2, "2:b": 1}

    def test_what_another_process_has_just_made(
        self, graph: Graph, counters: DeliveryCounters
    ) -> None:
        """Only what was refused is written again."""
        refused = BulkWriteError({"writeErrors": [{"index": 1, "code": 11000}]})
        stored = counters._collection
        counters._collection = Broken(refused)  # type: ignore[assignment]
        counters.add([attempted()])
        counters.write()
        counters._collection = stored
        counters.write()
        assert totals(graph) == {"type http_push": 1}

    def test_several_threads_and_processes_add_up(self, graph: Graph, clock: HandClock) -> None:
        """On documents that are not there yet."""
        some = [DeliveryCounters(graph.db, clock, timedelta(days=1)) for _ in range(4)]

        def count(number: int) -> None:
            own = some[number % len(some)]
            for _ in range(50):
                own.add([attempted(), attempted(lane="2:b")])
            own.write()

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(count, range(8)))
        for own in some:
            own.write()
        assert totals(graph) == {"type http_push": 800, "1:a": 400, "2:b": 400}


class Broken:
    """A collection whose store fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def bulk_write(self, *_: Any, **__: Any) -> Any:
        raise self._error


def attempted(lane: str = "1:a") -> Attempted:
    return Attempted(lane, "1", "a", "http_push", "success", 7, is_delivered=True, seconds=0.5)


def totals(graph: Graph) -> dict[str, int]:
    """Return the number of attempts by lane, and by type."""
    found = graph.db["delivery_counters"].find({})
    return {one.get("lane", one["_id"]): one["attempts"] for one in found}
