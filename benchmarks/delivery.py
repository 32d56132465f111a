"""Delivery by real processes: how soon, how many a second, and at what cost.

    python benchmarks/delivery.py [PART ...] [options]

Web server, workers and embedded stores are processes as `manage.py run` starts them, receivers
have one of their own. The parts, all of them unless named:

    latency     publish requests at a steady rate: from the request to the receiver, by percentile
    dead        the same with one receiver of them that never answers; percentiles of the others
    throughput  rows that wait when the workers start: deliveries per second, by destinations and
                by worker processes; CPU seconds per 1000 deliveries
    publishing  publish requests as fast as they are answered, by web processes
    recovery    the workers are killed amid a batch and started again: until they deliver, and
                until what they had begun is delivered
    memory      a worker's memory while it delivers

Figures are of this machine, and of everything else that it does meanwhile.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import settings as settings_module
from apps.celery import create_celery
from apps.core.service import Document
from apps.demo.api import API
from apps.graph.build import Graph, build_graph
from apps.processes.embedded.children import free_port, start, stop
from apps.processes.embedded.servers import MONGO
from apps.processes.embedded.stores import resolve_stores
from apps.processes.programs import programs
from benchmarks.pipeline import body, seed

PARTS = ("latency", "dead", "throughput", "publishing", "recovery", "memory")
ENDED = ("success", "failed", "canceled")
START_SECONDS = 60.0
DRAIN_SECONDS = 300.0
"""How long what was published may take to arrive once nothing more is published."""
EDITORS = 8
"""Publish requests that are under way at once."""
TICKS = os.sysconf("SC_CLK_TCK")


# Receivers.


class Receiving(asyncio.Protocol):
    """One connection of a receiver that accepts everything, and knows when it came."""

    seen: list[tuple[str, float]] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            lines = self._data[:end].decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
            size = end + 4 + int(headers.get("content-length", 0))
            if len(self._data) < size:
                return
            self._data = self._data[size:]
            self._answer(lines[0], headers)

    def _answer(self, request: str, headers: dict[str, str]) -> None:
        answer = b"{}"
        if request.startswith("GET /count"):
            answer = json.dumps(len(self.seen)).encode()
        elif request.startswith("GET"):
            answer = json.dumps(self.seen).encode()
        elif "/dead/" in request:
            return
        else:
            self.seen.append((headers["webhook-id"], time.time()))
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n"
        self._transport.write(head.encode() + answer)


def serve(port: int) -> None:
    """Run the receivers of all subscribers."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Receiving, "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(run())


@dataclass
class Receivers:
    """The process of the receivers.

    Attributes:
        url: where subscribers get their deliveries.
        dead_url: where nobody ever answers.
    """

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/push"

    @property
    def dead_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/dead/push"

    def count(self) -> int:
        """Return how many deliveries came, repeats included."""
        with urlopen(self.url.replace("/push", "/count")) as answer:
            return int(json.load(answer))

    def wait_for(self, count: int, seconds: float, wanted: str) -> None:
        """Wait until so many deliveries came; the store is left alone meanwhile.

        Raises:
            TimeoutError: they have not come in time.
        """
        wait_until(lambda: self.count() >= count, seconds, wanted)

    def seen(self) -> dict[str, float]:
        """Return when each delivery first came, by its key."""
        with urlopen(self.url) as answer:
            came = json.load(answer)
        return dict(reversed(came))


@contextmanager
def receivers() -> Iterator[Receivers]:
    """Start the receivers in a process of their own."""
    port = free_port()
    process = multiprocessing.Process(target=serve, args=(port,), daemon=True)
    process.start()
    running = Receivers(port)
    wait_until(lambda: answers(running.url), START_SECONDS, "the receivers")
    yield running
    process.terminate()
    process.join()


def answers(url: str) -> bool:
    """Whether something answers at an address."""
    with suppress(OSError), urlopen(url):
        return True
    return False


