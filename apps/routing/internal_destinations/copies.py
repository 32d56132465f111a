"""Copies of what has gone out, on the desks of internal destinations.

Step 25 of a publish action (lifecycle contract 5.1 step 25), made by the enqueue run that routes a
published row. The row is claimed until its copies are there, so that what a process leaves behind
when it dies is made by whoever claims the row next. The id of a copy follows from destination and
row, and each is stored by a journalled write: however often this is tried, and however many do it
at once, there is one copy of each row for each destination. The row tells which destinations have
had theirs, for when copies are gone again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import structlog
from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from apps.archive.actions.base import ActionContext
from apps.archive.actions.item_copy import CopyOrder, ItemCopier
from apps.archive.events import tell_stage
from apps.archive.packages import member_refs
from apps.core import hooks
from apps.core.caller import SYSTEM, Caller
from apps.core.documents import object_of, objects, text_of
from apps.core.errors import BadRequest
from apps.core.ids import ById, item_guid, same_id
from apps.core.service import Document
from apps.core.vocabulary import Operation, QueueState, State
from apps.routing.filters.content_filters import FilterSet
from apps.routing.filters.fields import ItemView
from apps.routing.filters.rule_service import load_filters
from apps.store.batches import first_batch
from apps.store.by_id import find_all_by_id
from apps.store.collections import ARCHIVE, INTERNAL_DESTINATIONS, PUBLISHED, USERS
from apps.store.mongo import is_outage

log = structlog.get_logger(__name__)

SERVED = "internal_destinations"
"""Field of a published row: ids of the destinations that have their copy of it."""
COPIED = frozenset({Operation.PUBLISH, Operation.CORRECT})
"""Operations whose outcome is copied. What is withdrawn is no material for another desk."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PAGE_SIZE = 100
"""Scheduled rows looked at in one go."""
UNDECIDED = "The content filter is gone or broken"

Alert = Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]], str], None]


