"""Processes that die between two writes of a request, of an enqueue run or of a transmit run."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from apps.archive.actions.item_copy import ItemCopier
from apps.archive.journal.journal import ABANDONED_AFTER, Journal
from apps.content_api.backlog import CopyBacklog
from apps.content_api.store import CopyStore
from apps.core.caller import SYSTEM, Caller
from apps.core.errors import WiredeskError
from apps.core.service import Document
from apps.graph.build import Graph
from apps.graph.editing import build_editing
from apps.graph.foundation import Foundation
from apps.graph.publisher import build_publisher, build_site_work
from apps.graph.publishing import build_collaborators, build_publishing
from apps.monitoring.counters import DeliveryCounters
from apps.publish.content.common import BasePublishService
from apps.publish.content.correction import CorrectionService
from apps.publish.content.parent_packages import ParentPackages
from apps.publish.content.services import PublishServices
from apps.publish.enqueue import EnqueueContent
from apps.publish.enqueue.formatting import ItemFormatting
from apps.publish.queue.content_api_rows import ContentApiRows
from apps.publish.transmit import TransmitContent
from apps.routing.internal_destinations.copies import DeskCopies
from apps.secrets.vault import Vault
from apps.store.sequences import Sequences
from formatters import build_registry
from tests.support.crashes import Crash, CrashingDatabase
from tests.support.newsdesk import HandClock
from transmitters import build_registry as build_transmitters

MOST_WRITES = 100
"""More writes than any request of the tests makes."""


def dies(
    graph: Graph,
    operation: str,
    item: Document,
    before: int,
    changes: Document | None = None,
    caller: Caller = SYSTEM,
) -> bool:
    """Do `operation` with an item in a process that dies before its write number `before`.

    Args:
        changes: what the request says.
        caller: who makes it.

    Returns:
        Whether it died; not when there are fewer writes, or a rule refuses the action.
    """
    db: Any = CrashingDatabase(graph.db, before)
    services = publish_services(graph, db=db, journal=Journal(db, graph.clock))
    service = next(each for each in services.values() if each.operation == operation)
    try:
        service.patch(item["_id"], dict(changes or {}), caller)
    except WiredeskError:
        return False
    except Crash:
        return True
    return False


def dies_routing(graph: Graph, before: int) -> bool:
    """Make an enqueue run that dies before its write number `before`; return whether it died."""
    db: Any = CrashingDatabase(graph.db, before)
    process = another_process(graph, db)
    collaborators = build_collaborators(process)
    packages = ParentPackages(collaborators, PublishServices(collaborators))
    run = EnqueueContent(
        db,
        graph.clock,
        journal=Journal(db, graph.clock),
        catch_up=packages.catch_up,
        desk_copies=_desk_copies(process),
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
        followers=[build_publisher(process).following],
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
    process = another_process(graph, CrashingDatabase(graph.db, before))
    return {
        **build_editing(process).services,
        "archive_correction": CorrectionService(build_collaborators(process)),
    }


def dies_editing(graph: Graph, operation: str, item: Document, before: int, caller: Caller) -> bool:
    """Do an editor's action in a process that dies before its write number `before`.

    Args:
        operation: `save`, `lock`, `unlock`, `spike` or `unspike`.

    Returns:
        Whether it died; not when there are fewer writes, or a rule refuses the action.
    """
    services = dying_editing(graph, before)
    try:
        if operation == "save":
            services["archive"].patch(item["_id"], {"headline": operation}, caller)
        elif operation in ("lock", "unlock"):
            services[f"archive_{operation}"].act(item["_id"], {}, caller)
        else:
            services[f"archive_{operation}"].patch(item["_id"], {}, caller)
    except WiredeskError:
        return False
    except Crash:
        return True
    return False


def publish_services(graph: Graph, **changes: Any) -> Mapping[str, BasePublishService]:
    """Return the publish services of another process by endpoint.

    Args:
        changes: collaborators that are not those of `graph`.
    """
    collaborators = graph.publishing.collaborators
    return PublishServices(replace(collaborators, **changes)).by_endpoint


def another_process(graph: Graph, db: Any) -> Foundation:
    """Return what the services of another process stand on, which works on `db`."""
    journal = Journal(db, graph.clock)
    return replace(graph, db=db, journal=journal, transmitters=build_transmitters())


def answering(graph: Graph, db: Any) -> Graph:
    """Return `graph` as another process has it, which does on `db` what clients ask for.

    Of publishing and of the publisher; what is around them is that of `graph`.
    """
    process = another_process(graph, db)
    publisher = build_publisher(process)
    formatting = ItemFormatting(db, graph.clock, graph.formatters, graph.settings)
    publishing = build_publishing(process, graph.editing, graph.content_api.backlog, formatting)
    return replace(graph, publishing=publishing, publisher=publisher)


def _desk_copies(process: Foundation) -> DeskCopies:
    context = build_editing(process).context
    return DeskCopies(context, ItemCopier(context), on_failed=lambda destination, rows, error: None)


def complete_abandoned(graph: Graph) -> None:
    """Let the time pass after which other processes complete what was broken off."""
    later = HandClock(graph.clock.precise() + ABANDONED_AFTER + timedelta(seconds=1))
    Journal(graph.db, later).complete_abandoned()


def transmitting(graph: Graph, db: Any) -> TransmitContent:
    """Return the transmit run of another process, which works on `db`."""
    process = another_process(graph, db)
    build_publisher(process)
    return TransmitContent(
        db,
        graph.clock,
        sequences=Sequences(db),
        transmitters=process.transmitters,
        vault=Vault.of(graph.settings),
        media=graph.media,
        notifier=graph.notifier,
        counters=DeliveryCounters(db, graph.clock, timedelta(days=1)),
        settings=graph.settings,
    )


def dies_transmitting(graph: Graph, before: int) -> bool:
    """Make a transmit run that dies before its write number `before`; return whether it died."""
    try:
        transmitting(graph, CrashingDatabase(graph.db, before)).run()
    except Crash:
        return True
    return False


def dies_at_sites(graph: Graph, before: int) -> bool:
    """Make a run of the sites that dies before its write number `before`; return whether it did."""
    process = another_process(graph, CrashingDatabase(graph.db, before))
    work = build_site_work(process, build_publisher(process), lambda: None)
    try:
        work.run.run()
    except Crash:
        return True
    return False
