"""Updates of stories: write one, take an item for one, unlink (lifecycle contract 5.11)."""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from apps.archive.events import tell_stage, tell_update
from apps.archive.journal.follow_ups import change, follow_up, insertion, record, with_follow_ups
from apps.archive.journal.journal import Journal, version_row
from apps.archive.journal.media_references import new_references
from apps.archive.places import Places, check_may_read
from apps.archive.rewrite_checks import check_original, check_update
from apps.archive.rewrite_fields import fields_of_existing, fields_of_new
from apps.archive.service import ArchiveService
from apps.core import hooks
from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import BadRequest, NotFound, PreconditionFailed
from apps.core.ids import object_id, tag_guid
from apps.core.notifier import Notifier
from apps.core.service import Document, ResourceService, new_etag
from apps.core.vocabulary import Operation
from apps.store.collections import ARCHIVE, ARCHIVE_VERSIONS, PUBLISHED

UNLINKED = {"rewrite_of": None, "anpa_take_key": None, "rewrite_sequence": None}


class RewriteService(ResourceService):
    """`archive/<id>/rewrite`: POST links a story with its update, DELETE takes them apart.

    The link is noted on the story before anything else is written, so that of two updates made at
    once one is refused, and a process that dies leaves a link that is completed.

    Args:
        archive: completes new items.
        journal: notes and completes links.
        places: desks and stages.
        notifier: tells clients.
        settings: WORKFLOW_ALLOW_MULTIPLE_UPDATES, ALLOW_UPDATING_SCHEDULED_ITEMS,
            RESET_PRIORITY_VALUE_FOR_UPDATE_ARTICLES, COPY_ON_REWRITE_FIELDS, and the defaults.
    """

    resource = "archive"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        archive: ArchiveService,
        journal: Journal,
        places: Places,
        notifier: Notifier,
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__(db, clock)
        self._archive = archive
        self._journal = journal
        self._places = places
        self._notifier = notifier
        self._settings = settings

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        """Address the item that the URL names."""
        return {"_id": lookup["original_id"]}

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        """Link each document's story with its update; the documents become the updates.

        Raises:
            ServiceError: a rule refuses it (lifecycle contract 3.7).
        """
        for document in documents:
            update = self._rewrite(document, caller)
            document.clear()
            document.update(update)
        return [document["_id"] for document in documents]

    def delete(self, document: Document, caller: Caller) -> None:
        """Unlink an update from its story.

        Raises:
            BadRequest: it is no update.
        """
        self._journal.settle(document["_id"])
        update = self.find(document["_id"])
        check_may_read(update, caller)
        original_id = update.get("rewrite_of")
        if not original_id:
            raise BadRequest("Only updates can be unlinked!")
        self._journal.settle(original_id)
        now = self.clock.now()
        changes = {**UNLINKED, "event_id": tag_guid(self._settings["URN_DOMAIN"], now)}
        link = {"rewritten_by": update["_id"]}
        story = self.collection.find_one({"_id": original_id}) or {"_id": original_id}
        follow_ups = [
            change(PUBLISHED, {"item_id": update["_id"]}, changes),
            change(ARCHIVE, {"_id": original_id, **link}, {"rewritten_by": None}),
            change(PUBLISHED, {"item_id": original_id, **link}, {"rewritten_by": None}),
            record(Operation.UNLINK, story, {"rewritten_by": None}, caller.user_id, now),
            record(Operation.UNLINK, update, changes, caller.user_id, now),
        ]
        written = {"operation": Operation.UNLINK, "_updated": now, "_etag": new_etag()}
        self._store({**changes, **written}, update, follow_ups, ["rewrite_of"])
        self._notifier.push("item:unlink", item=str(update["_id"]), user=str(caller.user_id or ""))

    def _rewrite(self, request: Mapping[str, Any], caller: Caller) -> Document:
        original = self._original(request["original_id"])
        check_may_read(original, caller)
        check_original(original, self._settings, self.clock.now())
        named = request.get("update")
        if not named:
            return self._write_new(original, request.get("desk_id"), caller)
        update = self.collection.find_one({"_id": named.get("_id") or named.get("guid")})
        if update is None:
            raise NotFound("Cannot find the update")
        check_update(update, original, self._settings)
        return self._take_existing(original, update, caller)

    def _original(self, item_id: str) -> Document:
        self._journal.settle(item_id)
        original = self.collection.find_one({"_id": item_id})
        if original is None:
            raise NotFound("Cannot find the article")
        return original

    def _write_new(self, original: Document, desk_id: Any, caller: Caller) -> Document:
        task = self._task(original, desk_id, caller)
        fields = fields_of_new(original, self._settings)
        item: Document = {**fields, "task": task}
        self._archive.on_create([item], caller)
        item.pop("journal", None)
        if original.get("source"):
            item["source"] = original["source"]
        now = self.clock.now()
        item |= {"_created": now, "_updated": now, "_etag": new_etag()}
        hooks.ask(hooks.item_rewrite, self.resource, item=item, original=original)
        follow_ups = [
            insertion(ARCHIVE, item),
            insertion(ARCHIVE_VERSIONS, {"_id": f"{item['_id']}:1", **version_row(item)}),
            record(Operation.CREATE, item, {**fields, "task": task}, caller.user_id, now),
            *new_references(item, {}),
        ]
        self._link(original, item, follow_ups, caller)
        tell_stage(self._notifier, item)
        return item

    def _task(self, original: Mapping[str, Any], desk_id: Any, caller: Caller) -> Document:
        desk_id = object_id(desk_id) or (original.get("task") or {}).get("desk")
        user = {"user": caller.user_id}
        if not desk_id:
            return user
        desk = self._places.of({"desk": desk_id}).desk or {}
        return {"desk": desk_id, "stage": desk.get("working_stage"), **user}

    def _take_existing(self, original: Document, update: Document, caller: Caller) -> Document:
        item = {**update, **fields_of_existing(update, original, self._settings)}
        hooks.ask(hooks.item_rewrite, self.resource, item=item, original=original)
        changes = {name: value for name, value in item.items() if update.get(name) != value}
        written = {**changes, "_updated": self.clock.now(), "_etag": new_etag()}
        free = {"_id": update["_id"], "rewrite_of": None}
        self._link(original, update, [change(ARCHIVE, free, written)], caller)
        return {**update, **written}

    def _link(
        self, original: Document, update: Document, follow_ups: list[Document], caller: Caller
    ) -> None:
        """Store the link; `follow_ups` write the update.

        Raises:
            BadRequest: another update was faster.
        """
        now, link = self.clock.now(), {"rewritten_by": update["_id"]}
        linked = {"rewrite_of": original["_id"]}
        follow_ups = [
            *follow_ups,
            change(PUBLISHED, {"item_id": original["_id"]}, link),
            record(Operation.REWRITE, original, link, caller.user_id, now),
            record(Operation.LINK, update, linked, caller.user_id, now),
        ]
        try:
            self._store(link, original, follow_ups, ["rewritten_by", "state"])
        except PreconditionFailed:
            # Somebody wrote the story meanwhile; the usual case deserves its own answer.
            check_original(self._original(original["_id"]), self._settings, now)
            raise
        tell_update(self._notifier, [original, update], caller.user_id)

    def _store(
        self,
        updates: Document,
        original: Document,
        follow_ups: list[Document],
        unless_changed: list[str],
    ) -> None:
        note = with_follow_ups({"at": self.clock.precise()}, follow_ups)
        self._journal.store(updates, original, note, unless_changed)
        follow_up(self.db, note)
        own = {"_id": original["_id"], "journal.at": note["at"]}
        self.collection.update_one(own, {"$unset": {"journal": 1}})
