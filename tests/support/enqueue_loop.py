"""Processes that route without end: `python -m tests.support.enqueue_loop`.

Each line on standard input starts one more; its process id is answered on standard output as soon
as it is ready. They are forked from a process that has imported everything and connected to
nothing, so that a new one is there in a moment. All end when standard input does.
"""

import os
import signal
import sys
import time

import settings as settings_module
from apps.graph import build_graph
from apps.tasks import create_celery

PAUSE_SECONDS = 0.03


def route_without_end() -> None:
    """Route what there is, and what comes."""
    graph = build_graph(settings_module.load())
    create_celery(graph.settings, lambda: graph)
    graph.enqueue.run()
    os.write(sys.stdout.fileno(), f"{os.getpid()}\n".encode())
    while True:
        graph.enqueue.run()
        time.sleep(PAUSE_SECONDS)


def main() -> int:
    """Fork a process for each line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    children = []
    # Read unbuffered: a child must not find lines that were meant for its parent.
    while os.read(sys.stdin.fileno(), 1):
        child = os.fork()
        if not child:
            route_without_end()
        children.append(child)
    for child in children:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return 0


if __name__ == "__main__":
    sys.exit(main())
