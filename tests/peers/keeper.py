"""Run a peer for as long as anybody uses it: `python -m tests.peers.keeper NAME DIRECTORY`."""

import fcntl
import json
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from tests.peers.shared import locked


def keep(name: str, meeting: Path) -> None:
    """Start the peer, say how to reach it, stop it when its last user has gone.

    Its files are in a directory of their own, whose path is short enough for sockets.
    """
    directory = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    try:
        with import_module(f"tests.peers.{name}").running(directory) as found:
            facts = meeting / f"{name}.json"
            written = facts.with_suffix(".new")
            written.write_text(json.dumps(found))
            written.rename(facts)
            with locked(meeting, f"{name}.users", fcntl.LOCK_EX):
                facts.unlink()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    keep(sys.argv[1], Path(sys.argv[2]))
