"""The threads of a run, and what becomes of those that a receiver lets wait."""

from collections.abc import Callable
from threading import Condition, Thread

import structlog
from pymongo.errors import PyMongoError

from apps.lanes.dispatcher import Dispatcher, Heartbeat
from apps.lanes.kind import LaneKind
from apps.lanes.worker import LaneWorker

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.25
"""Time between two looks at threads that may be held up."""
MOST_TIMES = 5
"""Threads of a process, those that are held up included, as a multiple of those of a run."""


class Places:
    """How many threads of this process serve lanes. Shared by its runs.

    Args:
        kind: of the lanes.
    """

    def __init__(self, kind: LaneKind) -> None:
        self._free = kind.threads * MOST_TIMES
        self._changed = Condition()
        self._taken = 0

    def take(self, wanted: int) -> int:
        """Take places for threads that are about to start; return how many there are."""
        with self._changed:
            count = max(min(wanted, self._free - self._taken), 0)
            self._taken += count
            return count

    def give_back(self) -> None:
        """Note that a thread has ended."""
        with self._changed:
            self._taken -= 1
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait until all threads have ended."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken)


class LaneThreads:
    """Threads that serve lanes for a run.

    One that is held up in its lane counts no longer: another thread takes its place, so that who
    lets deliveries wait delays no others. A run whose time is over does not wait for those, either:
    they record what comes of it, and end by themselves.

    Args:
        kind: of the lanes.
        places: of the process.
        dispatcher: source of lanes.
        worker: what each thread does.
        heartbeat: renews the leases as long as there is a thread.
        on_left: called when the last thread has ended that a run did not wait for.
    """

    def __init__(
        self,
        kind: LaneKind,
        places: Places,
        dispatcher: Dispatcher,
        worker: LaneWorker,
        heartbeat: Heartbeat,
        on_left: Callable[[], object],
    ) -> None:
        self._kind = kind
        self._places = places
        self._dispatcher = dispatcher
        self._worker = worker
        self._heartbeat = heartbeat
        self._on_left = on_left
        self._changed = Condition()
        self._running = 0
        self._is_left = False
        self._sent = 0
        self._error: BaseException | None = None

    def serve(self, waiting: int) -> int:
        """Serve lanes; return how many attempts were made by now.

        Args:
            waiting: how many lanes are due.

        Raises:
            PyMongoError: the store is away.
        """
        self._heartbeat.start()
        try:
            self._start(min(self._kind.threads, waiting))
            while not self._has_come_to_end():
                self._replace()
        except BaseException:
            self._leave()
            raise
        if self._error is not None:
            raise self._error
        return self._sent

    def _has_come_to_end(self) -> bool:
        """Wait for a moment; return whether there is nothing more to wait for."""
        with self._changed:
            if self._changed.wait_for(lambda: not self._running, LOOK_SECONDS):
                self._heartbeat.end()
                return True
            is_over = self._dispatcher.has_ended
            self._is_left = is_over and self._dispatcher.held_up() == self._running
            return self._is_left

    def _leave(self) -> None:
        """Leave those that still work to themselves."""
        with self._changed:
            self._is_left = True
            is_nobody_left = not self._running
        if is_nobody_left:
            self._heartbeat.end()

    def _replace(self) -> None:
        """Start threads in the place of those that are held up, if there is something to do."""
        held_up = self._dispatcher.held_up()
        if not held_up or self._dispatcher.has_ended or not self._heartbeat.is_safe():
            return
        free = self._kind.threads - (self._running - held_up)
        if free > 0 and (waiting := self._dispatcher.waiting()):
            self._start(min(free, waiting))

    def _start(self, wanted: int) -> None:
        for _ in range(self._places.take(wanted)):
            with self._changed:
                self._running += 1
            try:
                Thread(target=self._work, name=self._kind.name).start()
            except RuntimeError as error:
                # The system has no room for another thread: those that there are go on.
                log.warning("lane.no_thread", kind=self._kind.name, error=str(error))
                self._end(0, None)
                self._places.give_back()

    def _work(self) -> None:
        sent, error = 0, None
        try:
            sent = self._worker.work()
        except BaseException as raised:  # noqa: BLE001 - handed to the run
            error = raised
        finally:
            self._end(sent, error)
            self._places.give_back()

    def _end(self, sent: int, error: BaseException | None) -> None:
        """Note that a thread has ended. The last one that is left to itself cleans up."""
        with self._changed:
            self._running -= 1
            self._sent += sent
            self._error = self._error or error
            is_last_left = self._is_left and not self._running
            self._changed.notify_all()
        if not self._is_left:
            return
        if error is not None:
            log.warning("lane.broken_off", kind=self._kind.name, error=repr(error))
        if is_last_left:
            self._heartbeat.end()
            try:
                self._on_left()
            except PyMongoError as failure:
                log.warning("lane.not_finished", kind=self._kind.name, error=repr(failure))
