"""Searches: words (`q`), filters as Elasticsearch writes them, and Mongo queries, all as queries.

Elasticsearch is not there; the forms that clients know are translated as far as they have a meaning
for single items. Everything else is refused.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from apps.content_api.schema import DATE_FIELDS, ITEM_FIELDS, TEXT_FIELDS, WORDS
from apps.core.clock import moment_of
from apps.core.service import Document
from apps.core.text import comparable

MAX_DEPTH = 20
MAX_WORDS = 100
"""Most words, operators and parentheses of one search; each word is looked for in every text."""
LARGEST = 2**63 - 1
TOKEN = re.compile(
    r"""\s*(?:
        (?P<open>\()
      | (?P<close>\))
      | (?P<not>-|!|NOT\b)
      | (?P<and>AND\b|&&)
      | (?P<or>OR\b|\|\|)
      | (?:(?P<field>[A-Za-z_.]+):)?(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s()":]+))
    )""",
    re.VERBOSE,
)
COMPARISONS = {"gt": "$gt", "gte": "$gte", "lt": "$lt", "lte": "$lte", "from": "$gte", "to": "$lte"}
MONGO_LISTS = ("$and", "$or", "$nor")
MONGO_OPERATORS = frozenset(
    {"$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$not", "$all", "$size"}
)

Allowed = Callable[[str], bool]
"""Whether a field may be searched by."""


class SearchError(ValueError):
    """The search cannot be understood, or asks for what may not be searched by."""


# Words.


def words_query(text: str, operator: str, allowed: Allowed) -> Document:
    """Return the query of a search for words.

    Words, "phrases", `field:word`, `AND`, `OR`, `NOT`, `-word` and parentheses; a word may end in
    `*`.

    Args:
        operator: `AND` or `OR`, between words without one.

    Raises:
        SearchError: not such a search.
    """
    parser = _Parser(list(_tokens(text)), operator, allowed)
    return parser.run()


def _tokens(text: str) -> Iterator[re.Match[str]]:
    position, text, number = 0, text.rstrip(), 0
    while position < len(text):
        number += 1
        if number > MAX_WORDS:
            raise SearchError(f"a search has {MAX_WORDS} words at most")
        match = TOKEN.match(text, position)
        if match is None:
            raise SearchError("invalid search text")
        yield match
        position = match.end()


class _Parser:
    """Recursive descent: alternatives of conjunctions of terms."""

    def __init__(self, tokens: list[re.Match[str]], operator: str, allowed: Allowed) -> None:
        self._tokens = tokens
        self._allowed = allowed
        self._default = operator
        self._depth = 0

    def run(self) -> Document:
        query = self._alternatives()
        if self._tokens:
            raise SearchError("invalid search text")
        return query

    def _next_is(self, *kinds: str) -> bool:
        return bool(self._tokens) and any(self._tokens[0][kind] for kind in kinds)

    def _take(self, *kinds: str) -> bool:
        found = self._next_is(*kinds)
        if found:
            self._tokens.pop(0)
        return found

    def _alternatives(self) -> Document:
        found = [self._conjunction()]
        while self._take("or") or (self._default == "OR" and self._starts_term()):
            found.append(self._conjunction())
        return found[0] if len(found) == 1 else {"$or": found}

    def _conjunction(self) -> Document:
        found = [self._term()]
        while self._take("and") or (self._default == "AND" and self._starts_term()):
            found.append(self._term())
        return found[0] if len(found) == 1 else {"$and": found}

    def _starts_term(self) -> bool:
        return bool(self._tokens) and not self._next_is("close", "or", "and")

    def _term(self) -> Document:
        if self._next_is("not", "open"):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise SearchError("the search is nested too deeply")
            query = self._negation() if self._take("not") else self._group()
            self._depth -= 1
            return query
        if not self._next_is("phrase", "word") and not self._is_empty_phrase():
            raise SearchError("invalid search text")
        return self._words(self._tokens.pop(0))

    def _negation(self) -> Document:
        return {"$nor": [self._term()]}

    def _group(self) -> Document:
        self._tokens.pop(0)
        query = self._alternatives()
        if not self._take("close"):
            raise SearchError("invalid search text")
        return query

    def _is_empty_phrase(self) -> bool:
        return bool(self._tokens) and self._tokens[0]["phrase"] == ""

    def _words(self, token: re.Match[str]) -> Document:
        text = token["word"] if token["word"] is not None else token["phrase"]
        field = token["field"]
        if field is None:
            return _says(TEXT_FIELDS, text)
        check_field(field, self._allowed)
        return _says([field], text) if field in TEXT_FIELDS else {field: {"$in": _exact(text)}}


def _says(fields: Iterable[str], text: str) -> Document:
    """Return the query of items that have a word or phrase in one of the fields."""
    read = {"$regex": _pattern(comparable(text))}
    # What was not stored by this release has its texts as they came only.
    raw = {"$regex": _pattern(text), "$options": "i"}
    return {
        "$or": [
            *({f"{WORDS}.{name}": read} for name in fields),
            {WORDS: None, "$or": [{name: raw} for name in fields]},
        ]
    }


def _pattern(text: str) -> str:
    """Return the pattern of a word or phrase: whole words, unless an asterisk ends it."""
    words = text.rstrip("*").split()
    inner = r"\s+".join(re.escape(word) for word in words)
    start = _edge(text.lstrip()[:1])
    end = "" if text.endswith("*") else _edge(text.rstrip()[-1:])
    return f"{start}{inner}{end}"


def _edge(character: str) -> str:
    """Return the pattern of a word's edge; stores know ASCII words only."""
    return r"\b" if character.isascii() and character.isalnum() else ""


def _exact(text: str) -> list[Any]:
    return [text, int(text)] if re.fullmatch(r"-?\d{1,18}", text) else [text]


# Filters.


def elastic_query(wanted: Any, allowed: Allowed, depth: int = 0) -> Document:
    """Return the query of a filter: `term`, `terms`, `range`, `exists`, `bool`, `and`, `or`, `not`.

    Args:
        wanted: a filter, or a list of filters that all hold.

    Raises:
        SearchError: something else, or a field that may not be searched by.
    """
    if depth > MAX_DEPTH:
        raise SearchError("the filter is nested too deeply")
    if isinstance(wanted, list):
        parts = [elastic_query(part, allowed, depth + 1) for part in wanted]
        return {"$and": parts} if parts else {}
    if not isinstance(wanted, Mapping) or len(wanted) != 1:
        raise SearchError("a filter is an object with one key")
    ((kind, body),) = wanted.items()
    if kind == "bool" and isinstance(body, Mapping):
        return _bool(body, allowed, depth)
    if kind in ("and", "or") and isinstance(body, list) and body:
        return {f"${kind}": [elastic_query(part, allowed, depth + 1) for part in body]}
    if kind == "not":
        return {"$nor": [elastic_query(body, allowed, depth + 1)]}
    if kind in FIELD_FILTERS and isinstance(body, Mapping):
        return FIELD_FILTERS[kind](body, allowed)
    raise SearchError(f"unknown filter {kind}")


def _bool(body: Mapping[str, Any], allowed: Allowed, depth: int) -> Document:
    parts: list[Document] = []
    for name, wanted in body.items():
        members = wanted if isinstance(wanted, list) else [wanted]
        queries = [elastic_query(member, allowed, depth + 1) for member in members]
        if name in ("must", "filter"):
            parts += queries
        elif name == "should" and queries:
            parts.append({"$or": queries})
        elif name == "must_not" and queries:
            parts.append({"$nor": queries})
        elif queries:
            raise SearchError(f"unknown clause {name}")
    parts = [part for part in parts if part]
    return {"$and": parts} if parts else {}


def _single(body: Mapping[str, Any], allowed: Allowed) -> tuple[str, Any]:
    if len(body) != 1:
        raise SearchError("a filter names one field")
    ((field, value),) = body.items()
    check_field(field, allowed)
    return field, value


def _term(body: Mapping[str, Any], allowed: Allowed) -> Document:
    field, value = _single(body, allowed)
    return {field: {"$eq": _value(field, value)}}


def _terms(body: Mapping[str, Any], allowed: Allowed) -> Document:
    field, values = _single(body, allowed)
    if not isinstance(values, list):
        raise SearchError("terms is a list")
    return {field: {"$in": [_value(field, value) for value in values]}}


def _range(body: Mapping[str, Any], allowed: Allowed) -> Document:
    field, bounds = _single(body, allowed)
    if not isinstance(bounds, Mapping) or not bounds.keys() <= COMPARISONS.keys():
        raise SearchError("a range has gt, gte, lt or lte")
    return {field: {COMPARISONS[name]: _value(field, bound) for name, bound in bounds.items()}}


def _exists(body: Mapping[str, Any], allowed: Allowed) -> Document:
    field = body.get("field")
    if not isinstance(field, str):
        raise SearchError("exists names a field")
    check_field(field, allowed)
    return {field: {"$ne": None}}


FIELD_FILTERS: Mapping[str, Callable[[Mapping[str, Any], Allowed], Document]] = {
    "term": _term,
    "terms": _terms,
    "range": _range,
    "exists": _exists,
}


# Mongo queries.


def mongo_query(wanted: Any, allowed: Allowed, depth: int = 0) -> Document:
    """Return a query that clients wrote, with nothing in it that runs code or shows what is hidden.

    Raises:
        SearchError: it is no such query.
    """
    if not isinstance(wanted, Mapping) or depth > MAX_DEPTH:
        raise SearchError("where is an object")
    query: Document = {}
    for key, value in wanted.items():
        if key in MONGO_LISTS:
            if not isinstance(value, list) or not value:
                raise SearchError(f"{key} takes a list")
            query[key] = [mongo_query(part, allowed, depth + 1) for part in value]
        else:
            check_field(key, allowed)
            query[key] = _condition(key, value)
    return query


def _condition(field: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return {"$eq": _value(field, value)}
    if not value or not value.keys() <= MONGO_OPERATORS:
        raise SearchError(f"{field} is compared with an unknown operator")
    return {
        operator: _condition(field, operand) if operator == "$not" else _value(field, operand)
        for operator, operand in value.items()
    }


def check_field(field: str, allowed: Allowed) -> None:
    """Check that a dotted name begins with a field of items that may be searched by.

    Raises:
        SearchError: it does not.
    """
    root = field.partition(".")[0]
    if "$" in field or "\0" in field or root not in ITEM_FIELDS or not allowed(root):
        raise SearchError(f"unknown field {field}")


def _value(field: str, value: Any) -> Any:
    """Return what a field is compared with: times as times, and nothing that is an operator."""
    if isinstance(value, list):
        return [_value(field, member) for member in value]
    if isinstance(value, Mapping):
        raise SearchError(f"{field} is compared with an object")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise SearchError(f"{field} is compared with too large a number")
    if field not in DATE_FIELDS or not isinstance(value, str):
        return value
    moment = moment_of(value)
    if moment is None:
        raise SearchError(f"{field} is compared with {value!r}, which is no time")
    return moment
