"""Cost of routing: how fast items find their recipients, and what a row of the queue costs.

    python benchmarks/routing.py [--subscribers 10 100 1000] [--items 1000] [--mongo URI]

For every number of subscribers S there are 2 S products with filters of 1 to 5 conditions; each
subscriber has two of them. Every item matches five products, whatever S is: most filters name one
of many codes, every tenth searches headlines. `compile` is what a change of rules costs, `match` is
the decision alone, in memory. The cost of rows is that of the whole run: claim, decide, format,
number, store, in a process that has routed before: imports, connections and compiling are not in
it. CPU time is that of this process; memory is its peak.
"""

import json
import resource
import sys
import time
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bson import ObjectId
from tabulate import tabulate

from apps.celery import create_celery
from apps.core.memory import settle_memory
from apps.graph.build import Graph, build_graph
from apps.publish.enqueue.rules import RoutingRules
from apps.store.mongo import connect
from benchmarks.installation import Commands, installed, sized_options
from benchmarks.pipeline import body

MATCHES = 5
"""Products that an item matches."""
LIKE_EVERY = 10
"""Every so many topics, products search headlines instead of naming a code."""

Document = dict[str, Any]


@dataclass
class Figures:
    """What one size came to; times in milliseconds of CPU."""

    subscribers: int
    products: int
    compile_ms: float
    match_ms: float
    matches: float
    items_per_second: float
    rows: int
    commands_per_row: float
    cpu_per_row_ms: float
    peak_mb: float


def conditions_of(topic: int, count: int) -> list[Document]:
    """Return the conditions of a filter: one that chooses the topic, others that all items pass."""
    chooses = (
        {"field": "headline", "operator": "like", "value": f"topic {topic} "}
        if topic % LIKE_EVERY == 0
        else {"field": "subject", "operator": "in", "value": f"t{topic},x{topic}"}
    )
    others = [
        {"field": "type", "operator": "eq", "value": "text"},
        {"field": "urgency", "operator": "lt", "value": "5"},
        {"field": "anpa_category", "operator": "nin", "value": "z"},
        {"field": "body_html", "operator": "notlike", "value": "earthquake"},
    ]
    return [chooses, *others[: count - 1]]


