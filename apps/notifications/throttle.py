"""Throttling of events that come in floods. Pure: time is handed in, nothing is sent here."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.core import json

Message = dict[str, Any]
Row = Mapping[str, Any]

QUEUE_UPDATE = "publish_queue:update"
THROTTLED_EVENTS = frozenset({"ingest:update", "ingest:cleaned", "content:expired", QUEUE_UPDATE})
INTERVAL_SECONDS = 5.0
MAX_ITEMS = 500


class QueueRows:
    """Latest state of the queue rows that one message will list.

    Args:
        limit: rows to keep; the ones that changed longest ago go first.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rows: dict[str, Row] = {}
        self._omitted = 0

    def collect(self, extra: Mapping[str, Any]) -> None:
        """Take over the rows of one message: those in `items`, and the one it describes itself."""
        self._omitted += _count(extra.get("items_omitted"))
        for row in _rows(extra):
            row_id = str(row["queue_id"])
            self._rows.pop(row_id, None)
            self._rows[row_id] = row
        for row_id in list(self._rows)[: max(0, len(self._rows) - self._limit)]:
            del self._rows[row_id]
            self._omitted += 1

    def merge_into(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        """Return `extra` with all rows as `items`, oldest change first.

        Rows over the limit are counted in `items_omitted`: the client then knows to reload.
        """
        if not self._rows:
            return dict(extra)
        merged = {**extra, "items": list(self._rows.values())}
        if self._omitted:
            merged["items_omitted"] = self._omitted
        return merged


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _rows(extra: Mapping[str, Any]) -> Iterator[Row]:
    items = extra.get("items")
    rows = [
        row
        for row in (items if isinstance(items, list) else [])
        if isinstance(row, Mapping) and row.get("queue_id") is not None
    ]
    yield from rows
    own = extra.get("queue_id")
    # A batch message repeats its newest row on top; the fuller entry in `items` counts then.
    if own is not None and str(own) not in {str(row["queue_id"]) for row in rows}:
        yield {key: extra[key] for key in extra if key not in {"items", "items_omitted"}}


@dataclass
class _Slot:
    """One event's place in time.

    Attributes:
        opens_at: when the next message may go out.
        newest: message that waits for it.
        rows: queue rows collected since the last message.
    """

    rows: QueueRows
    opens_at: float = float("-inf")
    newest: Message | None = None

    def hold(self, message: Message) -> None:
        self.newest = message
        if message["event"] == QUEUE_UPDATE:
            self.rows.collect(_extra(message))


def _extra(message: Message) -> Mapping[str, Any]:
    extra = message.get("extra")
    return extra if isinstance(extra, Mapping) else {}


@dataclass
class Throttle:
    """Let at most one message per event and interval pass, and never lose the last one.

    The first message of a quiet period passes at once. Those that follow within the interval are
    replaced by the newest of them, which passes when the interval is over. Messages for different
    clients (`filters`, `audience`) do not replace each other.

    Attributes:
        interval: seconds between two messages of one event.
        events: names of the throttled events; all others pass.
        max_items: most rows that a `publish_queue:update` lists in `extra.items`.
        monotonic: seconds that never run backwards.
    """

    interval: float = INTERVAL_SECONDS
    events: frozenset[str] = THROTTLED_EVENTS
    max_items: int = MAX_ITEMS
    monotonic: Callable[[], float] = time.monotonic
    _slots: dict[tuple[str, bytes], _Slot] = field(default_factory=dict, init=False, repr=False)

    def offer(self, message: Message) -> Message | None:
        """Return what to send now: the message, or None when it has to wait."""
        event = message.get("event")
        if not isinstance(event, str) or event not in self.events:
            return message
        now = self.monotonic()
        meant_for = json.dumps([message.get("filters"), message.get("audience")])
        slot = self._slot((event, meant_for), now)
        slot.hold(message)
        return self._release(slot, now) if now >= slot.opens_at else None

    def due(self) -> list[Message]:
        """Return the waiting messages whose interval is over, to be sent now."""
        now = self.monotonic()
        return [self._release(slot, now) for slot in self._waiting() if slot.opens_at <= now]

    def drain(self) -> list[Message]:
        """Return all waiting messages, whatever the time: the last states before a shutdown."""
        now = self.monotonic()
        return [self._release(slot, now) for slot in self._waiting()]

    def delay(self) -> float | None:
        """Return the seconds until the next waiting message is due, None when none waits."""
        opens = [slot.opens_at for slot in self._waiting()]
        return max(0.0, min(opens) - self.monotonic()) if opens else None

    def _waiting(self) -> list[_Slot]:
        return [slot for slot in self._slots.values() if slot.newest is not None]

    def _slot(self, key: tuple[str, bytes], now: float) -> _Slot:
        if key not in self._slots:
            # Filters make new keys all the time: forget those that no longer hold anything back.
            self._slots = {
                k: slot for k, slot in self._slots.items() if slot.newest or slot.opens_at > now
            }
            self._slots[key] = _Slot(QueueRows(self.max_items))
        return self._slots[key]

    def _release(self, slot: _Slot, now: float) -> Message:
        assert slot.newest is not None
        message = slot.newest
        if message["event"] == QUEUE_UPDATE:
            message = {**message, "extra": slot.rows.merge_into(_extra(message))}
        slot.newest = None
        slot.rows = QueueRows(self.max_items)
        slot.opens_at = now + self.interval
        return message
