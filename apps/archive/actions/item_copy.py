"""Copies of an item with its versions and its history (lifecycle contract 5.12)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.archive.actions.base import ActionContext, with_new_etag
from apps.archive.authorship import complete_dateline
from apps.archive.journal.copied_rows import rows_to_copy
from apps.archive.journal.media_references import new_references
from apps.archive.macro_changes import changes_of_macro, changes_of_stages
from apps.archive.packages import Packages, link_changes, member_refs
from apps.archive.places import NOWHERE, source_of
from apps.archive.schema import ITEM_SCHEMA, LOCK_FIELDS
from apps.core import hooks
from apps.core.caller import Caller
from apps.core.documents import object_of, objects, text_of
from apps.core.errors import NotFound
from apps.core.ids import item_guid, tag_guid
from apps.core.service import Document
from apps.core.vocabulary import Operation
from apps.core.workflow import Action, check_allowed
from apps.store.collections import ARCHIVE

NOT_COPIED = frozenset(
    {"_id", "guid", "unique_id", "unique_name", "linked_in_packages", "embargo"}
    | {"publish_schedule", "schedule_settings", "sign_off", "rewritten_by", "rewrite_of"}
    | {*LOCK_FIELDS, "force_unlock", "task_id"}
    | {"rewrite_sequence", "highlights", "marked_desks", "event_id", "assignment_id"}
    | {"processed_from", "publisher", "translations", "translation_id", "translated_from"}
    | {"firstpublished", "auto_publish", "marked_for_user", "marked_for_sign_off"}
)
NOT_COPIED_IN_TASK = ("last_production_desk", "last_authoring_desk")


@dataclass(frozen=True)
class CopyOrder:
    """An item to copy, and how the copy differs from it.

    Attributes:
        source: the item as stored.
        source_id: its item id.
        task: where the copy stands.
        state: of the copy.
        operation: written to the copy and to the source's history.
        history_operation: written to the copy's history.
        changes: further fields of the copy; with `groups`, members are not copied.
        members: orders for the members of a package, by id; one without an order becomes a member
            of the copy itself. None copies all of them like the package.
        ties: returns the follow-ups that tie other items to the copy, given its id.
        id: its item id; a new one unless given.
        macro: run on it, after those of its stage.
    """

    source: Mapping[str, Any]
    source_id: str
    task: Mapping[str, Any]
    state: str
    operation: Operation = Operation.DUPLICATE
    history_operation: Operation = Operation.DUPLICATED_FROM
    changes: Mapping[str, Any] = field(default_factory=dict)
    members: Mapping[str, "CopyOrder"] | None = None
    ties: Callable[[str], list[Document]] = lambda copy_id: []
    id: str | None = None
    macro: str | None = None


class ItemCopier:
    """Copies items.

    The note of the copy tells which versions and history it takes from its source, so that a crash
    leaves neither an item without its rows nor rows without an item.

    Args:
        context: see `ActionContext`.
    """

    def __init__(self, context: ActionContext) -> None:
        self._context = context

    def copy(self, order: CopyOrder, caller: Caller) -> Document:
        """Store a copy and return it.

        Raises:
            TransitionError: the state of the source, or of a member, does not allow it.
            NotFound: the place, or a member, does not exist.
            BadRequest: there is no such macro, or it raised.
            DuplicateKeyError: the copy that the order names is there already.
        """
        check_allowed(Action.DUPLICATE, order.source.get("state"))
        if "groups" not in order.changes:
            # Before the first copy is stored: a package is copied with all of them or not at all.
            for member in self.members(order.source).values():
                check_allowed(Action.DUPLICATE, member.get("state"))
        return self._copy(order, caller)

    def members(self, package: Mapping[str, Any]) -> dict[str, Document]:
        """Return the items that are copied with a package, at any depth; none for other items.

        Raises:
            NotFound: one of them does not exist.
        """
        if not package.get("groups"):
            return {}
        found = Packages(self._context.db).below([package])
        for holder in (package, *found.values()):
            for ref in member_refs(holder.get("groups")):
                if _is_copied(ref) and ref["residRef"] not in found:
                    raise NotFound(f"Failed to find item with guid: {ref['residRef']}")
        return found

    def _copy(self, order: CopyOrder, caller: Caller) -> Document:
        item = self._item(order, caller)
        if item.get("groups") and "groups" not in order.changes:
            item["groups"] = self._copied_groups(item["groups"], order, caller)
        arguments = {"item": item, "original": order.source, "operation": order.operation}
        hooks.ask(hooks.item_duplicate, ARCHIVE, **arguments)
        self._store(item, order, caller)
        hooks.tell(hooks.item_duplicated, ARCHIVE, **arguments)
        return item

    def _item(self, order: CopyOrder, caller: Caller) -> Document:
        context, source, now = self._context, order.source, self._context.clock.now()
        kept = {n: v for n, v in source.items() if n in ITEM_SCHEMA and n not in NOT_COPIED}
        number = context.sequences.draw("ARCHIVE_SEQ")
        domain = context.settings["URN_DOMAIN"]
        guid = order.id or item_guid(context.settings, now)
        task = {n: v for n, v in order.task.items() if n not in NOT_COPIED_IN_TASK}
        place = context.places.of(task)
        item = {
            **kept,
            "_id": guid,
            "guid": guid,
            "unique_id": number,
            "unique_name": f"#{number}",
            "event_id": tag_guid(domain, now),
            "family_id": source.get("family_id") or order.source_id,
            "original_id": order.source_id,
            "state": order.state,
            "operation": order.operation,
            "task": task,
            "sign_off": (caller.user or {}).get("sign_off") or "",
            "version_creator": str(caller.user_id or ""),
            "flags": {**object_of(source, "flags"), "marked_for_sms": False},
            "expiry": context.expiry(place) if place.desk else None,
            **dict.fromkeys(("firstcreated", "versioncreated", "_created", "_updated"), now),
            "_current_version": source.get("_current_version", 0) + 1,
            **order.changes,
        }
        item["source"] = source_of(item, place, context.settings)
        complete_dateline(item, item["source"])
        if order.operation == Operation.DUPLICATE:
            item.update(changes_of_stages(context.macros, item, NOWHERE, place))
        if order.macro:
            item.update(changes_of_macro(context.macros, order.macro, item, place))
        return with_new_etag(item)

    def _copied_groups(self, groups: Any, order: CopyOrder, caller: Caller) -> list[Document]:
        """Copy the members and return the groups with the copies in their places."""
        return [
            {
                **group,
                "refs": [
                    self._copied_ref(ref, order, caller) for ref in objects(group.get("refs"))
                ],
            }
            for group in objects(groups)
        ]

    def _copied_ref(self, ref: Document, order: CopyOrder, caller: Caller) -> Document:
        if not _is_copied(ref):
            return ref
        member_order = self._member_order(ref["residRef"], order, caller)
        if member_order is None:
            return ref
        copied = self._copy(member_order, caller)
        return {**ref, "residRef": copied["_id"], "guid": copied["guid"]}

    def _member_order(self, id: str, order: CopyOrder, caller: Caller) -> CopyOrder | None:
        if order.members is not None:
            return order.members.get(id)
        member = self._context.readable_item(id, caller)
        operations = (order.operation, order.history_operation)
        return CopyOrder(member, member["_id"], order.task, order.state, *operations)

    def _store(self, item: Document, order: CopyOrder, caller: Caller) -> None:
        context = self._context
        source = {**order.source, "_id": order.source_id}
        of_source = {"duplicate_id": item["_id"]}
        of_copy = {"duplicate_id": order.source_id, "task": item["task"]}
        # First, so that the copied history comes before the row about the copy.
        copies = rows_to_copy(context.db, order.source_id)
        note = context.journal.action(
            [
                context.history(order.operation, source, of_source, caller),
                context.history(order.history_operation, item, of_copy, caller),
                *link_changes(item["_id"], [], item.get("groups")),
                *new_references(item, {}),
                *order.ties(item["_id"]),
            ],
            item["_current_version"],
        )
        note["copies"] = copies
        context.journal.create(item, note)


def _is_copied(ref: Mapping[str, Any]) -> bool:
    """Whether the item that a ref names is copied with its package: where items are worked on."""
    return bool(text_of(ref, "residRef")) and (ref.get("location") or ARCHIVE) == ARCHIVE