def seed(graph: Graph, subscribers: int) -> int:
    """Fill an empty database with rules; return how many topics there are."""
    db = graph.db
    count = 2 * subscribers
    topics = max(count // MATCHES, 1)
    products, filters, conditions = [], [], []
    for number in range(count):
        own = conditions_of(number % topics, 1 + number % 5)
        ids = [f"{number}-{place}" for place in range(len(own))]
        conditions += [
            {"_id": id_, "name": id_, **condition} for id_, condition in zip(ids, own, strict=True)
        ]
        statement = [{"expression": {"fc": ids}}]
        filters.append({"_id": number, "name": f"f{number}", "content_filter": statement})
        reference = {"filter_id": number, "filter_type": "permitting"}
        products.append({"_id": number, "name": f"p{number}", "content_filter": reference})
    db["filter_conditions"].insert_many(conditions)
    db["content_filters"].insert_many(filters)
    db["products"].insert_many(products)
    db["subscribers"].insert_many(
        subscriber(number, [number, number + subscribers]) for number in range(subscribers)
    )
    return topics


def subscriber(number: int, products: list[int]) -> Document:
    """Return a subscriber with an HTTP destination."""
    destination = {
        "_id": f"push-{number}",
        "name": "push",
        "format": "ninjs",
        "delivery_type": "http_push",
        "config": {"resource_url": "http://127.0.0.1:9", "secret_token": "benchmark"},
    }
    return {
        "_id": ObjectId(),
        "name": f"Subscriber {number}",
        "is_active": True,
        "subscriber_type": "all",
        "products": products,
        "sequence_num_settings": {"min": 1, "max": 9999},
        "destinations": [destination],
    }


def item(number: int, topics: int) -> Document:
    """Return a published row that is to be routed."""
    topic = number % topics
    now = datetime.now(UTC).replace(microsecond=0)
    return {
        "_id": ObjectId(),
        "item_id": f"urn:benchmark:{number}",
        "guid": f"urn:benchmark:{number}",
        "type": "text",
        "state": "published",
        "pubstatus": "usable",
        "operation": "publish",
        "headline": f"Storm keeps harbour closed, topic {topic} of today",
        "slugline": "storm",
        "body_html": body(number),
        "urgency": 3,
        "subject": [{"qcode": f"t{topic}", "name": f"topic {topic}"}],
        "anpa_category": [{"qcode": "a", "name": "National"}],
        "versioncreated": now,
        "firstcreated": now,
        "_current_version": 2,
        "queue_state": "pending",
        "publish_sequence_no": number,
    }


def publish(graph: Graph, rows: list[Document]) -> None:
    """Store published rows, with their items as a publish action leaves them."""
    graph.db["archive"].insert_many(
        {"_id": row["item_id"], "journal": {"row_id": row["_id"]}} for row in rows
    )
    graph.db["published"].insert_many(rows)


def rules_of(graph: Graph) -> RoutingRules:
    """Compile the rules."""
    db = graph.db
    names = ("subscribers", "products", "content_filters", "filter_conditions", "vocabularies")
    return RoutingRules.build(*(list(db[name].find({})) for name in names))


def measure(settings: Document, subscribers: int, items: int) -> Figures:
    """Measure one size."""
    commands = Commands()
    connect(settings).client.drop_database(settings["MONGO_DBNAME"])
    graph = build_graph(settings, listeners=[commands])
    # Wake-ups of the transmit run go to the broker, where nobody listens.
    create_celery(settings, lambda: graph)
    # As in a worker.
    settle_memory()
    topics = seed(graph, subscribers)
    rows = [item(number, topics) for number in range(items)]
    started = time.process_time()
    rules = rules_of(graph)
    compiled = time.process_time() - started
    now = datetime.now(UTC)
    started = time.process_time()
    matches = sum(len(rules.matches(row, now)) for row in rows)
    matched = time.process_time() - started
    queue = graph.db["publish_queue"]
    # What a process does once is not in the figures: imports, connections, compiled rules.
    publish(graph, [item(items, topics)])
    graph.enqueue.run()
    warm = queue.count_documents({})
    publish(graph, rows)
    before = commands.count.total()
    cpu, wall = time.process_time(), time.perf_counter()
    graph.enqueue.run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    used = commands.count.total() - before
    made = queue.count_documents({}) - warm
    graph.close()
    return Figures(
        subscribers,
        2 * subscribers,
        compiled * 1000,
        matched / items * 1000,
        matches / items,
        items / wall,
        made,
        used / made,
        cpu / made * 1000,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def main() -> int:
    """Print the table."""
    arguments = sized_options(__doc__, [10, 100, 1000], 1000).parse_args()
    with installed("routing", arguments.mongo, CONTENTAPI_ENABLED=False) as settings:
        figures = [measure(settings, size, arguments.items) for size in arguments.subscribers]
    if arguments.json:
        print(json.dumps([asdict(each) for each in figures]))
    else:
        print_table(figures, arguments.items)
    return 0


def print_table(figures: list[Figures], items: int) -> None:
    """Print one line per size."""
    print(f"{items} items; at most 0.1 commands and 0.4 ms CPU per row are wanted")
    heads = ("S", "products", "compile ms", "match ms", "matches", "items/s", "rows")
    formats = ("d", "d", ".1f", ".3f", ".1f", ".0f", "d", ".3f", ".3f", ".0f")
    rows = [astuple(each) for each in figures]
    print(tabulate(rows, (*heads, "cmd/row", "ms/row", "peak MB"), floatfmt=formats))


if __name__ == "__main__":
    sys.exit(main())
