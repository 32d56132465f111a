"""Throttled events: at most one per interval, and the last state always passes."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.notifications.throttle import THROTTLED_EVENTS, Message, Throttle


class Timer:
    """Monotonic seconds that move when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def throttle(timer: Timer) -> Throttle:
    return Throttle(interval=5.0, monotonic=timer)


def update(row: str, state: str, **extra: Any) -> Message:
    return {"event": "publish_queue:update", "extra": {"queue_id": row, "state": state, **extra}}


def batch(*rows: tuple[str, str], **extra: Any) -> Message:
    items = [{"queue_id": row, "state": state} for row, state in rows]
    return {"event": "publish_queue:update", "extra": {**items[-1], "items": items, **extra}}


def states(message: Message | None) -> dict[str, str]:
    assert message is not None
    return {row["queue_id"]: row["state"] for row in message["extra"]["items"]}


class TestPassing:
    """What goes out at once."""

    @pytest.mark.parametrize("event", ["item:publish", "content:update", None, ["ingest:update"]])
    def test_other_events_pass(self, throttle: Throttle, event: object) -> None:
        """Events that are not throttled pass untouched, however many there are."""
        message = {"event": event, "extra": {"n": 1}}

        assert [message] * 3 == [throttle.offer(message) for _ in range(3)]

    @pytest.mark.parametrize("event", sorted(THROTTLED_EVENTS))
    def test_first_passes_then_waits(self, throttle: Throttle, event: str) -> None:
        """The first message of a quiet period passes at once, the second waits."""
        assert throttle.offer({"event": event, "extra": {}}) == {"event": event, "extra": {}}
        assert throttle.offer({"event": event, "extra": {}}) is None

    def test_events_do_not_hold_each_other_back(self, throttle: Throttle) -> None:
        """Each event has an interval of its own."""
        throttle.offer({"event": "ingest:update"})

        assert throttle.offer({"event": "ingest:cleaned"}) is not None

    def test_quiet_period_ends_throttling(self, throttle: Throttle, timer: Timer) -> None:
        """A message that comes when the interval is over passes at once."""
        throttle.offer({"event": "ingest:update", "extra": {"n": 1}})
        timer.now += 5

        assert throttle.offer({"event": "ingest:update", "extra": {"n": 2}}) is not None

    def test_audiences_are_apart(self, throttle: Throttle) -> None:
        """A message for some clients does not replace one for others."""
        one = {"event": "ingest:update", "filters": {"include": {"user": ["1"]}}}
        two = {"event": "ingest:update", "filters": {"include": {"user": ["2"]}}}

        assert [one, two, None] == [throttle.offer(m) for m in (one, two, dict(two))]


class TestWaiting:
    """What goes out later."""

    def test_newest_goes_out_once(self, throttle: Throttle, timer: Timer) -> None:
        """Of all that waited, the newest goes out when the interval is over, and only once."""
        for n in range(4):
            throttle.offer({"event": "content:expired", "extra": {"n": n}})

        timer.now += 4.9
        assert throttle.due() == []
        timer.now += 0.1
        assert throttle.due() == [{"event": "content:expired", "extra": {"n": 3}}]
        assert throttle.due() == []

    def test_late_message_starts_a_new_interval(self, throttle: Throttle, timer: Timer) -> None:
        """The interval counts from the message that went out last, waited for or not."""
        throttle.offer({"event": "ingest:update"})
        throttle.offer({"event": "ingest:update"})
        timer.now += 6
        throttle.due()
        timer.now += 4

        assert throttle.offer({"event": "ingest:update"}) is None
        assert throttle.delay() == 1.0

    def test_delay(self, throttle: Throttle, timer: Timer) -> None:
        """The delay is that of the next waiting message, never negative, None when none waits."""
        throttle.offer({"event": "ingest:update"})
        assert throttle.delay() is None
        throttle.offer({"event": "ingest:update"})
        timer.now += 2
        assert throttle.delay() == 3.0
        timer.now += 10
        assert throttle.delay() == 0.0

    def test_drain_ignores_the_time(self, throttle: Throttle) -> None:
        """A shutdown takes out what waits, whatever the time."""
        throttle.offer(update("a", "pending"))
        throttle.offer(update("a", "success"))

        assert [states(message) for message in throttle.drain()] == [{"a": "success"}]
        assert throttle.drain() == []

    def test_idle_audiences_are_forgotten(self, throttle: Throttle, timer: Timer) -> None:
        """Filters that come only once do not fill the memory."""
        for user in range(100):
            timer.now += 5
            throttle.offer({"event": "ingest:update", "filters": {"include": {"user": [user]}}})

        assert len(throttle._slots) == 1


