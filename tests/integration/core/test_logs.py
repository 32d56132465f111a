"""Log lines: one JSON object each, in one form, without the values of variables."""

import json
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PREPARED = """
import logging, warnings
import structlog
from apps.core.logs import configure_logs

configure_logs("INFO")
log = structlog.get_logger("desk")

def fails():
    password = "".join(reversed("terces"))
    raise ValueError("no such item")
"""
FAULT = """
try:
    fails()
except ValueError as error:
    log.error("request.failed", exc_info=error, item="urn:1")
log.debug("not.shown")
"""
FAULT_OF_A_LIBRARY = """
try:
    fails()
except ValueError:
    logging.getLogger("library").exception("%s went wrong", "all", extra={"item": "urn:1"})
logging.getLogger("library").debug("not shown")
"""
WARNING = """
warnings.warn("soon gone", DeprecationWarning, stacklevel=1)
"""


def program(code: str) -> list[str]:
    return [sys.executable, "-W", "always", "-c", PREPARED + code]


def lines_of(code: str) -> list[dict[str, Any]]:
    """Return what a process that runs `code` logs."""
    done = subprocess.run(program(code), cwd=ROOT, capture_output=True, text=True, check=True)
    assert "secret" not in done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_fault_is_one_line_without_variables() -> None:
    """A traceback tells where it happened and what went wrong; what was in hand it does not."""
    (event,) = lines_of(FAULT)
    assert (event["event"], event["level"], event["item"]) == ("request.failed", "error", "urn:1")
    assert event["logger"] == "desk"
    assert event["timestamp"].endswith("Z")
    assert "ValueError: no such item" in event["exception"]


def test_records_of_libraries_have_the_same_form() -> None:
    """The standard library's records have level, name, time and traceback under the same names."""
    own, (event,) = lines_of(FAULT)[0], lines_of(FAULT_OF_A_LIBRARY)
    assert event["event"] == "all went wrong"
    assert "ValueError: no such item" in event["exception"]
    assert own.keys() == event.keys()


def test_warnings_are_events() -> None:
    """Python's warnings are lines like all others."""
    (event,) = lines_of(WARNING)
    assert event["level"] == "warning"
    assert "soon gone" in event["event"]


def test_a_terminal_gets_a_form_for_reading() -> None:
    """A person at a terminal reads no JSON, and sees no values of variables either."""
    reader, terminal = pty.openpty()
    done = subprocess.run(program(FAULT), cwd=ROOT, stderr=terminal, check=True)
    os.close(terminal)
    text = os.read(reader, 65536).decode()
    os.close(reader)

    assert done.returncode == 0
    assert "request.failed" in text
    assert "no such item" in text
    assert not text.startswith("{")
    assert "secret" not in text


@pytest.mark.parametrize("name", ["pymongo", "websockets", "urllib3"])
def test_libraries_log_no_commands_and_no_requests(name: str) -> None:
    """At DEBUG they would show documents, tokens and addresses."""
    shown = f"""
configure_logs("DEBUG")
logging.getLogger("{name}.anything").debug("secret")
"""
    assert lines_of(shown) == []
    assert logging.getLogger(name).name == name
