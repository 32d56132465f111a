"""Fixtures of tests of hooks: a desk, and a clock that the test moves."""

from tests.integration.expiry.conftest import graph  # noqa: F401
from tests.integration.publish.conftest import clock, desk  # noqa: F401
