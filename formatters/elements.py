"""What becomes of each element of HTML in the bodies that formats write.

The one declaration of it: `formatters/body.py` reads bodies by it, and `docs/elements.md` says what
each format makes of each kind.
"""

from collections.abc import Mapping
from enum import StrEnum


class Kind(StrEnum):
    """What an element becomes."""

    PARAGRAPH = "paragraph"
    HEADING = "heading"
    LIST = "list"
    DEFINITIONS = "definitions"
    TABLE = "table"
    QUOTE = "quote"
    PREFORMATTED = "preformatted"
    RULE = "rule"
    PICTURE = "picture"
    PLAYER = "player"
    FIGURE = "figure"
    BOLD = "bold"
    ITALIC = "italic"
    UNDERLINE = "underline"
    STRIKE = "strike"
    QUOTATION = "quotation"
    SCRIPT = "script"
    READING = "reading"
    LINK = "link"
    BREAK = "break"
    CONTENT = "content"
    NOTHING = "nothing"


TAGS: Mapping[Kind, str] = {
    Kind.PARAGRAPH: (
        "p div section article header footer main aside address nav search hgroup center form "
        "fieldset legend details summary dialog figcaption caption marquee "
        "li dt dd tr td th thead tbody tfoot optgroup option"
    ),
    Kind.HEADING: "h1 h2 h3 h4 h5 h6",
    Kind.LIST: "ul ol menu dir",
    Kind.DEFINITIONS: "dl",
    Kind.TABLE: "table",
    Kind.QUOTE: "blockquote",
    Kind.PREFORMATTED: "pre listing xmp plaintext",
    Kind.RULE: "hr",
    Kind.PICTURE: "img image",
    Kind.PLAYER: "iframe video audio embed object",
    Kind.FIGURE: "figure",
    Kind.BOLD: "b strong",
    Kind.ITALIC: "i em cite dfn var",
    Kind.UNDERLINE: "u ins",
    Kind.STRIKE: "s strike del",
    Kind.QUOTATION: "q",
    Kind.SCRIPT: "sup sub",
    Kind.READING: "rt",
    Kind.LINK: "a",
    Kind.BREAK: "br",
    Kind.CONTENT: (
        "abbr acronym applet bdi bdo bgsound big blink button canvas code col colgroup data "
        "datalist font kbd label map mark math meter nobr output picture progress rb rp rtc ruby "
        "samp select slot small source span svg textarea time track tt wbr"
    ),
    Kind.NOTHING: (
        "area base basefont frame head input link meta noembed noframes noscript param script "
        "style template title"
    ),
}
"""The elements of each kind. What is not named is `CONTENT`.

Rows, cells, items, terms and captions are what they are in their tables, lists and figures, and
paragraphs where they stand alone.
"""

SOURCES = ("src", "data", "data-src")
"""Attributes of players with what they play; pages that load it late have it in the last one."""

BLANK = "about:blank"
"""What a player shows before that."""

POST_ADDRESSES = ("data-href", "data-instgrm-permalink", "cite")
"""Attributes of empty elements with the address of the post that a network's script shows there."""

ELEMENTS: Mapping[str, Kind] = {tag: kind for kind, tags in TAGS.items() for tag in tags.split()}
"""The kind of each element."""
