"""Debian's vsftpd: FTP over TLS, which takes data only in the TLS session of the commands."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.peers.packages import free_port, install_packages, program, wait_for_port

PACKAGES = "vsftpd"
CONFIG = """
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=YES
local_enable=NO
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_world_readable_only=NO
anon_umask=022
anon_root={root}
ftp_username={user}
ssl_enable=YES
allow_anon_ssl=YES
force_anon_data_ssl=YES
force_anon_logins_ssl=YES
require_ssl_reuse=YES
strict_ssl_read_eof=YES
ssl_ciphers=HIGH
rsa_cert_file={certificate}
secure_chroot_dir={empty}
seccomp_sandbox=NO
"""


def missing() -> str | None:
    """Say how to get it where it is not there."""
    if os.geteuid() != 0:
        return "vsftpd is started by root only"
    if program("vsftpd"):
        return None
    return f"vsftpd is not installed: apt-get install {PACKAGES}"


def install() -> None:
    """Install it, where that is possible.

    Raises:
        CalledProcessError: the package cannot be installed.
    """
    install_packages(PACKAGES)


@contextmanager
def running(directory: Path) -> Iterator[dict[str, Any]]:
    """Run a server whose users upload to `incoming`."""
    root, empty = directory / "root", directory / "empty"
    incoming = root / "incoming"
    for path in (incoming, empty):
        path.mkdir(parents=True)
    # Not imported above: whoever installs this has nothing but Python.
    import_module("tests.support.certificates").self_signed(directory)
    # It becomes another user, who has to get there, and it wants no root that users can write.
    directory.chmod(0o711)
    root.chmod(0o555)
    incoming.chmod(0o777)
    pem = (directory / "receiver.pem").read_text()
    port = free_port()
    config = directory / "vsftpd.conf"
    config.write_text(
        CONFIG.format(
            port=port,
            root=root,
            user="ftp",
            certificate=directory / "receiver.pem",
            empty=empty,
        )
    )
    server = subprocess.Popen([str(program("vsftpd")), str(config)])
    try:
        wait_for_port(server, port)
        yield {
            "port": port,
            "incoming": str(incoming),
            "certificate": pem[: pem.index("-----BEGIN PRIVATE KEY")],
        }
    finally:
        server.terminate()
        server.wait()
