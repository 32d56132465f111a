"""Markup that takes parsers long is bounded before they see it: seen by what reaches them."""

from typing import Any

import pytest
from lxml import etree
from turbohtml import Element

from apps.core.html import bounded, parsed
from apps.core.text import MOST_ATTRIBUTES, char_count, parse_html, plain_text

MANY = 20_000
NESTED = 520
"""Elements within elements of a tree that was bounded."""


def depth_of(root: Element) -> int:
    """Return how many elements are within each other at most."""
    deepest, pending = 0, [(root, 0)]
    while pending:
        element, depth = pending.pop()
        deepest = max(deepest, depth)
        inner = (node for node in element.children if isinstance(node, Element))
        pending += [(node, depth + 1) for node in inner]
    return deepest


@pytest.mark.parametrize(
    "nested",
    [
        "<div>",
        "<div><p>",
        "<ul><li>",
        "<table><tr><td>",
        "<blockquote>",
        "<b><p>",
        "<pre>",
        "<svg><foreignObject>",
        "<a href=x><i>",
    ],
)
def test_nesting_ends(nested: str) -> None:
    """Every text is kept, and nothing is nested as in the source."""
    html = nested * MANY + "end"
    assert depth_of(parsed(html)) <= NESTED
    clean = bounded(html)
    assert depth_of(parsed(clean)) <= NESTED
    assert plain_text(clean).strip() == "end"


@pytest.mark.parametrize("tag", ["b", "i", "font", "a"])
def test_formatting_that_nobody_closes_does_not_return(tag: str) -> None:
    """What is read is no longer than a few times the source."""
    opened = "".join(f"<{tag} title='{number}'>" for number in range(MANY))
    html = opened + "<p>x" * 2000
    assert len(bounded(html)) < 4 * len(html)


def test_short_texts_stay_as_they_are() -> None:
    html = "<p onclick='x()'>One<p>two<b>three"
    assert bounded(html) == html


@pytest.mark.parametrize(
    "before",
    ["", "<noscript>", "<NoScript><p>", "<select>", "<textarea></textarea>", "<p x='<!--'>"],
)
def test_tags_with_attributes_by_thousands(before: str) -> None:
    """The element gives way; what it holds, and what is around it, is kept."""
    attributes = " ".join(f"a{number}='>'" for number in range(MANY))
    html = f"<p>Before</p>{before}<p {attributes}>within <b title='t'>it</b></p>"
    root = parse_html(html)
    elements: Any = root.iter(etree.Element)
    assert max(len(element.attrib) for element in elements) <= MOST_ATTRIBUTES
    assert plain_text(html) == "Beforewithin it"
    assert char_count(html) == len("Beforewithin it")
    if "noscript" in before.lower():
        assert root.find(".//noscript") is not None


def test_formatting_with_attributes_by_thousands() -> None:
    attributes = " ".join(f"a{number}" for number in range(MANY))
    root = parsed(f"<b {attributes}>x</b>" + "<br>" * 3000)
    assert root.find("b") is None
    assert root.text.strip() == "x"


def test_long_tags_with_few_attributes_stay() -> None:
    """A picture that is written into the text is a long tag, too."""
    html = f"<p><img src='data:image/png;base64,{'A' * 100_000}' alt='x'></p>"
    assert parse_html(html).find(".//img").get("alt") == "x"
