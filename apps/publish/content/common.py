"""What all publish actions share: the order of the steps."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from apps.archive.authorship import next_sign_off
from apps.archive.events import tell_marked, tell_update
from apps.archive.journal.follow_ups import with_follow_ups
from apps.archive.packages import is_package
from apps.archive.places import check_may_read
from apps.archive.schema import UNLOCKED
from apps.archive.service import source_of, with_ids
from apps.archive.times import complete_schedule, expiry_of_published, parse_extra_dates, utc_of
from apps.core import hooks
from apps.core.caller import SYSTEM, Caller
from apps.core.ids import object_id
from apps.core.service import Document, ResourceService, new_etag
from apps.core.text import word_count
from apps.core.vocabulary import Operation, PubStatus, State
from apps.core.workflow import Action
from apps.newsroom.activity.activities import activities_in, tell_activities
from apps.publish.content.associated_items import refresh_associations
from apps.publish.content.checks import Check
from apps.publish.content.correction import end_of_correction
from apps.publish.content.holdings import Holdings
from apps.publish.content.parent_packages import Holders
from apps.publish.content.publication import Attempt, Tools
from apps.publish.content.request import Batch, Outgoing
from apps.store.collections import ARCHIVE_AUTOSAVE

MEMO = "publication"
"""Under this name the check hands on to the write what it has read."""


class BasePublishService(ResourceService):
    """Move one stored item to a published state.

    Subclasses declare what differs; this class owns the order of the steps: check, stamp, store
    the item with its version, history and published row, wake the enqueue task, tell the clients.
    Formatting and delivery happen elsewhere, after the request has been answered.

    Attributes:
        endpoint: name of the REST resource.
        operation: written to the item; picks the enqueue service.
        action: workflow action that the item's state must allow.
        act: `act` of the validators; takedown and unpublish use those of kill.
        result_state: state the item gets.
        pubstatus: publication status the item gets.
        checks: run in this order; the first refusal answers.
        carries_members: members of a package go out with it.
        carries_associated: associated items share the action, or show it.
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

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools.db, tools.clock)
        self.tools = tools
        self._holders = Holders(tools)
        self.holdings = Holdings(
            tools,
            self.operation,
            carries_members=self.carries_members,
            carries_associated=self.carries_associated,
        )

    def on_found(self, document: Document, caller: Caller) -> None:
        check_may_read(document, caller)

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        """Check the action and stamp the item; nothing is stored.

        Raises:
            ServiceError: a rule refuses the action.
            ValidationFailed: the item breaks its content profile or the validators.
        """
        updates.pop("force_unlock", None)
        batch = self.tools.batch(caller)
        caller.memo[MEMO] = batch
        batch.sent = dict(updates.get("associations") or {})
        attempt = self.prepare(updates, original, batch)
        self.holdings.read(attempt)
        for check in self.checks:
            check(attempt, self.tools)
        self.tools.crop_files.make(updates, original)
        self.stamp(attempt)
        self.ask_receivers(attempt)

    def update(self, id: Any, updates: Document, original: Document, caller: Caller) -> None:
        """Store the item and the rows of the action; safe against a crash at any point.

        Raises:
            PreconditionFailed: the item was written since `original` was read.
        """
        batch = caller.memo.get(MEMO) or self.tools.batch(caller)
        self.holdings.reserve(updates, original, batch)
        self.store(updates, original, batch, {})

    def act_within(
        self, updates: Document, original: Document, batch: Batch, row: Mapping[str, Any]
    ) -> Document:
        """Do this with an item that goes with another one, which has been checked.

        Args:
            row: fields that only the published row gets.

        Returns:
            The item as stored.

        Raises:
            PreconditionFailed: the item was written since `original` was read.
        """
        attempt = self.prepare(updates, original, batch)
        refresh_associations(attempt, self.tools)
        self.stamp(attempt)
        self.ask_receivers(attempt)
        updates["_etag"] = new_etag()
        self.store(updates, original, batch, row)
        item = {**original, **updates}
        self._tell(item, batch.caller)
        tell_marked(self.tools.notifier, updates, original)
        self.tell_receivers(item)
        batch.outgoing[item["_id"]] = Outgoing(item, updates)
        return item

    def store(
        self, updates: Document, original: Document, batch: Batch, row: Mapping[str, Any]
    ) -> None:
        """Publish what the item holds, then the item: whoever gets it has had its parts."""
        batch.started.append(original["_id"])
        self.holdings.publish(updates, original, batch)
        self.tools.pictures.stamp(updates, original)
        journal, number = self.tools.journal, batch.number()
        note = journal.publication(updates, number, batch.caller.user_id)
        if row:
            note["row"] = dict(row)
        self.annotate(note, updates, original)
        self.holdings.annotate(note, updates, original, batch)
        journal.store(updates, original, note)
        if batch.started[0] == original["_id"]:
            # Once for all; unsaved content must not outlive what has gone out.
            self.db[ARCHIVE_AUTOSAVE].delete_many({"_id": {"$in": batch.started}})
        journal.add_publication({**original, **updates}, note)
        tell_activities(self.tools.notifier, activities_in(note))

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        """Wake the enqueue task and tell the clients."""
        updates["_latest_version"] = updates["_current_version"]
        batch = caller.memo.pop(MEMO, None) or self.tools.batch(caller)
        self.tell_receivers({**original, **updates})
        batch.outgoing[original["_id"]] = Outgoing({**original, **updates}, updates)
        self._holders.follow(batch)
        self.tools.wake_up()
        self.tools.wake_legal()
        self._tell({**original, **updates}, caller)
        tell_marked(self.tools.notifier, updates, original)

    def patch(self, id: Any, updates: Document, caller: Caller = SYSTEM) -> Document:
        """Publish from inside: the same steps without a request."""
        return super().patch(id, updates, replace(caller, memo={}))

    # Steps that actions refine.

    def prepare(self, updates: Document, original: Mapping[str, Any], batch: Batch) -> Attempt:
        """Return the attempt: request and item put together."""
        caller = batch.caller
        task = with_ids(updates.get("task") or original.get("task"))
        desk_id = caller.arguments.get("desk_id")
        if desk_id and not task.get("desk"):
            task["desk"] = object_id(desk_id)
        if task:
            updates["task"] = task
        return Attempt(
            original=original,
            updates=updates,
            caller=caller,
            now=self.clock.now(),
            action=self.action,
            act=self.act,
            place=batch.place(task),
            batch=batch,
        )

    def stamp(self, attempt: Attempt) -> None:
        """Set what the action changes on the item (lifecycle contract 5.1 steps 3 to 8)."""
        updates, original, now = attempt.updates, attempt.original, attempt.now
        updates["operation"] = self.operation
        self.set_state(attempt)
        updates["pubstatus"] = self.pubstatus
        updates["_current_version"] = self._next_version(original)
        updates["version_creator"] = str(attempt.caller.user_id or "")
        parse_extra_dates(self.db, updates, original)
        updates["source"] = source_of(attempt.item, attempt.place, self.tools.settings)
        updates["expiry"] = self._expiry(attempt)
        updates["_updated"] = now
        updates.update(UNLOCKED)

    def ask_receivers(self, attempt: Attempt) -> None:
        """Let hooks change or refuse what will be stored.

        They are asked before anything is, also before what the item holds goes out.

        Raises:
            WiredeskError: a receiver refuses it.
        """
        if not is_package(attempt.item):
            item = hooks.without_notes(attempt.item)
            hooks.ask(hooks.item_publish, self.endpoint, item=item, updates=attempt.updates)

    def tell_receivers(self, item: Mapping[str, Any]) -> None:
        """Let hooks know that the item is stored."""
        shown = hooks.without_notes(item)
        hooks.tell(hooks.item_published, self.endpoint, item=shown, after_scheduled=False)

    def set_state(self, attempt: Attempt) -> None:
        """Set the state; a schedule that has had its time goes (lifecycle contract 5.1 step 3)."""
        attempt.updates["state"] = self.result_state
        if not self.keeps_embargo(attempt):
            attempt.updates.update({"publish_schedule": None, "schedule_settings": {}})

    def keeps_embargo(self, attempt: Attempt) -> bool:
        """Whether the item stays under an embargo."""
        embargo = utc_of(attempt.item, "embargo")
        return embargo is not None and embargo > attempt.now

    def annotate(
        self, note: Document, updates: Mapping[str, Any], original: Mapping[str, Any]
    ) -> None:
        """Add to the note what follows the item besides its version, history and published row."""
        if original.get("state") == State.CORRECTION:
            note.update(with_follow_ups(note, end_of_correction(original)))

    # Shared stamps.

    def sign(self, attempt: Attempt) -> None:
        """Add the user's sign-off and count the words; withdrawals do neither."""
        user = attempt.caller.user or {}
        attempt.updates.setdefault(
            "sign_off",
            next_sign_off(
                attempt.original.get("sign_off"),
                user.get("sign_off"),
                keep_all=self.tools.settings["FULL_SIGN_OFF"],
            ),
        )
        has_text = attempt.item.get("body_html") is not None or "body_html" in attempt.updates
        if attempt.updates.get("word_count") is None and has_text:
            attempt.updates["word_count"] = word_count(attempt.item["body_html"] or "")

    def complete_schedule(self, attempt: Attempt) -> None:
        """Compute the UTC values of a schedule or embargo in the request."""
        complete_schedule(attempt.updates, attempt.original, attempt.now)

    def _next_version(self, original: Mapping[str, Any]) -> int:
        stored = original.get("_current_version")
        if stored is None:
            # Written by others without a version: what is there becomes version 1.
            self.tools.journal.add_version({**original, "_current_version": 1})
            return 2
        return int(stored) + 1

    def _expiry(self, attempt: Attempt) -> Any:
        item = attempt.item
        start = utc_of(item, "publish_schedule") or utc_of(item, "embargo") or attempt.now
        return expiry_of_published(attempt.place, start, self.tools.settings)

    def _tell(self, item: Mapping[str, Any], caller: Caller) -> None:
        task = item.get("task") or {}
        self.tools.notifier.push(
            "item:publish",
            item=str(item["_id"]),
            unique_name=item.get("unique_name"),
            desk=str(task.get("desk") or ""),
            user=str(caller.user_id or ""),
        )
        tell_update(self.tools.notifier, [item], caller.user_id)
