"""Markdown as readers of CommonMark understand it (formats contract 8 row 6)."""

import re
from html import escape
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from lxml import etree
from lxml import html as lxml_html
from markdown_it import MarkdownIt

from formatters.plain import MarkdownFormatter
from tests.support.format_items import CONTEXT

STORY = {"_id": "urn:x:1", "item_id": "urn:x:1", "guid": "urn:x:1", "type": "text"}
READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

SIGNS = "*_`#-+=.>|[](){}!&;:~\\<\"'/^$%@, \u00a0\u201c\u2013"
text = st.text(st.sampled_from("abc19é\u0939\u093f" + SIGNS), min_size=1, max_size=8).map(escape)
line_starts = st.sampled_from(
    ["1. ", "12) ", "- ", "+ ", "# ", "> ", "---", "===", "```", "~~~", "    x", "* * *", ":--"]
)


def _around(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    tags = st.sampled_from(["b", "i", "s", "u", "sup", "q", "span", "em", "code"])
    wrapped = st.builds(lambda tag, held: f"<{tag}>{held}</{tag}>", tags, inner)
    linked = st.builds(lambda held: f'<a href="https://e.org/a_b*(c)">{held}</a>', inner)
    return wrapped | linked | st.lists(inner, max_size=4).map("".join)


inline = st.recursive(text | line_starts | st.just("<br>"), _around, max_leaves=8)


def _holding(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    tags = st.sampled_from(["blockquote", "div", "section"])
    items = st.lists(inner | inline, min_size=1, max_size=3).map(
        lambda held: "".join(f"<li>{one}</li>" for one in held)
    )
    lists = st.builds(
        lambda tag, start, held: f"<{tag} {start}>{held}</{tag}>",
        st.sampled_from(["ul", "ol"]),
        st.sampled_from(["", "start=7", "reversed"]),
        items,
    )
    wrapped = st.builds(lambda tag, held: f"<{tag}>{held}</{tag}>", tags, inner)
    return lists | wrapped | st.lists(inner, max_size=3).map("".join)


def _block(tag: str) -> st.SearchStrategy[str]:
    return inline.map(lambda held: f"<{tag}>{held}</{tag}>")


cells = st.lists(_block("td") | _block("th"), min_size=1, max_size=3).map("".join)
tables = st.lists(cells, min_size=1, max_size=3).map(
    lambda rows: "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"
)
pres = st.text(st.sampled_from("ab `~*\n"), max_size=9).map(lambda held: f"<pre>{held}</pre>")
blocks = st.recursive(
    _block("p") | _block("h2") | tables | pres | st.just("<hr>"), _holding, max_leaves=5
)


def written(**fields: Any) -> str:
    [formatted] = MarkdownFormatter().format({**STORY, **fields}, CONTEXT)
    return str(formatted.body)


def read(markdown: str) -> Any:
    """Return what a reader of CommonMark makes of a text."""
    return lxml_html.fragment_fromstring(READER.render(markdown), create_parent="div")


def seen(root: Any) -> str:
    """Return the characters of markup that are no blanks."""
    return "".join("".join(root.itertext(etree.Element)).split())


@hypothesis_settings(suppress_health_check=list(HealthCheck), max_examples=300)
@given(blocks)
@example("<p>a<b>b</b><i>c</i><b>d</b></p>")
@example("<ul><li>a</li></ul><ul><li>b</li></ul><ol><li>c</li></ol><ol><li>d</li></ol>")
def test_every_body_survives_a_reader(body: str) -> None:
    """No character of a story is taken for a mark, and no mark for a character."""
    wanted = seen(lxml_html.fragment_fromstring(body, create_parent="div"))
    shown = seen(read(written(body_html=body)))

    # Quotations within a line have marks of their own.
    assert re.sub("[\u201c\u201d\u2018\u2019]", "", wanted) == re.sub(
        "[\u201c\u201d\u2018\u2019]", "", shown
    )


@pytest.mark.parametrize(
    ("html", "rendered"),
    [
        ("<p><b>Stop.</b></p>", "<p><strong>Stop</strong>.</p>"),
        ("<p>a<b>b</b>c</p>", "<p>a<strong>b</strong>c</p>"),
        (
            "<p><b>\u201cNo\u201d</b>, he said</p>",
            "<p>\u201c<strong>No</strong>\u201d, he said</p>",
        ),
        ("<p><b>a <i>b</i></b>c</p>", "<p><strong>a</strong> <em><strong>b</strong></em>c</p>"),
        (
            '<p><b><a href="https://e.org">a</a></b>b</p>',
            '<p><a href="https://e.org"><strong>a</strong></a>b</p>',
        ),
        ('<p>a!<a href="https://e.org">b</a></p>', '<p>a!<a href="https://e.org">b</a></p>'),
        ("<p>1. a</p>", "<p>1. a</p>"),
        ("<p>AT&amp;amp;T</p>", "<p>AT&amp;amp;T</p>"),
        ("<p>a<br>- b</p>", "<p>a<br>\n- b</p>"),
        ("<ol start=7><li>a</li></ol>", '<ol start="7">\n<li>a</li>\n</ol>'),
        (
            "<ul><li>a</li></ul><ul><li>b</li></ul>",
            "<ul>\n<li>a</li>\n</ul>\n<!-- -->\n<ul>\n<li>b</li>\n</ul>",
        ),
        ("<blockquote>a<br>b</blockquote>", "<blockquote>\n<p>a<br>\nb</p>\n</blockquote>"),
        ("<p>a | b<br>--- | ---</p>", "<p>a | b<br>\n--- | ---</p>"),
        (
            '<p><a href="https://e.org/(a) b?c=1&amp;copy;">x</a></p>',
            '<p><a href="https://e.org/%28a%29%20b?c=1&amp;copy;">x</a></p>',
        ),
        ('<p><a href="/a">x</a></p>', '<p><a href="/a">x</a></p>'),
    ],
)
def test_what_a_reader_makes_of_it(html: str, rendered: str) -> None:
    """Emphasis, lists, links and line ends arrive as what they were."""
    assert rendered == READER.render(written(body_html=html)).strip().replace(" />", ">")


def test_lines_of_the_head_are_text() -> None:
    """Byline, dateline and notices are no lists, headings or emphasis."""
    told = READER.render(
        written(
            headline="1 * 2 * 3",
            byline="- Jo *Doe*",
            dateline={"text": "1. OSLO"},
            body_html="<p>a</p>",
            ednote="# Second",
            state="corrected",
        )
    )

    assert "<h1>1 * 2 * 3</h1>" in told
    assert "<p>- Jo *Doe*</p>" in told
    assert "<p>1. OSLO a</p>" in told
    assert "<p>CORRECTION: # Second</p>" in told
