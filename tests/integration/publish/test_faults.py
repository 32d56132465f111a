"""Receivers and stores that fail again and again: nothing is lost, doubled or out of order.

Each case ends with the checks of `tests/support/conservation.py` (delivery contract X0, X0a).
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from pymongo.errors import PyMongoError

from apps.core.service import Document
from apps.graph.build import Graph
from apps.publish.transmit import results
from apps.publish.transmit.lane import LaneDelivery
from apps.routing.subscribers.stored_destinations import lane_id
from tests.support.conservation import (
    ENDED,
    Conservation,
    Recorder,
    check_manifest,
    check_newest,
    check_routed,
)
from tests.support.failover import FailoverProxy, Fault
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.queues import fill
from tests.support.receivers import Fault as Silence
from tests.support.receivers import HTTPReceiver, Received, Reply

pytestmark = pytest.mark.timeout(300)

BUSY = 503


def bring_to_an_end(graph: Graph, clock: HandClock, minutes: float = 5) -> None:
    """Run again and again, as time passes, until every row has ended."""
    for _ in range(400):
        graph.enqueue.run()
        graph.transmit.run()
        if not graph.db["publish_queue"].count_documents({"state": {"$nin": list(ENDED)}}):
            return
        clock.advance(minutes=minutes)
    raise AssertionError("rows wait")


class TestStore:
    """Delivery contract X4."""

    STORIES = 8
    FEWEST_HITS = 5

    @pytest.fixture
    def settings(self, settings: dict[str, Any], proxy: FailoverProxy) -> dict[str, Any]:
        return {**settings, "MONGO_URI": proxy.uri}

    @pytest.fixture(autouse=True)
    def _no_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(results, "TRY_AGAIN_SECONDS", 0)

    @pytest.mark.parametrize("fault", [Fault.UNSENT, Fault.UNANSWERED, Fault.STEPPED_DOWN])
    def test_x4_every_nth_command_breaks(
        self,
        desk: Newsdesk,
        graph: Graph,
        proxy: FailoverProxy,
        receiver: HTTPReceiver,
        clock: HandClock,
        fault: Fault,
        seed: int,
    ) -> None:
        """Requests are answered, or refused for now; what was answered goes out, once, in order."""
        random = Random(seed)
        receiver.answer(recorder := Recorder())
        lanes = {
            lane_id(desk.newsroom.subscriber(name, push(f"{receiver.url}/{name}")), "push"): name
            for name in ("s", "t")
        }
        conservation = Conservation(graph.db)
        editor = PatientEditor(desk)
        every = random.randrange(30, 60)
        with proxy.failing(fault, at=random.randrange(1, every), every=every) as armed:
            for number in range(self.STORIES):
                item = editor.create(f"story-{number}")
                editor.act("publish", item)
                if random.random() < 0.5:
                    editor.act("correct", item)
                if random.random() < 0.3:
                    editor.act("kill", item)
                for run in (graph.enqueue.run, graph.transmit.run):
                    clock.advance(seconds=70)
                    with suppress(PyMongoError):
                        run()
            told = f"seed {seed}: {armed.hits} of {len(armed.commands)} commands"
        conservation.look()
        bring_to_an_end(graph, clock)

        assert armed.hits >= self.FEWEST_HITS, told
        conservation.check(told)
        check_routed(graph.db, editor.acknowledged, lanes, told)
        received = {lane: recorder.arrivals(f"/{name}") for lane, name in lanes.items()}
        check_manifest(graph.db, received, told)
        for lane, arrivals in received.items():
            check_newest(graph.db, lane, arrivals, told)

    def test_x4_a_store_that_is_down(
        self,
        desk: Newsdesk,
        graph: Graph,
        proxy: FailoverProxy,
        receiver: HTTPReceiver,
        clock: HandClock,
        seed: int,
    ) -> None:
        """It goes away amid a delivery; until it is back every request is refused for now."""
        receiver.answer(recorder := Recorder())
        subscriber = desk.newsroom.subscriber("s", push(receiver.url))
        lane = lane_id(subscriber, "push")
        fill(graph.db, subscriber, push(receiver.url), clock.at, items=10, versions=2)
        conservation = Conservation(graph.db)
        conservation.look()
        waiting = desk.story()
        with proxy.failing(Fault.AWAY, at=Random(seed).randrange(1, 12)):
            for run in (graph.transmit.run, graph.enqueue.run, graph.transmit.run):
                with suppress(PyMongoError):
                    run()
                clock.advance(seconds=70)
                for answer in (
                    desk.client.get("archive"),
                    desk.client.post("archive", desk.newsroom.story()),
                    desk.client.patch(f"archive/publish/{waiting['_id']}", {}, waiting["_etag"]),
                ):
                    assert answer.status_code == BUSY
                    assert int(answer.headers["Retry-After"]) > 0
        desk.act("publish", waiting)
        bring_to_an_end(graph, clock)

        told = f"seed {seed}"
        conservation.check(told)
        check_routed(graph.db, [(waiting["_id"], 2)], [lane], told)
        check_manifest(graph.db, {lane: recorder.arrivals()}, told)
        check_newest(graph.db, lane, recorder.arrivals(), told)


class PatientEditor:
    """A client that asks again for what was refused for now, or not answered for good.

    Attributes:
        acknowledged: item id and version of what was answered with success.
        refusals: how often it was told to come again.
    """

    def __init__(self, desk: Newsdesk) -> None:
        self._desk = desk
        self.acknowledged: list[tuple[str, int]] = []
        self.refusals = 0

    def create(self, guid: str) -> Document:
        story = self._desk.newsroom.story(guid=guid)
        status, body = self._until_settled(lambda: self._desk.client.post("archive", story))
        # What was done without an answer cannot be done again.
        assert status in (201, 400, 409, 422), body
        return {"_id": guid}

    def act(self, operation: str, item: Document) -> None:
        path = f"archive/{operation}/{item['_id']}"

        def ask() -> Any:
            got = self._desk.client.get(f"archive/{item['_id']}")
            if got.status_code != 200:
                return got
            return self._desk.client.patch(path, {"headline": operation}, got.get_json()["_etag"])

        status, body = self._until_settled(ask)
        if status == 200:
            self.acknowledged.append((item["_id"], body["_current_version"]))
        else:
            assert status in (400, 412), body

    def _until_settled(self, ask: Callable[[], Any]) -> tuple[int, Any]:
        for _ in range(20):
            answer = ask()
            if answer.status_code != BUSY:
                return answer.status_code, answer.get_json()
            assert int(answer.headers["Retry-After"]) > 0
            self.refusals += 1
        raise AssertionError("refused twenty times")


class Moody:
    """A receiver that accepts, or refuses for now, as a coin falls; none ten times in a row."""

    MOST_REFUSALS = 9

    def __init__(self, random: Random) -> None:
        self._random = random
        self._refused = Counter[str]()

    def __call__(self, request: Received) -> Reply:
        key = request.headers["webhook-id"]
        if self._refused[key] < self.MOST_REFUSALS and self._random.random() < 0.5:
            self._refused[key] += 1
            return BUSY
        return 200


@pytest.mark.parametrize("fields", [{}, {"async": True}], ids=["in turn", "at once"])
def test_x8_a_receiver_that_flips(
    desk: Newsdesk,
    graph: Graph,
    receiver: HTTPReceiver,
    clock: HandClock,
    fields: Document,
    seed: int,
) -> None:
    """Every second delivery is refused: all arrive, and the destination is never disabled.

    Delivery contract X8, A1.
    """
    receiver.answer(recorder := Recorder(Moody(Random(seed))))
    target = push(receiver.url)
    subscriber = desk.newsroom.subscriber("s", target, **fields)
    lane = lane_id(subscriber, "push")
    fill(graph.db, subscriber, target, clock.at, items=40, versions=2)
    conservation = Conservation(graph.db)
    conservation.look()
    seen = set()
    for _ in range(400):
        graph.transmit.run()
        seen.add(desk.client.get(f"subscribers/{subscriber}/destinations/push").get_json()["state"])
        if not graph.db["publish_queue"].count_documents({"state": {"$nin": list(ENDED)}}):
            break
        clock.advance(minutes=2)

    told = f"seed {seed}"
    assert "disabled" not in seen, told
    assert seen & {"ok", "failing", "open"}, told
    states = conservation.check(told)
    assert states["failed"] == 0, told
    check_manifest(graph.db, {lane: recorder.arrivals()}, told)
    check_newest(graph.db, lane, recorder.arrivals(), told)
    assert (
        desk.client.get(f"subscribers/{subscriber}/destinations/push").get_json()["state"] == "ok"
    )


@pytest.mark.parametrize("fields", [{}, {"async": True}], ids=["in turn", "at once"])
def test_nothing_goes_ahead_of_an_older_version_that_was_not_started(
    desk: Newsdesk,
    graph: Graph,
    receiver: HTTPReceiver,
    clock: HandClock,
    fields: Document,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A breaker that opens may be closed again by what another thread delivers meanwhile.

    Delivery contract O1.
    """
    answers, may_start = iter([False]), LaneDelivery._may_start
    monkeypatch.setattr(LaneDelivery, "_may_start", lambda d: next(answers, True) and may_start(d))
    receiver.answer(recorder := Recorder(lambda request: 200))
    target = push(receiver.url)
    subscriber = desk.newsroom.subscriber("s", target, **fields)
    lane = lane_id(subscriber, "push")
    fill(graph.db, subscriber, target, clock.at, items=1, versions=2)

    graph.transmit.run()
    clock.advance(minutes=2)
    graph.transmit.run()

    check_manifest(graph.db, {lane: recorder.arrivals()})
    check_newest(graph.db, lane, recorder.arrivals())


