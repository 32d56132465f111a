"""Stores that take connections and answer nothing: nobody waits for them, and nothing comes twice.

Delivery contract X24, store contract 1.
"""

import os
import signal
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from apps.core import json
from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from apps.routing.subscribers.stored_destinations import lane_id
from tests.support.clients import client_of, new_user
from tests.support.conservation import Conservation, Recorder, check_manifest, is_over
from tests.support.installations import Installation, installation
from tests.support.newsroom import Newsroom, push
from tests.support.processes import wait_until
from tests.support.receivers import HTTPReceiver, slowly

pytestmark = pytest.mark.timeout(400)

LEASE_SECONDS = 3
IMPATIENCE_SECONDS = 20.0
"""What a client waits: more than the time in which a request gives up, on a busy machine, too, and
less than the half minute in which the driver finds out by itself."""
PATIENCE_SECONDS = 120.0


class Wire:
    """An HTTP client of a running installation, logged in as an administrator."""

    def __init__(self, installed: Installation, graph: Graph) -> None:
        self._root = f"http://127.0.0.1:{installed.settings['PORT']}"
        user = new_user("admin", user_type="administrator")
        graph.db["users"].insert_one(user)
        app = SimpleNamespace(extensions={"graph": graph}, test_client=lambda: None)
        token = client_of(app, user).token
        self._credentials = b64encode(f"{token}:".encode()).decode()

    def ask(
        self, method: str, path: str, body: Document | None = None, etag: str | None = None
    ) -> tuple[int, Any, Any]:
        """Return status, headers and body of an answer."""
        request = Request(f"{self._root}/{path}", method=method)
        request.add_header("Authorization", f"Basic {self._credentials}")
        if body is not None:
            request.data = json.dumps(body)
            request.add_header("Content-Type", "application/json")
        if etag:
            request.add_header("If-Match", etag)
        try:
            with urlopen(request, timeout=IMPATIENCE_SECONDS) as answer:
                return answer.status, answer.headers, json.loads(answer.read() or b"{}")
        except HTTPError as error:
            return error.code, error.headers, json.loads(error.read() or b"{}")

    def story(self, newsroom: Newsroom, headline: str) -> Document:
        status, _, item = self.ask("POST", "api/archive", newsroom.story(headline=headline))
        assert status == 201, item
        return dict(item)

    def publish(self, item: Document) -> int:
        """Publish an item, and return the status of the answer."""
        path = f"api/archive/publish/{item['_id']}"
        return self.ask("PATCH", path, {}, etag=item["_etag"])[0]


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Keep a process from doing anything; what is connected to it stays connected."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installation]:
    changes = {"LEASE_SECONDS": LEASE_SECONDS, "LOG_LEVEL": "WARNING"}
    with installation(tmp_path, **changes) as made:
        yield made


@pytest.fixture
def graph(installed: Installation) -> Iterator[Graph]:
    built = build_graph({**installed.settings, "CELERY_TASK_ALWAYS_EAGER": True})
    try:
        yield built
    finally:
        built.close()


@pytest.fixture
def wire(installed: Installation, graph: Graph) -> Wire:
    return Wire(installed, graph)


@pytest.fixture
def newsroom(graph: Graph, wire: Wire) -> Newsroom:
    made = Newsroom(graph.db)
    made.validators()
    return made


def start(installed: Installation) -> None:
    installed.start("web", "worker")
    wait_until(lambda: installed.is_at_work("web"), PATIENCE_SECONDS)
    wait_until(lambda: installed.is_at_work("worker"), PATIENCE_SECONDS)


def test_a_hanging_database_is_503_and_work_goes_on_behind_it(
    installed: Installation, graph: Graph, wire: Wire, newsroom: Newsroom
) -> None:
    """Reads, writes and log-ins are answered; the worker, amid deliveries, outlives it."""
    recorder = Recorder(slowly(0.2))
    with HTTPReceiver(recorder) as receiver:
        lane = lane_id(newsroom.subscriber("s", push(receiver.url)), "push")
        start(installed)
        items = [wire.story(newsroom, f"item {number}") for number in range(12)]
        early, late = items[:8], items[8:]
        assert [wire.publish(item) for item in early] == [200] * 8
        receiver.wait_for(2, PATIENCE_SECONDS)
        conservation = Conservation(graph.db)
        conservation.look()
        login = {"username": "admin", "password": "admin_password"}
        changed = {"headline": "changed"}
        asked: list[tuple[Any, ...]] = [
            ("GET", "api/archive"),
            ("GET", f"api/archive/{late[0]['_id']}"),
            ("GET", "api/publish_queue"),
            ("POST", "api/archive", newsroom.story()),
            ("POST", "api/auth_db", login),
            ("PATCH", f"api/archive/{late[1]['_id']}", changed, late[1]["_etag"]),
            ("PATCH", f"api/archive/publish/{late[2]['_id']}", {}, late[2]["_etag"]),
            ("GET", "health/ready"),
        ]

        with stopped(installed.mongo()), ThreadPoolExecutor(len(asked)) as threads:
            answers = list(threads.map(lambda one: wire.ask(*one), asked))
            assert wire.ask("GET", "health/live")[0] == 200

        seen = {f"{one[0]} {one[1]}": answer[0] for one, answer in zip(asked, answers, strict=True)}
        assert set(seen.values()) == {503}, seen
        assert all(answer[1]["Retry-After"] for answer in answers[:-1])
        for item in late:
            wait_until(lambda i=item: is_published(wire, i), PATIENCE_SECONDS)
        wait_until(lambda: len(conservation.look()) == len(items), PATIENCE_SECONDS)
        wait_until(lambda: is_over(graph.db), PATIENCE_SECONDS)

    assert installed.is_running("worker")
    assert conservation.check() == {"success": len(items)}
    arrivals = recorder.arrivals()
    check_manifest(graph.db, {lane: arrivals}, "")
    known = {row["idempotency_key"] for row in conservation.look()}
    assert {arrival.key for arrival in arrivals} == known


def is_published(wire: Wire, item: Document) -> bool:
    """Ask for an item to be published as clients do that were answered with 503."""
    _, _, known = wire.ask("GET", f"api/archive/{item['_id']}")
    if known.get("state") == "published":
        return True
    return "_etag" in known and wire.publish(known) == 200


def test_a_hanging_redis_costs_wake_ups_and_notifications_only(
    installed: Installation, graph: Graph, wire: Wire, newsroom: Newsroom
) -> None:
    """Requests are answered; what they have published goes out with a tick once Redis is back."""
    with HTTPReceiver() as receiver:
        newsroom.subscriber("s", push(receiver.url))
        start(installed)
        with stopped(installed.redis()):
            items = [wire.story(newsroom, f"item {number}") for number in range(3)]
            assert [wire.publish(item) for item in items] == [200] * 3
            login = {"username": "admin", "password": "admin_password"}
            assert wire.ask("POST", "api/auth_db", login)[0] == 201
            assert wire.ask("GET", "health/ready")[0] == 503

        receiver.wait_for(3, PATIENCE_SECONDS)
        wait_until(lambda: is_over(graph.db), PATIENCE_SECONDS)

    assert installed.is_running("worker")
    keys = Counter(request.headers["webhook-id"] for request in receiver.requests)
    assert set(keys.values()) == {1}
