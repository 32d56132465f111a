"""In which order lanes are served (delivery contract P1)."""

import pytest

from apps.lanes.claims import interleaved


@pytest.mark.parametrize(
    ("urgent", "normal", "order"),
    [
        ("", "", ""),
        ("", "xy", "xy"),
        ("abc", "", "abc"),
        ("abcd", "xy", "abcdxy"),
        ("abcdefghi", "xyz", "abcdxefghyiz"),
    ],
)
def test_a_normal_lane_gets_its_turn_after_four_urgent_ones(
    urgent: str, normal: str, order: str
) -> None:
    """Delivery contract P1: urgent lanes first, but nobody starves."""
    assert interleaved(list(urgent), list(normal)) == list(order)
