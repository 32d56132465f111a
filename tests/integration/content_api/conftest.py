"""Fixtures of tests of the content API: a newsroom whose subscribers read it."""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.graph import Graph
from tests.support.clients import Client
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import Newsroom
from tests.support.services import empty_services


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Tasks are left for the test to run; sessions outlive every wait."""
    return {
        **settings,
        "CELERY_TASK_ALWAYS_EAGER": False,
        "SESSION_EXPIRY_MINUTES": 1_000_000,
    }


@pytest.fixture
def clock() -> HandClock:
    """A clock that the test moves."""
    return HandClock()


@pytest.fixture
def graph(settings: dict[str, Any], clock: HandClock) -> Iterator[Graph]:
    """Services on an empty database."""
    with empty_services(settings, clock=clock) as built:
        yield built


@pytest.fixture
def desk(admin: Client, graph: Graph) -> Newsdesk:
    """A desk whose texts and pictures are valid whatever they say."""
    newsroom = Newsroom(graph.db)
    for kind in ("text", "picture", "composite"):
        newsroom.validators(item_type=kind)
    return Newsdesk(admin, newsroom)
