"""Searches of lists of items, in the language of Superdesk's clients (resources contract 3)."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from bson import ObjectId, encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.archive.search.search import search_of
from apps.core import json
from apps.core.errors import BadRequest
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client, log_in, make_user

DESK = ObjectId()
NOW = datetime(2026, 5, 4, tzinfo=UTC)
Found = Callable[..., list[str]]

ITEMS: dict[str, Document] = {
    "story": {
        "headline": "Rivers rise in Größenau",
        "slugline": "flood warning",
        "body_html": "<p>The <b>old</b> bridge, closed.</p>",
        "urgency": 3,
        "keywords": ["water", "weather"],
        "subject": [{"name": "disaster", "qcode": "03000000"}],
        "flags": {"marked_for_sms": True},
    },
    "package": {"type": "composite", "state": "submitted", "slugline": "bundle", "urgency": 1},
    "picture": {"type": "picture", "state": "spiked", "headline": "A river", "urgency": 5},
    "note": {"slugline": "flood", "state": "submitted", "keywords": [], "byline": None},
}


@pytest.fixture
def items(graph: Graph) -> None:
    """Four items of a desk, each written a day before the one in front of it."""
    now = graph.clock.now()
    for days, (id_, fields) in enumerate(ITEMS.items()):
        moment = now - timedelta(days=days)
        graph.db["archive"].insert_one(
            {
                "_id": id_,
                "guid": id_,
                "type": "text",
                "state": "in_progress",
                "task": {"desk": DESK, "stage": ObjectId()},
                "family_id": "family",
                "versioncreated": moment,
                "_updated": moment,
                "_created": moment,
                **fields,
            }
        )


@pytest.fixture
def found(admin: Client, items: None) -> Found:
    """Returns the ids of what a search finds in `/archive`, sorted."""

    def find(filter: Any = None, resource: str = "archive", **source: Any) -> list[str]:
        body = {**source, **({"query": {"filtered": {"filter": filter}}} if filter else {})}
        answer = admin.get(resource, source=json.dumps(body).decode())
        assert answer.status_code == 200, answer.text
        listed = [item["_id"] for item in answer.get_json()["_items"]]
        return listed if "sort" in source else sorted(listed)

    return find


def words(text: str, **options: Any) -> Document:
    return {"query": {"query_string": {"query": text, **options}}}


class TestConditions:
    @pytest.mark.parametrize(
        ("condition", "ids"),
        [
            ({"and": [{"terms": {"type": ["composite"]}}]}, ["package"]),
            (
                {"and": [{"not": {"term": {"state": "spiked"}}}, {"terms": {"type": ["picture"]}}]},
                [],
            ),
            ({"not": {"term": {"state": "spiked"}}}, ["note", "package", "story"]),
            ({"not": {"filter": {"term": {"type": "text"}}}}, ["package", "picture"]),
            ({"or": [{"term": {"_id": "note"}}, {"term": {"guid": "story"}}]}, ["note", "story"]),
            ({"term": {"urgency": "3"}}, ["story"]),
            ({"term": {"urgency": {"value": 3}}}, ["story"]),
            ({"term": {"flags.marked_for_sms": True}}, ["story"]),
            ({"term": {"flags.marked_for_sms": "true"}}, ["story"]),
            ({"term": {"keywords": "water"}}, ["story"]),
            ({"term": {"subject.qcode": "03000000"}}, ["story"]),
            ({"term": {"_type": "archive"}}, sorted(ITEMS)),
            ({"term": {"_type": "published"}}, []),
            ({"terms": {"state": []}}, []),
            ({"ids": {"values": ["note", "none"]}}, ["note"]),
            ({"exists": {"field": "keywords"}}, ["story"]),
            ({"missing": {"field": "byline"}}, sorted(ITEMS)),
            ({"range": {"urgency": {"gte": 3, "lt": 5}}}, ["story"]),
            ({"range": {"urgency": {"gt": "3"}}}, ["picture"]),
            ({"bool": {"must_not": {"term": {"type": "text"}}}}, ["package", "picture"]),
            (
                {
                    "bool": {
                        "must": [{"term": {"state": "submitted"}}],
                        "should": [{"term": {"type": "composite"}}],
                    }
                },
                ["note", "package"],
            ),
            (
                {
                    "bool": {
                        "must": {"term": {"state": "submitted"}},
                        "should": [{"term": {"type": "composite"}}],
                        "minimum_should_match": 1,
                    }
                },
                ["package"],
            ),
            ({"bool": {"should": [{"term": {"_id": "note"}}]}}, ["note"]),
            ({"bool": {}}, sorted(ITEMS)),
            ({"match_all": {}}, sorted(ITEMS)),
            ({"match": {"headline": "rises river"}}, ["picture"]),
            ({"match": {"headline": {"query": "rivers in", "operator": "and"}}}, ["story"]),
            (
                {"multi_match": {"query": "old river", "fields": ["headline", "*"]}},
                ["picture", "story"],
            ),
            (
                {"multi_match": {"query": "old river", "fields": ["headline"], "operator": "and"}},
                [],
            ),
            ({"match_phrase": {"slugline.phrase": "Flood Warning"}}, ["story"]),
        ],
        ids=str,
    )
    def test_find_items(self, found: Found, condition: Document, ids: list[str]) -> None:
        """As filter of a query, as filter of the whole, and below others."""
        assert ids == found(condition)
        assert ids == found(filter=None, **{"query": {"bool": {"must": [condition]}}})
        top = {"post_filter": condition, "query": {"filtered": {"filter": None}}}
        assert ids == found(**top)

    def test_of_the_whole(self, found: Found) -> None:
        """Resources scenario R63 and 3.1: `filter` beside or without a query."""
        assert ["package"] == found(**{"post_filter": {"term": {"type": "composite"}}})
        query = {"filtered": {"filter": {"and": [{"terms": {"type": ["composite", "picture"]}}]}}}
        assert ["package", "picture"] == found(query=query)

    @pytest.mark.parametrize("form", [str, ObjectId])
    def test_by_ids_of_any_form(self, admin: Client, found: Found, graph: Graph, form: Any) -> None:
        """Desks and stages are named by text, and stored as either."""
        graph.db["archive"].update_one({"_id": "note"}, {"$set": {"task.desk": form("5" * 24)}})

        assert ["note"] == found({"term": {"task.desk": "5" * 24}})
        assert ["note"] == found({"terms": {"task.desk": ["5" * 24, "unknown"]}})
        assert ["note"] == found(**words(f"task.desk:{'5' * 24}"))
        listed = admin.get("archive", q="5" * 24).get_json()["_items"]
        assert ["note"] == [item["_id"] for item in listed]

    @pytest.mark.parametrize(
        ("bounds", "ids"),
        [
            ({"gte": "now-1d-1h"}, ["package", "story"]),
            ({"gte": "now-36H", "lte": "now"}, ["package", "story"]),
            ({"lt": "now-1w"}, []),
            ({"gte": "now-1y/y", "lte": "now+1M/M"}, sorted(ITEMS)),
            ({"gte": "now/d", "time_zone": "+00:00"}, ["story"]),
            ({"lte": "now/d", "time_zone": "Europe/Prague"}, sorted(ITEMS)),
            ({"gt": "2001-01-01", "lt": "2100-01-01T00:00:00+0000"}, sorted(ITEMS)),
            ({"gte": "2100-01-01T00:00:00 0000"}, []),
        ],
        ids=str,
    )
    def test_by_time(self, found: Found, bounds: Document, ids: list[str]) -> None:
        """Times, and times that are relative to now."""
        assert ids == found({"range": {"versioncreated": bounds}})


class TestWords:
    @pytest.mark.parametrize(
        ("text", "ids"),
        [
            ("flood", ["note", "story"]),
            ("FLOOD warning", ["note", "story"]),
            ("flood AND warning", ["story"]),
            ("flood -warning", ["note"]),
            ("flood NOT warning", ["note"]),
            ("+flood bundle", ["note", "story"]),
            ('"flood warning"', ["story"]),
            ('"old bridge"', ["story"]),
            ("slugline:(flood OR bundle)", ["note", "package", "story"]),
            ("slugline:(abuse)", []),
            ("(headline:river OR slugline:bundle) AND NOT state:spiked", ["package"]),
            ("river", ["picture"]),
            ("riv*", ["picture", "story"]),
            ("größenau", ["story"]),
            ("Gr", []),
            ("b", []),
            ("note", ["note"]),
            ("water & disaster", ["story"]),
            ("type:composite", ["package"]),
            ("_exists_:headline", ["picture", "story"]),
            ("", sorted(ITEMS)),
            ("*", sorted(ITEMS)),
        ],
    )
    def test_find_items(self, admin: Client, found: Found, text: str, ids: list[str]) -> None:
        """Whole words of what people read, whatever their case; tags are none."""
        assert ids == found(**words(text))
        if text:
            listed = admin.get("archive", q=text).get_json()["_items"]
            assert ids == sorted(item["_id"] for item in listed)

    def test_are_joined_as_asked_for(self, found: Found) -> None:
        """Of words that nothing joins any has to be there, or all."""
        assert ["story"] == found(**words("flood warning", default_operator="AND"))
        assert ["picture", "story"] == found(**words("river rivers", fields=["headline^2"]))
        assert [] == found(**words("flood", default_field="headline"))

    @pytest.mark.parametrize(
        "text", ["(flood", "flood)", '"flood', "a:", "flood AND", "a:[1 TO 2]"]
    )
    def test_that_cannot_be_read(self, admin: Client, found: Found, text: str) -> None:
        """400, or nothing where the client has asked for that."""
        assert [] == found(**words(text, lenient=True))
        source = json.dumps(words(text)).decode()
        assert 400 == admin.get("archive", source=source).status_code


class TestPages:
    def test_have_size_place_and_order(self, admin: Client, found: Found) -> None:
        """Any window of any order; the count is that of all."""
        by_time = [{"versioncreated": "desc"}]
        assert ["story", "package", "picture", "note"] == found(sort=by_time)
        assert ["picture", "story"] == found(sort=[{"urgency": {"order": "desc"}}], size=2)
        assert ["package", "picture"] == found(
            sort={"versioncreated": "desc"}, size=2, **{"from": 1}
        )
        assert ["note"] == found(sort=["slugline.phrase"], size=1, **{"from": 2})
        assert [] == found(size=0)
        source = json.dumps({"size": 2, "from": 2, "sort": by_time}).decode()
        answer = admin.get("archive", source=source).get_json()
        assert {"total": 4, "max_results": 2, "page": 2} == answer["_meta"]

    def test_the_parameter_sort_wins(self, admin: Client, items: None) -> None:
        """As with the reference's lists."""
        source = json.dumps({"sort": [{"urgency": "asc"}]}).decode()

        listed = admin.get("archive", source=source, sort='[("urgency", -1)]').get_json()["_items"]

        assert "picture" == listed[0]["_id"]

    def test_parts_of_the_answer_that_lists_do_not_have(self, found: Found) -> None:
        """Counts and marked words are left out; nothing else changes."""
        aggregations = {"desk": {"terms": {"field": "task.desk", "size": 0}}}
        assert sorted(ITEMS) == found(aggs=aggregations, highlight={}, _source=["headline"])


