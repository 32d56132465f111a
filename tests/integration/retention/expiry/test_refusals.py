"""Records of why products refuse items go when no routing decision names them.

Routing contract 8.10.
"""

from datetime import timedelta
from typing import Any

import pytest

from apps.graph.build import Graph
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.routing import permitting


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Sessions outlive every wait."""
    return {**settings, "SESSION_EXPIRY_MINUTES": 1_000_000}


def test_what_is_named_or_in_force_stays(desk: Newsdesk, graph: Graph, clock: HandClock) -> None:
    """An item was routed by the first of three states of the rules; the last one is in force."""
    newsroom = desk.newsroom
    only = newsroom.product("hills", content_filter=permitting(desk, "slugline", "eq", "hills"))
    for name in ("A", "B"):
        newsroom.subscriber(name, products=[only])
    records = graph.db["routing_refusals"]
    item = desk.published()
    graph.enqueue.run()
    (first,) = records.distinct("_id")
    for name in ("mountains", "valleys"):
        graph.db["products"].update_one({"_id": only}, {"$set": {"name": name}})
        item_between = desk.published()
        graph.enqueue.run()
        graph.db["routing_decisions"].delete_many({"item_id": item_between["_id"]})
        clock.advance(minutes=1)
    (last,) = records.find({}).sort("seen_at", -1).limit(1)
    graph.db["archive"].update_many({}, {"$set": {"expiry": clock.now() + timedelta(days=9)}})

    graph.expiry.run()
    assert 3 == records.count_documents({})
    clock.advance(days=2)
    graph.expiry.run()

    assert {first, last["_id"]} == set(records.distinct("_id"))
    told = desk.client.get(f"explain/{item['_id']}").get_json()["subscribers"]
    assert all(line["reason"].startswith("hills: filter ") for line in told)
    assert 2 == len(told)
