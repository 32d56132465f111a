"""Fields written from the editor's state (lifecycle contract 1.7)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.archive.editor import complete_from_editor
from apps.core.errors import BadRequest


def block(text: str, kind: str = "unstyled", **ranges: Any) -> dict[str, Any]:
    return {"key": "k", "text": text, "type": kind, "depth": 0, **ranges}


def state(*blocks: Any, **entities: Any) -> dict[str, Any]:
    return {"blocks": list(blocks), "entityMap": {k.strip("_"): v for k, v in entities.items()}}


def written(content: Any, field: str = "body_html", **updates: Any) -> dict[str, Any]:
    result = {**updates, "fields_meta": {field: {"draftjsState": [content]}}}
    complete_from_editor(result, {})
    return result


def entity(key: int = 0, length: int = 1) -> list[dict[str, Any]]:
    return [{"offset": 0, "length": length, "key": key}]


@pytest.mark.parametrize(
    ("content", "html"),
    [
        (state(block("One & two")), "<p>One &amp; two</p>"),
        (state(block(""), block("a"), block("b", "header-two"), block(" ")), "<p>a</p><h2>b</h2>"),
        (
            state(block("a", "unordered-list-item"), block("b", "unordered-list-item")),
            "<ul><li>a</li><li>b</li></ul>",
        ),
        (
            state(
                block(
                    "bold",
                    inlineStyleRanges=[
                        {"offset": 0, "length": 4, "style": "BOLD"},
                        {"offset": 0, "length": 1, "style": "COMMENT-1"},
                    ],
                )
            ),
            "<p><b>bold</b></p>",
        ),
        (
            state(
                block("x", inlineStyleRanges=[{"offset": 0, "length": 1, "style": "ANNOTATION-7"}])
            ),
            '<p><span annotation-id="7">x</span></p>',
        ),
        (
            state(
                block("link", entityRanges=entity(length=4)),
                _0={"type": "LINK", "data": {"link": {"href": "http://a?b&c", "target": "_blank"}}},
            ),
            '<p><a href="http://a?b&amp;c" target="_blank">link</a></p>',
        ),
        (
            state(
                block(" ", "atomic", entityRanges=entity()),
                _0={"type": "EMBED", "data": {"data": {"html": "<iframe></iframe>"}}},
            ),
            '<div class="embed-block"><iframe></iframe></div>',
        ),
        (
            state(
                block(" ", "atomic", entityRanges=entity(5)),
                _5={
                    "type": "MEDIA",
                    "data": {
                        "media": {
                            "type": "picture",
                            "alt_text": 'a "b"',
                            "description_text": "c < d",
                            "renditions": {"original": {"href": "http://p"}},
                        }
                    },
                },
            ),
            '<!-- EMBED START Image {id: "editor_5"} -->\n'
            '<figure><img src="http://p" alt="a &quot;b&quot;">'
            "<figcaption>c &lt; d</figcaption></figure>\n"
            '<!-- EMBED END Image {id: "editor_5"} -->',
        ),
        (
            state(
                block(" ", "atomic", entityRanges=entity()),
                _0={
                    "type": "TABLE",
                    "data": {
                        "data": {
                            "numCols": 2,
                            "numRows": 2,
                            "withHeader": True,
                            "cells": [[state(block("h"))], {"1": state(block("c"))}],
                        }
                    },
                },
            ),
            "<table><thead><tr><th><p>h</p></th><th></th></tr></thead>"
            "<tbody><tr><td></td><td><p>c</p></td></tr></tbody></table>",
        ),
        (state(), ""),
        (state({"key": "comment"}, block("x", "poem")), "<p>x</p>"),
    ],
)
def test_writes_html(content: Any, html: str) -> None:
    """Blocks, styles and entities of the editor; empty blocks at the ends are its own."""
    assert written(content)["body_html"] == html


def test_some_fields_are_plain() -> None:
    """Headline and slugline hold text."""
    assert written(state(block("A & B"), block("C")), "headline")["headline"] == "A & B\nC"


def test_wins_over_what_was_sent() -> None:
    """The state is what the editor shows; fields without one stay as they were sent."""
    updates = written(state(block("new")), body_html="<p>old</p>", abstract="<p>kept</p>")

    assert (updates["body_html"], updates["abstract"]) == ("<p>new</p>", "<p>kept</p>")


def test_custom_fields_are_in_extra() -> None:
    """`extra>name` is `extra.name`, beside the custom fields that are there."""
    updates: dict[str, Any] = {"fields_meta": {"extra>note": {"draftjsState": state(block("x"))}}}

    complete_from_editor(updates, {"extra": {"other": 1}})

    assert updates["extra"] == {"other": 1, "note": "<p>x</p>"}


def test_refuses_a_broken_state() -> None:
    """An entity that the state does not hold is named by its field."""
    broken = state(block(" ", "atomic", entityRanges=entity(9)))

    with pytest.raises(BadRequest) as refused:
        written({**broken, "blocks": [*broken["blocks"], 5]})

    assert refused.value.message == "fields_meta of body_html is no state of an editor"


json = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
blocks = st.lists(
    st.fixed_dictionaries(
        {"text": json},
        optional={
            "type": json,
            "depth": json,
            "entityRanges": json,
            "inlineStyleRanges": st.lists(
                st.fixed_dictionaries({"offset": json, "length": json, "style": json})
            ),
        },
    )
    | json,
    max_size=3,
)


@given(blocks, json)
def test_never_fails_otherwise(content: Any, entities: Any) -> None:
    """Whatever a client sends is written or refused."""
    try:
        written({"blocks": content, "entityMap": entities})
    except BadRequest as error:
        assert "no state of an editor" in error.message  # noqa: PT017
