"""What routing decided about each subscriber, recorded as it was decided.

One document of `routing_decisions` per published row, one per resend, and one per item that was
sent along with another one:
`{_id, item_id, item_version, operation, resend, resend_id, decided_at, whole, groups, rest,
refusals, refused}`.
Subscribers that share an outcome and a reason share a group:
`{outcome, reason, subscribers: [ids]}`.
`rest` is the outcome of all that existed and are in no group: with many subscribers those that
nothing speaks for are not listed one by one. Why their products refused it follows from `refusals`
and `refused` (see `refusals.py`).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any

from pymongo import ReplaceOne
from pymongo.database import Database

from apps.archive.packages import is_package
from apps.core.clock import Clock
from apps.core.ids import object_id
from apps.core.service import Document
from apps.publish.enqueue.enqueue_service import EnqueueService, Item, Routing
from apps.publish.enqueue.matching import Decision, Outcome, Subscriber
from apps.publish.enqueue.queue_writer import Served
from apps.store.collections import ROUTING_DECISIONS

OVERRULED = "target regions of a correction"


class Verdict(StrEnum):
    """What became of a subscriber, besides the outcomes of the rules (`matching.Outcome`)."""

    SENT = "sent"
    NO_FORMATTER = "no formatter"
    MEDIA_TYPE = "media type"
    NO_DESTINATION = "no destination"
    TARGETING = "targeting"
    NOT_SENT_BEFORE = "not sent before"
    IN_PACKAGE = "inside a package"
    NO_MEMBER = "no member received"


Line = tuple[str, str]
"""Outcome and reason."""


class DecisionLog:
    """Collects the decisions of one batch and stores them in one command.

    Args:
        db: the database.
        clock: source of time.
    """

    def __init__(self, db: Database[Document], clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._documents: list[Document] = []

    def add(
        self,
        row: Item,
        service: EnqueueService,
        routing: Routing,
        served: Sequence[Served],
        decision_id: Any,
        resend_id: str = "",
    ) -> None:
        """Note how a published row was routed.

        Args:
            row: the published row.
            served: what became of the recipients' destinations.
            decision_id: id of the record.
            resend_id: as the rows of the delivery queue have it; empty for the usual routing.
        """
        decisions = routing.decisions.get(row["_id"])
        groups: dict[Line, list[Any]] = defaultdict(list)
        for subscriber, line in _received(service, served, decisions or ()):
            groups[line].append(subscriber.id)
        rest, further = None, {}
        if not resend_id:
            receivers = {each.recipient.subscriber for each in served}
            unlisted = Verdict.NO_MEMBER if is_package(row) else Verdict.NOT_SENT_BEFORE
            for subscriber, line in _refused(routing, decisions, receivers, unlisted):
                groups[line].append(subscriber.id)
            rest = _rest(routing, decisions, unlisted)
            if rest == Outcome.NO_PRODUCT:
                further = _why(routing, row["_id"])
        self._documents.append(
            {
                "_id": decision_id,
                "item_id": row["item_id"],
                "item_version": row.get("_current_version"),
                "operation": row.get("operation"),
                "resend": bool(resend_id),
                "resend_id": object_id(resend_id) if resend_id else None,
                "decided_at": self._clock.precise(),
                "whole": routing.is_detailed,
                "rest": rest,
                "groups": [
                    {"outcome": outcome, "reason": reason, "subscribers": ids}
                    for (outcome, reason), ids in groups.items()
                ],
                **further,
            }
        )

    def save(self) -> None:
        """Store what was noted; one command for the whole batch."""
        if self._documents:
            writes = [ReplaceOne({"_id": d["_id"]}, d, upsert=True) for d in self._documents]
            self._db[ROUTING_DECISIONS].bulk_write(writes, ordered=False)
            self._documents.clear()


def _received(
    service: EnqueueService, served: Iterable[Served], decisions: Iterable[Decision]
) -> Iterator[tuple[Subscriber, Line]]:
    """Yield what became of those the item is meant for."""
    matched = {decision.subscriber: decision.reason for decision in decisions if decision.match}
    for each in served:
        subscriber = each.recipient.subscriber
        obstacles = (*each.skipped, *each.left_out)
        if each.drafts:
            reason = each.recipient.reason or matched.get(subscriber, service.without_match)
            yield subscriber, (Verdict.SENT, "; ".join((reason, *obstacles)))
        elif not each.takes_type:
            yield subscriber, (Verdict.MEDIA_TYPE, "wire gets text only")
        elif each.skipped:
            yield subscriber, (Verdict.NO_FORMATTER, "; ".join(obstacles))
        elif each.left_out:
            yield subscriber, (Verdict.IN_PACKAGE, "; ".join(obstacles))
        else:
            yield subscriber, (Verdict.NO_DESTINATION, "")


def _rest(routing: Routing, decisions: Iterable[Decision] | None, unlisted: Verdict) -> str | None:
    """Return what holds for all who are in no group; None where everybody is in one."""
    if routing.is_detailed:
        return None
    return str(Outcome.NO_PRODUCT if decisions is not None else unlisted)


def _why(routing: Routing, row_id: Any) -> Document:
    """Return what tells why products of those that are in no group refused an item."""
    refused = routing.refused.get(row_id) or {}
    further = [{"_id": key, "outcome": outcome.value} for key, outcome in refused.items()]
    return {"refusals": routing.rules.refusals.id, **({"refused": further} if further else {})}


def _refused(
    routing: Routing,
    decisions: Iterable[Decision] | None,
    receivers: set[Subscriber],
    unlisted: Verdict,
) -> Iterator[tuple[Subscriber, Line]]:
    """Yield why others do not get it; with many subscribers only those that are not the rest."""
    rules = routing.rules
    if not routing.is_detailed:
        inactive = (subscriber for subscriber in rules.inactive if subscriber not in receivers)
        yield from ((subscriber, (str(Outcome.INACTIVE), "")) for subscriber in inactive)
    if decisions is None:
        if not routing.is_detailed:
            return
        for subscriber in rules.everybody:
            if subscriber not in receivers:
                yield subscriber, (unlisted if subscriber.is_active else Outcome.INACTIVE, "")
        return
    for decision in decisions:
        subscriber = decision.subscriber
        if subscriber in receivers:
            continue
        if decision.match and unlisted is Verdict.NO_MEMBER:
            yield subscriber, (unlisted, "")
        elif decision.match:
            yield subscriber, (Verdict.TARGETING, OVERRULED)
        else:
            yield subscriber, (str(decision.outcomes[0]), "; ".join(decision.detail))
