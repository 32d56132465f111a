"""Indexes of a database that an earlier release has used."""

from typing import Any

from apps.core.vocabulary import WAITING_ROW_STATES, RowState
from apps.graph.build import build_graph
from apps.store.indexes import (
    ARCHIVING_INDEXES,
    INDEXES,
    OPEN_ROWS,
    RETIRED_INDEXES,
    UNDELIVERED_ROWS,
    WAITING_ROWS,
)
from tests.support.services import empty_services


def names(db: Any, collection: str) -> set[str]:
    return set(db[collection].index_information())


def declared(collection: str) -> set[str]:
    return {index.document["name"] for index in INDEXES[collection]} | {"_id_"}


def test_those_that_no_query_needs_go_when_a_process_starts(settings: dict[str, Any]) -> None:
    """Every one of an earlier release; those that are needed are there, however often it starts."""
    old: dict[str, list[list[tuple[str, int]]]] = {
        "publish_queue": [
            [("lane", 1), ("state", 1), ("priority", -1), ("order_no", 1)],
            [("lane", 1), ("state", 1), ("next_retry_attempt_at", 1)],
            [("item_id", 1), ("item_version", 1)],
            [("subscriber_id", 1), ("state", 1)],
            [("state", 1), ("next_retry_attempt_at", 1)],
            [("_created", -1), ("state", 1)],
            [("_updated", -1)],
            [("moved_to_legal", 1), ("state", 1), ("_id", 1)],
        ],
        "published": [
            [("item_id", 1), ("state", 1)],
            [("publish_sequence_no", 1)],
            [("guid", 1)],
            [("expiry", 1), ("_created", 1), ("state", 1)],
        ],
        "archive_versions": [[("guid", 1)]],
    }
    with empty_services(settings) as graph:
        for collection, keys in old.items():
            # Those of the long-term archive may be there: another test may have asked for it.
            graph.db[collection].drop_indexes()
            for each in keys:
                graph.db[collection].create_index(each)
        before = {c: names(graph.db, c) & set(RETIRED_INDEXES[c]) for c in old}

        for _ in range(2):
            build_graph(settings).close()

        assert before == {c: set(retired) for c, retired in RETIRED_INDEXES.items()}
        for collection in old:
            assert names(graph.db, collection) == declared(collection)


def test_those_of_the_long_term_archive_are_there_where_there_is_one(
    settings: dict[str, Any],
) -> None:
    """Where there is none no write pays for them."""
    with empty_services(settings) as graph:
        for collection in ARCHIVING_INDEXES:
            graph.db[collection].drop_indexes()
        build_graph({**settings, "LEGAL_ARCHIVE": False}).close()
        without = {c: names(graph.db, c) for c in ARCHIVING_INDEXES}
        build_graph({**settings, "LEGAL_ARCHIVE": True}).close()
        there = {c: names(graph.db, c) - without[c] for c in ARCHIVING_INDEXES}
        for collection in ARCHIVING_INDEXES:
            graph.db[collection].drop_index("moved_to_legal_1__id_1")

    assert there == {c: {"moved_to_legal_1__id_1"} for c in ARCHIVING_INDEXES}


def test_states_are_told_by_their_place_among_texts() -> None:
    """A state that is added has to stand where its kind does."""

    def within(bounds: Any) -> set[str]:
        return {s for s in RowState if bounds.get("$gte", "") <= s < bounds["$lt"]}

    assert within(WAITING_ROWS) == set(WAITING_ROW_STATES)
    assert within(OPEN_ROWS) == {*WAITING_ROW_STATES, RowState.IN_PROGRESS}
    assert within(UNDELIVERED_ROWS) == set(RowState) - {RowState.SUCCESS}
