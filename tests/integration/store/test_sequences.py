"""Numbers that are given once, wrapping or not (routing contract 10)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo import MongoClient

from apps.store.indexes import ensure_indexes
from apps.store.sequences import Bounds, Sequences

KEY = "subscribers_s"


@pytest.fixture
def db(stores: Any, database_name: str) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](stores.mongo_uri) as client:
        database = client[database_name]
        ensure_indexes(database)
        database["sequences"].delete_many({})
        yield database


def draw(db: Any, count: int, minimum: int, maximum: int) -> list[int]:
    bounds = {KEY: Bounds(minimum, maximum)}
    return Sequences(db).draw_wrapping({KEY: count}, bounds)[KEY]


class TestBounds:
    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            ({}, (1, 9999)),
            ({"min": 5}, (5, 9999)),
            ({"max": 10}, (1, 10)),
            ({"min": 5, "max": 10}, (5, 10)),
            ({"min": None, "max": None}, (1, 9999)),
            ({"min": 0, "max": 0}, (1, 9999)),
            ({"min": 20000}, (20000, 20000)),
            ({"min": "one", "max": [9]}, (1, 9999)),
            ({"min": "7", "max": 8.0}, (7, 8)),
        ],
    )
    def test_reads_what_a_subscriber_asks_for(
        self, wanted: dict[str, Any], expected: tuple[int, int]
    ) -> None:
        """What is missing or zero has its default; an empty range holds its minimum."""
        bounds = Bounds.of(wanted, 9999)

        assert (bounds.minimum, bounds.maximum) == expected

    @given(st.integers(1, 50), st.integers(0, 50), st.integers(-10, 120), st.integers(0, 60))
    def test_advances_in_a_circle(self, minimum: int, more: int, last: int, count: int) -> None:
        """Every number is in range and follows the one before it; the minimum follows the last."""
        bounds = Bounds(minimum, minimum + more)

        numbers = bounds.advance(last, count)

        assert len(numbers) == count
        before = last if minimum <= last <= bounds.maximum else bounds.maximum
        for number in numbers:
            assert number == (minimum if before == bounds.maximum else before + 1)
            before = number


class TestWrapping:
    def test_starts_at_the_minimum(self, db: Any) -> None:
        """The first number of a new counter is the lower bound."""
        assert draw(db, 3, 17, 99) == [17, 18, 19]

    def test_goes_on_at_the_minimum(self, db: Any) -> None:
        """After 9 999 comes 1."""
        db["sequences"].insert_one({"key": KEY, "sequence_number": 9998})

        assert draw(db, 3, 1, 9999) == [9999, 1, 2]

    def test_follows_bounds_that_have_changed(self, db: Any) -> None:
        """A counter outside its range goes on at the minimum."""
        draw(db, 50, 1, 100)

        assert draw(db, 1, 10, 20) == [10]

    def test_draws_for_many_subscribers_at_once(self, db: Any) -> None:
        """Counters are independent; what nobody wants is not drawn."""
        bounds = {key: Bounds(1, 9) for key in "abc"}

        drawn = Sequences(db).draw_wrapping({"a": 2, "b": 0, "c": 1}, bounds)

        assert drawn == {"a": [1, 2], "c": [1]}

    def test_gives_no_number_twice_around_the_wrap(self, db: Any) -> None:
        """Routing scenario 44: 50 draws at once, beginning shortly before the wrap."""
        db["sequences"].insert_one({"key": KEY, "sequence_number": 9974})

        with ThreadPoolExecutor(50) as threads:
            drawn = list(threads.map(lambda _: draw(db, 1, 1, 9999)[0], range(50)))

        assert sorted(drawn) == [*range(1, 26), *range(9975, 10000)]

    def test_gives_no_number_twice_on_a_new_counter(self, db: Any) -> None:
        """Several processes may meet a subscriber for the first time at once."""
        with ThreadPoolExecutor(10) as threads:
            drawn = [
                n for some in threads.map(lambda _: draw(db, 3, 1, 999), range(10)) for n in some
            ]

        assert len(set(drawn)) == 30
        assert db["sequences"].count_documents({"key": KEY}) == 1

    def test_gives_no_number_twice_when_processes_take_turns(self, db: Any) -> None:
        """What a process has seen of many counters may be out of date when it draws again."""
        bounds = {key: Bounds(1, 7) for key in "abc"}
        processes = [Sequences(db), Sequences(db)]
        drawn: list[int] = []

        for turn in (0, 1, 1, 0, 1, 0):
            numbers = processes[turn].draw_wrapping(dict.fromkeys("abc", 2), bounds)
            assert numbers["a"] == numbers["b"] == numbers["c"]
            drawn += numbers["a"]

        assert drawn == [1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5]

    @pytest.mark.parametrize("stored", ["41", 41.5])
    def test_goes_on_from_what_others_have_stored(self, db: Any, stored: Any) -> None:
        """A number that came from elsewhere need not be an integer."""
        db["sequences"].insert_one({"key": KEY, "sequence_number": stored})

        assert draw(db, 2, 1, 99) == [42, 43]

    def test_sees_that_a_counter_was_made_anew(self, db: Any) -> None:
        """A counter that somebody removes begins again; others are not held up by it."""
        bounds = {key: Bounds(1, 99) for key in "ab"}
        sequences = Sequences(db)
        sequences.draw_wrapping({"a": 5, "b": 5}, bounds)
        db["sequences"].delete_one({"key": "a"})

        assert sequences.draw_wrapping({"a": 1, "b": 1}, bounds) == {"a": [1], "b": [6]}


class TestRising:
    def test_never_wraps_and_has_no_gaps(self, db: Any) -> None:
        """Blocks drawn at once by many do not overlap and leave nothing out."""
        with ThreadPoolExecutor(20) as threads:
            firsts = list(threads.map(lambda _: Sequences(db).draw("order", 5), range(20)))

        assert sorted(firsts) == list(range(1, 101, 5))