def wait_until(
    condition: Callable[[], bool], seconds: float, wanted: str, every: float = 0.05
) -> None:
    """Wait for what other processes do.

    Args:
        every: seconds between two looks.

    Raises:
        TimeoutError: it has not happened in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{wanted}: not within {seconds:.0f} s")
        time.sleep(every)


# The installation.


@dataclass
class Installation:
    """Programs of an installation, on stores that are running."""

    settings: dict[str, Any]
    directory: Path
    mongo_pid: int | None
    processes: dict[str, Any] = field(default_factory=dict)

    def start(self, *names: str, **changes: Any) -> None:
        """Start programs; workers also with other settings."""
        for program in programs({**self.settings, **changes}):
            if program.name in names:
                variables = {name: str(value) for name, value in changes.items()}
                environment = {**program.environment, **variables, "LOG_LEVEL": "WARNING"}
                log = self.directory / "log" / f"{program.name}.log"
                self.processes[program.name] = start(program.command, log, environment)
                wait_until(program.is_ready, START_SECONDS, program.name)

    def stop(self, *names: str) -> None:
        """Stop programs, all of them unless named."""
        ended = [self.processes.pop(n) for n in names or tuple(self.processes)]
        stop(ended)

    def kill(self, name: str) -> None:
        """End a program at once, with all its processes."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def pids(self, name: str) -> list[int]:
        """Return the processes of a program."""
        group = self.processes[name].pid
        return [pid for pid in pids() if group_of(pid) == group]

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds that each program, and the store, has used."""
        used = {name: sum(map(cpu_of, self.pids(name))) for name in self.processes}
        return {**used, "store": cpu_of(self.mongo_pid) if self.mongo_pid else 0.0}


@contextmanager
def installed(mongo: str | None, **changes: Any) -> Iterator[Installation]:
    """Bring up stores with an empty database; stop everything in the end."""
    directory = Path(tempfile.mkdtemp(prefix="wiredesk-delivery-"))
    os.environ["DATA_DIR"] = str(directory)
    stores, close = resolve_stores(mongo, None, directory)
    overrides = {
        "MONGO_URI": stores.mongo_uri,
        "MONGO_DBNAME": "wiredesk_benchmark_delivery",
        "REDIS_URL": stores.redis_url,
        "DATA_DIR": str(directory),
        "HOST": "127.0.0.1",
        "PORT": free_port(),
        "PUBLIC_URL": None,
        "BCRYPT_GENSALT_WORK_FACTOR": 4,
        "LOG_LEVEL": "WARNING",
        **changes,
    }
    made = Installation(settings_module.load(overrides), directory, MONGO.pid_at(stores.mongo_uri))
    try:
        yield made
    finally:
        made.stop()
        close()
        shutil.rmtree(directory, ignore_errors=True)


def pids() -> list[int]:
    """Return all processes of this machine."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def group_of(pid: int) -> int | None:
    """Return the process group of a process; None where it has ended."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that a process has used; 0 where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_of(pid: int) -> float:
    """Return the resident megabytes of a process; 0 where it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# The newsroom.


class Newsroom:
    """A newsroom with subscribers that get everything.

    Args:
        graph: services in this process, which no worker knows of.
        receivers: of its subscribers.
        subscribers: how many there are.
        dead: how many of them never answer.
    """

    def __init__(self, graph: Graph, receivers: Receivers, subscribers: int, dead: int = 0) -> None:
        self.graph = graph
        self._receivers = receivers
        seed(graph, receivers.url, subscribers)
        never = {"$set": {"destinations.0.config.resource_url": receivers.dead_url}}
        ids = graph.db["subscribers"].distinct("_id")[:dead]
        graph.db["subscribers"].update_many({"_id": {"$in": ids}}, never)
        self.dead = {str(id_) for id_ in ids}
        self._desk = graph.newsroom.desks.post([{"name": "News"}])[0]

    def stories(self, count: int, first: int = 0) -> list[Document]:
        """Write stories that are not out."""
        desk = self.graph.db["desks"].find_one({"_id": self._desk}) or {}
        task = {"desk": desk["_id"], "stage": desk["working_stage"]}
        stories = [
            {
                "headline": f"Storm keeps harbour closed, day {number}",
                "slugline": "storm",
                "body_html": body(number),
                "type": "text",
                "state": "fetched",
                "task": dict(task),
                "subject": [{"qcode": "17005000", "name": "storm"}],
                "anpa_category": [{"qcode": "a", "name": "National"}],
            }
            for number in range(first, first + count)
        ]
        archive = self.graph.editing.services["archive"]
        ids = [id_ for story in stories for id_ in archive.post([story])]
        return [self.graph.db["archive"].find_one({"_id": id_}) or {} for id_ in ids]

    def queued(self, count: int) -> None:
        """Publish and route stories in this process; their rows wait."""
        publish = self.graph.publishing.operations.by_endpoint["archive_publish"]
        done = 0
        while done < count:
            for story in self.stories(min(100, count - done), done):
                publish.patch(story["_id"], {})
            done += 100
            self.graph.enqueue.run()

    def rows(self, **wanted: Any) -> int:
        """Return how many rows there are, by state."""
        return int(self.graph.db["publish_queue"].count_documents(wanted))

    def waiting(self) -> int:
        """Return how many rows have not ended."""
        return self.rows(state={"$lt": "success", "$nin": list(ENDED)})

    def keys(self) -> dict[str, str]:
        """Return the item of each delivery, by its key; none of receivers that never answer."""
        fields = {"idempotency_key": 1, "item_id": 1, "subscriber_id": 1}
        return {
            row["idempotency_key"]: row["item_id"]
            for row in self.graph.db["publish_queue"].find({}, fields)
            if str(row["subscriber_id"]) not in self.dead
        }


