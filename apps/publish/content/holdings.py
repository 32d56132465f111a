"""What an item holds, on the publish actions (lifecycle contract 5.7, 5.9).

Each member and each associated item goes through its own publish service, with a journalled write
of its own, before the item that holds it. A request that is repeated after a crash finds what is
out and goes on from there.
"""

from collections.abc import Mapping
from typing import Any

from apps.archive.associations import present, related_content_keys, usage_changes, with_ids
from apps.archive.journal.follow_ups import with_follow_ups
from apps.archive.journal.media_references import published_references
from apps.archive.packages import is_package, link_changes
from apps.core.service import Document
from apps.core.vocabulary import Operation
from apps.publish.content.associated_items import (
    Step,
    is_fetchable,
    link_to,
    published_marks,
    refresh_associations,
    steps,
    sync,
    trim_related,
)
from apps.publish.content.package_members import (
    is_out,
    members_to_publish,
    publish_members,
    schedule_of,
)
from apps.publish.content.publication import Attempt, Tools
from apps.publish.content.request import Batch


class Holdings:
    """The part of a publish action that concerns other items.

    Args:
        tools: of the publish services.
        operation: the action.
        carries_members: members of a package go out with it.
        carries_associated: associated items share the action, or show it.
    """

    def __init__(
        self, tools: Tools, operation: Operation, *, carries_members: bool, carries_associated: bool
    ) -> None:
        self._tools = tools
        self._operation = operation
        self._is_correction = operation == Operation.CORRECT
        self._carries_members = carries_members
        self._carries_associated = carries_associated
        self._publishes_associated = bool(
            carries_associated and tools.settings["PUBLISH_ASSOCIATED_ITEMS"]
        )

    def read(self, attempt: Attempt) -> None:
        """Read members, associated items and the rules for all of them; refresh associations."""
        batch = attempt.batch
        if self._carries_members:
            batch.load_members(attempt.item)
        if not self._carries_associated:
            return
        batch.load_associated([attempt.item])
        keys = [key for item in (attempt.item, *batch.items.values()) for key, _ in present(item)]
        batch.related = related_content_keys(self._tools.db, keys)
        refresh_associations(attempt, self._tools)
        if batch.items:
            items = [attempt.item, *batch.items.values()]
            batch.validator = self._tools.validator.with_rules_for(items, attempt.acts)

    def reserve(
        self, updates: Mapping[str, Any], original: Mapping[str, Any], batch: Batch
    ) -> None:
        """Draw the numbers of the item and of what goes out with it, in one command."""
        for item in batch.items.values():
            if item.get("journal"):
                # Its rows come before those of what holds it, also when its writer has died.
                self._tools.journal.complete(item["_id"])
        members = self._members(updates, original, batch)
        # The packages around the item that are out follow it; one number too many does no harm.
        around = len(original.get("linked_in_packages") or ())
        batch.reserve(1 + len(members) + len(self._steps(updates, original, batch)) + around)

    def publish(self, updates: Document, original: Document, batch: Batch) -> None:
        """Publish members and associated items (lifecycle contract 5.1 step 9)."""
        if self._carries_members:
            self._publish_members(updates, original, batch)
        if self._carries_associated and updates.get("associations"):
            if self._publishes_associated:
                self._publish_associated(updates, original, batch)
                self._show_associated(updates, batch)
            trim_related(updates["associations"], batch.related)

    def annotate(
        self, note: Document, updates: Document, original: Mapping[str, Any], batch: Batch
    ) -> None:
        """Add what changes at members and media, and the marks of associations."""
        item = {**original, **updates}
        writes = usage_changes(updates, original, note["at"]) + published_references(item)
        if is_package(item) and "groups" in updates:
            writes += link_changes(item["_id"], original.get("groups"), updates["groups"])
        if writes:
            note.update(with_follow_ups(note, writes))
        only_shown = self._carries_associated and not self._publishes_associated
        if only_shown and item.get("associations"):
            note["marks"] = published_marks(item["associations"], batch.related, updates)

    def _publish_members(self, updates: Document, original: Document, batch: Batch) -> None:
        row = {"published_in_package": original["_id"]}
        publisher = self._tools.actions[Operation.PUBLISH]

        def publish(changes: Document, member: Document) -> Document:
            return publisher.act_within(changes, member, batch, row)

        publish_members(updates, original, batch, publish, is_correction=self._is_correction)

    def _publish_associated(self, updates: Document, original: Document, batch: Batch) -> None:
        mark = {"published_with": link_to(original, updates)}
        for step in self._steps(updates, original, batch):
            if step.original["_id"] not in batch.started:
                changes = {**step.changes, **schedule_of(updates), **mark}
                action = self._tools.actions[step.operation]
                item = action.act_within(changes, step.original, batch, {})
                batch.items[item["_id"]] = item
            if step.operation == Operation.PUBLISH:
                updates["associations"][step.key]["is_queued"] = True

    def _show_associated(self, updates: Document, batch: Batch) -> None:
        """Let associations show what has become of their items."""
        for _key, held in with_ids(updates):
            if not is_fetchable(held):
                held.update({"state": updates["state"], "operation": self._operation})
            elif is_out(batch.items.get(held["_id"])):
                sync(held, batch.items[held["_id"]])

    def _members(
        self, updates: Mapping[str, Any], original: Mapping[str, Any], batch: Batch
    ) -> list[str]:
        if not self._carries_members:
            return []
        return members_to_publish(updates, original, batch, is_correction=self._is_correction)

    def _steps(
        self, updates: Mapping[str, Any], original: Mapping[str, Any], batch: Batch
    ) -> list[Step]:
        if not self._publishes_associated:
            return []
        # The request speaks of the associations of its own item only.
        is_own = not batch.started or batch.started[0] == original["_id"]
        sent = batch.sent if is_own else {}
        return list(steps(self._operation, updates, original, batch.items, sent))
