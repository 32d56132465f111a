"""Publish requests of a process that dies between two writes, and what others make of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from apps.archive.journal import OVERDUE, Journal
from apps.core.service import Document
from apps.core.vocabulary import Operation
from apps.graph import Graph
from tests.support.crashes import Crash, CrashingDatabase
from tests.support.newsdesk import HandClock

MOST_WRITES = 60
"""More writes than any request of the tests makes."""


def dies(graph: Graph, word: str, item: Document, before: int) -> bool:
    """Do `word` with an item in a process that dies before its write number `before`.

    Returns:
        Whether it died; not when there are fewer writes.
    """
    db: Any = CrashingDatabase(graph.db, before)
    actions: dict[Operation, Any] = {}
    tools = graph.publish["archive_publish"].tools
    tools = replace(tools, db=db, journal=Journal(db, graph.clock), actions=actions)
    actions.update({s.operation: type(s)(tools) for s in graph.publish.values()})
    try:
        actions[Operation(word)].patch(item["_id"], {})
    except Crash:
        return True
    return False


def settle(graph: Graph) -> None:
    """Let the time pass after which other processes complete what was broken off."""
    later = HandClock(graph.clock.precise() + OVERDUE + timedelta(seconds=1))
    Journal(graph.db, later).settle_overdue()
