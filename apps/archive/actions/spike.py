"""Spike an item: out of production, into the bin (lifecycle contract 5.10)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from apps.archive.actions.base import ActionContext, ItemUpdate, try_with_script
from apps.archive.actions.unlock import tell_unlocked
from apps.archive.broadcasts import (
    is_broadcast_script,
    is_out,
    scripts_of,
    scripts_without_rewrite,
)
from apps.archive.events import move_mark, tell_marked
from apps.archive.journal.follow_ups import change
from apps.archive.packages import link_changes, member_ids, package_ids, without_member
from apps.archive.schema import UNLOCKED
from apps.archive.times import expires_at
from apps.archive.translations import STORED_IN, cut, settle_rows
from apps.archive.visibility import audience
from apps.core.caller import Caller
from apps.core.documents import object_of
from apps.core.errors import BadRequest
from apps.core.ids import tag_guid
from apps.core.service import Document, new_etag
from apps.core.vocabulary import GONE_STATES, PUBLISH_STATES, ItemType, Operation, QueueState, State
from apps.core.workflow import Action, check_allowed, is_allowed, state_after_save
from apps.store.collections import ARCHIVE, ARCHIVE_AUTOSAVE, PUBLISHED

TIES = ("rewrite_of", "rewritten_by", "rewrite_sequence", "broadcast")
TIES_OF_UPDATES = ("anpa_take_key",)
TIES_OF_TRANSLATIONS = ("translated_from", "translation_id")


class SpikeService(ItemUpdate):
    """PATCH `/archive/spike/<item id>`."""

    operation = Operation.SPIKE

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context)
        self._has_broadcasts = bool(context.settings["BROADCAST_ENABLED"])

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        check_allowed(Action.SPIKE, original.get("state"))
        self._check_in_no_package(original)
        updates.clear()
        updates["state"] = State.SPIKED
        updates["revert_state"] = original.get("state")
        updates["event_id"] = tag_guid(self.context.settings["URN_DOMAIN"], self.clock.now())
        updates["expiry"] = self._expiry(original)
        updates.update(UNLOCKED)
        of_update = TIES_OF_UPDATES if original.get("rewrite_of") else ()
        of_translation = TIES_OF_TRANSLATIONS if original.get("translated_from") else ()
        ties = (*TIES, *of_update, *of_translation)
        updates.update({name: None for name in ties if original.get(name) is not None})
        move_mark(updates, original)
        if original.get("type") == ItemType.COMPOSITE:
            updates["deleted_groups"], updates["groups"] = original.get("groups") or [], []
        self.stamp(updates, original, caller)

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        item_id, user = str(original["_id"]), str(caller.user_id or "")
        self.db[ARCHIVE_AUTOSAVE].delete_one({"_id": item_id})
        if original.get("lock_user"):
            tell_unlocked(self.context, {**original, **updates}, caller)
        tell_marked(self.context.notifier, updates, original)
        settle_rows(self.db, self.context.journal, original, cut)
        self.context.notifier.push(
            "item:spike", audience=audience([original]), item=item_id, user=user
        )

    def update(self, id: Any, updates: Document, original: Document, caller: Caller) -> None:
        """Spike the item, its broadcast scripts first: whoever dies in between leaves it to spike.

        Scripts that are out stay. One that cannot be spiked keeps neither the others nor the item.
        """
        scripts = scripts_of(self.db, original) if self._has_broadcasts else []
        for script in scripts:
            if script.get("state") not in GONE_STATES and not is_out(script):
                attempt = partial(self.spike_script, script, caller)
                try_with_script(attempt, script["_id"], "broadcast.not_spiked")
        super().update(id, updates, original, caller)

    def spike_script(self, script: Mapping[str, Any], caller: Caller) -> None:
        """Spike a broadcast script that is not out, after it has left its packages.

        Raises:
            ServiceError: a rule refuses it, such as a package that is out and holds it.
        """
        self.take_out(script, caller)
        self.patch(script["_id"], {}, caller)

    def take_out(self, item: Mapping[str, Any], caller: Caller) -> None:
        """Save the packages that hold an item, as far as they can be saved, without it.

        Raises:
            EtagMismatch: somebody else writes one of them.
        """
        for package in self.db[ARCHIVE].find({"_id": {"$in": package_ids(item)}}):
            is_held = item["_id"] in member_ids(package.get("groups"))
            if is_held and is_allowed(Action.SAVE, package.get("state")):
                groups = without_member(package.get("groups"), item["_id"])
                self._save_groups(package, groups, caller)

    def _save_groups(self, package: Document, groups: list[Document], caller: Caller) -> None:
        updates: Document = {"groups": groups}
        self.stamp(updates, package, caller)
        on_desk = bool(object_of(package, "task").get("desk"))
        updates |= {
            "operation": Operation.UPDATE,
            "state": state_after_save(package.get("state"), on_desk=on_desk),
            "_etag": new_etag(),
        }
        after = {**package, **updates}
        history = self.context.history(Operation.UPDATE, after, {"groups": groups}, caller)
        links = link_changes(package["_id"], package.get("groups"), groups)
        note = self.context.journal.action([*links, history], updates["_current_version"])
        self.context.journal.write(updates, package, note)
        self.context.tell_update([after], caller)

    def follow_ups(
        self, updates: Mapping[str, Any], original: Mapping[str, Any], caller: Caller
    ) -> list[Document]:
        return [
            *self._cut_rewrites({**original, **updates}, original, caller),
            *cut(original),
            *self._cut_translation(original),
            *self._spiked_rows(original),
            *self._cut_scripts(original),
            *link_changes(original["_id"], original.get("groups"), []),
        ]

    def _cut_translation(self, original: Mapping[str, Any]) -> list[Document]:
        """Take the links of a translation from its own rows, too."""
        if not original.get("translated_from"):
            return []
        gone = dict.fromkeys(TIES_OF_TRANSLATIONS)
        return [change(PUBLISHED, {"item_id": original["_id"]}, gone)]

    def _spiked_rows(self, original: Mapping[str, Any]) -> list[Document]:
        """Let rows of an item that was withdrawn for a while show that it is in the bin.

        A withdrawal that is still to be routed goes by its `operation`.
        """
        if original.get("state") != State.UNPUBLISHED:
            return []
        rows = {"item_id": original["_id"], "state": State.UNPUBLISHED}
        routed = {**rows, "queue_state": {"$nin": [QueueState.PENDING, QueueState.IN_PROGRESS]}}
        return [
            change(PUBLISHED, routed, {"operation": Operation.SPIKE}),
            change(PUBLISHED, rows, {"state": State.SPIKED}),
        ]

    def _cut_scripts(self, original: Mapping[str, Any]) -> list[Document]:
        """Take an update that never went out from the broadcast scripts of its story."""
        if not self._has_broadcasts or is_broadcast_script(original):
            return []
        was_out = original.get("state") in PUBLISH_STATES
        return [] if was_out else scripts_without_rewrite(self.db, original)

    def _check_in_no_package(self, item: Mapping[str, Any]) -> None:
        ids = package_ids(item)
        if ids and self.db[ARCHIVE].find_one({"_id": {"$in": ids}}, {"_id": 1}):
            name = item.get("slugline") or item.get("headline") or item["_id"]
            raise BadRequest(
                f'The item "{name}" is in a package it needs to be removed'
                " before the item can be spiked"
            )

    def _expiry(self, item: Mapping[str, Any]) -> Any:
        minutes = self.context.settings["SPIKE_EXPIRY_MINUTES"]
        if minutes:
            return expires_at(self.clock.now(), minutes)
        return self.context.expiry(self.context.places.of(object_of(item, "task")))

    def _cut_rewrites(
        self, after: Mapping[str, Any], original: Mapping[str, Any], caller: Caller
    ) -> list[Document]:
        writes: list[Document] = []
        if story_id := original.get("rewrite_of"):
            left: dict[str, Any] = {"rewritten_by": None}
            story = self.db[ARCHIVE].find_one({"_id": story_id}, {"_current_version": 1})
            # Only this update's tie: the story may have another one by now.
            writes += [
                change(collection, {field: story_id, "rewritten_by": original["_id"]}, left)
                for collection, field in STORED_IN
            ]
            if story:
                writes.append(self.context.history(Operation.UNLINK, story, left, caller))
        if update_id := original.get("rewritten_by"):
            left = {"rewrite_of": None, "rewrite_sequence": 0}
            writes += [change(place, {field: update_id}, left) for place, field in STORED_IN]
            writes.append(
                self.context.history(Operation.UNLINK, after, {"rewritten_by": None}, caller)
            )
        return writes
