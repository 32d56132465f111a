"""Public pages of posts, as readers get them: without credentials."""

from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

from transmitters.http_client import Answer, HTTPClient
from transmitters.http_connections import NoAnswer

REDIRECTS = frozenset({301, 302, 303, 307, 308})
FOLLOWED = 3
ELSEWHERE = 410
"""Stands for a page that leads readers to another one: theirs is gone."""


class PublicPages:
    """Ask for pages.

    Args:
        client_for: returns the client for an address, which knows where it may connect to.
    """

    def __init__(self, client_for: Callable[[str], HTTPClient]) -> None:
        self._client_for = client_for

    def visit(self, url: str) -> int | None:
        """Return the status of a page, 410 where it leads to another one, None for no answer."""
        address = url
        for _ in range(FOLLOWED + 1):
            answer = self._get(address)
            if answer is None:
                return None
            target = answer.headers.get("Location")
            if answer.status not in REDIRECTS or not target:
                return answer.status
            address = urljoin(address, target)
            if _place(address) != _place(url):
                return ELSEWHERE
        return None

    def _get(self, address: str) -> Answer | None:
        try:
            return self._client_for(address).request("GET", address, headers={"Accept": "*/*"})
        except NoAnswer:
            return None


def _place(url: str) -> tuple[str, str]:
    """Return what two addresses of one page have in common."""
    parts = urlsplit(url)
    return parts.path.rstrip("/"), parts.query
