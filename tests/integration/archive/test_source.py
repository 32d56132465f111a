"""Lists of items that clients narrow down by `source` (resources contract 9.4)."""

import json
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.archive.source import CONDITIONS, DEPTH, with_source
from apps.core.clock import SystemClock
from apps.core.errors import BadRequest
from apps.graph.build import Graph
from tests.support.clients import Client, make_user

HEX = "5f" * 12


@pytest.fixture
def items(graph: Graph) -> None:
    """Items as others have stored them."""
    rows: list[dict[str, Any]] = [
        {"_id": "text", "type": "text", "state": "in_progress", "urgency": 1, "family_id": "f"},
        {"_id": "package", "type": "composite", "state": "submitted", "family_id": "f"},
        {"_id": "picture", "type": "picture", "state": "fetched", "keywords": ["a", "b"]},
        {"_id": "old", "type": "text", "state": "routed", "task": {"desk": ObjectId(HEX)}},
    ]
    for row in rows:
        row["versioncreated"] = graph.clock.now()
    rows[3]["versioncreated"] = graph.clock.now().replace(year=2001)
    for collection in ("archive", "ingest", "published", "archived"):
        graph.db[collection].insert_many(
            {
                **row,
                "item_id": row["_id"],
                "archived_id": row["_id"],
                **({} if collection != "published" else {"_id": ObjectId()}),
            }
            for row in rows
        )


def found(client: Client, source: Any, resource: str = "archive") -> set[str]:
    answer = client.get(resource, source=json.dumps(source))
    assert answer.status_code == 200, answer.text
    return {item["_id"] for item in answer.get_json()["_items"]}


TERM = {"term": {"type": "text"}}
OF_PACKAGES = {"terms": {"type": ["composite"]}}
EVERYTHING = {"text", "package", "picture", "old"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"query": {"filtered": {"filter": {"and": [OF_PACKAGES]}}}}, {"package"}),
        ({"filter": OF_PACKAGES}, {"package"}),
        ({"filter": TERM}, {"text", "old"}),
        ({"post_filter": TERM, "size": 1, "sort": [{"x": "asc"}]}, {"text", "old"}),
        ({"query": {"bool": {"must": TERM, "must_not": {"term": {"state": "routed"}}}}}, {"text"}),
        ({"filter": {"not": {"term": {"state": "submitted"}}}}, {"text", "picture", "old"}),
        (
            {"filter": {"not": {"filter": {"terms": {"state": ["submitted", "routed"]}}}}},
            {"text", "picture"},
        ),
        (
            {"query": {"filtered": {"filter": {"and": [{"not": TERM}, {"not": OF_PACKAGES}]}}}},
            {"picture"},
        ),
        ({"filter": {"or": [OF_PACKAGES, {"term": {"keywords": "b"}}]}}, {"package", "picture"}),
        ({"filter": {"term": {"urgency": "1"}}}, {"text"}),
        ({"filter": {"term": {"urgency": {"value": 1}}}}, {"text"}),
        ({"filter": {"term": {"task.desk": HEX}}}, {"old"}),
        ({"filter": {"exists": {"field": "keywords"}}}, {"picture"}),
        (
            {"filter": {"bool": {"must_not": [{"exists": {"field": "family_id"}}]}}},
            {"picture", "old"},
        ),
        (
            {"filter": {"range": {"versioncreated": {"gte": "now-24H"}}}},
            {"text", "package", "picture"},
        ),
        ({"filter": {"range": {"versioncreated": {"lt": "2020-01-01T00:00:00+0000"}}}}, {"old"}),
        ({"query": {"bool": {"should": [TERM, OF_PACKAGES]}}}, {"text", "old", "package"}),
        (
            {"query": {"bool": {"filter": {"term": {"family_id": "f"}}, "should": [TERM]}}},
            {"text", "package"},
        ),
        (
            {
                "query": {
                    "bool": {
                        "filter": {"term": {"family_id": "f"}},
                        "should": [TERM],
                        "minimum_should_match": 1,
                    }
                }
            },
            {"text"},
        ),
        ({"query": {"match_all": {}}}, EVERYTHING),
        (
            {"query": {"filtered": {"query": {"query_string": {"query": "x"}}, "filter": TERM}}},
            {"text", "old"},
        ),
        ({}, EVERYTHING),
        ({"query": None, "filter": []}, EVERYTHING),
        ({"filter": {"terms": {"type": []}}}, set()),
    ],
)
@pytest.mark.parametrize("resource", ["archive", "ingest", "published", "workqueue"])
def test_filters(
    admin: Client, items: None, resource: str, source: Any, expected: set[str]
) -> None:
    assert found(admin, source, resource) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{",
        "[]",
        "1",
        '{"filter": 1}',
        '{"filter": {"script": "x"}}',
        '{"filter": {"term": {"$where": 1}}}',
        '{"filter": {"term": {"journal": 1}}}',
        '{"filter": {"term": {"a": {"$gt": 1}}}}',
        '{"filter": {"terms": {"a": "x"}}}',
        '{"filter": {"terms": {"a": [{"$gt": 1}]}}}',
        '{"filter": {"range": {"a": {"x": 1}}}}',
        '{"filter": {"exists": {"field": "$a"}}}',
        '{"filter": {"bool": []}}',
        json.dumps({"filter": [TERM] * (CONDITIONS + 1)}),
        '{"filter": ' + '{"not": ' * (DEPTH + 1) + json.dumps(TERM) + "}" * (DEPTH + 2),
    ],
    ids=range(15),
)
@pytest.mark.parametrize("resource", ["archive", "ingest", "published", "archived", "workqueue"])
def test_what_is_no_filter_is_refused(admin: Client, resource: str, source: str) -> None:
    answer = admin.get(resource, source=source)

    assert answer.status_code == 400, answer.text
    assert answer.get_json()["_message"].startswith("source")


def test_nothing_hidden_is_found(admin: Client, items: None, graph: Graph, app: Any) -> None:
    """A filter only narrows down what the caller may see."""
    other = make_user(graph, "other")
    own = {"task": {"user": other["_id"]}, "original_creator": str(other["_id"])}
    graph.db["archive"].insert_one({"_id": "own", "type": "text", "state": "in_progress", **own})

    alternatives = {"filter": {"or": [TERM, {"not": TERM}]}}

    assert found(admin, alternatives) == EVERYTHING


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["bool", "must", "and", "or", "not", "term", "terms", "range", "type", "gt"]
            )
            | st.text(max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["query", "filter"]), JSON, max_size=2))
def test_any_source_is_a_query_or_refused(source: dict[str, Any]) -> None:
    try:
        query = with_source({"a": 1}, json.dumps(source), SystemClock())
    except BadRequest as error:
        query = {"a": 1, "refused": str(error)}
    told = str(query.get("refused", "source"))
    assert told.removeprefix("400: ").startswith("source")
    assert query.get("a") == 1 or query["$and"][0] == {"a": 1}
