"""Puts recorded decisions and the states of deliveries together."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from apps.archive.visibility import check_found, check_may_read
from apps.core.caller import Caller
from apps.core.errors import BadRequest, NotFound
from apps.core.ids import ById, id_key
from apps.core.service import Document, ResourceService
from apps.core.vocabulary import WAITING_ROW_STATES
from apps.publish.enqueue.decisions import Outcome
from apps.publish.enqueue.refusals import reasons_of
from apps.publish.queue.recipients import delivered_versions
from apps.publish.queue.sending import rows_being_sent, show_sending
from apps.store.by_id import find_all_by_id
from apps.store.collections import (
    ARCHIVED,
    PUBLISH_QUEUE,
    PUBLISHED,
    ROUTING_DECISIONS,
    SUBSCRIBERS,
)

UNRECORDED = "not recorded"
"""Outcome of a delivery that routing did not make, such as a copy that a client posted."""


class ExplainService(ResourceService):
    """Answers from what routing recorded; nothing is decided anew."""

    resource = "explain"

    def on_found(self, document: Document, caller: Caller) -> None:
        check_found(self.db, document, caller)

    def on_fetched_item(self, document: Document, caller: Caller) -> None:
        """Turn the item that was looked up into its explanation.

        Raises:
            BadRequest: `version` is no number.
            NotFound: the version was not published.
            Forbidden: the item is archived, and hidden from the caller.
        """
        wanted = caller.arguments.get("version")
        if wanted is not None and not wanted.isdecimal():
            raise BadRequest(f"version is {wanted!r}, but must be a number")
        if row := document.pop("archived", None):
            check_may_read(row, caller)
        explanation = self.explain(document["_id"], int(wanted) if wanted else None)
        kept = {key: document[key] for key in ("_links",) if key in document}
        document.clear()
        document.update({**explanation, **kept})

    def substitute(self, lookup: Document) -> Document | None:
        """Return what stands for an item that has expired and is archived."""
        of_item, newest = {"item_id": lookup.get("_id")}, [("_current_version", -1)]
        found = self.db[ARCHIVED].find_one(of_item, {"task": 1}, sort=newest)
        return {"_id": lookup["_id"], "archived": found} if found else None

    def explain(self, item_id: str, version: int | None = None) -> Document:
        """Return what became of a version of an item, expired ones included; nine commands at most.

        Args:
            version: None for the one published last.

        Returns:
            `_id`, `version`; `state` and `error_message` of its routing; `routings`, one for each
            time it was routed: `operation`, `resend` and `decided_at`; `subscribers`:
            `subscriber_id`, `name`, `outcome`, `reason`, `resend`, `delivered_version`, the newest
            version that it is known to have, and `deliveries`, each with `destination`, `state`,
            `error_message` and `completed_at`.

        Raises:
            NotFound: the version was not published.
        """
        query: Document = {"item_id": item_id}
        if version is not None:
            query["_current_version"] = version
        fields = {"_current_version": 1, "queue_state": 1, "error_message": 1}
        newest = [("publish_sequence_no", -1)]
        row = self.db[PUBLISHED].find_one(query, fields, sort=newest)
        # What has expired is there without its deliveries.
        row = row or self.db[ARCHIVED].find_one(query, fields, sort=newest)
        if row is None:
            what = item_id if version is None else f"version {version} of {item_id}"
            raise NotFound(f"{what} was not published")
        number = row.get("_current_version")
        of_version = {"item_id": item_id, "item_version": number}
        routings = list(self.db[ROUTING_DECISIONS].find(of_version).sort("decided_at", 1))
        lines = self._lines(routings, self._deliveries(of_version))
        delivered = ById(delivered_versions(self.db, item_id).items())
        for line in lines:
            line["delivered_version"] = delivered.get(line["subscriber_id"])
        return {
            "_id": item_id,
            "version": number,
            "state": row.get("queue_state"),
            "error_message": row.get("error_message"),
            "routings": [
                {key: r.get(key) for key in ("operation", "resend", "decided_at")} for r in routings
            ],
            "subscribers": lines,
        }

    def _deliveries(self, of_version: Mapping[str, Any]) -> "Deliveries":
        fields = ("subscriber_id", "destination.name", "state", "error_message", "completed_at")
        wanted = dict.fromkeys((*fields, "resend_id"), 1)
        rows = list(self.db[PUBLISH_QUEUE].find(of_version, wanted).sort("order_no", 1))
        if any(row.get("state") in WAITING_ROW_STATES for row in rows):
            show_sending(rows, rows_being_sent(self.db))
        return by_routing(rows)

    def _lines(self, routings: Sequence[Document], deliveries: "Deliveries") -> list[Document]:
        lines: list[Document] = []
        for routing in routings:
            for group in routing["groups"]:
                for subscriber_id in group["subscribers"]:
                    key = id_key(subscriber_id), routing.get("resend_id")
                    found = deliveries.pop(key, [])
                    line = _line(subscriber_id, group["outcome"], group["reason"], found)
                    lines.append({**line, "resend": routing["resend"]})
            lines += self._rest(routing)
        for (subscriber_id, resend_id), rows in deliveries.items():
            line = _line(subscriber_id, UNRECORDED, "", rows)
            lines.append({**line, "resend": resend_id is not None})
        ids = (line["subscriber_id"] for line in lines)
        subscribers = find_all_by_id(self.db[SUBSCRIBERS], ids, {"name": 1})
        for line in lines:
            if (subscriber := subscribers.get(line["subscriber_id"])) is not None:
                line["subscriber_id"] = subscriber["_id"]
                line["name"] = str(subscriber.get("name"))
        # Subscribers with deliveries come first.
        return sorted(lines, key=lambda line: (not line["deliveries"], str(line["name"])))

    def _rest(self, routing: Mapping[str, Any]) -> Iterator[Document]:
        """Yield the lines of the subscribers that were active and are in no group of a routing."""
        if not routing["rest"]:
            return
        listed = {id_ for group in routing["groups"] for id_ in group["subscribers"]}
        for subscriber_id, refusals in reasons_of(self.db, routing).items():
            if subscriber_id not in listed:
                reason = refusals if routing["rest"] == Outcome.NO_PRODUCT else ""
                yield {**_line(subscriber_id, routing["rest"], reason, []), "resend": False}


Deliveries = dict[tuple[Any, Any], list[Document]]
"""Rows of the delivery queue by subscriber id, as text, and resend id."""


def by_routing(rows: Iterable[Mapping[str, Any]]) -> Deliveries:
    """Return what is shown of `rows`, by subscriber and by the resend that made them."""
    found: Deliveries = defaultdict(list)
    for row in rows:
        shown = {key: row.get(key) for key in ("state", "error_message", "completed_at")}
        shown["destination"] = (row.get("destination") or {}).get("name")
        id_ = row.get("subscriber_id")
        found[(None if id_ is None else id_key(id_), row.get("resend_id"))].append(shown)
    return found


def _line(subscriber_id: Any, outcome: str, reason: str, deliveries: list[Document]) -> Document:
    return {
        "subscriber_id": subscriber_id,
        "name": None,
        "outcome": outcome,
        "reason": reason,
        "deliveries": deliveries,
    }
