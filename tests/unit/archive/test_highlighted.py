"""The span of time that a highlight looks back."""

from datetime import UTC, datetime

import pytest

from apps.archive.highlighted import since

NOW = datetime(2030, 1, 3, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "begin"),
    [
        ("now-1h", datetime(2030, 1, 3, 11, 30, tzinfo=UTC)),
        ("now-24h", datetime(2030, 1, 2, 12, 30, tzinfo=UTC)),
        ("now/d", datetime(2030, 1, 3, tzinfo=UTC)),
        ("now/w", datetime(2029, 12, 31, tzinfo=UTC)),
        ("whatever", datetime(2030, 1, 3, tzinfo=UTC)),
    ],
)
def test_begins(span: str, begin: datetime) -> None:
    """Hours back, the day, or the week from Monday; a word that nobody knows is the day."""
    assert since(span, NOW) == begin
