"""From the delivery queue to receivers: retries, order, lanes and claims.

Delivery contract 1 to 3.
"""

import hmac
import re
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha1
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from bson import encode
from pymongo.errors import AutoReconnect

from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from apps.lanes.claims import LaneClaims
from apps.lanes.retries import attempt_note
from apps.publish.transmit import attempt, run
from apps.publish.transmit.claim import LaneSelection, RowClaims
from apps.publish.transmit.recover import Recovery
from apps.publish.transmit.results import TRIES
from apps.publish.transmit.run import lane_kind
from apps.store.sequences import Sequences
from tests.support.dying import transmitting
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.queues import counts, fill, leave_claimed, spread_over
from tests.support.receivers import Fault, HTTPReceiver, Received, Reply
from transmitters.base import Mode

LARGEST_DOCUMENT = 16 * 1024 * 1024
NOWHERE = "http://127.0.0.1:9"


def told(receiver: HTTPReceiver) -> list[tuple[str, str]]:
    """Return what the receiver was sent, in order: headline and version."""
    return [(body["headline"], body["version"]) for body in bodies(receiver)]


def bodies(receiver: HTTPReceiver) -> list[Document]:
    return [request.json() for request in receiver.requests]


def deliver(graph: Graph) -> int:
    """Route what is published and send what is due."""
    graph.enqueue.run()
    return graph.transmit.run()


def by_age(directory: Path) -> list[Path]:
    """Return the files in the order in which they were written."""
    return sorted(directory.iterdir(), key=lambda file: file.stat().st_mtime_ns)


def refuse(*headlines: str, status: int = 500) -> Any:
    """Answer items with one of the `headlines` with `status`, the others with 200."""

    def answer(request: Received) -> Reply:
        return status if request.json()["headline"] in headlines else 200

    return answer


class TestTransmitImmediately:
    """With tasks that run at once, where only a worker's tick would deliver otherwise."""

    @pytest.fixture
    def eager(self) -> bool:
        return True

    @pytest.fixture(params=[True, False], ids=["on", "off"])
    def immediately(self, request: pytest.FixtureRequest) -> bool:
        return bool(request.param)

    @pytest.fixture
    def settings(self, settings: dict[str, Any], immediately: bool) -> dict[str, Any]:
        return {**settings, "TRANSMIT_IMMEDIATELY": immediately}

    def test_rows_wait_for_the_tick(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, immediately: bool
    ) -> None:
        """Of every publish action, of resends, and of rows that a client sends again."""
        desk.newsroom.subscriber("one", push(receiver.url))
        item = desk.published()
        sent = {"subscribers": [str(desk.row()["subscriber_id"])], "version": 2}
        assert desk.client.post(f"archive/{item['_id']}/resend", sent).status_code == 201
        for operation in ("correct", "unpublish"):
            item = desk.act(operation, desk.client.get(f"archive/{item['_id']}").get_json())

        states = {row["state"] for row in desk.rows()}
        assert states == ({"success"} if immediately else {"pending", "canceled"})
        assert bool(receiver.requests) == immediately

        graph.transmit.run()
        assert {row["state"] for row in desk.rows()} <= {"success", "canceled"}
        assert receiver.requests


