"""What is done now and then: sites are read again, late withdrawals told, ledgers tidied up."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.documents import object_of
from apps.core.service import Document
from apps.lanes import RetryPolicy
from apps.publisher.identity import INSTALLATION
from apps.publisher.integrations.connection import MESSAGE_LENGTH, ConnectionTests
from apps.publisher.integrations.credentials import has_credentials
from apps.publisher.integrations.platforms import Platforms
from apps.publisher.lanes import SiteLanes
from apps.publisher.run.terms import TermLedger
from apps.publisher.schema import (
    DeploymentStatus,
    IntegrationState,
    MediaState,
    Phase,
    WishAction,
)
from apps.store.collections import (
    DEPLOYMENT_ITEMS,
    DEPLOYMENT_LANES,
    DEPLOYMENT_RECORDS,
    PUBLISHER_INTEGRATIONS,
    PUBLISHER_MEDIA,
    PUBLISHING_RECORDS,
)
from apps.store.mongo import is_outage
from transmitters.cms.base import RETRYABLE, ConnectionTest, ErrorClass, PlatformError

log = structlog.get_logger(__name__)

SYNC_EVERY = timedelta(hours=6)
SYNC_CRASHED = "Reading the site has failed. The log says why."
NOT_READABLE = RETRYABLE | {ErrorClass.AUTH}
"""Classes of errors of a connection test after which no more is asked of the site."""
LATE = timedelta(minutes=5)
"""After which a retraction that is still to be carried out is told."""
KEPT = timedelta(days=30)
BATCH = 500


class SiteSync:
    """Read what sites have: what the connection test finds out of them, and their terms.

    Due soon after an integration is made or changes where it leads, when somebody asks, and every
    six hours; read by whoever serves the lane of the integration.

    Args:
        db: the database.
        clock: source of the current time.
        terms: the ledger.
        platforms: opens sites.
        tests: connection tests, which keep what they find.
        lanes: of integrations.
        retries: when what has failed is tried again.
        alert: tells administrators; is given a text and the integration.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        terms: TermLedger,
        platforms: Platforms,
        tests: ConnectionTests,
        lanes: SiteLanes,
        retries: RetryPolicy,
        alert: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self._integrations = db[PUBLISHER_INTEGRATIONS]
        self._clock = clock
        self._terms = terms
        self._platforms = platforms
        self._tests = tests
        self._lanes = lanes
        self._retries = retries
        self._alert = alert

    def run(self) -> int:
        """Wake the lanes of the sites that are to be read; return how many."""
        usable = {"active": {"$ne": False}, "state": {"$ne": IntegrationState.AUTH_FAILED}}
        due = [each for each in self._integrations.find(usable) if self.is_due(each)]
        for integration in due:
            self._lanes.wake(integration["_id"], self._clock.now())
        return len(due)

    def is_due(self, integration: Mapping[str, Any]) -> bool:
        """Whether a site is to be read now; no command."""
        now, last = self._clock.precise(), integration.get("synced_at")
        is_off = integration.get("active") is False
        if is_off or integration.get("state") == IntegrationState.AUTH_FAILED:
            return False
        if (integration.get("paused_until") or now) > now or self.retry_at(integration):
            return False
        if not self._can_log_in(integration):
            return False
        is_asked = integration.get("sync_requested_at") is not None
        return last is None or is_asked or now - last >= SYNC_EVERY

    def retry_at(self, integration: Mapping[str, Any]) -> datetime | None:
        """Return when a site that could not be read may be asked again; None for now."""
        at: datetime | None = object_of(integration, "sync_error").get("retry_at")
        return at if at is not None and at > self._clock.precise() else None

    def _can_log_in(self, integration: Mapping[str, Any]) -> bool:
        platform = self._platforms.registry.find(str(integration.get("destination")))
        return platform is not None and has_credentials(platform, integration)

    def read(self, integration: Mapping[str, Any]) -> PlatformError | None:
        """Read a site; return why that was not possible, which is kept in `sync_error`."""
        id_ = str(integration["_id"])
        try:
            count = self.sync(integration)
        except PlatformError as error:
            log.warning("publisher.site_not_read", integration=id_, code=error.code)
            self._failed(integration, error)
            return error
        except Exception as error:
            if is_outage(error):
                raise
            # Stories go there all the same.
            log.exception("publisher.site_not_read", integration=id_)
            failure = PlatformError(ErrorClass.CONFIG, "sync_crashed", SYNC_CRASHED)
            self._failed(integration, failure)
            return failure
        log.debug("publisher.site_read", integration=id_, count=count)
        return None

    def sync(self, integration: Mapping[str, Any]) -> int:
        """Read a site now; return how many terms it has.

        Raises:
            PlatformError: it cannot be read.
        """
        now = self._clock.precise()
        found = self._tests.refresh(integration)
        if (problem := _in_the_way(found)) is not None:
            raise problem
        # With what was found: which fields hold terms, where the API is.
        known = {**integration, "remote": found.remote or integration.get("remote")}
        count = self._terms.sync(known, self._platforms.open(known))
        done = {"synced_at": now, "sync_requested_at": None, "sync_error": None}
        self._integrations.update_one(_as_it_was(integration), {"$set": done})
        return count

    def _failed(self, integration: Mapping[str, Any], error: PlatformError) -> None:
        before = object_of(integration, "sync_error")
        tries, now = int(before.get("tries") or 0), self._clock.precise()
        retry_at = self._retries.next_attempt(tries, now, error.retry_after)
        failure = {
            "class": error.error_class,
            "code": error.code,
            "message": error.message[:MESSAGE_LENGTH],
            "status": error.status,
            "at": now,
            "retry_at": retry_at,
            "tries": tries + 1,
            "help": error.help,
        }
        self._integrations.update_one(_as_it_was(integration), {"$set": {"sync_error": failure}})
        if error.error_class == ErrorClass.AUTH:
            name = integration.get("name") or integration["_id"]
            text = f"The site {name} refuses the credentials ({error.code}: {error.message})"
            self._alert(text, integration)


