"""Every format has the words of a body, in their order, whatever elements they stand in."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from lxml import etree
from lxml import html as lxml_html
from markdown_it import MarkdownIt

from formatters import BUILT_IN
from formatters.elements import TAGS, Kind
from formatters.feed import feed_entry
from tests.support.format_items import CONTEXT
from tests.support.format_schemas import idml_parts

STORY = {
    "_id": "urn:x:1",
    "item_id": "urn:x:1",
    "guid": "urn:x:1",
    "type": "text",
    "format": "HTML",
    "headline": "Headline",
    "dateline": {"text": "PERTH -"},
}
WORD = re.compile("w[0-9]+w")
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def of_html(html: str) -> str:
    """Return the text of markup, with what it says of pictures and where frames lead."""
    root = lxml_html.fragment_fromstring(html, create_parent="div")
    return " ".join(map(str, root.itertext(etree.Element)))


def of_xml(path: str) -> Callable[[Any], str]:
    """Return what reads the text in the elements at a path, namespaces apart."""

    def read(formatted: Any) -> str:
        root = etree.fromstring(formatted.data)
        [content] = root.xpath(path)
        return " ".join(content.itertext(etree.Element))

    return read


def of_json(key: str) -> Callable[[Any], str]:
    """Return what reads the markup or text under a key of a JSON document."""

    def read(formatted: Any) -> str:
        value = json.loads(formatted.data).get(key, "")
        return of_html("<br>".join(value) if isinstance(value, list) else value)

    return read


def of_ninjs_3(formatted: Any) -> str:
    """Return the body that is plain text."""
    bodies = json.loads(formatted.data).get("bodies", [])
    return " ".join(body["value"] for body in bodies if body["contentType"] == "text/plain")


def of_idml(formatted: Any) -> str:
    """Return the text of all stories."""
    parts = [part for name, part in idml_parts(formatted).items() if name.startswith("Stories/")]
    contents = [e for part in parts for e in part.iter("Content", "Br", "Cell")]
    return "".join(e.text or "" if e.tag == "Content" else "\n" for e in contents)


READERS: Mapping[str, Callable[[Any], str]] = {
    "nitf": of_xml("//*[local-name()='body.content']"),
    "newsml12": of_xml("//*[local-name()='body.content']"),
    "newsmlg2": of_xml("//*[local-name()='inlineXML']"),
    "ninjs": of_json("body_html"),
    "ninjs2": of_json("body_html"),
    "newsroom ninjs": of_json("body_html"),
    "ftp ninjs": of_json("body_html"),
    "ninjs3": of_ninjs_3,
    "jsonld": of_json("articleBody"),
    "imatrics": of_json("body"),
    "email": of_json("message_text"),
    "text": lambda formatted: str(formatted.body),
    "markdown": lambda formatted: of_html(MARKDOWN.render(formatted.body)),
    "idml": of_idml,
}

VISIBLE = [
    tag
    for kind, tags in TAGS.items()
    for tag in tags.split()
    if kind not in (Kind.NOTHING, Kind.PICTURE, Kind.PLAYER, Kind.BREAK, Kind.RULE)
]
"""Elements whose content readers see."""
OPTIONAL = ("p", "li", "dt", "dd", "option", "td", "tr", "rt", "rp")
INLINE = ("b", "i", "u", "s", "q", "sup", "a href='https://e.org'", "span", "code", "ruby", "cite")
BLOCKS = (
    *("p", "div", "section", "center", "fieldset", "details", "dialog", "hgroup", "blockquote"),
    *("h1", "h4", "address", "figure", "a href='https://e.org'", "b", "li", "dt", "summary"),
)
PIECES = (
    *("<br>", "<hr>", "<!-- c -->", "<wbr>", '<img src="https://e.org/i.jpg" alt="">', "&nbsp;"),
    *("<iframe src='https://e.org/v'>", "<script>x()</script>", "<video src='https://e.org/v'>"),
    *("<noscript>none</noscript>", "<script async src='https://e.org/x.js'>", "<source src=x>"),
)


def _around(tags: tuple[str, ...], inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda tag, held: f"<{tag}>{held}</{tag.split()[0]}>", st.sampled_from(tags), inner
    )


def _listed(inner: st.SearchStrategy[str], around: str, *tags: str) -> st.SearchStrategy[str]:
    entry = st.builds(lambda tag, held: f"<{tag}>{held}</{tag}>", st.sampled_from(tags), inner)
    return st.lists(entry, min_size=1, max_size=3).map(
        lambda entries: f"<{around}>{''.join(entries)}</{around.split()[0]}>"
    )


def _rows(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    spans = st.sampled_from(["", " colspan=2", " rowspan=2", " colspan=3 rowspan=3"])
    cell = st.builds(lambda span, held: f"<td{span}>{held}</td>", spans, inner)
    row = st.lists(cell, min_size=1, max_size=3).map(lambda cells: f"<tr>{''.join(cells)}</tr>")
    caption = st.just("") | inner.map(lambda held: f"<caption>{held}</caption>")
    return st.builds(
        lambda first, rows: f"<table>{first}{''.join(rows)}</table>",
        caption,
        st.lists(row, min_size=1, max_size=3),
    )


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(inner, min_size=1, max_size=3).map(" ".join)


words = st.just("W")
lines = st.recursive(
    words | st.sampled_from(PIECES[:1] + PIECES[2:4]),
    lambda inner: _around(INLINE, inner) | _joined(inner),
    max_leaves=5,
)
bodies = st.recursive(
    lines | st.sampled_from(PIECES),
    lambda inner: (
        _around(BLOCKS, inner)
        | _joined(inner)
        | _listed(inner, "ul", "li")
        | _listed(inner, "ol start=3", "li")
        | _listed(inner, "dl", "dt", "dd")
        | _rows(inner)
    ),
    max_leaves=10,
)


def numbered(body: str) -> str:
    """Return a body whose words can be told apart."""
    count = iter(range(10_000))
    return re.sub("W", lambda _: f"w{next(count)}w", body)


def told(body: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each format with the words that its readers find."""
    item = {**STORY, "body_html": body}
    for formatter in BUILT_IN:
        if formatter.can_format(item):
            [formatted] = formatter().format(item, CONTEXT)
            yield formatter.type, WORD.findall(READERS[formatter.type](formatted))
    yield "feeds", WORD.findall(of_html(feed_entry(item, CONTEXT).content_html))
    [mail] = [f for f in BUILT_IN if f.type == "email"]
    [formatted] = mail().format(item, CONTEXT)
    yield "mail in HTML", WORD.findall(of_html(json.loads(formatted.data)["message_html"]))


