"""From what a transmitter does to the state of the row (delivery contract 1, 2.1)."""

from datetime import timedelta
from random import Random
from typing import Any, ClassVar

import pytest
from bson import encode

from apps.core.errors import DeliveryError, PermanentFailure, PluginError, TemporaryFailure
from apps.core.registry import Field
from apps.core.service import Document
from apps.lanes.retries import ATTEMPTS_KEPT, RetryPolicy
from apps.publish.queue.payloads import Body
from apps.publish.transmit.attempt import (
    LARGEST_PROGRESS,
    MESSAGE_LENGTH,
    Attempts,
    delivery_of,
)
from tests.support.deliveries import build_delivery, build_destination, build_settings
from tests.support.newsdesk import START, HandClock
from transmitters.base import Delivery, Mode, Receipt, Transmitter

SECRET, PASSWORD = "planted-1", "planted-2"
BODY_OF_ROW = Body(b"{}", "application/json", "json")
NO_MEDIA: Any = None


class Scripted(Transmitter):
    """Does what its destination's config says: raises the exception, or accepts."""

    type = "scripted"
    name = "Scripted"
    fields = (Field("token", "Opens the door.", secret=True),)
    mode = Mode.REPLACE
    errors: ClassVar[dict[int, str]] = {}

    def send(self, delivery: Delivery) -> Receipt:
        error = self.destination.config.get("error")
        if error is not None:
            raise error
        return Receipt(status=202, message="taken")


def no_item() -> None:
    """The item is gone."""


def row(**fields: Any) -> Document:
    return {"_id": 1, "item_id": "a", "state": "pending", "retry_attempt": 0, **fields}


def attempt(error: Exception | None = None, clock: HandClock | None = None, **fields: Any) -> Any:
    """Send a row with `fields` by a transmitter that raises `error`."""
    attempts = Attempts(clock or HandClock(), RetryPolicy(10, 0.0, Random(1)))
    config = {"error": error, "token": SECRET, "url": f"https://user:{PASSWORD}@example.com/"}
    transmitter = Scripted(build_destination("scripted", **config), build_settings())
    return attempts.send(row(**fields), transmitter, build_delivery())


def failure(kind: type[DeliveryError], **more: Any) -> DeliveryError:
    return kind(14000, "PublishHTTPPushError", "failed", "no answer", **more)


def test_success_clears_what_went_wrong_before() -> None:
    """A row that gets through has no error message and a time of completion."""
    result = attempt(error_message="earlier", unknown_outcomes=2)

    assert result.state == "success"
    assert result.changes["completed_at"] == START
    assert (result.changes["error_message"], result.changes["unknown_outcomes"]) == (None, 0)
    (note,) = result.changes["attempts"]
    assert (note["outcome"], note["status"], note["message"]) == ("success", 202, "taken")


@pytest.mark.parametrize(
    ("error", "tries", "state", "after"),
    [
        (failure(TemporaryFailure), 0, "retrying", 1),
        (failure(TemporaryFailure), 9, "retrying", 10),
        (failure(TemporaryFailure), 10, "failed", None),
        (failure(PermanentFailure), 0, "failed", None),
        (PluginError("unknown transmitter"), 0, "failed", None),
        (RuntimeError("a bug"), 0, "retrying", 1),
        (RuntimeError("a bug"), 10, "failed", None),
    ],
)
def test_failures_are_retried_until_it_is_no_use(
    error: Exception, tries: int, state: str, after: int | None
) -> None:
    """What may pass is retried, what cannot is given up at once; a broken plug-in may pass."""
    result = attempt(error, retry_attempt=tries)

    assert (result.state, result.changes.get("retry_attempt")) == (state, after)
    assert str(error)[:MESSAGE_LENGTH] == result.changes["error_message"]


def test_what_newer_versions_need_not_wait_for() -> None:
    """Once most have it, that stays so."""
    partial = attempt(failure(TemporaryFailure, is_replaceable=True)).changes

    assert partial["is_replaceable"] is True
    assert "is_replaceable" not in attempt(failure(TemporaryFailure)).changes


def test_waits_as_long_as_the_receiver_asked() -> None:
    """`retry_after` of the failure moves the next attempt."""
    result = attempt(failure(TemporaryFailure, retry_after=600))

    assert result.changes["next_retry_attempt_at"] == START + timedelta(minutes=10)


@pytest.mark.parametrize(
    ("due_in", "waited", "counted"),
    [(600, 60, False), (600, 30, True), (0, 60, True), (-5, 300, True)],
)
def test_an_early_try_does_not_count(due_in: int, waited: int, counted: bool) -> None:
    """Delivery contract O1: a try before its time, because newer versions wait, is no retry."""
    result = attempt(
        failure(TemporaryFailure),
        state="retrying",
        retry_attempt=4,
        next_retry_attempt_at=START + timedelta(seconds=due_in),
        attempts=[{"at": START - timedelta(seconds=waited)}],
    )

    assert result.changes["retry_attempt"] == 4 + counted


