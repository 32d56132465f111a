"""Fixtures of commands that are run as an operator runs them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent.parent
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def manage(settings: dict[str, Any], tmp_path: Path) -> Command:
    """Run `manage.py` on the stores of the test session."""
    names = ("MONGO_URI", "MONGO_DBNAME", "REDIS_URL")
    environment = {**os.environ, **{name: settings[name] for name in names}}
    environment.update({"DATA_DIR": str(tmp_path), "NO_BOOTSTRAP": "1"})

    def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            cwd=ROOT,
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