class TestStalledReceiver:
    """One that lets deliveries wait in vain."""

    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        limits = {"HTTP_PUSH_TIMEOUT": [1, 1.1], "HTTP_PUSH_TOTAL_TIMEOUT": 1.5}
        return {**settings, **limits, "LEASE_SECONDS": 36000}

    @pytest.mark.parametrize("fault", [Fault.HANG, Fault.SLOW_HEADERS])
    @pytest.mark.parametrize("is_async", [True, False])
    def test_is_tried_once_in_a_run(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        fault: Fault,
        is_async: bool,
    ) -> None:
        """However much waits for it, and though what was tried is due again: the run ends."""

        def answer(request: Any) -> Any:
            clock.advance(minutes=3)
            return fault

        with HTTPReceiver(answer) as bad:
            desk.newsroom.subscriber("bad", push(bad.url), **{"async": is_async})
            desk.newsroom.subscriber("good", push(receiver.url))
            for _ in range(6):
                desk.published()
            graph.enqueue.run()
            graph.transmit.run()

            assert len(receiver.requests) == 6
            tried = 4 if is_async else 1
            assert len(bad.requests) == tried
            assert len(desk.rows(state="pending")) == 6 - tried
            assert graph.transmit.run() > 0

    def test_gets_the_rest_once_it_answers(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """The next run goes on with what was left."""
        receiver.answer([Fault.HANG])
        desk.newsroom.subscriber("one", push(receiver.url))
        for _ in range(3):
            desk.published()
        graph.enqueue.run()
        assert [1, 2, 0] == [graph.transmit.run() for _ in range(3)]
        assert len(desk.rows(state="success")) == 2


class TestOneDelivery:
    def test_sends_a_published_text_once(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """One POST with guid and version; the row says when it started and ended.

        Delivery scenario 1.
        """
        desk.newsroom.subscriber("one", push(receiver.url))
        item = desk.published()

        assert deliver(graph) == 1

        (body,) = bodies(receiver)
        row = desk.row()
        assert receiver.requests[0].method == "POST"
        assert (body["guid"], body["version"]) == (item["_id"], "2")
        assert (row["state"], row["error_message"]) == ("success", None)
        assert row["transmit_started_at"] <= row["completed_at"]
        assert graph.transmit.run() == 0

    def test_signs_what_is_sent_with_the_secret_of_the_destination(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """The signature is that of the bytes; the row does not hold the secret.

        Delivery scenario 2.
        """
        desk.newsroom.subscriber("one", push(receiver.url, secret_token="s3cret"))
        desk.published()

        deliver(graph)

        (request,) = receiver.requests
        expected = "sha1=" + hmac.new(b"s3cret", request.body, sha1).hexdigest()
        assert request.headers["x-superdesk-signature"] == expected
        assert "s3cret" not in str(desk.row())

    def test_sends_no_signature_without_a_secret(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """Delivery scenario 2: without a secret the header is absent."""
        desk.newsroom.subscriber("one", push(receiver.url))
        desk.published()

        deliver(graph)

        assert "x-superdesk-signature" not in receiver.requests[0].headers

    def test_does_not_take_a_redirect_for_success(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """Delivery scenario 7: a 302 is no success and is not followed."""
        receiver.answer([(302, {"Location": f"{receiver.url}/elsewhere"}, b"")])
        desk.newsroom.subscriber("one", push(receiver.url))
        desk.published()

        deliver(graph)

        row = desk.row()
        assert row["state"] == "retrying"
        assert "14000" in row["error_message"]
        assert f"redirect to {receiver.url}/elsewhere is not followed" in row["error_message"]
        assert [r.path for r in receiver.requests] == ["/"]

    @pytest.mark.parametrize("name", ["PublicArchive", "pigeon", ""])
    def test_refuses_an_unknown_delivery_type_at_once(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, name: str
    ) -> None:
        """Delivery scenario 25: failed at once; the message names the type and what to do.

        The other destinations of the subscriber get every version.
        """
        unknown = {**push(receiver.url), "_id": "old", "delivery_type": name}
        desk.newsroom.subscriber("one", unknown, push(receiver.url))
        item = desk.published()
        deliver(graph)
        desk.act("kill", item)
        deliver(graph)

        rows = desk.rows(**{"destination._id": "old"})
        assert [(row["state"], row["retry_attempt"]) for row in rows] == [("failed", 0)] * 2
        for row in rows:
            assert row["error_message"].startswith(
                "PublishQueueError Error 9004 - Queue item could not be sent:"
                f"unknown transmitter {name!r}; known: http_push, "
            )
            assert row["error_message"].endswith("give it another type, or remove it")
        assert [r.json()["pubstatus"] for r in receiver.requests] == ["usable", "canceled"]


class TestRetry:
    def test_tries_again_when_its_time_has_come(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """500, then about a minute of rest, then 200; the message is cleared.

        Delivery scenario 3.
        """
        receiver.answer([500])
        desk.newsroom.subscriber("one", push(receiver.url))
        desk.published()
        deliver(graph)
        refused = desk.row()

        early = graph.transmit.run()
        clock.advance(seconds=67)
        in_time = graph.transmit.run()

        wait = (refused["next_retry_attempt_at"] - clock.at).total_seconds() + 67
        assert (refused["state"], refused["retry_attempt"]) == ("retrying", 1)
        assert "500" in refused["error_message"]
        assert 60 <= wait <= 66
        row = desk.row()
        assert (early, in_time, row["state"], row["error_message"]) == (0, 1, "success", None)
        assert [note["outcome"] for note in row["attempts"]] == ["retrying", "success"]
        assert len({r.headers["webhook-id"] for r in receiver.requests}) == 1

    def test_gives_up_after_ten_retries(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """Minutes 1, 2, 4 ... 64 with at most a tenth more; the eleventh failure.

        Delivery scenario 4.
        """
        receiver.answer(lambda request: 500)
        desk.newsroom.subscriber("one", push(receiver.url))
        desk.published()
        deliver(graph)
        minutes = []
        while (row := desk.row())["state"] == "retrying":
            minutes.append((row["next_retry_attempt_at"] - clock.at).total_seconds() / 60)
            clock.at = row["next_retry_attempt_at"]
            assert graph.transmit.run() == 1

        ladder = [1, 2, 4, 8, 16, 32, 64, 64, 64, 64]
        assert len(ladder) == len(minutes)
        assert all(w <= m <= w * 1.1 for w, m in zip(ladder, minutes, strict=True))
        assert (row["state"], row["retry_attempt"], len(receiver.requests)) == ("failed", 10, 11)
        clock.advance(days=1)
        assert graph.transmit.run() == 0

    @pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
    def test_gives_up_at_once_when_the_receiver_refuses_the_request(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock, status: int
    ) -> None:
        """Delivery scenario 5: after a 4xx there is no second request."""
        receiver.answer(lambda request: status)
        desk.newsroom.subscriber("one", push(receiver.url))
        desk.published()

        deliver(graph)
        clock.advance(days=1)
        graph.transmit.run()

        row = desk.row()
        assert (row["state"], len(receiver.requests)) == ("failed", 1)
        assert str(status) in row["error_message"]

    @pytest.mark.parametrize("status", [408, 425, 429])
    def test_waits_as_long_as_the_receiver_asks(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock, status: int
    ) -> None:
        """Delivery scenario 5: `Retry-After: 120` counts, not the ladder's minute."""
        receiver.answer([(status, {"Retry-After": "120"}, b"")])
        desk.newsroom.subscriber("one", push(receiver.url))
        desk.published()
        deliver(graph)

        clock.advance(seconds=119)
        early = graph.transmit.run()
        clock.advance(seconds=14)

        assert (early, graph.transmit.run(), desk.row()["state"]) == (0, 1, "success")

    def test_records_why_nobody_answered(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """Delivery scenario 6: a closed port is retried, and the row says so."""
        desk.newsroom.subscriber("one", push(receiver.url))
        desk.published()
        receiver.close()

        deliver(graph)

        row = desk.row()
        assert (row["state"], row["retry_attempt"]) == ("retrying", 1)
        assert row["error_message"].startswith("PublishHTTPPushError Error 14000")

    def test_starts_no_row_of_a_subscriber_that_is_not_active(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """Delivery scenario 29: nothing is sent while inactive; then everything is, in order."""
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        for headline in ("a", "b", "c"):
            desk.published(headline=headline)
        graph.enqueue.run()
        active = {"$set": {"is_active": True}}
        desk.db["subscribers"].update_one({"_id": subscriber}, {"$set": {"is_active": False}})

        assert graph.transmit.run() == 0
        assert {row["state"] for row in desk.rows()} == {"pending"}
        desk.db["subscribers"].update_one({"_id": subscriber}, active)
        clock.advance(seconds=61)

        assert graph.transmit.run() == 3
        assert [headline for headline, _ in told(receiver)] == ["a", "b", "c"]


class TestOrder:
    def test_the_kill_comes_last_after_an_outage(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """Delivery scenario 11: what the kill overtakes is canceled and says by what."""
        receiver.answer(lambda request: 503)
        desk.newsroom.subscriber("one", push(receiver.url))
        item = desk.published()
        deliver(graph)
        desk.act("correct", item, headline="corrected")
        deliver(graph)
        desk.act("kill", item, headline="killed")
        graph.enqueue.run()
        receiver.answer([])

        graph.transmit.run()
        clock.advance(days=1)
        graph.transmit.run()

        first, second, kill = desk.rows()
        assert (first["state"], second["state"], kill["state"]) == (
            "canceled",
            "canceled",
            "success",
        )
        assert {kill["_id"]} == {first["superseded_by"], second["superseded_by"]}
        assert told(receiver)[-1] == ("killed", "4")
        assert [h for h, _ in told(receiver)].count("killed") == 1

    def test_push_lets_a_correction_pass_a_version_that_is_refused(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """Version 2 goes at the next run; version 1 is canceled, never repeated.

        Delivery scenario 12.
        """
        receiver.answer([500])
        desk.newsroom.subscriber("one", push(receiver.url))
        item = desk.published(headline="first")
        deliver(graph)
        desk.act("correct", item, headline="second")
        deliver(graph)

        clock.advance(days=1)
        graph.transmit.run()

        old, new = desk.rows()
        assert (old["state"], old["superseded_by"]) == ("canceled", new["_id"])
        assert [headline for headline, _ in told(receiver)] == ["first", "second"]

    def test_files_keep_the_order_of_versions(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, tmp_path: Path
    ) -> None:
        """Where versions are documents of their own, the first is tried in 60 s.

        Delivery scenario 12.
        """
        target = tmp_path / "inbox"
        desk.newsroom.subscriber("one", file_in(target))
        item = desk.published(headline="first")
        deliver(graph)
        for _ in range(4):  # the ladder alone would mean a wait of 16 minutes now
            clock.at = desk.row()["next_retry_attempt_at"]
            graph.transmit.run()
        desk.act("correct", item, headline="second")
        deliver(graph)
        target.mkdir()

        clock.advance(seconds=59)
        early = graph.transmit.run()
        clock.advance(seconds=2)
        graph.transmit.run()

        assert (early, [row["state"] for row in desk.rows()]) == (0, ["success", "success"])
        versions = [int(re.findall(r"-(\d+)-\d+\.", f.name)[0]) for f in by_age(target)]
        assert versions == [2, 3]

    def test_early_tries_do_not_count_towards_giving_up(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, tmp_path: Path
    ) -> None:
        """Tries that are made early because a newer version waits are extra.

        Delivery contract O1.
        """
        desk.newsroom.subscriber("one", file_in(tmp_path / "missing"))
        item = desk.published(headline="first")
        deliver(graph)
        for _ in range(3):
            clock.at = desk.rows()[0]["next_retry_attempt_at"]
            graph.transmit.run()
        desk.act("correct", item, headline="second")
        deliver(graph)
        before = desk.rows()[0]

        for _ in range(3):
            clock.advance(seconds=61)
            graph.transmit.run()

        after, waiting = desk.rows()
        assert before["retry_attempt"] == after["retry_attempt"] == 4
        assert len(after["attempts"]) == len(before["attempts"]) + 3
        assert (waiting["state"], waiting.get("attempts")) == ("pending", None)

    def test_other_items_pass_one_that_waits(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """Delivery scenario 13: B is delivered while A waits for its retry."""
        receiver.answer(refuse("A"))
        desk.newsroom.subscriber("one", push(receiver.url))
        desk.published(headline="A")
        desk.published(headline="B")

        deliver(graph)

        assert [row["state"] for row in desk.rows()] == ["retrying", "success"]

    def test_other_items_pass_one_with_many_waiting_versions(
        self, desk: Newsdesk, graph: Graph, tmp_path: Path
    ) -> None:
        """More waiting versions than one claim takes hold up nobody else, and end the run.

        Delivery contract O2.
        """
        few = build_graph({**graph.settings, "MAX_TRANSMIT_QUERY_LIMIT": 2}, clock=graph.clock)
        desk.newsroom.subscriber("one", file_in(tmp_path / "missing"))
        item = desk.published(headline="A")
        deliver(few)
        (tmp_path / "missing").mkdir()
        for number in range(3):
            desk.act("correct", item, headline=f"A{number}")
        other = desk.published(headline="B")

        deliver(few)
        few.close()

        states = [row["state"] for row in desk.rows()]
        assert states == ["retrying", "pending", "pending", "pending", "success"]
        assert desk.rows()[-1]["item_id"] == other["_id"]

    def test_parallel_lines_keep_their_own_order(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """`async`, 50 items in 3 versions; every item's versions come in order.

        Delivery scenario 14.
        """
        subscriber = desk.newsroom.subscriber("one", push(receiver.url), **{"async": True})
        lane = f"{subscriber}:push"
        fill(graph.db, subscriber, push(receiver.url), graph.clock.precise(), items=50, versions=3)

        graph.transmit.run()

        by_item: dict[str, list[int]] = {}
        for request in receiver.requests:
            body = request.json()
            by_item.setdefault(body["guid"], []).append(body["version"])
        assert len(by_item) == 50
        assert all(versions == [1, 2, 3] for versions in by_item.values())
        assert {row["state"] for row in desk.rows()} == {"success"}
        assert desk.db["publish_lanes"].find_one({"_id": lane})["lease_owner"] is None

    def test_versions_keep_their_order_when_only_the_newer_is_urgent(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """A subscriber that becomes a priority does not get old content after new.

        Delivery contract O1.
        """
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        item = desk.published(headline="first")
        graph.enqueue.run()
        desk.db["subscribers"].update_one({"_id": subscriber}, {"$set": {"priority": True}})
        desk.act("correct", item, headline="second")

        deliver(graph)

        assert [headline for headline, _ in told(receiver)] == ["first", "second"]

    def test_a_kill_overtakes_a_thousand_rows(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """Delivery scenario 15: on a subscriber without priority the kill is still sent first."""
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        item = desk.published(headline="story")
        deliver(graph)
        fill(graph.db, subscriber, push(receiver.url), graph.clock.precise(), items=1000)
        desk.act("kill", item, headline="killed")

        stop = Event()

        def answer(request: Received) -> Reply:
            stop.set()
            return 200

        receiver.answer(answer)
        graph.enqueue.run()
        graph.transmit.run(stop)

        assert [headline for headline, _ in told(receiver)] == ["story", "killed"]
        assert desk.db["publish_queue"].count_documents({"state": "pending"}) == 1000

    def test_failed_rows_block_nobody(
        self, desk: Newsdesk, graph: Graph, tmp_path: Path, receiver: HTTPReceiver
    ) -> None:
        """Delivery contract O7: after a version was given up the next one goes."""
        receiver.answer(refuse("first", status=400))
        desk.newsroom.subscriber("one", push(receiver.url))
        item = desk.published(headline="first")
        desk.act("correct", item, headline="second")

        deliver(graph)

        assert [row["state"] for row in desk.rows()] == ["failed", "success"]


class TestClaims:
    @pytest.mark.parametrize("items", counts(30, 100))
    def test_two_workers_send_every_row_once(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        settings: dict[str, Any],
        items: int,
    ) -> None:
        """Two workers, one subscriber: exactly one request for each row, in order.

        Delivery scenario 19.
        """
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        at = graph.clock.precise()
        fill(graph.db, subscriber, push(receiver.url), at, items=items, versions=2)
        second = build_graph(settings)
        try:
            with ThreadPoolExecutor() as threads:
                runs = [threads.submit(g.transmit.run) for g in (graph, second)]
                assert sum(run.result() for run in runs) == 2 * items
        finally:
            second.close()

        seen = [(body["guid"], body["version"]) for body in bodies(receiver)]
        assert len(seen) == len(set(seen)) == 2 * items
        assert seen == sorted(seen, key=lambda one: (one[1], one[0]))

    def test_rows_of_a_dead_worker_are_sent_after_its_lease(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """Killed after claiming 100 rows; after its lease each goes once.

        Delivery scenario 17, 18.
        """
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        fill(graph.db, subscriber, push(receiver.url), graph.clock.precise(), items=100)
        leave_claimed(graph.db, clock)

        before = graph.transmit.run()
        clock.advance(seconds=70)
        after = graph.transmit.run()

        assert (before, after, len(receiver.requests)) == (0, 100, 100)
        rows = desk.rows()
        assert {row["state"] for row in rows} == {"success"}
        assert {row["retry_attempt"] for row in rows} == {0}
        assert rows[0]["attempts"][0]["outcome"] == "unknown"

    def test_repeats_with_the_same_key_what_a_dead_worker_may_have_sent(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """Killed after the receiver had it, before success: same `webhook-id`.

        Delivery scenario 16.
        """
        desk.newsroom.subscriber("one", push(receiver.url))
        desk.published()
        deliver(graph)
        leave_claimed(graph.db, clock)

        clock.advance(seconds=61)
        graph.transmit.run()

        assert desk.row()["state"] == "success"
        first, again = receiver.requests
        assert first.headers["webhook-id"] == again.headers["webhook-id"]

    def test_gives_up_what_three_workers_died_of(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """After three unknown outcomes in a row the delivery fails; the next one goes.

        Delivery contract C4.
        """
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        fill(graph.db, subscriber, push(receiver.url), graph.clock.precise(), items=2)
        poison = desk.rows()[0]
        claims = LaneClaims(graph.db, clock, lane_kind(graph.settings), "next")
        failed: list[Document] = []
        recovery = Recovery(
            graph.db,
            clock,
            Sequences(graph.db),
            notifier=graph.notifier,
            on_failed=failed.extend,
        )
        for _ in range(3):
            assert failed == []
            leave_claimed(graph.db, clock, _id=poison["_id"])
            clock.advance(seconds=61)
            # As a worker that finds the lane, clears up, and dies again.
            lane = claims.lease(poison["lane"])
            assert lane is not None
            recovery.take_over(lane, Mode.REPLACE, recovery.find_lost(lane))

        clock.advance(seconds=61)
        graph.transmit.run()

        given_up, other = desk.rows()
        assert (given_up["state"], other["state"]) == ("failed", "success")
        assert "worker died" in given_up["error_message"]
        assert [row["_id"] for row in failed] == [poison["_id"]]

    def test_takes_nothing_over_that_a_later_lease_has_marked(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Two workers find the rows of a dead one; the first stands still until the other sends.

        Delivery contract C2.
        """
        subscriber = desk.newsroom.subscriber("one", push(NOWHERE))
        fill(graph.db, subscriber, push(NOWHERE), clock.at, items=2)
        leave_claimed(graph.db, clock)
        lane_id = desk.rows()[0]["lane"]
        first, other = (
            LaneClaims(graph.db, clock, lane_kind(graph.settings), name)
            for name in ("first", "other")
        )
        recovery = Recovery(
            graph.db,
            clock,
            Sequences(graph.db),
            notifier=graph.notifier,
            on_failed=lambda rows: None,
        )
        clock.advance(seconds=61)
        lost_lane = first.lease(lane_id)
        assert lost_lane is not None
        lost = recovery.find_lost(lost_lane)
        clock.advance(seconds=61)
        lane = other.lease(lane_id)
        assert lane is not None
        recovery.take_over(lane, Mode.REPLACE, recovery.find_lost(lane))
        RowClaims(graph.db, clock, other).take(lane, LaneSelection(desk.rows()))
        before = desk.rows()

        recovery.take_over(lost_lane, Mode.REPLACE, lost)

        assert len(lost) == len(before) == 2
        assert before == desk.rows(claim_token=lane.token)

    def test_counts_an_unknown_outcome_however_late_the_next_worker_comes(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """A worker that is started again after minutes still knows that one died here.

        Delivery contract C4.
        """
        subscriber = desk.newsroom.subscriber("one", push(NOWHERE))
        fill(graph.db, subscriber, push(NOWHERE), graph.clock.precise(), items=1)
        leave_claimed(graph.db, clock)

        clock.advance(minutes=10)
        graph.transmit.run()

        row = desk.row()
        assert row["attempts"][0]["outcome"] == "unknown"
        assert row["state"] == "retrying"

    def test_a_worker_without_its_lease_changes_nothing(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """While it waits for an answer another one takes over; its result is void.

        Delivery scenario 20.
        """
        other = build_graph({**graph.settings}, clock=clock)
        fields: Document = {"critical_errors": {"14001": True}}
        subscriber = desk.newsroom.subscriber("one", push(receiver.url), **fields)
        desk.published()
        graph.enqueue.run()

        def answer(request: Received) -> Reply:
            if len(receiver.requests) > 1:
                return 200
            clock.advance(seconds=61)
            assert other.transmit.run() == 1
            return 400

        receiver.answer(answer)
        try:
            graph.transmit.run()
        finally:
            other.close()

        row = desk.row()
        assert (row["state"], row["error_message"]) == ("success", None)
        assert [note["outcome"] for note in row["attempts"]] == ["unknown", "success"]
        assert desk.db["subscribers"].find_one({"_id": subscriber})["is_active"]

    @pytest.mark.parametrize("items", counts(500, 10_000))
    def test_a_long_queue_does_not_delay_others(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, items: int
    ) -> None:
        """Another subscriber's row does not wait for all rows of the first one.

        Delivery scenario 21.
        """
        many = desk.newsroom.subscriber("many", push(receiver.url))
        fill(graph.db, many, push(receiver.url), graph.clock.precise(), items=items)
        stop = Event()

        def answer(request: Received) -> Reply:
            stop.set()
            return 200

        with HTTPReceiver(answer) as other:
            few = desk.newsroom.subscriber("few", push(other.url))
            fill(graph.db, few, push(other.url), graph.clock.precise(), items=1)
            graph.transmit.run(stop)

            assert len(other.requests) == 1
        assert len(receiver.requests) <= 200

    def test_many_destinations_do_not_delay_others(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """Another subscriber's lane comes second, however many lanes of the first one are due.

        Delivery contract P2.
        """
        many = desk.newsroom.subscriber("many", push(receiver.url))
        for number in range(150):
            destination = {**push(receiver.url), "_id": f"d{number}"}
            fill(graph.db, many, destination, clock.precise(), items=1)
        clock.advance(seconds=1)
        few = desk.newsroom.subscriber("few", push(receiver.url))
        fill(graph.db, few, push(receiver.url), clock.precise(), items=1)

        kind = lane_kind(graph.settings)
        due = LaneClaims(graph.db, clock, kind, "somebody").due()

        assert due.normal[1].startswith(f"{few}:")
        assert len(due.normal) == kind.threads + 1

    def test_a_turn_does_not_wait_for_receivers_that_hang(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """They are waited for when the process ends; what comes of it is on record.

        Delivery contract P3.
        """
        with HTTPReceiver(lambda request: Fault.HANG) as hanging:
            desk.newsroom.subscriber("hanging", push(hanging.url))
            desk.newsroom.subscriber("good", push(receiver.url))
            desk.published()
            graph.enqueue.run()
            assert graph.transmit.take_turn(lambda: None) == 1
            assert len(hanging.requests) == len(receiver.requests) == 1
            assert [row["state"] for row in desk.rows()].count("success") == 1
            assert graph.transmit.take_turn(lambda: None) == 0
        graph.transmit.close()
        assert sorted(row["state"] for row in desk.rows()) == ["retrying", "success"]
        assert graph.db["publish_lanes"].count_documents({"lease_owner": {"$ne": None}}) == 0

    @pytest.mark.parametrize("items", counts(60, 500))
    def test_brings_rows_of_all_states_to_an_end(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock, items: int
    ) -> None:
        """Rows in all states; the open ones end, the ended are not sent again.

        Delivery scenario 45.
        """
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        fill(graph.db, subscriber, push(receiver.url), graph.clock.precise(), items=items)
        states = ("pending", "in-progress", "retrying", "success", "failed", "canceled")
        by_state = spread_over(graph.db, states, clock.at)
        leave_claimed(graph.db, clock, are_marked=True, state="in-progress")

        clock.advance(minutes=10)
        graph.transmit.run()

        open_rows = {key for s in states[:3] for key in by_state[s]}
        assert open_rows == {r.headers["webhook-id"] for r in receiver.requests}
        assert len(receiver.requests) == len(open_rows)
        ended = {row["idempotency_key"]: row["state"] for row in desk.rows()}
        assert {ended[key] for key in open_rows} == {"success"}
        assert all(ended[key] == s for s in states[3:] for key in by_state[s])


def test_a_task_gives_its_place_to_others_after_a_while(
    desk: Newsdesk,
    graph: Graph,
    receiver: HTTPReceiver,
    clock: HandClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is published meanwhile is routed; what is left has the task run once more.

    Delivery contract 2.
    """
    subscriber = desk.newsroom.subscriber("one", push(receiver.url))
    fill(graph.db, subscriber, push(receiver.url), clock.at, items=2)
    asked: list[int] = []

    def again() -> None:
        asked.append(len(receiver.requests))

    monkeypatch.setattr(run, "TURN_SECONDS", 0.0)
    first = graph.transmit.take_turn(again)
    monkeypatch.setattr(run, "TURN_SECONDS", 60.0)
    second = graph.transmit.take_turn(again)

    assert (first, second, asked) == (0, 2, [0])
    assert {row["state"] for row in desk.rows()} == {"success"}


class ForgetfulQueue:
    """A delivery queue whose server refuses results for a while; everything else works."""

    def __init__(self, collection: Any, refusals: int) -> None:
        self._collection = collection
        self._refusals = refusals

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def bulk_write(self, writes: Any, **options: Any) -> Any:
        if self._refusals:
            self._refusals -= 1
            raise AutoReconnect("not now")
        return self._collection.bulk_write(writes, **options)


class WatchedQueue(ForgetfulQueue):
    """A delivery queue that counts the statements of bulk writes."""

    statements = 0

    def bulk_write(self, writes: Any, **options: Any) -> Any:
        self.statements += len(writes)
        return super().bulk_write(writes, **options)


def test_deliveries_that_took_different_times_are_recorded_together(
    desk: Newsdesk,
    graph: Graph,
    receiver: HTTPReceiver,
    clock: HandClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One statement for all of them; each row keeps how long its own attempt took."""
    subscriber = desk.newsroom.subscriber("one", push(receiver.url))
    rows = fill(graph.db, subscriber, push(receiver.url), clock.at, items=5)
    tried = attempt_note(clock.at, "retrying", ms=9, status=500, message="$literally")
    retry = {"$set": {"attempts": [tried], "retry_attempt": 1}}
    graph.db["publish_queue"].update_one({"_id": rows[3]["_id"]}, retry)
    queue = WatchedQueue(graph.db["publish_queue"], refusals=0)
    took = [7, 12, 7, 40, 3000]
    left = iter(took)

    def note(*values: Any, **fields: Any) -> Document:
        return attempt_note(*values, **{**fields, "ms": next(left)})

    monkeypatch.setattr(attempt, "attempt_note", note)

    class Database:
        def __getitem__(self, name: str) -> Any:
            return queue if name == "publish_queue" else graph.db[name]

    transmitting(graph, Database()).run()

    delivered = sorted(desk.rows(), key=lambda row: row["order_no"])
    attempts = [row["attempts"] for row in delivered]
    assert queue.statements == 2
    assert [row["state"] for row in delivered] == ["success"] * 5
    assert [own[-1]["ms"] for own in attempts] == took
    assert attempts[0] == [{**attempts[1][0], "ms": 7}]
    assert attempts[3] == [tried, {**attempts[1][0], "ms": 40}]
    assert {row["completed_at"] for row in delivered} == {clock.precise()}


class TestBrokenOff:
    def test_sends_again_what_could_not_be_recorded(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """A result that is not stored leaves no row behind; it repeats with its key.

        Delivery contract 2.1.
        """
        desk.newsroom.subscriber("one", push(receiver.url))
        desk.published()
        graph.enqueue.run()
        queue = ForgetfulQueue(graph.db["publish_queue"], refusals=TRIES)

        class Database:
            def __getitem__(self, name: str) -> Any:
                return queue if name == "publish_queue" else graph.db[name]

        transmitting(graph, Database()).run()
        unrecorded = desk.client.get(f"publish_queue/{desk.row()['_id']}").get_json()["state"]
        clock.advance(seconds=61)
        graph.transmit.run()

        assert (unrecorded, desk.row()["state"]) == ("in-progress", "success")
        first, again = receiver.requests
        assert first.headers["webhook-id"] == again.headers["webhook-id"]

    def test_gives_up_a_row_that_breaks_the_delivery(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """A payload that cannot be read fails after three tries; the others of its lane go."""
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        rows = fill(graph.db, subscriber, push(receiver.url), clock.at, items=5)
        broken = {"_id": rows[2]["payload_id"]}
        graph.db["publish_payloads"].update_one(broken, {"$unset": {"media_type": 1}})

        for _ in range(6):
            graph.transmit.run()
            clock.advance(seconds=61)

        states = [row["state"] for row in desk.rows()]
        assert states == ["success", "success", "failed", "success", "success"]
        assert len(receiver.requests) == 4

    def test_finds_rows_that_nobody_looks_after(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """Rows in progress of a lane that nobody holds are sent, even if it is never idle.

        Delivery contract C6.
        """
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        lost = fill(graph.db, subscriber, push(receiver.url), clock.at, items=3)[1]
        change = {"state": "in-progress", "claim_token": 0, "_updated": clock.at}
        graph.db["publish_queue"].update_one({"_id": lost["_id"]}, {"$set": change})

        graph.transmit.run()

        assert {row["state"] for row in desk.rows()} == {"success"}
        assert len(receiver.requests) == 3

    def test_a_newer_version_does_not_pass_one_that_was_lost(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """Version 1 is in progress, and the lane says nothing of it; version 2 waits for it.

        Delivery contract O1, C6.
        """
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        lost = fill(graph.db, subscriber, push(receiver.url), clock.at, items=1, versions=2)[0]
        change = {"$set": {"state": "in-progress", "claim_token": 0}}
        graph.db["publish_queue"].update_one({"_id": lost["_id"]}, change)

        graph.transmit.run()

        assert [body["version"] for body in bodies(receiver)] == [1, 2]

    @pytest.mark.parametrize("state", ["pending", "retrying", "in-progress"])
    def test_goes_on_where_rows_know_a_later_lease_than_their_lane(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock, state: str
    ) -> None:
        """The store has lost the document of the lane, and makes a new one.

        Delivery contract C2, C6.
        """
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        first = fill(graph.db, subscriber, push(receiver.url), clock.at, items=3)[0]
        change = {"$set": {"state": state, "claim_token": 1_000_000}}
        graph.db["publish_queue"].update_one({"_id": first["_id"]}, change)

        for _ in range(2):
            clock.advance(seconds=10)
            graph.transmit.run()

        assert {row["state"] for row in desk.rows()} == {"success"}
        assert len(receiver.requests) == 3

    @pytest.mark.parametrize("lane", [5, {"a": 1}, [5], True], ids=str)
    @pytest.mark.parametrize("state", ["pending", "in-progress"])
    def test_rows_in_what_is_no_lane_hold_up_none(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        lane: Any,
        state: str,
    ) -> None:
        """Others wrote it. Those that wait are brought into their lane. Delivery contract C6."""
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        odd = fill(graph.db, subscriber, push(receiver.url), clock.at, items=3)[0]
        change = {"$set": {"state": state, "lane": lane}}
        graph.db["publish_queue"].update_one({"_id": odd["_id"]}, change)

        graph.transmit.run()
        clock.advance(seconds=301)
        graph.transmit.run()

        states = sorted(row["state"] for row in desk.rows())
        assert states == sorted(["success", "success", "success" if state == "pending" else state])

    @pytest.mark.parametrize("in_lane", [True, False])
    def test_a_row_without_room_for_its_claim_holds_up_none(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        in_lane: bool,
    ) -> None:
        """Others wrote one that is as large as the store allows. Delivery contract C6."""
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        (row,) = fill(graph.db, subscriber, push(receiver.url), clock.at, items=1)
        large = {"state": "pending", "subscriber_id": subscriber, "item_id": "large"}
        if in_lane:
            large.update({"lane": row["lane"], "order_no": 0})
        room = LARGEST_DOCUMENT - len(encode({**large, "_id": row["_id"], "formatted_item": ""}))
        large["formatted_item"] = "x" * room
        graph.db["publish_queue"].insert_one(large)

        graph.transmit.run()

        assert desk.db["publish_queue"].find_one({"_id": row["_id"]})["state"] == "success"

    def test_looks_for_lost_rows_of_a_lane_that_sleeps(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """Within a lease: the store lost that the lane was leased, and that it was due.

        Delivery contract C6.
        """
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        graph.transmit.run()
        fill(graph.db, subscriber, push(receiver.url), clock.at, items=1)
        lose_claims(graph)

        at_once = graph.transmit.run()
        clock.advance(seconds=61)

        assert (at_once, graph.transmit.run()) == (0, 1)
        assert desk.row()["state"] == "success"

    def test_looks_for_lost_rows_as_soon_as_the_store_is_back(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """It may have lost what it acknowledged. Delivery contract C6."""
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        db: Any = AbsentDatabase(graph.db)
        transmit = transmitting(graph, db)
        transmit.run()
        fill(graph.db, subscriber, push(receiver.url), clock.at, items=1)
        lose_claims(graph)

        db.is_away = True
        with pytest.raises(AutoReconnect):
            transmit.run()
        db.is_away = False

        assert transmit.run() == 1


def lose_claims(graph: Graph) -> None:
    """Leave rows in progress whose lanes neither have a lease nor are due."""
    claimed = {"$set": {"state": "in-progress", "claim_token": 0}}
    graph.db["publish_queue"].update_many({}, claimed)
    graph.db["publish_lanes"].update_many({}, {"$unset": {"wake_at": 1}})


class AbsentDatabase:
    """A database that cannot be reached at times."""

    def __init__(self, db: Any) -> None:
        self._db = db
        self.is_away = False

    def __getitem__(self, name: str) -> Any:
        return AbsentCollection(self, self._db[name])


class AbsentCollection:
    """One collection of an `AbsentDatabase`."""

    def __init__(self, database: AbsentDatabase, collection: Any) -> None:
        self._database = database
        self._collection = collection

    def __getattr__(self, name: str) -> Any:
        if self._database.is_away:
            raise AutoReconnect("not now")
        return getattr(self._collection, name)
