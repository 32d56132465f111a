"""Fixtures of tests of the publisher: an API whose WordPress sites are in memory."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from apps.graph.build import Graph
from tests.support.clients import Client, first_client
from tests.support.events import Events
from tests.support.fake_sites import SITES, FakeWordPress
from tests.support.publisher_client import Publisher


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with which nothing is sent to sites before a run."""
    return {**settings, "TRANSMIT_IMMEDIATELY": False}


@pytest.fixture
def graph(graph: Graph) -> Graph:
    """Services whose only platform is in memory."""
    graph.platforms.add(FakeWordPress, replace=True)
    SITES.clear()
    return graph


@pytest.fixture
def events(settings: Mapping[str, Any]) -> Iterator[Events]:
    """The notifications sent from here on."""
    with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as listening:
        yield listening


@pytest.fixture
def publisher(admin: Client) -> Publisher:
    """An administrator of the account `default`."""
    return Publisher(admin)


@pytest.fixture
def stranger(app: Any, graph: Graph) -> Publisher:
    """An administrator of another account."""
    fields = {"user_type": "administrator", "account": "other"}
    return Publisher(first_client(app, graph, "stranger", **fields))


@pytest.fixture
def site(publisher: Publisher) -> dict[str, Any]:
    return publisher.site()


@pytest.fixture
def integration(publisher: Publisher, site: dict[str, Any]) -> dict[str, Any]:
    return publisher.integration(site)
