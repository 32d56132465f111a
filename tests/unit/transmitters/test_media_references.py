"""Which media an item refers to."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transmitters.media_references import media_references


def renditions(*media: str) -> dict[str, Any]:
    return {f"r{n}": {"media": m, "href": "http://x"} for n, m in enumerate(media)}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({}, []),
        ({"renditions": renditions("a", "b")}, ["a", "b"]),
        ({"renditions": {"original": None, "view": {"href": "x"}}}, []),
        ({"attachments": [{"media": "f"}, {"id": "no media"}]}, ["f"]),
        ({"associations": {"one": None, "two": {"renditions": renditions("a")}}}, ["a"]),
        ({"associations": {"one": {"attachments": [{"media": "f"}]}}}, ["f"]),
        ({"renditions": renditions("a", "a"), "attachments": [{"media": "a"}]}, ["a"]),
        ({"renditions": [{"name": "original", "media": "a"}]}, ["a"]),
        ({"associations": [{"name": "one", "renditions": renditions("a")}]}, ["a"]),
        ({"renditions": {"original": {"media": 7}}, "attachments": "x"}, []),
        ([{"renditions": renditions("a")}], []),
        ("text", []),
    ],
)
def test_what_refers(item: Any, expected: list[str]) -> None:
    """Renditions and attachments refer to media by `media`; each media id counts once."""
    assert media_references(orjson.dumps(item)) == expected


def test_two_levels() -> None:
    """Associations of associations count, those below do not."""
    item: dict[str, Any] = {"renditions": renditions("level 3")}
    for level in (2, 1, 0):
        item = {"renditions": renditions(f"level {level}"), "associations": {"x": item}}

    assert media_references(orjson.dumps(item)) == ["level 0", "level 1", "level 2"]


def test_lone_surrogates() -> None:
    """JSON that only the standard library reads is read; the id becomes text that can be sent."""
    body = b'{"headline": "\\ud800", "renditions": {"o": {"media": "a\\ud800"}}}'

    assert media_references(body) == ["a?"]


@pytest.mark.parametrize("body", [b"", b"<nitf/>", b"\xff\xfe", b"{", b"[" * 100_000])
def test_other_formats(body: bytes) -> None:
    """What is no JSON refers to nothing."""
    assert media_references(body) == []


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["renditions", "associations", "attachments", "media", "x"]), inner
        )
    ),
)


@given(values)
def test_any_json(value: Any) -> None:
    """Whatever the JSON, the answer is a list of different texts."""
    found = media_references(orjson.dumps(value))

    assert len(found) == len(set(found))
    assert all(isinstance(media, str) and media for media in found)