class TestQueueRows:
    """`publish_queue:update` lists every row that changed."""

    def test_single_row(self, throttle: Throttle) -> None:
        """A message that passes at once lists its own row."""
        message = throttle.offer(update("a", "success", error_message=None))

        row = {"queue_id": "a", "state": "success", "error_message": None}
        assert message == {"event": "publish_queue:update", "extra": {**row, "items": [row]}}

    def test_rows_collected_while_waiting(self, throttle: Throttle, timer: Timer) -> None:
        """The message lists the latest state per row; its other keys are those of the newest."""
        throttle.offer(update("a", "in-progress"))
        for row, state in [("b", "in-progress"), ("a", "retrying"), ("b", "success")]:
            throttle.offer(update(row, state))
        timer.now += 5

        [message] = throttle.due()
        assert states(message) == {"a": "retrying", "b": "success"}
        assert message["extra"]["queue_id"] == "b"
        assert message["extra"]["state"] == "success"

    def test_rows_already_sent_are_not_repeated(self, throttle: Throttle, timer: Timer) -> None:
        """A message lists what changed since the last one, not more."""
        throttle.offer(update("a", "success"))
        throttle.offer(update("b", "success"))
        timer.now += 5

        assert [states(message) for message in throttle.due()] == [{"b": "success"}]

    def test_batches_are_merged(self, throttle: Throttle, timer: Timer) -> None:
        """Pushes that list rows themselves are merged with single ones."""
        assert states(throttle.offer(batch(("a", "success"), ("b", "retrying")))) == {
            "a": "success",
            "b": "retrying",
        }
        throttle.offer(batch(("b", "in-progress"), ("c", "success")))
        throttle.offer(update("b", "success"))
        timer.now += 5

        assert [states(m) for m in throttle.due()] == [{"c": "success", "b": "success"}]

    def test_limit_keeps_the_latest(self, timer: Timer) -> None:
        """Over the limit the rows that changed longest ago go, and the client is told how many."""
        throttle = Throttle(max_items=3, monotonic=timer)
        message = throttle.offer(batch(*((f"r{n}", "success") for n in range(5))))

        assert list(states(message)) == ["r2", "r3", "r4"]
        assert message is not None
        assert message["extra"]["items_omitted"] == 2

    def test_limit_counts_from_the_last_change(self, timer: Timer) -> None:
        """A row that changes again is recent again, however early it came first."""
        throttle = Throttle(max_items=2, monotonic=timer)
        rows = [("old", "in-progress"), ("b", "success"), ("old", "success"), ("c", "success")]

        assert states(throttle.offer(batch(*rows))) == {"old": "success", "c": "success"}

    def test_omitted_rows_of_the_sender_count(self, throttle: Throttle) -> None:
        """What the sender itself left out is counted too."""
        message = throttle.offer(batch(("a", "success"), items_omitted=7))

        assert message is not None
        assert message["extra"]["items_omitted"] == 7

    @pytest.mark.parametrize(
        "extra",
        [
            None,
            "text",
            [],
            {},
            {"items": "x"},
            {"items": [1, {}, None]},
            {"queue_id": None},
            {"queue_id": []},
        ],
    )
    def test_messages_without_rows(self, throttle: Throttle, extra: Any) -> None:
        """A message without readable rows passes as it is."""
        message = throttle.offer({"event": "publish_queue:update", "extra": extra})

        assert message is not None
        assert "items_omitted" not in message["extra"]


changes = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.integers(0, 9),
        st.floats(0, 7, allow_nan=False, allow_infinity=False),
    ),
    max_size=60,
)


@given(changes)
def test_last_state_of_every_row_arrives(sequence: list[tuple[str, int, float]]) -> None:
    """Whatever changes when: messages keep their distance and the last states get through."""
    timer, sent, shown = Timer(), [], {}
    throttle = Throttle(interval=5.0, monotonic=timer)

    def deliver(messages: list[Message]) -> None:
        for message in messages:
            sent.append(timer.now)
            shown.update(states(message))

    for row, state, pause in sequence:
        message = throttle.offer(update(row, str(state)))
        deliver([message] if message else [])
        timer.now += pause
        deliver(throttle.due())
    timer.now += 5
    deliver(throttle.due())

    assert shown == {row: str(state) for row, state, _ in sequence}
    assert all(earlier + 5.0 <= later for earlier, later in pairwise(sent))
