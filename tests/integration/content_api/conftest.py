"""Fixtures of tests of the content API: a newsroom whose subscribers read it."""

import pytest

from apps.graph.build import Graph
from tests.integration.publish.conftest import clock, eager, events, graph, settings  # noqa: F401
from tests.support.clients import Client
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import Newsroom


@pytest.fixture
def desk(admin: Client, graph: Graph) -> Newsdesk:  # noqa: F811
    """A desk whose texts and pictures are valid whatever they say."""
    newsroom = Newsroom(graph.db)
    for kind in ("text", "picture", "composite"):
        newsroom.validators(item_type=kind)
    return Newsdesk(admin, newsroom)
