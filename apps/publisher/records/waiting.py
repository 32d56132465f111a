"""What keeps records that wait: those behind refused credentials were not tried themselves."""

from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.database import Database

from apps.core.service import Document
from apps.publisher.schema import IntegrationState, Phase
from apps.store.collections import PUBLISHER_INTEGRATIONS
from transmitters.cms.base import HELP, ErrorClass

READ = ("account", "state", "state_message", "state_at")


class WaitingRecords:
    """Says of records why they wait."""

    def __init__(self, db: Database[Document]) -> None:
        self._integrations = db[PUBLISHER_INTEGRATIONS]

    def explain(self, records: Iterable[Document]) -> None:
        """Put an `error` into records that wait for other credentials, in place.

        One command, where records wait of which no failure is known; none otherwise.
        """
        waiting = [record for record in records if _waits(record)]
        if not waiting:
            return
        query = {
            "_id": {"$in": list({record["integration"] for record in waiting})},
            "state": IntegrationState.AUTH_FAILED,
        }
        found = self._integrations.find(query, dict.fromkeys(READ, 1))
        refused = {integration["_id"]: integration for integration in found}
        for record in waiting:
            if (integration := refused.get(record["integration"])) is not None:
                record["error"] = _refusal(integration)


def _waits(record: Mapping[str, Any]) -> bool:
    is_wanted = record.get("phase") != Phase.IDLE and record.get("next_attempt_at") is not None
    return is_wanted and not record.get("error")


def _refusal(integration: Mapping[str, Any]) -> Document:
    """Return the error of a site that has refused its credentials."""
    code, _, message = str(integration.get("state_message") or "").partition(": ")
    return {
        "class": ErrorClass.AUTH,
        "code": code,
        "message": message,
        "status": None,
        "retryable": True,
        "at": integration.get("state_at"),
        "retry_at": None,
        "field": None,
        "help": HELP[ErrorClass.AUTH],
    }
