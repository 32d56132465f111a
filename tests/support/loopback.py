"""Keeps a Python process on its machine: it reaches no other one, and asks nobody for a name.

The source of this module is also what other processes start with, so it needs nothing besides the
standard library.
"""

import errno
import os
import socket
import sys
from ipaddress import ip_address
from typing import Any

REPORT = "LOOPBACK_REPORT"
"""Environment variable: file to which processes write that they start, and what they are kept from.
"""
STARTED = "started"


def stay_on_loopback() -> None:
    """Refuse connections to other machines and look-ups of names, for as long as the process runs.

    It sees the errors of a machine without a network.
    """
    _report(STARTED, sys.orig_argv)
    sys.addaudithook(_look)


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        # With a local socket comes the path of a file.
        if isinstance(address := arguments[1], tuple) and not _is_here(address[0]):
            _report(event, address[0])
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and not _is_here(arguments[0]):
        host = arguments[0]
        if not _is_number(_text(host)):
            _report(event, host)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def _is_here(host: Any) -> bool:
    text = _text(host)
    if text in ("", "localhost", socket.gethostname()):
        return True
    return _is_number(text) and ip_address(text.partition("%")[0]).is_loopback


def _is_number(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _text(host: Any) -> str:
    if isinstance(host, bytes | bytearray):
        return bytes(host).decode("latin-1")
    return host if isinstance(host, str) else ""


def _report(event: str, what: Any) -> None:
    if path := os.environ.get(REPORT):
        with open(path, "a", encoding="utf-8") as report:
            report.write(f"{os.getpid()} {event} {what!r}\n")
