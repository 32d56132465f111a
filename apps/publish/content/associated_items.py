"""Items that an item holds as associations, on the publish actions (lifecycle contract 5.9)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.archive.associations import copied, present, refresh, refs_of, take_from_parent, with_ids
from apps.archive.schema import CONTENT, METADATA
from apps.core.service import Document
from apps.core.vocabulary import MEDIA_TYPES, PUBLISH_STATES, Operation, State
from apps.core.workflow import Action, is_allowed
from apps.publish.content.publication import Attempt, Tools

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

TRIMMED = ("_id", "type", "order")
OUT_STATES = PUBLISH_STATES - {State.UNPUBLISHED}
WITHDRAWALS = (Operation.KILL, Operation.TAKEDOWN)


@dataclass(frozen=True)
class Step:
    """The action that an associated item goes through with the item that holds it."""

    key: str
    operation: Operation
    original: Document
    changes: Document


def is_fetchable(held: Mapping[str, Any]) -> bool:
    """Whether the association stands for an item of ours."""
    return held.get("_fetchable") is not False


def refresh_associations(attempt: Attempt, tools: Tools) -> None:
    """Bring the item's associations up to the stored items (lifecycle contract 5.1 step 1)."""
    if not attempt.item.get("associations"):
        return
    associations = copied(attempt.item["associations"])
    copies = tools.settings["COPY_METADATA_FROM_PARENT"]
    for key, held in with_ids({"associations": associations}):
        held.pop("_type", None)
        if key in attempt.batch.related:
            continue
        if copies and held.get("type") in MEDIA_TYPES:
            take_from_parent(held, attempt.item)
        else:
            refresh(held, attempt.batch.items.get(held["_id"]))
    attempt.updates["associations"] = associations
    attempt.updates["refs"] = refs_of(associations)


def steps(
    operation: Operation,
    updates: Mapping[str, Any],
    original: Mapping[str, Any],
    items: Mapping[str, Document],
    sent: Mapping[str, Any],
) -> Iterator[Step]:
    """Yield what has to be done with associated items when `operation` is done with theirs.

    Args:
        updates: the item's updates, associations refreshed.
        original: the item as stored.
        items: associated items as stored, by id.
        sent: the associations of the request.
    """
    before = dict(present(original))
    mark = link_to(original, updates)
    for key, held in with_ids({**original, **updates}):
        stored = items.get(held["_id"])
        if stored is None or not is_fetchable(held):
            continue
        is_changed = changes_content(sent.get(key), before.get(key))
        is_new = key not in before or before[key].get("_id") != held["_id"]
        held_state = None if is_new else before[key].get("state")
        wanted = operation_on(operation, held_state, stored.get("state"), is_changed=is_changed)
        speaks = is_changed or is_new or wanted == Operation.PUBLISH
        changes = changes_of(held, stored) if speaks else {}
        is_done = stored.get("published_with") == mark and not changes
        if wanted and not is_done:
            yield Step(key, wanted, stored, changes)


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


def link_to(original: Mapping[str, Any], updates: Mapping[str, Any]) -> Document:
    """Return the mark of an item that went out with a version of another one.

    A request that is repeated after a crash finds it and does not publish the item again.
    """
    return {"item_id": original["_id"], "version": updates.get("_current_version")}


def changes_content(sent: Any, before: Mapping[str, Any] | None) -> bool:
    """Whether a request says something else about an associated item than is stored."""
    if not isinstance(sent, Mapping) or before is None:
        return False
    return any(field in sent and sent[field] != before.get(field) for field in EDITABLE)


def changes_of(held: Mapping[str, Any], stored: Mapping[str, Any]) -> Document:
    """Return what an association changes at its item; nothing when the item is newer."""
    version = held.get("_current_version")
    if version is not None and (stored.get("_current_version") or 0) > version:
        return {}
    return {f: held[f] for f in EDITABLE if f in held and held[f] != stored.get(f)}


def sync(held: Document, item: Mapping[str, Any]) -> None:
    """Let an association show what its item has become, in place."""
    held.update({field: item[field] for field in SYNCED if item.get(field) is not None})


def trim_related(associations: Document, related: frozenset[str]) -> None:
    """Reduce related content to what names it, in place."""
    for key, held in with_ids({"associations": associations}):
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
