"""Cost of the pipeline: MongoDB commands and CPU time per publish request, queue row and delivery.

    python benchmarks/pipeline.py [--subscribers 1 10 50] [--items 100] [--mongo URI]

For every number of subscribers D, N stories are published through the REST API, then routed, then
delivered over HTTP to a receiver in a process of its own. Then items that hold others are
published: a story with a picture, packages. CPU time is that of this process; what
the database and the receiver need is not in it.
"""

import json
import multiprocessing
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app import create_app
from apps.graph.build import Graph, build_graph
from benchmarks.installation import Commands, installed, sized_options

SENTENCE = "The harbour stayed closed on Friday as the storm went on. "


def body(number: int) -> str:
    """Return the text of a story of 500 words; no two are the same, as in life."""
    return f"<p>Day {number}: {SENTENCE * 45}</p>"


@dataclass
class Cost:
    """What a phase needed."""

    units: int
    commands: int
    cpu: float
    wall: float

    @property
    def row(self) -> tuple[float, float, float]:
        """Commands and CPU milliseconds per unit, and units per second."""
        per_second = self.units / self.wall if self.wall else 0
        return self.commands / self.units, self.cpu / self.units * 1000, per_second


@contextmanager
def measured(commands: Commands, units: Callable[[], int]) -> Iterator[list[Cost]]:
    """Measure the body of a `with` block; the cost is in the list when it ends."""
    result: list[Cost] = []
    before = commands.count.total()
    cpu, wall = time.process_time(), time.perf_counter()
    yield result
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    result.append(Cost(units(), commands.count.total() - before, cpu, wall))


class Receiver(BaseHTTPRequestHandler):
    """Accepts everything."""

    protocol_version = "HTTP/1.1"
    wbufsize = 4096

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: object) -> None: ...