@hypothesis_settings(suppress_health_check=list(HealthCheck))
@given(bodies.map(numbered))
def test_words_of_any_body(body: str) -> None:
    """Valid markup: every word is there, once, in order, apart from its neighbours."""
    wanted = WORD.findall(body)
    for name, found in told(body):
        assert (name, found) == (name, wanted)


@pytest.mark.parametrize("tag", VISIBLE)
def test_words_of_every_element(tag: str) -> None:
    """Wherever an element stands, and whether it is closed or not."""
    for shape in ("{0}<{1}>{2}</{1}>{3}", "<p>{0} <{1}>{2}</{1}> {3}</p>", "<p>{0}</p><{1}>{2}{3}"):
        body = shape.format("w1w", tag, "w2w", "<p>w3w</p>")
        for name, found in told(body):
            if name in ("feeds", "mail in HTML"):
                continue
            assert (name, body, found) == (name, body, ["w1w", "w2w", "w3w"])


@pytest.mark.parametrize("name", READERS)
def test_lines_of_preserved_text(name: str) -> None:
    """Paragraphs of preserved text stay on lines of their own."""
    [formatter] = [each for each in BUILT_IN if each.type == name]
    item = {**STORY, "type": "text", "format": "preserved", "body_html": "<p>w0w</p><p>w1w</p>"}

    [formatted] = formatter().format(item, CONTEXT)

    data = formatted.data
    shown = of_idml(formatted) if name == "idml" else re.sub("<[^<>]*>", "<>", data.decode())
    assert "w0w" in shown
    assert "w1w" in shown
    assert "w0ww1w" not in shown
