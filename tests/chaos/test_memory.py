"""Memory of processes that route to many (delivery contract X14)."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from apps.graph.build import Graph
from tests.support.newsroom import Newsroom, push
from tests.support.worker_processes import RUN, process, settings_of

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

SUBSCRIBERS, SUBSCRIBERS_OF_A_LONG_RUN = 2_000, 10_000
MORE_MEGABYTES = 200
"""That a run with much of everything may take, more than one with little."""


@pytest.fixture
def environment(stores: Any, database_name: str, redis_url: str) -> dict[str, Any]:
    """The settings of the processes under test."""
    return settings_of(stores, f"{database_name}_memory", redis_url, LOG_LEVEL="WARNING")


def megabytes_of(step: str, environment: dict[str, Any], directory: Path) -> float:
    """Run a step in a process of its own; return the most memory that it had."""
    with process([*RUN, step], environment, directory) as run:
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    if run.returncode:
        raise subprocess.CalledProcessError(run.returncode, step)
    return usage.ru_maxrss / 1024


def publish(graph: Graph) -> None:
    """Put a story into `published`, unrouted."""
    number = graph.db["published"].count_documents({})
    item = {"_id": f"item-{number}", "guid": f"item-{number}", "type": "text"}
    graph.db["archive"].insert_one({**item, "state": "published"})
    row = {"_id": ObjectId(), "item_id": item["_id"], "operation": "publish"}
    state = {"state": "published", "queue_state": "pending", "publish_sequence_no": number}
    graph.db["published"].insert_one({**item, **row, **state, "_current_version": 1})


def test_thousands_of_subscribers(
    graph: Graph, environment: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One story is routed to all of them, in one run."""
    is_long = request.config.getoption("--long")
    count = SUBSCRIBERS_OF_A_LONG_RUN if is_long else SUBSCRIBERS
    newsroom = Newsroom(graph.db)
    newsroom.subscriber("first", push("http://127.0.0.1:9"))
    publish(graph)
    little = megabytes_of("enqueue", environment, tmp_path)
    product = newsroom.product()
    graph.db["subscribers"].insert_many(
        {
            "name": f"subscriber {number}",
            "is_active": True,
            "subscriber_type": "all",
            "sequence_num_settings": {"min": 1, "max": 9999},
            "products": [product],
            "destinations": [push("http://127.0.0.1:9")],
        }
        for number in range(count)
    )
    publish(graph)

    much = megabytes_of("enqueue", environment, tmp_path)

    assert graph.db["publish_queue"].count_documents({"item_id": "item-1"}) == count + 1
    assert much - little < MORE_MEGABYTES, (little, much)
