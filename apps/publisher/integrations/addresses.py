"""The addresses that sites may have (cms contract 3.2)."""

import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from transmitters.networks import AddressGuard

LOOPBACK_NETWORKS = ("127.0.0.0/8", "::1/128")
LOOPBACK_NAMES = frozenset({"localhost", "localhost."})
LONGEST = 2048
USUAL_PORTS = {"http": 80, "https": 443}
"""By scheme; an address is the same with and without."""

Resolver = Callable[..., list[Any]]
"""A function like `socket.getaddrinfo`."""


class Addresses:
    """Checks addresses of sites.

    Args:
        allow_http: without TLS also elsewhere than on this machine.
        allow_private: also inside one's own network.
        resolve: looks up hosts.
    """

    def __init__(
        self, *, allow_http: bool, allow_private: bool, resolve: Resolver = socket.getaddrinfo
    ) -> None:
        self._allow_http = allow_http
        self._guard = AddressGuard(allow_private)
        self._resolve = resolve

    def checked(self, url: str) -> tuple[str, str]:
        """Return an address as it is stored, and what is wrong with it.

        It is stored without a final slash, or a port that goes without saying.

        Returns:
            The address and an empty text, or an empty text and the issue.
        """
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return "", "must be a URL"
        if issue := self._issue(url.strip(), parts, host):
            return "", issue
        if issue := self._issue_of_host(host, port or USUAL_PORTS[parts.scheme]):
            return "", issue
        named = f"[{host}]" if ":" in host else host
        place = named if port in (None, USUAL_PORTS[parts.scheme]) else f"{named}:{port}"
        return f"{parts.scheme.lower()}://{place}{parts.path.rstrip('/')}", ""

    def _issue(self, url: str, parts: Any, host: str) -> str:
        if parts.scheme not in ("http", "https") or not host or len(url) > LONGEST:
            return "must be a URL that begins with https://"
        if any(letter.isspace() or ord(letter) < 32 or letter == "\\" for letter in url):
            return "must be a URL without spaces"
        if "@" in parts.netloc:
            return "must not hold a user name or a password"
        if "?" in url or "#" in url:
            return "must have neither query nor fragment"
        if parts.scheme == "http" and not self._allow_http and not is_loopback(host):
            return "must begin with https://"
        return ""

    def _issue_of_host(self, host: str, port: int) -> str:
        if is_loopback(host):
            return ""
        try:
            found = self._resolve(host, port, type=socket.SOCK_STREAM)
        except UnicodeError:
            return "has no host name"
        except OSError:
            # The connection test tells; the host may be there later.
            return ""
        if not all(map(self._guard.allows, _texts(found))):
            return "must not have a private or link-local address"
        return ""


def _texts(found: Iterable[Any]) -> list[str]:
    return [str(entry[4][0]) for entry in found]


def is_loopback(host: str) -> bool:
    """Whether a host is named as this machine itself; names that only lead there are not."""
    if host.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
