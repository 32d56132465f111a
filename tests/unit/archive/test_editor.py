"""Fields written from the editor's state (lifecycle contract 1.7)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from apps.archive.editor import complete_from_editor
from apps.core.errors import BadRequest
from apps.core.html import parsed


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


def atomic(data: Any = None) -> dict[str, Any]:
    return block(" ", "atomic", entityRanges=entity(), data={"data": data} if data else {})


def cells(text: str) -> dict[str, Any]:
    return {"numCols": 1, "numRows": 1, "cells": [[state(block(text))]]}


def held(kind: str, **data: Any) -> dict[str, Any]:
    """Return a block that holds text of its own."""
    return {"type": kind, "data": {"data": {**cells("said"), **data}}}


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
        (state(block("one\ntwo")), "<p>one<br>two</p>"),
        (
            state(
                block("a\nlink", entityRanges=entity(length=6)),
                _0={"type": "LINK", "data": {"link": {"href": "http://a"}}},
            ),
            '<p><a href="http://a">a<br>link</a></p>',
        ),
        (state(block("x = 1\ny", "code-block")), "<pre><code>x = 1\ny</code></pre>"),
        (
            state(block("before"), atomic(), block("after"), _0=held("MULTI-LINE_QUOTE")),
            '<p>before</p><div class="multi-line-quote"><p>said</p></div><p>after</p>',
        ),
        (
            state(atomic(data=json.dumps(cells("newer"))), _0=held("MULTI-LINE_QUOTE")),
            '<div class="multi-line-quote"><p>newer</p></div>',
        ),
        (
            state(atomic(), _0=held("CUSTOM_BLOCK", vocabularyId='fact"box')),
            '<div data-custom-block-type="fact&quot;box"><p>said</p></div>',
        ),
        (
            state(
                atomic(),
                _0={
                    "type": "ARTICLE_EMBED",
                    "data": {"item": {"_id": "urn:x:1", "body_html": "<p>story</p>"}},
                },
            ),
            '<div data-association-key="urn:x:1"><p>story</p></div>',
        ),
        (
            state(atomic(), _0={"type": "IMAGE", "data": {"src": "http://a.jpg", "alt": "A"}}),
            '<figure><img alt="A" src="http://a.jpg"/></figure>',
        ),
        (state(block("text", entityRanges=entity(9, 2))), "<p>text</p>"),
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


@pytest.mark.parametrize("sent", ["<p>as the editor <u>sees</u> it</p>", ""])
def test_what_the_client_wrote_stays(sent: str) -> None:
    """Its own HTML is what the editor sees; a difference is logged, the text of neither."""
    with capture_logs() as logs:
        updates = written(state(block("new")), body_html=sent, abstract="<p>kept</p>")

    assert (updates["body_html"], updates["abstract"]) == (sent, "<p>kept</p>")
    assert [(log["event"], log["field"]) for log in logs] == [("editor.html_differs", "body_html")]


def test_white_space_is_no_difference() -> None:
    with capture_logs() as logs:
        written(state(block("new")), body_html="<p>new</p>\n")

    assert logs == []


def test_the_state_wins_where_it_is_asked() -> None:
    """So it is where an item becomes an update of another."""
    updates = {"body_html": "<p>old</p>", "fields_meta": {}}
    updates["fields_meta"] = {"body_html": {"draftjsState": [state(block("new"))]}}

    complete_from_editor(updates, {}, state_wins=True)

    assert updates["body_html"] == "<p>new</p>"


@pytest.mark.parametrize(
    "html",
    [
        "<iframe src='http://a'>",
        "<p>a <!-- nobody closes",
        "<script>alert(1)",
        "</div></div>",
        "<table><tr><td>x",
        "<b>bold",
        "<a href='http://a'>link",
        "<plaintext>",
        "<style>p {",
        "<textarea>",
        "<select><option>",
        "<svg><title>",
        "<object data='http://a'>",
        "<![CDATA[ x",
    ],
)
@pytest.mark.parametrize("kind", ["EMBED", "ARTICLE_EMBED"])
def test_an_embed_ends_with_its_block(kind: str, html: str) -> None:
    """What it leaves open swallows nothing of the story."""
    data = {"EMBED": {"data": {"html": html}}, "ARTICLE_EMBED": {"item": {"body_html": html}}}
    content = state(atomic(), block("rest of the story"), _0={"type": kind, "data": data[kind]})

    read = parsed(written(content)["body_html"])

    assert [element.tag for element in read.children] == ["div", "p"]
    assert read.children[1].inner_html == "rest of the story"


def test_an_embed_that_is_whole_stays_as_it_is() -> None:
    """To the letter: players read it."""
    html = "<blockquote class=tweet>Hi &amp; bye<script async src=http://a></script></blockquote>"

    content = state(atomic(), _0={"type": "EMBED", "data": {"data": {"html": html}}})

    assert written(content)["body_html"] == f'<div class="embed-block">{html}</div>'


def test_custom_fields_are_in_extra() -> None:
    """`extra>name` is `extra.name`, beside the custom fields that are there."""
    updates: dict[str, Any] = {"fields_meta": {"extra>note": {"draftjsState": state(block("x"))}}}

    complete_from_editor(updates, {"extra": {"other": 1}})

    assert updates["extra"] == {"other": 1, "note": "<p>x</p>"}


@pytest.mark.parametrize(
    ("style", "html"),
    [
        ({"inlineStyleRanges": [{"offset": 5, "length": 4, "style": "BOLD"}]}, "<b>bold</b>"),
        ({"entityRanges": [{"offset": 5, "length": 4, "key": 0}]}, '<a href="u">bold</a>'),
    ],
)
def test_ranges_behind_emoji(style: dict[str, Any], html: str) -> None:
    """Browsers count in UTF-16: two for an emoji."""
    content = state(block("🌊🌊 bold 🎉 end", **style), _0={"type": "LINK", "data": {"url": "u"}})

    assert written(content)["body_html"] == f"<p>🌊🌊 {html} 🎉 end</p>"


LINK = {"type": "LINK", "data": {"url": "u"}}


@pytest.mark.parametrize(
    ("ranges", "entities", "html"),
    [
        ([(0, 3, 0), (1, 4, 1)], {"0": LINK, "1": LINK}, '<a href="u">One</a> two'),
        ([(4, 3, 1), (0, 3, 0)], {"0": LINK, "1": LINK}, '<a href="u">One</a> <a href="u">two</a>'),
        ([(0, 3, None)], {"0": LINK}, "One two"),
        ([(0, 3, 0)], {"0": None}, "One two"),
        ([(0, 3, 0)], {"0": {"type": "LINK"}}, "<a>One</a> two"),
        ([(0, 3, 0)], [LINK], '<a href="u">One</a> two'),
    ],
)
def test_the_text_of_ranges_that_cannot_be_read_stays(
    ranges: list[tuple[int, int, Any]], entities: Any, html: str
) -> None:
    named = [{"offset": first, "length": n, "key": key} for first, n, key in ranges]
    content = {"blocks": [block("One two", entityRanges=named)], "entityMap": entities}

    assert written(content)["body_html"] == f"<p>{html}</p>"


def test_one_picture_twice() -> None:
    """Each place has its own association."""
    media = {"type": "MEDIA", "data": {"media": {"_id": "p"}}}
    second = block(" ", "atomic", entityRanges=entity(1))

    html = written(state(atomic(), second, _0=media, _1=media))["body_html"]

    assert [html.count(f'START Image {{id: "editor_{key}"}}') for key in (0, 1)] == [1, 1]


def test_a_broken_state_beside_the_html() -> None:
    """What an editor sees is saved all the same."""
    with capture_logs() as logs:
        saved = written({"blocks": [5]}, body_html="<p>seen</p>")

    assert saved["body_html"] == "<p>seen</p>"
    assert [entry["event"] for entry in logs] == ["editor.no_state"]


def test_refuses_a_broken_state() -> None:
    """An entity that the state does not hold is named by its field."""
    broken = state(block(" ", "atomic", entityRanges=entity(9)))

    with pytest.raises(BadRequest) as refused:
        written({**broken, "blocks": [*broken["blocks"], 5]})

    assert refused.value.message == "fields_meta of body_html is no state of an editor"


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
blocks = st.lists(
    st.fixed_dictionaries(
        {"text": values},
        optional={
            "type": values,
            "depth": values,
            "entityRanges": values,
            "inlineStyleRanges": st.lists(
                st.fixed_dictionaries({"offset": values, "length": values, "style": values})
            ),
        },
    )
    | values,
    max_size=3,
)


@given(blocks, values)
def test_never_fails_otherwise(content: Any, entities: Any) -> None:
    """Whatever a client sends is written or refused."""
    try:
        written({"blocks": content, "entityMap": entities})
    except BadRequest as error:
        assert "no state of an editor" in error.message  # noqa: PT017
