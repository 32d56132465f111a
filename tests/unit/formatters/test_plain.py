"""Plain text and Markdown (formats contract 8 row 6)."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apps.core.text import strip_forbidden
from formatters import BUILT_IN
from formatters.body import parse_body
from formatters.nodes import text_of_nodes
from formatters.plain import MarkdownFormatter, TextFormatter
from tests.support.format_items import CONTEXT, example_item
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
        ("<p>a</p><hr><p>b</p>", "a\n\n---\n\nb", "a\n\n***\n\nb"),
        ("<p>He said <q>we <q>go</q> now</q>.</p>", "He said “we ‘go’ now”.", None),
        ("<p><q>«oui»</q></p>", "«oui»", None),
        ("<ol start=3><li>a</li><li>b</li></ol>", "3. a\n4. b", None),
        ("<ol reversed><li>a</li><li>b</li></ol>", "2. a\n1. b", "2. a\n1) b"),
        (
            "<ol><li>a</li><li value=7>b</li><li>c</li></ol>",
            "1. a\n7. b\n8. c",
            "1. a\n7) b\n8) c",
        ),
        ("<ol start=-1><li>a</li><li>b</li></ol>", "-1. a\n0. b", "- -1. a\n0. b"),
        (
            '<a href="https://e.org"><h2>One</h2><p>two</p></a>',
            "One (https://e.org)\n\ntwo (https://e.org)",
            "### [One](https://e.org)\n\n[two](https://e.org)",
        ),
        (
            '<a href="https://e.org"><img src="i.jpg" alt="A"></a>',
            "[A] (https://e.org)",
            "[![A](i.jpg)](https://e.org)",
        ),
        (
            '<p>x<sup><a href="https://e.org">1</a></sup></p>',
            "x1 (https://e.org)",
            "x<sup>[1](https://e.org)</sup>",
        ),
        ("<center>a</center>b<fieldset>c</fieldset>d", "a\n\nb\n\nc\n\nd", None),
        ("<details><summary>a</summary>b</details>", "a\n\nb", None),
        ("<dialog>a</dialog><hgroup><p>b</p></hgroup>c", "a\n\nb\n\nc", None),
        ("a<li>b</li>c<dt>d</dt><dd>e</dd><td>f</td>", "a\n\nb\n\nc\n\nd\n\ne\n\nf", None),
        (
            "<dl><dt>t</dt><dd>d</dd><div><dt>u</dt><dd>e</dd></div></dl>",
            "t\n  d\nu\n  e",
            "**t**\n\nd\n\n**u**\n\ne",
        ),
        ("<ruby>漢<rt>kan</rt></ruby>", "漢(kan)", None),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>", "漢(kan)", None),
        ("<p>Do<wbr>nau</p>", "Donau", None),
        (
            "<table><tr><td colspan=2>a</td><td>b</td></tr>"
            "<tr><td rowspan=2>c</td><td>d</td><td>e</td></tr>"
            "<tr><td>f</td><td>g</td></tr></table>",
            "a\t\tb\nc\td\te\n\tf\tg",
            "|   |   |   |\n| --- | --- | --- |\n| a |  | b |\n| c | d | e |\n|  | f | g |",
        ),
        (
            "<table><tr><td>a<table><tr><td>b</td><td>c</td></tr><tr><td>d</td></tr></table></td>"
            "<td>e</td></tr></table>",
            "a b, c; d\te",
            "|   |   |\n| --- | --- |\n| a b, c; d | e |",
        ),
        (
            "<table><tr><td rowspan=0>a</td><td>b</td></tr><tr><td>c</td></tr></table>",
            "a\tb\n\tc",
            "|   |   |\n| --- | --- |\n| a | b |\n|  | c |",
        ),
        (
            "<table><tbody><tr><td rowspan=9>a</td><td>b</td></tr></tbody>"
            "<tbody><tr><td>c</td><td rowspan=999>d</td></tr><tr><td>e</td></tr></tbody></table>",
            "a\tb\nc\td\ne",
            "|   |   |\n| --- | --- |\n| a | b |\n| c | d |\n| e |",
        ),
        (
            '<table><tr><td><a href="https://e.org/a|b">a</a></td><td>b</td></tr></table>',
            "a (https://e.org/a|b)\tb",
            "|   |   |\n| --- | --- |\n| [a](https://e.org/a%7Cb) | b |",
        ),
        (
            '<div class="fb-post" data-href="https://e.org/1"></div>'
            '<blockquote data-instgrm-permalink="https://e.org/2"> </blockquote>'
            '<iframe src="about:blank" data-src="https://e.org/3"></iframe>',
            "https://e.org/1\n\nhttps://e.org/2\n\nhttps://e.org/3",
            "<https://e.org/1>\n\n<https://e.org/2>\n\n<https://e.org/3>",
        ),
        ('<div data-href="javascript:x()"></div><p cite="about:blank"></p>a', "a", "a"),
        ('<blockquote cite="https://e.org/1">a</blockquote>', "  a", "> a"),
        ("<p>a<br><br>b</p>", "a\n\nb", "a\n\nb"),
        ("<h2>a<br>b</h2>", "a\nb", "### a b"),
        ('<p>a</p><iframe src="https://e.org/v"><p>b</p>', "a\n\nhttps://e.org/v\n\nb", None),
        ("<p>a</p><!-- open <p>b</p>", "a\n\nb", None),
        ("<p>a</p><script>x() <p>b</p>", "a\n\nb", None),
        ("<p>H<sub>2</sub>O <s>x</s></p>", "H2O x", "H<sub>2</sub>O ~~x~~"),
        ("<h1>One</h1>", "One", "## One"),
        ("<p>a</p><script>x()</script><style>p {}</style>", "a", "a"),
    ],
)
def test_elements(html: str, text: str, markdown: str | None) -> None:
    """Formats scenario 51: each element has its place in both."""
    assert text == written(TextFormatter, body_html=html).strip("\n")
    if markdown is None and "<iframe" in html:
        markdown = text.replace("https://e.org/v", "<https://e.org/v>")
    assert (text if markdown is None else markdown) == written(
        MarkdownFormatter, body_html=html
    ).strip("\n")


@pytest.mark.parametrize("format_type", ["text", "markdown", "nitf", "ninjs", "ninjs3"])
def test_packages_may_have_a_text(format_type: str) -> None:
    """As agencies send them: their text is in every format that has a place for it."""
    package = {**example_item("package"), "body_html": "<p>Packagewords</p>"}
    [formatter] = [known for known in BUILT_IN if known.type == format_type]
    [formatted] = formatter().format(package, CONTEXT)

    assert b"Packagewords" in formatted.data


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


@pytest.mark.parametrize("formatter", [TextFormatter, MarkdownFormatter])
def test_spans_of_tables_cost_no_more_than_the_table(formatter: Any) -> None:
    """Cells that say that they cover far more than there is are cells like others."""
    cells = "<td colspan=999 rowspan=999>1" * 500
    html = f"<table><tr>{cells}{'<tr><td>2' * 999}</table>"

    assert len(written(formatter, body_html=html)) < 3 * len(html)


@pytest.mark.parametrize(
    ("html", "begins"),
    [
        ("<p>One</p><p>two</p>", "OSLO, March 4 - One\n\ntwo"),
        ("<h2>One</h2>", "OSLO, March 4 -\n\n"),
        ("<ul><li>One</li></ul>", "OSLO, March 4 -\n\n- One"),
        ("<table><tr><td>One</td></tr></table>", "OSLO, March 4 -\n\n"),
        ("<pre>One</pre>", "OSLO, March 4 -\n\n"),
        ("", "OSLO, March 4 -"),
    ],
)
@pytest.mark.parametrize("formatter", [TextFormatter, MarkdownFormatter])
def test_a_dateline_begins_the_first_paragraph(formatter: Any, html: str, begins: str) -> None:
    """Before anything else than a paragraph it is one of its own."""
    told = written(formatter, body_html=html, dateline={"text": "OSLO, March 4 -"})

    assert told.startswith(begins)


def test_preserved_text_keeps_its_lines() -> None:
    """Paragraphs of preserved text stand on lines of their own; Markdown fences it."""
    fields = {"format": "preserved", "body_html": "<p>a  b\nc</p><p>* d</p>"}

    assert written(TextFormatter, **fields) == "a  b\nc\n* d\n"
    assert written(MarkdownFormatter, **fields) == "```\na  b\nc\n* d\n```\n"
