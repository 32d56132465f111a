"""How a process ends that is asked to: what it has begun is finished, and nothing more is begun.

SIGTERM and SIGINT ask. Whoever works through something looks at `ASKED` before each new piece. A
second signal, or the end of the time, ends the process as it is; whatever is then left behind is
taken over like that of a process that died.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

ASKED = Event()
"""Set once this process is asked to end."""
FAILED = 1


class GracefulStop:
    """What the signals of a process do.

    Args:
        seconds: until the process is ended, whatever it does.
        tell: called when the process is asked to end, to ask others.
        end: ends the process as it is.
        is_watched: another process ends this one if need be. A second signal says nothing new then:
            a terminal and a service manager signal both processes, and one tells the other.
    """

    def __init__(
        self,
        seconds: float,
        *,
        tell: Callable[[], object] = lambda: None,
        end: Callable[[], object] = lambda: os._exit(FAILED),
        is_watched: bool = False,
    ) -> None:
        self._seconds = seconds
        self._tell = tell
        self._end = end
        self._is_watched = is_watched

    def install(self) -> None:
        """Let SIGTERM and SIGINT ask this process to end; called by its main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: self.ask())

    def ask(self) -> None:
        """Ask this process to end, or end it when it was asked before. Main thread only."""
        if ASKED.is_set():
            if not self._is_watched:
                self._end()
            return
        ASKED.set()
        signal.signal(signal.SIGALRM, self._time_is_over)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        self._tell()

    def _time_is_over(self, _number: int, _frame: FrameType | None) -> None:
        # Written past the log: a signal may arrive while this thread holds its lock.
        os.write(2, f"process.stopped_hard after {self._seconds:g} seconds\n".encode())
        self._end()


@contextmanager
def graceful_stop(seconds: float) -> Iterator[None]:
    """Let the signals only ask while the block runs; called by the main thread.

    Args:
        seconds: see `GracefulStop`.
    """
    signals = (signal.SIGTERM, signal.SIGINT)
    before = [(number, signal.getsignal(number)) for number in signals]
    GracefulStop(seconds).install()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before:
            signal.signal(number, handler)
