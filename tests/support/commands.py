"""What is sent to MongoDB, compared with what the store contract lists and MongoDB allows.

The embedded server takes more than MongoDB does. So a listener looks at every command that the
product sends, in all tests of a session, and fails the test in which one is not in the tables of
`docs/contract/store.md`, or breaks a rule that the embedded server does not know. What tests send
by themselves, to set a scene or to look at what came of it, is theirs.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pymongo.monitoring import CommandListener

from apps.store.indexes import CONTENT_INDEXES, INDEXES, LEGAL_INDEXES

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "docs" / "contract" / "store.md"

COMMAND, OPTION, QUERY, UPDATE, STAGE, EXPRESSION, INDEX = (
    *("command", "option", "query operator", "update operator", "stage", "expression"),
    "index option",
)
KINDS = (COMMAND, QUERY, UPDATE, STAGE, EXPRESSION, INDEX)
"""Kinds of words: the titles of the first columns of the tables."""

EVERY = "every command"
NEWEST = (6, 0)
"""The oldest MongoDB that has to do."""
DEEPEST = 100
"""Levels of a document that MongoDB stores."""

Word = tuple[str, str]
"""A kind, and a name of that kind; options have that of their command before them."""

NAME = re.compile(r"`([^`]+)`")
ROW = re.compile(r"^\|(.+)\|$")


# What the contract lists.


@cache
def listed() -> Mapping[Word, tuple[int, ...]]:
    """Return the words of the tables of the contract, each with the MongoDB that brought it."""
    words: dict[Word, tuple[int, ...]] = {}
    kind = ""
    for line in CONTRACT.read_text(encoding="utf-8").splitlines():
        row = ROW.match(line)
        if row is None:
            kind = ""
            continue
        cells = [cell.strip() for cell in row[1].split(" | ")]
        if not kind:
            kind = cells[0] if cells[0] in KINDS else "of something else"
        elif kind in KINDS and not cells[0].startswith("---"):
            names = NAME.findall(cells[0]) or [cells[0]]
            since = tuple(int(part) for part in cells[1].split("."))
            words.update({(kind, name): since for name in names})
            if kind == COMMAND:
                options = NAME.findall(cells[2])
                words.update({(OPTION, f"{n} {o}"): since for n in names for o in options})
    return words


# What a command says.


def words_of(name: str, command: Mapping[str, Any]) -> Iterator[Word]:
    """Yield the words of a command."""
    yield COMMAND, name
    known = {o.removeprefix(f"{EVERY} ") for k, o in listed() if k == OPTION}
    yield from ((OPTION, f"{name} {o}") for o in command if o not in {name, *known})
    for query in ("filter", "query"):
        yield from _query_words(command.get(query))
    if name == "find":
        yield from _expression_words(command.get("projection"))
    for part in ("updates", "deletes"):
        for statement in command.get(part, ()):
            yield from ((OPTION, f"{name} {o}") for o in statement if o not in ("q", "u"))
            yield from _query_words(statement["q"])
            yield from _update_words(statement.get("u", {}))
    yield from _update_words(command.get("update", {}) if name == "findAndModify" else {})
    yield from _pipeline_words(command.get("pipeline", ()))
    for index in command.get("indexes", ()):
        yield from ((INDEX, option) for option in index if option not in ("key", "name"))
        yield from _query_words(index.get("partialFilterExpression"))


def _query_words(query: Any) -> Iterator[Word]:
    if isinstance(query, Mapping):
        for key, value in query.items():
            if key.startswith("$"):
                yield QUERY, key
            yield from _expression_words(value) if key == "$expr" else _query_words(value)
    elif isinstance(query, list):
        for part in query:
            yield from _query_words(part)


def _update_words(update: Any) -> Iterator[Word]:
    if isinstance(update, list):
        yield from _pipeline_words(update)
        return
    for operator, fields in update.items():
        # Anything else is a whole document.
        if operator.startswith("$"):
            yield UPDATE, operator
            for value in fields.values() if operator in ("$push", "$addToSet", "$pull") else ():
                if isinstance(value, Mapping):
                    yield from ((UPDATE, key) for key in value if key.startswith("$"))


def _pipeline_words(pipeline: Sequence[Mapping[str, Any]]) -> Iterator[Word]:
    for stage in pipeline:
        for name, content in stage.items():
            yield STAGE, name
            if name == "$match":
                yield from _query_words(content)
            elif name in ("$lookup", "$unionWith"):
                yield from _pipeline_words(content.get("pipeline", ()))
            else:
                yield from _expression_words(content)


def _expression_words(value: Any) -> Iterator[Word]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key.startswith("$"):
                yield EXPRESSION, key
            yield from _expression_words(part)
    elif isinstance(value, list):
        for part in value:
            yield from _expression_words(part)


# What MongoDB refuses, and the embedded server takes.


def refusals_of(name: str, command: Mapping[str, Any]) -> Iterator[str]:
    """Yield why MongoDB would refuse a command."""
    collection = str(command.get(name))
    for document in command.get("documents", ()):
        yield from _unstorable(collection, document)
    updates = [statement["u"] for statement in command.get("updates", ())]
    if name == "findAndModify":
        updates.append(command.get("update", {}))
    for update in updates:
        if isinstance(update, Mapping):
            yield from _refused_update(collection, update)
    for index in command.get("indexes", ()):
        yield from _refused_filter(index.get("partialFilterExpression") or {})


def _unstorable(collection: str, document: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"the field {key}" for key in document if key.startswith("$"))
    if _depth(document) > DEEPEST:
        yield f"more than {DEEPEST} levels"
    for indexes in (INDEXES, CONTENT_INDEXES, LEGAL_INDEXES):
        for index in indexes.get(collection, ()):
            lists = [key for key in index.document["key"] if _has_list(document, key.split("."))]
            if len(lists) > 1:
                yield f"lists in two fields of one index: {lists}"


def _refused_update(collection: str, update: Mapping[str, Any]) -> Iterator[str]:
    if not update or not all(key.startswith("$") for key in update):
        yield from _unstorable(collection, update)
        return
    for fields in update.values():
        for path, value in fields.items():
            parts = path.split(".")
            if parts[0].startswith("$") or "" in parts:
                yield f"the path {path!r}"
            if len(parts) + _depth(value) > DEEPEST:
                yield f"more than {DEEPEST} levels"
    new = update.get("$setOnInsert")
    if new:
        yield from _unstorable(collection, {**new, **update.get("$set", {})})


PARTIAL = frozenset({"$eq", "$exists", "$gt", "$gte", "$lt", "$lte", "$type", "$and", "$or", "$in"})
"""Operators that the filter of a partial index may have in MongoDB 6.0."""


def _refused_filter(query: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"a partial index with {op}" for _, op in _query_words(query) if op not in PARTIAL)


def _depth(value: Any) -> int:
    if isinstance(value, Mapping):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list | tuple):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _has_list(value: Any, path: Sequence[str]) -> bool:
    """Whether a path of a document comes upon a list."""
    if isinstance(value, list):
        return True
    if not path or not isinstance(value, Mapping):
        return False
    return _has_list(value.get(path[0]), path[1:])


# The listener.

LIBRARIES = ("/site-packages/", "/dist-packages/", "/lib/python")
OWN = f"{ROOT / 'tests'}/"


class CommandCounter(CommandListener):
    """Counts the commands of a client."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: Any) -> None:
        self.count += 1

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


class SentCommands(CommandListener):
    """Listens to all clients of a session; keeps what is wrong with the commands."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.words: set[Word] = set()

    def started(self, event: Any) -> None:
        place = sent_from()
        if place.startswith(OWN):
            return
        words = set(words_of(event.command_name, event.command))
        self.words |= words
        where = place.removeprefix(f"{ROOT}/")
        for kind, name in sorted(words - listed().keys()):
            self.faults.append(f"{where} sends the {kind} {name}, which store.md does not list")
        for reason in refusals_of(event.command_name, event.command):
            self.faults.append(f"{where} sends what MongoDB refuses: {reason}")

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...

    def take(self) -> list[str]:
        """Return the faults since the last call, each once."""
        found = list(dict.fromkeys(self.faults))
        self.faults.clear()
        return found


def sent_from() -> str:
    """Return the file and the line that asked for the command that is being sent."""
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(str(ROOT)) and not any(part in file for part in LIBRARIES):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"
