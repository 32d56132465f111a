"""GET `/publish/status/`: where content stands at integrations (cms contract 2.2)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import PlainError
from apps.core.service import Document
from apps.publisher.accounts import forms, found_by_id, is_of_caller
from apps.publisher.records.content import Content, Contents
from apps.publisher.records.waiting import WaitingRecords
from apps.publisher.schema import RecordStatus
from apps.store.collections import DEPLOYMENT_ITEMS, DEPLOYMENT_RECORDS, PUBLISHING_RECORDS
from transmitters.cms.base import RemoteState

REQUIRED = "content or deployment is required"
MOST_ITEMS = 500
SHOWN = (
    *("content", "destination", "status", "remote_state", "scheduled_at", "external_id"),
    *("external_url", "published_at", "content_version", "published_version", "error"),
)


@dataclass(frozen=True)
class Wanted:
    """What a client asks for.

    Attributes:
        content: ids of items; empty for all of a deployment.
        integration, destination, site, deployment: empty for any.
    """

    content: Sequence[str] = ()
    integration: str = ""
    destination: str = ""
    site: str = ""
    deployment: str = ""


class StatusService:
    """Tells where content stands.

    Args:
        contents: looks up items.
    """

    def __init__(self, db: Database[Document], clock: Clock, contents: Contents) -> None:
        self._db = db
        self._clock = clock
        self._contents = contents
        self._waiting = WaitingRecords(db)

    def of(self, wanted: Wanted, caller: Caller) -> Document:
        """Return the rows that are asked for, and how many are in which status.

        Three commands; one more for a deployment, for callers from whom a stage is hidden, and
        where something waits that was not tried yet.

        Raises:
            PlainError: 400, nothing is named; 404, there is no such deployment.
        """
        if not wanted.content and not wanted.deployment:
            raise PlainError(400, REQUIRED)
        if len(wanted.content) > MOST_ITEMS:
            raise PlainError(400, f"content: {MOST_ITEMS} items are the most that are told of")
        query: Document = {}
        content = list(dict.fromkeys(wanted.content))
        if wanted.deployment:
            pairs = self._pairs_of(wanted.deployment, caller)
            content = [id_ for id_ in dict.fromkeys(pairs) if not content or id_ in content]
            query["integration"] = {"$in": sorted({i for ids in pairs.values() for i in ids})}
        visible = self._visible(content, caller)
        records = self._records(visible, query, wanted, caller)
        self._waiting.explain(records)
        newest = self._contents.newest_rows(visible)
        rows = list(self._rows(visible, records, newest, wanted))
        return {"_items": rows, "summary": summary_of(rows)}

    def _pairs_of(self, deployment_id: str, caller: Caller) -> dict[str, list[Any]]:
        """Return the integrations of each item of a deployment."""
        deployment = found_by_id(self._db[DEPLOYMENT_RECORDS], deployment_id)
        if deployment is None or not is_of_caller(deployment, caller):
            raise PlainError(404, f"There is no deployment {deployment_id}")
        pairs: dict[str, list[Any]] = {}
        of_deployment = {"deployment": deployment["_id"]}
        for row in self._db[DEPLOYMENT_ITEMS].find(of_deployment):
            pairs.setdefault(row["content"], []).append(row["integration"])
        return pairs

    def _visible(self, content: Sequence[str], caller: Caller) -> list[str]:
        hidden = self._contents.hidden(content, caller)
        return [id_ for id_ in content if id_ not in hidden]

    def _records(
        self, content: Sequence[str], query: Document, wanted: Wanted, caller: Caller
    ) -> list[Document]:
        query = {**query, "content": {"$in": list(content)}}
        if caller.user is not None:
            query["account"] = caller.account
        if wanted.destination:
            query["destination"] = wanted.destination
        if wanted.site:
            query["site"] = forms(wanted.site)
        if wanted.integration:
            query["integration"] = forms(wanted.integration)
        if not content:
            return []
        return list(self._db[PUBLISHING_RECORDS].find(query).sort([("content", 1), ("_id", 1)]))

    def _rows(
        self,
        content: Iterable[str],
        records: Iterable[Document],
        newest: Mapping[str, Document],
        wanted: Wanted,
    ) -> Iterable[Document]:
        now = self._clock.now()
        by_content: dict[str, list[Document]] = {}
        for record in records:
            by_content.setdefault(record["content"], []).append(record)
        for id_ in content:
            row = newest.get(id_)
            item = Content.of(row, now) if row is not None else None
            if id_ not in by_content:
                yield unpublished(id_, wanted)
            for record in by_content.get(id_, ()):
                # What has expired stays as it is.
                version = record.get("published_version") if item is None else item.shown_version
                yield row_of(record, version)


def unpublished(content: str, wanted: Wanted) -> Document:
    """Return the row of content without a record."""
    return {
        **dict.fromkeys((*SHOWN, "record", "operation", "retry_at", "integration")),
        "content": content,
        "integration": wanted.integration or None,
        "destination": wanted.destination or None,
        "stale": False,
    }


def row_of(record: Mapping[str, Any], newest: int | None) -> Document:
    """Return the row of a record.

    Args:
        newest: version that readers should see; None for none.
    """
    is_shown = record.get("remote_state") == RemoteState.LIVE
    error = record.get("error")
    return {
        **{name: record.get(name) for name in SHOWN},
        "integration": str(record["integration"]),
        "record": str(record["_id"]),
        "operation": (record.get("desired") or {}).get("action"),
        "stale": (record.get("published_version") if is_shown else None) != newest,
        "retry_at": record.get("next_attempt_at") if error else None,
    }


def summary_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many rows are in which status."""
    summary = dict.fromkeys([*(status.value for status in RecordStatus), "not_published"], 0)
    for row in rows:
        summary[row["status"] or "not_published"] += 1
    return summary
