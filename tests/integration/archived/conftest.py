"""Fixtures of tests in which time passes until items expire."""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.graph import Graph, build_graph
from tests.integration.publish.conftest import clock, desk  # noqa: F401
from tests.support.newsdesk import HandClock


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Items expire after an hour."""
    return {**settings, "CONTENT_EXPIRY_MINUTES": 60}


@pytest.fixture
def graph(settings: dict[str, Any], clock: HandClock) -> Iterator[Graph]:  # noqa: F811
    """Services on an empty database, with a clock that the test moves."""
    built = build_graph(settings, clock=clock)
    for name in built.db.list_collection_names():
        built.db[name].delete_many({})
    yield built
    built.close()