@contextmanager
def newsroom(
    made: Installation, served: Receivers, subscribers: int, dead: int = 0
) -> Iterator[Newsroom]:
    """Fill an empty database with a newsroom."""
    graph = build_graph(made.settings)
    # What is done here wakes up whichever workers there are.
    create_celery(made.settings, lambda: graph)
    try:
        yield Newsroom(graph, served, subscribers, dead)
    finally:
        graph.close()


class Editors:
    """Publish stories over HTTP.

    Args:
        url: of the API.
        stories: what they publish.
    """

    def __init__(self, url: str, stories: Sequence[Document]) -> None:
        self._api = API(url)
        self._api.log_in("editor", "password")
        self._stories = list(stories)
        self.asked_at: dict[str, float] = {}
        self.took: list[float] = []

    def publish(self, rate: float | None) -> float:
        """Publish all stories, `rate` a second or as fast as it goes; return the seconds."""
        began = time.time()
        numbers = iter(range(len(self._stories)))
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                if rate:
                    time.sleep(max(0.0, began + number / rate - time.time()))
                story = self._stories[number]
                asked = time.time()
                self._api.patch(f"archive/publish/{story['_id']}", story["_etag"], {})
                # From when it was to be asked for: a late request has waited, too.
                self.asked_at[story["_id"]] = began + number / rate if rate else asked
                self.took.append(time.time() - asked)

        threads = [threading.Thread(target=work) for _ in range(EDITORS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.time() - began


# Figures.


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of `values` does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * share) - 1)] if ordered else float("nan")


def waits(room: Newsroom, served: Receivers, editors: Editors) -> list[float]:
    """Return the seconds from each request to each of its deliveries."""
    seen = served.seen()
    return [
        seen[key] - editors.asked_at[item]
        for key, item in room.keys().items()
        if item in editors.asked_at and key in seen
    ]


def at_rate(
    options: argparse.Namespace, rate: float, dead: int = 0
) -> tuple[list[float], int, dict[str, float], float]:
    """Publish at a rate; return the waits, the deliveries, the CPU seconds, and for how long."""
    with ExitStack() as stack:
        served = stack.enter_context(receivers())
        made = stack.enter_context(installed(options.mongo))
        room = stack.enter_context(newsroom(made, served, options.subscribers, dead))
        count = int(rate * options.seconds)
        warm, stories = room.stories(5), room.stories(count, 5)
        made.start("web", "worker", "websocket")
        Editors(made.settings["PUBLIC_URL"], warm).publish(5)
        alive = options.subscribers - dead
        served.wait_for(len(warm) * alive, DRAIN_SECONDS, "warming up")
        editors = Editors(made.settings["PUBLIC_URL"], stories)
        before = made.cpu()
        took = editors.publish(rate)
        with suppress(TimeoutError):
            served.wait_for((len(warm) + count) * alive, DRAIN_SECONDS, "all deliveries")
        after = made.cpu()
        cpu = {name: after[name] - before[name] for name in after}
        found = waits(room, served, editors)
        return found, count * alive, cpu, took


def print_latency(options: argparse.Namespace) -> list[Any]:
    """Print how soon deliveries come, by rate."""
    rows = []
    for rate in options.rates:
        found, wanted, cpu, took = at_rate(options, rate)
        rows.append(latency_row(f"{rate:g} x {options.subscribers}", found, wanted, cpu, took))
    print("\nSeconds from the publish request to the receiver; CPU seconds per 1000 deliveries")
    print(tabulate(rows, LATENCY, floatfmt=".2f"))
    return rows


