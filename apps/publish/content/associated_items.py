"""Items that an item holds as associations, on the publish operations (lifecycle contract 5.9).

Each of them goes through the publish service of its own operation, with a journalled write of its
own, before the item that holds it. A request that is repeated after a crash finds what is out and
goes on from there.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from apps.archive.associations import (
    OWN,
    REFRESHED,
    associations_with_ids,
    copied,
    present,
    refresh,
    refs_of,
    related_content_keys,
    restore_server_fields,
    take_from_parent,
    version_after,
    versions_of,
)
from apps.archive.schema import CONTENT, METADATA
from apps.archive.visibility import may_read
from apps.core.documents import object_of
from apps.core.service import Document
from apps.core.vocabulary import MEDIA_TYPES, PUBLISH_STATES, Operation, State
from apps.core.workflow import Action, is_allowed
from apps.publish.content.collaborators import Collaborators
from apps.publish.content.package_members import is_out, schedule_of
from apps.publish.content.publication import NestedPublishing, Publication

EDITABLE = frozenset(CONTENT) | frozenset(METADATA) - {"flags"} | {"language", "renditions", "poi"}
"""Fields of a stored item that an association may change when it is published."""

SYNCED = (
    "state",
    "operation",
    "pubstatus",
    "versioncreated",
    "firstpublished",
    "version_creator",
    "expiry",
    "_current_version",
)
"""Fields that an association takes from the item that was published with it."""

SCHEDULE = ("publish_schedule", "schedule_settings")
"""Those that it shows of an item that is scheduled."""

TRIMMED = ("_id", "type", "order")
OUT_STATES = PUBLISH_STATES - {State.UNPUBLISHED}
WITHDRAWALS = (Operation.KILL, Operation.TAKEDOWN)


@dataclass(frozen=True)
class AssociatedOperation:
    """The operation that an associated item goes through with the item that holds it."""

    key: str
    operation: Operation
    original: Document
    changes: Document


class AssociatedItems:
    """Publishes associated items with the items that hold them.

    Args:
        collaborators: of the publish services.
        nested: publishes the associated items.
    """

    def __init__(self, collaborators: Collaborators, nested: NestedPublishing) -> None:
        self._db = collaborators.db
        self._nested = nested
        self._copies_metadata = collaborators.settings["COPY_METADATA_FROM_PARENT"]
        self.are_published = bool(collaborators.settings["PUBLISH_ASSOCIATED_ITEMS"])
        """Whether they share the operation; otherwise associations only show it."""

    def read(self, publication: Publication) -> None:
        """Read the associated items, and bring the item's associations up to them."""
        request = publication.request
        request.load_associated([publication.item])
        items = (publication.item, *request.items.values())
        keys = [key for item in items for key, _ in present(item)]
        request.related = related_content_keys(self._db, keys)
        self.refresh(publication)

    def refresh(self, publication: Publication) -> None:
        """Bring the item's associations up to the stored items (lifecycle contract 5.1 step 1)."""
        item, request = publication.item, publication.request
        associations = copied(item.get("associations"))
        if not associations:
            return
        before = object_of(publication.original, "associations")
        for key, held in present({"associations": associations}):
            stored = request.items.get(str(held.get("_id")))
            restore_server_fields(held, before.get(key), stored)
        for key, held in associations_with_ids({"associations": associations}):
            if key in request.related:
                continue
            if self._copies_metadata and held.get("type") in MEDIA_TYPES:
                take_from_parent(held, item)
            else:
                stored = request.items.get(held["_id"])
                # Of an item that is hidden from the caller, what is held stays as it is.
                if stored is not None and may_read(stored, request.caller):
                    refresh(held, stored)
        publication.updates["associations"] = associations
        publication.updates["refs"] = refs_of(associations)

    def to_publish(self, publication: Publication) -> list[AssociatedOperation]:
        """Return what has to be done with the associated items of an item that is published."""
        if not self.are_published:
            return []
        request = publication.request
        # The request speaks of the associations of its own item only.
        sent = request.sent if publication.is_requested else {}
        return list(associated_operations(publication, request.items, sent))

    def publish(self, publication: Publication) -> None:
        """Publish associated items, and let associations show what has become of them."""
        updates, request = publication.updates, publication.request
        if not updates.get("associations"):
            return
        if self.are_published:
            for associated in self.to_publish(publication):
                self._publish_one(associated, publication)
            self._show(publication)
        trim_related(updates["associations"], request.related)

    def _publish_one(self, associated: AssociatedOperation, publication: Publication) -> None:
        updates, request = publication.updates, publication.request
        if associated.original["_id"] not in request.started:
            mark = {"published_with": link_to(publication)}
            changes = {**associated.changes, **schedule_of(updates), **mark}
            item = self._nested.publish_nested(
                associated.operation, changes, associated.original, request
            )
            request.items[item["_id"]] = item
        if associated.operation == Operation.PUBLISH:
            updates["associations"][associated.key]["is_queued"] = True

    def _show(self, publication: Publication) -> None:
        updates, items = publication.updates, publication.request.items
        for _key, held in associations_with_ids(updates):
            if not is_fetchable(held):
                held.update({"state": updates["state"], "operation": publication.operation})
            elif is_out(items.get(held["_id"])):
                sync(held, items[held["_id"]])


