"""Cost of publishing, of a row and of a delivery, by how much is stored already.

    python benchmarks/growth.py [--stored 0 10000 100000] [--subscribers 10] [--items 50]

Before each measurement every collection that grows with the items is filled with as many documents
of items that went out before, delivered to the same subscribers. What is measured is what
`benchmarks/pipeline.py` measures; that it does not grow is what there is to see.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from bson import ObjectId
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from apps.core.service import Document
from apps.graph.build import Graph
from benchmarks.installation import installed, options
from benchmarks.pipeline import receiver, run

CHUNK = 1000
PHASES = ("publish request", "queue row", "delivery")


def fill(graph: Graph, count: int) -> None:
    """Store `count` documents of earlier items in each collection that grows with them."""
    makers: dict[str, Callable[[int], Document]] = {
        "archive": _item,
        "archive_versions": _version,
        "archive_history": lambda n: {"_id": ObjectId(), "item_id": f"old-{n}", "version": 2},
        "published": _published,
        "publish_queue": partial(_row, graph.db["subscribers"].distinct("_id")),
        "publish_payloads": lambda n: {**_body(n), "_id": f"old-{n}", "item_id": f"old-{n}"},
        "recipients": lambda n: {"_id": f"old-{n}", "subscribers": {}, "receivers": []},
        "routing_decisions": lambda n: {"_id": ObjectId(), "item_id": f"old-{n}"},
    }
    now = graph.clock.now() - timedelta(days=1)
    for name, make in makers.items():
        for chunk in _chunks(count):
            stamps = {"_created": now, "_updated": now, "_etag": "x"}
            graph.db[name].insert_many([{**stamps, **make(n)} for n in chunk])


def _chunks(count: int) -> Iterator[range]:
    for first in range(0, count, CHUNK):
        yield range(first, min(first + CHUNK, count))


def _item(number: int) -> Document:
    id_ = f"old-{number}"
    task = {"desk": ObjectId(), "stage": ObjectId()}
    fields = {"guid": id_, "family_id": id_, "unique_id": -number, "unique_name": f"#-{number}"}
    return {"_id": id_, "type": "text", "state": "published", "task": task, **fields}


def _version(number: int) -> Document:
    item = _item(number)
    return {**item, "_id": ObjectId(), "_id_document": item["_id"], "_current_version": 2}


def _published(number: int) -> Document:
    item = _item(number)
    done = {"queue_state": "queued", "publish_sequence_no": -number, "moved_to_legal": False}
    last = {"_current_version": 2, "last_published_version": True}
    return {**item, "_id": ObjectId(), "item_id": item["_id"], **done, **last}


def _row(subscribers: list[Any], number: int) -> Document:
    place = number % len(subscribers)
    subscriber = subscribers[place]
    return {
        "_id": ObjectId(),
        "item_id": f"old-{number}",
        "item_version": 2,
        "subscriber_id": subscriber,
        "destination": {"_id": f"push-{place}", "delivery_type": "http_push"},
        "lane": f"{subscriber}:push-{place}",
        "order_no": -number,
        "state": "success",
        "priority": False,
        "publishing_action": "published",
        "idempotency_key": f"old-{number}",
        "moved_to_legal": False,
    }


def _body(number: int) -> Document:
    return {"body": "{}", "media_type": "application/json", "item_version": 2}


def options_of() -> argparse.Namespace:
    """Read the command line."""
    parser = options(__doc__)
    parser.add_argument("--stored", type=int, nargs="+", default=[0, 10_000, 100_000])
    parser.add_argument("--subscribers", type=int, default=10)
    parser.add_argument("--items", type=int, default=50)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser.parse_args()


def main() -> int:
    """Print the table."""
    arguments = options_of()
    with installed("growth", arguments.mongo) as settings, receiver() as url:
        figures = {
            stored: run(
                settings,
                url,
                arguments.subscribers,
                arguments.items,
                lambda graph, count=stored: fill(graph, count),  # type: ignore[misc]
            )
            for stored in arguments.stored
        }
    if arguments.json:
        print(
            json.dumps({stored: [vars(cost) for cost in each] for stored, each in figures.items()})
        )
        return 0
    rows = [
        (stored, phase, *cost.row)
        for stored, costs in figures.items()
        for phase, cost in zip(PHASES, costs, strict=True)
    ]
    columns = ("stored in each collection", "phase", "commands", "CPU ms", "per second")
    print(tabulate(rows, columns, floatfmt=("", "", ".3f", ".3f", ".0f")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
