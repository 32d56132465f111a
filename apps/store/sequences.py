"""Counters in the collection `sequences`, as `{key, sequence_number}` (routing contract 10)."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import uuid4

from pymongo import ReturnDocument, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError

from apps.core.errors import ServerError
from apps.store.batches import parts
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

        Each counter is moved only from the value that it was found with, so no number is given
        twice, not even at the wrap. A counter that moved meanwhile is tried again; gaps are
        allowed. Two commands as long as no other process draws, two more where a counter is new.

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
            drawn |= self._try_draw(left, bounds)
            left = {key: count for key, count in left.items() if key not in drawn}
        raise ServerError("Sequence numbers could not be drawn")

    def _try_draw(
        self, wanted: Mapping[str, int], bounds: Mapping[str, Bounds]
    ) -> dict[str, list[int]]:
        numbers: dict[str, list[int]] = {}
        moves: list[UpdateOne] = []
        token = uuid4().hex
        for counter in self._find(list(wanted)):
            key, last = counter["key"], counter["sequence_number"]
            own = numbers[key] = bounds[key].advance(int(last), wanted[key])
            change = {"$set": {"sequence_number": own[-1], "drawn_by": token}}
            moves.append(UpdateOne({"_id": counter["_id"], "sequence_number": last}, change))
        result = self._counters.bulk_write(moves, ordered=False)
        if result.matched_count == len(moves):
            return numbers
        # Another process moved some counters first. A counter that it moved after us also looks
        # lost; its numbers become a gap, which is allowed, while a repeat is not.
        mine = self._stored(list(numbers), drawn_by=token)
        return {counter["key"]: numbers[counter["key"]] for counter in mine}

    def _find(self, keys: list[str]) -> list[dict[str, Any]]:
        """Return the counters `keys`; those that do not exist are made."""
        found = self._stored(keys)
        if missing := sorted(set(keys) - {counter["key"] for counter in found}):
            self._create(missing)
            found += self._stored(missing)
        return found

    def _stored(self, keys: Sequence[str], **wanted: Any) -> list[dict[str, Any]]:
        """Return those of the counters `keys` that are stored; one command for 200 of them."""
        found = (self._counters.find({"key": {"$in": part}, **wanted}) for part in parts(keys))
        return [counter for of_part in found for counter in of_part]

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
