"""Rules of `publishing_records` (cms contract 3.3, 4.1)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument
from pymongo.database import Database

from apps.archive.visibility import HiddenItems, check_may_read_ids
from apps.core import json
from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import PlainError, SchemaIssues
from apps.core.notifier import Audience, Notifier
from apps.core.service import Document, new_etag
from apps.publisher.accounts import AccountService, found_by_id, missing_value
from apps.publisher.events import tell_record
from apps.publisher.identity import SEEN, is_elsewhere, is_of_record, seen_again, seen_at
from apps.publisher.integrations.platforms import Platforms
from apps.publisher.records.content import Contents
from apps.publisher.records.waiting import WaitingRecords
from apps.publisher.records.wishes import (
    NOT_FAILED,
    REQUESTS,
    Piece,
    Wish,
    Wishes,
    is_live,
    is_waiting,
    new_record,
)
from apps.publisher.schema import (
    HISTORY,
    IN_DOUBT,
    METADATA_BYTES,
    Outcome,
    RecordStatus,
    WishAction,
    ref_of,
)
from apps.publisher.sites.service import is_web_address
from apps.publisher.targets import Targets
from apps.store.collections import PUBLISHED, PUBLISHER_INTEGRATIONS
from transmitters.cms.base import (
    ErrorClass,
    Platform,
    PlatformError,
    PostIdentity,
    RemotePost,
    RemoteState,
    RetractMode,
)

INTERNAL = (SEEN, REQUESTS)
"""Fields of records that clients never see."""

READ_ONLY = "field is read-only"
EXISTS = "A publishing record for this content and destination exists"
STILL_LIVE = "Record is still live at the destination"
IN_WORK = "The record is being written. Try again."
NOT_FOUND_THERE = "not found at the destination"
NO_INTEGRATION = (
    "The integration of the record is gone: its site cannot be asked. Look at the site itself"
)
TEST_IT = "Test the integration, then try again"
FORGETTABLE = (RemoteState.ABSENT, RemoteState.TRASHED, RemoteState.DELETED)


class RecordsService(AccountService):
    """What is to be shown, and what is shown, of a piece of content at an integration.

    Args:
        wishes: writes what is wanted.
        contents: looks up items.
        targets: finds the integrations that a request means.
        platforms: opens sites.
        notifier: tells clients.
    """

    resource = "publishing_records"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        wishes: Wishes,
        contents: Contents,
        targets: Targets,
        platforms: Platforms,
        notifier: Notifier,
    ) -> None:
        super().__init__(db, clock)
        self._wishes = wishes
        self._contents = contents
        self._targets = targets
        self._platforms = platforms
        self._notifier = notifier
        self._hidden = HiddenItems(db)
        self._waiting = WaitingRecords(db)

    # Read.

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        """Say why records wait that were not tried yet."""
        self._waiting.explain(documents)

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        """Leave out other accounts, and items on stages that are hidden from the caller."""
        query = super().list_filter(lookup, caller)
        return self._hidden.without_unreadable(query, "content", caller)

    def on_found(self, document: Document, caller: Caller) -> None:
        super().on_found(document, caller)
        check_may_read_ids(self.db, [document.get("content")], caller)

    def audience(self, document: Document, original: Document | None = None) -> Audience:
        return [[{"account": (original or document)["account"]}]]

    # Create.

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        """Complete a new record: one that waits for a wish, or one of a post that is there.

        Raises:
            SchemaIssues: something is wrong with it.
            PlainError: 409, there is a record already; or the site cannot be asked.
        """
        for document in documents:
            check_metadata(document)
            content, integration = self._named(document, caller)
            options = self._platforms.options_of(integration)
            key = self._contents.key_of(content, options)
            self._check_new({"integration": integration["_id"], "content_key": key})
            piece = Piece(integration, content.id, key)
            # Both names of the time that it is made at show the same one.
            now = document.get("_created") or self.clock.now()
            fields = new_record(piece, now, document.get("metadata") or {})
            if document.get("external_id"):
                fields |= self._adopted(document, integration)
            elif document.get("external_url"):
                raise SchemaIssues({"external_id": {"required": 1}})
            for name in ("_created", "_updated", "_etag"):
                fields.pop(name)
            document.update(fields)

    def _named(self, document: Document, caller: Caller) -> Any:
        """Return the item and the integration that a new record names."""
        id_ = document["content"]
        found = self._contents.find([id_], caller).get(id_)
        if found is None or found[0].is_expired:
            raise SchemaIssues({"content": missing_value(id_, PUBLISHED, "item_id")})
        integration = self._targets.the_one(
            caller,
            integration=document.get("integration"),
            site=document.get("site"),
            destination=document.get("destination"),
        )
        return found[0], integration

    def _check_new(self, same: Document) -> None:
        if there := self.collection.find_one(same, {"_id": 1}):
            raise PlainError(409, EXISTS, location=(self.resource, str(there["_id"])))

    def _adopted(self, document: Mapping[str, Any], integration: Document) -> Document:
        """Return the fields of a record of a post that is at its site already."""
        external_id = document["external_id"]
        self._check_new({"integration": integration["_id"], "external_id": external_id})
        try:
            post = self._platforms.ask(integration, lambda site: site.read(external_id))
        except PlatformError as error:
            raise SchemaIssues({"external_id": told(error)}) from error
        if post is None:
            raise SchemaIssues({"external_id": NOT_FOUND_THERE})
        now = self.clock.now()
        fields = {**self._facts(post), "slug": post.slug or None}
        fields["external_url"] = fields["external_url"] or document.get("external_url")
        entry = {"at": now, "action": "adopt", "outcome": Outcome.ADOPTED}
        fields |= {"payload_hash": "", "history": [entry]}
        fields[SEEN] = seen_at(integration, now, adopted=post.refs)
        if post.state == RemoteState.LIVE:
            shown = {"published_at": post.published_at or now, "status": RecordStatus.PUBLISHED}
            fields |= {**shown, "first_published_at": shown["published_at"]}
            if not is_live(fields):
                raise SchemaIssues({"external_url": {"required": 1}})
        elif post.state == RemoteState.TRASHED:
            fields |= {"status": RecordStatus.RETRACTED, "retracted_at": now}
        return fields

    def _facts(self, post: RemotePost) -> Document:
        """Return what is known of a post."""
        return {
            "external_id": post.id,
            "external_url": post.url if is_web_address(post.url) else None,
            "remote_state": post.state,
            "remote_modified": post.modified,
        }

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        """Store new records; of two at once for a piece one is refused as a later one is."""
        for document in documents:
            same = {"integration": document["integration"], "content_key": document["content_key"]}
            result = self.collection.update_one(
                same,
                {"$setOnInsert": {k: v for k, v in document.items() if k not in same}},
                upsert=True,
            )
            if result.upserted_id is None:
                self._check_new(same)
        return [document["_id"] for document in documents]

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            tell_record(self._notifier, self.collection.database, document)
            # It is stored already; clients are not told.
            for name in INTERNAL:
                document.pop(name, None)

    # Change.

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        """Let clients change `metadata`, and nothing else."""
        issues = {
            field: READ_ONLY
            for field, value in updates.items()
            if field != "metadata" and not field.startswith("_") and value != original.get(field)
        }
        if issues:
            raise SchemaIssues(issues)
        check_metadata(updates)

    # Delete.

    def delete(self, document: Document, caller: Caller) -> None:
        """Forget a record of which nothing is left at its site.

        Raises:
            PlainError: 409, something is, or may be.
        """
        forgettable = {
            "_id": document["_id"],
            "remote_state": {"$in": [state.value for state in FORGETTABLE]},
            "phase": {"$nin": [phase.value for phase in IN_DOUBT]},
        }
        if not self.collection.delete_one(forgettable).deleted_count:
            raise PlainError(409, STILL_LIVE)

    # Actions.

    def retry(self, id: Any, caller: Caller) -> Document:
        """Let a record that has failed be tried again, and return it.

        Raises:
            PlainError: 404; 409, it has not failed.
        """
        record = self.one(id, caller)
        if record["status"] != RecordStatus.FAILED:
            raise PlainError(409, NOT_FAILED.format(record["status"]))
        return self._wishes.retry(record, caller.user_id)

    def retract(self, id: Any, mode: str | None, caller: Caller) -> Document:
        """Let a post be taken off its site, and return the record.

        Raises:
            PlainError: 404.
            SchemaIssues: the platform does not have the mode.
        """
        record = self.one(id, caller)
        platform = self._platforms.registry.find(record["destination"])
        modes = platform.retract_modes if platform is not None else ()
        if mode is not None and mode not in [known.value for known in modes]:
            raise SchemaIssues({"mode": f"unallowed value {mode}"})
        wish = Wish(
            action=WishAction.RETRACT,
            by=caller.user_id,
            mode=RetractMode(mode) if mode is not None else None,
        )
        return self._wishes.make_for(record, wish).record or record

    def reconcile(self, id: Any, caller: Caller) -> Document:
        """Look at the site what has become of a post, and return the record; writes nothing there.

        Raises:
            PlainError: 404; 409, the site cannot be read, or a worker is writing the record.
        """
        record = self.one(id, caller)
        integration = found_by_id(self.db[PUBLISHER_INTEGRATIONS], record["integration"])
        if integration is None:
            raise PlainError(409, NO_INTEGRATION)
        try:
            post = self._post_of(record, integration)
        except PlatformError as error:
            raise PlainError(
                409, f"The site could not be read: {told(error)}. {TEST_IT}"
            ) from error
        now = self.clock.now()
        changes = reconciled(record, post, now)
        if post is not None:
            changes |= {k: v for k, v in self._facts(post).items() if v is not None}
            changes[SEEN] = seen_again(record, integration, post, now)
        entry = {"at": now, "action": "reconcile", "outcome": changes["remote_state"]}
        as_read = {
            name: record.get(name) for name in ("_id", "phase", "claim_token", "remote_state")
        }
        as_read["desired.seq"] = (record.get("desired") or {}).get("seq")
        changed = self.collection.find_one_and_update(
            as_read,
            {
                "$set": {**changes, "_updated": now, "_etag": new_etag()},
                "$push": {"history": {"$each": [entry], "$slice": -HISTORY}},
            },
            return_document=ReturnDocument.AFTER,
        )
        if changed is None:
            raise PlainError(409, IN_WORK)
        tell_record(self._notifier, self.collection.database, changed)
        return changed

    def _post_of(self, record: Mapping[str, Any], integration: Document) -> RemotePost | None:
        return self._platforms.ask(integration, lambda site: _post_at(site, record, integration))


def _post_at(
    site: Platform, record: Mapping[str, Any], integration: Mapping[str, Any]
) -> RemotePost | None:
    """Return the post of a record as a site has it."""
    slug, external_id = record.get("slug"), record.get("external_id")
    ref = ref_of(record["integration"], record["content_key"])
    identity = PostIdentity(ref=ref, slug=slug or "", since=record.get("created_at"))
    if external_id:
        post = site.read(external_id)
        if post is not None and is_of_record(site, record, integration, post, identity):
            return post
        if post is None and not is_elsewhere(record, integration):
            return None
    if not slug:
        return None
    found = site.look_up(identity)
    return next((post for post in found if post.is_ours), None)


def told(error: PlatformError) -> str:
    """Return a failure of a site in one line."""
    return f"{error.error_class}/{error.code}: {error.message}"


def check_metadata(document: Mapping[str, Any]) -> None:
    """Check the size of `metadata`.

    Raises:
        SchemaIssues: it is too large.
    """
    if len(json.dumps(document.get("metadata") or {})) > METADATA_BYTES:
        raise SchemaIssues({"metadata": f"must not be larger than {METADATA_BYTES} bytes"})


def reconciled(record: Mapping[str, Any], post: RemotePost | None, now: datetime) -> Document:
    """Return the changes of a record after a look at its post.

    What contradicts the status makes the record `failed`, so that somebody decides; unless a wish
    waits, which settles it anyway.

    Args:
        post: as it is; None when it is gone.
    """
    was_there = bool(record.get("external_id"))
    gone = RemoteState.DELETED if was_there else RemoteState.ABSENT
    state = post.state if post is not None else gone
    changes: Document = {"remote_state": state}
    if post is not None and record.get("remote_modified") not in (None, "", post.modified):
        drift = {"seen_at": now, "remote_modified": post.modified, "by": None}
        changes["drift"] = drift
    status, is_shown = record["status"], state == RemoteState.LIVE
    waits = is_waiting(record)
    if waits and not (status == RecordStatus.PUBLISHED and not is_shown):
        return changes
    if status == RecordStatus.PUBLISHED and not is_shown:
        changes["status"] = RecordStatus.PENDING if waits else RecordStatus.FAILED
        changes["error"] = _surprise("remote_gone", f"The post is {state} at the site", now)
    elif status == RecordStatus.RETRACTED and is_shown:
        changes["status"] = RecordStatus.FAILED
        changes["error"] = _surprise("remote_live", "The post is live again at the site", now)
    elif status == RecordStatus.PENDING and is_shown and post is not None and post.url:
        published_at = post.published_at or now
        changes |= {"status": RecordStatus.PUBLISHED, "published_at": published_at}
    return changes


def _surprise(code: str, message: str, now: datetime) -> Document:
    return {
        "class": ErrorClass.CONFLICT,
        "code": code,
        "message": message,
        "status": None,
        "retryable": True,
        "at": now,
        "retry_at": None,
        "field": None,
        "help": "Publish or retract the record again",
    }
