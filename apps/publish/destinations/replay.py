"""Sending again what a destination should have got (delivery contract 7.2)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pymongo
from pymongo.database import Database

from apps.core.clock import moment_of
from apps.core.documents import number_of, text_of
from apps.core.errors import BadRequest, Conflict, SchemaIssues
from apps.core.ids import id_forms
from apps.core.registry import Registry
from apps.core.service import Document
from apps.core.vocabulary import WITHDRAWING_ACTIONS, QueueState, RowState
from apps.publish.destinations.service import Action, Target
from apps.publish.row_actions.service import LOOKED_AT, MOST_ROWS, RowActions
from apps.publish.transmit.destinations import mode_of
from apps.store.collections import PUBLISH_QUEUE, PUBLISHED
from apps.store.idempotency import IdempotentRequest
from transmitters.base import Mode, Transmitter

MOST_READ = 5000
"""Deliveries since then, those that are not sent again among them."""
FIELDS = {
    **LOOKED_AT,
    **dict.fromkeys(("item_id", "item_version", "publishing_action"), 1),
    **dict.fromkeys(("payload_id", "encoded_item_id"), 1),
}
ENDED = (RowState.SUCCESS, RowState.FAILED)
"""States of rows that are sent again; who has canceled one did not want it to be sent."""
OPEN = (RowState.PENDING, RowState.RETRYING, RowState.IN_PROGRESS)

REQUIRED = {"required": 1}
NO_TIME = "must be a time, such as 2030-01-31T12:00:00+0000"
TOO_MANY = "More than {} deliveries to {} since then. Begin later"
NOT_EXPECTED = (
    "{} deliveries would be sent again, not {}. Look at what {} has got, and ask again with "
    "expected {}"
)


@dataclass
class Selection:
    """What is sent again.

    Attributes:
        rows: in their order.
        left_out: ids of items of which something goes out by itself.
        numbers: item id to the `publish_sequence_no` of the newest that is out of it.
    """

    rows: list[Document] = field(default_factory=list)
    left_out: set[str] = field(default_factory=set)
    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def plan(self) -> Document:
        """What a further try goes by: ids of rows, each with the number of its item."""
        return {
            "rows": [row["_id"] for row in self.rows],
            "numbers": [self.numbers.get(row["item_id"], 0) for row in self.rows],
            "left_out": sorted(self.left_out),
        }


class Replay:
    """Sends to a destination again what it should have got since a time.

    Args:
        db: the database.
        registry: delivery types by name.
        actions: sends rows again.
        settings: QUERY_TIMEOUT_SECONDS.
    """

    def __init__(
        self,
        db: Database[Document],
        registry: Registry[Transmitter],
        actions: RowActions,
        settings: Mapping[str, Any],
    ) -> None:
        self._rows = db[PUBLISH_QUEUE]
        self._published = db[PUBLISHED]
        self._registry = registry
        self._row_actions = actions
        self._seconds = float(settings["QUERY_TIMEOUT_SECONDS"])

    @property
    def actions(self) -> dict[str, Action]:
        """What can be done with a destination, by name."""
        return {"replay": Action(self.replay, {"since": str, "expected": int}, is_once=True)}

    def replay(self, target: Target, body: Mapping[str, Any], asked: IdempotentRequest) -> Document:
        """Send again what was queued since a time; return what has become of each row.

        Args:
            body: `since`, and `expected`: for how many rows the caller takes it.
            asked: the request, which goes on with what an earlier try has selected.

        Raises:
            SchemaIssues: one of these is missing, or wrong.
            BadRequest: there are too many.
            Conflict: there are not as many as expected.
        """
        since, expected = _wanted(body)
        plan = asked.plan(lambda: self._chosen(target, since, expected).plan)
        numbers = dict(zip(plan["rows"], plan["numbers"], strict=True))
        told = self._row_actions.resend(plan["rows"], asked, numbers)
        return {**told, "action": "replay", "left_out": plan["left_out"]}

    def _chosen(self, target: Target, since: datetime, expected: int) -> Selection:
        """Return what is sent again.

        Raises:
            BadRequest: there is too much.
            Conflict: it is not as much as expected.
        """
        with pymongo.timeout(self._seconds):
            selection = self._select(target, since)
        count = len(selection.rows)
        if count > MOST_ROWS:
            raise BadRequest(TOO_MANY.format(MOST_ROWS, target.name))
        if count != expected:
            raise Conflict(NOT_EXPECTED.format(count, expected, target.name, count))
        return selection

    def _select(self, target: Target, since: datetime) -> Selection:
        """Return what is sent again; three commands.

        Rows are read once more behind what is published: of what comes out in between either the
        rows are there by then, or the item is not routed yet, or its number is higher.
        """
        items = {row["item_id"] for row in self._read(target, since)}
        numbers: dict[str, int] = {}
        unrouted: set[str] = set()
        wanted = {"item_id": {"$in": sorted(items)}}
        fields = {"item_id": 1, "publish_sequence_no": 1, "queue_state": 1}
        for row in self._published.find(wanted, fields):
            item_id, number = row["item_id"], number_of(row, "publish_sequence_no")
            numbers[item_id] = max(number, numbers.get(item_id, 0))
            if row.get("queue_state") in (QueueState.PENDING, QueueState.IN_PROGRESS):
                unrouted.add(item_id)
        mode = mode_of(target.lane, target.subscriber, self._registry)
        selection = Selection(numbers=numbers)
        for item_id, line in lines_of(self._read(target, since), items).items():
            if item_id in unrouted or any(row.get("state") in OPEN for row in line):
                selection.left_out.add(item_id)
            else:
                selection.rows += not_superseded(line, mode)
        selection.rows.sort(key=_place)
        return selection

    def _read(self, target: Target, since: datetime) -> list[Document]:
        """Return the rows of a destination since a time; one command.

        Raises:
            BadRequest: there are more than are looked at.
        """
        owner = {"$in": id_forms(target.subscriber["_id"])}
        queued = {"subscriber_id": owner, "lane": target.lane, "_created": {"$gte": since}}
        rows = list(self._rows.find(queued, FIELDS).limit(MOST_READ + 1))
        if len(rows) > MOST_READ:
            raise BadRequest(TOO_MANY.format(MOST_READ, target.name))
        return [row for row in rows if isinstance(row.get("item_id"), str)]


def _wanted(body: Mapping[str, Any]) -> tuple[datetime, int]:
    """Return what a request says.

    Raises:
        SchemaIssues: something is missing, or `since` is no time.
    """
    issues: Document = {name: REQUIRED for name in ("since", "expected") if body.get(name) is None}
    since = moment_of(body.get("since"))
    if since is None and "since" not in issues:
        issues["since"] = NO_TIME
    if issues or since is None:
        raise SchemaIssues(issues)
    return since, int(body["expected"])


def lines_of(rows: Iterable[Document], items: set[str]) -> dict[str, list[Document]]:
    """Return the rows of each of `items`, in their order."""
    lines: dict[str, list[Document]] = {}
    for row in sorted(rows, key=_place):
        if row["item_id"] in items:
            lines.setdefault(row["item_id"], []).append(row)
    return lines


def not_superseded(line: Sequence[Document], mode: Mode) -> list[Document]:
    """Return the rows of an item that something newer has not made pointless, each content once.

    What comes before a withdrawal is pointless, and where the receiver keeps the newest version,
    whatever is older.

    Args:
        line: all rows of the item, in their order.
    """
    for place in range(len(line) - 1, -1, -1):
        if line[place].get("publishing_action") in WITHDRAWING_ACTIONS:
            line = line[place:]
            break
    ended = [row for row in line if row.get("state") in ENDED]
    if mode is Mode.REPLACE and ended:
        newest = max(number_of(row, "item_version", 1) for row in ended)
        ended = [row for row in ended if number_of(row, "item_version", 1) == newest]
    # A row that was sent again before has the content of the first.
    once = {_content(row): row for row in reversed(ended)}
    return sorted(once.values(), key=_place)


def _content(row: Mapping[str, Any]) -> Any:
    """Return what tells what rows send apart."""
    return text_of(row, "payload_id") or str(row.get("encoded_item_id") or row["_id"])


def _place(row: Mapping[str, Any]) -> int:
    return number_of(row, "order_no")
