"""Fixtures of tests of the long-term archive: it is on, and time passes when a test says so."""

from pathlib import Path
from typing import Any

import pytest

from apps.graph.build import Graph
from tests.integration.publish.conftest import clock, graph  # noqa: F401
from tests.support.clients import Client
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import Newsroom, file_in


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "LEGAL_ARCHIVE": True, "CONTENT_EXPIRY_MINUTES": 60}


@pytest.fixture
def desk(admin: Client, graph: Graph, tmp_path: Path) -> Newsdesk:  # noqa: F811
    """A desk with one subscriber that takes everything."""
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    newsroom.validators(item_type="composite")
    newsroom.subscriber("Daily Planet", file_in(tmp_path, password="hunter2"))
    return Newsdesk(admin, newsroom)
