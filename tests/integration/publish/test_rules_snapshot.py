"""The compiled rules: kept between runs, read anew when something has changed."""

from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId

from apps.graph.build import Graph
from apps.publish.enqueue.rules import RULE_COLLECTIONS, Alarm, Snapshots
from tests.support.newsdesk import HandClock
from tests.support.routing import routing_tools

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def product(graph: Graph) -> ObjectId:
    """A product that has not changed for long."""
    product = {"name": "sport", "_updated": LONG_AGO}
    return ObjectId(str(graph.db["products"].insert_one(product).inserted_id))


def test_rules_that_stay_are_compiled_once(graph: Graph, product: ObjectId) -> None:
    """The next batch goes by the same snapshot."""
    snapshots = routing_tools(graph).snapshots
    first, _ = snapshots.current()

    assert first is snapshots.current()[0]


@pytest.mark.parametrize("collection", RULE_COLLECTIONS)
def test_whatever_is_added_counts(graph: Graph, product: ObjectId, collection: str) -> None:
    """A new document of any kind of rule is in force for the next batch."""
    snapshots = routing_tools(graph).snapshots
    before, _ = snapshots.current()

    graph.db[collection].insert_one({"_id": "new", "name": "new", "_updated": LONG_AGO})

    assert snapshots.current()[0] is not before


def test_a_change_counts(graph: Graph, product: ObjectId) -> None:
    """A changed document is in force for the next batch, also when it changes twice in a second."""
    snapshots = routing_tools(graph).snapshots
    snapshots.current()
    now = datetime.now(UTC).replace(microsecond=0)
    names = []
    for name in ("football", "cricket"):
        change = {"$set": {"name": name, "_updated": now}}
        graph.db["products"].update_one({"_id": product}, change)
        names.append(snapshots.current()[0].products[str(product)].name)

    assert names == ["football", "cricket"]


def test_a_change_without_a_mark_counts_for_the_next_run(graph: Graph, product: ObjectId) -> None:
    """Whoever writes into the store and leaves `_updated` alone is heard, too."""
    snapshots = routing_tools(graph).snapshots
    snapshots.current()
    graph.db["products"].update_one({"_id": product}, {"$set": {"name": "football"}})

    snapshots.start_run()

    assert snapshots.current()[0].products[str(product)].name == "football"


def test_runs_within_the_age_limit_share_what_was_read(graph: Graph, product: ObjectId) -> None:
    """RULES_MAX_AGE_SECONDS: a run that comes soon after another does not read all rules again."""
    clock, age = HandClock(), timedelta(seconds=10)
    alarm = Alarm(graph.db, clock, graph.notifier)
    snapshots = Snapshots(graph.db, clock, alarm, content_api=False, max_age=age)
    before, _ = snapshots.current()
    graph.db["products"].update_one({"_id": product}, {"$set": {"name": "football"}})

    clock.advance(seconds=9)
    snapshots.start_run()
    assert snapshots.current()[0] is before

    clock.advance(seconds=1)
    snapshots.start_run()
    assert snapshots.current()[0].products[str(product)].name == "football"
