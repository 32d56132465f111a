"""Searches become queries, or are refused: never anything else."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.content_api.search import (
    MAX_WORDS,
    SearchError,
    elastic_query,
    mongo_query,
    words_query,
)

OPERATORS = {
    *("$and", "$or", "$nor", "$not", "$in", "$nin", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte"),
    *("$exists", "$all", "$size", "$regex", "$options"),
}

pieces = st.lists(
    st.sampled_from(
        ['"', "(", ")", "AND", "OR", "NOT", "-", "a", "b*", "headline:", "x:", " ", "ü"]
    )
)
KEYS = (
    *("$where", "$expr", "$or", "$not", "$in", "$gt", "headline", "subscribers", "_id"),
    *("term", "terms", "range", "exists", "bool", "must", "should", "not", "and", "field"),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=10,
)


def is_open(field: str) -> bool:
    return field != "subscribers"


def keys_of(query: Any) -> Iterator[str]:
    """Yield the keys of a query at any depth."""
    if isinstance(query, dict):
        for key, value in query.items():
            yield key
            yield from keys_of(value)
    elif isinstance(query, list):
        for value in query:
            yield from keys_of(value)


def check(query: Any) -> None:
    """Check that a query has nothing in it that runs code or names what is hidden."""
    for key in keys_of(query):
        assert key in OPERATORS or not key.startswith("$")
        assert "subscribers" != key


@given(text=st.text(max_size=20) | pieces.map(" ".join) | pieces.map("".join))
def test_words_are_understood_or_refused(text: str) -> None:
    """Whatever is typed."""
    try:
        query = words_query(text, "AND", is_open)
    except SearchError:
        return
    check(query)


@given(wanted=json_values)
def test_filters_are_understood_or_refused(wanted: Any) -> None:
    """Whatever JSON holds."""
    for translate in (elastic_query, mongo_query):
        try:
            query = translate(wanted, is_open)
        except SearchError:
            continue
        check(query)


@pytest.mark.parametrize("depth", [30, 5000])
def test_deep_nesting_is_refused(depth: int) -> None:
    """No search takes the process down."""
    deep: Any = {"term": {"headline": "a"}}
    nested: Any = {"headline": "a"}
    for _ in range(30):
        deep, nested = {"not": deep}, {"$and": [nested]}

    for translate, wanted in ((elastic_query, deep), (mongo_query, nested)):
        with pytest.raises(SearchError):
            translate(wanted, is_open)
    with pytest.raises(SearchError):
        words_query("(" * depth + "a" + ")" * depth, "AND", is_open)
    with pytest.raises(SearchError):
        words_query("NOT " * depth + "a", "AND", is_open)


def test_long_searches_are_refused() -> None:
    """Each word is looked for in every text."""
    words_query("a " * MAX_WORDS, "AND", is_open)

    with pytest.raises(SearchError):
        words_query("a " * (MAX_WORDS + 1), "AND", is_open)


def test_words_of_a_phrase_may_stand_apart() -> None:
    """White space between them is any white space; what is special in patterns is not."""
    query = words_query('headline:"a.b  c"', "AND", is_open)

    assert {"_words.headline": {"$regex": r"\ba\.b\s+c\b"}} in query["$or"]
    assert json.dumps(query)
