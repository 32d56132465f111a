"""Fixtures of tests that publish to the stand-in site."""

from collections.abc import Iterator

import pytest

from apps.graph.build import Graph
from tests.support.newsdesk import HandClock
from tests.support.site_desk import FaultySite, SiteDesk


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def site(clock: HandClock) -> Iterator[FaultySite]:
    with FaultySite(clock.precise) as open_site:
        yield open_site


@pytest.fixture
def desk(graph: Graph, clock: HandClock, site: FaultySite) -> SiteDesk:
    return SiteDesk(graph.db, clock, site, graph.notifier)
