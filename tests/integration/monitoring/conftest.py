"""Fixtures of tests of what is watched: a newsroom whose deliveries the test carries out."""

from typing import Any

import pytest

from tests.integration.publish.conftest import (  # noqa: F401
    clock,
    desk,
    eager,
    graph,
    receiver,
    settings,
)
from tests.support.watching import Watcher


@pytest.fixture
def watcher(app: Any) -> Watcher:
    """A program that watches the installation."""
    return Watcher(app)
