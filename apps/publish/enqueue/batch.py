"""Published rows that are routed together: one snapshot of the rules, bulk writes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from bson import ObjectId
from pymongo.database import Database

from apps.archive.packages import is_package, member_ids
from apps.archive.visibility import audience
from apps.content_api.backlog import CopyBacklog
from apps.core.clock import Clock
from apps.core.documents import object_of, text_of
from apps.core.errors import WiredeskError
from apps.core.notifier import Notifier
from apps.core.registry import Registry
from apps.core.service import Document
from apps.core.vocabulary import Operation, QueueState
from apps.publish.enqueue.association_shares import associated_items, with_subscribers
from apps.publish.enqueue.decisions import DecisionLog
from apps.publish.enqueue.enqueue_service import EnqueueService, enqueue_services, entry_of
from apps.publish.enqueue.formatting import ItemFormats, format_settings
from apps.publish.enqueue.packages import own_package
from apps.publish.enqueue.queue_rows import OutgoingItem
from apps.publish.enqueue.queue_writer import ContentApiCopies, CopyOutcome, QueueWriter
from apps.publish.enqueue.references import AssociatedMedia, References, associations_of
from apps.publish.enqueue.rules import RoutingContext, Snapshots
from apps.publish.enqueue.subscribers import Recipient, ids_of
from apps.publish.queue.recipients import Ledger
from apps.store.collections import ARCHIVE, ARCHIVED, PUBLISHED
from apps.store.mongo import is_outage
from apps.store.sequences import Sequences
from formatters.base import Formatter

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RoutingTools:
    """The services and settings that routing works with.

    Attributes:
        formatters: output formats by name.
        snapshots: the rules.
        backlog: copies items into the content API; None where there is none.
        notifier: tells clients.
        settings: UNPUBLISH_TO_MATCHING_SUBSCRIBERS, PUBLISH_ASSOCIATIONS_RESEND,
            MAX_VALUE_OF_PUBLISH_SEQUENCE and those of the formats.
    """

    db: Database[Document]
    clock: Clock
    sequences: Sequences
    formatters: Registry[Formatter]
    snapshots: Snapshots
    backlog: CopyBacklog | None
    notifier: Notifier
    settings: Mapping[str, Any]


class Unroutable(Exception):
    """A published row that cannot be routed.

    Args:
        message: for `error_message`.
        may_pass: whether trying again may help.
    """

    def __init__(self, message: str, *, may_pass: bool) -> None:
        super().__init__(message)
        self.may_pass = may_pass


class RoutingBatch:
    """Routes published rows, then stores all that came of it.

    Args:
        tools: see `RoutingTools`.
        rows: the published rows; rules and earlier recipients are read for all of them at once.
    """

    def __init__(self, tools: RoutingTools, rows: Sequence[Document]) -> None:
        self._tools = tools
        when = tools.settings["PUBLISH_ASSOCIATIONS_RESEND"]
        self._media = AssociatedMedia.load(tools.db, rows, when)
        media = list(self._media.rows.values())
        backlog = tools.backlog
        rules, vocabularies = tools.snapshots.current()
        self._references = References(tools.db, vocabularies, lambda: rules)
        self._routing = RoutingContext(
            rules=rules,
            ledger=_ledger(tools.db, [*rows, *media]),
            now=tools.clock.now(),
            withdraw_to_matching=tools.settings["UNPUBLISH_TO_MATCHING_SUBSCRIBERS"],
            members=_stored_members(tools.db, _members_in(rows)),
            failed=_failed(tools.db, rows),
        )
        self._references.load([*rows, *media])
        self._format_settings = format_settings(tools.settings)
        self._queue = QueueWriter(tools.db, tools.clock, tools.sequences, tools.settings)
        self._decisions = DecisionLog(tools.db, tools.clock, rules.refusals.id, rules.inactive)
        self._missing_formats: list[tuple[Document, list[str]]] = []
        self._copies = (
            ContentApiCopies(backlog, rules.filters, self._routing.now)
            if backlog is not None
            else None
        )

    @property
    def count(self) -> int:
        """Number of queue rows of the batch; several parts of a format count once."""
        return self._queue.count

    def route(self, row: Document, service: EnqueueService, resend_id: Any = None) -> int:
        """Add a queue row for everybody that `service` says; return how many.

        Args:
            resend_id: the request that asks for it; None for the usual routing.

        Raises:
            Unroutable: nothing of the row has been added.
        """
        try:
            return self._route(row, service, resend_id)
        except WiredeskError as error:
            raise Unroutable(str(error), may_pass=False) from error
        except KeyError as error:
            text = f"400: Key is missing on article to be published: {error}"
            raise Unroutable(text, may_pass=False) from error
        except Exception as error:
            if is_outage(error):
                raise
            # One item must not stop the others; it is tried again, then ends in `error`.
            log.exception("item.not_routed", item=row["item_id"])
            raise Unroutable(f"500: Failed to publish the item: {error}", may_pass=True) from error

    def _route(self, row: Document, service: EnqueueService, resend_id: Any) -> int:
        recipients = self._share(row, service, service.recipients(row, self._routing))
        media_sent = list(self._media_for(row, recipients))
        sent = self._send(row, service, recipients, str(resend_id or ""), resend_id or row["_id"])
        along = str(resend_id or f"{row['item_id']}:{row.get('_current_version')}")
        for media, media_service, holders in media_sent:
            self._send(media, media_service, holders, along, f"{along}:{media['item_id']}")
        return sent

    def _media_for(
        self, row: Document, recipients: Iterable[Recipient]
    ) -> Iterator[tuple[Document, EnqueueService, list[Recipient]]]:
        """Yield what an item takes along, for those of its recipients that it is for anyway."""
        along = list(self._media.of(row))
        if not along:
            return
        ids, reason = ids_of(recipients), f"sent along with {row['item_id']}"
        for media in along:
            service = enqueue_services.get(media.get("operation") or "")
            try:
                found = service.recipients(media, self._routing) if service else []
            except (WiredeskError, KeyError) as error:
                # It was refused on its own, too. The story that holds it goes out without it.
                log.warning("association.not_sent", item=media["item_id"], error=str(error))
                continue
            finally:
                self._routing.decisions.pop(media["_id"], None)
            meant = [r._replace(reason=reason) for r in found if r.subscriber.id in ids]
            if service and meant:
                yield media, service, self._share(media, service, meant)

    def _send(
        self,
        row: Document,
        service: EnqueueService,
        recipients: Sequence[Recipient],
        resend_id: str,
        decision_id: Any,
    ) -> int:
        """Add the queue rows of `recipients`; return how many."""
        routing = self._routing
        item = OutgoingItem(row, service.publishing_action, resend_id)
        whole, own = self._formats_of(row), self._own_formats(row, recipients)
        formats = [own.get(r.subscriber.id, whole) if own else whole for r in recipients]
        served = self._queue.add(item, recipients, formats)
        if missing := sorted({name for each in served for name in each.missing_formats}):
            self._missing_formats.append((row, missing))
        if self._copies is not None:
            self._copies.add(item, recipients, whole)
        for recipient in recipients:
            routing.ledger.add(row["item_id"], recipient.subscriber.id, entry_of(recipient, row))
        decisions = routing.decisions.get(row["_id"])
        reasons = decisions.reasons if decisions else {}
        meant = {
            each.subscriber_id: each.outcome(reasons.get(each.subscriber_id, service.without_match))
            for each in served
        }
        self._decisions.add(row, decisions, meant, decision_id, resend_id)
        return sum(len(each.drafts) for each in served)

    def _own_formats(
        self, row: Document, recipients: Iterable[Recipient]
    ) -> dict[ObjectId, ItemFormats]:
        """Return the formats of the recipients of a package, of which each gets its own copy."""
        if not is_package(row):
            return {}
        copies: dict[Any, ItemFormats] = {}
        own: dict[ObjectId, ItemFormats] = {}
        for recipient in recipients:
            copy = own_package(row, recipient.members or ())
            if copy["_id"] not in copies:
                copies[copy["_id"]] = self._formats_of(copy)
            own[recipient.subscriber.id] = copies[copy["_id"]]
        return own

    def _formats_of(self, row: Document) -> ItemFormats:
        tools = self._tools
        return ItemFormats(
            row, self._references, tools.formatters, self._format_settings, tools.clock.precise()
        )

    def _share(
        self, row: Document, service: EnqueueService, recipients: list[Recipient]
    ) -> list[Recipient]:
        """Write on the row's associations who may see them; return the recipients with theirs."""
        if not any(associations_of(row)):
            return recipients
        shares = service.shares(row, recipients, self._routing)
        row["associations"] = with_subscribers(row, shares)
        seen = associated_items(row, shares)
        return [r._replace(associated=seen.get(r.subscriber.id, ())) for r in recipients]

    def add_failed(self, row: Document) -> None:
        """Keep that `row` ends in `error`, for the later versions of its item in the batch."""
        self._routing.failed.setdefault(row["item_id"], []).append(row)

    def store(self) -> None:
        """Store recipients, decisions, payloads and rows, in the order that loses nobody."""
        # Who may get a row is on record before the row is there: a kill must find everybody, even
        # if this run dies here and the rules have changed when the next one goes on.
        self._routing.ledger.save(self._tools.clock.precise())
        self._decisions.save()
        # Before the rows, which say whether the copy is there.
        copies = self._copies.store() if self._copies is not None else CopyOutcome()
        self._queue.store(copies)

    def announce(self) -> None:
        """Wake the lanes of the rows, which are stored by now, and tell of missing formats."""
        self._queue.announce()
        for row, formats in self._missing_formats:
            self._tools.notifier.push(
                "item:publish:wrong:format",
                audience=audience([row]),
                item=row["item_id"],
                unique_name=row.get("unique_name"),
                desk=str(object_of(row, "task").get("desk") or ""),
                user=str(row.get("version_creator") or ""),
                formats=formats,
            )


