"""Debian's sshd: SFTP with keys."""

import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.peers.packages import free_port, install_packages, program, wait_for_port

PACKAGES = "openssh-server openssh-client"
CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {directory}/host_ed25519
HostKey {directory}/host_rsa
PidFile none
AuthorizedKeysFile {directory}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
Subsystem sftp internal-sftp
ForceCommand internal-sftp -d {home}
"""
RUN = Path("/run/sshd")


def missing() -> str | None:
    """Say how to get it where it is not there."""
    if program("sshd") and program("ssh-keygen"):
        return None
    return f"sshd is not installed: apt-get install {PACKAGES}"


def install() -> None:
    """Install it, where that is possible.

    Raises:
        CalledProcessError: the packages cannot be installed.
    """
    install_packages(PACKAGES)


@contextmanager
def running(directory: Path) -> Iterator[dict[str, Any]]:
    """Run a server whose user is the one who runs the tests."""
    home = directory / "home"
    home.mkdir()
    for name, kind in (("host_ed25519", "ed25519"), ("host_rsa", "rsa"), ("user", "ed25519")):
        command = [str(program("ssh-keygen")), "-q", "-t", kind, "-N", "", "-f"]
        subprocess.run([*command, str(directory / name)], check=True)
    if os.geteuid() == 0:
        RUN.mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    config = directory / "sshd_config"
    config.write_text(CONFIG.format(port=port, directory=directory, home=home))
    server = subprocess.Popen([str(program("sshd")), "-D", "-e", "-f", str(config)])
    try:
        wait_for_port(server, port)
        yield {
            "port": port,
            "home": str(home),
            "username": pwd.getpwuid(os.geteuid()).pw_name,
            "private_key": (directory / "user").read_text(),
            "host_keys": {
                kind: (directory / f"host_{kind}.pub").read_text() for kind in ("ed25519", "rsa")
            },
        }
    finally:
        server.terminate()
        server.wait()
