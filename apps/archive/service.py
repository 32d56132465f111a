"""Rules of `archive`: create and save items (lifecycle contract 3.2, 3.3; resources contract 9)."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from typing import Any

from pymongo.database import Database

from apps.archive.associations import (
    associations_with_ids,
    complete_new,
    complete_saved,
    copied,
    follow_editor,
    refs_of,
    stored_items,
    usage_changes,
)
from apps.archive.attachments import what_was_attached
from apps.archive.authorship import complete_dateline, fill_from_user, next_sign_off
from apps.archive.broadcasts import reset_status
from apps.archive.checks import (
    CREATE_CHECKS,
    RESTORE_CHECKS,
    SAVE_CHECKS,
    Check,
    Save,
    check_broadcast_genre,
)
from apps.archive.crop_files import CropFiles
from apps.archive.deschedule import (
    DESCHEDULED,
    keep_schedule,
    releases_schedule,
    unscheduled,
    what_was_scheduled,
)
from apps.archive.editor import complete_from_editor
from apps.archive.events import tell_marked, tell_stage, tell_update
from apps.archive.highlighted import fill_with_highlighted
from apps.archive.journal.follow_ups import deletion, record, with_follow_ups, with_history
from apps.archive.journal.journal import NOT_IN_HISTORY, Journal
from apps.archive.journal.media_references import new_references
from apps.archive.macro_changes import changes_of_macro
from apps.archive.packages import default_groups, is_package, link_changes
from apps.archive.places import Place, Places, is_elsewhere, source_of, task_with_ids
from apps.archive.replaced import drop_variants
from apps.archive.restore import is_restoration, replacement, restored_fields
from apps.archive.schema import (
    ASSOCIATIONS,
    CONTENT,
    HELD,
    METADATA,
    REQUEST_ONLY,
    SERVER_FIELDS,
)
from apps.archive.times import complete_schedule, complete_times, expiry_on, parse_extra_dates
from apps.archive.visibility import (
    audience_of_write,
    check_found,
    may_read,
    own_items,
    visible,
)
from apps.core import hooks
from apps.core.caller import SYSTEM, Caller
from apps.core.clock import Clock
from apps.core.documents import object_of
from apps.core.errors import BadRequest
from apps.core.ids import forms_of, item_guid, same_id, tag_guid
from apps.core.notifier import Audience, Notifier
from apps.core.schemas import keeps
from apps.core.service import Document, ResourceService, new_etag
from apps.core.text import word_count
from apps.core.vocabulary import ItemType, Operation, State
from apps.core.workflow import state_after_save
from apps.newsroom.content_templates.language import Budget
from apps.newsroom.content_templates.rendering import context_of, rendered
from apps.newsroom.macros.macros import Macros
from apps.store.by_id import find_by_id
from apps.store.collections import ARCHIVE_AUTOSAVE, CONTENT_TEMPLATES, CONTENT_TYPES, USERS
from apps.store.sequences import Sequences

LISTED_STATES = (
    State.DRAFT,
    State.FETCHED,
    State.ROUTED,
    State.IN_PROGRESS,
    State.SPIKED,
    State.SUBMITTED,
    State.UNPUBLISHED,
    State.CORRECTION,
)
"""States that the list of items shows; the others are read by id (lifecycle contract 3.2)."""

FROM_TEMPLATES = (
    frozenset(CONTENT) | frozenset(METADATA) | {"profile", "language", "format", "associations"}
) - SERVER_FIELDS
"""Fields that a template or a content profile may give a new item."""

TEMPLATE_RULES = {**HELD, "associations": ASSOCIATIONS}
"""Rules of what they give, which holds what JSON has."""


class ArchiveService(ResourceService):
    """Working copies of items.

    Args:
        legal_db: database of the long-term archive.
        journal: stores items with their version rows.
        sequences: source of `unique_id`.
        places: desks and stages.
        notifier: tells clients.
        macros: of the installation.
        crop_files: cut pictures.
        settings: defaults of new items.
    """

    resource = "archive"
    document_type = "archive"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        legal_db: Database[Document],
        journal: Journal,
        sequences: Sequences,
        places: Places,
        notifier: Notifier,
        macros: Macros,
        crop_files: CropFiles,
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__(db, clock)
        self._legal_db = legal_db
        self._macros = macros
        self._crop_files = crop_files
        self._journal = journal
        self._sequences = sequences
        self._places = places
        self._notifier = notifier
        self._settings = settings
        self._save_checks = tuple(
            check
            for check in SAVE_CHECKS
            if settings["BROADCAST_ENABLED"] or check is not check_broadcast_genre
        )

    # Create.

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        first = self._sequences.draw("ARCHIVE_SEQ", len(documents))
        budget = Budget()
        for number, document in enumerate(documents, start=first):
            macro = document.get("macro")
            for name in REQUEST_ONLY:
                document.pop(name, None)
            self._apply_template(document, caller, budget)
            place = self._place_of(document, caller)
            self._identify(document, number)
            self._fill_defaults(document, place, caller)
            self._check(CREATE_CHECKS, self._save(document, {}, place, caller))
            complete_schedule(document, {}, self.clock.now())
            if macro:
                document.update(changes_of_macro(self._macros, macro, document, place))
            parse_extra_dates(self.db, document)
            complete_new(document, document.get("_created") or self.clock.now())
            hooks.ask(hooks.item_create, self.resource, item=document)
            note = self._journal.note(document["_current_version"])
            note = self._with_creation(note, document, caller)
            document["journal"] = self._with_relations(note, document, {})

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        self._journal.create_many(documents)
        return [document["_id"] for document in documents]

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            document.pop("journal", None)
            document["_latest_version"] = document["_current_version"]
            if document.get("state") == State.ROUTED:
                hooks.tell(hooks.item_routed, self.resource, item=document)
            tell_stage(self._notifier, document)
        self._mark_profiles(documents)
        tell_update(self._notifier, documents, caller.user_id)

    def _mark_profiles(self, documents: list[Document]) -> None:
        """Mark the content profiles of new items as used (resources contract 14); one command."""
        profiles = sorted({document["profile"] for document in documents})
        unmarked = {"_id": {"$in": forms_of(profiles)}, "is_used": {"$ne": True}}
        self.db[CONTENT_TYPES].update_many(unmarked, {"$set": {"is_used": True}})

    def _apply_template(self, document: Document, caller: Caller, budget: Budget) -> None:
        """Give a new item the fields of its template that the request does not have.

        Args:
            budget: the work that templates may still make for the request.

        Raises:
            BadRequest: there is no such template for the caller, or it cannot be rendered, or it
                holds what an item cannot.
        """
        if not document.get("template"):
            return
        template = find_by_id(self.db[CONTENT_TEMPLATES], document["template"])
        is_own = template is not None and same_id(template.get("user"), caller.user_id)
        if template is None or not (template.get("is_public") or is_own):
            raise BadRequest(f"Template not found: {document['template']}")
        context = context_of(document, caller.user, self.clock.now())
        fields = rendered(template, context, budget, self._settings["DEFAULT_TIMEZONE"])
        for name, value in fields.items():
            if name in FROM_TEMPLATES and name not in document:
                if not keeps(TEMPLATE_RULES[name], value):
                    raise BadRequest(f"The template has no valid {name}")
                document[name] = value

    def _place_of(self, document: Document, caller: Caller) -> Place:
        document["task"] = task_with_ids(document.get("task"))
        place = self._places.of(document["task"])
        if document.get("type") == ItemType.COMPOSITE and place.desk and not place.stage:
            document["task"]["stage"] = place.desk.get("working_stage")
            place = self._places.of(document["task"])
        document["task"] = place.task(document["task"])
        return place

    def _identify(self, document: Document, number: int) -> None:
        now = self.clock.now()
        if not document.get("guid"):
            document["guid"] = item_guid(self._settings, now)
        document.setdefault("_id", document["guid"])
        document.setdefault("family_id", document["guid"])
        document.setdefault("event_id", tag_guid(self._settings["URN_DOMAIN"], now))
        document.setdefault("unique_id", number)
        document.setdefault("unique_name", f"#{document['unique_id']}")

    def _fill_defaults(self, document: Document, place: Place, caller: Caller) -> None:
        now, settings = self.clock.now(), self._settings
        document.setdefault("_current_version", 1)
        if document.get("version") == 0:
            document["_current_version"] = 0
        for field in ("firstcreated", "versioncreated"):
            document.setdefault(field, now)
        document.setdefault("type", ItemType.TEXT)
        document.setdefault("state", State.DRAFT)
        document.setdefault("pubstatus", "usable")
        document["operation"] = Operation.CREATE
        if is_package(document):
            document.setdefault("groups", default_groups())
            if document.get("highlight"):
                fill_with_highlighted(self.db, document, now, caller)
        if document["type"] == ItemType.TEXT and settings["DEFAULT_CONTENT_TYPE"]:
            document.setdefault("profile", settings["DEFAULT_CONTENT_TYPE"])
        self._fill_from_profile(document)
        document["profile"] = document.get("profile") or document["type"]
        document["source"] = source_of(document, place, settings)
        complete_dateline(document, document["source"])
        document.setdefault("language", place.language or settings["DEFAULT_LANGUAGE"])
        self._sign(document, caller, now)
        if place.desk:
            document["expiry"] = expiry_on(place, now, settings)
        if document.get("body_html") is not None:
            document.setdefault("word_count", word_count(document["body_html"]))

    def _fill_from_profile(self, document: Document) -> None:
        """Fill what is empty with the defaults of the item's profile, then of the settings."""
        defaults = {
            field: self._settings[f"DEFAULT_{field.upper()}_VALUE_FOR_MANUAL_ARTICLES"]
            for field in ("priority", "urgency", "genre")
        }
        if document.get("profile"):
            profile = find_by_id(self.db[CONTENT_TYPES], document["profile"]) or {}
            schema = object_of(profile, "schema")
            for name in FROM_TEMPLATES & schema.keys():
                default = object_of(schema, name).get("default")
                if default and keeps(TEMPLATE_RULES[name], default):
                    defaults[name] = deepcopy(default)
        for name, default in defaults.items():
            if not document.get(name):
                document[name] = default

    def _sign(self, document: Document, caller: Caller, now: datetime) -> None:
        user = caller.user or {}
        user_id = str(user.get("_id", ""))
        document.setdefault("original_creator", user_id)
        document.setdefault("version_creator", user_id)
        document.setdefault("sign_off", user.get("sign_off") or "")
        source = self._settings["ORGANIZATION_NAME_ABBREVIATION"]
        fill_from_user(document, caller.user, now, source)

    # Save.

    def on_replace(self, document: Document, original: Document, caller: Caller) -> None:
        """Restore the version that the request names, otherwise put the document in its place."""
        if not is_restoration(document):
            updates = replacement(document, original)
            self.on_update(updates, original, caller)
            document.clear()
            document.update({**original, **updates})
            document.pop("journal", None)
            return
        place = self._places.of(object_of(original, "task"))
        self._check(RESTORE_CHECKS, self._save(document, original, place, caller))
        fields = restored_fields(self.db, document, original)
        document.clear()
        document.update({**original, **fields})
        document.pop("journal", None)
        self._sign_version(document, original, caller)

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        has_state = leads_to_a_state(updates)
        is_forced = bool(updates.get("force_unlock"))
        for name in (*REQUEST_ONLY, "force_unlock", "type"):
            updates.pop(name, None)
        if updates.get("task") is not None:
            updates["task"] = task_with_ids(updates["task"])
        before, place = self._places_of(updates, original)
        if updates.get("task"):
            updates["task"] = place.task(updates["task"])
        follow_editor(updates, original)
        named = self._named(updates, original, caller)
        save = self._save(updates, original, place, caller)
        self._check(
            self._save_checks,
            replace(
                save, before=before, associated=named, is_forced=is_forced, has_state=has_state
            ),
        )
        self._crop_files.make(updates, original)
        complete_from_editor(updates, original)
        drop_variants(updates, original, self.db)
        is_descheduled = releases_schedule(updates, original)
        if is_descheduled:
            keep_schedule(updates, original)
        complete_times(updates, original)
        parse_extra_dates(self.db, updates, original)
        self._stamp_save(save, has_state=has_state)
        copies = self._settings["COPY_METADATA_FROM_PARENT"]
        complete_saved(updates, original, save.now, named, copies_from_parent=copies)
        if is_descheduled:
            updates.update(DESCHEDULED)
        if self._settings["BROADCAST_ENABLED"]:
            # What is saved is not out: there is nothing to follow elsewhere.
            reset_status(updates, original)
        hooks.ask(hooks.item_update, self.resource, updates=updates, original=original)

    def _named(
        self, updates: Mapping[str, Any], original: Mapping[str, Any], caller: Caller
    ) -> dict[str, Document]:
        """Return the stored items that the associations of a save name, by id.

        Of one that is hidden from the caller, what the item holds of it already.
        """
        items = stored_items(self.db, (held["_id"] for _, held in associations_with_ids(updates)))
        held = {held["_id"]: held for _, held in associations_with_ids(original)}
        return {
            id_: item if may_read(item, caller) else held.get(id_, {})
            for id_, item in items.items()
        }

    def _places_of(self, updates: Document, original: Document) -> tuple[Place, Place]:
        """Return where the item is and where it will be."""
        stored = object_of(original, "task")
        task = updates.get("task") or stored
        place = self._places.of(task)
        before = self._places.where(stored) if is_elsewhere(task, stored) else place
        return before, place

    def update(self, id: Any, updates: Document, original: Document, caller: Caller) -> None:
        self._store(updates, original, caller, {id})

    def _store(
        self, updates: Document, original: Document, caller: Caller, taken_back: set[str]
    ) -> None:
        """Store a save with all that follows.

        Args:
            taken_back: ids of the items whose schedule this request takes back; ids are added.
        """
        item_id = original["_id"]
        note = self._journal.note(updates["_current_version"])
        if updates.get("operation") != Operation.RESTORE:
            changed = changes_of_save(updates, original)
            note = with_history(note, Operation.UPDATE, caller.user_id, changed)
        if updates.get("operation") == Operation.DESCHEDULE:
            self._take_back_associated(updates, original, caller, taken_back)
            note = with_follow_ups(note, what_was_scheduled(self.db, item_id))
        note = self._with_relations(note, updates, original)
        # Not what is typed while a process that died here is waited for.
        typed = deletion(
            ARCHIVE_AUTOSAVE, {"_id": item_id, "_updated": {"$not": {"$gt": note["at"]}}}
        )
        note = with_follow_ups(note, [typed])
        if dropped := what_was_attached(self.db, updates, original):
            note = with_follow_ups(note, dropped)
        self._journal.write(updates, original, note)

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        tell_update(self._notifier, [original, {**original, **updates}], caller.user_id)
        tell_stage(self._notifier, {**original, **updates}, original)
        tell_marked(self._notifier, updates, original)
        item = hooks.without_notes({**original, **updates})
        hooks.tell(hooks.item_updated, self.resource, item=item, original=original)

    def _take_back_associated(
        self,
        updates: Document,
        original: Mapping[str, Any],
        caller: Caller,
        taken_back: set[str],
    ) -> None:
        """Take associated items back that wait for an hour as well (lifecycle contract 5.4).

        They go first: a request that is made again after a crash finds the rest.
        """
        if not self._settings["PUBLISH_ASSOCIATED_ITEMS"]:
            return
        held = copied({**original, **updates}.get("associations"))
        items = stored_items(
            self.db, (h["_id"] for _, h in associations_with_ids({"associations": held}))
        )
        taken: dict[str, Document] = {}
        for key, association in associations_with_ids({"associations": held}):
            item_id = association["_id"]
            is_scheduled = items.get(item_id, {}).get("state") == State.SCHEDULED
            if is_scheduled and item_id not in taken_back:
                taken_back.add(item_id)
                taken[item_id] = self._take_back(item_id, caller, taken_back)
            if item_id in taken and association.get("state"):
                held[key] = unscheduled(taken[item_id], association)
        updates["associations"], updates["refs"] = held, refs_of(held)

    def _take_back(self, item_id: str, caller: Caller, taken_back: set[str]) -> Document:
        """Save an item without its schedule; return it as stored."""
        item = self.find(item_id)
        updates: Document = {"publish_schedule": None, "_updated": self.clock.now()}
        updates["_current_version"] = self._journal.next_version(item)
        self.on_update(updates, item, caller)
        updates["_etag"] = new_etag()
        self._store(updates, item, caller, taken_back)
        self.on_updated(updates, item, caller)
        return {**item, **updates}

    def patch(self, id: Any, updates: Document, caller: Caller = SYSTEM) -> Document:
        original = self.find(id)
        if "_current_version" not in updates:
            updates["_current_version"] = self._journal.next_version(original)
        return super().patch(id, updates, caller)

    def _save(
        self, updates: Document, original: Mapping[str, Any], place: Place, caller: Caller
    ) -> Save:
        now = self.clock.now()
        return Save(updates, original, place, caller, self.db, self._legal_db, now)

    def _check(self, checks: Iterable[Check], save: Save) -> None:
        for check in checks:
            check(save)

    def _with_relations(
        self, note: Document, updates: Mapping[str, Any], original: Mapping[str, Any]
    ) -> Document:
        """Return `note` with what the write changes at members and associated media."""
        writes = usage_changes(updates, original, note["at"])
        writes += new_references(updates, original)
        item = {**original, **updates}
        if is_package(item) and "groups" in updates:
            writes += link_changes(item["_id"], original.get("groups"), updates["groups"])
        return with_follow_ups(note, writes) if writes else note

    def _sign_version(
        self, document: Document, original: Mapping[str, Any], caller: Caller
    ) -> None:
        user, keep_all = caller.user or {}, self._settings["FULL_SIGN_OFF"]
        document.update(dict.fromkeys(("versioncreated", "_updated"), self.clock.now()))
        document["version_creator"] = str(user.get("_id", ""))
        document["sign_off"] = next_sign_off(
            original.get("sign_off"), user.get("sign_off"), keep_all=keep_all
        )

    def _stamp_save(self, save: Save, *, has_state: bool) -> None:
        updates, original, place = save.updates, save.original, save.place
        now, caller = save.now, save.caller
        user = caller.user or {}
        updates.pop("state", None)
        if has_state:
            on_desk = bool(place.desk) or bool(caller.arguments.get("publish_from_personal"))
            updates["state"] = state_after_save(original.get("state"), on_desk=on_desk)
        updates["operation"] = Operation.UPDATE
        if original.get("version") == 0:
            # A draft that is saved is there for all to see.
            updates["version"] = updates.get("_current_version", 1)
        updates["versioncreated"] = now
        updates["version_creator"] = str(user.get("_id", ""))
        updates.setdefault(
            "sign_off",
            next_sign_off(
                original.get("sign_off"),
                user.get("sign_off"),
                keep_all=self._settings["FULL_SIGN_OFF"],
            ),
        )
        if "body_html" in updates and "word_count" not in updates:
            updates["word_count"] = word_count(updates["body_html"] or "")
        if place.desk:
            updates["expiry"] = expiry_on(place, now, self._settings)
        source = updates.get("source") or original.get("source")
        complete_dateline(updates, source or source_of({}, place, self._settings))

    # Around the item.

    def _with_creation(self, note: Document, document: Document, caller: Caller) -> Document:
        """Return `note` with the audit rows of a creation (lifecycle contract 3.13)."""
        author = self._author_of(document)
        if author is None:
            return with_history(note, Operation.CREATE, caller.user_id)
        note = with_history(note, Operation.CREATE, author)
        update = {name: v for name, v in document.items() if name not in NOT_IN_HISTORY}
        own = record(Operation.CREATE, document, update, caller.user_id, self.clock.now())
        return with_follow_ups(note, [own])

    def _author_of(self, item: Mapping[str, Any]) -> Any:
        """Return the user who wrote an item that was routed to a desk, where that is known."""
        creator = item.get("original_creator")
        if item.get("state") != State.ROUTED or not creator or item.get("original_id"):
            return None
        author = find_by_id(self.db[USERS], creator, {"_id": 1})
        return author["_id"] if author else None

    # Read.

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        """Limit lists to what is being worked on: others' drafts and hidden stages are left out."""
        query: Document = {"state": {"$in": list(LISTED_STATES)}, "version": {"$ne": 0}}
        if caller.user is not None:
            # Drafts on desks, too, are listed for those who write them.
            query["$or"] = [{"state": {"$ne": State.DRAFT}}, *own_items(caller)]
        return visible({**lookup, **query}, caller)

    def on_found(self, document: Document, caller: Caller) -> None:
        check_found(self.db, document, caller)

    def audience(self, document: Document, original: Document | None = None) -> Audience:
        return audience_of_write(document, original)

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            document.setdefault("profile", document.get("type"))
            if isinstance(document.get("pubstatus"), str):
                document["pubstatus"] = document["pubstatus"].lower()


def changes_of_save(updates: Mapping[str, Any], original: Mapping[str, Any]) -> Document:
    """Return what the history says about a save (lifecycle contract 3.13).

    A document that took the place of the item holds what did not change, too.
    """
    is_replacement = "_id" in updates
    names = updates.keys() if is_replacement else {"sms_message"}
    same = {name for name in names if updates.get(name) == original.get(name)}
    return {name: value for name, value in updates.items() if name not in same}


def leads_to_a_state(updates: Mapping[str, Any]) -> bool:
    """Whether a save is one of the workflow: `req_for_save` says so unless it is "true"."""
    return str(updates.get("req_for_save", True)).lower() == "true"