def is_fetchable(held: Mapping[str, Any]) -> bool:
    """Whether the association stands for an item of ours."""
    return held.get("_fetchable") is not False


def associated_operations(
    publication: Publication, items: Mapping[str, Document], sent: Mapping[str, Any]
) -> Iterator[AssociatedOperation]:
    """Yield what has to be done with associated items when the item that holds them is published.

    Args:
        publication: of the item, associations refreshed.
        items: associated items as stored, by id.
        sent: the associations of the request.
    """
    before = dict(present(publication.original))
    mark = link_to(publication)
    for key, held in associations_with_ids(publication.item):
        stored = items.get(held["_id"])
        if stored is None or not is_fetchable(held):
            continue
        is_new = key not in before or before[key].get("_id") != held["_id"]
        changed = changed_fields(sent.get(key), {} if is_new else before[key])
        held_state = None if is_new else before[key].get("state")
        operation = operation_on(
            publication.operation, held_state, stored.get("state"), is_changed=bool(changed)
        )
        if is_rescheduled(publication, stored):
            operation = Operation.PUBLISH
        changes = changes_of(held, stored, operation, changed) if operation else {}
        is_done = stored.get("published_with") == mark and not changes
        if operation and not is_done:
            yield AssociatedOperation(key, operation, stored, changes)


def operation_on(
    operation: Operation, held_state: str | None, stored_state: str | None, *, is_changed: bool
) -> Operation | None:
    """Return what is done with an associated item; None leaves it as it is.

    Args:
        operation: what is done with the item that holds it.
        held_state: the state that the holding item knew it in; None for a new association.
        stored_state: the state that it is in.
        is_changed: the request changes its content.
    """
    if operation in WITHDRAWALS:
        return operation if is_allowed(Action.KILL, stored_state) else None
    if stored_state not in OUT_STATES:
        return Operation.PUBLISH if is_allowed(Action.PUBLISH, stored_state) else None
    if operation == Operation.PUBLISH or held_state not in PUBLISH_STATES:
        return None
    is_due = is_changed or held_state != State.CORRECTED
    return operation if is_due and is_allowed(Action.CORRECT, stored_state) else None


def is_rescheduled(publication: Publication, stored: Mapping[str, Any]) -> bool:
    """Whether an associated item waits with an item whose schedule changes: it moves along."""
    updates = publication.updates
    return (
        publication.operation == Operation.PUBLISH
        and bool(updates.get("publish_schedule"))
        and waits_with(publication.original["_id"], stored)
        and any(updates.get(field) != stored.get(field) for field in SCHEDULE)
    )


