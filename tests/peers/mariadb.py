"""Debian's MariaDB, and what is needed to reach it by ODBC."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.peers.packages import free_port, install_packages, program, wait_for_port

PACKAGES = "mariadb-server-core unixodbc odbc-mariadb"
DRIVER = "MariaDB Unicode"
SETTINGS = """
create database wire character set utf8mb4;
create user desk@'127.0.0.1' identified by 'planted-password';
grant all on *.* to desk@'127.0.0.1';
"""
START_SECONDS = 120.0


def missing() -> str | None:
    """Say how to get it where it is not there."""
    programs = all(program(name) for name in ("mariadbd", "mariadb-install-db"))
    if programs and any(Path("/usr/lib").glob("*/odbc/libmaodbc.so")):
        return None
    return f"MariaDB or its ODBC driver is not installed: apt-get install {PACKAGES}"


def install() -> None:
    """Install it, where that is possible.

    Raises:
        CalledProcessError: the packages cannot be installed.
    """
    install_packages(PACKAGES)


@contextmanager
def running(directory: Path) -> Iterator[dict[str, Any]]:
    """Run a server with an empty database."""
    data, start = directory / "data", directory / "start.sql"
    # It takes one statement a line.
    start.write_text(SETTINGS.strip() + "\n")
    # A MariaDB that starts removes the temporary tables of others in the same directory.
    common = ["--no-defaults", f"--datadir={data}", f"--tmpdir={directory}"]
    if os.geteuid() == 0:
        common.append("--user=root")
    made = [str(program("mariadb-install-db")), *common, "--skip-test-db"]
    made.append("--auth-root-authentication-method=normal")
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    port = free_port()
    command = [str(program("mariadbd")), *common, "--bind-address=127.0.0.1", f"--port={port}"]
    command += [f"--socket={directory / 'socket'}", f"--init-file={start}"]
    command += ["--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0"]
    with (directory / "mariadb.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for_port(server, port, START_SECONDS)
        yield {
            "connection_string": f"Driver={{{DRIVER}}};Server=127.0.0.1;Port={port};"
            "Database=wire;UID=desk;PWD=planted-password"
        }
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(data, ignore_errors=True)
