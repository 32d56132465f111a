"""What Prometheus reads of the wire (delivery contract 14.4)."""

from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from apps.graph.build import Graph, build_graph
from apps.monitoring import exposition
from apps.publish.queue.lane_state import HELD_TO
from tests.support.clients import Client
from tests.support.commands import CommandCounter
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.queues import fill, leave_claimed
from tests.support.receivers import HTTPReceiver, Received, Reply
from tests.support.watching import TOKEN, Watcher


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "METRICS_TOKEN": TOKEN, "RETRY_JITTER": 0}


@pytest.fixture(autouse=True)
def _always_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test has read is not shown to the next one, nor twice."""
    monkeypatch.setattr(exposition, "KEPT_SECONDS", 0)


class TestWhoMayRead:
    def test_who_has_the_token(self, watcher: Watcher) -> None:
        assert watcher.get("/metrics").status_code == 401
        for wrong in ("Bearer", "Bearer x", f"Basic {TOKEN}", TOKEN, "Bearer ü"):
            answer = watcher.get("/metrics", Authorization=wrong)
            assert answer.status_code == 401, wrong
            assert "METRICS_TOKEN" in answer.get_json()["_error"]["message"]
            assert TOKEN not in answer.text
        assert watcher.get("/metrics", Authorization=f"bearer {TOKEN} ").status_code == 200

    def test_no_session_will_do(self, watcher: Watcher, admin: Client) -> None:
        answer = watcher.get("/metrics", Authorization=f"Bearer {admin.token}")
        assert answer.status_code == 401

    class TestWithoutToken:
        @pytest.fixture
        def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
            return {**settings, "METRICS_TOKEN": None}

        def test_nobody(self, watcher: Watcher) -> None:
            """Not who sends none, either; the answer says what to set."""
            for sent in ("Bearer ", "Bearer None", f"Bearer {TOKEN}"):
                answer = watcher.get("/metrics", Authorization=sent)
                assert answer.status_code == 403
                assert "METRICS_TOKEN" in answer.get_json()["_error"]["message"]


class TestAttempts:
    def test_are_counted_by_type_and_outcome(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, watcher: Watcher, tmp_path: Any
    ) -> None:
        """With how long they took, and how long it took from publication to delivery."""
        receiver.answer([500, 404, 200, 200])
        desk.newsroom.subscriber("one", push(receiver.url))
        desk.newsroom.subscriber("two", file_in(tmp_path))
        for headline in ("a", "b", "c"):
            desk.published(headline=headline)
        graph.enqueue.run()
        graph.clock.advance(seconds=70)  # type: ignore[attr-defined]
        graph.transmit.run()
        graph.clock.advance(seconds=70)  # type: ignore[attr-defined]
        graph.transmit.run()

        found = watcher.metrics()

        assert {k: v for k, v in found.items() if k.startswith("attempts_total")} == {
            "attempts_total retrying http_push": 1,
            "attempts_total failed http_push": 1,
            "attempts_total success http_push": 2,
            "attempts_total success File": 3,
        }
        assert found["attempt_seconds_count http_push"] == 4
        assert found["attempt_seconds_bucket +Inf http_push"] == 4
        assert found["delivered_seconds_count http_push"] == 2
        assert found["delivered_seconds_sum http_push"] == 70 + 140
        steps = [found[f"delivered_seconds_bucket {n}.0 http_push"] for n in (60, 120, 300)]
        assert steps == [0, 1, 2]
        assert found["delivered_seconds_sum File"] == 3 * 70

    def test_counts_never_fall(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, watcher: Watcher
    ) -> None:
        """Neither when old hours are removed, nor when rows or subscribers are."""
        desk.newsroom.subscriber("one", push(receiver.url))
        desk.published()
        graph.enqueue.run()
        graph.transmit.run()
        before = watcher.metrics()
        for name in ("publish_queue", "publish_lanes", "subscribers"):
            graph.db[name].delete_many({})
        graph.db["delivery_counters"].delete_many({"expires_at": {"$type": "date"}})

        after = watcher.metrics()

        assert before["attempts_total success http_push"] == 1
        assert after["attempts_total success http_push"] == 1
        assert after["delivered_seconds_count http_push"] == 1

    def test_a_type_that_is_not_installed_is_unknown(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, watcher: Watcher
    ) -> None:
        """Whatever clients write as a type makes no labels."""
        target = {**push("http://127.0.0.1:9"), "delivery_type": "odd"}
        subscriber = desk.newsroom.subscriber("one", target)
        fill(graph.db, subscriber, target, clock.at, items=2)
        graph.transmit.run()
        assert watcher.metrics()["attempts_total failed unknown"] == 2


class TestWaiting:
    def test_rows_by_state(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        watcher: Watcher,
    ) -> None:
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        rows = fill(graph.db, subscriber, push(receiver.url), clock.at, items=6)
        leave_claimed(graph.db, clock, item_id="item-0000")
        other = {"state": "retrying", "next_retry_attempt_at": clock.at + timedelta(minutes=1)}
        graph.db["publish_queue"].update_one({"_id": rows[1]["_id"]}, {"$set": other})
        graph.db["publish_queue"].update_one(
            {"_id": rows[2]["_id"]}, {"$set": {"state": "success"}}
        )
        found = watcher.metrics()
        assert found["rows pending"] == 3
        assert found["rows in-progress"] == 1
        assert found["rows retrying"] == 1
        assert "rows success" not in found

    def test_lag_is_the_age_of_the_oldest_row_that_is_due(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        watcher: Watcher,
    ) -> None:
        """Of each destination; what waits for its retry is not due before its time."""
        names = ("waits", "is urgent", "retries", "rests", "is idle")
        ids = {
            name: desk.newsroom.subscriber(name, {**push(receiver.url), "name": f"to {name}"})
            for name in names
        }
        start = clock.at
        fill(graph.db, ids["waits"], push(receiver.url), start, items=2)
        fill(graph.db, ids["is urgent"], push(receiver.url), start, items=1)
        fill(graph.db, ids["retries"], push(receiver.url), start, items=1)
        fill(graph.db, ids["rests"], push(receiver.url), start, items=1)
        clock.advance(seconds=40)
        # Something urgent hides nothing that is older.
        rows = graph.db["publish_queue"]
        urgent = rows.find_one({"subscriber_id": ids["is urgent"]})
        fresh = {"_id": ObjectId(), "_created": clock.at, "priority": True, "order_no": 99}
        rows.insert_one({**urgent, **fresh, "idempotency_key": "urgent"})
        again = {"state": "retrying", "next_retry_attempt_at": start + timedelta(seconds=90)}
        rows.update_many({"subscriber_id": ids["retries"]}, {"$set": again})
        later = {"state": "retrying", "next_retry_attempt_at": start + timedelta(hours=1)}
        rows.update_many({"subscriber_id": ids["rests"]}, {"$set": later})
        clock.advance(seconds=60)

        assert watcher.destinations("lag_seconds") == {
            "to waits, waits": 100,
            "to is urgent, is urgent": 100,
            "to retries, retries": 10,
        }
        assert watcher.metrics()["lag_seconds_max"] == 100

    def test_of_an_inactive_subscriber_nothing_is_due(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        watcher: Watcher,
    ) -> None:
        subscriber = desk.newsroom.subscriber("one", push(receiver.url), is_active=False)
        fill(graph.db, subscriber, push(receiver.url), clock.at, items=1)
        clock.advance(hours=1)
        assert watcher.metrics()["lag_seconds_max"] == 0

    @pytest.mark.parametrize("state", ["paused", "held"])
    def test_what_somebody_keeps_back_is_not_due(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        watcher: Watcher,
        state: str,
    ) -> None:
        """Neither of a destination that is paused, nor what waits for a word; newer rows are.

        Delivery contract 7.1.
        """
        receiver.answer(lambda request: 503)
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        fill(graph.db, subscriber, push(receiver.url), clock.at, items=6)
        graph.transmit.run()
        clock.advance(seconds=100)
        assert watcher.metrics()["lag_seconds_max"] == 100
        lane = f"subscribers/{subscriber}/destinations/push"
        if state == "paused":
            assert desk.client.post(f"{lane}/pause", {}).status_code == 200
        else:
            last = {"$set": {HELD_TO: 6}}
            graph.db["publish_lanes"].update_one({}, last)
        found = watcher.metrics()
        assert found["lag_seconds_max"] == 0
        assert found["breakers"] == (0 if state == "paused" else 1)

    def test_receivers_that_are_down(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        watcher: Watcher,
    ) -> None:
        """Open, then half-open when they may be probed, then gone."""
        receiver.answer(lambda request: 503)
        subscriber = desk.newsroom.subscriber("one", {**push(receiver.url), "name": "feed"})
        fill(graph.db, subscriber, push(receiver.url), clock.at, items=8)

        def breakers() -> tuple[list[str], float]:
            return sorted(watcher.destinations("breaker")), watcher.metrics()["breakers"]

        assert breakers() == ([], 0)
        graph.transmit.run()
        assert breakers() == (["feed, open, one"], 1)
        clock.advance(seconds=31)
        assert breakers() == (["feed, half-open, one"], 1)
        # The rows that are due are late, whatever the breaker says.
        assert watcher.metrics()["lag_seconds_max"] == 31
        receiver.answer(lambda request: 200)
        graph.transmit.run()
        assert breakers() == ([], 0)


class TestCost:
    def test_counts_what_is_being_sent_as_clients_see_it(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, receiver: HTTPReceiver
    ) -> None:
        """It waits as stored, and the document of its lane names it."""
        subscriber = desk.newsroom.subscriber("s", push(receiver.url))
        fill(desk.db, subscriber, push(receiver.url), clock.at, items=3)
        seen: list[str] = []

        def answer(request: Received) -> Reply:
            seen.append(graph.monitoring.metrics.text().decode())
            return 200

        receiver.answer(answer)
        graph.transmit.run()

        assert 'wiredesk_rows{state="in-progress"} 3.0' in seen[0]
        assert 'wiredesk_rows{state="pending"} 0.0' in seen[0]
        assert 'wiredesk_rows{state="in-progress"} 0.0' in graph.monitoring.metrics.text().decode()

    def test_is_bounded(
        self,
        desk: Newsdesk,
        clock: HandClock,
        receiver: HTTPReceiver,
        settings: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Of many destinations some are told apart, and what they all have in common is counted."""
        monkeypatch.setattr("apps.publish.metrics.MOST_DESTINATIONS", 3)
        monkeypatch.setattr("apps.publish.metrics.MOST_ROWS", 10)
        counter = CommandCounter()
        for number in range(6):
            subscriber = desk.newsroom.subscriber(f"s{number}", push(receiver.url))
            fill(desk.db, subscriber, push(receiver.url), clock.at, items=3)
            clock.advance(seconds=10)
        with closing(build_graph(settings, clock=clock, listeners=[counter])) as graph:
            counter.count = 0
            text = graph.monitoring.metrics.text().decode()

        assert counter.count <= 12 + 3 * 3 + 3
        assert text.count("\nwiredesk_lag_seconds{") == 3
        assert 'wiredesk_rows{state="pending"} 10.0' in text

    def test_who_asks_often_costs_nothing(
        self, clock: HandClock, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exposition, "KEPT_SECONDS", 60)
        counter = CommandCounter()
        with closing(build_graph(settings, clock=clock, listeners=[counter])) as graph:
            first = graph.monitoring.metrics.text()
            counter.count = 0
            assert [graph.monitoring.metrics.text() for _ in range(5)] == [first] * 5
            assert counter.count == 0


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "line\nend", "Straße", "", None, 5])
def test_names_of_any_kind(
    desk: Newsdesk,
    graph: Graph,
    receiver: HTTPReceiver,
    clock: HandClock,
    watcher: Watcher,
    name: Any,
) -> None:
    subscriber = desk.newsroom.subscriber("one", {**push(receiver.url), "name": name})
    graph.db["subscribers"].update_one({"_id": subscriber}, {"$set": {"name": name}})
    fill(graph.db, subscriber, push(receiver.url), clock.at, items=1)
    clock.advance(seconds=5)
    assert watcher.metrics()["lag_seconds_max"] == 5


def test_nothing_secret_is_shown(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, watcher: Watcher
) -> None:
    config = {"resource_url": f"{receiver.url}?key=planted", "secret_token": "planted"}
    desk.newsroom.subscriber("one", {**push(receiver.url), "config": config})
    desk.published()
    graph.enqueue.run()
    answer = watcher.get("/metrics", Authorization=f"Bearer {TOKEN}")
    assert answer.status_code == 200
    assert "planted" not in answer.text
    assert "127.0.0.1" not in answer.text


def test_sites_are_there_too(watcher: Watcher) -> None:
    """Of all accounts (cms contract 14)."""
    answer = watcher.get("/metrics", Authorization=f"Bearer {TOKEN}")
    assert "# TYPE wiredesk_publisher_queue_age_seconds gauge" in answer.text
    assert "# TYPE wiredesk_lag_seconds gauge" in answer.text
