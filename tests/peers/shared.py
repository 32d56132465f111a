"""Servers of other projects that tests talk to, each started once for a whole test session.

A peer is a module of this package, `<name>.py`, with

- `missing()`: a line that says how to get what the peer needs; None where all is there;
- `install()`: gets it, where that is possible without a question (`install.py` calls it);
- `running(directory)`: a context manager that starts it, yields what is needed to reach it as JSON
  values, and stops it.

The processes of a session meet in a directory. The first that needs a peer starts a keeper
(`keeper.py`), which runs it until nobody holds the lock of its users: they have let go, or died.
"""

import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 540.0
"""A peer may have to be built."""
POLL_SECONDS = 0.05

_keepers: list["subprocess.Popen[bytes]"] = []
"""Keepers outlive those who start them: others may still be users."""


@dataclass(frozen=True)
class Peers:
    """The peers of a session.

    Attributes:
        meeting: a directory that all processes of the session know.
        needed: names of those without which tests fail; without others they are skipped.
    """

    meeting: Path
    needed: frozenset[str] = frozenset()

    @contextmanager
    def use(self, name: str) -> Iterator[Any]:
        """Yield what the peer's `running` yields; skip the test where it is not installed."""
        problem = import_module(f"tests.peers.{name}").missing()
        if problem and name in self.needed:
            pytest.fail(problem, pytrace=False)
        if problem:
            pytest.skip(problem)
        with shared_peer(name, self.meeting) as found:
            yield found


@contextmanager
def shared_peer(name: str, meeting: Path) -> Iterator[Any]:
    """Use the peer `name` of this session, and yield what its `running` yields.

    Args:
        meeting: a directory that all processes of the session know.
    """
    with locked(meeting, f"{name}.users", fcntl.LOCK_SH):
        facts = meeting / f"{name}.json"
        with locked(meeting, f"{name}.start", fcntl.LOCK_EX):
            if not facts.exists():
                _start(name, meeting, facts)
        yield json.loads(facts.read_text())


@contextmanager
def locked(meeting: Path, name: str, kind: int) -> Iterator[IO[str]]:
    """Hold a lock of the session; who dies lets go of it."""
    with (meeting / name).open("a") as file:
        fcntl.flock(file, kind)
        yield file


def _start(name: str, meeting: Path, facts: Path) -> None:
    log = meeting / f"{name}.log"
    with log.open("wb") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.peers.keeper", name, str(meeting)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _keepers.append(keeper)
    deadline = time.monotonic() + START_SECONDS
    while not facts.exists():
        if keeper.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{name} did not start:\n{log.read_text()[-4000:]}")
        time.sleep(POLL_SECONDS)
