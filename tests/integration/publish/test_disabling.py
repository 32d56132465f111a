"""Destinations that fail for too long are disabled (delivery contract 3.2)."""

from datetime import timedelta
from random import Random
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.queues import fill
from tests.support.receivers import HTTPReceiver


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "RETRY_JITTER": 0}


@pytest.fixture
def subscriber(desk: Newsdesk, receiver: HTTPReceiver) -> Any:
    return desk.newsroom.subscriber("Daily", push(receiver.url))


def state(desk: Newsdesk, subscriber: Any) -> Document:
    return dict(desk.client.get(f"subscribers/{subscriber}/destinations/push").get_json())


def enable(desk: Newsdesk, subscriber: Any, **body: Any) -> Any:
    return desk.client.post(f"subscribers/{subscriber}/destinations/push/enable", body)


class TestGone:
    def test_a_receiver_that_is_gone_is_disabled_at_once(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: Any
    ) -> None:
        """One row is refused; what follows is made and kept. Delivery contract A2."""
        receiver.answer([410])
        for _ in range(3):
            desk.published()
        graph.enqueue.run()

        graph.transmit.run()
        graph.transmit.run()

        assert len(receiver.requests) == 1
        assert sorted(row["state"] for row in desk.rows()) == ["failed", "pending", "pending"]
        assert desk.row(state="failed")["fault"] == "theirs"
        shown = state(desk, subscriber)
        assert (shown["state"], shown["waiting"], shown["held"]) == ("disabled", 2, 0)
        assert "410" in shown["because"]

    @pytest.mark.parametrize("is_async", [True, False])
    def test_enabled_it_gets_what_was_kept(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, is_async: bool
    ) -> None:
        """In order, in one run. Delivery contract A5."""
        subscriber = desk.newsroom.subscriber("Daily", push(receiver.url), **{"async": is_async})
        receiver.answer([410])
        desk.published()
        graph.enqueue.run()
        graph.transmit.run()
        for headline in ("one", "two"):
            desk.published(headline=headline)
        graph.enqueue.run()
        assert graph.transmit.run() == 0

        assert enable(desk, subscriber).status_code == 200
        graph.transmit.run()

        heard = [request.json()["headline"] for request in receiver.requests[1:]]
        assert sorted(heard) == ["one", "two"]
        assert state(desk, subscriber)["state"] == "ok"

    def test_not_where_its_subscriber_says_so(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """Then each row is refused. Delivery contract A4."""
        receiver.answer(lambda request: 410)
        subscriber = desk.newsroom.subscriber("Daily", push(receiver.url), disable_failing=False)
        for _ in range(3):
            desk.published()
        graph.enqueue.run()
        graph.transmit.run()

        assert len(receiver.requests) == 3
        assert state(desk, subscriber)["state"] == "failing"

    def test_not_where_the_setting_says_so(
        self, desk: Newsdesk, settings: dict[str, Any], clock: HandClock, receiver: HTTPReceiver
    ) -> None:
        """DISABLE_GONE. Delivery contract A2."""
        receiver.answer(lambda request: 410)
        subscriber = desk.newsroom.subscriber("Daily", push(receiver.url))
        graph = build_graph({**settings, "DISABLE_GONE": False}, clock=clock)
        fill(graph.db, subscriber, push(receiver.url), clock.at, items=3)
        graph.transmit.run()
        graph.close()

        assert len(receiver.requests) == 3

    def test_a_media_file_that_is_gone_says_nothing_of_the_receiver(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """Only an item that is answered so does. Delivery contract A2."""
        receiver.answer(lambda request: 410 if request.method == "GET" else 200)
        assets = {"assets_url": f"{receiver.url}/assets"}
        where = push(receiver.url)
        where["config"] |= assets
        subscriber = desk.newsroom.subscriber("Daily", where)
        rows = fill(graph.db, subscriber, where, graph.clock.precise(), items=2)
        body = '{"guid": "x", "renditions": {"original": {"media": "m"}}}'
        graph.db["publish_payloads"].update_one(
            {"_id": rows[0]["payload_id"]}, {"$set": {"body": body}}
        )

        graph.transmit.run()

        assert [row["state"] for row in desk.rows()] == ["failed", "success"]


class TestFailingForDays:
    def test_five_days_without_a_success_disable_it(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        subscriber: Any,
    ) -> None:
        """Not before, and with ten attempts at least. Delivery contract A1."""
        receiver.answer(lambda request: 503)
        began = clock.at
        while state(desk, subscriber)["state"] != "disabled":
            assert clock.at - began < timedelta(days=6)
            fill(graph.db, subscriber, push(receiver.url), clock.at, items=1, **unique(clock))
            graph.transmit.run()
            clock.advance(hours=4)

        assert timedelta(days=5) <= clock.at - began <= timedelta(days=5, hours=8)
        before = len(receiver.requests)
        assert before >= 10
        fill(graph.db, subscriber, push(receiver.url), clock.at, items=1, **unique(clock))
        assert graph.transmit.run() == 0
        shown = state(desk, subscriber)
        assert shown["because"].startswith("Nothing has got through since 2030-01-01 12:00 UTC")
        assert shown["last_failure"]["status"] == 503

    @pytest.mark.parametrize(("attempts", "disabled"), [(9, False), (10, True)])
    def test_few_attempts_disable_nothing(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        subscriber: Any,
        attempts: int,
        disabled: bool,
    ) -> None:
        """Delivery contract A1."""
        receiver.answer(lambda request: 400)
        for _ in range(attempts):
            fill(graph.db, subscriber, push(receiver.url), clock.at, items=1, **unique(clock))
            graph.transmit.run()
            clock.advance(hours=15)

        assert (state(desk, subscriber)["state"] == "disabled") is disabled

    def test_any_success_forgets_the_failures(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        subscriber: Any,
    ) -> None:
        """A receiver that gets one through now and then is never disabled. Delivery contract A1."""
        for number in range(60):
            receiver.answer([200 if number % 12 == 11 else 400])
            fill(graph.db, subscriber, push(receiver.url), clock.at, items=1, **unique(clock))
            graph.transmit.run()
            clock.advance(hours=9)

        assert state(desk, subscriber)["state"] == "ok"
        assert len(receiver.requests) == 60

    def test_a_receiver_that_flips_gets_everything_and_is_never_disabled(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        subscriber: Any,
    ) -> None:
        """Every second attempt fails, by chance, for days. Delivery contract A1."""
        rng = Random(8)
        receiver.answer(lambda request: rng.choice([200, 503]))
        seen = set()
        for _ in range(12):
            fill(graph.db, subscriber, push(receiver.url), clock.at, items=1, **unique(clock))
            for _ in range(3):
                graph.transmit.run()
                clock.advance(hours=4)
            seen.add(state(desk, subscriber)["state"])
        receiver.answer([])
        clock.advance(hours=2)
        graph.transmit.run()

        assert {row["state"] for row in desk.rows()} == {"success"}
        assert seen <= {"ok", "failing"}

    def test_what_is_not_the_receivers_fault_does_not_count(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        subscriber: Any,
    ) -> None:
        """Rows without a body, of which it never heard. Delivery contract A3."""
        for _ in range(20):
            rows = fill(
                graph.db, subscriber, push(receiver.url), clock.at, items=1, **unique(clock)
            )
            graph.db["publish_payloads"].delete_many({"_id": rows[0]["payload_id"]})
            graph.transmit.run()
            clock.advance(hours=9)

        assert {row["fault"] for row in desk.rows()} == {"ours"}
        assert state(desk, subscriber)["state"] == "ok"

    def test_enabled_the_count_begins_anew(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        subscriber: Any,
    ) -> None:
        """The next failure does not disable it again. Delivery contract A5."""
        receiver.answer(lambda request: 400)
        for _ in range(12):
            fill(graph.db, subscriber, push(receiver.url), clock.at, items=1, **unique(clock))
            graph.transmit.run()
            clock.advance(hours=12)
        assert state(desk, subscriber)["state"] == "disabled"

        assert enable(desk, subscriber, older="send").status_code == 200
        graph.transmit.run()

        shown = state(desk, subscriber)
        assert (shown["state"], shown["waiting"]) == ("failing", 0)

    def test_zero_days_disable_nothing(
        self, desk: Newsdesk, settings: dict[str, Any], clock: HandClock, receiver: HTTPReceiver
    ) -> None:
        """DISABLE_FAILING_AFTER_DAYS. Delivery contract A1."""
        receiver.answer(lambda request: 400)
        subscriber = desk.newsroom.subscriber("Daily", push(receiver.url))
        graph = build_graph({**settings, "DISABLE_FAILING_AFTER_DAYS": 0}, clock=clock)
        for _ in range(12):
            fill(graph.db, subscriber, push(receiver.url), clock.at, items=1, **unique(clock))
            graph.transmit.run()
            clock.advance(hours=24)
        graph.close()

        assert len(receiver.requests) == 12


def unique(clock: HandClock) -> Document:
    """Return fields of a row that no other has."""
    key = f"{clock.at:%d%H%M}"
    return {"idempotency_key": key, "payload_id": key, "item_id": f"item-{key}"}


class TestFault:
    """Delivery contract 1."""

    @pytest.mark.parametrize("status", [400, 404, 410])
    def test_a_refusal_is_theirs(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, status: int
    ) -> None:
        receiver.answer([status])
        desk.newsroom.subscriber("Daily", push(receiver.url))
        desk.published()
        graph.enqueue.run()
        graph.transmit.run()

        shown = desk.client.get(f"publish_queue/{desk.row()['_id']}").get_json()
        assert (shown["state"], shown["fault"]) == ("failed", "theirs")

    def test_an_unknown_type_is_ours(self, desk: Newsdesk, graph: Graph) -> None:
        where = {**file_in("/nowhere"), "delivery_type": "PublicArchive"}
        desk.newsroom.subscriber("Daily", where)
        desk.published()
        graph.enqueue.run()
        graph.transmit.run()

        assert (desk.row()["state"], desk.row()["fault"]) == ("failed", "ours")

    def test_what_waits_has_none_and_what_is_sent_again_loses_it(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        receiver.answer([400, 503, 200])
        desk.newsroom.subscriber("Daily", push(receiver.url))
        desk.published()
        graph.enqueue.run()
        faults = []
        for _ in range(2):
            graph.transmit.run()
            row = desk.row()
            faults.append((row["state"], row.get("fault")))
            path = f"publish_queue/{row['_id']}"
            etag = desk.client.get(path).get_json()["_etag"]
            answer = desk.client.patch(path, {"state": "pending"}, etag)
            assert answer.status_code == 200, answer.text
            assert not desk.row().get("fault")
        graph.transmit.run()

        assert faults == [("failed", "theirs"), ("retrying", None)]
        assert (desk.row()["state"], desk.row().get("fault")) == ("success", None)
