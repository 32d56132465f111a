"""What is done now and then: terms are read again, late withdrawals told, ledgers tidied up."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import structlog
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.service import Document
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
from transmitters.cms.base import Platform, PlatformError

log = structlog.get_logger(__name__)

SYNC_EVERY = timedelta(hours=6)
LATE = timedelta(minutes=5)
"""After which a retraction that is still to be carried out is told."""
KEPT = timedelta(days=30)
BATCH = 500


class TermSync:
    """Read the terms of sites: those that were asked for, and all of them every six hours.

    Args:
        db: the database.
        clock: source of the current time.
        terms: the ledger.
        platform_of: returns the platform of an integration.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        terms: TermLedger,
        platform_of: Callable[[Mapping[str, Any]], Platform],
    ) -> None:
        self._integrations = db[PUBLISHER_INTEGRATIONS]
        self._clock = clock
        self._terms = terms
        self._platform_of = platform_of

    def run(self) -> int:
        """Read what is due; return how many sites that were."""
        usable = {"active": {"$ne": False}, "state": {"$ne": IntegrationState.AUTH_FAILED}}
        due = [each for each in self._integrations.find(usable) if self._is_due(each)]
        return sum(self._sync(integration) for integration in due)

    def _is_due(self, integration: Mapping[str, Any]) -> bool:
        now, last = self._clock.precise(), integration.get("synced_at")
        asked = integration.get("sync_requested_at")
        if (integration.get("paused_until") or now) > now:
            return False
        return last is None or now - last >= SYNC_EVERY or (asked is not None and asked > last)

    def _sync(self, integration: Mapping[str, Any]) -> bool:
        id_ = str(integration["_id"])
        try:
            count = self.sync(integration)
        except PlatformError as error:
            # Whoever publishes meets it again, and it is told there.
            log.warning("publisher.terms_not_read", integration=id_, code=error.code)
            return False
        except Exception as error:
            if is_outage(error):
                raise
            # One site keeps no other from being read.
            log.exception("publisher.terms_not_read", integration=id_)
            return False
        log.info("publisher.terms_read", integration=str(integration["_id"]), count=count)
        return True

    def sync(self, integration: Mapping[str, Any]) -> int:
        """Read the terms of a site now; return how many there are.

        Raises:
            PlatformError: they cannot be read.
        """
        id_, now = integration["_id"], self._clock.precise()
        count = self._terms.sync(id_, self._platform_of(integration))
        self._integrations.update_one({"_id": id_}, {"$set": {"synced_at": now}})
        return count


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
