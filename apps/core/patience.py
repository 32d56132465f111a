"""Questions to others that somebody waits for: so long at most, and so many at a time."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import BoundedSemaphore, Thread
from typing import TypeVar

from apps.core.errors import TooManyRequests

COME_BACK_SECONDS = 5

T = TypeVar("T")


class Patience:
    """Lets somebody wait for an answer as long as allowed, whatever is asked for.

    The question goes on in a thread of its own when the time is over, so that it can clean up
    behind itself. Until it ends it counts among those under way.

    Args:
        at_once: questions of a process under way; who asks one more is told to come back.
        busy: value of `_issues` of that answer.
    """

    def __init__(self, at_once: int, busy: dict[str, str]) -> None:
        self._free = BoundedSemaphore(at_once)
        self._busy = busy

    def ask(self, question: Callable[[], T], seconds: float) -> T:
        """Return the answer to a question.

        Args:
            seconds: to wait at most.

        Raises:
            TimeoutError: it takes longer; or whatever the question raises.
            TooManyRequests: too many are under way.
        """
        if not self._free.acquire(blocking=False):
            raise TooManyRequests(COME_BACK_SECONDS, self._busy)
        answer: Future[T] = Future()

        def run() -> None:
            try:
                # Before anybody hears of the answer, who may ask the next question then.
                try:
                    found = question()
                finally:
                    self._free.release()
            except Exception as error:  # noqa: BLE001 - whoever waits raises it
                answer.set_exception(error)
            else:
                answer.set_result(found)

        Thread(target=run, name="question", daemon=True).start()
        wait([answer], seconds)
        if answer.done():
            return answer.result()
        raise TimeoutError(f"no answer within {seconds:g} seconds")
