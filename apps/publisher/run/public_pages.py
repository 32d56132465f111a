"""What anybody can get from the web, without credentials: pages of posts, files of other hosts."""

from collections.abc import Callable
from typing import IO
from urllib.parse import urljoin, urlsplit

from apps.media.signatures import media_type_of
from transmitters.http_client import HTTPClient
from transmitters.http_connections import NoAnswer

REDIRECTS = frozenset({301, 302, 303, 307, 308})
FOLLOWED = 3
OK = 200
FOR_THE_MOMENT = frozenset({408, 425, 429})
"""Answers below 500 after which it is worth asking again."""
ELSEWHERE = 410
"""Stands for a page that leads readers to another one: theirs is gone."""
LARGEST_FILE = 50 << 20
"""Bytes of a file that is fetched."""
HEAD = 64
"""Bytes by which a type is told."""


class PublicPages:
    """Ask for pages and files.

    Args:
        client_for: returns the client for the pages of the site at an address, which knows where it
            may connect to.
        foreign: returns the client for addresses that stand in texts.
    """

    def __init__(
        self, client_for: Callable[[str], HTTPClient], foreign: Callable[[], HTTPClient]
    ) -> None:
        self._client_for = client_for
        self._foreign = foreign

    def fetch(self, url: str, target: IO[bytes]) -> str:
        """Write the file at an address into `target`; return its media type, told by the bytes.

        Raises:
            NoAnswer: no whole file came, or the host cannot give it now.
            ValueError: there is none, it is too large, or elsewhere again and again.
        """
        address = url
        for _ in range(FOLLOWED + 1):
            answer = self._foreign().download(address, target, LARGEST_FILE)
            if answer.broken:
                raise NoAnswer(f"the file broke off: {answer.broken}")
            elsewhere = answer.headers.get("Location")
            if answer.status in REDIRECTS and elsewhere:
                address = urljoin(address, elsewhere)
                target.seek(0)
                target.truncate()
                continue
            if answer.status in FOR_THE_MOMENT or answer.status >= 500:
                raise NoAnswer(f"the answer is {answer.status}")
            if answer.status != OK:
                raise ValueError(f"the answer is {answer.status}")
            target.flush()
            target.seek(0)
            return media_type_of(target.read(HEAD))
        raise ValueError("the address leads elsewhere again and again")

    def visit(self, url: str, site: str) -> int | None:
        """Return the status of a page, 410 where it leads to another one, None for no answer.

        Args:
            url: as the site has told it, so it may be any.
            site: address of the site, which alone says whether the page may be on this machine.
        """
        client, address = self._client_for(site), url
        try:
            for _ in range(FOLLOWED + 1):
                answer = client.request("GET", address, headers={"Accept": "*/*"})
                target = answer.headers.get("Location")
                if answer.status not in REDIRECTS or not target:
                    return answer.status
                address = urljoin(address, target)
                if _place(address) != _place(url):
                    return ELSEWHERE
        except (NoAnswer, ValueError):
            return None
        return None


def _place(url: str) -> tuple[str, str]:
    """Return what two addresses of one page have in common."""
    parts = urlsplit(url)
    return parts.path.rstrip("/"), parts.query
