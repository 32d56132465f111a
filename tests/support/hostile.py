"""Bodies, arguments and headers of requests that nobody should send, and half-valid ones."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from bson import ObjectId

from tests.support.format_items import EXAMPLES, example_item

TEXTS = (
    *("", " ", "\u00a0", "\u200b", "x", "a.b", "..", "../../x", "$where", "$x", "a\x00b", "\x00"),
    *("\ud800", "\U0001f600", "\u0661", "0", "-1", "4", "true", "null", "NaN", "1e999", "[]", "{}"),
    *("2030-01-01T00:00:00+0000", "2030-13-45T99:99:99", "0001-01-01T00:00:00+0000", "12:00"),
    *("<p>x</p>", "<b", "&#0;&bogus;", "a" * 3000, "(a+)+$", "(", "[z-a]", "{{ 9 ** 9 }}"),
    *(
        "{% for a in item %}{{ a }}{% endfor %}",
        "No/Where",
        "now-1h",
        "urn:x:y",
        "http://[",
        "text",
    ),
    *("000000000000000000000000", "published", "kill", "http://127.0.0.1:9/x", "ftp://127.0.0.1:9"),
)
NUMBERS = (
    *(0, 1, -1, 7, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400),
    *(0.5, -0.0, 1e308, float("nan"), float("inf")),
)
OBJECTS: tuple[Any, ...] = (
    {},
    {"$ref": "a", "$id": 1},
    {"$ref": "a", "$id": "b", "$db": "c"},
    {"$gt": ""},
    {"$where": "1"},
    {"$date": 1},
    {"$oid": "000000000000000000000000"},
    {"$numberLong": "x"},
    {"a.b": 1},
    {"": 1},
    {"a\x00b": 1},
    {"\ud800": 1},
    {"_id": 5, "type": [1]},
    {"_id": {"a": 1}},
    {"type": "picture", "guid": {"x": 1}},
    {"qcode": None, "name": [], "scheme": {}},
    {"id": "root", "refs": None},
    {"id": "main", "refs": [{"residRef": "main"}, None, 1]},
    {"x": "x" * 5000},
)
LISTS: tuple[Any, ...] = (
    [],
    [None],
    [[]],
    [{}],
    [1, "a", None, {}],
    [{"_id": 5}],
    ["x"] * 500,
    [0],
)
QUERIES = (
    *("{", "[]", "1", "null", '""', "{}", '{"a": 1e999}', '{"_id": 99999999999999999999999}'),
    *('{"$where": "sleep(9)"}', '{"$or": 5}', '{"$or": [1]}', '{"$and": []}', '{"a": {"$in": 1}}'),
    *('{"headline": {"$regex": "(a+)+$"}}', '{"a": {"$regex": "["}}', '{"a": {"$regex": 5}}'),
    *(
        '{"a": {"$regex": "x", "$options": "zz"}}',
        '{"a": {"$options": "i"}}',
        '{"a": {"$type": 99}}',
    ),
    *('{"a..b": 1}', '{"": 1}', '{"$a": 1}', '{".": 1}', '{"a": {"$elemMatch": 1}}'),
    *('{"a": {"$size": -1}}', '{"a": {"$mod": [0, 0]}}', '{"a": {"$not": 1}}', '{"$text": {}}'),
    *('{"a": {"$near": 1}}', '{"_created": {"$gte": "x"}}', '{"_created": {"$gte": 1}}'),
    *(
        '_id=="x"',
        "_id in [1]",
        "a==1 and",
        "a=='" + "x" * 500 + "'",
        "not a",
        "a==-1",
        "a.b>=2**9",
    ),
    *('{"password": {"$exists": true}}', '{"$expr": {"$eq": [1, 1]}}', '{"$comment": {}}'),
    *(
        '{"a": {"$ref": 1, "$id": 2}}',
        '{"a": {"$date": "x"}}',
        '{"_id": {"$oid": "x"}}',
        '{"a": NaN}',
    ),
    *('{"state": {"$nin": null}}', '{"$nor": {}}', '{"a": {"$all": 1}}', '{"a": {"$exists": "x"}}'),
    "{" * 300,
    '{"a": ' * 150 + "1" + "}" * 150,
)
SORTS = (
    *("", "-", ",", "a,-b,", "_created", "-_created", "[]", "1", "null", "{}", "{", '[["a", 1]]'),
    *('[["a..b", 1]]', '[["", 1]]', '[["$a", 1]]', '[["a", 7]]', '[["a", "x"]]', '[["a"]]', "[[]]"),
    *("[1]", '[["a", 1], ["a", -1]]', "[[1, 1]]", '[["a", null]]', "password", "$a", "a..b", "a."),
    *(
        '[("a", 1)]',
        '[["a\\u0000", 1]]',
        '[["_id", 99999999999999999999]]',
        "a" * 2000,
        '[["a", 1.5]]',
    ),
)
PROJECTIONS = (
    *("", "{", "[]", "1", "null", '{"a": 1, "b": 0}', '{"$a": 1}', '{"a..b": 1}', '{"": 1}'),
    *('["a", 1]', '{"password": 1}', '{"a": {"$slice": "x"}}', '{"a": {"$elemMatch": 1}}', '"a"'),
    *(
        '{"_id": 0}',
        '{"a": null}',
        '{"a": [1]}',
        '{"a": "x"}',
        '{"a.b": 1, "a": 1}',
        '{"a": 1e400}',
    ),
)
NUMERALS = (
    *(
        "0",
        "1",
        "-1",
        "x",
        "",
        "1.5",
        "99999999999999999999",
        "9223372036854775807",
        "1e3",
        "\u0661",
    ),
    *(" 1", "null", "all", "diffs", "last", "NaN"),
)
ARGUMENTS: Mapping[str, Sequence[str]] = {
    "where": QUERIES,
    "sort": SORTS,
    "projection": PROJECTIONS,
    "embedded": (*PROJECTIONS, '{"task.desk": 1}', '{"lock_user": 1}', '{"_id": 1}'),
    "aggregate": QUERIES,
    "page": NUMERALS,
    "max_results": NUMERALS,
    "version": NUMERALS,
    "source": QUERIES,
    "q": TEXTS,
    "start_date": ("", "x", "2020-01-01", "9999-99-99", "now-1d", "-1"),
    "end_date": ("", "x", "2020-01-01", "9999-99-99", "now"),
    "criteria": ("can_export", "x", ""),
    "document_id": TEXTS,
    "subscriber_id": TEXTS,
    "formatter": ("NITFFormatter", "ninjs", "x", ""),
    "before": TEXTS,
    "product": TEXTS,
    "filter": QUERIES,
    "filters": QUERIES,
    "include_fields": TEXTS,
    "exclude_fields": TEXTS,
    "extra": ("true", ""),
    "publish": ("true", "x"),
    "desk_id": TEXTS,
    "resource": TEXTS,
    "$where": ("1",),
    "a[$ne]": ("1",),
}
HEADERS: Mapping[str, Sequence[str]] = {
    "If-Modified-Since": ("x", "", "Thu, 01 Jan 1970 00:00:00 GMT", "0", "\u00e9"),
    "If-None-Match": ("x", "*", '"x"', ""),
    "Content-Type": (
        "text/plain",
        "application/xml",
        "multipart/form-data",
        "",
        "application/json; x",
    ),
    "Accept": ("text/html", "application/xml", "x", "", "*/*;q=x"),
    "X-HTTP-Method-Override": ("PATCH", "DELETE", "PUT", "GET", "TRACE", "x", ""),
    "Authorization": ("Basic", "Basic x", "Basic Og==", "Bearer x", "Basic /////w==", "x"),
    "Range": ("bytes=0-", "bytes=9-1", "x", "bytes=-99999999999999999999"),
    "Origin": ("http://x", "null", ""),
    "Content-Encoding": ("gzip", "x"),
    "Accept-Language": ("x" * 500,),
    "X-Forwarded-For": ("x", "1.1.1.1, 2.2.2.2", "\u00e9"),
}
RAW_BODIES: tuple[bytes, ...] = (
    *(b"", b"1", b"true", b"null", b'"x"', b"[]", b"[1]", b"[null]", b"{", b"\xff\xfe", b"{}"),
    *(b'{"a": NaN}', b'{"a": 1e999}', b"[" * 5000, b'{"a":' * 500 + b"1" + b"}" * 500),
    *(b'{"a": "\\ud800"}', b'{"a": 1, "a": 2}', b"[[]]", b"[{}, 1]", b"a=1&b=2", b'{"_id": null}'),
    b'{"guid": "x", "guid": {"$ref": 1}}',
)


IDS = frozenset({"_id", "guid", "item_id", "unique_id", "unique_name", "state"})
"""What hardly any request says of a document."""


class Documents:
    """Documents that are valid by the schema of their resource, as far as that says.

    Args:
        random: where all choices come from.
        ids: ids of stored documents, by resource.
        directory: where files may be written.
    """

    def __init__(self, random: Random, ids: Mapping[str, Sequence[Any]], directory: Path) -> None:
        self._random = random
        self._ids = ids
        self._directory = str(directory)
        self._items = [example_item(name) for name in EXAMPLES]

    def valid(self, schema: Mapping[str, Any], share: float = 0.3) -> dict[str, Any]:
        """Return a document with the required fields and some of the others.

        Args:
            share: of the fields that are not required.
        """
        ids = frozenset() if self._random.random() < 0.1 else IDS
        return {
            name: self._value(rules or {})
            for name, rules in schema.items()
            if ((rules or {}).get("required") or self._random.random() < share)
            and name not in ids
            and not (rules or {}).get("readonly")
        }

    def item(self) -> dict[str, Any]:
        """Return the body of an item as newsrooms have them."""
        item = dict(self._random.choice(self._items))
        if self._random.random() < 0.9:
            for name in ("_id", "guid", "item_id", "unique_id", "unique_name"):
                item.pop(name, None)
        return item

    def mutated(self, document: Any) -> Any:
        """Return a document with up to three values changed, removed or added, at any depth."""
        is_of_kind = self._random.random() < 0.5
        for _ in range(self._random.choice([1, 1, 1, 2, 3])):
            document = self._of_same_kinds(document) if is_of_kind else self._mutated_once(document)
        return self.harmless(document)

    def harmless(self, value: Any) -> Any:
        """Return a body that writes no file outside of the directory."""
        if isinstance(value, dict):
            return {
                name: self._directory
                if name == "file_path" and isinstance(entry, str)
                else self.harmless(entry)
                for name, entry in value.items()
            }
        return [self.harmless(entry) for entry in value] if isinstance(value, list) else value

    def hostile(self) -> Any:
        """Return a value that hardly any field wants."""
        kind = self._random.randrange(8)
        if kind < 3:
            return self._random.choice(TEXTS)
        if kind == 3:
            return self._random.choice(NUMBERS)
        if kind == 4:
            return self._random.choice(OBJECTS)
        if kind == 5:
            return self._random.choice(LISTS)
        return self._random.choice([None, True, False, self.id(None), _nested(120)])

    def id(self, resource: str | None) -> Any:
        """Return the id of a stored document, of any resource for None."""
        pools = [resource] if resource in self._ids else sorted(self._ids)
        known = self._ids.get(self._random.choice(pools) or "") or [ObjectId()]
        return str(self._random.choice(known))

    def _of_same_kinds(self, value: Any) -> Any:
        """Return a value of the same kind that is odd somewhere; schemas often take it."""
        if isinstance(value, dict):
            if not value or self._random.random() < 0.1:
                return {**value, self._random.choice(TEXTS)[:40]: self.hostile()}
            name = self._random.choice(list(value))
            return {**value, name: self._of_same_kinds(value[name])}
        if isinstance(value, list):
            if not value or self._random.random() < 0.2:
                return self._random.choice([value * 2, [], [*value, None], [*value, {}]])
            place = self._random.randrange(len(value))
            return [*value[:place], self._of_same_kinds(value[place]), *value[place + 1 :]]
        if isinstance(value, str):
            return self._random.choice([*TEXTS, self.id(None)])
        if isinstance(value, bool):
            return not value
        return self._random.choice(NUMBERS) if isinstance(value, int | float) else None

    def _mutated_once(self, value: Any) -> Any:
        choice = self._random.random()
        if isinstance(value, dict) and value and choice < 0.85:
            name = self._random.choice(list(value))
            changed = dict(value)
            if choice < 0.1:
                changed.pop(name)
            elif choice < 0.2:
                changed[self._random.choice(TEXTS)[:40]] = self.hostile()
            elif choice < 0.25:
                changed.update(self._random.choice(OBJECTS))
            else:
                changed[name] = self._mutated_once(value[name])
            return changed
        if isinstance(value, list) and value and choice < 0.7:
            changed_list = list(value)
            place = self._random.randrange(len(value))
            changed_list[place] = self._mutated_once(value[place])
            return changed_list
        if choice > 0.97:
            return [value]
        return self.hostile()

    def _value(self, rules: Mapping[str, Any], depth: int = 0) -> Any:
        if rules.get("nullable") and self._random.random() < 0.1:
            return None
        if "allowed" in rules and rules.get("type") != "list":
            return self._random.choice(list(rules["allowed"]) or [None])
        related = (rules.get("data_relation") or {}).get("resource")
        if related:
            return self.id(related)
        kind = rules.get("type")
        kind = self._random.choice(kind) if isinstance(kind, list) else kind
        return self._of_kind(str(kind), rules, depth)

    def _of_kind(self, kind: str, rules: Mapping[str, Any], depth: int) -> Any:
        if kind == "list":
            entry = rules.get("schema") or {}
            allowed = rules.get("allowed")
            many = range(self._random.choice([0, 1, 1, 2]))
            if allowed:
                return [self._random.choice(list(allowed)) for _ in many]
            return [self._value(entry, depth + 1) for _ in many] if depth < 5 else []
        if kind == "dict":
            schema = rules.get("schema") or {}
            if schema and depth < 5:
                return {
                    name: self._value(each or {}, depth + 1)
                    for name, each in schema.items()
                    if (each or {}).get("required") or self._random.random() < 0.4
                }
            return self._random.choice([{}, {"a": 1}, {"x": {"name": "y"}}])
        return {
            "string": lambda: self._random.choice(
                ["x", "Rivers rise", "<p>Rivers rise.</p>", "en"]
            ),
            "integer": lambda: self._random.choice([0, 1, 3, 5]),
            "float": lambda: 1.5,
            "number": lambda: 1,
            "boolean": lambda: self._random.random() < 0.5,
            "datetime": lambda: "2030-01-01T00:00:00+0000",
            "objectid": lambda: self.id(None),
            "email": lambda: f"u{self._random.randrange(10**6)}@example.com",
        }.get(kind, lambda: self._random.choice(["x", 1, None, {}, []]))()


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def encoded(body: Any) -> bytes:
    """Return a body as JSON, with what JSON does not have: NaN, lone surrogates, large numbers."""
    return json.dumps(body, default=str).encode()