LATENCY = (
    *("items/s x subscribers", "deliveries", "missing", "p50", "p95", "p99", "published in s"),
    *("web", "worker", "store"),
)


def latency_row(
    name: str, found: Sequence[float], wanted: int, cpu: dict[str, float], took: float
) -> list[Any]:
    """Return one line of the table."""
    shares = [percentile(found, share) for share in (0.5, 0.95, 0.99)]
    thousands = max(len(found), 1) / 1000
    used = [cpu.get(name, 0.0) / thousands for name in ("web", "worker", "store")]
    return [name, len(found), wanted - len(found), *shares, took, *used]


def print_dead(options: argparse.Namespace) -> list[Any]:
    """Print what one receiver that never answers does to the others."""
    rate = options.rates[0]
    rows = []
    for name, dead in (("all answer", 0), ("one never answers", 1)):
        found, wanted, cpu, took = at_rate(options, rate, dead)
        rows.append(latency_row(name, found, wanted, cpu, took))
    base, beside = rows[0][4], rows[1][4]
    print(f"\n{rate:g} items/s x {options.subscribers}; those that answer")
    print(tabulate(rows, LATENCY, floatfmt=".2f"))
    print(f"p95 beside a dead destination: {beside / base:.2f} of that without")
    return [*rows, beside / base]


