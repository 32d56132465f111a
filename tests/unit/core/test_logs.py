"""Log lines: one JSON object each, without the values of variables."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROGRAM = """
import structlog
from apps.core.logs import configure_logs

configure_logs("INFO")
log = structlog.get_logger("test")

def fails():
    password = "".join(reversed("terces"))
    raise ValueError("no such item")

try:
    fails()
except ValueError as error:
    log.error("request.failed", exc_info=error, item="urn:1")
log.debug("not.shown")
"""


def test_a_fault_is_one_line_without_variables() -> None:
    """A traceback tells where it happened and what went wrong; what was in hand it does not."""
    command = [sys.executable, "-c", PROGRAM]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr
    (line,) = lines.splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"], event["item"]) == ("request.failed", "error", "urn:1")
    assert "ValueError: no such item" in event["exception"]
    assert "secret" not in line
