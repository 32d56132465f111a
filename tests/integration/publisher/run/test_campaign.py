"""A hundred stories at real sites, while the line loses every third answer and workers die.

Nothing is there twice, nothing is missing: a post for each story, with its picture and category.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any, Protocol
from uuid import uuid4

import pytest
from PIL import Image

from apps.graph.build import Graph
from tests.peers.ghost import GhostPeer
from tests.peers.proxy import Fault, Proxy
from tests.peers.shared import Peers
from tests.peers.wordpress import WordPressPeer
from tests.support.publisher_client import Publisher, put_out
from tests.support.services import empty_services
from tests.support.site_worker import ShiftedClock
from tests.support.worker_processes import kill, process

pytestmark = [pytest.mark.chaos, pytest.mark.peers, pytest.mark.timeout(1800)]

STORIES = 100
DEATHS = 5
"""Of the worker, while stories are published."""
LEASE = 3
PATIENCE_SECONDS = 600.0
"""For all stories to be where they are wanted."""
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Shown:
    """A post as it is at its site.

    Attributes:
        picture: address of the featured picture.
        terms: names of categories or tags.
    """

    id: str
    title: str
    is_live: bool
    picture: str
    terms: frozenset[str]


class Peer(Protocol):
    """A real site, as this campaign looks at it."""

    @property
    def url(self) -> str: ...

    def integration(self) -> dict[str, Any]:
        """Return the fields of an integration with it, but its address."""
        ...

    def posts(self, mark: str) -> list[Shown]:
        """Return all posts in whose title a mark is, whatever their state."""
        ...

    def page(self, url: str) -> tuple[int, str]: ...


class WordPressSite:
    """A WordPress."""

    def __init__(self, peer: WordPressPeer) -> None:
        self.peer = peer
        self.url, self.page = peer.url, peer.page

    def integration(self) -> dict[str, Any]:
        return {"destination": "wordpress", "credentials": self.peer.credentials("editor")}

    def posts(self, mark: str) -> list[Shown]:
        states = "publish,future,draft,pending,private,trash"
        found = self._all("posts", search=mark, status=states, context="edit")
        media = self._all("media", include=",".join(str(post["featured_media"]) for post in found))
        addresses = {medium["id"]: medium["source_url"] for medium in media}
        names = {term["id"]: term["name"] for term in self._all("categories", search=mark)}
        return [
            Shown(
                id=str(post["id"]),
                title=post["title"]["raw"],
                is_live=post["status"] == "publish",
                picture=addresses.get(post["featured_media"], ""),
                terms=frozenset(names.get(id_, str(id_)) for id_ in post["categories"]),
            )
            for post in found
        ]

    def uploads(self, digest: str) -> int:
        """Return how many attachments hold a file."""
        return len(self.peer.rest("GET", "/wp/v2/media", search=digest))

    def _all(self, kind: str, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            offset = {"per_page": 100, "offset": len(found)}
            page = self.peer.rest("GET", f"/wp/v2/{kind}", **offset, **query)
            found += page
            if len(page) < 100:
                return found


class GhostSite:
    """A Ghost."""

    def __init__(self, peer: GhostPeer) -> None:
        self.peer = peer
        self.url, self.page = peer.url, peer.page

    def integration(self) -> dict[str, Any]:
        return {
            "destination": "ghost",
            "credentials": {"admin_api_key": self.peer.admin_api_key},
        }

    def posts(self, mark: str) -> list[Shown]:
        return [
            Shown(
                id=post["id"],
                title=post["title"],
                is_live=post["status"] == "published",
                picture=post["feature_image"] or "",
                terms=frozenset(tag["name"] for tag in post["tags"]),
            )
            for post in self.peer.posts(include="tags")
            if mark in post["title"]
        ]


@pytest.fixture
def settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **settings,
        "LEASE_SECONDS": LEASE,
        "MAX_TRANSMIT_RETRY_ATTEMPT": 10,
        # The clock moves on to what is due next, and that may be hours.
        "SESSION_EXPIRY_MINUTES": 100_000,
    }


@pytest.fixture
def clock(tmp_path: Path) -> ShiftedClock:
    return ShiftedClock(tmp_path / "ahead")


@pytest.fixture
def graph(settings: Mapping[str, Any], clock: ShiftedClock) -> Iterator[Graph]:
    with empty_services(settings, clock=clock) as built:
        yield built


@pytest.fixture(params=["wordpress", "ghost"])
def peer(request: pytest.FixtureRequest, peers: Peers) -> Iterator[Peer]:
    with peers.use(request.param) as found:
        if request.param == "wordpress":
            yield WordPressSite(WordPressPeer(**found))
        else:
            yield GhostSite(GhostPeer(**found))


@pytest.fixture
def line(peer: Peer) -> Iterator[Proxy]:
    """The way to the site, which loses every third answer."""
    with Proxy(peer.url) as proxy:
        proxy.rule(Fault.LOSE_ANSWER, every=3)
        yield proxy


class Campaign:
    """Stories, their records, and workers that are killed."""

    def __init__(
        self,
        graph: Graph,
        clock: ShiftedClock,
        publisher: Publisher,
        line: Proxy,
        peer: Peer,
        directory: Path,
    ) -> None:
        self.graph = graph
        self.clock = clock
        self.publisher = publisher
        self.line = line
        self.peer = peer
        self.directory = directory
        self.mark = f"campaign{uuid4().hex[:10]}"
        self.random = Random(self.mark)
        site = publisher.site()
        self.integration = publisher.integration(site, base_url=line.url, **peer.integration())
        self.pictures = [self._picture(number) for number in range(STORIES)]

    def _picture(self, number: int) -> tuple[str, str]:
        """Store a picture that no other story has; return its id and the digest of its bytes."""
        made = BytesIO()
        color = (number % 256, *self.random.randbytes(2))
        Image.new("RGB", (64, 48), color).save(made, "PNG")
        content = made.getvalue()
        media = str(self.graph.media.put(content, "picture.png"))
        return media, sha256(content).hexdigest()[:16]

    def category(self, number: int) -> str:
        return f"Desk {number % 5} {self.mark}"

    def put_out(self, state: str, word: str) -> None:
        """Store all stories as published in a new version."""
        for number, (media, _) in enumerate(self.pictures):
            href = f"/api/upload-raw/{media}"
            picture = {
                "type": "picture",
                "alt_text": "A river",
                "description_text": "The river",
                "renditions": {"original": {"media": media, "href": href}},
            }
            version = {"published": 1, "corrected": 2}.get(state, 3)
            put_out(
                self.graph.db,
                f"{self.mark}-{number}",
                state,
                headline=f"{self.mark} {word} {number}",
                body_html=f"<p>{word} {number}</p>",
                anpa_category=[{"name": self.category(number), "qcode": f"q{number % 5}"}],
                associations={"featuremedia": picture},
                _current_version=version,
            )

    def ask(self) -> None:
        """Let all stories be where they belong, in one request."""
        ids = [f"{self.mark}-{number}" for number in range(STORIES)]
        answer = self.publisher.publish(ids, integrations=[self.integration["_id"]])
        assert answer.status_code == 202, answer.text

    @contextmanager
    def worker(self) -> Iterator[Any]:
        names = ("MONGO_URI", "MONGO_DBNAME", "REDIS_URL", "NOTIFICATION_CHANNEL", "LEASE_SECONDS")
        environment = {name: self.graph.settings[name] for name in names}
        keys = ",".join(self.graph.settings["ENCRYPTION_KEYS"])
        environment |= {"ENCRYPTION_KEYS": keys, "LOG_LEVEL": "WARNING"}
        command = ["-m", "tests.support.site_worker", str(self.directory / "ahead")]
        with process(command, environment, self.directory) as running:
            yield running

    def run(self, deaths: int = 0) -> None:
        """Run workers until nothing is wanted any more; the first of them are killed amid work."""
        for _ in range(deaths):
            last = len(self.line.requests) + self.random.randint(5, STORIES)
            with self.worker() as running:
                self.wait(lambda last=last: len(self.line.requests) >= last or self.is_done())
                kill(running)
            # A lease of seconds, and nobody waits for it.
            self.clock.advance(LEASE)
        with self.worker():
            self.wait(self.is_done)

    def is_done(self) -> bool:
        waiting = {"phase": {"$ne": "idle"}, "status": {"$ne": "failed"}}
        return not self.graph.db["publishing_records"].count_documents(waiting)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait for something; move the clock to what is due next whenever nobody is at work."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.told()
            time.sleep(POLL_SECONDS)
            lane = self.graph.db["publisher_lanes"].find_one({}, {"lease_until": 1, "wake_at": 1})
            if lane and lane.get("wake_at") and not lane.get("lease_until"):
                ahead = (lane["wake_at"] - self.clock.precise()).total_seconds()
                if ahead > 0:
                    self.clock.advance(ahead)

    def records(self) -> list[dict[str, Any]]:
        records = list(self.graph.db["publishing_records"].find())
        return sorted(records, key=lambda record: int(record["content"].rpartition("-")[2]))

    def told(self) -> dict[str, int]:
        """Return how many records are in each state, with what is wrong with them."""
        counts: dict[str, int] = {}
        for record in self.records():
            error = record["error"] or {}
            key = f"{record['status']} {record['phase']} {error.get('code')}"
            counts[key] = counts.get(key, 0) + 1
        return counts

    def is_shown(self, word: str) -> None:
        """Check that each story is at the site once, as it is, with its picture and category."""
        records = self.records()
        assert {record["status"] for record in records} == {"published"}, self.told()
        posts = {post.id: post for post in self.peer.posts(self.mark)}
        assert len(posts) == len(records) == STORIES
        for number, record in enumerate(records):
            post = posts[record["external_id"]]
            assert post.is_live
            assert post.title == f"{self.mark} {word} {number}"
            assert self.pictures[number][1] in post.picture
            assert post.terms == {self.category(number)}

    def is_gone(self) -> None:
        """Check that nothing of it can be read any more."""
        records = self.records()
        assert {record["status"] for record in records} == {"retracted"}, self.told()
        assert not [post for post in self.peer.posts(self.mark) if post.is_live]
        assert {self.peer.page(record["external_url"])[0] for record in records} == {404}


def test_hundred_stories(
    graph: Graph,
    clock: ShiftedClock,
    publisher: Publisher,
    peer: Peer,
    line: Proxy,
    tmp_path: Path,
) -> None:
    """Published, corrected and withdrawn, each once, whatever the line loses and whoever dies."""
    campaign = Campaign(graph, clock, publisher, line, peer, tmp_path)
    campaign.put_out("published", "first")
    campaign.ask()
    campaign.run(DEATHS)
    campaign.is_shown("first")
    ids = [record["external_id"] for record in campaign.records()]

    campaign.put_out("corrected", "second")
    campaign.ask()
    campaign.run()
    campaign.is_shown("second")
    assert [record["external_id"] for record in campaign.records()] == ids

    campaign.put_out("killed", "withdrawn")
    campaign.ask()
    campaign.run()
    campaign.is_gone()
    lost = line.count()
    assert lost > 3 * STORIES