def drain(
    options: argparse.Namespace, subscribers: int, workers: int, deliveries: int
) -> dict[str, Any]:
    """Let workers deliver what waits; return what that came to."""
    with ExitStack() as stack:
        served = stack.enter_context(receivers())
        made = stack.enter_context(installed(options.mongo))
        room = stack.enter_context(newsroom(made, served, subscribers))
        room.queued(ceil(deliveries / subscribers))
        wanted = room.rows(state="pending")
        made.start("worker", WORKER_CONCURRENCY=workers)
        served.wait_for(1, START_SECONDS, "the first delivery")
        before = made.cpu()
        served.wait_for(wanted, DRAIN_SECONDS + wanted / 10, "all deliveries")
        after = made.cpu()
        came = sorted(served.seen().values())
        # Neither the start of the workers nor the end, where some lanes are empty, counts.
        first, last = came[len(came) // 10], came[len(came) * 9 // 10]
        return {
            "deliveries": len(came),
            "per second": 0.8 * len(came) / (last - first),
            "worker": (after["worker"] - before["worker"]) * 1000 / len(came),
            "store": (after["store"] - before["store"]) * 1000 / len(came),
        }


def print_throughput(options: argparse.Namespace) -> list[Any]:
    """Print deliveries per second, by destinations and by workers."""
    cases = [(d, options.workers[0]) for d in options.destinations]
    cases += [
        (options.subscribers, w) for w in options.workers if (options.subscribers, w) not in cases
    ]
    rows = [
        [subscribers, workers, *drain(options, subscribers, workers, options.deliveries).values()]
        for subscribers, workers in cases
    ]
    print("\nRows that wait; CPU seconds per 1000 deliveries")
    columns = ("destinations", "worker processes", "deliveries", "per second", "worker", "store")
    print(tabulate(rows, columns, floatfmt=".2f"))
    return rows


def print_publishing(options: argparse.Namespace) -> list[Any]:
    """Print publish requests per second, by web processes; no worker runs."""
    rows = []
    for processes in options.web:
        with ExitStack() as stack:
            served = stack.enter_context(receivers())
            made = stack.enter_context(installed(options.mongo, WEB_WORKERS=processes))
            room = stack.enter_context(newsroom(made, served, 1))
            stories = room.stories(options.requests)
            made.start("web")
            editors = Editors(made.settings["PUBLIC_URL"], stories)
            before = made.cpu()
            took = editors.publish(None)
            after = made.cpu()
            used = [(after[n] - before[n]) * 1000 / options.requests for n in ("web", "store")]
            shares = [percentile(editors.took, share) * 1000 for share in (0.5, 0.99)]
            rows.append([processes, options.requests, options.requests / took, *shares, *used])
    print(f"\nPublish requests of {EDITORS} editors at once; milliseconds, and of CPU per request")
    columns = ("web processes", "requests", "per second", "p50", "p99", "web", "store")
    print(tabulate(rows, columns, floatfmt=".2f"))
    return rows


def print_recovery(options: argparse.Namespace) -> list[Any]:
    """Print how long it takes after all workers were killed amid their work."""
    with ExitStack() as stack:
        served = stack.enter_context(receivers())
        made = stack.enter_context(installed(options.mongo, LEASE_SECONDS=options.lease))
        room = stack.enter_context(newsroom(made, served, options.subscribers))
        room.queued(ceil(options.deliveries / options.subscribers))
        made.start("worker", LEASE_SECONDS=options.lease)
        served.wait_for(options.deliveries // 4, DRAIN_SECONDS, "some deliveries")
        made.kill("worker")
        killed = time.time()
        begun = rows_begun(room)
        made.start("worker", LEASE_SECONDS=options.lease)
        room.queued(1)
        came = served.count()
        served.wait_for(came + 1, DRAIN_SECONDS, "the next delivery")
        again = time.time() - killed
        wait_until(lambda: room.waiting() == 0, DRAIN_SECONDS, "all deliveries", every=1.0)
        ended = max(
            (row["completed_at"].timestamp() for row in completed(room, begun)), default=killed
        )
    rows = [[options.lease, len(begun), again, ended - killed]]
    print("\nSeconds after the death of all workers")
    columns = ("lease", "rows being sent", "until the next delivery", "until these have ended")
    print(tabulate(rows, columns, floatfmt=".2f"))
    return rows


def rows_begun(room: Newsroom) -> list[Any]:
    """Return the ids of rows that are being sent."""
    lanes = room.graph.db["publish_lanes"].find({"sending": {"$exists": True}})
    return [id_ for lane in lanes for id_ in lane["sending"]["ids"]]


def completed(room: Newsroom, ids: Sequence[Any]) -> list[Document]:
    """Return rows that have been delivered."""
    query = {"_id": {"$in": list(ids)}, "state": "success"}
    return list(room.graph.db["publish_queue"].find(query, {"completed_at": 1}))


def print_memory(options: argparse.Namespace) -> list[Any]:
    """Print the memory of worker processes while they deliver."""
    with ExitStack() as stack:
        served = stack.enter_context(receivers())
        made = stack.enter_context(installed(options.mongo))
        room = stack.enter_context(newsroom(made, served, options.subscribers))
        room.queued(ceil(options.memory_deliveries / options.subscribers))
        wanted = room.rows(state="pending")
        made.start("worker")
        rows: list[list[Any]] = []
        step = max(wanted // 10, 1)
        for share in range(1, 11):
            count = min(share * step, wanted)
            served.wait_for(count, DRAIN_SECONDS + wanted / 10, f"{count} deliveries")
            used = sorted(map(memory_of, made.pids("worker")), reverse=True)
            rows.append([count, used[0], sum(used)])
    print("\nResident megabytes of the workers")
    print(tabulate(rows, ("deliveries", "largest process", "all processes"), floatfmt=".1f"))
    return rows


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--mongo", help="MongoDB to use instead of the embedded one")
    parser.add_argument("--subscribers", type=int, default=20)
    parser.add_argument("--rates", type=float, nargs="+", default=[5.0, 10.0, 20.0, 50.0])
    parser.add_argument("--seconds", type=float, default=30.0, help="of publishing at each rate")
    parser.add_argument("--destinations", type=int, nargs="+", default=[1, 5, 20, 100])
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 1, 4])
    parser.add_argument("--web", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--deliveries", type=int, default=4000, help="of each throughput")
    parser.add_argument("--requests", type=int, default=400, help="of each number of web processes")
    parser.add_argument("--lease", type=int, default=60, help="LEASE_SECONDS of the recovery")
    parser.add_argument("--memory-deliveries", type=int, default=50_000)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, too")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    options.parts = options.parts or list(PARTS)
    return options


PRINT: dict[str, Callable[[argparse.Namespace], list[Any]]] = {
    "latency": print_latency,
    "dead": print_dead,
    "throughput": print_throughput,
    "publishing": print_publishing,
    "recovery": print_recovery,
    "memory": print_memory,
}


def main() -> int:
    """Print the tables of the parts that are wanted."""
    options = options_of()
    figures = {part: PRINT[part](options) for part in options.parts}
    if options.json:
        print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
