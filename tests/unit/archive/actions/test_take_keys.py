"""What an update takes from its story."""

import pytest

from apps.archive.actions.rewrite import take_key


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        (1, "update"),
        (2, "2nd update"),
        (3, "3rd update"),
        (4, "4th update"),
        (11, "11th update"),
        (12, "12th update"),
        (21, "21st update"),
        (112, "112th update"),
    ],
)
def test_take_keys_count_in_ordinals(sequence: int, expected: str) -> None:
    """The first update has no number; those from eleven to thirteen end in `th`."""
    assert expected == take_key(sequence)