class TestOneDeadDestination:
    """Delivery contract X9."""

    DESTINATIONS = 20
    MOST_ATTEMPTS = 5

    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "HTTP_PUSH_TIMEOUT": (1, 2)}

    @pytest.mark.parametrize(
        "items", [20, pytest.param(1000, marks=[pytest.mark.chaos, pytest.mark.timeout(1800)])]
    )
    @pytest.mark.parametrize("death", ["refuses", "hangs"])
    def test_x9_others_are_not_held_up(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        items: int,
        death: str,
    ) -> None:
        """One run delivers everything to the others, and leaves the dead one after few attempts."""
        receiver.answer(recorder := Recorder())
        with HTTPReceiver(silent := Recorder(lambda request: Silence.HANG)) as dead:
            lanes = self._lanes(desk, graph, clock, receiver, dead, items)
            dead_lane = lanes.pop(dead.url)
            if death == "refuses":
                dead.close()
            conservation = Conservation(graph.db)
            conservation.look()
            graph.transmit.run()

            states = conservation.check(may_wait=True)
            assert states["success"] == items * len(lanes)
            received = {lane: recorder.arrivals(path) for path, lane in lanes.items()}
            check_manifest(graph.db, {**received, dead_lane: silent.arrivals()})
            tried = graph.db["publish_queue"].find({"lane": dead_lane, "attempts": {"$ne": None}})
            assert 1 <= sum(len(row["attempts"]) for row in tried) <= self.MOST_ATTEMPTS

    def _lanes(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        dead: HTTPReceiver,
        items: int,
    ) -> dict[str, str]:
        """Queue the items for all; return lanes by path, that of the dead one by its address."""
        lanes = {}
        for number in range(self.DESTINATIONS):
            is_dead = number == self.DESTINATIONS // 2
            path = f"/{number}"
            target = push(dead.url if is_dead else f"{receiver.url}{path}")
            subscriber = desk.newsroom.subscriber(f"s{number}", target)
            fill(graph.db, subscriber, target, clock.at, items=items)
            lanes[dead.url if is_dead else path] = lane_id(subscriber, "push")
        return lanes
