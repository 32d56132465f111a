"""Plain text and Markdown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formatters.plain import MarkdownFormatter, TextFormatter
from tests.support.reference_formats import CONTEXT

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
    written(formatter, body_html=body, headline=headline).encode("utf-8", errors="replace")
