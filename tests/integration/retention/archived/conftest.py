"""Fixtures of tests in which time passes until items expire."""

from tests.integration.retention.expiry.conftest import clock, desk, graph, settings  # noqa: F401
