"""Questions to sites that somebody waits for: so long at most, and so many at a time."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import BoundedSemaphore, Thread
from typing import TypeVar

from apps.core.errors import TooManyRequests
from transmitters.cms.base import ErrorClass, PlatformError

AT_ONCE = 4
"""Questions of a process under way; who asks one more is told to come back."""
COME_BACK_SECONDS = 5
TOO_SLOW = "too_slow"
BUSY = {"site": "too many sites are being asked"}


T = TypeVar("T")


class Patience:
    """Lets somebody wait for a site as long as allowed, whatever the site does.

    The question goes on in a thread of its own when the time is over: what was made at the site for
    a test is removed there all the same. Until it ends it counts among those under way.
    """

    def __init__(self) -> None:
        self._free = BoundedSemaphore(AT_ONCE)

    def ask(self, question: Callable[[], T], seconds: float) -> T:
        """Return the answer to a question.

        Args:
            seconds: to wait at most.

        Raises:
            PlatformError: `transient`, it takes longer; or what the question raises.
            TooManyRequests: too many are under way.
        """
        if not self._free.acquire(blocking=False):
            raise TooManyRequests(COME_BACK_SECONDS, BUSY)
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(question())
            except Exception as error:  # noqa: BLE001  # whoever waits raises it
                answer.set_exception(error)
            finally:
                self._free.release()

        Thread(target=run, name="site-question", daemon=True).start()
        wait([answer], seconds)
        if answer.done():
            return answer.result()
        raise PlatformError(
            ErrorClass.TRANSIENT,
            TOO_SLOW,
            f"The site takes longer than {seconds:g} seconds",
            help="Try again. Ask the people who run the site why it is slow",
        )
