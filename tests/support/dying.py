"""Processes that die between two writes of a request or of an enqueue run."""

from copy import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

from apps.archive.actions.base import Tools as EditingTools
from apps.archive.actions.item_copy import Copying
from apps.archive.journal.journal import OVERDUE, Journal
from apps.content_api.backlog import CopyBacklog
from apps.content_api.store import CopyStore
from apps.core.caller import SYSTEM, Caller
from apps.core.errors import WiredeskError
from apps.core.service import Document
from apps.core.vocabulary import Operation
from apps.graph.build import Graph
from apps.graph.editing import build_editing
from apps.publish.content.correction import CorrectionService
from apps.publish.content.parent_packages import Holders
from apps.publish.content.publication import Tools
from apps.publish.enqueue import EnqueueContent
from apps.publish.queue.content_api_rows import ContentApiRows
from apps.routing.internal_destinations.copies import DeskCopies
from apps.store.sequences import Sequences
from formatters import build_registry
from tests.support.crashes import Crash, CrashingDatabase
from tests.support.newsdesk import HandClock

MOST_WRITES = 100
"""More writes than any request of the tests makes."""


def dies(
    graph: Graph,
    word: str,
    item: Document,
    before: int,
    changes: Document | None = None,
    caller: Caller = SYSTEM,
) -> bool:
    """Do `word` with an item in a process that dies before its write number `before`.

    Args:
        changes: what the request says.
        caller: who makes it.

    Returns:
        Whether it died; not when there are fewer writes, or a rule refuses the action.
    """
    tools = _tools(graph, CrashingDatabase(graph.db, before))
    try:
        tools.actions[Operation(word)].patch(  # type: ignore[attr-defined]
            item["_id"], dict(changes or {}), caller
        )
    except WiredeskError:
        return False
    except Crash:
        return True
    return False


def dies_routing(graph: Graph, before: int) -> bool:
    """Make an enqueue run that dies before its write number `before`; return whether it died."""
    db: Any = CrashingDatabase(graph.db, before)
    run = EnqueueContent(
        db,
        graph.clock,
        journal=Journal(db, graph.clock),
        catch_up=Holders(_tools(graph, db)).catch_up,
        desk_copies=_desk_copies(graph, db),
        sequences=Sequences(db),
        formatters=build_registry(),
        backlog=CopyBacklog(
            db,
            graph.clock,
            CopyStore(db, graph.clock),
            ContentApiRows(db, graph.clock, graph.notifier).succeed,
        ),
        notifier=graph.notifier,
        wake_up=lambda: None,
        on_released=lambda item: None,
        on_failed=lambda rows: None,
        settings=graph.settings,
    )
    try:
        run.run()
    except Crash:
        return True
    return False


def dying_editing(graph: Graph, before: int) -> dict[str, Any]:
    """Return the services of editing of a process that dies before its write number `before`.

    Among them are `archive`, which creates and saves items, and `archive_rewrite`.
    """
    db: Any = CrashingDatabase(graph.db, before)
    tools = _editing_tools(graph, db)
    archive, rewrite = copy(graph.archive), copy(graph.rewrite)
    archive.db = rewrite.db = db
    archive._journal = rewrite._journal = tools.journal
    rewrite._archive = archive
    return {
        **build_editing(tools, archive).services,
        "archive": archive,
        "archive_rewrite": rewrite,
        "archive_correction": CorrectionService(_tools(graph, db)),
    }


def dies_editing(graph: Graph, word: str, item: Document, before: int, caller: Caller) -> bool:
    """Do an editor's action in a process that dies before its write number `before`.

    Args:
        word: `save`, `lock`, `unlock`, `spike` or `unspike`.

    Returns:
        Whether it died; not when there are fewer writes, or a rule refuses the action.
    """
    services = dying_editing(graph, before)
    try:
        if word == "save":
            services["archive"].patch(item["_id"], {"headline": word}, caller)
        elif word in ("lock", "unlock"):
            services[f"archive_{word}"].act(item["_id"], {}, caller)
        else:
            services[f"archive_{word}"].patch(item["_id"], {}, caller)
    except WiredeskError:
        return False
    except Crash:
        return True
    return False


def _desk_copies(graph: Graph, db: Any) -> DeskCopies:
    tools = _editing_tools(graph, db)
    return DeskCopies(tools, Copying(tools), on_failed=lambda destination, rows, error: None)


def _editing_tools(graph: Graph, db: Any) -> EditingTools:
    """Return the tools of the editor's actions of another process, on `db`."""
    tools: EditingTools = graph.editing.services["move"].tools  # type: ignore[attr-defined]
    return replace(tools, db=db, journal=Journal(db, graph.clock))


def _tools(graph: Graph, db: Any) -> Tools:
    """Return the tools of the publish services of another process, on `db`."""
    actions: dict[Operation, Any] = {}
    tools = graph.publish["archive_publish"].tools
    tools = replace(tools, db=db, journal=Journal(db, graph.clock), actions=actions)
    actions.update({s.operation: type(s)(tools) for s in graph.publish.values()})
    return tools


def settle(graph: Graph) -> None:
    """Let the time pass after which other processes complete what was broken off."""
    later = HandClock(graph.clock.precise() + OVERDUE + timedelta(seconds=1))
    Journal(graph.db, later).settle_overdue()
