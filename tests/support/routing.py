"""Rules that tests of routing put straight into the store."""

from datetime import timedelta
from typing import Any

from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from apps.publish.enqueue.batch import RoutingTools
from apps.publish.enqueue.rules import Alarm, Snapshots
from apps.store.sequences import Sequences
from formatters import build_registry
from tests.support.newsdesk import Newsdesk


def stored_filter(desk: Newsdesk, field: str, operator: str, value: str, **kind: Any) -> ObjectId:
    """Store a content filter with one condition; return its id.

    Args:
        kind: further fields of the filter, such as `is_global`.
    """
    condition, content_filter = ObjectId(), ObjectId()
    desk.db["filter_conditions"].insert_one(
        {
            "_id": condition,
            "name": f"c {condition}",
            "field": field,
            "operator": operator,
            "value": value,
        }
    )
    desk.db["content_filters"].insert_one(
        {
            "_id": content_filter,
            "name": f"f {content_filter}",
            "content_filter": [{"expression": {"fc": [condition]}}],
            **kind,
        }
    )
    return content_filter


def permitting(desk: Newsdesk, field: str, operator: str, value: str) -> Document:
    """Store a filter with one condition; return a product's reference that lets it pass."""
    filter_id = stored_filter(desk, field, operator, value)
    return {"filter_id": filter_id, "filter_type": "permitting"}


def routing_tools(graph: Graph, *, db: Any = None) -> RoutingTools:
    """Return what routing works with, without a content API.

    Args:
        db: another database than that of the graph.
    """
    db = graph.db if db is None else db
    alarm = Alarm(db, graph.clock, graph.notifier)
    return RoutingTools(
        db,
        graph.clock,
        Sequences(graph.db),
        build_registry(),
        Snapshots(db, graph.clock, alarm, content_api=False, max_age=timedelta()),
        None,
        graph.notifier,
        graph.settings,
    )