def waits_with(item_id: str, stored: Mapping[str, Any]) -> bool:
    """Whether an associated item is scheduled because the item of `item_id` is."""
    is_scheduled = stored.get("state") == State.SCHEDULED
    return is_scheduled and object_of(stored, "published_with").get("item_id") == item_id


def link_to(publication: Publication) -> Document:
    """Return the mark of an item that goes out with this publication of another one.

    A request that is repeated after a crash finds it and does not publish the item again.
    """
    version = publication.updates.get("_current_version")
    return {"item_id": publication.original["_id"], "version": version}


def changed_fields(sent: Any, before: Mapping[str, Any]) -> set[str]:
    """Return the fields that a request says something else of than an association has stored."""
    if not isinstance(sent, Mapping):
        return set()
    return {field for field in EDITABLE if field in sent and sent[field] != before.get(field)}


def changes_of(
    held: Mapping[str, Any],
    stored: Mapping[str, Any],
    operation: Operation,
    sent: Set[str] = frozenset(),
) -> Document:
    """Return what an association changes at its item; nothing when the item is newer.

    Where one of both has no version, nobody knows whether the item is newer: what the item says
    stays then, but for what the holder writes for it, and what the request changes.

    Args:
        operation: what is done with the item. Only on its publication it takes all that its holder
            says of it: later the holder may show fields as they were then.
        sent: fields that the request changes.
    """
    versions = versions_of(held, stored)
    if versions is not None and versions[1] > versions[0]:
        return {}
    told = EDITABLE if operation == Operation.PUBLISH else sent
    free = told if versions is not None else OWN | (sent - set(REFRESHED))
    return {
        field: held[field]
        for field in told
        if field in held
        and held[field] != stored.get(field)
        and (field in free or field not in stored)
    }


def sync(held: Document, item: Mapping[str, Any]) -> None:
    """Let an association show what its item has become, in place."""
    held.update({field: item[field] for field in SYNCED if item.get(field) is not None})
    for field in SCHEDULE:
        held.pop(field, None)
    if item.get("state") == State.SCHEDULED:
        held.update({field: item[field] for field in SCHEDULE if item.get(field) is not None})


def scheduled_associations(holder: Mapping[str, Any]) -> Iterator[tuple[str, Document]]:
    """Yield key and association of what an item, or its row, shows as scheduled."""
    return ((key, held) for key, held in present(holder) if held.get("state") == State.SCHEDULED)


def come_out(
    holder: Mapping[str, Any], items: Mapping[str, Document], with_item: Set[str]
) -> Document:
    """Return the associations of an item that was scheduled, or of its row, once it is out.

    Args:
        holder: item or row.
        items: items as stored, by id.
        with_item: keys of those that were scheduled with the item; others only show what it does.
    """
    associations = copied(holder.get("associations"))
    for key, held in scheduled_associations({"associations": associations}):
        item = items.get(str(held.get("_id")))
        if key not in with_item or not is_fetchable(held):
            held["state"] = State.PUBLISHED
        elif item and is_out(item) and item["state"] != State.SCHEDULED:
            sync(held, {**item, "_current_version": version_after(held, item)})
    return associations


def trim_related(associations: Document, related: frozenset[str]) -> None:
    """Reduce related content to what names it, in place."""
    for key, held in associations_with_ids({"associations": associations}):
        if key in related and is_fetchable(held):
            kept = {field: held[field] for field in TRIMMED if field in held}
            associations[key] = {"order": 1, **kept}


def published_marks(
    associations: Mapping[str, Any] | None, related: frozenset[str], updates: Mapping[str, Any]
) -> Document:
    """Return the marks that associations have in the published row only.

    As data: `keys` of the associations, `state` and `operation` they show.
    """
    keys = [key for key, _ in present({"associations": associations}) if key not in related]
    marks = {"state": updates["state"], "operation": updates["operation"]}
    return {"keys": keys, **marks} if keys else {}
