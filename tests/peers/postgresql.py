"""Debian's PostgreSQL, and what is needed to reach it by ODBC."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.peers.packages import free_port, install_packages, wait_for_port

PACKAGES = "postgresql unixodbc odbc-postgresql"
DRIVER = "PostgreSQL Unicode"
PROGRAMS = Path("/usr/lib/postgresql")
OWNER = "postgres"
"""Who runs the server where root runs the tests: it refuses root."""
USER, PASSWORD = "desk", "pl4nted;pass}word"


def missing() -> str | None:
    """Say how to get it where it is not there."""
    if _program("initdb") and _library("libodbc.so.2") and _library("odbc/psqlodbcw.so"):
        return None
    return f"PostgreSQL or its ODBC driver is not installed: apt-get install {PACKAGES}"


def install() -> None:
    """Install it, where that is possible.

    Raises:
        CalledProcessError: the packages cannot be installed.
    """
    install_packages(PACKAGES)


@contextmanager
def running(directory: Path) -> Iterator[dict[str, Any]]:
    """Run a server with an empty database."""
    data, secret = directory / "data", directory / "password"
    data.mkdir()
    secret.write_text(PASSWORD)
    start: dict[str, Any] = {"cwd": directory}
    if os.geteuid() == 0:
        start |= {"user": OWNER, "group": OWNER, "extra_groups": []}
        directory.chmod(0o711)
        for path in (data, secret):
            shutil.chown(path, OWNER, OWNER)
    initdb = [str(_program("initdb")), "-D", str(data), "-U", USER, "--pwfile", str(secret)]
    initdb += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **start)
    port = free_port()
    settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
    command = [str(_program("postgres")), "-D", str(data), "-p", str(port)]
    command += [option for pair in settings.items() for option in ("-c", "=".join(pair))]
    with (directory / "postgres.log").open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, **start)
    try:
        wait_for_port(server, port)
        # It listens before it takes anybody in.
        ready = [str(_program("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(port), "-t", "60"]
        while subprocess.run(ready, check=False).returncode:
            time.sleep(0.05)
        yield {"port": port, "user": USER, "password": PASSWORD, "driver": DRIVER}
    finally:
        server.send_signal(signal.SIGINT)  # waits for nobody to leave
        server.wait()


def _program(name: str) -> Path | None:
    """Return the program of the newest version."""
    found = [path for path in PROGRAMS.glob(f"*/bin/{name}") if os.access(path, os.X_OK)]
    return max(found, key=lambda path: float(path.parent.parent.name), default=None)


def _library(name: str) -> bool:
    return any(Path("/usr/lib").glob(f"*/{name}"))
