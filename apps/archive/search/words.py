"""Words that people look for: `rivers AND (headline:"flood warning" OR -sport)`."""

import re
from collections.abc import Iterable, Sequence
from typing import NoReturn

from bson.regex import Regex

from apps.archive.search.conditions import (
    NOTHING,
    all_of,
    any_of,
    field_of,
    has_one_of,
    is_there,
    none_of,
)
from apps.core.errors import BadRequest
from apps.core.service import Document

SEARCHED = (
    *("headline", "slugline", "abstract", "body_html", "body_text", "byline", "description_text"),
    *("ednote", "keywords", "subject.name", "subject.qcode", "place.name", "authors.name"),
    "sign_off",
)
"""Fields that words without a field are looked for in."""
COMPARED = ("_id", "guid", "unique_name", "task.desk", "task.stage", "family_id")
"""Fields that they may be, whole."""

LONGEST = 500
MOST_WORDS = 20
DEPTH = 20

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<bracket>[()])
      | (?P<word>(?:AND|OR|NOT)(?=[\s()]|$) | && | \|\|)
      | (?P<sign>[+!-])
      | (?P<field>[A-Za-z_][\w.]*):
      | "(?P<phrase>(?:[^"\\]|\\.)*)"
      | (?P<text>[^\s()"\[\]{}^~:]+)
    )""",
    re.VERBOSE,
)
_JOINTS = {"AND": "AND", "&&": "AND", "OR": "OR", "||": "OR"}

_LETTERS = "0-9A-Za-z_\u00aa\u00b5\u00ba\u00c0-\u1fff\u2c00-\u2dff\u3040-\ud7ff\uf900-\ufdff"
"""What words are made of, in every language; `\\w` of the store is what English has of it."""
_LETTER = f"[{_LETTERS}]"
_BETWEEN = f"(?:<[^<>]*>|[^{_LETTERS}<])+"
"""Between two words of a phrase: anything that is no word, and tags."""
_OUTSIDE_OF_TAGS = r"(?![^<>]{0,1000}>)"
"""Tags are shorter than that: looking at all that follows would be done for each match."""


class Words:
    """Looks for words in fields of items, whatever their case.

    Args:
        fields: where to look; None for everywhere.
    """

    def __init__(self, fields: Sequence[str] | None = None) -> None:
        self._fields = fields

    def phrase(self, text: str) -> Document:
        """Return the query of what has the words of a text, one after the other.

        The last one may end with `*`: then the word only has to begin so.
        """
        pattern = pattern_of(text)
        if pattern is None:
            return NOTHING
        compared: Iterable[str] = ()
        fields = self._fields
        if fields is None:
            fields, compared = SEARCHED, COMPARED if " " not in text else ()
        # Whole values, too: fields of ids and codes hold no words.
        if self._fields is not None and not text.endswith("*"):
            compared = fields
        return any_of(
            [
                *({field: pattern} for field in fields),
                *(has_one_of(field, [text]) for field in compared),
            ]
        )

    def presence(self) -> Document:
        """Return the query of what has a value in the fields."""
        return any_of(map(is_there, self._fields or ["_id"]))


def pattern_of(text: str) -> Regex[str] | None:
    """Return the pattern of words that follow each other; None where a text has no word."""
    words = re.findall(r"\w+", text)
    if not words:
        return None
    end = f"{_LETTER}*" if text.endswith("*") else f"(?!{_LETTER})"
    return Regex(f"(?<!{_LETTER}){_BETWEEN.join(words)}{end}{_OUTSIDE_OF_TAGS}", "i")


def query_of_words(text: str, words: Words, *, is_and: bool) -> Document:
    """Return the query of what people have typed.

    Args:
        text: words, phrases in quotation marks, `field:word`, brackets, `AND`, `OR`, `NOT`, `+`
            and `-`, `*` at the end of a word.
        words: where to look for those without a field.
        is_and: whether words that nothing joins have to be there together.

    Raises:
        BadRequest: it cannot be read, or is too long.
    """
    if len(text) > LONGEST:
        raise BadRequest(f"The words of a search have {LONGEST} characters at most")
    return _Parser(text, is_and=is_and).query(words)


class _Parser:
    def __init__(self, text: str, *, is_and: bool) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._is_and = is_and

    def query(self, words: Words) -> Document:
        query = self._sequence(words, 0)
        if self._at < len(self._tokens):
            raise BadRequest("The words of a search have a bracket too many")
        return query

    def _sequence(self, words: Words, depth: int) -> Document:
        """Read up to the end or a closing bracket."""
        if depth > DEPTH:
            raise BadRequest(f"The words of a search are nested {DEPTH} times at most")
        required: list[Document] = []
        alternatives: list[list[Document]] = [[]]
        has_plus = False
        while (joint := self._next_joint()) is not None:
            sign, query = self._operand(words, depth)
            if joint == "OR" or (not joint and not sign and not self._is_and):
                alternatives.append([query])
            elif joint == "AND" or not sign:
                alternatives[-1].append(query)
            else:
                required.append(query)
                has_plus |= sign == "+"
        # Beside what has to be there the others would only change the order.
        is_optional = has_plus and not self._is_and
        found = [all_of(group) for group in alternatives if group and not is_optional]
        return all_of([*required, *([any_of(found)] if found else ())])

    def _next_joint(self) -> str | None:
        """Return what joins the next operand, `""` for nothing; None where there is none."""
        kind, value = self._peek()
        if kind == "word" and value in _JOINTS:
            self._at += 1
            return _JOINTS[value]
        return None if not kind or (kind, value) == ("bracket", ")") else ""

    def _operand(self, words: Words, depth: int) -> tuple[str, Document]:
        """Return the sign of an operand, `-`, `+` or none, and its query."""
        kind, value = self._take()
        if depth > DEPTH:
            self._refuse()
        if kind == "sign" or (kind, value) == ("word", "NOT"):
            sign, query = self._operand(words, depth + 1)
            if value == "+":
                return sign or "+", query
            return "-", none_of([query])
        if kind == "field":
            if value == "_exists_":
                return "", Words([field_of(self._take()[1])]).presence()
            return self._operand(Words([field_of(value)]), depth + 1)
        if (kind, value) == ("bracket", "("):
            query = self._sequence(words, depth + 1)
            if self._take() != ("bracket", ")"):
                self._refuse()
            return "", query
        if kind == "text" and value == "*":
            return "", words.presence()
        if kind not in ("text", "phrase"):
            self._refuse()
        return "", words.phrase(value)

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "")

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _refuse(self) -> NoReturn:
        raise BadRequest("The words of a search cannot be read")


def _tokens(text: str) -> Iterable[tuple[str, str]]:
    at, count = 0, 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadRequest(f"The words of a search cannot be read: {text[at : at + 20]!r}")
        at = match.end()
        kind = str(match.lastgroup)
        if kind in ("text", "phrase") and match[kind] != "*":
            if not re.search(r"\w", match[kind]):
                # Signs are no words.
                continue
            count += 1
        if count > MOST_WORDS:
            raise BadRequest(f"A search has {MOST_WORDS} words at most")
        yield kind, match[kind]
