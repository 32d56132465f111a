"""Fixtures of tests of stored binaries."""

import pytest

from apps.graph.build import Graph
from apps.media.storage import MediaStorage
from tests.integration.publish.conftest import desk  # noqa: F401


@pytest.fixture
def media(graph: Graph) -> MediaStorage:
    return graph.media
