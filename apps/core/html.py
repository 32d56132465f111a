"""HTML that nobody has checked, in time that goes by its length alone. Pure functions.

Parsers have markup that takes them time by the square of its length: elements within elements,
formatting that nobody closes, attributes by thousands. It is taken away before they see it.
"""

import re

import turbohtml
from turbohtml import Element, rewrite

from apps.core.text import MOST_ATTRIBUTES, strip_forbidden

MANY_TAGS = 2000
"""A text with more tags is rid of the attributes of formatting elements before it is parsed: by
HTML's rules, different ones that nobody closes return by hundreds in every paragraph after them."""

DEEPEST_PARSED = 500
"""Nesting at which the parser is near its end."""

FLAT = frozenset({"a", "br", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "p"})
"""Elements that are kept of a text that is nested as deeply."""

HIDDEN = frozenset({
    "base", "button", "canvas", "datalist", "embed", "head", "input", "link", "meta", "meter",
    "noembed", "noframes", "noscript", "optgroup", "option", "progress", "script", "select",
    "style", "svg", "template", "textarea", "title",
})  # fmt: skip
"""Elements that go with all that is in them."""

MEDIA = ("img", "video", "audio")
CLOSED = HIDDEN.union(MEDIA, ("iframe",))
"""Elements whose content no reader sees."""

_PLAINTEXT = re.compile("(</?)plaintext", re.IGNORECASE)

FORMATTING = "b, big, code, em, font, i, nobr, s, small, strike, strong, tt, u"
"""Elements that return in every paragraph until they are closed."""


def parsed(html: str) -> Element:
    """Return the tree of a text, as browsers see it, nested no deeper than they nest."""
    clean = strip_forbidden(html)
    if clean.count("<") > MANY_TAGS:
        clean = rewrite.rewrite(clean, elements=[(FORMATTING, _drop_attributes)])
    root = turbohtml.parse_fragment(clean, positions=False)
    if clean.count("<") > DEEPEST_PARSED and _is_cut_off(root):
        # Behind tables that are nested deeper than the parser goes, text would be lost.
        clean = rewrite.rewrite(clean, elements=[("*", _flatten)])
        root = turbohtml.parse_fragment(clean, positions=False)
    return root


def balanced(html: str) -> str:
    """Return markup that leaves alone what stands around it.

    Markup that does is returned as it is; what swallows the rest of a page, such as a frame or a
    comment that nobody closes, or closes what it did not open, is written as browsers read it.
    """
    if _leaves_alone(html):
        return html
    # Nothing ends a `plaintext`.
    return parsed(_PLAINTEXT.sub(r"\1pre", html)).inner_html


def _leaves_alone(html: str) -> bool:
    around = parsed(f"<div>{html}</div><p>.</p>").children
    return [each.html for each in around[1:]] == ["<p>.</p>"]


def bounded(html: str) -> str:
    """Return markup that stands for the same, and that no parser takes long to read.

    What has few tags is returned as it is.
    """
    return parsed(html).inner_html if html.count("<") > MANY_TAGS else html


def _is_cut_off(root: Element) -> bool:
    """Whether elements are nested as deeply as the parser goes."""
    pending = [iter(root.children)]
    while pending and len(pending) < DEEPEST_PARSED:
        node = next(pending[-1], None)
        if node is None:
            pending.pop()
        elif isinstance(node, Element):
            pending.append(iter(node.children))
    return bool(pending)


def _flatten(element: rewrite.Element) -> None:
    """Let an element give way to its content, unless it holds no others or is hidden."""
    if element.tag not in FLAT and element.tag not in CLOSED:
        element.before(" ")
        element.after(" ")
        element.remove_and_keep_content()


def _drop_attributes(element: rewrite.Element) -> None:
    attributes = element.attrs
    if len(attributes) > MOST_ATTRIBUTES:
        element.remove_and_keep_content()
        return
    for name, _ in attributes:
        element.remove_attribute(name)
