"""The tables of the store contract: all of it is in MongoDB 6.0, and used (store contract 4)."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from apps.rest.queries import OPERATORS
from tests.support.commands import (
    COMMAND,
    EVERY,
    KINDS,
    NEWEST,
    OPTION,
    QUERY,
    ROOT,
    Word,
    listed,
    refusals_of,
    words_of,
)

SOURCE = "\n".join(
    path.read_text(encoding="utf-8") for path in sorted((ROOT / "apps").rglob("*.py"))
)

METHODS: Mapping[str, str] = {
    "find": r"\.find(_one)?\(",
    "aggregate": r"\.(aggregate|count_documents)\(",
    "distinct": r"\.distinct\(",
    "insert": r"\.insert_(one|many)\(",
    "update": r"\.(update_(one|many)|bulk_write|replace_one)\(",
    "delete": r"\.delete_(one|many)\(",
    "findAndModify": r"\.find_one_and_\w+\(",
    "createIndexes": r"\.create_indexes\(",
    "listIndexes": r"\bGridFS\(|\.index_information\(",
    "dropIndexes": r"\.drop_index\(",
    "serverStatus": r'"serverStatus"',
}
"""What asks the driver for a command."""

BY_DRIVER = {"getMore", "killCursors", "endSessions", EVERY}
"""Commands that follow from others."""
OF_COUNTS = {"$sum"}
"""Words of the pipeline by which the driver counts."""


def test_each_table_is_read() -> None:
    """A table with another title would list nothing."""
    assert {kind for kind, _ in listed()} == {*KINDS, OPTION}


def test_all_of_it_is_in_the_oldest_mongodb_that_has_to_do() -> None:
    """What came later is not used."""
    assert [word for word, since in listed().items() if since > NEWEST] == []


def test_what_clients_may_ask_for_is_listed() -> None:
    """The operators of a `where` are those of the table."""
    assert {(QUERY, name) for name in OPERATORS} <= listed().keys()


@pytest.mark.parametrize("word", sorted(word for word in listed() if word[0] != OPTION))
def test_what_is_listed_is_used(word: Word) -> None:
    """What no code asks for is taken off the list."""
    kind, name = word
    if kind == COMMAND:
        assert name in BY_DRIVER or re.search(METHODS[name], SOURCE)
    else:
        assert name in OF_COUNTS or re.search(rf"""["']?{re.escape(name)}["']?[:\]=]""", SOURCE)


@pytest.mark.parametrize(
    ("command", "unlisted"),
    [
        ({"find": "a", "filter": {"x": {"$near": 1}}, "hint": "i"}, {"$near", "find hint"}),
        ({"find": "a", "filter": {"$or": [{"x": {"$not": {"$mod": [1, 2]}}}]}}, {"$mod"}),
        ({"find": "a", "filter": {"x": 1}, "projection": {"y": {"$slice": 2}}}, {"$slice"}),
        ({"update": "a", "updates": [{"q": {}, "u": {"$rename": {"a": "b"}}}]}, {"$rename"}),
        ({"update": "a", "updates": [{"q": {}, "u": [{"$replaceWith": {}}]}]}, {"$replaceWith"}),
        (
            {"update": "a", "updates": [{"q": {}, "u": {"$push": {"a": {"$position": 1}}}}]},
            {"$position"},
        ),
        (
            {"update": "a", "updates": [{"q": {}, "u": {"$set": {"a": 1}}, "collation": {}}]},
            {"update collation"},
        ),
        ({"delete": "a", "deletes": [{"q": {"$where": "1"}, "limit": 0}]}, {"$where"}),
        (
            {"aggregate": "a", "pipeline": [{"$facet": {}}, {"$group": {"a": {"$avg": "$b"}}}]},
            {"$facet", "$avg"},
        ),
        (
            {"aggregate": "a", "pipeline": [{"$lookup": {"pipeline": [{"$sample": {}}]}}]},
            {"$sample"},
        ),
        ({"createIndexes": "a", "indexes": [{"key": {}, "name": "n", "hidden": 1}]}, {"hidden"}),
        ({"watch": "a"}, {"watch"}),
    ],
)
def test_the_listener_finds_what_is_not_listed(command: dict[str, Any], unlisted: set[str]) -> None:
    """Wherever it stands in a command."""
    words = set(words_of(next(iter(command)), command))
    assert {name for _, name in words - listed().keys()} == unlisted


def nested(levels: int) -> Any:
    """Return a value of so many levels."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "command",
    [
        {"insert": "archive", "documents": [{"$a": 1}]},
        {"insert": "archive", "documents": [nested(101)]},
        {"insert": "archive", "documents": [{"expiry": [1], "state": ["a", "b"]}]},
        {"insert": "archive", "documents": [{"task": [{"desk": 1}], "state": []}]},
        {"update": "archive", "updates": [{"q": {}, "u": {"$set": {"$a": 1}}}]},
        {"update": "archive", "updates": [{"q": {}, "u": {"$set": {"a..b": 1}}}]},
        {"update": "archive", "updates": [{"q": {}, "u": {"$set": {"a.b": nested(99)}}}]},
        {"update": "archive", "updates": [{"q": {}, "u": {"$a": 1, "b": 1}}]},
        {"findAndModify": "archive", "query": {}, "update": {"$set": {"": 1}}},
        {
            "createIndexes": "archive",
            "indexes": [{"key": {"a": 1}, "partialFilterExpression": {"a": {"$ne": 1}}}],
        },
    ],
)
def test_the_listener_finds_what_mongodb_refuses(command: dict[str, Any]) -> None:
    """Though the embedded server may take it."""
    assert list(refusals_of(next(iter(command)), command))


@pytest.mark.parametrize(
    "command",
    [
        {"insert": "archive", "documents": [nested(100), {"a.b": {"$c": 1}, "state": ["a"]}]},
        {"update": "archive", "updates": [{"q": {}, "u": {"$set": {"a.b": nested(98)}}}]},
        {"update": "archive", "updates": [{"q": {}, "u": {"a": {"$b": 1}}}]},
    ],
)
def test_the_listener_lets_pass_what_mongodb_takes(command: dict[str, Any]) -> None:
    """Up to the limits."""
    assert not list(refusals_of(next(iter(command)), command))
