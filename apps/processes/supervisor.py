"""Runs named children: starts them, restarts what crashes, stops them together."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import structlog

from apps.core.errors import ConfigurationError
from apps.processes.embedded.children import (
    FIRST_DELAY_SECONDS,
    GRACE_SECONDS,
    Restarts,
    has_ended,
    start,
    stop,
)

POLL_SECONDS = 0.1

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Program:
    """One kind of process.

    Attributes:
        name: names it in messages, and its log file.
        command: program and arguments.
        environment: variables on top of the supervisor's own.
        is_ready: whether a process of it that has been started does its work.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    is_ready: Callable[[], bool] = lambda: True


class Supervisor:
    """Keeps programs running until it is told to stop. Used by the main thread.

    Args:
        programs: what to run.
        log_dir: one log file for each.
        first_delay: seconds before a crashed program is started again; doubled at each crash.
        grace: seconds that all have to end by themselves.
    """

    def __init__(
        self,
        programs: Iterable[Program],
        log_dir: Path,
        first_delay: float = FIRST_DELAY_SECONDS,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._children = [_Child(program, log_dir, first_delay, grace) for program in programs]
        self._grace = grace
        # No event: a signal may arrive while the main thread holds the lock of one.
        self._is_stopping = False

    def start(self, timeout: float) -> None:
        """Start all programs and wait until they are ready.

        From here on SIGTERM does what Ctrl-C does: it interrupts, so that the caller can `stop`.
        While a program is being started, that waits until it is known, so that it is stopped, too.

        Args:
            timeout: seconds for all of them together.

        Raises:
            ConfigurationError: one of them ended or was not ready in time; names its log.
            KeyboardInterrupt: SIGTERM or SIGINT arrived.
        """
        _handle_signals(self._on_signal)
        for child in self._children:
            child.start()
        _handle_signals(signal.default_int_handler)
        if self._is_stopping:
            raise KeyboardInterrupt
        deadline = time.monotonic() + timeout
        for child in self._children:
            while not child.program.is_ready():
                if child.has_ended() or time.monotonic() > deadline:
                    raise ConfigurationError(
                        f"The {child.program.name} process did not start; see {child.log}"
                    )
                time.sleep(POLL_SECONDS)

    def watch(self) -> None:
        """Restart what crashes, until SIGTERM or SIGINT arrives or `stop` is called."""
        _handle_signals(self._on_signal)
        while not self._is_stopping:
            for child in self._children:
                child.restart_if_ended()
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Stop all programs. They finish what they have begun, unless another signal arrives."""
        self._is_stopping = True
        running = [child.process for child in self._children if child.process]
        try:
            _handle_signals(signal.default_int_handler)
            stop(running, self._grace)
        except KeyboardInterrupt:
            stop(running, 0.0)
        finally:
            _handle_signals(self._on_signal)

    def process(self, name: str) -> "subprocess.Popen[bytes]":
        """Return the running process of a program."""
        return next(c.process for c in self._children if c.program.name == name and c.process)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True


def _handle_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    # SIGINT as well: a shell that starts this in the background has it ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


class _Child:
    """One program and its current process."""

    def __init__(self, program: Program, log_dir: Path, first_delay: float, grace: float) -> None:
        self.program = program
        self._grace = grace
        self.log = log_dir / f"{program.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._restarts = Restarts(first_delay)

    def start(self) -> None:
        self._restarts.started()
        command, environment = self.program.command, self.program.environment
        self.process = start(command, self.log, environment, (), self._grace)

    def has_ended(self) -> bool:
        return self.process is not None and has_ended(self.process)

    def restart_if_ended(self) -> None:
        if self.process is None or not has_ended(self.process):
            return
        if self._restarts.is_due():
            self.start()
        elif delay := self._restarts.ended():
            status = self.process.returncode
            log.warning(
                "program.ended", program=self.program.name, status=status, restart_seconds=delay
            )
