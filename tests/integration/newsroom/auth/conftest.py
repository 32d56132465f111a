"""Fixtures of tests of log-ins."""

from typing import Any

import pytest

from tests.support.clients import Client


@pytest.fixture
def desk(admin: Client) -> dict[str, Any]:
    """A desk as a client has created it."""
    return admin.create("desks", {"name": "Sports"})
