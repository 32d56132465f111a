"""Fixtures of tests that bring what a newsroom publishes to the stand-in site."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.graph.build import Graph
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import Newsroom
from tests.support.publisher_client import Publisher
from tests.support.services import empty_services
from tests.support.site_desk import FaultySite
from tests.support.site_newsroom import SiteNewsroom


@pytest.fixture
def clock() -> HandClock:
    # The connection test compares the clocks of the site and of this machine.
    return HandClock(datetime.now(UTC))


@pytest.fixture
def eager() -> bool:
    """Whether tasks run at once, within what wakes them up; a test may say so."""
    return False


@pytest.fixture
def settings(settings: Mapping[str, Any], eager: bool) -> dict[str, Any]:
    return {
        **settings,
        "CELERY_TASK_ALWAYS_EAGER": eager,
        "PUBLISHER_ALLOW_HTTP": True,
        "PUBLISHER_ALLOW_PRIVATE": True,
        "SESSION_EXPIRY_MINUTES": 1_000_000,
    }


@pytest.fixture
def graph(settings: Mapping[str, Any], clock: HandClock) -> Iterator[Graph]:
    """Services on an empty database, with the platforms that are built in."""
    with empty_services(settings, clock=clock) as built:
        yield built


@pytest.fixture
def site(clock: HandClock) -> Iterator[FaultySite]:
    with FaultySite(clock.precise) as open_site:
        yield open_site


@pytest.fixture
def newsroom(
    graph: Graph, publisher: Publisher, site: FaultySite, clock: HandClock
) -> SiteNewsroom:
    """A newsroom with an integration of the stand-in site, which nothing goes to yet."""
    desk = Newsdesk(publisher.client, Newsroom(graph.db))
    desk.newsroom.validators()
    desk.newsroom.validators(item_type="composite")
    desk.newsroom.validators(item_type="picture")
    return SiteNewsroom(graph, publisher, desk, site, clock)
