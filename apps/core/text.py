"""Figures and plain text of HTML fields. Pure functions; markup of any quality is taken."""

import re
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from unicodedata import normalize

from lxml import etree
from turbohtml import rewrite

LINE_ENDING_TAGS = frozenset({
    "address", "article", "aside", "blockquote", "br", "caption", "center", "dd", "details",
    "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1",
    "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "legend", "li", "listing", "main",
    "marquee", "menu", "nav", "ol", "optgroup", "option", "p", "plaintext", "pre", "search",
    "section", "summary", "table", "td", "th", "tr", "ul", "xmp",
})  # fmt: skip
"""Elements that stand on lines of their own, and `br`."""

WORDS_PER_MINUTE = 250
FIGURES_KEPT = 4
"""One after the other, an item's formats ask for the same figures. With the bodies that
`formatters.body` keeps, this takes a fourth off the time of six formats."""
DEEPEST_PARSED = 2000
"""Elements within elements that the HTML parser takes for certain."""
MOST_ATTRIBUTES = 100
"""A tag with more gives way to what is in the element: the parser compares each with all others."""
SHORT = 16_384
"""Characters of a text whose tags cannot have so many attributes that it matters."""

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAG = re.compile("<[/!?A-Za-z][^<>]*>")
_CHARACTERS = (
    "\u3005\u3007\u3040-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3100-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
"""Chinese characters, kana and bopomofo."""
_PARTED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\ua9e0-\ua9ff\uaa60-\uaa7f"
"""Thai, Lao, Burmese, Khmer."""
_WITHOUT_BLANKS = re.compile(f"[{_CHARACTERS}{_PARTED}]")
_CHARACTER_WORD = re.compile(f"[{_CHARACTERS}]")
_PARTED_SCRIPT = re.compile(f"[{_PARTED}]+")
_WHITE_SPACE = re.compile(r"\s+")
_MARKUP = re.compile("[<&]")
_NOSCRIPT = re.compile("(</?)noscript", re.IGNORECASE)
_RENAMED = re.compile("(</?)x-noscript")
CODE = ("script", "style")
_CODE = re.compile("<(?:script|style)", re.IGNORECASE)
_SWALLOWING = (
    "iframe|video|audio|object|noscript|noembed|noframes|template|title|textarea|xmp|plaintext"
)
"""Elements that show something else than their content, or that end at their own end tag only."""
_MAY_SWALLOW = re.compile("<[!sSiIvVaAoOnNtTxXpP][-cCtTfFiIuUbBoOeEmMlL]")
"""How the tags of these, of code and comments begin: most texts have none, and this is quick."""
_SWALLOWING_TAG = re.compile(rf"<(/?)({_SWALLOWING}|script|style)\b([^<>]*)>", re.IGNORECASE)
_WHOLE_TAG = re.compile(r"""</?[A-Za-z][^<>"']*+(?:"[^"]*+"[^>"']*+|'[^']*+'[^>"']*+)*+>""")
_MOST_OPEN_TAGS = 100
"""Tags that nobody closes in a text, after which what is in their attributes counts as text."""
_BLOCK = re.compile("<(?:p|div|h[1-6]|ul|ol|dl|table|blockquote|figure|section)[ >]", re.IGNORECASE)
"""Where the text goes on after code that nobody closed."""
_FILES = re.compile(r"(?:\s*</?(?:source|track|param|embed)\b[^<>]*>)*", re.IGNORECASE)
"""What belongs to a player, at its beginning."""
_QUOTE_MARKS = (("\u201c", "\u201d"), ("\u2018", "\u2019"))
"""What stands around a quotation, and around one that is in another."""
ANY_QUOTE_MARKS = "\"'\u00ab\u00bb\u2018\u2019\u201a\u201c\u201d\u201e\u2039\u203a\u300c\u300e"

_DIGIT_GAP = re.compile(r"[0-9]\s+(?=[0-9])")

_ELEMENTS_WITHOUT_END = frozenset({"br", "hr", "img", "input", "li", "p", "wbr"})
"""Elements of a line of text that are often not closed, or never."""

_ELEMENTS = LINE_ENDING_TAGS | _ELEMENTS_WITHOUT_END | {
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "center", "cite", "code", "data", "del",
    "dfn", "em", "font", "i", "iframe", "ins", "kbd", "label", "mark", "q", "s", "samp", "script",
    "small", "span", "strike", "strong", "style", "sub", "sup", "time", "tt", "u", "var",
}  # fmt: skip
"""Elements that a line of text may hold."""

_LINE_TAG = re.compile(
    r"<(/?)([A-Za-z][A-Za-z0-9]*)"
    r"(?:\s+[A-Za-z_][\w:.-]*(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'<>=`]+)))*\s*/?>"
)
_UNSEEN = re.compile(r"<!--[^<>]*-->|<(script|style)\b[^<>]*>[^<]*</\1\s*>", re.IGNORECASE)
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

_VISIBLE = re.compile(
    # White space; controls; soft hyphens, joiners and directions; fillers; variation selectors;
    # what no encoding has.
    "[^\\s\x00-\x1f\x7f-\x9f"
    "\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
    "\ufe00-\ufe0f\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)


@dataclass(frozen=True)
class TextFigures:
    """Size of a text.

    Attributes:
        characters: see `char_count`.
        words: see `word_count`.
        minutes: see `read_time`.
    """

    characters: int
    words: int
    minutes: int


def strip_forbidden(text: str) -> str:
    """Return `text` without the characters that XML 1.0 forbids: most controls, lone surrogates."""
    # Nothing that can be printed is forbidden. Without this question, ninjs takes 10 % longer.
    return text if text.isprintable() else _FORBIDDEN.sub("", text)


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: it is empty, or has only blanks and characters of no width."""
    return _VISIBLE.search(text) is None


def parse_html(html: str) -> etree._Element:
    """Return the document that `html` stands for; text that no element holds is kept.

    No text in it holds a character that XML forbids; values of attributes may. Scripts and styles
    are no text.

    Args:
        html: markup of any quality.
    """
    # The leading element makes input without any element parseable. The whole document is read, not
    # that element alone, because a stray end tag in the input may close it early.
    # Carriage returns, which the parser would swallow, count as characters.
    may_swallow = _MAY_SWALLOW.search(html) is not None
    source = _with_ends(html) if may_swallow else html
    kept = _without_long_tags(strip_forbidden(source)).replace("\r", "&#13;")
    is_deep = kept.count("<") >= DEEPEST_PARSED
    parser = _html_parser() if is_deep else _PARSER
    root = etree.fromstring(f"<div>{kept}", parser)
    if is_deep and _is_cut_off(parser):
        # The parser stops where markup is nested too deeply; its text is kept, without it.
        root = etree.fromstring(f"<div>{_TAG.sub(' ', kept)}", _html_parser())
    if "&#" in html:
        _strip_references(root)
    if may_swallow and _CODE.search(html):
        etree.strip_elements(root, *CODE, with_tail=False)
    return root


def with_ends(html: str) -> str:
    """Return markup in which nothing swallows the text after it.

    Frames, players and their like that nobody closes end where they begin; so do frames with
    elements in them, which no parser would see. A comment that nobody closes ends at the next tag,
    code where a block begins.
    """
    return _with_ends(html) if _MAY_SWALLOW.search(html) else html


def _with_ends(html: str) -> str:
    last_comment = html.rfind("-->") + 1
    kept = html[:last_comment] + _without_open_comments(html[last_comment:])
    tags = list(_SWALLOWING_TAG.finditer(kept))
    following: dict[str, re.Match[str]] = {}
    ends: list[tuple[int, str]] = []
    for tag in reversed(tags):
        name, after = tag[2].lower(), following.get(tag[2].lower())
        following[name] = tag
        if not tag[1] and (place := _missing_end(kept, tag, name, after)):
            ends.append((place, f"</{tag[2]}>"))
    parts, start = [], 0
    for place, end in reversed(ends):
        parts += [kept[start:place], end]
        start = place
    return "".join([*parts, kept[start:]])


def _without_open_comments(html: str) -> str:
    """Return markup that holds no end of a comment without the beginnings of comments.

    Up to the next tag goes with each of them.
    """
    if "<!--" not in html:
        return html
    parts: list[str] = []
    start, place, failures = 0, html.find("<"), 0
    while place >= 0:
        if html.startswith("<!--", place):
            parts.append(html[start:place])
            place = html.find("<", place + 1)
            start = place if place >= 0 else len(html)
            continue
        # What stands in an attribute is no comment.
        tag = _WHOLE_TAG.match(html, place) if failures < _MOST_OPEN_TAGS else None
        failures += tag is None
        place = html.find("<", tag.end() if tag else place + 1)
    return "".join([*parts, html[start:]])


def _missing_end(html: str, tag: re.Match[str], name: str, after: re.Match[str] | None) -> int:
    """Return where an element has to end that has no end of its own; 0 where it has.

    Args:
        after: the next tag of the name.
    """
    has_end = after is not None and bool(after[1])
    if name in CODE and " src" not in tag[3].lower():
        block = None if after else _BLOCK.search(html, tag.end())
        return block.start() if block else 0
    if has_end and name == "iframe":
        has_end = _TAG.search(html, tag.end(), after.start() if after else 0) is None
    if has_end:
        return 0
    files = _FILES.match(html, tag.end())
    return files.end() if files else tag.end()


def _without_long_tags(html: str) -> str:
    if len(html) < SHORT:
        return html
    # What is in `noscript` is text to the one parser, and markup to the other.
    clean = rewrite.rewrite(_NOSCRIPT.sub(r"\1x-noscript", html), elements=[("*", _drop_long)])
    return _RENAMED.sub(r"\1noscript", clean)


def _drop_long(element: rewrite.Element) -> None:
    if len(element.attrs) > MOST_ATTRIBUTES:
        element.remove_and_keep_content()


def _html_parser() -> etree.HTMLParser:
    return etree.HTMLParser(huge_tree=True)


_PARSER = _html_parser()
"""Making a parser takes as long as reading a short text with it; threads take turns."""


def _strip_references(root: etree._Element) -> None:
    """Remove what character references have brought in that XML forbids."""
    for element in root.iter():
        text, tail = element.text or "", element.tail or ""
        if (clean := strip_forbidden(text)) != text:
            element.text = clean
        if (clean := strip_forbidden(tail)) != tail:
            element.tail = clean


def _is_cut_off(parser: etree.HTMLParser) -> bool:
    return any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log)


def _text_of(root: etree._Element) -> str:
    return etree.tostring(root, encoding="unicode", method="text", with_tail=False)


def _break_lines(root: etree._Element) -> int:
    """Put each block on lines of its own, and a line feed for each `br`; return how many that were.

    A line feed stands after every block, and before those that follow on text.
    """
    count = 0
    for element in root.iter():
        tag = element.tag
        if tag in LINE_ENDING_TAGS:
            tail = element.tail
            element.tail = f"\n{tail}" if tail else "\n"
            count += 1 if tag == "br" else 1 + _break_before(element)
    return count


def _break_before(block: etree._Element) -> int:
    """Put a line feed between a block and the text that it follows on; return how many."""
    before = block.getprevious()
    if before is None:
        parent = block.getparent()
        if parent is not None and (text := parent.text) and text[-1] != "\n" and not text.isspace():
            parent.text = text + "\n"
            return 1
        return 0
    tail = before.tail
    # What is between two blocks stands apart already.
    if tail and tail[-1] == "\n":
        return 0
    if (not tail or tail.isspace()) and not _is_inline(before):
        return 0
    before.tail = f"{tail or ''}\n"
    return 1


def _is_inline(element: etree._Element) -> bool:
    """Whether an element stands within a line; comments do not."""
    return isinstance(element.tag, str) and element.tag not in LINE_ENDING_TAGS


def plain_text(html: str | None, line_feeds: bool = False) -> str:
    """Return the text content of `html`, elements joined without a separator.

    Args:
        html: markup, or text without any; None counts as empty.
        line_feeds: put each block on lines of its own, and a line feed for each `br`.
    """
    source = html or ""
    if not _MARKUP.search(source):
        return strip_forbidden(source)
    root = parse_html(source)
    if line_feeds:
        _mark_quotations(root)
        _break_lines(root)
    text = _text_of(root)
    return text.removesuffix("\n") if line_feeds else text


def preserved_text(html: str) -> str:
    """Return the text of markup whose line ends count.

    Blocks start on a line of their own; nothing else is added.
    """
    if not _MARKUP.search(html):
        return strip_forbidden(html)
    return preserved_text_of(parse_html(html))


def preserved_text_of(root: etree._Element, unseen: Set[str] = frozenset()) -> str:
    """Return the text in an element whose line ends count.

    Args:
        unseen: elements that are left out, with what is in them.
    """
    parts: list[str] = []
    starts_line = False
    walk = etree.iterwalk(root, ("start", "end", "comment", "pi"))
    for event, element in walk:
        text = element.text if event == "start" else element.tail
        if event == "start" and element.tag in unseen:
            walk.skip_subtree()
            text = ""
        elif event == "start" and element.tag == "br":
            parts.append("\n")
        elif element.tag in LINE_ENDING_TAGS and element.tag != "br":
            starts_line = starts_line or bool(parts)
        if text and (event == "start" or element is not root):
            is_apart = not starts_line or parts[-1].endswith("\n") or text.startswith(("\n", "\r"))
            parts += [text] if is_apart else ["\n", text]
            starts_line = False
    return "".join(parts)


def quote_marks(element: etree._Element) -> tuple[str, str]:
    """Return what stands around the text of a `q`; nothing if it has marks of its own."""
    shown = _text_of(element).strip()
    if not shown or shown[0] in ANY_QUOTE_MARKS:
        return "", ""
    depth = sum(1 for _ in element.iterancestors("q"))
    return _QUOTE_MARKS[depth % 2]


def _mark_quotations(root: etree._Element) -> None:
    for element in root.iter("q"):
        first, last = quote_marks(element)
        element.text = first + (element.text or "")
        element.tail = last + (element.tail or "")


def text_of_line(line: str) -> str:
    """Return what a headline, a byline, a note or the like says.

    Such fields hold text or markup and do not tell which. Tags of known elements, closed where they
    have to be, and character references with their semicolon are markup; any other `<`, `>` and `&`
    is meant: `AT&amp;T <b>wins</b>` says "AT&T wins", `Firm ends <Free> plan` says just that.

    Args:
        line: text or markup; a block or a break of it becomes a line feed.
    """
    if not _MARKUP.search(line):
        return strip_forbidden(line)
    shown = _UNSEEN.sub("", line)
    tags = {(tag[1], tag[2].lower()) for tag in _LINE_TAG.finditer(shown)}

    def replaced(tag: re.Match[str]) -> str:
        name, counterpart = tag[2].lower(), "" if tag[1] else "/"
        is_whole = name in _ELEMENTS_WITHOUT_END or (counterpart, name) in tags
        if name not in _ELEMENTS or not is_whole:
            return tag[0]
        return "\n" if name in LINE_ENDING_TAGS else ""

    bare = _LINE_TAG.sub(replaced, shown)
    if bare != shown:
        bare = "\n".join(filter(None, map(str.strip, bare.split("\n"))))
    return strip_forbidden(_REFERENCE.sub(lambda reference: unescape(reference[0]), bare))


def comparable(text: str) -> str:
    """Return `text` as texts are compared.

    Case does not count, all white space is one blank, and a letter with its accent is the same
    letter however it is encoded.
    """
    return _WHITE_SPACE.sub(" ", normalize("NFC", text.casefold()))


def _count_words(text: str) -> int:
    """Return the words of a text.

    Words stand between blanks. Of Chinese and Japanese each character counts, as word processors
    count them; Thai, Lao, Khmer and Burmese are parted by ICU's dictionaries (UAX 29).
    """
    if text.isascii() or not _WITHOUT_BLANKS.search(text):
        return _count_spaced(text)
    rest, characters = _CHARACTER_WORD.subn(" ", text)
    parted = sum(map(_count_parted, _PARTED_SCRIPT.findall(rest)))
    spaced = _PARTED_SCRIPT.sub(" ", rest)
    others = _count_spaced(spaced) if any(map(str.isalnum, spaced)) else 0
    return characters + parted + others


def _count_parted(run: str) -> int:
    # Takes 20 MB, which most newsrooms never need.
    from icu4py.breakers import WordBreaker  # noqa: PLC0415

    return sum(any(map(str.isalnum, part)) for part in WordBreaker(run, "th"))


def _count_spaced(text: str) -> int:
    tokens = text.split()
    # Nearly all begin with a letter or a digit. Asking for that first takes 25 % off all figures.
    words = [token for token in tokens if token[0].isalnum() or any(map(str.isalnum, token))]
    # Groups of digits that stand next to each other are one word, hence one less for each gap.
    count = len(words) - len(_DIGIT_GAP.findall(text))
    # A text that holds nothing but signs counts as one word, as clients know it.
    return count or min(len(tokens), 1)


def _is_japanese(language: str | None) -> bool:
    return (language or "").startswith("ja")


def _minutes(text: str, words: int, language: str | None, japanese_rate: int) -> int:
    if _is_japanese(language):
        return round(len("".join(text.split())) / japanese_rate)
    return (words + WORDS_PER_MINUTE // 2) // WORDS_PER_MINUTE


def word_count(html: str | None) -> int:
    """Return the number of words; digits in groups (`1 000`) are one word."""
    return _count_words(plain_text(html, line_feeds=True))


def char_count(html: str | None) -> int:
    """Return the number of characters of the text, line ends between blocks not counted."""
    return len(plain_text(html))


def read_time(html: str | None, language: str | None, japanese_rate: int) -> int:
    """Return the minutes it takes to read `html`, rounded: under 125 words it is 0.

    Args:
        html: markup or text.
        language: language tag; `ja` and its variants are measured in characters.
        japanese_rate: Japanese characters read in a minute.
    """
    return text_figures(html, language, japanese_rate).minutes


@lru_cache(maxsize=FIGURES_KEPT)
def text_figures(html: str | None, language: str | None, japanese_rate: int) -> TextFigures:
    """Return all figures of `html` for one parse; arguments as of `read_time`."""
    source, line_feeds = html or "", 0
    if _MARKUP.search(source):
        root = parse_html(source)
        line_feeds = _break_lines(root)
        lines = _text_of(root)
    else:
        lines = strip_forbidden(source)
    words = _count_words(lines)
    return TextFigures(
        characters=len(lines) - line_feeds,
        words=words,
        minutes=_minutes(lines, words, language, japanese_rate),
    )
