"""What a deployment is made of, as its list is frozen (cms contract 4.4)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.documents import object_of, text_of
from apps.core.errors import WiredeskError
from apps.core.service import Document
from apps.core.vocabulary import State
from apps.publisher.accounts import forms
from apps.publisher.integrations.platforms import Platforms
from apps.publisher.records.content import (
    FIELDS,
    SHOWN,
    WITHDRAWN,
    Content,
    Contents,
    why_no_post,
)
from apps.publisher.schema import (
    DeploymentItemState,
    DeploymentType,
    RecordStatus,
    WishAction,
)
from apps.store.collections import (
    DEPLOYMENT_ITEMS,
    PUBLISHED,
    PUBLISHER_INTEGRATIONS,
    PUBLISHER_SITES,
    PUBLISHING_RECORDS,
)

BATCH = 500
DUPLICATE_KEY = 11000
T = TypeVar("T")
RECORD_FIELDS = dict.fromkeys(
    ("content", "content_key", "status", "published_version", "desired", "error"), 1
)


class NoList(WiredeskError):
    """The list cannot be built; the message says why."""


class LostList(WiredeskError):
    """Another process builds the list."""


class Listing:
    """Builds lists of deployments.

    Args:
        contents: looks up items.
        platforms: knows options.
    """

    def __init__(
        self, db: Database[Document], clock: Clock, contents: Contents, platforms: Platforms
    ) -> None:
        self._db = db
        self._clock = clock
        self._contents = contents
        self._platforms = platforms

    def build(self, deployment: Mapping[str, Any], number: int) -> list[ObjectId]:
        """Store the rows of a deployment; return its integrations.

        May be repeated: rows of an earlier attempt are taken over, and those that nobody wants any
        more removed. Only the rows of the list that the deployment names count.

        Args:
            number: of the list; greater than those of attempts before.

        Raises:
            NoList: there is nowhere to publish to.
            LostList: a later attempt has begun.
        """
        integrations = self._integrations(deployment)
        retried = object_of(deployment, "metadata").get("retry_of")
        rows = (
            self._failed_rows(ObjectId(str(retried)), integrations)
            if retried
            else self._rows(deployment, integrations)
        )
        of_deployment = {"deployment": deployment["_id"]}
        count = 0
        for batch in batches(rows):
            self._store([{**r, **of_deployment} for r in batch], count, number)
            count += len(batch)
        if not count and all(each.get("active") is False for each in integrations):
            raise NoList("The site has no active integration")
        self._db[DEPLOYMENT_ITEMS].delete_many({**of_deployment, "list": {"$lt": number}})
        return [integration["_id"] for integration in integrations]

    def _store(self, rows: Sequence[Document], first: int, number: int) -> None:
        writes = []
        for order, row in enumerate(rows, start=first):
            same = {name: row.pop(name) for name in ("deployment", "content", "integration")}
            fresh = {"state": DeploymentItemState.QUEUED, "record": None, "seq": None}
            fields = {**row, **fresh, "error": None, "order": order, "list": number}
            # A row of the same or a later list is in the way of a second one: of a row that is
            # listed twice, of a process that was believed dead.
            older = {**same, "list": {"$lt": number}}
            writes.append(UpdateOne(older, {"$set": fields}, upsert=True))
        try:
            self._db[DEPLOYMENT_ITEMS].bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            details = error.details.get("writeErrors") or []
            if any(detail["code"] != DUPLICATE_KEY for detail in details):
                raise
            later = {"deployment": same["deployment"], "list": {"$gt": number}}
            if self._db[DEPLOYMENT_ITEMS].find_one(later, {"_id": 1}):
                raise LostList from None

    def _integrations(self, deployment: Mapping[str, Any]) -> list[Document]:
        """Return the integrations that are meant.

        Raises:
            NoList: there is none.
        """
        query: Document = {"site": forms(deployment["site"])}
        if deployment.get("integration") is not None:
            query["_id"] = deployment["integration"]
        found = list(self._db[PUBLISHER_INTEGRATIONS].find(query).sort("name", 1))
        if not found:
            raise NoList("The site has no integration")
        return found

    def _failed_rows(
        self, deployment: ObjectId, integrations: Iterable[Mapping[str, Any]]
    ) -> Iterator[Document]:
        """Yield what has failed in an earlier deployment."""
        known = [integration["_id"] for integration in integrations]
        failed = {"deployment": deployment, "state": DeploymentItemState.FAILED}
        names = ("content", "content_key", "integration", "version", "action")
        for row in self._db[DEPLOYMENT_ITEMS].find(failed).sort("order", 1):
            if row["integration"] in known:
                yield {name: row.get(name) for name in names}

    def _rows(
        self, deployment: Mapping[str, Any], integrations: Sequence[Document]
    ) -> Iterator[Document]:
        """Yield what is to be done, oldest publication first."""
        site = self._db[PUBLISHER_SITES].find_one({"_id": deployment["site"]}) or {}
        profiles = site.get("content_types") or []
        query = self._query(object_of(object_of(deployment, "metadata"), "query"))
        caller = Caller(user={"_id": None, "invisible_stages": deployment.get("hidden_stages")})
        options = {each["_id"]: self._platforms.options_of(each) for each in integrations}
        found = self._db[PUBLISHED].find(query, {**FIELDS, "profile": 1})
        for batch in batches(found.sort("publish_sequence_no", 1)):
            ids = [row["item_id"] for row in batch]
            hidden, now = self._contents.hidden(ids, caller), self._clock.now()
            # A newer version may have come out meanwhile.
            newest = self._contents.newest_rows(ids)
            contents = [
                (Content.of(newest.get(row["item_id"], row), now), row)
                for row in batch
                if row["item_id"] not in hidden
            ]
            for integration in integrations:
                of_integration = options[integration["_id"]]
                wanted = [
                    content
                    for content, row in contents
                    if content.is_withdrawn or may_go_to(row, integration, of_integration, profiles)
                ]
                yield from self._wanted(wanted, integration, of_integration, deployment)

    def _query(self, narrowed: Mapping[str, Any]) -> Document:
        """Return the query of the newest rows of items that may be shown or have to go."""
        states = [*SHOWN, *WITHDRAWN]
        query: Document = {"last_published_version": True, "state": {"$in": sorted(states)}}
        if narrowed.get("items"):
            query["item_id"] = {"$in": narrowed["items"]}
        if narrowed.get("desk"):
            query["task.desk"] = forms(narrowed["desk"])
        if narrowed.get("content_type"):
            query["profile"] = forms(narrowed["content_type"])
        bounds = {"$gte": narrowed.get("since"), "$lte": narrowed.get("until")}
        if given := {name: at for name, at in bounds.items() if at is not None}:
            query["_created"] = given
        return query

    def _wanted(
        self,
        contents: Sequence[Content],
        integration: Mapping[str, Any],
        options: Mapping[str, Any],
        deployment: Mapping[str, Any],
    ) -> Iterator[Document]:
        keys = {content.id: self._contents.key_of(content, options) for content in contents}
        of_integration = {"integration": integration["_id"]}
        query = {**of_integration, "content_key": {"$in": list(keys.values())}}
        found = self._db[PUBLISHING_RECORDS].find(query, RECORD_FIELDS) if keys else ()
        records = {record["content_key"]: record for record in found}
        is_full = deployment["deployment_type"] == DeploymentType.FULL
        for content in contents:
            record = records.get(keys[content.id])
            action = wanted_action(content, record, is_full=is_full)
            if action is None or self._contents.is_outdated(content, options):
                continue
            yield {
                **of_integration,
                "content": content.id,
                "content_key": keys[content.id],
                "version": content.version,
                "action": action,
            }


def batches(found: Iterable[T]) -> Iterator[list[T]]:
    """Yield what is found, as many at a time as are looked at together."""
    source = iter(found)
    while batch := list(islice(source, BATCH)):
        yield batch


def may_go_to(
    row: Mapping[str, Any],
    integration: Mapping[str, Any],
    options: Mapping[str, Any],
    profiles: Sequence[Any],
) -> bool:
    """Whether an item is content of a site that this integration can show.

    Args:
        profiles: that the site is for; empty for all.
    """
    is_shown = why_no_post(text_of(row, "type"), options) is None
    is_offered = not profiles or str(row.get("profile")) in map(str, profiles)
    return is_shown and is_offered and integration.get("active") is not False


def wanted_action(
    content: Content, record: Mapping[str, Any] | None, *, is_full: bool
) -> WishAction | None:
    """Return what a deployment wants of an item at an integration; None for nothing."""
    if content.is_withdrawn:
        is_there = record is not None and record.get("content") == content.id
        return WishAction.RETRACT if is_there and not is_off(record) else None
    if not content.is_shown:
        return None
    is_due = is_full or record is None or is_behind(content, record)
    return WishAction.PUBLISH if is_due else None


def is_off(record: Mapping[str, Any] | None) -> bool:
    """Whether nothing of a record has to be taken off its site."""
    return record is None or record.get("status") == RecordStatus.RETRACTED


def is_behind(content: Content, record: Mapping[str, Any]) -> bool:
    """Whether a site does not show the newest version, and it is worth a try."""
    if record.get("content") != content.id:
        return True
    known = int(record.get("published_version") or 0)
    if record.get("status") == RecordStatus.FAILED:
        if (record.get("error") or {}).get("retryable"):
            return True
        known = max(known, int((record.get("desired") or {}).get("version") or 0))
    return (content.version or 0) > known


def stays_shown(content: Content) -> bool:
    """Whether the newest version may go to sites, or stay there while it is being corrected."""
    return content.is_shown or (content.was_out and content.state == State.BEING_CORRECTED)
