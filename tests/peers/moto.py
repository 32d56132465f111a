"""moto's server: a look-alike of Amazon's services. It comes with the packages of development."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.peers.packages import free_port, wait_for_port

START_SECONDS = 240.0
"""It imports much, and a busy machine takes its time for that."""


def missing() -> str | None:
    """Say how to get it where it is not there."""
    if find_spec("moto"):
        return None
    return "moto is not installed: pip install -r requirements/dev.txt"


def install() -> None:
    """Do nothing: it comes with the packages of development."""


@contextmanager
def running(directory: Path) -> Iterator[dict[str, Any]]:
    """Run a server."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (directory / "moto.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory)
    try:
        wait_for_port(server, port, START_SECONDS)
        yield {"url": f"http://127.0.0.1:{port}"}
    finally:
        server.terminate()
        server.wait()