class DeskCopies:
    """Copies published rows to the desks of internal destinations.

    What is wrong with a destination (its filter, its macro, its desk) keeps copies from this
    destination only, and holds nothing up.

    Args:
        context: of the editor's actions.
        copier: makes the copies.
        on_failed: called with a destination, the published rows that it got no copies of, and why.
    """

    def __init__(self, context: ActionContext, copier: ItemCopier, *, on_failed: Alert) -> None:
        self._context = context
        self._copier = copier
        self._on_failed = on_failed
        self._db = context.db

    def send(self, rows: Iterable[Document]) -> None:
        """Copy what has gone out. One command where there is no active destination; none where
        there is nothing to copy. Safe to repeat.

        Args:
            rows: published rows, claimed and with `state` as it is now.

        Raises:
            PyMongoError: some copies may be missing; it has to be tried again.
        """
        due = [row for row in rows if row.get("operation") in COPIED]
        if due and (destinations := self._active()):
            self._send(due, destinations)

    def send_scheduled(self) -> None:
        """Copy what waits for its hour to destinations that do not wait. Safe to repeat.

        One command where there is no such destination.

        Raises:
            PyMongoError: some copies may be missing; it has to be tried again.
        """
        destinations = [d for d in self._active() if not d.get("send_after_schedule")]
        while destinations and (rows := self._scheduled()):
            self._send(rows, destinations)
            # Rows that nobody wanted are not looked at again before their hour.
            unmarked = {"_id": {"$in": [row["_id"] for row in rows]}, SERVED: {"$exists": False}}
            self._db[PUBLISHED].update_many(unmarked, {"$set": {SERVED: []}})

    def _active(self) -> list[Document]:
        return list(self._db[INTERNAL_DESTINATIONS].find({"is_active": True}).sort("_id", 1))

    def _scheduled(self) -> list[Document]:
        waiting = {
            "queue_state": QueueState.PENDING,
            "state": State.SCHEDULED,
            SERVED: {"$exists": False},
        }
        found = self._db[PUBLISHED].find(waiting).sort("publish_sequence_no", 1)
        return first_batch(found, PAGE_SIZE)

    def _send(self, rows: Sequence[Document], destinations: Sequence[Document]) -> None:
        orders = Orders(self._context, destinations).of(rows)
        if not orders:
            return
        callers = self._callers(rows)
        served: list[Order] = []
        failed: dict[Any, list[Order]] = {}
        for order in orders:
            try:
                self._copy(order, callers)
            except Exception as error:
                if is_outage(error):
                    raise
                order.error = getattr(error, "message", None) or str(error)
                log.warning(
                    "internal_destination.failed",
                    destination=order.destination.get("name"),
                    item=order.row["item_id"],
                    exc_info=error,
                )
                failed.setdefault(order.destination["_id"], []).append(order)
            else:
                served.append(order)
        self._mark(served)
        for lost in failed.values():
            rows_lost = [order.row for order in lost]
            self._on_failed(lost[-1].destination, rows_lost, lost[-1].error)

    def _callers(self, rows: Iterable[Mapping[str, Any]]) -> ById[Caller]:
        """Return who published the rows, by id: the copies are theirs."""
        ids = [id_ for row in rows if (id_ := row.get("version_creator"))]
        found = find_all_by_id(self._db[USERS], ids)
        return ById((user["_id"], Caller(user)) for user in found.values())

    def _copy(self, order: "Order", callers: ById[Caller]) -> None:
        """Store the copy that is ordered, unless it is there.

        Raises:
            ServiceError: it cannot be made.
            PyMongoError: it may not be there.
        """
        if order.is_there:
            return
        if not order.is_decided:
            raise BadRequest(UNDECIDED)
        caller = callers.get(order.row.get("version_creator")) or SYSTEM
        self._store(order.row, order.destination, order.copy_id, caller)

    def _store(
        self, row: Document, destination: Mapping[str, Any], copy_id: str, caller: Caller
    ) -> None:
        changes: Document = {"processed_from": row["item_id"]}
        if row.get("state") == State.SCHEDULED:
            changes.update({n: row.get(n) for n in ("publish_schedule", "schedule_settings")})
        if row.get("groups"):
            changes["groups"] = self._copied_groups(row["groups"], destination, caller)
        source = {**row, "_id": row["item_id"]}
        wanted = CopyOrder(
            source,
            row["item_id"],
            self._task(destination),
            State.ROUTED,
            changes=changes,
            id=copy_id,
            macro=destination.get("macro"),
        )
        try:
            copied = self._copier.copy(wanted, caller)
        except DuplicateKeyError:
            # Another run was faster; its journal completes what it has begun.
            return
        hooks.tell(hooks.item_routed, "archive", item=copied)
        self._context.tell_update([source, copied], caller)
        tell_stage(self._context.notifier, copied)

    def _copied_groups(
        self, groups: Any, destination: Mapping[str, Any], caller: Caller
    ) -> list[Document]:
        """Return package groups that hold copies of the members, as they last went out.

        A copy that the destination has of a member already, in its own right or with another
        package, is this one.
        """
        ids = [ref["residRef"] for ref in _own_refs(groups)]
        out = {"item_id": {"$in": ids}, "last_published_version": True}
        copies: dict[str, str] = {}
        for member in self._db[PUBLISHED].find(out) if ids else ():
            copy_id = copies[member["item_id"]] = id_of_copy(self._context, destination, member)
            if self._db[ARCHIVE].find_one({"_id": copy_id}, {"_id": 1}) is None:
                self._store(member, destination, copy_id, caller)
        return [
            {**group, "refs": [_copied_ref(ref, copies) for ref in objects(group.get("refs"))]}
            for group in objects(groups)
        ]

    def _task(self, destination: Mapping[str, Any]) -> Document:
        """Return the `task` of a copy.

        Raises:
            NotFound: the desk or the stage does not exist.
        """
        task = {"desk": destination["desk"], "stage": destination.get("stage")}
        place = self._context.places.of(task)
        desk = place.desk or {}
        task["stage"] = task["stage"] or desk.get("incoming_stage") or desk.get("working_stage")
        return task

    def _mark(self, served: Sequence["Order"]) -> None:
        """Note on the rows which destinations have their copies; no command without any."""
        writes = [
            UpdateOne({"_id": order.row["_id"]}, {"$addToSet": {SERVED: order.destination["_id"]}})
            for order in served
        ]
        if not writes:
            return
        try:
            # The etag stays: for clients the row is the same.
            self._db[PUBLISHED].bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            if is_outage(error):
                raise
            # Some of them have no list in this field.
            ids = [order.row["_id"] for order in served]
            no_list = {"_id": {"$in": ids}, SERVED: {"$not": {"$type": "array"}}}
            self._db[PUBLISHED].update_many(no_list, {"$set": {SERVED: []}})
            self._db[PUBLISHED].bulk_write(writes, ordered=False)


