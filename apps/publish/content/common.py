"""What all publish services share: the order of the steps."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from apps.archive.associations import named_items, usage_changes
from apps.archive.authorship import next_sign_off
from apps.archive.broadcasts import STATUSES, open_scripts, reset_status, told_scripts
from apps.archive.events import tell_marked, tell_update
from apps.archive.journal.follow_ups import with_follow_ups
from apps.archive.journal.media_references import published_references
from apps.archive.packages import is_package, link_changes, package_ids
from apps.archive.places import source_of, task_with_ids
from apps.archive.replaced import drop_embedded, drop_variants
from apps.archive.schema import UNLOCKED
from apps.archive.times import (
    complete_schedule,
    expiry_of_published,
    parse_extra_dates,
    utc_of,
)
from apps.archive.visibility import (
    audience,
    audience_of_write,
    check_found,
    check_may_read,
    check_may_read_ids,
    hidden_stages,
)
from apps.core import hooks
from apps.core.caller import Caller
from apps.core.documents import object_of, text_of
from apps.core.ids import object_id
from apps.core.notifier import Audience
from apps.core.service import Document, ResourceService, new_etag
from apps.core.text import word_count
from apps.core.vocabulary import (
    PUBLISH_STATES,
    WITHDRAWING_OPERATIONS,
    Operation,
    PubStatus,
    State,
)
from apps.core.workflow import Action
from apps.publish.content.associated_items import (
    AssociatedItems,
    published_marks,
)
from apps.publish.content.checks import Check
from apps.publish.content.collaborators import Collaborators
from apps.publish.content.correction import end_of_correction
from apps.publish.content.package_members import members_to_publish, publish_members
from apps.publish.content.parent_packages import ParentPackages
from apps.publish.content.publication import (
    NO_FIELDS,
    NestedPublishing,
    Outgoing,
    Publication,
    PublishRequest,
)
from apps.store.collections import ARCHIVE_AUTOSAVE


class BasePublishService(ResourceService):
    """Move one stored item to a published state.

    Subclasses declare what differs; this class owns the order of the steps: check, stamp, store
    the item with its version, history and published row, wake the enqueue task, tell the clients.
    All of it is one write, `update`, so that what the checks have read is at hand for the rest.
    Formatting and delivery happen elsewhere, after the request has been answered.

    Args:
        collaborators: stores and services to work with.
        nested: publishes what goes out with an item.

    Attributes:
        endpoint: name of the REST resource.
        operation: written to the item; picks the enqueue service.
        action: workflow action that the item's state must allow.
        act: `act` of the validators; takedown and unpublish use those of kill.
        result_state: state the item gets.
        pubstatus: publication status the item gets.
        checks: run in this order; the first refusal answers.
        carries_members: members of a package go out with it.
        carries_associated: associated items share the operation, or show it.
    """

    resource = "archive"

    endpoint: ClassVar[str]
    operation: ClassVar[Operation]
    action: ClassVar[Action]
    act: ClassVar[str]
    result_state: ClassVar[State]
    pubstatus: ClassVar[PubStatus] = PubStatus.USABLE
    checks: ClassVar[tuple[Check, ...]]
    carries_members: ClassVar[bool] = False
    carries_associated: ClassVar[bool] = False

    def __init__(self, collaborators: Collaborators, nested: NestedPublishing) -> None:
        super().__init__(collaborators.db, collaborators.clock)
        self.collaborators = collaborators
        self._nested = nested
        self._associated = AssociatedItems(collaborators, nested)
        self._parent_packages = ParentPackages(collaborators, nested)
        self.has_broadcasts = bool(collaborators.settings["BROADCAST_ENABLED"])

    def on_found(self, document: Document, caller: Caller) -> None:
        check_found(self.db, document, caller)

    def audience(self, document: Document, original: Document | None = None) -> Audience:
        return audience_of_write(document, original)

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        updates.pop("force_unlock", None)

    def update(self, id: Any, updates: Document, original: Document, caller: Caller) -> None:
        """Check, stamp and store the item with all that follows; safe against a crash at any point.

        Raises:
            ServiceError: a rule refuses the operation.
            ValidationFailed: the item breaks its content profile or the validators.
            EtagMismatch: the item was written since `original` was read.
        """
        sent = set(updates)
        associations = updates.get("associations") or NO_FIELDS
        request = PublishRequest(caller, self.collaborators, associations)
        publication = self.prepare(updates, original, request)
        self._read(publication)
        self._check_held(publication)
        for check in self.checks:
            check(publication, self.collaborators)
        self.collaborators.crop_files.make(updates, original)
        self.stamp(publication)
        self.ask_receivers(publication)
        self._reserve(publication)
        self._store(publication)
        self.finish(publication)
        # What a receiver has taken out of the request is as it was, also in the answer.
        updates.update({name: original.get(name) for name in sent - updates.keys()})

    def publish_nested(
        self,
        updates: Document,
        original: Document,
        request: PublishRequest,
        row: Mapping[str, str] = NO_FIELDS,
    ) -> Document:
        """Publish an item that goes out with another one; see `NestedPublishing`."""
        publication = self.prepare(updates, original, request)
        self._associated.refresh(publication)
        self.stamp(publication)
        self.ask_receivers(publication)
        self._store(publication, row)
        self._tell(publication)
        self.tell_receivers(publication)
        return publication.item

    # Steps that operations refine.

    def prepare(
        self, updates: Document, original: Document, request: PublishRequest
    ) -> Publication:
        """Return the publication: request and item put together."""
        drop_variants(updates, original, self.db)
        drop_embedded(updates, original)
        task = task_with_ids(updates.get("task") or original.get("task"))
        desk_id = request.caller.arguments.get("desk_id")
        if desk_id and not task.get("desk"):
            task["desk"] = object_id(desk_id)
        place = request.place(task)
        if task:
            updates["task"] = place.task(task)
        return Publication(
            original=original,
            updates=updates,
            request=request,
            operation=self.operation,
            action=self.action,
            act=self.act,
            now=self.clock.now(),
            place=place,
            body=text_of(updates, "body_html"),
        )

    def stamp(self, publication: Publication) -> None:
        """Set what the operation changes on the item (lifecycle contract 5.1 steps 3 to 8)."""
        updates, original = publication.updates, publication.original
        settings = self.collaborators.settings
        updates["operation"] = self.operation
        self.set_state(publication)
        updates["pubstatus"] = self.pubstatus
        updates["_current_version"] = self.collaborators.journal.next_version(original)
        updates["version_creator"] = str(publication.caller.user_id or "")
        parse_extra_dates(self.db, updates, original)
        updates["source"] = source_of(publication.item, publication.place, settings)
        updates["expiry"] = self._expiry(publication)
        updates["_updated"] = publication.now
        updates.update(UNLOCKED)

    def ask_receivers(self, publication: Publication) -> None:
        """Let hooks change or refuse what will be stored.

        They are asked before anything is stored, also before what the item holds goes out.

        Raises:
            WiredeskError: a receiver refuses it.
        """
        if not is_package(publication.item):
            item = hooks.without_notes(publication.item)
            hooks.ask(hooks.item_publish, self.endpoint, item=item, updates=publication.updates)

    def tell_receivers(self, publication: Publication) -> None:
        """Let hooks know that the item is stored."""
        item = hooks.without_notes(publication.item)
        hooks.tell(hooks.item_published, self.endpoint, item=item, after_scheduled=False)

    def set_state(self, publication: Publication) -> None:
        """Set the state; a schedule whose time has come goes (lifecycle contract 5.1 step 3)."""
        publication.updates["state"] = self.result_state
        if not self.keeps_embargo(publication):
            publication.updates.update({"publish_schedule": None, "schedule_settings": {}})

    def keeps_embargo(self, publication: Publication) -> bool:
        """Whether the item stays under an embargo."""
        embargo = utc_of(publication.item, "embargo")
        return embargo is not None and embargo > publication.now

    def annotate(self, note: Document, publication: Publication) -> None:
        """Add to the note what follows the item besides its version, history and published row."""
        original = publication.original
        if original.get("state") == State.CORRECTION:
            note.update(with_follow_ups(note, end_of_correction(original)))
        if self.has_broadcasts and (writes := self._tell_scripts(publication)):
            note.update(with_follow_ups(note, writes))

    def _tell_scripts(self, publication: Publication) -> list[Document]:
        """Return what broadcast scripts are told: of their master, or of themselves."""
        original = publication.original
        writes = reset_status(publication.updates, original)
        if status := STATUSES.get(self.operation):
            publication.scripts.extend(open_scripts(self.db, original))
            writes += told_scripts(publication.scripts, status)
        return writes

    def on_stored(self, note: Document) -> None:
        """Act on an item that is stored with everything that its note tells of."""

    def finish(self, publication: Publication) -> None:
        """Correct the packages around what has gone out, wake the tasks, tell the clients."""
        updates = publication.updates
        updates["_latest_version"] = updates["_current_version"]
        self.tell_receivers(publication)
        self._parent_packages.follow(publication.request)
        self.collaborators.wake_up()
        if self.operation in WITHDRAWING_OPERATIONS:
            self.collaborators.wake_priority()
        self.collaborators.wake_legal()
        self._tell(publication)

    # What the item holds.

    def _read(self, publication: Publication) -> None:
        """Read members, associated items and the rules for all of them; refresh associations."""
        request = publication.request
        if self.carries_members:
            request.load_members(publication.item)
        if self.carries_associated:
            self._associated.read(publication)
        if request.items:
            items = [publication.item, *request.items.values()]
            request.validator = request.validator.with_rules_for(items, publication.acts)

    def _check_held(self, publication: Publication) -> None:
        """Refuse to publish with an item what is hidden from the caller.

        What is out may be withdrawn with it, and stays in it as it is; no command but for what the
        request brings in, and that only for callers from whom something is hidden.

        Raises:
            Forbidden: the caller may not read what would go out, or what is new in the item.
        """
        caller = publication.caller
        if not hidden_stages(caller):
            return
        new = named_items(publication.updates) - named_items(publication.original)
        check_may_read_ids(self.db, new, caller)
        for item in publication.request.items.values():
            if item.get("state") not in PUBLISH_STATES:
                check_may_read(item, caller)
        if self.carries_associated and self.operation == Operation.CORRECT:
            for associated in self._associated.to_publish(publication):
                check_may_read(associated.original, caller)

    def _reserve(self, publication: Publication) -> None:
        """Draw the numbers of the item and of what goes out with it, in one command."""
        request = publication.request
        for item in request.items.values():
            if item.get("journal"):
                # Its rows come before those of what holds it, also when its writer has died.
                self.collaborators.journal.complete_own(item["_id"])
        count = 1
        if self.carries_members:
            count += len(members_to_publish(publication))
        if self.carries_associated:
            count += len(self._associated.to_publish(publication))
        # The packages around the item that are out follow it; one number too many does no harm.
        request.reserve(count + len(package_ids(publication.original)))

    def _publish_held(self, publication: Publication) -> None:
        """Publish members and associated items (lifecycle contract 5.1 step 9)."""
        if self.carries_members:
            publish_members(publication, self._nested)
        if self.carries_associated:
            self._associated.publish(publication)

    # The write.

    def _store(self, publication: Publication, row: Mapping[str, str] = NO_FIELDS) -> None:
        """Publish what the item holds, then the item: whoever gets it has had its parts.

        Args:
            row: fields that only the published row gets.
        """
        updates, original, request = publication.updates, publication.original, publication.request
        request.started.append(original["_id"])
        self._publish_held(publication)
        if self.collaborators.pictures:
            self.collaborators.pictures.stamp(updates, original)
        updates["_etag"] = new_etag()
        journal = self.collaborators.journal
        note = self._note(publication, row)
        journal.store(updates, original, note)
        if publication.is_requested:
            # Once for all; unsaved content must not outlive what has gone out.
            self.db[ARCHIVE_AUTOSAVE].delete_many({"_id": {"$in": request.started}})
        journal.add_publication(publication.item, note)
        self.on_stored(note)
        request.outgoing[original["_id"]] = Outgoing(publication.item, updates)

    def _note(self, publication: Publication, row: Mapping[str, str]) -> Document:
        """Return the note of what follows the item."""
        updates, original, request = publication.updates, publication.original, publication.request
        user_id = publication.caller.user_id
        note = self.collaborators.journal.publication(updates, request.number(), user_id)
        if row:
            note["row"] = dict(row)
        self.annotate(note, publication)
        item = publication.item
        writes = self._mark_media_item_as_used(publication, note["at"]) + published_references(item)
        if is_package(item) and "groups" in updates:
            writes += link_changes(item["_id"], original.get("groups"), updates["groups"])
        if writes:
            note.update(with_follow_ups(note, writes))
        only_shown = self.carries_associated and not self._associated.are_published
        if only_shown and item.get("associations"):
            note["marks"] = published_marks(item["associations"], request.related, updates)
        return note

    def _mark_media_item_as_used(self, publication: Publication, at: datetime) -> list[Document]:
        """Return the writes that count the associated media as used once more.

        Args:
            at: names this use, so that counting it again changes nothing.
        """
        return usage_changes(publication.updates, publication.original, at)

    # Shared stamps.

    def sign(self, publication: Publication) -> None:
        """Add the user's sign-off and count the words; withdrawals do neither."""
        user = publication.caller.user or {}
        publication.updates.setdefault(
            "sign_off",
            next_sign_off(
                publication.original.get("sign_off"),
                user.get("sign_off"),
                keep_all=self.collaborators.settings["FULL_SIGN_OFF"],
            ),
        )
        has_text = (
            publication.item.get("body_html") is not None or "body_html" in publication.updates
        )
        if publication.updates.get("word_count") is None and has_text:
            publication.updates["word_count"] = word_count(publication.item["body_html"] or "")

    def complete_schedule(self, publication: Publication) -> None:
        """Compute the UTC values of a schedule or embargo in the request."""
        complete_schedule(publication.updates, publication.original, publication.now)

    def _expiry(self, publication: Publication) -> Any:
        item = publication.item
        start = utc_of(item, "publish_schedule") or utc_of(item, "embargo") or publication.now
        return expiry_of_published(publication.place, start, self.collaborators.settings)

    def _tell(self, publication: Publication) -> None:
        """Tell clients that the item has been published, and who it is marked for."""
        item, notifier = publication.item, self.collaborators.notifier
        user_id = publication.caller.user_id
        notifier.push(
            "item:publish",
            audience=audience([item, publication.original]),
            item=str(item["_id"]),
            unique_name=item.get("unique_name"),
            desk=str(object_of(item, "task").get("desk") or ""),
            user=str(user_id or ""),
        )
        tell_update(notifier, [item], user_id)
        for script in publication.scripts:
            tell_update(notifier, [script], user_id)
        tell_marked(notifier, publication.updates, publication.original)
