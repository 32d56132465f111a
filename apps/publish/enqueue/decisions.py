"""What routing decided about each subscriber, recorded as it was decided.

One document of `routing_decisions` per published row, one per resend, and one per item that was
sent along with another one:
`{_id, item_id, item_version, operation, resend, resend_id, decided_at, whole, groups, rest}`.
Subscribers that share an outcome and a reason share a group:
`{outcome, reason, subscribers: [ids]}`.
`rest` is the outcome of all that existed and are in no group: with many subscribers those that
nothing speaks for are not listed one by one.
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
from apps.publish.enqueue.deliveries import Added
from apps.publish.enqueue.enqueue_service import EnqueueService, Item, Recipient, Routing
from apps.publish.enqueue.matching import Decision, Outcome

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
        recipients: Sequence[Recipient],
        added: Added,
        decision_id: Any,
        resend_id: str = "",
    ) -> None:
        """Note how a published row was routed.

        Args:
            row: the published row.
            added: what became of the recipients' destinations.
            decision_id: id of the record.
            resend_id: as the rows of the delivery queue have it; empty for the usual routing.
        """
        decisions = routing.decisions.get(row["_id"])
        groups: dict[Line, list[Any]] = defaultdict(list)
        for subscriber_id, line in _received(service, recipients, decisions or (), added):
            groups[line].append(subscriber_id)
        rest = None
        if not resend_id:
            receivers = {recipient.subscriber.id for recipient in recipients}
            unlisted = Verdict.NO_MEMBER if is_package(row) else Verdict.NOT_SENT_BEFORE
            for subscriber_id, line in _refused(routing, decisions, receivers, unlisted):
                groups[line].append(subscriber_id)
            rest = _rest(routing, decisions, unlisted)
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
            }
        )

    def save(self) -> None:
        """Store what was noted; one command for the whole batch."""
        if self._documents:
            writes = [ReplaceOne({"_id": d["_id"]}, d, upsert=True) for d in self._documents]
            self._db["routing_decisions"].bulk_write(writes, ordered=False)
            self._documents.clear()


def _received(
    service: EnqueueService,
    recipients: Iterable[Recipient],
    decisions: Iterable[Decision],
    added: Added,
) -> Iterator[tuple[Any, Line]]:
    """Yield what became of those the item is meant for."""
    matched = {d.subscriber.id: d.reason for d in decisions if d.match}
    for recipient in recipients:
        id_ = recipient.subscriber.id
        skipped, left_out = added.skipped.get(id_), added.left_out.get(id_)
        if id_ in added.sent:
            reason = recipient.reason or matched.get(id_, service.without_match)
            others = (*(skipped or ()), *(left_out or ()))
            yield id_, (Verdict.SENT, "; ".join((reason, *others)))
        elif id_ in added.wrong_media:
            yield id_, (Verdict.MEDIA_TYPE, "wire gets text only")
        elif skipped:
            yield id_, (Verdict.NO_FORMATTER, "; ".join((*skipped, *(left_out or ()))))
        elif left_out:
            yield id_, (Verdict.IN_PACKAGE, "; ".join(left_out))
        else:
            yield id_, (Verdict.NO_DESTINATION, "")


def _rest(routing: Routing, decisions: Iterable[Decision] | None, unlisted: Verdict) -> str | None:
    """Return what holds for all who are in no group; None where everybody is in one."""
    if routing.is_detailed:
        return None
    return str(Outcome.NO_PRODUCT if decisions is not None else unlisted)


def _refused(
    routing: Routing,
    decisions: Iterable[Decision] | None,
    receivers: set[Any],
    unlisted: Verdict,
) -> Iterator[tuple[Any, Line]]:
    """Yield why others do not get it; with many subscribers only those that are not the rest."""
    if not routing.is_detailed:
        inactive = (id_ for id_ in routing.rules.inactive if id_ not in receivers)
        yield from ((id_, (str(Outcome.INACTIVE), "")) for id_ in inactive)
    if decisions is None:
        if not routing.is_detailed:
            return
        for id_, subscriber in routing.rules.everybody():
            if id_ not in receivers:
                outcome = unlisted if subscriber.is_active else "inactive"
                yield id_, (outcome, "")
        return
    for decision in decisions:
        if decision.subscriber.id in receivers:
            continue
        if decision.match and unlisted is Verdict.NO_MEMBER:
            yield decision.subscriber.id, (unlisted, "")
        elif decision.match:
            yield decision.subscriber.id, (Verdict.TARGETING, OVERRULED)
        else:
            yield decision.subscriber.id, (str(decision.outcomes[0]), "; ".join(decision.detail))