def serve(port: Any) -> None:
    """Run the receiver; put its port into `port`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    port.value = server.server_port
    server.serve_forever()


@contextmanager
def receiver() -> Iterator[str]:
    """Start the receiver in a process of its own; yield its address."""
    port = multiprocessing.Value("i", 0)
    process = multiprocessing.Process(target=serve, args=(port,), daemon=True)
    process.start()
    while not port.value:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port.value}/push"
    process.terminate()
    process.join()


def seed(graph: Graph, url: str, subscribers: int) -> None:
    """Fill an empty database with a newsroom and `subscribers` that match everything."""
    for name in graph.db.list_collection_names():
        graph.db[name].delete_many({})
    user = {"username": "editor", "password": "password", "email": "e@example.com"}
    graph.newsroom.users.post([{**user, "user_type": "administrator", "sign_off": "ED"}])
    rule = {"headline": {"type": "string", "required": True, "maxlength": 200}}
    graph.db["validators"].insert_many(
        {"_id": f"{act}_text", "act": act, "type": "text", "schema": rule}
        for act in ("publish", "correct", "kill")
    )
    product = graph.db["products"].insert_one({"name": "everything"}).inserted_id
    graph.db["subscribers"].insert_many(
        {
            "name": f"Subscriber {number}",
            "is_active": True,
            "subscriber_type": "all",
            "products": [product],
            "sequence_num_settings": {"min": 1, "max": 9999},
            "destinations": [
                {
                    "_id": f"push-{number}",
                    "name": "push",
                    "format": "ninjs",
                    "delivery_type": "http_push",
                    "config": {"resource_url": url, "secret_token": "benchmark"},
                }
            ],
        }
        for number in range(subscribers)
    )


class Session:
    """An editor's client."""

    def __init__(self, app: Any) -> None:
        self._http = app.test_client()
        credentials = {"username": "editor", "password": "password"}
        token = self._http.post("/api/auth_db", json=credentials).get_json()["token"]
        encoded = b64encode(f"{token}:".encode()).decode()
        self._headers = {"Authorization": f"Basic {encoded}"}

    def create(self, number: int, desk: dict[str, Any]) -> dict[str, Any]:
        """Write a story on a desk."""
        story = {
            "headline": f"Storm keeps harbour closed, day {number}",
            "slugline": "storm",
            "body_html": body(number),
            "type": "text",
            "subject": [{"qcode": "17005000", "name": "storm"}],
            "anpa_category": [{"qcode": "a", "name": "National"}],
        }
        return self.post(story, desk)

    def post(self, item: dict[str, Any], desk: dict[str, Any]) -> dict[str, Any]:
        """Put an item on a desk."""
        task = {"desk": desk["_id"], "stage": desk["working_stage"]}
        body = {"state": "fetched", "task": task, **item}
        answer = self._http.post("/api/archive", json=body, headers=self._headers)
        assert answer.status_code == 201, answer.text
        return dict(answer.get_json())

    def desk(self) -> dict[str, Any]:
        """Create a desk."""
        answer = self._http.post("/api/desks", json={"name": "News"}, headers=self._headers)
        assert answer.status_code == 201, answer.text
        return dict(answer.get_json())

    def publish(self, item: dict[str, Any]) -> None:
        """Publish a story."""
        self.act("publish", item, {})

    def act(self, operation: str, item: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        """Publish, correct or kill an item; return it as it is then."""
        headers = {**self._headers, "If-Match": item["_etag"]}
        answer = self._http.patch(
            f"/api/archive/{operation}/{item['_id']}", json=body, headers=headers
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    def item(self, item_id: str) -> dict[str, Any]:
        """Return an item as it is now."""
        return dict(self._http.get(f"/api/archive/{item_id}", headers=self._headers).get_json())

    def package(self, members: list[dict[str, Any]], desk: dict[str, Any]) -> dict[str, Any]:
        """Put a package of items on a desk."""
        package = {"type": "composite", "headline": "All", "groups": self.groups(members)}
        return self.post(package, desk)

    @staticmethod
    def groups(members: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return package groups that hold items."""
        refs = [{"residRef": member["_id"]} for member in members]
        return [{"id": "root", "refs": [{"idRef": "main"}]}, {"id": "main", "refs": refs}]


Workload = Callable[[Session, dict[str, Any], int], dict[str, Any]]
"""Writes the item that is to be published: session, desk, running number."""


def run(
    settings: dict[str, Any],
    url: str,
    subscribers: int,
    items: int,
    prepare: Callable[[Graph], object] = lambda graph: None,
) -> list[Cost]:
    """Measure one workload; return the costs of publishing, routing and delivering.

    Args:
        prepare: called with the services once there is a newsroom.
    """
    commands = Commands()
    graph = build_graph(settings, listeners=[commands])
    seed(graph, url, subscribers)
    prepare(graph)
    session = Session(create_app(graph=graph))
    desk = session.desk()
    stories = [session.create(number, desk) for number in range(items)]
    session.publish(session.create(items, desk))
    graph.enqueue.run()
    graph.transmit.run()
    rows = graph.db["publish_queue"]
    done = rows.count_documents({})
    delivered = rows.count_documents({"state": "success"})
    with measured(commands, lambda: items) as publish:
        for story in stories:
            session.publish(story)
    with measured(commands, lambda: rows.count_documents({}) - done) as enqueue:
        graph.enqueue.run()
    with measured(
        commands, lambda: rows.count_documents({"state": "success"}) - delivered
    ) as transmit:
        graph.transmit.run()
    graph.close()
    return [*publish, *enqueue, *transmit]


def with_picture(session: Session, desk: dict[str, Any], number: int) -> dict[str, Any]:
    """Write a story with a picture that is not out."""
    picture = session.post({"type": "picture", "headline": f"Storm {number}"}, desk)
    media = {"_id": picture["_id"], "type": "picture", "headline": "Storm"}
    story = {"type": "text", "headline": "Storm", "associations": {"featuremedia": media}}
    return session.post(story, desk)


def package_of(members: int) -> Workload:
    """Return the workload that writes packages of stories that are not out."""

    def create(session: Session, desk: dict[str, Any], number: int) -> dict[str, Any]:
        return session.package([session.create(number, desk) for _ in range(members)], desk)

    return create


def run_holdings(settings: dict[str, Any], url: str, items: int) -> dict[str, Cost]:
    """Measure publishing items that hold others; these are published with them."""
    commands = Commands()
    both = {**settings, "PUBLISH_ASSOCIATED_ITEMS": True, "CELERY_TASK_ALWAYS_EAGER": False}
    graph = build_graph(both, listeners=[commands])
    seed(graph, url, 1)
    session = Session(create_app(graph=graph))
    desk = session.desk()
    workloads: dict[str, Workload] = {
        "text with a picture": with_picture,
        "package of 2": package_of(2),
        "package of 10": package_of(10),
    }
    costs = {}
    for name, create in workloads.items():
        written = [create(session, desk, number) for number in range(items + 1)]
        session.publish(written.pop())
        with measured(commands, lambda: items) as cost:
            for item in written:
                session.publish(item)
        costs[name] = cost[0]
    graph.close()
    return costs


def main() -> int:
    """Print the table."""
    arguments = sized_options(__doc__, [1, 10, 50], 100).parse_args()
    with installed("pipeline", arguments.mongo) as settings, receiver() as url:
        figures = {d: run(settings, url, d, arguments.items) for d in arguments.subscribers}
        holdings = run_holdings(settings, url, max(arguments.items // 5, 1))
    if arguments.json:
        costs = {str(d): [vars(c) for c in costs] for d, costs in figures.items()}
        print(json.dumps({**costs, **{name: [vars(c)] for name, c in holdings.items()}}))
    else:
        print_tables(figures, holdings, arguments.items)
    return 0


def print_tables(figures: dict[int, list[Cost]], holdings: dict[str, Cost], items: int) -> None:
    """Print commands, CPU milliseconds and rate per phase, then of items that hold others."""
    print(f"{items} items; per unit: MongoDB commands, CPU ms; units per second")
    phases = ("publish request", "queue row", "delivery")
    units, decimals = ("commands", "CPU ms", "per second"), (".3f", ".3f", ".0f")
    rows = [
        (subscribers, phase, *cost.row)
        for subscribers, costs in figures.items()
        for phase, cost in zip(phases, costs, strict=True)
    ]
    print(tabulate(rows, ("subscribers", "phase", *units), floatfmt=("", "", *decimals)))
    print("\nPublish request of an item that holds others")
    held = [(name, *cost.row) for name, cost in holdings.items()]
    print(tabulate(held, ("item", *units), floatfmt=("", *decimals)))


if __name__ == "__main__":
    sys.exit(main())
