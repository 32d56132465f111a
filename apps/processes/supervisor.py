"""Runs named children: starts them, restarts what crashes, stops them together."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import FrameType

from apps.core.errors import ConfigurationError
from apps.embedded.children import start, stop

POLL_SECONDS = 0.1
FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A child that ran this long before it ended is started again without a longer delay."""


@dataclass(frozen=True)
class Program:
    """One kind of process.

    Attributes:
        is_ready: whether a process of it that has been started does its work.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    is_ready: Callable[[], bool] = lambda: True


class Supervisor:
    """Keeps programs running until it is told to stop.

    Args:
        programs: what to run.
        log_dir: one log file for each.
    """

    def __init__(self, programs: Iterable[Program], log_dir: Path) -> None:
        self._children = [_Child(program, log_dir) for program in programs]
        self._stop = Event()

    def start(self, timeout: float) -> None:
        """Start all programs and wait until they are ready.

        Raises:
            ConfigurationError: one of them ended or was not ready in time; names its log.
        """
        for child in self._children:
            child.start()
        deadline = time.monotonic() + timeout
        for child in self._children:
            while not child.program.is_ready():
                if child.has_ended() or time.monotonic() > deadline:
                    raise ConfigurationError(
                        f"The {child.program.name} process did not start; see {child.log}"
                    )
                time.sleep(POLL_SECONDS)

    def watch(self) -> None:
        """Restart what crashes, until `stop` is called or SIGTERM or SIGINT arrives."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        while not self._stop.wait(POLL_SECONDS):
            for child in self._children:
                child.restart_if_ended()

    def stop(self) -> None:
        """Stop all programs."""
        self._stop.set()
        stop([child.process for child in self._children if child.process])

    def process(self, name: str) -> "subprocess.Popen[bytes]":
        """Return the running process of a program."""
        return next(c.process for c in self._children if c.program.name == name and c.process)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()


class _Child:
    """One program and its current process."""

    def __init__(self, program: Program, log_dir: Path) -> None:
        self.program = program
        self.log = log_dir / f"{program.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._delay = FIRST_DELAY_SECONDS
        self._due_at = 0.0

    def start(self) -> None:
        self._started_at = time.monotonic()
        self.process = start(self.program.command, self.log, self.program.environment)

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def restart_if_ended(self) -> None:
        now = time.monotonic()
        if not self.has_ended():
            return
        if not self._due_at:
            if now - self._started_at > STEADY_SECONDS:
                self._delay = FIRST_DELAY_SECONDS
            self._due_at = now + self._delay
            self._delay = min(self._delay * 2, LONGEST_DELAY_SECONDS)
        elif now >= self._due_at:
            self._due_at = 0.0
            self.start()
