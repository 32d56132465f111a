"""HTML fragments that may stand in anybody's page or mail (formats contract 8)."""

import nh3

from apps.core.html import bounded
from apps.core.text import strip_forbidden

TAGS = (
    "a", "abbr", "b", "blockquote", "br", "caption", "cite", "code", "dd", "del", "div", "dl", "dt",
    "em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "li",
    "ol", "p", "pre", "q", "s", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody",
    "td", "tfoot", "th", "thead", "tr", "u", "ul",
)  # fmt: skip
ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title", "width", "height"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
}
SCHEMES = frozenset({"http", "https", "mailto", "tel", "cid"})


def sanitized(html: str) -> str:
    """Return markup of any quality with nothing in it that runs, loads or hides.

    Elements that are not allowed give way to their content; scripts and styles go with theirs.
    """
    clean = nh3.clean(
        bounded(strip_forbidden(html)),
        tags=set(TAGS),
        attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
        url_schemes=set(SCHEMES),
        link_rel=None,
    )
    return strip_forbidden(clean)
