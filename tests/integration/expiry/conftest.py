"""Fixtures of tests in which time passes until items expire."""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.graph import Graph
from tests.integration.publish.conftest import clock, desk  # noqa: F401
from tests.support.newsdesk import HandClock
from tests.support.services import empty_services


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Items expire after an hour."""
    return {**settings, "CONTENT_EXPIRY_MINUTES": 60}


@pytest.fixture
def graph(settings: dict[str, Any], clock: HandClock) -> Iterator[Graph]:  # noqa: F811
    """Services on an empty database, with a clock that the test moves."""
    with empty_services(settings, clock=clock) as built:
        yield built
