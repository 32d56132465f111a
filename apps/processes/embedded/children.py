"""Child processes that never outlive the process that started them."""

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

GRACE_SECONDS = 10.0
FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A child that ran this long before it ended is started again without a longer delay."""
CHECKS_PER_SECOND = 10

FIRST_INHERITED = 10
"""Lowest number of a file that a child keeps open: those of one digit are the guard's to use."""

GUARDED = """
exec 3<&0
checks=$1
shift
(
    trap '' HUP INT TERM
    read -r nothing <&3
    kill -TERM $$
    while [ $checks -gt 0 ] && kill -0 $$; do sleep 0.1; checks=$((checks - 1)); done
    kill -KILL 0
) 2>/dev/null &
exec "$@" </dev/null 3<&-
"""
"""Becomes the command, and leaves a guard in its process group; the command's id (`$$`) names both.

The guard reads from a pipe that only the owner can write to. It reads the end when the owner closes
the pipe or is gone, in whatever way. Then it asks the command to end, looks for it so many times,
and kills the group, itself included. While it is there, the id is not given to anybody else.
"""


def free_port() -> int:
    """Return a loopback port that is free right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    inherited: Sequence[int] = (),
    grace: float = GRACE_SECONDS,
) -> subprocess.Popen[bytes]:
    """Start `command` in a process group of its own, which ends with this process.

    Also when this process is killed: then the child is asked to end, and forced when it has not
    after the grace time. It lives no longer than the returned object and its `stdin`, either.

    Args:
        command: program and arguments.
        log: file that the output is appended to.
        environment: variables on top of this process's own.
        inherited: open files that the child keeps open, a lock for instance.
        grace: seconds that the child has to end by itself when this process is gone.

    Raises:
        OSError: there is no such program, or it may not be run.
    """
    variables = {**os.environ, **(environment or {})}
    if not shutil.which(command[0], path=variables.get("PATH")):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    kept = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, FIRST_INHERITED) for file in inherited]
    try:
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - commands are ours
                ["/bin/sh", "-c", GUARDED, "sh", str(round(grace * CHECKS_PER_SECOND)), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=variables,
                process_group=0,
                pass_fds=kept,
            )
    finally:
        for file in kept:
            os.close(file)


class Restarts:
    """When a child that has ended is started again: with a delay that grows while it keeps ending.

    Args:
        first: seconds before it is started again the first time; doubled at each further end.
    """

    def __init__(self, first: float = FIRST_DELAY_SECONDS) -> None:
        self._first = self._next = first
        self._started_at = time.monotonic()
        self._due_at: float | None = None

    def started(self) -> None:
        """Note that the child has been started."""
        self._started_at = time.monotonic()
        self._due_at = None

    def ended(self) -> float | None:
        """Note that the child has ended; return the delay, None when that was noted before."""
        if self._due_at is not None:
            return None
        now = time.monotonic()
        if now - self._started_at > STEADY_SECONDS:
            self._next = self._first
        delay = self._next
        self._due_at = now + delay
        self._next = min(delay * 2, LONGEST_DELAY_SECONDS)
        return delay

    def is_due(self) -> bool:
        """Whether the child is to be started now."""
        return self._due_at is not None and time.monotonic() >= self._due_at


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a child has ended; what it left behind in its group is ended with it."""
    if process.poll() is None:
        return False
    _end_group(process)
    return True


def stop(processes: Sequence[subprocess.Popen[bytes]], grace: float = GRACE_SECONDS) -> None:
    """End children: all are asked at once, which they pass on to their own; then forced.

    Args:
        processes: children made by `start`; those that have ended already are left alone.
        grace: seconds that all of them together have to end by themselves.
    """
    running = [process for process in processes if not has_ended(process)]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + grace
    for process in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        # Whatever is left of its group, also when the child itself has gone.
        _end_group(process)
        process.wait()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a child's group, its guard included. May be called again."""
    if process.stdin is None or process.stdin.closed:
        return
    # macOS answers "not permitted" for a group of which only a zombie is left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.stdin.close()
