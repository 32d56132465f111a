"""Fixtures of tests in which time passes until items expire."""

from typing import Any

import pytest

from tests.integration.publish.conftest import clock, desk, graph  # noqa: F401


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Items expire after an hour."""
    return {**settings, "CONTENT_EXPIRY_MINUTES": 60}
