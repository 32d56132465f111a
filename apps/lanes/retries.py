"""Attempts at a piece of work: when a failed one is made again, when it is given up, what is noted.

Delivery contract 2.1, C4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from apps.core.service import Document

LONGEST_STEP = 6
ATTEMPTS_KEPT = 20
UNKNOWN = "unknown"
"""Outcome of an attempt of which nobody knows whether the receiver accepted it."""
MAX_UNKNOWN = 3
"""Unknown outcomes in a row after which work is given up."""


@dataclass(frozen=True)
class NextTry:
    """What follows from a failure.

    Attributes:
        tries: retries so far, this failure counted where it counts.
        due_at: when to try again; None for never.
    """

    tries: int
    due_at: datetime | None


@dataclass(frozen=True)
class RetryPolicy:
    """The ladder 1, 2, 4 ... 64 minutes, and its end.

    Attributes:
        maximum: tries after the first.
        jitter: share of the delay that is added at random.
    """

    maximum: int
    jitter: float
    random: Random

    def is_exhausted(self, retry_attempt: int) -> bool:
        """Whether a failure after `retry_attempt` retries is the last."""
        return retry_attempt >= self.maximum

    def next_attempt(
        self, retry_attempt: int, now: datetime, retry_after: float | None = None
    ) -> datetime:
        """Return when to try again.

        Args:
            retry_attempt: retries before the failure.
            retry_after: seconds that the receiver asked to wait.
        """
        seconds = 60.0 * 2 ** min(LONGEST_STEP, retry_attempt)
        seconds *= 1 + self.random.random() * self.jitter
        return now + timedelta(seconds=max(seconds, retry_after or 0.0))

    def after_failure(
        self,
        tries: int,
        now: datetime,
        *,
        final: bool = False,
        counts: bool = True,
        retry_after: float | None = None,
        due_at: datetime | None = None,
    ) -> NextTry:
        """Return what follows from a failure.

        Args:
            tries: retries before it.
            final: repeating cannot help.
            counts: false for what says nothing of the work: wrong credentials, a rate limit. It is
                tried again however often that happens.
            retry_after: seconds that the receiver asked to wait; never less than the ladder.
            due_at: when to try again, instead of what the ladder says.
        """
        if final or (counts and self.is_exhausted(tries)):
            return NextTry(tries, None)
        when = due_at or self.next_attempt(tries, now, retry_after)
        return NextTry(tries + 1 if counts else tries, when)


def attempt_note(
    at: datetime,
    outcome: str,
    *,
    ms: int | None = None,
    status: int | None = None,
    message: str = "",
) -> Document:
    """Return what is kept of one attempt.

    Args:
        ms: how long it took; None where nobody knows.
        status: of the answer, where there was one.
    """
    return {"at": at, "ms": ms, "outcome": outcome, "status": status, "message": message}


def noted(notes: Sequence[Any] | None, note: Document, kept: int = ATTEMPTS_KEPT) -> list[Any]:
    """Return the notes of a piece of work with one more, the last `kept` of them."""
    return [*(notes or ()), note][-kept:]


def has_unknown_outcome(work: Mapping[str, Any]) -> bool:
    """Whether the last attempt may have been accepted by the receiver, or may not."""
    attempts = work.get("attempts")
    last = attempts[-1] if isinstance(attempts, list) and attempts else None
    return isinstance(last, Mapping) and last.get("outcome") == UNKNOWN


def unknown_outcomes(work: Mapping[str, Any], *, alone: bool = True) -> int:
    """Return how many attempts in a row have an unknown outcome, after one more of them.

    The count is kept in `unknown_outcomes` of the work. An outcome that is known sets it to 0, and
    so does a look-up at the receiver that tells clearly what has become of the work: where the
    receiver can be asked, the death of a process is no verdict.

    Args:
        alone: no other work may have been what the process died of.
    """
    return int(work.get("unknown_outcomes") or 0) + (1 if alone else 0)