def test_early_tries_come_to_an_end() -> None:
    """What newer versions wait for is given up when it would be without them."""
    clock, current = HandClock(), row()
    while current["state"] != "failed" and clock.at < START + timedelta(hours=12):
        current |= attempt(failure(TemporaryFailure), clock, **current).changes
        clock.advance(minutes=1)

    ladder = sum(2 ** min(step, 6) for step in range(10))
    assert clock.at == START + timedelta(minutes=ladder + 1)


def test_an_early_try_heeds_what_the_receiver_asks_for() -> None:
    due = START + timedelta(minutes=5)
    early = {"state": "retrying", "retry_attempt": 4, "next_retry_attempt_at": due}
    early["attempts"] = [{"at": START - timedelta(minutes=2)}]

    kept = attempt(failure(TemporaryFailure, retry_after=60), **early).changes
    moved = attempt(failure(TemporaryFailure, retry_after=900), **early).changes

    assert kept["next_retry_attempt_at"] == due
    assert moved["next_retry_attempt_at"] == START + timedelta(minutes=15)


def test_keeps_the_last_attempts_only() -> None:
    """A row does not grow without end."""
    result = attempt(attempts=[{"number": n} for n in range(ATTEMPTS_KEPT)])

    kept = result.changes["attempts"]
    assert (len(kept), kept[0], kept[-1]["outcome"]) == (ATTEMPTS_KEPT, {"number": 1}, "success")


def test_cuts_long_messages() -> None:
    """What a receiver says is kept in part."""
    result = attempt(RuntimeError("x" * 5000))

    assert len(result.changes["error_message"]) == MESSAGE_LENGTH


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(f"bad url https://user:{PASSWORD}@example.com/?t={SECRET}"),
        TemporaryFailure(14000, "PublishError", "failed", f"{SECRET} is not {PASSWORD}"),
    ],
)
def test_secrets_are_not_in_what_went_wrong(
    error: Exception, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reports them, a plug-in or what it builds on: neither rows nor logs have them."""
    result = attempt(error)

    told = f"{result.changes} {result.cause} {caplog.text} {''.join(capfd.readouterr())}"
    assert SECRET not in told
    assert PASSWORD not in told
    assert "****" in result.changes["error_message"]


class TestProgress:
    """A failure may leave something for the next attempt to know (delivery contract 2.3)."""

    def test_is_kept_on_the_row_and_handed_to_the_next_attempt(self) -> None:
        progress = {"done": ["a", "b"], "at": {"$odd.key\0": 1}}

        result = attempt(failure(TemporaryFailure, progress=progress))

        stored = row(**result.changes)
        encode(stored)
        assert delivery_of(stored, BODY_OF_ROW, NO_MEDIA, no_item).progress == progress

    def test_stays_until_another_attempt_says_something_else(self) -> None:
        """Of a receiver that is down nothing new is known."""
        assert "progress" not in attempt(failure(TemporaryFailure), progress="{}").changes
        assert "progress" not in attempt(RuntimeError("odd"), progress="{}").changes
        again = attempt(failure(PermanentFailure, progress={}), progress='{"a":1}')
        assert again.changes["progress"] == "{}"

    def test_ends_with_a_success(self) -> None:
        """Who asks for the delivery again has all of it sent again."""
        assert attempt(progress='{"a":1}').changes["progress"] is None
        assert "progress" not in attempt().changes

    @pytest.mark.parametrize(
        "progress", [{"a": "x" * LARGEST_PROGRESS}, {"a": "é" * 2048}, {"a": object()}]
    )
    def test_what_is_too_large_or_no_json_is_not_kept(self, progress: Any) -> None:
        """The failure is recorded all the same."""
        result = attempt(failure(TemporaryFailure, progress=progress))

        assert result.state == "retrying"
        assert "progress" not in result.changes

    def test_holds_no_secret(self) -> None:
        progress = {"url": f"https://user:{PASSWORD}@example.com", "token": SECRET}

        kept = attempt(failure(TemporaryFailure, progress=progress)).changes["progress"]

        assert PASSWORD not in kept
        assert SECRET not in kept

    @pytest.mark.parametrize("odd", ["", "{", "[]", "7", "null"])
    def test_what_others_wrote_counts_as_none(self, odd: str) -> None:
        assert delivery_of(row(progress=odd), BODY_OF_ROW, NO_MEDIA, no_item).progress == {}


@pytest.mark.parametrize(
    ("error", "answered"),
    [
        (failure(TemporaryFailure), False),
        (failure(TemporaryFailure, response_status=503), False),
        (failure(TemporaryFailure, is_receiver_up=True), True),
        (failure(PermanentFailure), None),
        (failure(PermanentFailure, response_status=400), True),
        (failure(PermanentFailure, is_receiver_up=True), True),
        (RuntimeError("odd"), False),
    ],
)
def test_what_a_failure_says_of_the_receiver(error: Exception, answered: bool | None) -> None:
    """Whether it is there: the breaker goes by it (delivery contract B1)."""
    assert attempt(error).answered is answered
