"""Items leave the content API when their time is over (routing contract 9)."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from apps.celery import create_celery
from apps.content_api.expiry import AUDIT_BATCH, CopyExpiry
from apps.graph.build import Graph
from tests.support.crashes import Crash, CrashingDatabase
from tests.support.newsdesk import START, HandClock

DAYS = 30


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "CONTENT_API_EXPIRY_DAYS": DAYS}


def chain(graph: Graph, *ages: float, name: str = "story", **fields: Any) -> None:
    """Store a story and its updates, each of which has changed so many days ago."""
    ids = [f"{name}-{number}" for number in range(len(ages))]
    for number, age in enumerate(ages):
        changed = START - timedelta(days=age)
        item = {"_id": ids[number], "_updated": changed, **fields}
        if number:
            item["ancestors"] = ids[:number]
        graph.db["items"].insert_one(item)
        graph.db["items_versions"].insert_one({"_id_document": ids[number], "_current_version": 2})


def left(graph: Graph) -> list[str]:
    """Return the ids of the items that are left; their versions are those of the same items."""
    ids = sorted(graph.db["items"].distinct("_id"))
    assert ids == sorted(graph.db["items_versions"].distinct("_id_document"))
    return ids


@pytest.mark.parametrize(
    ("ages", "remaining"),
    [
        ([DAYS], 0),
        ([DAYS - 1], 1),
        ([DAYS + 9, DAYS + 3, DAYS + 1], 0),
        ([DAYS + 9, DAYS + 3, DAYS - 1], 3),
        ([DAYS + 9, DAYS - 3, DAYS + 1], 3),
        ([DAYS - 1, DAYS + 9], 2),
    ],
)
def test_a_chain_goes_as_a_whole(graph: Graph, ages: Iterable[float], remaining: int) -> None:
    """When all of it is older; the newest update keeps the oldest story."""
    chain(graph, *ages)

    removed = graph.content_api_expiry.run()

    assert remaining == len(left(graph))
    assert len(list(ages)) - remaining == removed


def test_more_than_a_batch_goes_in_one_run(graph: Graph) -> None:
    """Chains that stay do not hide those behind them."""
    for number in range(130):
        chain(graph, DAYS + 1, DAYS - number % 2, name=f"story-{number:03}")

    assert 130 == graph.content_api_expiry.run()
    assert 130 == len(left(graph))


def test_an_item_may_name_its_own_expiry(graph: Graph) -> None:
    """`expiry` counts in place of the days."""
    chain(graph, DAYS + 1, name="later", expiry=START + timedelta(days=1))
    chain(graph, DAYS + 1, name="now", expiry=START)

    graph.content_api_expiry.run()

    assert ["later-0"] == left(graph)


@pytest.mark.parametrize(("days", "remaining"), [(None, 1), (0, 1), (10, 0)])
def test_the_command_may_say_how_old(graph: Graph, days: float | None, remaining: int) -> None:
    """Days in the place of the setting; none at all removes nothing."""
    chain(graph, 20)

    graph.content_api_expiry.run(days)

    assert remaining == len(left(graph))


def audit(graph: Graph, *ages: float) -> None:
    """Note that something was read so many days ago."""
    rows = [{"items_id": f"{age}", "_created": START - timedelta(days=age)} for age in ages]
    graph.db["api_audit"].insert_many(rows)


class TestAudit:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Items stay for ever, it is on record for some days who read them."""
        own = {"CONTENT_API_EXPIRY_DAYS": 0, "CONTENT_API_AUDIT_EXPIRY_DAYS": DAYS}
        return {**settings, **own}

    def test_old_rows_go(self, graph: Graph) -> None:
        """However many there are, and whatever becomes of the items."""
        audit(graph, *[DAYS + 1] * (AUDIT_BATCH + 5), DAYS, DAYS - 1, 0)
        chain(graph, DAYS + 1)

        assert 0 == graph.content_api_expiry.run()

        kept = graph.db["api_audit"].distinct("items_id")
        assert [str(DAYS - 1), "0"] == sorted(kept, reverse=True)
        assert ["story-0"] == left(graph)

    def test_the_command_keeps_to_the_setting(self, graph: Graph) -> None:
        """The days that it names are those of items."""
        audit(graph, DAYS - 1)

        graph.content_api_expiry.run(1)

        assert 1 == graph.db["api_audit"].count_documents({})


def test_without_a_setting_the_audit_stays(graph: Graph) -> None:
    """For ever, unless told otherwise."""
    audit(graph, 10_000)

    graph.content_api_expiry.run()

    assert 1 == graph.db["api_audit"].count_documents({})


def test_it_runs_every_night(settings: Any, graph: Graph) -> None:
    """At two, by the beat."""
    celery = create_celery(settings, lambda: graph)

    entry = celery.conf.beat_schedule["content_api.commands.item_expiry:tick"]

    assert ({2}, {0}) == (entry["schedule"].hour, entry["schedule"].minute)
    assert "expiry" == celery.conf.task_routes[entry["task"]]["queue"]


@pytest.mark.parametrize("before", [1, 2, 3])
def test_what_was_begun_is_completed(graph: Graph, settings: Any, before: int) -> None:
    """A run that dies leaves the beginning of the chain, by which the next one finds it."""
    chain(graph, DAYS + 2, DAYS + 1)
    db: Any = CrashingDatabase(graph.db, before)
    with pytest.raises(Crash):
        CopyExpiry(db, HandClock(), settings).run()

    graph.content_api_expiry.run()

    assert [] == left(graph)
