"""Counters in the collection `sequences`, as `{key, sequence_number}` (routing contract 10)."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import uuid4

from pymongo import ReturnDocument, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError

from apps.core.errors import ServerError
from apps.store.collections import SEQUENCES
from apps.store.mongo import raise_unless_duplicates

MAX_DRAWS = 100


class Bounds(NamedTuple):
    """Range of a wrapping counter, both ends included."""

    minimum: int
    maximum: int

    @classmethod
    def of(cls, wanted: Mapping[str, Any], maximum: int) -> "Bounds":
        """Return the range that a subscriber's `sequence_num_settings` ask for.

        Args:
            wanted: `{min, max}`, either may be missing; what is no number counts as missing.
            maximum: upper end where none is set.
        """
        lowest = _number(wanted.get("min")) or 1
        return cls(lowest, max(lowest, _number(wanted.get("max")) or maximum))

    def advance(self, last: int, count: int) -> list[int]:
        """Return the `count` numbers that follow `last`, wrapping to the minimum."""
        size = self.maximum - self.minimum + 1
        offset = last - self.minimum + 1 if self.minimum <= last <= self.maximum else 0
        return [self.minimum + (offset + step) % size for step in range(count)]


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


class Sequences:
    """Draw numbers that no other process gets.

    Args:
        db: the database that holds `sequences`.
    """

    def __init__(self, db: Database[dict[str, Any]]) -> None:
        self._counters = db[SEQUENCES]
        self._seen: dict[str, tuple[Any, Any]] = {}
        """Wrapping counters as this process saw them last: `_id`, and number as it is stored."""

    def draw(self, key: str, count: int = 1) -> int:
        """Take `count` consecutive numbers of a counter that never wraps.

        One command; three where the counter is new.

        Returns:
            The first of them; the others follow without a gap.
        """
        counter = self._increment(key, count)
        while counter is None:
            # Made apart from the draw: two upserts of the same new counter may collide, and the
            # server need not tell the loser which numbers it got.
            with suppress(DuplicateKeyError):
                self._counters.insert_one({"key": key, "sequence_number": 0})
            counter = self._increment(key, count)
        return int(counter["sequence_number"]) - count + 1

    def _increment(self, key: str, count: int) -> dict[str, Any] | None:
        return self._counters.find_one_and_update(
            {"key": key},
            {"$inc": {"sequence_number": count}},
            return_document=ReturnDocument.AFTER,
        )

    def draw_wrapping(
        self, wanted: Mapping[str, int], bounds: Mapping[str, Bounds]
    ) -> dict[str, list[int]]:
        """Take numbers of many wrapping counters at once.

        Each counter is moved only from the value that was seen last, so no number is given twice,
        not even at the wrap. A counter that moved meanwhile is tried again; gaps are allowed.
        One command as long as no other process draws, another one for counters met the first time.

        Args:
            wanted: counter key to how many numbers.
            bounds: counter key to its range.

        Raises:
            ServerError: other processes won every time.
        """
        drawn: dict[str, list[int]] = {}
        left = {key: count for key, count in wanted.items() if count > 0}
        for _ in range(MAX_DRAWS):
            if not left:
                return drawn
            if unseen := [key for key in left if key not in self._seen]:
                self._look(unseen)
            won = self._try_draw(left, bounds)
            drawn.update(won)
            left = {key: count for key, count in left.items() if key not in won}
            for key in left:
                self._seen.pop(key, None)
        raise ServerError("Sequence numbers could not be drawn")

    def _look(self, keys: list[str]) -> None:
        """See the counters `keys`; those that do not exist are made."""
        self._see(self._counters.find({"key": {"$in": keys}}))
        if missing := [key for key in keys if key not in self._seen]:
            self._create(missing)
            self._see(self._counters.find({"key": {"$in": missing}}))

    def _see(self, counters: Iterable[Mapping[str, Any]]) -> None:
        self._seen.update((c["key"], (c["_id"], c["sequence_number"])) for c in counters)

    def _try_draw(
        self, wanted: Mapping[str, int], bounds: Mapping[str, Bounds]
    ) -> dict[str, list[int]]:
        seen: dict[str, tuple[Any, Any]] = {}
        numbers: dict[str, list[int]] = {}
        moves: list[UpdateOne] = []
        token = uuid4().hex
        for key, count in wanted.items():
            if (counter := self._seen.get(key)) is not None:
                seen[key] = id_, number = counter
                own = numbers[key] = bounds[key].advance(int(number), count)
                change = {"$set": {"sequence_number": own[-1], "drawn_by": token}}
                moves.append(UpdateOne({"_id": id_, "sequence_number": number}, change))
        if not moves:
            return {}
        result = self._counters.bulk_write(moves, ordered=False)
        if result.matched_count < len(moves):
            # Another process moved some counters first. A counter that it moved after us also looks
            # lost; its numbers become a gap, which is allowed, while a repeat is not.
            mine = self._counters.find({"key": {"$in": list(numbers)}, "drawn_by": token})
            numbers = {counter["key"]: numbers[counter["key"]] for counter in mine}
        for key, own in numbers.items():
            self._seen[key] = (seen[key][0], own[-1])
        return numbers

    def _create(self, keys: list[str]) -> None:
        try:
            self._counters.bulk_write(
                [
                    UpdateOne({"key": k}, {"$setOnInsert": {"sequence_number": 0}}, upsert=True)
                    for k in keys
                ],
                ordered=False,
            )
        except BulkWriteError as error:
            # Another process inserted some of them first.
            raise_unless_duplicates(error)