@dataclass
class Order:
    """A copy that a destination is to have.

    Attributes:
        row: the published row.
        destination: as stored.
        copy_id: item id of the copy.
        is_decided: whether the destination's filter could be decided.
        is_there: whether the copy is stored already.
        error: why it cannot be made.
    """

    row: Document
    destination: Document
    copy_id: str
    is_decided: bool
    is_there: bool = False
    error: str = ""


class Orders:
    """Decides which destinations are to have copies of which rows.

    Args:
        context: of the editor's actions.
        destinations: active ones.
    """

    def __init__(self, context: ActionContext, destinations: Sequence[Document]) -> None:
        self._context = context
        self._destinations = destinations
        has_filters = any(destination.get("filter") for destination in destinations)
        self._filters: FilterSet | None = load_filters(context.db) if has_filters else None

    def of(self, rows: Iterable[Document]) -> list[Order]:
        """Return the orders; one command, none where there is nothing to copy."""
        orders = [order for row in rows for order in self._of_any(row)]
        ids = [order.copy_id for order in orders]
        found = self._context.db[ARCHIVE].find({"_id": {"$in": ids}}, {"_id": 1}) if ids else ()
        there = {item["_id"] for item in found}
        for order in orders:
            order.is_there = order.copy_id in there
        return orders

    def _of_any(self, row: Document) -> list[Order]:
        """Return the orders of a row; one that nothing can be decided of has none."""
        try:
            return list(self._of_row(row))
        except Exception:
            log.exception("internal_destination.undecided", published=str(row["_id"]))
            return []

    def _of_row(self, row: Document) -> Iterator[Order]:
        if not text_of(row, "item_id"):
            return
        view = ItemView(row, self._context.clock.now())
        for destination in self._destinations:
            if not _is_for(destination, row):
                continue
            answer = self._matches(destination, view)
            if answer is not False:
                copy_id = id_of_copy(self._context, destination, row)
                yield Order(row, destination, copy_id, is_decided=answer is True)

    def _matches(self, destination: Mapping[str, Any], view: ItemView) -> bool | None:
        if self._filters is None or not destination.get("filter"):
            return True
        try:
            return self._filters.matches(destination["filter"], view)
        except Exception:
            name = destination.get("name")
            log.exception("internal_destination.filter_failed", destination=name)
            return None


def _is_for(destination: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether the destination takes rows of this desk, at this time, and lacks this one."""
    desk_id = object_of(row, "task").get("desk")
    waits = row.get("state") == State.SCHEDULED and destination.get("send_after_schedule")
    served = row.get(SERVED)
    is_served = isinstance(served, list) and destination["_id"] in served
    return not waits and not is_served and not same_id(destination.get("desk"), desk_id)


def id_of_copy(
    context: ActionContext, destination: Mapping[str, Any], row: Mapping[str, Any]
) -> str:
    """Return the item id that the copy of a published row has; always the same."""
    uuid = uuid5(NAMESPACE_URL, f"{destination['_id']}/{row['_id']}")
    id_ = row["_id"]
    # Rows that others wrote may have ids that tell no time.
    at = id_.generation_time if isinstance(id_, ObjectId) else EPOCH
    return item_guid(context.settings, at, uuid)


def _own_refs(groups: Any) -> Iterator[Document]:
    """Yield the refs to items that are still in the archive."""
    refs = member_refs(groups)
    return (ref for ref in refs if ref.get("location", "archive") == "archive")


def _copied_ref(ref: Document, copies: Mapping[str, str]) -> Document:
    copy_id = copies.get(ref.get("residRef", ""))
    return {**ref, "residRef": copy_id, "guid": copy_id} if copy_id else ref
