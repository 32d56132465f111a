"""Spike an item: out of production, into the bin (lifecycle contract 5.10)."""

from collections.abc import Mapping
from typing import Any

import structlog

from apps.archive.actions.base import ItemUpdate
from apps.archive.actions.unlock import tell_unlocked
from apps.archive.broadcasts import is_broadcast_script, scripts_of, scripts_without_rewrite
from apps.archive.events import move_mark, tell_marked
from apps.archive.journal.follow_ups import change
from apps.archive.packages import link_changes, package_ids
from apps.archive.schema import UNLOCKED
from apps.archive.times import expires_at
from apps.archive.translations import STORED_IN, cut
from apps.archive.visibility import audience
from apps.core.caller import Caller
from apps.core.documents import object_of
from apps.core.errors import BadRequest, WiredeskError
from apps.core.ids import tag_guid
from apps.core.service import Document
from apps.core.vocabulary import PUBLISH_STATES, ItemType, Operation, State
from apps.core.workflow import Action, check_allowed
from apps.store.collections import ARCHIVE, ARCHIVE_AUTOSAVE

log = structlog.get_logger(__name__)

TIES = ("rewrite_of", "rewritten_by", "rewrite_sequence", "broadcast", "translated_from")
TIES_OF_UPDATES = ("anpa_take_key",)
TIES_OF_TRANSLATION = ("translation_id", "translations")


class SpikeService(ItemUpdate):
    """PATCH `/archive/spike/<item id>`."""

    operation = Operation.SPIKE

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
        ties = (*TIES, *of_update, *TIES_OF_TRANSLATION)
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
        self._spike_scripts(original, caller)
        self.context.notifier.push(
            "item:spike", audience=audience([original]), item=item_id, user=user
        )

    def _spike_scripts(self, original: Mapping[str, Any], caller: Caller) -> None:
        """Spike the broadcast scripts of a story that were never out; each for itself."""
        if not self.context.settings["BROADCAST_ENABLED"]:
            return
        for script in scripts_of(self.db, original):
            if script.get("state") in PUBLISH_STATES or script.get("state") == State.SPIKED:
                continue
            try:
                self.patch(script["_id"], {}, caller)
            except WiredeskError:
                log.exception("broadcast.not_spiked", item=script["_id"])

    def follow_ups(
        self, updates: Mapping[str, Any], original: Mapping[str, Any], caller: Caller
    ) -> list[Document]:
        return [
            *self._cut_rewrites({**original, **updates}, original, caller),
            *cut(original),
            *self._cut_scripts(original),
            *link_changes(original["_id"], original.get("groups"), []),
        ]

    def _cut_scripts(self, original: Mapping[str, Any]) -> list[Document]:
        """Take an update that never went out from the broadcast scripts of its story."""
        if not self.context.settings["BROADCAST_ENABLED"] or is_broadcast_script(original):
            return []
        is_out = original.get("state") in PUBLISH_STATES
        return [] if is_out else scripts_without_rewrite(self.db, original)

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
