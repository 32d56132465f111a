"""Which conditions are similar (routing contract 4.6)."""

import pytest

from apps.routing.filters.conditions import Operator
from apps.routing.filters.parameters import Parameter
from apps.routing.subscribers.condition_search import similar

LISTED = (Operator.IN, Operator.NIN)
PARAMETERS = {
    "subject": Parameter("subject", "Subject", LISTED),
    "place": Parameter("place", "Place", (Operator.MATCH, *LISTED)),
    "slugline": Parameter("slugline", "Slugline", (*LISTED, Operator.EQ, Operator.LIKE)),
    "embargo": Parameter("embargo", "Embargo", (Operator.EQ, Operator.NE)),
}


@pytest.mark.parametrize(
    ("wanted", "other", "is_similar"),
    [
        ("subject in a", "subject in a,b", True),
        ("subject in A", "subject in xax", True),
        ("subject in a", "subject in b", False),
        ("subject in a", "subject nin b", True),
        ("subject in a", "subject nin a,b", False),
        ("subject nin a", "subject nin a", True),
        ("subject nin a", "subject in b", True),
        ("subject nin a", "subject in a", False),
        ("subject in a", "slugline in a", False),
        ("place nin a", "place match b", True),
        ("place match a", "place match a,b", True),
        ("place match a", "place match b", False),
        ("slugline like a", "slugline in b", True),
        ("slugline like a", "slugline eq b", False),
        ("embargo eq true", "embargo eq True", True),
        ("embargo eq true", "embargo ne False", False),
    ],
)
def test_similar(wanted: str, other: str, is_similar: bool) -> None:
    """Same operator and containing the value, or the field's other operator and not so."""
    keys = ("field", "operator", "value")
    searched, stored = (dict(zip(keys, text.split(), strict=True)) for text in (wanted, other))

    found = similar(searched, PARAMETERS[searched["field"]], [stored])

    assert bool(found) is is_similar
