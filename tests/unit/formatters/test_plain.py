"""Plain text and Markdown (formats contract 8 row 6)."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apps.core.text import strip_forbidden
from formatters.body import parse_body
from formatters.nodes import text_of_nodes
from formatters.plain import MarkdownFormatter, TextFormatter
from tests.support.format_items import CONTEXT
from tests.support.generated_items import html as any_html

STORY = {"_id": "urn:x:1", "item_id": "urn:x:1", "guid": "urn:x:1", "type": "text"}
HTML = (
    "<p>One <b>bold</b> &amp; <i>x</i><br>two</p><ul><li>a</li><li>b</li></ul><h2>Sub</h2>"
    '<p><a href="https://e.org">link</a></p><blockquote><p>q</p></blockquote>'
)


def written(formatter: Any, **fields: Any) -> str:
    [formatted] = formatter().format({**STORY, **fields}, CONTEXT)
    return str(formatted.body)


def test_text_of_a_story() -> None:
    """Blocks stand apart by an empty line; links carry their address."""
    text = written(TextFormatter, headline="Rivers rise", byline="Joe", body_html=HTML)

    assert (
        "RIVERS RISE\n\nJoe\n\nOne bold & x\ntwo\n\n- a\n- b\n\nSub\n\n"
        "link (https://e.org)\n\n  q\n"
    ) == text


def test_markdown_of_a_story() -> None:
    """Every element has its Markdown."""
    text = written(MarkdownFormatter, headline="Rivers *rise*", body_html=HTML)

    assert (
        "# Rivers \\*rise\\*\n\nOne **bold** & *x*  \ntwo\n\n- a\n- b\n\n### Sub\n\n"
        "[link](https://e.org)\n\n> q\n"
    ) == text


@pytest.mark.parametrize("formatter", [TextFormatter, MarkdownFormatter])
def test_a_withdrawn_story_says_so(formatter: Any) -> None:
    """A kill stands out in formats that have no field for it."""
    assert written(formatter, pubstatus="canceled", headline="x").startswith("WITHDRAWN\n")


@pytest.mark.parametrize("formatter", [TextFormatter, MarkdownFormatter])
@given(body=st.text(), headline=st.one_of(st.none(), st.text()))
def test_any_text_can_be_written(formatter: Any, body: str, headline: str | None) -> None:
    """Whatever the body holds, there is an output that can be encoded."""
    text = written(formatter, body_html=body, headline=headline)
    assert text.encode().decode() == text


@pytest.mark.parametrize(
    ("html", "text", "markdown"),
    [
        ("bare <b>text</b>", "bare text", "bare **text**"),
        ("<ol><li>a<ul><li>b</li></ul></li><li>c</li></ol>", "1. a\n   - b\n2. c", None),
        (
            "<table><caption>T</caption><tr><th>h</th><th>i</th></tr><tr><td>a</td><td>b</td></tr>"
            "</table>",
            "T\n\nh\ti\na\tb",
            "T\n\n| h | i |\n| --- | --- |\n| a | b |",
        ),
        (
            "<table><tfoot><tr><td>f</td></tr></tfoot><tr><td>c</td></tr></table>",
            "c\nf",
            "|   |\n| --- |\n| c |\n| f |",
        ),
        ("<pre>a\n b</pre>", "a\n b", "```\na\n b\n```"),
        ('<img src="i.jpg" alt="A">', "[A]", "![A](i.jpg)"),
        ('<img src="i.jpg">', "[i.jpg]", "![](i.jpg)"),
        (
            '<figure><img src="i.jpg"><figcaption>C</figcaption></figure>',
            "[C]",
            "![](i.jpg)\n\nC",
        ),
        ('<iframe src="https://e.org/v"></iframe>', "https://e.org/v", "<https://e.org/v>"),
        ("<p>a</p><hr><p>b</p>", "a\n\n---\n\nb", "a\n\n---\n\nb"),
        ("<p>H<sub>2</sub>O <s>x</s></p>", "H2O x", "H<sub>2</sub>O ~~x~~"),
        ("<h1>One</h1>", "One", "## One"),
        ("<p>a</p><script>x()</script><style>p {}</style>", "a", "a"),
    ],
)
def test_elements(html: str, text: str, markdown: str | None) -> None:
    """Formats scenario 51: each element has its place in both."""
    assert text == written(TextFormatter, body_html=html).strip("\n")
    assert (text if markdown is None else markdown) == written(
        MarkdownFormatter, body_html=html
    ).strip("\n")


def test_rows_of_different_lengths() -> None:
    """The first row has all columns; the others end where they end, however wide one is."""
    html = "<table><tr><td>1<tr><td>2<td>3<td>4<tr><td>5</table>"
    told = written(MarkdownFormatter, body_html=html).strip()
    assert told.splitlines()[2:] == ["| 1 |  |  |", "| 2 | 3 | 4 |", "| 5 |"]
    wide = f"<table><tr>{'<td>1' * 2000}{'<tr><td>2' * 2000}</table>"
    assert len(written(MarkdownFormatter, body_html=wide)) < 3 * len(wide)


@pytest.mark.parametrize("formatter", [TextFormatter, MarkdownFormatter])
@hypothesis_settings(suppress_health_check=list(HealthCheck))
@given(html=any_html)
def test_any_body_keeps_its_text(formatter: Any, html: str) -> None:
    """Formats scenario 51: whatever the markup, all characters are there, in their order."""
    told = iter(written(formatter, body_html=html))

    wanted = "".join(strip_forbidden(text_of_nodes(parse_body(html))).split())
    assert all(character in told for character in wanted)
