"""Retries: when a failed delivery is tried again, and when it is given up.

Delivery contract 2.1.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

LONGEST_STEP = 6


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
