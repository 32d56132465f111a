"""WordPress of Debian's packages (`apps/demo/wordpress.py`), with kinds of sites for tests.

`wordpress_files/modes.php` says what a request may ask for with a header, such as plain links.
"""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from apps.demo import wordpress
from apps.demo.wordpress import PACKAGES, missing
from tests.peers.packages import install_packages

__all__ = ["WordPressPeer", "install", "missing", "running"]

FILES = Path(__file__).with_name("wordpress_files")
PASSWORD = "normal-password"
"""Of all users, for the pages where people log in."""


def install() -> None:
    """Install what is missing, as root or with `sudo`; does nothing where neither is possible.

    Raises:
        CalledProcessError: the packages cannot be installed.
    """
    install_packages(PACKAGES)


@contextmanager
def running(directory: Path) -> Iterator[dict[str, Any]]:
    """Install a WordPress in `directory`, and run it until the block ends."""
    with wordpress.running(
        directory,
        "Peer",
        password=PASSWORD,
        plugins=[FILES / "newsroom.php"],
        before=FILES / "modes.php",
    ) as site:
        yield {
            "url": site.url,
            "version": site.version,
            "users": site.users,
            "environment": site.environment,
        }


@dataclass(frozen=True)
class WordPressPeer:
    """A WordPress as tests look at it, past the code under test.

    Attributes:
        users: id and application password, by role, which is the user's name as well.
    """

    url: str
    version: str
    users: Mapping[str, Mapping[str, Any]]
    environment: Mapping[str, str]

    def credentials(self, role: str) -> dict[str, str]:
        """Return the credentials of the user with this role."""
        return {"username": role, "application_password": self.users[role]["password"]}

    def rest(
        self,
        method: str,
        route: str,
        *,
        data: Any = None,
        role: str = "administrator",
        **query: Any,
    ) -> Any:
        """Send a REST request as an administrator, or another user, and return its answer.

        Raises:
            HTTPError: the answer is an error.
        """
        login = f"{role}:{self.users[role]['password']}"
        headers = {"Authorization": "Basic " + b64encode(login.encode()).decode()}
        if data is not None:
            headers["Content-Type"] = "application/json"
        address = f"{self.url}/?{urlencode({'rest_route': route, **query})}"
        body = None if data is None else json.dumps(data).encode()
        with urlopen(Request(address, body, headers, method=method), timeout=60) as answer:
            return json.load(answer)

    def page(self, url: str) -> tuple[int, str]:
        """Return status and text of a public page, as a reader gets it."""
        try:
            with urlopen(url, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def run(self, code: str) -> str:
        """Run PHP inside the site and return what it prints."""
        prepend = wordpress.FILES / "prepend.php"
        loaded = f"require '{prepend}'; require ABSPATH . 'wp-load.php'; {code}"
        return wordpress.php(self.environment, "-r", loaded)

    def release_scheduled(self) -> None:
        """Let the site do what is due, as a visit of somebody would."""
        self.page(f"{self.url}/wp-cron.php?doing_wp_cron")
