"""Connection tests of integrations (cms contract 13.2)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.documents import object_of
from apps.core.notifier import Notifier
from apps.core.service import Document, new_etag
from apps.publisher.events import tell_integration
from apps.publisher.integrations.credentials import has_credentials
from apps.publisher.integrations.platforms import TOO_SLOW, Platforms
from apps.publisher.integrations.service import IntegrationsService
from apps.publisher.lanes import SiteLanes
from apps.publisher.schema import IntegrationState
from apps.store.collections import PUBLISHER_INTEGRATIONS
from transmitters.cms.base import (
    LARGEST_NUMBER,
    LONGEST_ADDRESS,
    Check,
    ConnectionTest,
    ErrorClass,
    PlatformError,
)

NO_CREDENTIALS = PlatformError(
    ErrorClass.CONFIG,
    "no_credentials",
    "The integration has no credentials",
    help="Enter the integration's credentials",
)
MESSAGE_LENGTH = 500
DEEPEST, LONGEST_LIST, NAME_LENGTH = 8, 1000, 100
"""Of what a site tells of itself: levels, entries, characters of a key."""


class ConnectionTests:
    """Finds out whether a site can be published to, and what is in the way.

    Args:
        integrations: finds them, and checks settings that are not saved.
        platforms: opens sites.
        lanes: where the records of integrations wait.
        notifier: tells clients.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        integrations: IntegrationsService,
        platforms: Platforms,
        lanes: SiteLanes,
        notifier: Notifier,
    ) -> None:
        self._stored = db[PUBLISHER_INTEGRATIONS]
        self._clock = clock
        self._integrations = integrations
        self._platforms = platforms
        self._lanes = lanes
        self._notifier = notifier

    def of_stored(self, id: Any, caller: Caller, *, write: bool = False) -> Document:
        """Test an integration, keep what was found, and return what clients are told.

        Args:
            write: also create a draft and a picture at the site, and delete both.

        Raises:
            PlainError: 404, there is no such integration.
            TooManyRequests: too many sites are being asked.
        """
        integration = self._integrations.one(id, caller)
        platform = self._platforms.registry.get(integration["destination"])
        if not has_credentials(platform, integration):
            return told(failed("credentials", NO_CREDENTIALS))
        test = self._tested(integration, None, write=write)
        self._keep(integration, test)
        return told(test)

    def of_unsaved(self, body: Mapping[str, Any], caller: Caller, *, write: bool) -> Document:
        """Test settings that are not saved, and return what clients are told.

        Args:
            body: `site`, `destination`, `base_url`, `credentials`, `options`.

        Raises:
            SchemaIssues: something is wrong with them.
            TooManyRequests: too many sites are being asked.
        """
        integration, credentials = self._integrations.unsaved(body, caller)
        platform = self._platforms.registry.get(integration["destination"])
        if not all(credentials.get(f.name) for f in platform.credentials if f.required):
            return told(failed("credentials", NO_CREDENTIALS))
        return told(self._tested(integration, credentials, write=write))

    def refresh(self, integration: Mapping[str, Any]) -> ConnectionTest:
        """Test an integration for its worker, as patiently as it publishes; keep what was found."""
        try:
            test = self._platforms.open(integration).test()
        except PlatformError as error:
            test = failed("credentials", error)
        test = replace(test, remote=kept_of(test.remote))
        self._keep(integration, test)
        return test

    def _tested(
        self, integration: Document, credentials: Mapping[str, str] | None, *, write: bool
    ) -> ConnectionTest:
        try:
            test = self._platforms.ask(
                integration,
                lambda platform: platform.test(write=write),
                credentials,
                cleans_up=write,
            )
        except PlatformError as error:
            return failed("time" if error.code == TOO_SLOW else "credentials", error)
        return replace(test, remote=kept_of(test.remote))

    def _keep(self, integration: Mapping[str, Any], test: ConnectionTest) -> None:
        """Store what was found, unless somebody has changed the settings meanwhile."""
        now = self._clock.now()
        state, changes = state_after(integration, test), Document()
        if test.remote:
            # A test that broke off has not seen everything.
            known = {} if test.ok else object_of(integration, "remote")
            changes["remote"] = {**known, **test.remote}
        if test.ok:
            changes["last_ok_at"] = now
        if state != integration["state"]:
            changes |= {"state": state, "state_at": now}
        changes["state_message"] = None if test.ok else message_of(test)
        tested = ("_id", "base_url", "credentials", "options")
        as_tested = {name: integration.get(name) for name in tested}
        stamps = {"_updated": now, "_etag": new_etag()}
        if not self._stored.update_one(as_tested, {"$set": {**changes, **stamps}}).matched_count:
            return
        if state != integration["state"]:
            tell_integration(self._notifier, {**integration, **changes})
            if test.ok:
                self._lanes.resume(integration["_id"])


def kept_of(found: Any, depth: int = DEEPEST) -> Any:
    """Return what is kept of what a site tells of itself: nothing that no document can hold."""
    if isinstance(found, Mapping):
        kept = list(found.items())[:LONGEST_LIST] if depth else ()
        return {
            str(key).replace("\x00", "")[:NAME_LENGTH]: kept_of(v, depth - 1) for key, v in kept
        }
    if isinstance(found, (list, tuple)):
        return [kept_of(one, depth - 1) for one in found[:LONGEST_LIST]] if depth else []
    if isinstance(found, str):
        return found[:LONGEST_ADDRESS]
    if isinstance(found, int) and abs(found) > LARGEST_NUMBER:
        return None
    return found


def state_after(integration: Mapping[str, Any], test: ConnectionTest) -> str:
    """Return the state of an integration after a test."""
    if test.ok:
        return IntegrationState.OK
    if any(c.error is not None and c.error.error_class == ErrorClass.AUTH for c in test.checks):
        return IntegrationState.AUTH_FAILED
    return str(integration["state"])


def failed(name: str, error: PlatformError) -> ConnectionTest:
    """Return a test that ended before the site was asked."""
    return ConnectionTest([Check(name, False, error)])


def message_of(test: ConnectionTest) -> str:
    """Return in one line what a test has failed over, with the codes of the site."""
    errors = [check.error for check in test.checks if check.error is not None]
    texts = [f"{error.code}: {error.message}" for error in errors]
    return "; ".join(texts)[:MESSAGE_LENGTH]


def told(test: ConnectionTest) -> Document:
    """Return what clients are told of a test."""
    return {
        "ok": test.ok,
        "checks": [
            {
                "name": check.name,
                "ok": check.ok,
                "class": check.error.error_class if check.error else None,
                "code": check.error.code if check.error else None,
                "message": check.error.message if check.error else check.message,
                "help": check.error.help if check.error else "",
            }
            for check in test.checks
        ],
        "remote": test.remote,
    }