def _members_in(rows: Iterable[Document]) -> set[str]:
    """Return the ids of the direct members of all packages among `rows`."""
    packages = (row for row in rows if is_package(row))
    return {member for package in packages for member in member_ids(package.get("groups"))}


def _stored_members(db: Database[Document], ids: Iterable[str]) -> dict[str, Document]:
    """Return the members that exist by id, with what filters read; one command, seldom two."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    found = {item["_id"]: item for item in db[ARCHIVE].find({"_id": {"$in": wanted}})}
    missing = [id_ for id_ in wanted if id_ not in found]
    if missing:
        rows = db[ARCHIVED].find({"item_id": {"$in": missing}}).sort("_current_version", 1)
        found.update({row["item_id"]: row for row in rows})
    return found


def _failed(db: Database[Document], rows: Sequence[Document]) -> dict[str, list[Document]]:
    """Return what failed before of the items that `rows` follow; one command, or none."""
    followed = _followed(rows)
    failed: dict[str, list[Document]] = {}
    if followed:
        query = {"item_id": {"$in": sorted(followed)}, "queue_state": QueueState.ERROR}
        for row in db[PUBLISHED].find(query).sort("publish_sequence_no", 1):
            failed.setdefault(row["item_id"], []).append(row)
    return failed


def _ledger(db: Database[Document], rows: Sequence[Document]) -> Ledger:
    ledger = Ledger(db)
    earlier = _followed(rows) | _members_in(rows)
    ledger.load({row["item_id"] for row in rows} | earlier, look_back=earlier)
    return ledger


def _followed(rows: Sequence[Document]) -> set[str]:
    """Return the ids of the items that `rows` are later versions or updates of."""
    followed = {row["item_id"] for row in rows if row.get("operation") != Operation.PUBLISH}
    return followed | {id_ for row in rows if (id_ := text_of(row, "rewrite_of"))}