def _as_it_was(integration: Mapping[str, Any]) -> Document:
    """Return the query of an integration that leads where it did, and was not asked for since."""
    names = ("_id", INSTALLATION, "base_url", "credentials", "options", "sync_requested_at")
    return {name: integration.get(name) for name in names}


def _in_the_way(test: ConnectionTest) -> PlatformError | None:
    """Return what a connection test has failed over, where nothing else can be read then."""
    errors = [check.error for check in test.checks if check.error is not None]
    return next((error for error in errors if error.error_class in NOT_READABLE), None)


class LateRetractions:
    """Tell administrators of posts that are to go and are still there, whatever keeps them.

    Args:
        db: the database.
        clock: source of the current time.
        alert: tells of a record, once an hour.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        alert: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self._records = db[PUBLISHING_RECORDS]
        self._clock = clock
        self._alert = alert

    def run(self) -> int:
        """Tell of them; return how many there are. One command where there is none."""
        late = {
            "next_attempt_at": {"$type": "date"},
            "desired.action": WishAction.RETRACT,
            "desired.at": {"$lte": self._clock.precise() - LATE},
            "phase": {"$ne": Phase.IDLE},
        }
        count = 0
        for record in self._records.find(late).limit(BATCH):
            why = (record.get("error") or {}).get("message") or "the site was not asked yet"
            self._alert(f"Kill not carried out: {why}", record)
            count += 1
        return count


class Cleanup:
    """Remove rows of ledgers that tell nothing any more.

    Args:
        db: the database.
        clock: source of the current time.
    """

    def __init__(self, db: Database[Document], clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def run(self) -> int:
        """Remove them; return how many."""
        before = self._clock.precise() - KEPT
        unused = {
            "state": {"$in": [MediaState.DELETED, MediaState.FAILED]},
            "used_by": [],
            "$or": [{"lease_until": None}, {"lease_until": {"$lte": before}}],
        }
        count = self._db[PUBLISHER_MEDIA].delete_many(unused).deleted_count
        ended = {
            "status": {"$in": [DeploymentStatus.COMPLETED, DeploymentStatus.FAILED]},
            "completed_at": {"$lte": before},
        }
        ids = [row["_id"] for row in self._db[DEPLOYMENT_RECORDS].find(ended, {"_id": 1})]
        for start in range(0, len(ids), BATCH):
            batch = ids[start : start + BATCH]
            query = {"deployment": {"$in": batch}}
            count += self._db[DEPLOYMENT_ITEMS].delete_many(query).deleted_count
            lanes = {"_id": {"$in": list(map(str, batch))}}
            self._db[DEPLOYMENT_LANES].delete_many(lanes)
        return count
