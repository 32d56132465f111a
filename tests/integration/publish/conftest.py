"""Fixtures of tests that follow items from the desk to their receivers."""

import pytest

from apps.graph import Graph
from tests.support.clients import Client
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import Newsroom


@pytest.fixture
def clock() -> HandClock:
    """A clock that a test moves; in force where the module builds its graph with it."""
    return HandClock()


@pytest.fixture
def desk(admin: Client, graph: Graph) -> Newsdesk:
    """A desk whose texts and pictures are valid whatever they say."""
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    newsroom.validators(item_type="picture")
    return Newsdesk(admin, newsroom)
