"""Stores that end and come back under running processes: none of them ends of that."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from pymongo.errors import PyMongoError
from websockets.sync.client import connect

from apps.core import json
from apps.core.notifier import Notifier
from apps.graph.build import Graph, build_graph
from tests.support.installations import PATIENCE_SECONDS, Installation, installation
from tests.support.newsroom import Newsroom, push
from tests.support.processes import wait_until
from tests.support.queues import fill
from tests.support.receivers import HTTPReceiver, Received, Reply

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

RESTARTS = 4
SECONDS_OF_A_DELIVERY = 2.0
"""Deliveries last, so that tasks are running whenever a store ends."""


@contextmanager
def services(settings: Any) -> Iterator[Graph]:
    graph = build_graph({**settings, "CELERY_TASK_ALWAYS_EAGER": True})
    try:
        yield graph
    finally:
        graph.close()


def is_served(installed: Installation) -> bool:
    """Whether the web process answers a request that needs the store."""
    try:
        with urlopen(f"http://127.0.0.1:{installed.settings['PORT']}/api/vocabularies") as answer:
            return bool(answer.status)
    except HTTPError as error:
        return error.code == 401
    except URLError:
        return False


def is_told(installed: Installation, notifier: Notifier) -> bool:
    """Whether a client that connects hears what is pushed."""
    with connect(f"ws://127.0.0.1:{installed.settings['WSPORT']}") as browser:
        notifier.push("are:you:there")
        try:
            while json.loads(browser.recv(timeout=2)).get("event") != "are:you:there":
                pass
        except TimeoutError:
            return False
    return True


class BusyReceiver(HTTPReceiver):
    """A receiver whose answers take their time, so that a task is under way at any time."""

    def __init__(self) -> None:
        self._hurry = Event()
        super().__init__(self._slowly)

    def _slowly(self, request: Received) -> Reply:
        self._hurry.wait(SECONDS_OF_A_DELIVERY)
        return 200

    def close(self) -> None:
        self._hurry.set()
        super().close()


def send_again_and_again(graph: Graph, ended: Event) -> None:
    """Let the rows of the queue be due at all times, so that one task follows the other."""
    while not ended.wait(1.0):
        with suppress(PyMongoError):
            pending = {"$set": {"state": "pending"}}
            graph.db["publish_queue"].update_many({"state": "success"}, pending)
            due = {"$set": {"wake_at": graph.clock.precise()}}
            graph.db["publish_lanes"].update_many({}, due)


@pytest.mark.parametrize("store", ["redis", "mongo"])
def test_processes_outlive_restarts_of_a_store(tmp_path: Path, store: str) -> None:
    """Web, worker and websocket process stay, and go on with their work when it is back."""
    changes = {"LEASE_SECONDS": 3, "LOG_LEVEL": "WARNING", "WEBSOCKET_REQUIRE_TOKEN": False}
    with ExitStack() as stack:
        installed = stack.enter_context(installation(tmp_path, **changes))
        graph = stack.enter_context(services(installed.settings))
        receiver = stack.enter_context(BusyReceiver())
        ended = Event()
        stack.callback(ended.set)
        subscriber = Newsroom(graph.db).subscriber("s", push(receiver.url))
        fill(graph.db, subscriber, push(receiver.url), graph.clock.precise(), items=1)
        installed.start()
        installed.wait_until_ready()
        Thread(target=send_again_and_again, args=(graph, ended), daemon=True).start()
        pid_of = getattr(installed, store)
        for _ in range(RESTARTS):
            receiver.wait_for(len(receiver.requests) + 2, timeout=PATIENCE_SECONDS)
            os.kill(pid_of(), signal.SIGKILL)
            pid_of()

        receiver.wait_for(len(receiver.requests) + 3, timeout=PATIENCE_SECONDS)
        wait_until(lambda: is_served(installed), PATIENCE_SECONDS)
        wait_until(lambda: is_told(installed, graph.notifier), PATIENCE_SECONDS)
        assert [name for name in installed.names if not installed.is_running(name)] == []
