"""Fixtures of tests of activities: mail goes to a mailbox, time is the test's."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.publish.conftest import clock, desk, events, graph  # noqa: F401
from tests.support.mailbox import Mailbox


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as box:
        yield box


@pytest.fixture
def settings(settings: dict[str, Any], mailbox: Mailbox) -> dict[str, Any]:
    return {
        **settings,
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": mailbox.port,
        "ADMINS": ["desk@agency.example"],
    }
