"""Children end when they are told to, and when their parent is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.processes.embedded.children import has_ended, start, stop
from tests.support.processes import is_running, members, wait_until

PARENT = """
import sys, time
from pathlib import Path
from apps.processes.embedded.children import start
log, program, grace = sys.argv[1:]
child = start(["bash", "-c", program], Path(log), grace=float(grace))
print(child.pid, flush=True)
time.sleep(60)
"""
LOCKED = """
import fcntl, sys, time
from pathlib import Path
from apps.processes.embedded.children import start, stop
path, log = Path(sys.argv[1]), Path(sys.argv[2])
lock = path.open("a")
fcntl.flock(lock, fcntl.LOCK_EX)
child = start(["sh", "-c", "echo ready; exec sleep 60"], log, inherited=[lock.fileno()])
print(lock.fileno(), end=" ")
lock.close()
while not log.read_text():
    time.sleep(0.01)
try:
    fcntl.flock(path.open("a"), fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("is kept")
stop([child])
"""
LOOKS_AT_GROUPS = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
DEAF = "trap '' TERM; echo ready; while true; do sleep 0.1; done"
FAMILY = "sleep 60 & echo $!; wait"
POLITE = "trap 'echo bye; exit 0' TERM; echo ready; while true; do sleep 0.02; done"


def written(log: Path) -> str:
    wait_until(lambda: log.exists() and log.read_text())
    return log.read_text()


def test_output_and_errors_are_appended_to_the_log(tmp_path: Path) -> None:
    """A log is never truncated: what was there before a restart stays."""
    log = tmp_path / "log" / "child.log"
    for _ in range(2):
        child = start(["sh", "-c", "echo $WORD; echo oops >&2"], log, {"WORD": "hello"})
        child.wait()
        stop([child])
    assert log.read_text() == "hello\noops\n" * 2


def test_a_child_may_end_by_itself(tmp_path: Path) -> None:
    """A child that reacts to the request is not forced."""
    log = tmp_path / "log"
    child = start(["bash", "-c", POLITE], log)
    written(log)
    stop([child])
    assert child.returncode == 0
    assert log.read_text() == "ready\nbye\n"


def test_a_deaf_child_is_forced(tmp_path: Path) -> None:
    """A child that ignores the request is killed when its time is over."""
    child = start(["bash", "-c", DEAF], tmp_path / "log")
    written(tmp_path / "log")
    stop([child], grace=0.2)
    assert child.returncode == -signal.SIGKILL


def test_children_share_the_grace_time(tmp_path: Path) -> None:
    """Stopping several deaf children takes as long as stopping one."""
    children = [start(["bash", "-c", DEAF], tmp_path / str(n)) for n in range(3)]
    for n in range(3):
        written(tmp_path / str(n))
    started = time.monotonic()
    stop(children, grace=0.5)
    assert time.monotonic() - started < 1.2


@pytest.mark.parametrize("ends_first", [False, True])
def test_grandchildren_end_too(tmp_path: Path, ends_first: bool) -> None:
    """What a child leaves behind in its group does not survive it, however the child ended."""
    child = start(["bash", "-c", FAMILY], tmp_path / "log")
    grandchild = int(written(tmp_path / "log"))
    if ends_first:
        child.kill()
        wait_until(lambda: has_ended(child))
    stop([child])
    wait_until(lambda: not is_running(grandchild))


def test_stopping_what_has_ended_does_nothing(tmp_path: Path) -> None:
    """A child can be stopped twice, and after it has ended by itself."""
    child = start(["true"], tmp_path / "log")
    child.wait()
    stop([child])
    stop([child])
    assert child.returncode == 0


def test_a_missing_program_is_an_error(tmp_path: Path) -> None:
    """The caller learns at once that there is no such program."""
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        start([str(tmp_path / "no-such-program")], tmp_path / "log")


@LOOKS_AT_GROUPS
@pytest.mark.parametrize(("program", "grace"), [(POLITE, "60"), (DEAF, "0.2"), (FAMILY, "60")])
def test_children_do_not_outlive_a_killed_parent(tmp_path: Path, program: str, grace: str) -> None:
    """After `kill -9` of the parent a child is asked to end, and killed if it is deaf to that."""
    log = tmp_path / "log"
    command = [sys.executable, "-c", PARENT, str(log), program, grace]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        group = int(parent.stdout.readline())
        written(log)
        assert is_running(group)
        os.kill(parent.pid, signal.SIGKILL)
    wait_until(lambda: not members(group))
    assert ("bye" in log.read_text()) == (program == POLITE)


def test_an_inherited_lock_is_kept_whatever_its_number(tmp_path: Path) -> None:
    """Also by the first file that a program opens, whose number the shell would take for itself."""
    command = [sys.executable, "-W", "ignore", "-c", LOCKED, tmp_path / "lock", tmp_path / "log"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "3 is kept\n"


@LOOKS_AT_GROUPS
def test_a_child_is_not_guarded_longer_than_it_runs(tmp_path: Path) -> None:
    """Nothing is left in the group of a child that has ended or was stopped."""
    ended = start(["true"], tmp_path / "ended")
    wait_until(lambda: has_ended(ended))
    stopped = start(["sleep", "60"], tmp_path / "stopped")
    assert members(stopped.pid)
    stop([stopped])
    wait_until(lambda: not members(ended.pid) and not members(stopped.pid))
