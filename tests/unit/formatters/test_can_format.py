"""Which item types each format takes (formats contract 1.3)."""

import pytest

from formatters import BUILT_IN

ALL = ("text", "preformatted", "composite", "picture", "video", "audio", "graphic", "event")
TEXTS = ("text", "preformatted")
PACKAGED = (*TEXTS, "composite")
PUBLISHED = ALL[:-1]
TAKEN = {
    **dict.fromkeys(("ninjs", "ninjs2", "newsroom ninjs", "ftp ninjs", "ninjs3"), ALL),
    "nitf": PACKAGED,
    # Graphics go the way of pictures.
    **dict.fromkeys(("newsml12", "newsmlg2", "jsonld"), PUBLISHED),
    **dict.fromkeys(("email", "imatrics"), ("text",)),
    "idml": TEXTS,
    **dict.fromkeys(("text", "markdown"), PACKAGED),
}


@pytest.mark.parametrize("formatter", BUILT_IN, ids=lambda cls: cls.type)
def test_truth_table(formatter: type) -> None:
    """Formats scenario 4: every format by every item type; anything else is taken by none."""
    kind: str = formatter.type  # type: ignore[attr-defined]
    taken = [name for name in ALL if formatter.can_format({"type": name})]  # type: ignore[attr-defined]

    assert list(TAKEN[kind]) == taken
    for other in ("opera", "", None):
        assert not formatter.can_format({"type": other})  # type: ignore[attr-defined]
    assert not formatter.can_format({})  # type: ignore[attr-defined]
