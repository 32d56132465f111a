"""Batches bounded by number and bytes."""

from collections.abc import Iterator

import pytest

from apps.store.batches import batches


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([1], [[1]]),
        ([1, 2, 3], [[1, 2, 3]]),
        ([1, 1, 1, 1], [[1, 1, 1], [1]]),
        ([5, 5], [[5, 5]]),
        ([5, 6], [[5], [6]]),
        ([10, 1], [[10], [1]]),
        ([11], [[11]]),
        ([1, 40, 1], [[1], [40], [1]]),
        ([40, 40], [[40], [40]]),
        ([0, 0, 0, 0], [[0, 0, 0], [0]]),
    ],
)
def test_at_most_three_documents_and_ten_bytes(sizes: list[int], expected: list[list[int]]) -> None:
    """One that is larger than a batch may be is a batch of its own; the order stays."""
    assert list(batches(sizes, int, 3, 10)) == expected


def test_a_batch_without_room_holds_one_document() -> None:
    assert list(batches([2, 2], int, 3, -5)) == [[2], [2]]


def test_documents_are_taken_as_they_are_needed() -> None:
    """A batch takes no more than the document that it has no room for."""
    taken = []

    def documents() -> Iterator[int]:
        for size in (4, 4, 4, 4, 4):
            taken.append(size)
            yield size

    assert next(batches(documents(), int, 100, 10)) == [4, 4]
    assert len(taken) == 3
