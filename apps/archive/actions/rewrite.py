"""Updates of stories: write one, take an item for one, unlink (lifecycle contract 5.11)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.archive.actions.base import ActionContext
from apps.archive.broadcasts import (
    REWRITTEN,
    is_broadcast_script,
    open_scripts,
    scripts_without_rewrite,
    told_scripts,
)
from apps.archive.editor import complete_from_editor
from apps.archive.events import tell_stage
from apps.archive.journal.follow_ups import change, insertion, record
from apps.archive.journal.journal import version_row
from apps.archive.journal.media_references import new_references
from apps.archive.schema import CONTENT, METADATA
from apps.archive.service import ArchiveService
from apps.archive.times import parse_extra_dates, utc_of
from apps.archive.visibility import audience, check_may_read
from apps.core import hooks
from apps.core.caller import Caller
from apps.core.documents import EMPTY, object_of, objects_of
from apps.core.errors import BadRequest, NotFound, PreconditionFailed, TransitionError
from apps.core.ids import tag_guid
from apps.core.notifier import Audience
from apps.core.service import Document, ResourceService, new_etag
from apps.core.vocabulary import PUBLISH_STATES, TEXT_TYPES, Operation, State
from apps.core.workflow import INVALID_TRANSITION, Action, check_allowed
from apps.store.collections import ARCHIVE, ARCHIVE_VERSIONS, PUBLISHED

Item = Mapping[str, Any]
Settings = Mapping[str, Any]

UNLINKED = {"rewrite_of": None, "anpa_take_key": None, "rewrite_sequence": None}

REFUSED_UPDATES = frozenset(
    {
        State.PUBLISHED,
        State.CORRECTED,
        State.KILLED,
        State.RECALLED,
        State.SCHEDULED,
        State.SPIKED,
    }
)
"""States of existing items that cannot become an update."""

SHARED = ("family_id", "event_id", "language", "place", "organisation", "person", "uri")
"""Fields that every update takes from its story, where the story has them."""

NOT_COPIED = frozenset(
    {"highlights", "marked_desks", "translations", "translated_from", "translation_id"}
    | {"publisher", "broadcast", "anpa_take_key", "flags"}
)
COPIED = (frozenset(CONTENT) | frozenset(METADATA)) - NOT_COPIED | {
    "type",
    "profile",
    "ingest_provider",
    "associations",
}
"""Fields that a new update takes besides."""


class RewriteService(ResourceService):
    """`archive/<id>/rewrite`: POST links a story with its update, DELETE takes them apart.

    The link is noted on the story before anything else is written, so that of two updates made at
    once one is refused, and a process that dies leaves a link that is completed.

    Args:
        context: see `ActionContext`. Its settings: WORKFLOW_ALLOW_MULTIPLE_UPDATES,
            ALLOW_UPDATING_SCHEDULED_ITEMS, RESET_PRIORITY_VALUE_FOR_UPDATE_ARTICLES,
            COPY_ON_REWRITE_FIELDS, BROADCAST_ENABLED, and the defaults.
        archive: completes new items.
    """

    resource = "archive"
    document_type = "archive"

    def __init__(self, context: ActionContext, archive: ArchiveService) -> None:
        super().__init__(context.db, context.clock)
        self._context = context
        self._archive = archive
        self._has_broadcasts = bool(context.settings["BROADCAST_ENABLED"])

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        """Address the item that the URL names."""
        return {"_id": lookup["original_id"]}

    def audience(self, document: Document, original: Document | None = None) -> Audience:
        return audience([document])

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
        update = self._context.readable_item(document["_id"], caller)
        original_id = update.get("rewrite_of")
        if not original_id:
            raise BadRequest("Only updates can be unlinked!")
        story = self._context.journal.read(original_id) or {"_id": original_id}
        now = self.clock.now()
        changes = {**UNLINKED, "event_id": tag_guid(self._context.settings["URN_DOMAIN"], now)}
        link = {"rewritten_by": update["_id"]}
        follow_ups = [
            change(PUBLISHED, {"item_id": update["_id"]}, changes),
            change(ARCHIVE, {"_id": original_id, **link}, {"rewritten_by": None}),
            change(PUBLISHED, {"item_id": original_id, **link}, {"rewritten_by": None}),
            record(Operation.UNLINK, story, {"rewritten_by": None}, caller.user_id, now),
            record(Operation.UNLINK, update, changes, caller.user_id, now),
        ]
        if self._has_broadcasts:
            follow_ups += scripts_without_rewrite(self.db, update)
        written = {"operation": Operation.UNLINK, "_updated": now, "_etag": new_etag()}
        note = self._context.journal.action(follow_ups)
        self._context.journal.write({**changes, **written}, update, note, ["rewrite_of"])
        self._context.notifier.push(
            "item:unlink",
            audience=audience([update]),
            item=str(update["_id"]),
            user=str(caller.user_id or ""),
        )

    def _rewrite(self, request: Mapping[str, Any], caller: Caller) -> Document:
        original = self._original(request["original_id"])
        check_may_read(original, caller)
        check_original(original, self._context.settings, self.clock.now())
        named = request.get("update")
        if not named:
            return self._write_new(original, request.get("desk_id"), caller)
        update = self.collection.find_one({"_id": named.get("_id") or named.get("guid")})
        if update is None:
            raise NotFound("Cannot find the update")
        check_may_read(update, caller)
        check_update(update, original, self._context.settings)
        return self._take_existing(original, update, named, caller)

    def _original(self, item_id: str) -> Document:
        original = self._context.journal.read(item_id)
        if original is None:
            raise NotFound("Cannot find the article")
        return original

    def _write_new(self, original: Document, desk_id: Any, caller: Caller) -> Document:
        task = self._task(original, desk_id, caller)
        fields = fields_of_new(original, self._context.settings)
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
        tell_stage(self._context.notifier, item)
        return item

    def _task(self, original: Mapping[str, Any], desk_id: Any, caller: Caller) -> Document:
        desk_id = desk_id or object_of(original, "task").get("desk")
        if not desk_id:
            return {"user": caller.user_id}
        return self._context.working_task(desk_id, caller)

    def _take_existing(
        self, original: Document, update: Document, sent: Mapping[str, Any], caller: Caller
    ) -> Document:
        """Make a stored item the update of a story.

        Args:
            sent: what the client has of the update; its custom fields may not be saved yet.

        Raises:
            BadRequest: what it has for the state of an editor is none.
        """
        fields = fields_of_existing(update, original, self._context.settings, sent)
        fields |= _fields_of_editor(fields, update)
        parse_extra_dates(self.db, fields, update)
        item = {**update, **fields}
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
        scripts = open_scripts(self.db, original) if self._has_broadcasts else []
        follow_ups += told_scripts(scripts, REWRITTEN, update["_id"])
        try:
            note = self._context.journal.action(follow_ups)
            self._context.journal.write(link, original, note, ["rewritten_by", "state"])
        except PreconditionFailed:
            # Somebody wrote the story meanwhile; the usual case deserves its own answer.
            check_original(self._original(original["_id"]), self._context.settings, now)
            raise
        self._context.tell_update([original, update], caller)
        for script in scripts:
            self._context.tell_update([script], caller)


def check_original(original: Item, settings: Settings, now: datetime) -> None:
    """Refuse an update of a story that can have none.

    Raises:
        ServiceError: it can have none, or has one.
    """
    embargo = utc_of(original, "embargo")
    if embargo and embargo > now:
        raise BadRequest("Rewrite of an Item having embargo isn't possible")
    if not original.get("event_id"):
        raise NotFound("Event id does not exist")
    if original.get("rewritten_by"):
        raise BadRequest("Article has been rewritten before !")
    is_exempt = (
        original.get("state") == State.SCHEDULED and settings["ALLOW_UPDATING_SCHEDULED_ITEMS"]
    )
    if not is_exempt:
        check_allowed(Action.REWRITE, original.get("state"))
    is_open_update = original.get("rewrite_of") and original.get("state") not in PUBLISH_STATES
    if is_open_update and not settings["WORKFLOW_ALLOW_MULTIPLE_UPDATES"]:
        raise BadRequest("Rewrite is not published. Cannot rewrite the story again.")


def check_update(update: Item, original: Item, settings: Settings) -> None:
    """Refuse an existing item that cannot become the update of `original`.

    Args:
        settings: BROADCAST_ENABLED.

    Raises:
        ServiceError: it cannot.
    """
    if update.get("rewrite_of") or update["_id"] == original["_id"]:
        raise BadRequest("Rewrite story has been used as update before !")
    if update.get("state") in REFUSED_UPDATES:
        raise TransitionError(INVALID_TRANSITION)
    if update.get("type") not in TEXT_TYPES:
        raise BadRequest("Rewrite story can only be text or pre-formatted !")
    if settings["BROADCAST_ENABLED"] and is_broadcast_script(update):
        raise BadRequest("Broadcast cannot be a update story !")
    profiles = {item["profile"] for item in (update, original) if item.get("profile")}
    if len(profiles) > 1:
        raise BadRequest("Rewrite item content profile does not match with Original item.")


def take_key(sequence: int) -> str:
    """Return `update`, `2nd update`, `3rd update`, `11th update` and so on."""
    if sequence <= 1:
        return "update"
    is_teen = sequence % 100 in range(11, 14)
    ending = "th" if is_teen else {1: "st", 2: "nd", 3: "rd"}.get(sequence % 10, "th")
    return f"{sequence}{ending} update"


def fields_of_new(original: Item, settings: Settings) -> Document:
    """Return the fields of a new update of `original`, without its place."""
    item = {name: original[name] for name in COPIED if original.get(name) is not None}
    item |= _shared(original, settings)
    item["flags"] = {**object_of(original, "flags"), "marked_for_sms": False}
    if original.get("priority") is not None:
        item["priority"] = original["priority"]
    item |= _fields_of_link(original) | _priority(settings)
    return {**item, "state": State.IN_PROGRESS}


def fields_of_existing(
    update: Item, original: Item, settings: Settings, sent: Item | None = None
) -> Document:
    """Return what changes on `update` when it becomes the update of `original`.

    Args:
        sent: what the client has of it. What it has of `extra` and `fields_meta` counts most.
    """
    fields = _shared(original, settings) | _fields_of_link(original) | _priority(settings)
    own, inherited = object_of(update, "flags"), object_of(original, "flags")
    fields["flags"] = {
        name: bool(own.get(name) or inherited.get(name)) for name in {**inherited, **own}
    }
    sent = sent or {}
    merged = {
        "associations": object_of(original, "associations") | object_of(update, "associations"),
        "extra": _filled(original, update, sent, name="extra"),
        "fields_meta": _filled(update, {"fields_meta": _states_sent(sent)}, name="fields_meta"),
    }
    fields |= {name: value for name, value in merged.items() if value}
    fields["subject"] = _merged_subjects(update, original)
    on_desk = object_of(update, "task").get("desk")
    return {**fields, "state": State.IN_PROGRESS if on_desk else State.DRAFT}


def _filled(*items: Item, name: str) -> Document:
    """Return the fields that items have under a name, each as the last one that fills it does."""
    merged: Document = {}
    for item in items:
        for field, value in object_of(item, name).items():
            if value not in EMPTY or merged.get(field) in EMPTY:
                merged[field] = value
    return merged


def _states_sent(sent: Item) -> Document:
    """Return what a client has of `fields_meta`, as far as an item can hold it."""
    states = object_of(sent, "fields_meta")
    return {name: state for name, state in states.items() if isinstance(state, Mapping)}


def _fields_of_editor(fields: Item, update: Item) -> Document:
    """Return the fields whose editor state changes on an update that becomes `fields`."""
    states, known = object_of(fields, "fields_meta"), object_of(update, "fields_meta")
    changed = {name: state for name, state in states.items() if known.get(name) != state}
    written: Document = {"fields_meta": changed}
    if fields.get("extra"):
        written["extra"] = fields["extra"]
    complete_from_editor(written, update, state_wins=True)
    del written["fields_meta"]
    return written


def _shared(original: Item, settings: Settings) -> Document:
    names = (*SHARED, *settings["COPY_ON_REWRITE_FIELDS"])
    return {name: original[name] for name in names if original.get(name)}


def _fields_of_link(original: Item) -> Document:
    sequence = (original.get("rewrite_sequence") or 0) + 1
    return {
        "rewrite_of": original["_id"],
        "rewrite_sequence": sequence,
        "anpa_take_key": take_key(sequence),
    }


def _priority(settings: Settings) -> Document:
    if not settings["RESET_PRIORITY_VALUE_FOR_UPDATE_ARTICLES"]:
        return {}
    return {"priority": settings["DEFAULT_PRIORITY_VALUE_FOR_MANUAL_ARTICLES"]}


def _merged_subjects(update: Item, original: Item) -> list[Any]:
    """Return the subjects of both; of two with one code, the story's."""
    theirs = objects_of(original, "subject")
    codes = [subject.get("qcode") for subject in theirs]
    return [s for s in objects_of(update, "subject") if s.get("qcode") not in codes] + theirs
