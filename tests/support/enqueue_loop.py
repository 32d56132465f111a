"""Processes that route without end: `python -m tests.support.enqueue_loop`.

Each request on standard input, a number of four digits, starts one more; its process id is answered
on standard output as soon as it is ready. 0 is for one that lives on; another number for one that
dies at that step of its first batch (see `Fuse`). They are forked from a process that has imported
everything and connected to nothing, so that a new one is there in a moment. All end when standard
input does. The claims of a process begin with its id.
"""

import os
import signal
import sys
import time
from itertools import count
from types import SimpleNamespace
from typing import Any

from pymongo import monitoring

import settings as settings_module
from apps.celery import create_celery
from apps.graph.build import build_graph
from apps.publish.enqueue import claims

PAUSE_SECONDS = 0.03
WRITES = ("insert", "update", "delete", "findAndModify", "bulkWrite")
"""Commands of MongoDB that change something."""


class Fuse(monitoring.CommandListener):
    """Kills its process at a step of the first batch that it holds.

    A step is a write that is about to go out, or one that was answered: whatever a process does
    between two of them, it leaves the same behind.

    Args:
        steps: how many to go from the claim on, whose answer is the first.
    """

    def __init__(self, steps: int) -> None:
        self._left = steps
        self._is_lit = False
        self._claims = False

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self._claims = is_claim(event.command)
        self._burn(event)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self._is_lit = self._is_lit or bool(self._claims and event.reply.get("nModified"))
        self._burn(event)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self._burn(event)

    def _burn(self, event: Any) -> None:
        self._left -= self._is_lit and event.command_name in WRITES
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def is_claim(command: Any) -> bool:
    """Whether a command turns published rows to `in_progress`."""
    return command.get("update") == "published" and any(
        change["u"]["$set"].get("queue_owner") for change in command["updates"]
    )


def route_without_end(dies_at: int) -> None:
    """Route what there is, and what comes."""
    numbers = count()
    claims.uuid4 = lambda: SimpleNamespace(hex=f"{os.getpid()}-{next(numbers)}")
    if dies_at:
        monitoring.register(Fuse(dies_at))
    graph = build_graph(settings_module.load())
    create_celery(graph.settings, lambda: graph)
    if not dies_at:
        graph.enqueue.run()
    os.write(sys.stdout.fileno(), f"{os.getpid()}\n".encode())
    while True:
        graph.enqueue.run()
        time.sleep(PAUSE_SECONDS)


def main() -> int:
    """Fork a process for each request."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    children = []
    # Read unbuffered: a child must not find requests that were meant for its parent.
    while request := os.read(sys.stdin.fileno(), 4):
        child = os.fork()
        if not child:
            route_without_end(int(request))
        children.append(child)
    for child in children:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return 0


if __name__ == "__main__":
    sys.exit(main())
