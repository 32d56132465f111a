"""Processes that die or stall between two writes: databases that stop taking them."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pymongo.results import BulkWriteResult

from apps.store.collections import ARCHIVE, PUBLISH_LANES

COUNTED = ("nInserted", "nMatched", "nModified", "nRemoved", "nUpserted")
"""What a bulk write says it has done."""


FEW = 5
"""A usual run dies before every fifth write only."""

_EVERY_WRITE = pytest.param(1, marks=[pytest.mark.chaos, pytest.mark.timeout(1800)])
_SOME_WRITES = pytest.param(FEW, marks=pytest.mark.timeout(600))
DEATHS = pytest.mark.parametrize("stride", [_SOME_WRITES, _EVERY_WRITE])
"""For tests that die before one write after another: from one death to the next.

They take a minute where a busy machine has little time for them.
"""


def each_write(last: int, first: int = 1) -> list[Any]:
    """Return the numbers of the writes to die before, as parameters of a test.

    Args:
        last: number of the last one. A usual run dies before that one, too.
        first: number of the first one.
    """
    few = {*range(first, last, FEW), last}
    rare = pytest.mark.chaos
    return [n if n in few else pytest.param(n, marks=rare) for n in range(first, last + 1)]


class Crash(BaseException):
    """The process is gone; nothing in it may handle that."""


class CrashingDatabase:
    """A database whose process dies just before one of its writes.

    Bulk writes die between their operations, too: a server carries them out one after another.

    Args:
        db: where reads and the writes before that go.
        before: number of the write that is not made any more, from 1.
    """

    def __init__(self, db: Any, before: int) -> None:
        self._db = db
        self._left = before

    @property
    def client(self) -> Any:
        """The connection, which does not die by itself."""
        return self._db.client

    def beside(self, db: Any) -> "CrashingDatabase":
        """Return another database of the same process: writes to both count together."""
        other = CrashingDatabase(db, 0)
        other.count = self.count  # type: ignore[method-assign]
        return other

    def __getitem__(self, name: str) -> "CrashingCollection":
        return CrashingCollection(self, self._db[name])

    def count(self) -> None:
        """Die, or let one more write pass."""
        self._left -= 1
        if self._left <= 0:
            raise Crash


class CrashingCollection:
    """One collection of a `CrashingDatabase`; reads pass through."""

    def __init__(self, database: CrashingDatabase, collection: Any) -> None:
        self._database = database
        self._collection = collection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def insert_one(self, *arguments: Any, **options: Any) -> Any:
        self._database.count()
        return self._collection.insert_one(*arguments, **options)

    def update_one(self, *arguments: Any, **options: Any) -> Any:
        self._database.count()
        return self._collection.update_one(*arguments, **options)

    def find_one_and_update(self, *arguments: Any, **options: Any) -> Any:
        if self._collection.name in (ARCHIVE, PUBLISH_LANES):
            # Elsewhere it is a claim, or draws a number.
            self._database.count()
        return self._collection.find_one_and_update(*arguments, **options)

    def update_many(self, *arguments: Any, **options: Any) -> Any:
        self._database.count()
        return self._collection.update_many(*arguments, **options)

    def delete_one(self, *arguments: Any, **options: Any) -> Any:
        self._database.count()
        return self._collection.delete_one(*arguments, **options)

    def delete_many(self, *arguments: Any, **options: Any) -> Any:
        self._database.count()
        return self._collection.delete_many(*arguments, **options)

    def insert_many(self, documents: Sequence[Any], **options: Any) -> Any:
        for document in documents:
            self._database.count()
            self._collection.insert_many([document], **options)

    def bulk_write(self, operations: Sequence[Any], **options: Any) -> BulkWriteResult:
        total: Counter[str] = Counter()
        for operation in operations:
            self._database.count()
            done = self._collection.bulk_write([operation], **options).bulk_api_result
            total.update({name: done[name] for name in COUNTED})
        return BulkWriteResult(dict.fromkeys(COUNTED, 0) | total, True)


class StallingDatabase(CrashingDatabase):
    """A database whose process stands still just before one of its writes, then goes on.

    Args:
        db: where reads and writes go.
        before: number of that write, from 1.
        meanwhile: called while the process stands still.
    """

    def __init__(self, db: Any, before: int, meanwhile: Callable[[], None]) -> None:
        super().__init__(db, before)
        self._meanwhile = meanwhile

    def __getitem__(self, name: str) -> CrashingCollection:
        return StallingCollection(self, self._db[name])

    def count(self) -> None:
        """Stand still, or let one more write pass."""
        self._left -= 1
        if self._left == 0:
            self._meanwhile()

    @property
    def has_stalled(self) -> bool:
        """Whether there were so many writes."""
        return self._left <= 0


class StallingCollection(CrashingCollection):
    """One collection of a `StallingDatabase`; claims are writes, too."""

    def find_one_and_update(self, *arguments: Any, **options: Any) -> Any:
        self._database.count()
        return self._collection.find_one_and_update(*arguments, **options)