class TestLists:
    """Every list of items understands the same."""

    @pytest.fixture
    def rows(self, graph: Graph) -> None:
        for name in ("archive", "ingest", "published", "archived"):
            for state, id_ in (("submitted", "one"), ("submitted", "two"), ("spiked", "three")):
                row = {"_id": id_, "item_id": id_, "archived_id": f"{id_}:1", "state": state}
                if name in ("published", "archived"):
                    row["_id"] = ObjectId()
                kind = "picture" if id_ == "two" else "text"
                family = {"family_id": "one", "lock_user": ObjectId("5" * 24)}
                graph.db[name].insert_one({**row, "type": kind, **family})

    @pytest.mark.parametrize(
        "path", ["archive", "ingest", "published", "archived", "workqueue", "archive/three/related"]
    )
    def test_understands_a_search(self, admin: Client, rows: None, path: str) -> None:
        """Also by the holder of the lock, and nothing that it hides by itself comes out."""
        must = [{"term": {"lock_user": "5" * 24}}, {"terms": {"type": ["text"]}}]
        filters = [
            {"query": {"bool": {"must": [*must, {"not": {"term": {"state": "spiked"}}}]}}},
            {"filter": {"and": [*must, {"term": {"state": "submitted"}}]}},
        ]
        for source in filters:
            answer = admin.get(path, source=json.dumps(source).decode()).get_json()
            assert 1 == answer["_meta"]["total"], answer
        only = json.dumps({"term": {"state": "gone"}}).decode()
        assert 0 == admin.get(path, filter=only).get_json()["_meta"]["total"]

    def test_shows_nobody_more(self, app: Any, admin: Client, graph: Graph, items: None) -> None:
        """A search goes through what the user may see, whatever it says."""
        stage = ObjectId()
        user = make_user(graph, "other", privileges={"archive": 1})
        hidden = {"$set": {"invisible_stages": [stage]}}
        graph.db["users"].update_one({"_id": user["_id"]}, hidden)
        graph.db["archive"].update_one({"_id": "note"}, {"$set": {"task.stage": stage}})
        own = {"task": {"user": ObjectId()}, "state": "draft"}
        graph.db["archive"].update_one({"_id": "story"}, {"$set": own})
        other = log_in(app, "other")

        for source in (
            {"query": {"ids": {"values": ["note", "story"]}}},
            {"filter": {"or": [{"term": {"task.stage": str(stage)}}, {"match_all": {}}]}},
            {"filter": {"bool": {"should": [{"term": {"state": "draft"}}]}}},
            words("flood OR note"),
        ):
            listed = other.get("archive", source=json.dumps(source).decode()).get_json()["_items"]
            assert not {"note", "story"} & {item["_id"] for item in listed}

    def test_also_with_where(self, admin: Client, items: None) -> None:
        """Both narrow the list."""
        source = json.dumps({"filter": {"term": {"type": "text"}}}).decode()
        where = '{"state": "submitted"}'

        listed = admin.get("archive", source=source, where=where).get_json()["_items"]

        assert ["note"] == [item["_id"] for item in listed]


