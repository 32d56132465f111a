"""What sites cost those who have none, and how the queries of the others are served."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pymongo.monitoring import CommandListener

from apps.graph.build import Graph
from apps.publisher.records.following import Following
from apps.store.collections import PUBLISH_QUEUE, PUBLISHING_RECORDS
from apps.store.indexes import INDEXES
from tests.support.clients import Client
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import Newsroom
from tests.support.plans import Queries, index_of
from tests.support.services import empty_services
from tests.support.site_newsroom import SiteNewsroom

PARTIAL = {
    f"{command} {PUBLISHING_RECORDS} {{{field}: {{$type: ?}}}}"
    for command, field in (("distinct", "lease_owner"), ("distinct", "next_attempt_at"))
} | {f"find {PUBLISHING_RECORDS} {{desired.action: {{$in: ?}}, scheduled_at: {{$type: ?}}}}"}
"""Served whole by a partial index."""
OWN = {
    f"find {PUBLISH_QUEUE} {{}} by order_no",
    f"find {PUBLISHING_RECORDS} {{next_attempt_at: {{$ne: null}}}} limited",
}
"""What the test itself looks at."""


class Sent(CommandListener):
    """Keeps the names of commands and what they go to."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, Any]] = []

    def started(self, event: Any) -> None:
        self.commands.append((event.command_name, event.command.get(event.command_name)))

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def queries() -> Queries:
    return Queries()


@pytest.fixture
def graph(
    settings: Mapping[str, Any], clock: HandClock, sent: Sent, queries: Queries
) -> Iterator[Graph]:
    with empty_services(settings, clock=clock, listeners=[sent, queries]) as built:
        yield built


def test_no_site_costs_no_command(
    graph: Graph, admin: Client, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Newsdesk(admin, Newsroom(graph.db))
    desk.newsroom.validators()

    def routed() -> list[tuple[str, Any]]:
        for _ in range(5):
            desk.published()
        sent.commands.clear()
        graph.enqueue.run()
        graph.transmit.run()
        return list(sent.commands)

    routed()
    with_sites = routed()
    with monkeypatch.context() as patch:
        patch.setattr(Following, "follow", lambda *arguments: None)
        without = routed()

    assert with_sites == without
    assert not [name for _, name in with_sites if str(name).startswith("publisher_")]


def test_a_site_costs_a_command_a_batch(newsroom: SiteNewsroom, sent: Sent) -> None:
    """However many items are routed that it shows nothing of."""
    newsroom.desk.published()
    newsroom.graph.enqueue.run()
    for _ in range(5):
        newsroom.desk.published()
    sent.commands.clear()
    newsroom.graph.enqueue.run()
    assert [each for each in sent.commands if each[1] == PUBLISHING_RECORDS] == [
        ("find", PUBLISHING_RECORDS)
    ]


def test_queries_have_their_index(newsroom: SiteNewsroom, queries: Queries) -> None:
    newsroom.use("subscriber")
    queries.seen.clear()
    newsroom.site.fault = lambda request: "down"
    item = newsroom.act("publish")
    newsroom.go()
    newsroom.act("correct", item)
    newsroom.go()
    newsroom.site.fault = lambda request: None
    newsroom.settle()
    newsroom.act("kill", item)
    newsroom.settle()
    large = (PUBLISH_QUEUE, PUBLISHING_RECORDS, "published", "archive")
    unserved = [
        query.shape
        for query in queries.seen.values()
        if query.collection in large and index_of(query, INDEXES[query.collection]) is None
    ]
    assert set(unserved) <= PARTIAL | OWN, unserved
