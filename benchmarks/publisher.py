"""Requests that publishing to CMS sites costs, stories in a minute, and memory of large pictures.

    python benchmarks/publisher.py [--mongo URI] [--seconds 20] [--sites stand-in webflow ...]

Counted is what reaches the site for a text with one picture that is known there: the look-up before
every create as well, looks at public pages and the removal of files apart. Sites: the stand-in
site, WordPress, Ghost and a look-alike of Webflow; those that are not installed are left out, with
a line that says so. Exit status 1 when a count, or the memory of a worker that carries pictures of
50 MB, is over its limit.
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from threading import Event, Timer
from typing import Any

from bson import ObjectId
from cryptography.fernet import Fernet
from PIL import Image
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import settings as settings_module
from app import create_app
from apps.demo.site import PASSWORD, USERNAME, StandInSite
from apps.graph.build import Graph, build_graph
from benchmarks.installation import installed, options
from tests.peers.proxy import Forwarded, Proxy
from tests.peers.webflow import WebflowPeer
from tests.support.clients import first_client
from tests.support.publisher_client import Publisher, put_out

ACTIONS = ("create", "update", "unchanged", "retract", "kill")
LIMITS = {
    "wordpress": dict(zip(ACTIONS, (3, 2, 0, 1, 2), strict=True)),
    "ghost": dict(zip(ACTIONS, (2, 2, 0, 1, 2), strict=True)),
    "webflow": dict(zip(ACTIONS, (4, 3, 0, 1, 2), strict=True)),
}
"""Requests by destination and action."""
MEMORY_MB = 200
PICTURES, PICTURE_MB = 4, 50
REMOVAL = re.compile("/(media|assets)/[0-9a-f]+")


@dataclass(frozen=True)
class RunningSite:
    """A site, and what an integration with it needs.

    Attributes:
        fields: of the integration.
        path: of the API, below the address.
    """

    name: str
    url: str
    fields: Mapping[str, Any]
    path: str = ""


@contextmanager
def stand_in() -> Iterator[RunningSite]:
    """Run the site of the demo."""
    credentials = {"username": USERNAME, "application_password": PASSWORD}
    with StandInSite() as site:
        fields = {"destination": "wordpress", "credentials": credentials}
        yield RunningSite("stand-in", site.url, fields)


@contextmanager
def webflow() -> Iterator[RunningSite]:
    """Run the look-alike of Webflow, with one collection."""
    with WebflowPeer() as peer:
        place = peer.add_site("daily")
        fields = [
            peer.field("body", "RichText"),
            peer.field("photo", "Image"),
            peer.field("wire-ref", "PlainText"),
        ]
        found = {
            "collection": peer.add_collection(place, "articles", fields),
            "site_id": place,
            "domain": peer.root,
            "field_map": {"ref": "wire-ref"},
        }
        token = {"token": peer.add_token()}
        whole = {"destination": "webflow", "credentials": token, "options": found}
        yield RunningSite("webflow", peer.root, whole, peer.url.removeprefix(peer.root))


@contextmanager
def wordpress() -> Iterator[RunningSite]:
    """Run a WordPress."""
    with peer_of("wordpress") as found:
        password = found["users"]["editor"]["password"]
        credentials = {"username": "editor", "application_password": password}
        fields = {"destination": "wordpress", "credentials": credentials}
        yield RunningSite("wordpress", found["url"], fields)


@contextmanager
def ghost() -> Iterator[RunningSite]:
    """Run a Ghost."""
    with peer_of("ghost") as found:
        credentials = {"admin_api_key": found["admin_api_key"]}
        fields = {"destination": "ghost", "credentials": credentials}
        yield RunningSite("ghost", found["url"], fields)


@contextmanager
def peer_of(name: str) -> Iterator[dict[str, Any]]:
    """Run a server of another project in a directory of its own."""
    peer = import_module(f"tests.peers.{name}")
    with (
        tempfile.TemporaryDirectory(prefix=f"{name}-") as directory,
        peer.running(Path(directory)) as found,
    ):
        yield found


SITES: dict[str, Callable[[], Any]] = {
    "stand-in": stand_in,
    "wordpress": wordpress,
    "ghost": ghost,
    "webflow": webflow,
}


class Desk:
    """Puts stories out and brings them to one site.

    Args:
        graph: the services.
        publisher: a client.
        integration: with the site.
    """

    def __init__(self, graph: Graph, publisher: Publisher, integration: Mapping[str, Any]) -> None:
        self.graph = graph
        self._publisher = publisher
        self._integration = str(integration["_id"])
        self._media = str(graph.media.put(picture(), "picture.png"))
        self._version = 0

    def put_out(self, item_id: str, state: str = "published", media: str | None = None) -> None:
        """Store a story as it is published: each time with another text."""
        media = media or self._media
        self._version += 1
        rendition = {"media": media, "href": f"/api/upload-raw/{media}"}
        featured = {
            "type": "picture",
            "alt_text": "A river",
            "description_text": "The river on Friday",
            "renditions": {"original": rendition},
        }
        put_out(
            self.graph.db,
            item_id,
            state,
            headline=f"Rivers rise, {item_id}",
            body_html=f"<p>Rivers rose, says version {self._version}.</p>",
            anpa_category=[{"name": "National", "qcode": "a"}],
            associations={"featuremedia": featured},
            _current_version=self._version,
        )

    def ask(self, *item_ids: str) -> None:
        """Let stories be at the site as they are."""
        answer = self._publisher.publish(list(item_ids), integrations=[self._integration])
        assert answer.status_code == 202, answer.text

    def bring(self, item_id: str, state: str = "published") -> None:
        """Put a story out, and bring it to the site."""
        self.put_out(item_id, state)
        self.ask(item_id)
        self.graph.site_run.run()
        query = {"content": item_id, "integration": ObjectId(self._integration)}
        record = self.graph.db["publishing_records"].find_one(query)
        assert record is not None
        assert record["error"] is None, record["error"]

    def settled(self, prefix: str = "") -> int:
        """Return how many stories are at the site, of those whose ids begin so."""
        query = {
            "integration": ObjectId(self._integration),
            "status": "published",
            "content": {"$regex": f"^{prefix}"},
        }
        return self.graph.db["publishing_records"].count_documents(query)


def picture() -> bytes:
    """Return a small picture."""
    made = BytesIO()
    Image.effect_noise((64, 48), 90).convert("RGB").save(made, "PNG")
    return made.getvalue()


def counted(desk: Desk, proxy: Proxy) -> Iterator[tuple[str, int, int]]:
    """Do every action with a story; yield it with its requests, and the removals of files."""

    def cost(act: Callable[[], None]) -> tuple[int, int]:
        before = len(proxy.requests)
        act()
        sent = proxy.requests[before:]
        removals = sum(removes_file(request) for request in sent)
        return len(sent) - removals, removals

    desk.bring("first")  # brings picture and category, and reads what terms there are
    yield "create", *cost(lambda: desk.bring("second"))
    yield "update", *cost(lambda: desk.bring("second", "corrected"))

    def again() -> None:
        desk.ask("second")
        desk.graph.site_run.run()

    yield "unchanged", *cost(again)
    yield "retract", *cost(lambda: desk.bring("second", "unpublished"))
    desk.bring("third")
    yield "kill", *cost(lambda: desk.bring("third", "killed"))


def removes_file(request: Forwarded) -> bool:
    """Whether a request removes an uploaded file, or makes sure before that it is the one."""
    return request.method in ("GET", "DELETE") and bool(REMOVAL.search(request.target))


def per_minute(desk: Desk, seconds: float, stories: int = 100) -> float:
    """Return how many stories a worker brings to the site in a minute."""
    before = desk.settled()
    ids = [f"many-{number}" for number in range(stories)]
    for item_id in ids:
        desk.put_out(item_id)
    for start in range(0, stories, 100):
        desk.ask(*ids[start : start + 100])
    stop = Event()
    timer = Timer(seconds, stop.set)
    started = time.monotonic()
    timer.start()
    while not stop.is_set() and desk.settled() - before < stories:
        desk.graph.site_run.run(stop)
    timer.cancel()
    return (desk.settled() - before) / (time.monotonic() - started) * 60


def carried_memory(desk: Desk, settings: Mapping[str, Any]) -> tuple[float, float]:
    """Return the memory in MB that a worker takes at most, and before it carries pictures."""
    side = int((PICTURE_MB * 2**20 / 3) ** 0.5) + 1
    ids = []
    for number in range(PICTURES):
        content = BytesIO()
        pixels = Image.frombytes("RGB", (side, side), os.urandom(side * side * 3))
        pixels.save(content, "PNG", compress_level=0)
        media = str(desk.graph.media.put(content.getvalue(), "large.png"))
        ids.append(f"large-{number}")
        desk.put_out(ids[-1], media=media)
    while desk.graph.site_run.run():
        pass  # what was left of before
    desk.ask(*ids)
    names = ("MONGO_URI", "MONGO_DBNAME", "REDIS_URL")
    environment = {**os.environ, **{name: settings[name] for name in names}}
    environment["ENCRYPTION_KEYS"] = ",".join(settings["ENCRYPTION_KEYS"])
    done = subprocess.run(
        [sys.executable, __file__, "--carry"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert desk.settled("large-") == PICTURES, done.stderr
    most, at_start = done.stdout.split()
    return float(most), float(at_start)


def carry() -> None:
    """Be a worker that carries what is due; print the memory that it took, and had at its start."""
    graph = build_graph(settings_module.load())
    at_start = memory()
    graph.site_run.run()
    print(memory(), at_start)
    graph.close()


def memory() -> float:
    """Return the most memory that this process has had, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        # What `getrusage` tells on Linux begins with the memory of the process that started it.
        (most,) = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())
        return int(most) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Print the tables."""
    parser = options(__doc__)
    parser.add_argument("--sites", nargs="+", choices=SITES, default=list(SITES))
    parser.add_argument("--seconds", type=float, default=20, help="of work at each site")
    parser.add_argument("--carry", action="store_true", help="be the worker that is measured")
    arguments = parser.parse_args()
    if arguments.carry:
        carry()
        return 0
    changes = {
        "CELERY_TASK_ALWAYS_EAGER": False,
        "ENCRYPTION_KEYS": [Fernet.generate_key().decode()],
    }
    with installed("publisher", arguments.mongo, **changes) as settings, ExitStack() as stack:
        graph = build_graph(settings)
        stack.callback(graph.close)
        graph.db.client.drop_database(graph.db.name)
        graph = build_graph(settings)
        client = first_client(create_app(graph=graph), graph, "editor", user_type="administrator")
        publisher = Publisher(client)
        home = publisher.site()
        requests, speeds, is_over = [], [], False
        for name in arguments.sites:
            module = None if name in ("stand-in", "webflow") else f"tests.peers.{name}"
            problem = import_module(module).missing() if module else None
            if problem:
                print(problem, file=sys.stderr)
                continue
            with SITES[name]() as site, Proxy(site.url) as proxy:
                desk = connected(graph, publisher, home, site, proxy)
                limits = LIMITS[site.fields["destination"]]
                for action, sent, removals in counted(desk, proxy):
                    over = "over" if sent > limits[action] else ""
                    is_over |= bool(over)
                    requests.append((name, action, sent, limits[action], removals, over))
                speeds.append((name, round(per_minute(desk, arguments.seconds))))
                if name == "stand-in":
                    most, at_start = carried_memory(desk, settings)
        print(tabulate(requests, ("site", "action", "requests", "limit", "files removed", "")))
        print()
        print(tabulate(speeds, ("site", "stories a minute")))
        if "stand-in" in arguments.sites:
            print(
                f"\n{PICTURES} pictures of {PICTURE_MB} MB, two at a time: {most:.0f} MB at most, "
                f"{at_start:.0f} MB before; limit {MEMORY_MB} MB"
            )
            is_over |= most > MEMORY_MB
    return int(is_over)


def connected(
    graph: Graph, publisher: Publisher, home: Any, site: RunningSite, proxy: Proxy
) -> Desk:
    """Set up an integration with a site behind a proxy, and test it."""
    address = proxy.url + site.path
    integration = publisher.integration(home, name=site.name, base_url=address, **site.fields)
    told = publisher.post(f"integrations/{integration['_id']}/test").get_json()
    assert told["ok"], told
    return Desk(graph, publisher, integration)


if __name__ == "__main__":
    sys.exit(main())
