"""What holds of the delivery queue and of its receivers, whatever happens to the processes.

`Conservation` looks at the queue alone: no row is lost, doubled or left behind. `check_manifest`
compares what a receiver got with what the rows of its lane say, `check_files` does so for a
directory. All of them name every fault that they find.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Any

from apps.core.service import Document
from apps.core.vocabulary import QueueState, RowState
from apps.lanes.retries import ATTEMPTS_KEPT, UNKNOWN
from apps.lanes.sending import all_sending
from apps.publish.queue.payloads import Payloads
from tests.support.receivers import Received, Reply

ENDED = (RowState.SUCCESS, RowState.FAILED, RowState.CANCELED)
WAITING = (RowState.PENDING, RowState.RETRYING)
SAME = ("item_id", "item_version", "lane", "publishing_action", "resend_id")
"""What makes two rows the same, parts of an item apart, which differ in their payload."""
IDENTITY = (*SAME, "idempotency_key", "order_no")
"""What never changes of a row."""


# The queue.


class Conservation:
    """Remembers the rows of a queue, and tells which of them are missing.

    Args:
        db: the database.
    """

    def __init__(self, db: Any) -> None:
        self._db = db
        self._seen: dict[Any, tuple[Any, ...]] = {}
        self._faults: list[str] = []

    def look(self) -> list[Document]:
        """Remember the rows that are there, and return them; may be called at any time."""
        rows = list(self._db["publish_queue"].find({}))
        for row in rows:
            known = self._seen.setdefault(row["_id"], _identity(row))
            if known != _identity(row):
                self._faults.append(f"{_name(row)} was {known}")
        gone = self._seen.keys() - {row["_id"] for row in rows}
        self._faults += [f"a row is lost: {self._seen.pop(id_)}" for id_ in gone]
        return rows

    def tally(self) -> Counter[str]:
        """Return how many rows are in which state, as clients see it."""
        return Counter(self._states(self.look()).values())

    def _states(self, rows: Iterable[Document]) -> dict[Any, str]:
        notes = all_sending(self._db["publish_lanes"])
        return {row["_id"]: self._state(row, notes) for row in rows}

    def _state(self, row: Document, notes: Sequence[Any]) -> str:
        is_sent = row["state"] in WAITING and any(note.includes(row) for note in notes)
        return str(RowState.IN_PROGRESS if is_sent else row["state"])

    def faults(self, *, may_wait: bool = False) -> list[str]:
        """Return what is wrong, nothing where all is well.

        Args:
            may_wait: the run is not over for all rows: some may wait, none be in progress.
        """
        rows = self.look()
        states = self._states(rows)
        allowed = {*ENDED, *(WAITING if may_wait else ())}
        found = [
            *self._faults,
            *(f"{_name(r)} is {s}" for r in rows if (s := states[r["_id"]]) not in allowed),
            *_doubled("key", rows, "idempotency_key"),
            *_doubled("purpose", rows, *SAME, "payload_id"),
            *_doubled("place", rows, "order_no"),
        ]
        open_states = [QueueState.PENDING, QueueState.IN_PROGRESS]
        unrouted = self._db["published"].count_documents({"queue_state": {"$in": open_states}})
        if unrouted:
            found.append(f"{unrouted} published rows are not routed")
        # One that has come to nothing, because a newer version came out, says so for a while.
        for request in self._db["resends"].find({"state": {"$in": open_states}}):
            told = {name: request.get(name) for name in ("item_id", "state", "error_message")}
            found.append(f"a resend is not carried out: {told}")
        return found

    def check(self, told: str = "", *, may_wait: bool = False) -> Counter[str]:
        """Check that no row is lost, doubled or left behind; return how many are in which state.

        Args:
            told: what a failure says besides, such as a seed.
            may_wait: as of `faults`.
        """
        fail_on(self.faults(may_wait=may_wait), told)
        return self.tally()


def _identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in IDENTITY)


def _name(row: Mapping[str, Any]) -> str:
    """Return how faults call a row."""
    place = f"{row.get('order_no')} {row.get('lane')}"
    return (
        f"{row.get('item_id')} v{row.get('item_version')} {row.get('publishing_action')} ({place})"
    )


def _doubled(what: str, rows: Iterable[Mapping[str, Any]], *fields: str) -> list[str]:
    """Return which values of `fields` more than one row has."""
    counts = Counter(tuple(row.get(name) for name in fields) for row in rows)
    return [f"{count} rows have one {what}: {v}" for v, count in counts.items() if count > 1]


def is_over(db: Any) -> bool:
    """Whether everything is routed and every delivery has ended."""
    unrouted = {"queue_state": {"$in": [QueueState.PENDING, QueueState.IN_PROGRESS]}}
    return not (
        db["publish_queue"].count_documents({"state": {"$nin": list(ENDED)}})
        or db["published"].count_documents(unrouted)
    )


def check_routed(
    db: Any, versions: Iterable[tuple[str, int]], lanes: Iterable[str], told: str = ""
) -> None:
    """Check that each version has one row in each of `lanes`.

    Args:
        versions: item id and version, of all that has to be out.
        told: what a failure says besides.
    """
    fields = {"item_id": 1, "item_version": 1, "lane": 1}
    rows = db["publish_queue"].find({"resend_id": None}, fields)
    made = Counter((row["item_id"], row["item_version"], row["lane"]) for row in rows)
    lanes = list(lanes)
    wanted = [(item_id, version, lane) for item_id, version in versions for lane in lanes]
    fail_on([f"{one} has {made[one]} rows" for one in wanted if made[one] != 1], told)


def fail_on(faults: Sequence[str], told: str = "") -> None:
    """Fail the test with all faults that were found."""
    assert not faults, "\n".join([f"{len(faults)} faults; {told}", *faults[:30]])


# Receivers of pushes.


@dataclass
class Arrival:
    """An item that came in.

    Attributes:
        key: under which it came.
        path: where to.
        at: monotonic time at which it was there.
        is_accepted: whether it was answered with 2xx.
    """

    key: str
    path: str
    body: bytes
    at: float
    is_accepted: bool = False


class Recorder:
    """A receiver's answers, and a record of what came and what was answered.

        with HTTPReceiver(recorder := Recorder()) as receiver: ...

    Args:
        answer: what to answer; it may take its time.
    """

    def __init__(self, answer: Callable[[Received], Reply] = lambda request: 200) -> None:
        self.answer = answer
        self._arrivals: list[Arrival] = []
        self._lock = Lock()

    def __call__(self, request: Received) -> Reply:
        arrival = Arrival(
            request.headers.get("webhook-id", ""), request.path, request.body, request.at
        )
        media = request.headers.get("content-type", "").startswith("multipart/")
        if request.method == "POST" and not media:
            with self._lock:
                self._arrivals.append(arrival)
        reply = self.answer(request)
        status = reply[0] if isinstance(reply, tuple) else reply
        arrival.is_accepted = isinstance(status, int) and 200 <= status < 300
        return reply

    @property
    def count(self) -> int:
        """How much has come so far."""
        with self._lock:
            return len(self._arrivals)

    def arrivals(self, path: str | None = None) -> list[Arrival]:
        """Return what came, in order; only that for one path where it is given."""
        with self._lock:
            found = [each for each in self._arrivals if path in (None, each.path)]
        return sorted(found, key=lambda each: each.at)


def manifest_faults(
    db: Any,
    lane: str,
    arrivals: Sequence[Arrival],
    canceled_by_clients: Iterable[str] = (),
) -> list[str]:
    """Return where a receiver's record differs from what the rows of its lane say.

    Every success was accepted by the receiver, byte for byte; nothing came that is in no row of the
    lane; what came more than once came under one key, once more for each attempt on record that was
    no success; no version of an item was accepted behind a newer one, repeats apart, which a
    receiver tells by their key; and what was canceled is superseded.

    Args:
        lane: id of the lane whose receiver it is.
        canceled_by_clients: keys of rows that may be canceled for no newer one.
    """
    rows = list(db["publish_queue"].find({"lane": lane}))
    bodies = Payloads(db).load(rows)
    by_key = {row["idempotency_key"]: row for row in rows}
    came: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        came[arrival.key].append(arrival)
    found = [f"what has no row came: {key!r}" for key in came.keys() - by_key.keys()]
    clients = set(canceled_by_clients)
    for key, row in by_key.items():
        mine, name = came.get(key, []), _name(row)
        body = bodies[row["_id"]].data if row["_id"] in bodies else None
        accepted = [each for each in mine if each.is_accepted]
        if row["state"] == RowState.SUCCESS and not accepted:
            found.append(f"{name} is a success that was never accepted")
        is_explained = row.get("superseded_by") or key in clients
        # A repeat gives way to what is newer before that has a row.
        if row["state"] == RowState.CANCELED and not (is_explained or _is_outdated_repeat(db, row)):
            found.append(f"{name} is canceled for nothing, resend_id {row.get('resend_id')}")
        if any(each.body != body for each in mine):
            found.append(f"{name} came with another body")
        found += _repeat_faults(row, mine, accepted)
    return [*found, *_order_faults(arrivals, by_key)]


def _is_outdated_repeat(db: Any, row: Mapping[str, Any]) -> bool:
    """Whether a row repeats what something newer of its item was published after."""
    number = row.get("publish_sequence_no")
    if not row.get("resend_id") or number is None:
        return False
    newer = {"item_id": row["item_id"], "publish_sequence_no": {"$gt": number}}
    return db["published"].count_documents(newer) > 0


def _repeat_faults(
    row: Mapping[str, Any], mine: Sequence[Arrival], accepted: Sequence[Arrival]
) -> list[str]:
    """Return what came of a row more often than its attempts explain."""
    attempts = row.get("attempts") or []
    if len(attempts) >= ATTEMPTS_KEPT:
        # Older ones are forgotten.
        return []
    outcomes = [str(attempt["outcome"]) for attempt in attempts]
    unknown = outcomes.count(UNKNOWN)
    found = []
    if len(mine) > len(outcomes):
        found.append(f"{_name(row)} came {len(mine)} times, attempts: {outcomes}")
    if len(accepted) > unknown + (row["state"] == RowState.SUCCESS):
        found.append(f"{_name(row)} was accepted {len(accepted)} times, attempts: {outcomes}")
    return found


def _order_faults(arrivals: Sequence[Arrival], by_key: Mapping[str, Document]) -> list[str]:
    """Return which versions were accepted for the first time behind newer ones of their item."""
    newest: dict[str, Document] = {}
    known: set[str] = set()
    found = []
    for arrival in arrivals:
        row = by_key.get(arrival.key)
        if row is None or not arrival.is_accepted or arrival.key in known:
            continue
        known.add(arrival.key)
        last = newest.setdefault(row["item_id"], row)
        if row["order_no"] < last["order_no"]:
            found.append(f"{_name(row)} came behind {_name(last)}")
        else:
            newest[row["item_id"]] = row
    return found


def check_manifest(
    db: Any,
    arrivals_by_lane: Mapping[str, Sequence[Arrival]],
    told: str = "",
    canceled_by_clients: Iterable[str] = (),
) -> None:
    """Check that receivers got what the rows of their lanes say (`manifest_faults`).

    Args:
        told: what a failure says besides.
    """
    clients = list(canceled_by_clients)
    found = [
        fault
        for lane, arrivals in arrivals_by_lane.items()
        for fault in manifest_faults(db, lane, arrivals, clients)
    ]
    fail_on(found, told)


def check_newest(db: Any, lane: str, arrivals: Iterable[Arrival], told: str = "") -> None:
    """Check that a receiver that keeps the newest version has the newest of each item.

    Nothing is known of one whose newest version was given up.

    Args:
        told: what a failure says besides.
    """
    newest: dict[str, int] = {}
    keys: dict[str, tuple[str, int]] = {}
    for row in db["publish_queue"].find({"lane": lane}).sort("order_no", 1):
        keys[row["idempotency_key"]] = row["item_id"], row["order_no"]
        newest[row["item_id"]] = row["order_no"]
        if row["state"] == RowState.FAILED:
            del newest[row["item_id"]]
    has: dict[str, int] = {}
    for arrival in arrivals:
        if arrival.is_accepted and arrival.key in keys:
            item_id, order_no = keys[arrival.key]
            has[item_id] = max(has.get(item_id, -1), order_no)
    lacking = [item_id for item_id, order_no in newest.items() if has.get(item_id) != order_no]
    fail_on([f"{lane} has not the newest of {item_id}" for item_id in lacking], told)


def manifest_lines(db: Any, arrivals_by_lane: Mapping[str, Sequence[Arrival]]) -> list[str]:
    """Return a table for people: what the rows of each lane say, and what its receiver got."""
    lines = []
    for lane, arrivals in arrivals_by_lane.items():
        rows = list(db["publish_queue"].find({"lane": lane}, {"state": 1, "attempts": 1}))
        states = ", ".join(f"{n} {s}" for s, n in sorted(Counter(r["state"] for r in rows).items()))
        outcomes = [a["outcome"] for row in rows for a in row.get("attempts") or []]
        accepted = sum(each.is_accepted for each in arrivals)
        keys = len({each.key for each in arrivals if each.is_accepted})
        lines.append(
            f"{lane}: {len(rows)} rows ({states}), {outcomes.count(UNKNOWN)} unknown outcomes; "
            f"received {len(arrivals)}, accepted {accepted} under {keys} keys"
        )
    return lines


# Directories.


@dataclass
class Inbox:
    """A directory, and when which file was first seen in it."""

    directory: Path
    seen: dict[str, int] = field(default_factory=dict)

    def watch(self, ended: Event) -> None:
        """Look at it again and again until told to end."""
        look = 0
        while not ended.wait(0.02):
            look += 1
            for name in os.listdir(self.directory):
                if not name.startswith("."):
                    self.seen.setdefault(name, look)

    def versions(self, item_id: str) -> list[tuple[int, int]]:
        """Return the versions of an item that came, each with when it was first seen."""
        prefix = item_id.replace(":", "-") + "-"
        names = [name for name in self.seen if name.startswith(prefix)]
        return sorted(
            (int(name.removeprefix(prefix).split("-")[0]), self.seen[name]) for name in names
        )


def check_files(db: Any, lane: str, inbox: Inbox, told: str = "") -> None:
    """Check that each version is a file of its own, unless a withdrawal came first.

    Versions of an item came in their order, and nothing unfinished is left.
    """
    found: list[str] = []
    items: dict[str, set[int]] = defaultdict(set)
    for row in db["publish_queue"].find({"lane": lane}):
        if row["state"] == RowState.SUCCESS:
            items[row["item_id"]].add(row["item_version"])
        elif row["state"] != RowState.CANCELED or not row["superseded_by"]:
            found.append(f"{_name(row)} is {row['state']}")
    for item_id, wanted in items.items():
        came = inbox.versions(item_id)
        if not wanted <= {version for version, _ in came}:
            found.append(f"{item_id}: {came}, not {wanted}")
        looks = [look for _, look in came]
        if looks != sorted(looks):
            found.append(f"{item_id}: {came} is another order")
    unfinished = [name for name in os.listdir(inbox.directory) if name.startswith(".")]
    fail_on([*found, *(f"{name} is unfinished" for name in unfinished)], told)
