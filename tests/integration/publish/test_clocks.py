"""Clocks that are set, and clocks that differ (delivery contract X10).

Nothing is sent twice, and nothing waits for longer than the jump.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import apps.store.clock
from apps.graph.build import Graph, build_graph
from apps.routing.subscribers.stored_destinations import lane_id
from tests.support.commands import CommandCounter
from tests.support.conservation import Conservation, Recorder, check_manifest
from tests.support.newsdesk import START, HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.queues import fill, leave_claimed
from tests.support.receivers import HTTPReceiver, Received, Reply

pytestmark = pytest.mark.usefixtures("conserved")

HOUR = timedelta(hours=1)
LONGEST_OWN_WAIT = timedelta(minutes=16)
"""Of a retry, of a breaker, of a lease; each with what it may take besides."""


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "RETRY_JITTER": 0, "SESSION_EXPIRY_MINUTES": 2_000_000}


def moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S+0000")


class TestAJump:
    """The clock of the store itself is set: all processes see the same."""

    @pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
    @pytest.mark.parametrize("outage", ["retry", "breaker", "lease"])
    def test_delays_by_itself_at_most_and_doubles_nothing(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        outage: str,
        jump: timedelta,
    ) -> None:
        subscriber = desk.newsroom.subscriber("s", push(receiver.url))
        lane = lane_id(subscriber, "push")
        answers: list[Reply] = [503] * {"retry": 1, "breaker": 5, "lease": 0}[outage]
        recorder = Recorder(lambda request: answers.pop() if answers else 200)
        receiver.answer(recorder)
        conservation = Conservation(graph.db)
        for number in range(5):
            desk.published(headline=f"story {number}")
        graph.enqueue.run()
        if outage == "lease":
            leave_claimed(graph.db, clock)
        else:
            graph.transmit.run()
        conservation.look()

        clock.at += jump
        ends_at = clock.at + max(-jump, timedelta()) + LONGEST_OWN_WAIT
        desk.published(headline="one that comes after the jump")
        while clock.at < ends_at:
            graph.enqueue.run()
            graph.transmit.run()
            clock.advance(minutes=4)

        assert conservation.check() == {"success": 6}
        check_manifest(graph.db, {lane: recorder.arrivals()})

    @pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
    def test_releases_a_scheduled_story_once(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        jump: timedelta,
    ) -> None:
        """Due in half an hour by the clock on the wall, whatever that is set to."""
        desk.newsroom.subscriber("s", push(receiver.url))
        due_at = clock.at + HOUR / 2
        desk.act("publish", desk.story(), publish_schedule=moment(due_at))

        clock.at += jump
        released_at = []
        for _ in range(8):
            graph.enqueue.run()
            if graph.transmit.run():
                released_at.append(clock.at)
            clock.advance(minutes=15)

        assert released_at == [max(due_at, START + jump)]
        assert len(receiver.requests) == 1

    def test_again_and_again_leaves_the_breaker_in_order(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, receiver: HTTPReceiver
    ) -> None:
        """A receiver that is down while the clock is set to and fro gets all when it is back."""
        subscriber = desk.newsroom.subscriber("s", push(receiver.url))
        receiver.answer(recorder := Recorder(lambda request: 503))
        fill(graph.db, subscriber, push(receiver.url), clock.at, items=8)
        for jump in (HOUR, -HOUR, -HOUR, HOUR, 2 * HOUR, -HOUR):
            graph.transmit.run()
            clock.at += jump
        recorder.answer = lambda request: 200

        for _ in range(5):
            clock.advance(minutes=45)
            graph.transmit.run()

        assert Conservation(graph.db).check() == {"success": 8}
        check_manifest(graph.db, {lane_id(subscriber, "push"): recorder.arrivals()})


class TestCalendars:
    @pytest.mark.parametrize(
        ("now", "zone", "wall", "utc"),
        [
            # Clocks go from 2 to 3: before, in the hour that there is not, behind it.
            ("2030-03-30", "Europe/Berlin", "2030-03-31T01:59:00", "2030-03-31T00:59:00"),
            ("2030-03-30", "Europe/Berlin", "2030-03-31T02:30:00", "2030-03-31T01:30:00"),
            ("2030-03-30", "Europe/Berlin", "2030-03-31T03:00:00", "2030-03-31T01:00:00"),
            # And from 3 to 2: the first of two half past twos, and behind both.
            ("2030-10-26", "Europe/Berlin", "2030-10-27T02:30:00", "2030-10-27T00:30:00"),
            ("2030-10-26", "Europe/Berlin", "2030-10-27T03:00:00", "2030-10-27T02:00:00"),
            # By half an hour, and on the other half of the Earth.
            ("2030-04-06", "Australia/Lord_Howe", "2030-04-07T03:00:00", "2030-04-06T16:30:00"),
            ("2032-02-28", "Asia/Tokyo", "2032-02-29T08:00:00", "2032-02-28T23:00:00"),
            ("2032-02-28", "America/New_York", "2032-02-29T23:30:00", "2032-03-01T04:30:00"),
        ],
    )
    def test_a_schedule_is_kept_by_the_clock_of_its_zone(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        now: str,
        zone: str,
        wall: str,
        utc: str,
    ) -> None:
        """Lifecycle scenario 24, on days on which clocks are set and on a leap day."""
        clock.at = datetime.fromisoformat(now).replace(tzinfo=UTC)
        due_at = datetime.fromisoformat(utc).replace(tzinfo=UTC)
        desk.newsroom.subscriber("s", push(receiver.url))
        zoned = {"publish_schedule": f"{wall}+0000", "schedule_settings": {"time_zone": zone}}
        desk.act("publish", desk.story(), **zoned)

        clock.at = due_at - timedelta(seconds=1)
        graph.enqueue.run()
        before = graph.transmit.run()
        clock.advance(seconds=1)
        graph.enqueue.run()

        assert (before, graph.transmit.run(), len(receiver.requests)) == (0, 1, 1)

    @pytest.mark.parametrize("at", ["2032-02-29T23:59:30", "2030-12-31T23:59:30"])
    def test_a_ladder_goes_over_the_end_of_a_day(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, receiver: HTTPReceiver, at: str
    ) -> None:
        clock.at = datetime.fromisoformat(at).replace(tzinfo=UTC)
        desk.newsroom.subscriber("s", push(receiver.url))
        receiver.answer([503, 503])
        desk.published()
        graph.enqueue.run()

        sent = []
        for _ in range(5):
            sent.append(graph.transmit.run())
            clock.advance(minutes=1)

        assert sent == [1, 1, 0, 1, 0]


class TestClocksThatDiffer:
    """Each process goes by the store's clock, whatever that of its machine shows."""

    @pytest.fixture
    def offices(
        self, graph: Graph, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[list[Graph]]:
        """Services as of three machines: one is an hour ahead, one an hour behind."""
        with ExitStack() as stack:
            made = []
            for ahead in (timedelta(), HOUR, -HOUR):
                machine = HandClock(datetime.now(UTC) + ahead)
                with monkeypatch.context() as patch:
                    patch.setattr(apps.store.clock, "SystemClock", lambda at=machine: at)
                    # A connection of its own hears what the store says.
                    own = build_graph(settings, listeners=[CommandCounter()], has_indexes=True)
                stack.callback(own.close)
                own.db.command("ping")
                made.append(own)
            yield made

    def test_show_the_time_of_the_store(self, offices: list[Graph]) -> None:
        first, *others = (office.clock.precise() for office in offices)

        assert all(abs(other - first) < timedelta(minutes=1) for other in others)

    def test_take_nothing_from_one_another(
        self, desk: Newsdesk, offices: list[Graph], receiver: HTTPReceiver
    ) -> None:
        """While one sends, the others look for leases that are over."""
        subscriber = desk.newsroom.subscriber("s", push(receiver.url))
        first, *others = offices
        fill(desk.db, subscriber, push(receiver.url), first.clock.precise(), items=5)

        def answer(request: Received) -> Reply:
            if len(receiver.requests) <= 2:
                meanwhile.append(sum(office.transmit.run() for office in others))
            return 200

        meanwhile: list[int] = []
        receiver.answer(recorder := Recorder(answer))
        first.transmit.run()

        assert meanwhile == [0, 0]
        assert Conservation(desk.db).check() == {"success": 5}
        assert len(recorder.arrivals()) == 5
