"""How peers that are Debian's packages are found and installed."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence

START_SECONDS = 20.0


def install_packages(names: str) -> None:
    """Install packages, as root or with `sudo`; does nothing where neither is possible.

    Raises:
        CalledProcessError: they cannot be installed.
    """
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if not shutil.which("apt-get") or not _works([*sudo, "true"]):
        return
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "install", "-y", "--no-install-recommends", *names.split()], check=True)


def program(name: str) -> str | None:
    """Return the path of a program, also of those that only root has in the path."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_for_port(
    server: "subprocess.Popen[bytes]", port: int, seconds: float = START_SECONDS
) -> None:
    """Wait until a server takes connections.

    Args:
        seconds: that it may take.

    Raises:
        RuntimeError: it has ended, or takes too long.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server does not start") from None
            time.sleep(0.02)
        else:
            return


def _works(command: Sequence[str]) -> bool:
    return bool(shutil.which(command[0])) and not subprocess.run(command, check=False).returncode
