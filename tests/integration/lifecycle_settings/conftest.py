"""Fixtures of tests that change one setting: a desk, and a clock that the test moves."""

from tests.integration.publish.conftest import clock, desk, graph  # noqa: F401
