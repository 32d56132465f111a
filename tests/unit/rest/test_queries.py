"""Queries of clients as the store gets them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from werkzeug.exceptions import BadRequest

from apps.core import json
from apps.rest.queries import (
    CONDITIONS,
    DEPTH,
    VALUES,
    check_shown,
    projection_of,
    sort_of,
    where_of,
)

ID = "65f000000000000000000000"


class TestWhere:
    @pytest.mark.parametrize(
        "query",
        [
            {},
            {"state": "draft"},
            {"extra.city": None},
            {"recipients.0.user_id": ID},
            {"_id": {"$in": []}},
            {"desks": {"$size": 0}},
            {"$or": [{"desks": ID}, {"desks": {"$size": 0}}], "$and": [{"a": {"$exists": 1}}]},
            {"headline": {"$regex": "Budget", "$options": "i"}},
            {"headline": {"$not": {"$regex": "Budget"}}},
            {"groups": {"$elemMatch": {"id": "main", "refs.type": {"$ne": "text"}}}},
            {"codes": {"$elemMatch": {"$gt": "a", "$lt": "b"}}},
            {"$nor": [{"priority": {"$gte": 1, "$lte": 3}}]},
            {"task": {"desk": ID, "stage": {"a": [1, 2.5, True, None]}}},
            {"body": {"$type": ["string", "null"]}},
            {"keywords": {"$all": ["a", "b"]}},
        ],
        ids=str,
    )
    def test_reaches_the_store_as_it_is(self, query: dict[str, Any]) -> None:
        """What clients ask for is taken."""
        assert where_of(json.dumps(query).decode()) == query

    @pytest.mark.parametrize(
        ("text", "query"),
        [
            ('item_id=="123"', {"item_id": "123"}),
            ("item_id=='1' and version>2", {"$and": [{"item_id": "1"}, {"version": {"$gt": 2}}]}),
            ("a.b!=-1 or c<=1.5", {"$or": [{"a.b": {"$ne": -1}}, {"c": {"$lte": 1.5}}]}),
            ("a==True", {"a": True}),
            (f'user==ObjectId("{ID}")', {"user": ObjectId(ID)}),
            ("a<datetime(2026, 3, 2)", {"a": {"$lt": datetime(2026, 3, 2, tzinfo=UTC)}}),
        ],
    )
    def test_may_be_comparisons(self, text: str, query: dict[str, Any]) -> None:
        """As in Python."""
        assert where_of(text) == query

    @pytest.mark.parametrize(
        "text",
        [
            "1",
            "null",
            '"x"',
            "[]",
            '[{"a": 1}]',
            '{"a": NaN}',
            '{"a": Infinity}',
            '{"a": 1e999}',
            f'{{"a": {2**63}}}',
            f'{{"a": {"9" * 30}}}',
            f'{{"a": {"9" * 5000}}}',
            f'{{"a": {{"$in": [{-(2**63) - 1}]}}}}',
            '{"a": "\\ud800"}',
            '{"\\ud800": 1}',
            '{"": 1}',
            '{"a..b": 1}',
            '{".a": 1}',
            '{"a.$b": 1}',
            '{"a\\u0000": 1}',
            '{"$": 1}',
            '{"$where": "true"}',
            '{"a": {"$where": "true"}}',
            '{"$or": [{"$where": "true"}]}',
            '{"$expr": {}}',
            '{"$text": {"$search": "x"}}',
            '{"$jsonSchema": {}}',
            '{"$comment": "x"}',
            '{"a": {"$function": {}}}',
            '{"a": {"$near": [1, 2]}}',
            '{"a": {"$bitsAllSet": 1}}',
            '{"a": {"$mod": [2, 0]}}',
            '{"a": {"$ref": "a", "$id": 1}}',
            '{"a": {"$gt": {"$ref": "a", "$id": 1}}}',
            '{"a": {"b": {"$gt": 1}}}',
            '{"a": [{"$gt": 1}]}',
            '{"a": {"$gt": 1, "b": 2}}',
            '{"a": {"$in": 5}}',
            '{"a": {"$in": [{"$regex": "a"}]}}',
            '{"a": {"$all": [{"$elemMatch": {"$where": "1"}}]}}',
            '{"a": {"$not": 5}}',
            '{"a": {"$not": {}}}',
            '{"a": {"$not": {"b": 1}}}',
            '{"a": {"$not": {"$where": "1"}}}',
            '{"a": {"$elemMatch": 5}}',
            '{"a": {"$elemMatch": {}}}',
            '{"a": {"$elemMatch": {"$or": [{"$where": "1"}]}}}',
            '{"a": {"$elemMatch": {"b": 1, "$gt": 2}}}',
            '{"a": {"$size": "x"}}',
            '{"a": {"$size": -1}}',
            '{"a": {"$size": true}}',
            '{"a": {"$exists": "x"}}',
            '{"a": {"$exists": {}}}',
            '{"a": {"$type": "nope"}}',
            '{"a": {"$type": [{}]}}',
            '{"a": {"$type": []}}',
            '{"a": {"$regex": 5}}',
            '{"a": {"$regex": "(a+)+$"}}',
            '{"a": {"$regex": "a", "$options": "x"}}',
            '{"a": {"$options": "i"}}',
            '{"$and": []}',
            '{"$or": {}}',
            '{"$or": [5]}',
            '{"$nor": ["a"]}',
            "{" * 3000,
            "[" * 3000,
            '{"a":' * 3000 + "1" + "}" * 3000,
            "a in [1]",
            "a not in [1]",
            "a is None",
            "not a",
            "a",
            "5==5",
            "a==b",
            "a<b<c",
            "f(a)==1",
            "a==f(1)",
            "a==ObjectId(1)",
            "a==ObjectId('x')",
            "a==ObjectId(b'xxxxxxxxxxxx')",
            "a==datetime(0)",
            "a==datetime(99999999999, 1, 1)",
            "a==datetime(1, 1, 1, tzinfo=1)",
            "a==[1]",
            "a==1j",
            "a==b'x'",
            f"a=={2**63}",
            "a==" + "9" * 5000,
            "a==" + "-" * 5000 + "1",
            "(" * 3000,
            "a==1 or " * 500 + "a==1",
            "import os",
            "a==1; b==2",
            "a\0==1",
            "\0",
        ],
        ids=lambda text: text[:40].replace("\0", "NUL"),
    )
    def test_is_refused(self, text: str) -> None:
        """What is no query, runs code, or could not be told in advance."""
        with pytest.raises(BadRequest):
            where_of(text)

    @pytest.mark.parametrize(
        "query",
        [
            {f"a{number}": 1 for number in range(CONDITIONS + 1)},
            {"a": {"$in": list(range(VALUES + 1))}},
            {"$or": [{"a": {"$in": list(range(300))}} for _ in range(5)]},
            {"$or": [{"a": {"$regex": "x"}} for _ in range(20)]},
        ],
        ids=["conditions", "values", "values of several", "patterns"],
    )
    def test_is_bounded(self, query: dict[str, Any]) -> None:
        """So is its work, whatever the store."""
        with pytest.raises(BadRequest):
            where_of(json.dumps(query).decode())

    def test_is_not_nested_for_ever(self) -> None:
        """Stores walk through queries by recursion."""
        query: dict[str, Any] = {"a": 1}
        for _ in range(DEPTH + 2):
            query = {"$and": [query]}

        with pytest.raises(BadRequest):
            where_of(json.dumps(query).decode())


class TestSort:
    @pytest.mark.parametrize(
        ("text", "order"),
        [
            ("name", [("name", 1)]),
            ("-_created, name", [("_created", -1), ("name", 1)]),
            ("task.desk", [("task.desk", 1)]),
            ("[('_created', -1)]", [("_created", -1)]),
            ('[("first_name", 1), ("last_name", 1)]', [("first_name", 1), ("last_name", 1)]),
            ('[["a", 1]]', [["a", 1]]),
            ('{"a": -1}', [("a", -1)]),
            ("('a', 1)", [("a", 1)]),
        ],
    )
    def test_has_several_forms(self, text: str, order: Any) -> None:
        """Names, pairs and objects."""
        assert sort_of(text) == order

    @pytest.mark.parametrize(
        "text",
        [
            *("a,-b,", "-", "--a", ",", "a.", ".a", "a..b", "$a", "a.$b", "a b", "5", "a==", "a\0"),
            *('[["a..b",1]]', '[["",1]]', '[["$a",1]]', '[["a",true]]', '[["a",1.0]]', '[["a"]]'),
            *("[]", "()", "{}", "[1]", '["a"]', "[", "[" * 3000, "{" * 3000, '[("a",1)' * 900),
            *('{"a": {"$meta": "textScore"}}', '[("a\\0b", 1)]', "9" * 5000, "[" + "9" * 5000),
            ",".join("abcdefghijk"),
            f"{{{[]}: 1}}",
        ],
        ids=lambda text: text[:30].replace("\0", "NUL"),
    )
    def test_is_refused(self, text: str) -> None:
        """What is no order, or none of fields."""
        with pytest.raises(BadRequest):
            sort_of(text)


class TestProjection:
    def test_names_fields(self) -> None:
        """With 1 or 0, however they are written."""
        text = '{"a": 1, "b.c": true, "d": 0, "e": false, "f": 1.0}'

        assert projection_of(text) == {"a": 1, "b.c": 1, "d": 0, "e": 0, "f": 1}
        assert projection_of('{"a.b": 1, "a.c": 1, "ab": 1}') == {"a.b": 1, "a.c": 1, "ab": 1}

    @pytest.mark.parametrize(
        "text",
        [
            *("x", "5", "null", "[]", '["a"]', '"a"', "[" * 3000),
            *('{"a": 2}', '{"a": "$b"}', '{"a": {"$slice": 1}}', '{"a": null}', '{"a": -1}'),
            *('{"": 1}', '{"$a": 1}', '{"a..b": 1}', '{"a\\u0000": 1}'),
            *('{"a": 1, "a.b": 1}', '{"a.b.c": 0, "d": 0, "a.b": 0}'),
        ],
        ids=lambda text: text[:30],
    )
    def test_is_refused(self, text: str) -> None:
        """What is no projection, or computes something."""
        with pytest.raises(BadRequest):
            projection_of(text)


class TestSecrets:
    DEFINITION = {
        "datasource": {"projection": {"name": 1, "password": 0}},
        "allowed_filters": ["name", "destinations.name", "_id"],
    }

    @pytest.mark.parametrize("field", ["name", "name.first", "destinations.name", "_id"])
    def test_others_may_be_sorted_by(self, field: str) -> None:
        """What is shown to everybody."""
        check_shown(self.DEFINITION, {"name": 1, "password": 0}, [(field, 1)])

    @pytest.mark.parametrize(
        "field",
        ["password", "destinations", "destinations.config.token", "named", "destinations.0"],
    )
    def test_are_not_sorted_by(self, field: str) -> None:
        """Nor what holds them: the order tells what they are."""
        with pytest.raises(BadRequest):
            check_shown(self.DEFINITION, {}, [(field, -1)])

    @pytest.mark.parametrize("field", ["password", "password.x"])
    def test_are_not_asked_for(self, field: str) -> None:
        """What is never answered is not to be had by name."""
        with pytest.raises(BadRequest):
            check_shown(self.DEFINITION, {field: 1}, [])
