"""Suites live outside the test modules; their assertions explain themselves all the same."""

import pytest

pytest.register_assert_rewrite("tests.suites.transmitter_suite")
