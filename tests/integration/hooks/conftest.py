"""Fixtures of tests of hooks: a desk, and a clock that the test moves."""

from tests.integration.publish.conftest import clock, desk, graph  # noqa: F401
