"""Child processes that never outlive the process that started them."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 10.0


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
) -> subprocess.Popen[bytes]:
    """Start `command` in a process group of its own.

    On Linux the kernel ends it when the calling thread ends, also by `kill -9` of the process. So
    call this from a thread that lives as long as the child should.

    Args:
        command: program and arguments.
        log: file that the output is appended to.
        environment: variables on top of this process's own.
        inherited: open files that the child keeps open, a lock for instance.

    Raises:
        OSError: there is no such program, or it may not be run.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - commands are ours
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            process_group=0,
            pass_fds=inherited,
            preexec_fn=_die_with_parent(os.getpid()) if sys.platform == "linux" else None,
        )


def _die_with_parent(parent: int) -> "_Preparation":
    # Loaded before the fork: a child of a threaded process may not load anything.
    return _Preparation(ctypes.CDLL(None), parent)


class _Preparation:
    """What a child does before it becomes its command."""

    def __init__(self, libc: ctypes.CDLL, parent: int) -> None:
        self._libc = libc
        self._parent = parent

    def __call__(self) -> None:
        self._libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != self._parent:
            os.kill(os.getpid(), signal.SIGTERM)


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a child has ended; what it left behind in its group is ended with it."""
    if process.returncode is None and process.poll() is not None:
        _kill_group(process)
    return process.returncode is not None


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
        _kill_group(process)
        process.wait()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # macOS answers "not permitted" for a group of which only a zombie is left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
