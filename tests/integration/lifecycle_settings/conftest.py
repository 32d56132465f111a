"""Fixtures of tests that change one setting: a desk, and a clock that the test moves."""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.graph import Graph, build_graph
from tests.integration.publish.conftest import clock, desk  # noqa: F401
from tests.support.newsdesk import HandClock


@pytest.fixture
def graph(settings: dict[str, Any], clock: HandClock) -> Iterator[Graph]:  # noqa: F811
    """Services on an empty database, with a clock that the test moves."""
    built = build_graph(settings, clock=clock)
    for name in built.db.list_collection_names():
        built.db[name].delete_many({})
    yield built
    built.close()
