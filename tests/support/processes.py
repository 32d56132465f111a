"""Looking at processes from outside."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

POLL_SECONDS = 0.02


def is_running(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:  # it has just gone, or there is no `/proc`
        return not Path("/proc/self").exists()
    return stat.rpartition(")")[2].split()[0] != "Z"


def members(group: int) -> list[int]:
    """Return the ids of the processes that run in a process group; reads `/proc`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(ProcessLookupError):
            if os.getpgid(int(entry.name)) == group and is_running(int(entry.name)):
                found.append(int(entry.name))
    return found


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until `condition` holds; fail where it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(POLL_SECONDS)
