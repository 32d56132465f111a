"""Publishes stories to CMS sites, and reads their pages as the public does, for the demo."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import urllib3

from apps.core.errors import ServerError
from apps.core.service import Document
from apps.core.vocabulary import State
from apps.demo import wordpress
from apps.demo.api import API
from apps.demo.show import DemoStep, Line
from apps.demo.site import PASSWORD, USERNAME, StandInSite

PUBLISHER = "v1/publisher"
WAIT_SECONDS = 25
"""For a wish to be carried out, by each of `ATTEMPTS` requests."""
ATTEMPTS = 4
SHOWN_STATES = (State.PUBLISHED, State.CORRECTED)
EXPECTED = {"publish": "published", "correct": "published", "kill": "retracted"}
"""`status` of the record after an operation."""


@dataclass(frozen=True)
class DemoSite:
    """A site that the demo publishes to.

    Attributes:
        login: who may write there, in the form of an integration.
        people: name and password for the site's own pages, where it has such.
    """

    name: str
    url: str
    login: Mapping[str, str] = field(repr=False)
    people: tuple[str, str] | None = field(default=None, repr=False)


@contextmanager
def demo_sites(*, stand_in: bool, with_wordpress: bool) -> Iterator[list[DemoSite]]:
    """Run the sites that were asked for; they end with the block, and all that is on them.

    Raises:
        RuntimeError, TimeoutError: WordPress does not start.
    """
    with ExitStack() as stack:
        sites = []
        if stand_in:
            site = stack.enter_context(StandInSite())
            login = {"username": USERNAME, "application_password": PASSWORD}
            sites.append(DemoSite("Stand-in site", site.url, login))
        if with_wordpress:
            # With a path that is short enough for the socket of its database.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="wiredesk-wordpress-"))
            running = stack.enter_context(wordpress.running(Path(folder), "The Wiredesk Demo"))
            login = {
                "username": "editor",
                "application_password": running.users["editor"]["password"],
            }
            name = f"WordPress {running.version}"
            people = ("administrator", running.password)
            sites.append(DemoSite(name, running.url, login, people))
        yield sites


class Pages:
    """What the demo shows at one site.

    Args:
        api: of an administrator.
        site: that runs.
        integration: of the site, as `set_up` returns it.
    """

    def __init__(self, api: API, site: DemoSite, integration: Document) -> None:
        self._api = api
        self._site = site
        self._integration = integration["_id"]
        self._reader = urllib3.PoolManager(timeout=urllib3.Timeout(30), retries=False)

    def follow(self, step: DemoStep, headline: str) -> Line:
        """Bring what was done with an item to the site, and look at its page there.

        Args:
            headline: of the item, as it is now.
        """
        asked_at = time.monotonic()
        told = self._publish(step.item_id)
        milliseconds = round((time.monotonic() - asked_at) * 1000)
        status, address = str(told["status"]), told["external_url"]
        shown, is_there = self._read(address, headline) if address else ("", False)
        error = (told.get("error") or {}).get("message", "")
        return Line(
            operation=step.operation,
            headline=" ".join(filter(None, (shown, error))),
            destination=self._site.name,
            state=status,
            milliseconds=milliseconds,
            is_good=status == EXPECTED[step.operation] and is_there != (step.operation == "kill"),
        )

    def restore(self, item_ids: Sequence[str]) -> None:
        """Publish what an earlier demo has left to a site that has just been made."""
        for item_id in item_ids:
            if self._api.get(f"archive/{item_id}").get("state") in SHOWN_STATES:
                self._publish(item_id)

    def _publish(self, item_id: str) -> Document:
        body = {"content": item_id, "integrations": [self._integration], "wait": WAIT_SECONDS}
        for _ in range(ATTEMPTS):
            (told,) = self._api.post(f"{PUBLISHER}/publish", body)["operations"]
            if told["result"] != "queued":
                return dict(told)
        raise ServerError(f"{item_id} did not reach {self._site.name} in time")

    def _read(self, address: str, headline: str) -> tuple[str, bool]:
        """Return what a reader gets at an address, and whether that is the headline."""
        answer = self._reader.request("GET", address)
        page = answer.data.decode(errors="replace")
        is_there = any(text in page for text in (headline, escape(headline, quote=False)))
        shown = headline if is_there else "something else" if answer.status == 200 else "nothing"
        return f"{answer.status} {shown}", is_there and answer.status == 200


def set_up(api: API, site: DemoSite) -> Document:
    """Create site and integration through the API, and test the connection.

    Returns:
        the integration.

    Raises:
        ServerError: the connection test fails.
    """
    wanted = {"name": "Demo", "slug": "demo", "url": site.url}
    stored: list[Document] = api.get(f"{PUBLISHER}/sites")["_items"]
    home = next((one for one in stored if one["slug"] == wanted["slug"]), None)
    home = home or api.post(f"{PUBLISHER}/sites", wanted)
    integrations = f"{PUBLISHER}/integrations"
    for known in api.get(integrations)["_items"]:
        if known["name"] == site.name:
            # The site of an earlier demo is gone, with all that was on it.
            api.delete(f"{integrations}/{known['_id']}?force=true", known["_etag"])
    integration = api.post(
        integrations,
        {
            "site": home["_id"],
            "destination": "wordpress",
            "name": site.name,
            "base_url": site.url,
            "credentials": dict(site.login),
        },
    )
    test = api.post(f"{integrations}/{integration['_id']}/test", {})
    if not test["ok"]:
        failed = "; ".join(check["message"] for check in test["checks"] if not check["ok"])
        raise ServerError(f"{site.name} cannot be used: {failed}")
    return integration