DEEP: Any = {"match_all": {}}
for _ in range(40):
    DEEP = {"not": DEEP}


@pytest.mark.parametrize("path", ["archive", "workqueue", "published"])
@pytest.mark.parametrize(
    "source",
    [
        *("{", "[]", "1", '"x"', '{"filter": 1}', '{"filter": {"term": {"$or": 1}}}'),
        *('{"filter":{"term":{"lock_user":{"$regex":"a"}}}}', "[" * 3000, '{"query": {"a": 1}}'),
        *('{"filter": {"term": {"journal": 1}}}', '{"filter": {"terms": {"a": "x"}}}'),
        *('{"filter": {"terms": {"a": [{"$gt": 1}]}}}', '{"filter": {"bool": []}}'),
        *('{"filter": {"ids": {}}}', '{"filter": {"exists": {"field": "$a"}}}'),
        *('{"query": {"multi_match": {"fields": ["a"]}}}', '{"query": {"multi_match": 1}}'),
        *('{"filter": {"term": []}}', '{"filter": {"term": {}}}', '{"filter": {"exists": 1}}'),
        *('{"filter": {"term": {"a..b": 1}}}', '{"filter": {"term": {"a": 1e999}}}'),
        '{"suggest": {}}',
        *('{"size": -1}', '{"size": "x"}', '{"from": 1.5}', '{"from": 99999999999}'),
        *('{"sort": 1}', '{"sort": [{"a": "up"}]}', '{"sort": [{"$where": "asc"}]}'),
        *('{"filter": {"range": {"a": 1}}}', '{"filter": {"range": {"a": {"gte": "now-x"}}}}'),
        *('{"filter": {"range": {"a": {"gte": "now-999999d"}}}}', '{"filter": {"script": "1"}}'),
        '{"filter": {"range": {"a": {"gte": "now", "time_zone": "../x"}}}}',
        '{"filter": {"range": {"a": {"under": 1}}}}',
        '{"filter": {"bool": {"minimum_should_match": 2, "should": [{}, {}]}}}',
        '{"filter": {"bool": {"might": []}}}',
        '{"filter": {"regexp": {"headline": "(a+)+"}}}',
        '{"query": {"match": {"headline": 1}}}',
        '{"query": {"query_string": "x"}}',
        '{"query": {"query_string": {"query": 1}}}',
        '{"query": {"query_string": {"query": "x", "fields": 1}}}',
        json.dumps(words("x " * 100)).decode(),
        json.dumps(words("(" * 200)).decode(),
        json.dumps(words("-" * 200)).decode(),
        json.dumps(words("a:" * 200)).decode(),
        json.dumps({"filter": DEEP}).decode(),
        json.dumps({"filter": {"terms": {"a": list(range(5000))}}}).decode(),
        json.dumps({"filter": {"or": [{"term": {"a": 1}}] * 500}}).decode(),
    ],
    ids=lambda source: quote(source[:60]),
)
def test_what_is_not_offered_is_refused(admin: Client, path: str, source: str) -> None:
    """400 with the reason: a list that left a condition out would show what nobody asked for."""
    answer = admin.get(path, source=source)

    assert 400 == answer.status_code, answer.text
    assert answer.get_json()["_error"]["message"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("bool", "must", "should", "and", "or", "not", "term", "terms", "range", "gt"),
                    *("query", "query_string", "match", "type", "exists", "field", "fields"),
                ]
            )
            | st.text(max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["query", "filter", "sort", "size"]), JSON, max_size=3))
def test_any_source_is_a_search_or_refused(source: Document) -> None:
    """Whatever a client sends: a query that can be stored, or a reason."""
    with suppress(BadRequest):
        search = search_of({"source": json.dumps(source).decode()}, "archive", NOW)
        assert search is None or encode({"query": search.query})
