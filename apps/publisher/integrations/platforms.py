"""Opens the sites of integrations: the platform's class with its client, options and secrets."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from pymongo.database import Database

from apps.core.documents import object_of
from apps.core.patience import Patience
from apps.core.registry import Registry
from apps.core.service import Document
from apps.publisher.integrations.addresses import LOOPBACK_NETWORKS, is_loopback
from apps.publisher.integrations.credentials import opened
from apps.publisher.integrations.options import whole_options
from apps.secrets.vault import UnreadableSecret, Vault
from apps.store.by_id import find_by_id
from apps.store.collections import PUBLISHER_SITES
from transmitters.base import TransmitSettings
from transmitters.cms.base import ErrorClass, Platform, PlatformError, Site
from transmitters.cms.http import SiteAnswer, SiteClient
from transmitters.http_client import HTTPClient
from transmitters.http_connections import NoAnswer

CONNECT_SECONDS, ANSWER_SECONDS, UPLOAD_SECONDS = 10.0, 60.0, 300.0
PATIENT_SECONDS = 6.0
"""For one answer to somebody who waits for it."""
TEST_SECONDS = 20.0
"""For all that is asked of a site for somebody who waits, a connection test, say."""
CLEAN_UP_SECONDS = 30.0
"""More, for requests that remove what a connection test has made; nobody waits for them."""
CONNECTIONS_PER_HOST = 8
AT_ONCE = 4
"""Questions of a process to sites; who asks one more is told to come back."""
BUSY = {"site": "too many sites are being asked"}
TOO_SLOW = "too_slow"

T = TypeVar("T")
UNREADABLE = "The stored credentials cannot be read. Enter them again."


class Limit(Protocol):
    """Holds requests to what a service allows."""

    def before(self) -> None:
        """Wait until the next request may be sent."""
        ...

    def after(self, answer: SiteAnswer) -> None:
        """Take note of an answer."""
        ...


Limits = Callable[[Mapping[str, Any], Mapping[str, Any]], Limit | None]
"""Returns the limit of an integration with these options, None where it has none."""


@dataclass(frozen=True)
class Clients:
    """HTTP clients of one kind of address.

    Attributes:
        patient: for requests that somebody waits for.
    """

    usual: HTTPClient
    uploads: HTTPClient
    patient: HTTPClient


class Platforms:
    """Platforms of integrations. Threads may share it; it is used after a fork only.

    Args:
        registry: platforms by destination.
        vault: opens credentials.
        settings: PUBLISHER_ALLOW_PRIVATE.
        limits: the limits of services, where requests are counted.
    """

    def __init__(
        self,
        db: Database[Document],
        registry: Registry[Platform],
        vault: Vault,
        settings: Mapping[str, Any],
        limits: Limits = lambda integration, options: None,
    ) -> None:
        self.registry = registry
        self._db = db
        self._vault = vault
        self._allow_private = bool(settings["PUBLISHER_ALLOW_PRIVATE"])
        self._limits = limits
        self._patience = Patience(AT_ONCE, BUSY)
        self._clients: dict[bool, Clients] = {}
        self._lock = Lock()

    def options_of(self, integration: Mapping[str, Any]) -> Document:
        """Return all options of an integration, defaults filled in; one command."""
        site = find_by_id(self._db[PUBLISHER_SITES], integration["site"], {"defaults": 1}) or {}
        cls = self.registry.get(integration["destination"])
        return whole_options(cls, object_of(integration, "options"), object_of(site, "defaults"))

    def open(self, integration: Mapping[str, Any]) -> Platform:
        """Return the platform of a stored integration; one command.

        Raises:
            PlatformError: `config`, its credentials cannot be read.
            PluginError: its platform is not installed.
        """
        options = self.options_of(integration)
        clients = self._clients_for(integration["base_url"])
        limit = self._limits(integration, options)
        client = (
            SiteClient(clients.usual, clients.uploads)
            if limit is None
            else SiteClient(clients.usual, clients.uploads, before=limit.before, after=limit.after)
        )
        return self._platform(integration, options, self._credentials(integration), client)

    def ask(
        self,
        integration: Mapping[str, Any],
        question: Callable[[Platform], T],
        credentials: Mapping[str, str] | None = None,
        *,
        cleans_up: bool = False,
    ) -> T:
        """Return the answer of a site to somebody who waits for it, TEST_SECONDS at most.

        Args:
            integration: as stored, or as it would be.
            credentials: to use instead of the stored ones.
            cleans_up: what the question makes at the site it removes, also when nobody waits
                for it any more.

        Raises:
            PlatformError: it takes too long; as `open`, and what the question raises.
            PluginError: as `open`.
            TooManyRequests: too many sites are being asked.
        """

        def asked() -> T:
            return question(self._open_for_request(integration, credentials, cleans_up=cleans_up))

        try:
            return self._patience.ask(asked, TEST_SECONDS)
        except TimeoutError:
            raise PlatformError(
                ErrorClass.TRANSIENT,
                TOO_SLOW,
                f"The site takes longer than {TEST_SECONDS:g} seconds",
                help="Try again. Ask the people who run the site why it is slow",
            ) from None

    def _open_for_request(
        self,
        integration: Mapping[str, Any],
        credentials: Mapping[str, str] | None,
        *,
        cleans_up: bool,
    ) -> Platform:
        allowed = TEST_SECONDS + CLEAN_UP_SECONDS if cleans_up else TEST_SECONDS - PATIENT_SECONDS
        ends = time.monotonic() + allowed

        def before() -> None:
            if time.monotonic() > ends:
                raise NoAnswer("the site is too slow to wait for")

        clients = self._clients_for(integration["base_url"])
        if credentials is None:
            credentials = self._credentials(integration)
        client = SiteClient(clients.patient, before=before)
        return self._platform(integration, self.options_of(integration), credentials, client)

    def page_client(self, base_url: str) -> HTTPClient:
        """Return the client for the public pages of the site at an address, with its limits."""
        return self._clients_for(base_url).patient

    def foreign_client(self) -> HTTPClient:
        """Return the client for addresses that stand in texts: none leads to this machine."""
        return self._clients_for("").patient

    def _platform(
        self,
        integration: Mapping[str, Any],
        options: Mapping[str, Any],
        credentials: Mapping[str, str],
        client: SiteClient,
    ) -> Platform:
        site = Site(
            id=str(integration["_id"]),
            base_url=integration["base_url"],
            credentials=credentials,
            options=options,
            remote=object_of(integration, "remote"),
        )
        return self.registry.get(integration["destination"])(site, client)

    def _credentials(self, integration: Mapping[str, Any]) -> dict[str, str]:
        try:
            return opened(self._vault, integration)
        except UnreadableSecret:
            raise PlatformError(
                ErrorClass.CONFIG, "credentials_unreadable", UNREADABLE, help=UNREADABLE
            ) from None

    def _clients_for(self, base_url: str) -> Clients:
        """Return the clients of an address: only what is named as this machine may be on it."""
        here = is_loopback(urlsplit(base_url).hostname or "")
        with self._lock:
            if here not in self._clients:
                self._clients[here] = self._new_clients(here)
            return self._clients[here]

    def _new_clients(self, here: bool) -> Clients:
        def client(seconds: float) -> HTTPClient:
            return HTTPClient(
                TransmitSettings(
                    http_connect_timeout=min(CONNECT_SECONDS, seconds),
                    http_read_timeout=seconds,
                    http_total_timeout=seconds,
                    http_allow_private_addresses=self._allow_private,
                    http_allowed_networks=LOOPBACK_NETWORKS if here else (),
                    http_connections_per_host=CONNECTIONS_PER_HOST,
                )
            )

        return Clients(client(ANSWER_SECONDS), client(UPLOAD_SECONDS), client(PATIENT_SECONDS))
