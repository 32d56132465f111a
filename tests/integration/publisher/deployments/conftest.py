"""Fixtures of deployments to the stand-in site, by the real WordPress platform."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.graph.build import Graph
from tests.support.deployment_desk import DeploymentDesk
from tests.support.newsdesk import HandClock
from tests.support.publisher_client import Publisher
from tests.support.services import empty_services
from tests.support.site_desk import FaultySite


@pytest.fixture
def settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    # Tests say when workers run.
    quiet = {"TRANSMIT_IMMEDIATELY": False}
    return {
        **settings,
        **quiet,
        "PUBLISHER_ALLOW_HTTP": True,
        "PUBLISHER_ALLOW_PRIVATE": True,
    }


@pytest.fixture
def clock() -> HandClock:
    # A connection test compares the clock of the site with that of the machine.
    return HandClock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
def graph(settings: Mapping[str, Any], clock: HandClock) -> Iterator[Graph]:
    with empty_services(settings, clock=clock) as built:
        yield built


@pytest.fixture
def site(clock: HandClock) -> Iterator[FaultySite]:
    with FaultySite(clock.precise) as open_site:
        yield open_site


@pytest.fixture
def desk(graph: Graph, clock: HandClock, publisher: Publisher) -> DeploymentDesk:
    return DeploymentDesk(graph, clock, publisher, publisher.site()["_id"])


@pytest.fixture(autouse=True)
def integration(desk: DeploymentDesk, site: FaultySite) -> dict[str, Any]:
    return desk.integration(site)
