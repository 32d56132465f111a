"""Packages that single delivery types need (docs/dependencies.md)."""

import subprocess
import sys
from pathlib import Path

import pytest

from transmitters.extras import MissingExtra, imported

ROOT = Path(__file__).resolve().parents[3]
LISTED = """
import sys
from transmitters import build_registry
types = {cls.type for cls in build_registry()}
print(sorted(types & {"amazon_sqs_fifo", "ODBC"}))
print(sorted({"boto3", "botocore", "pyodbc"} & sys.modules.keys()))
"""


def test_they_are_imported_on_use() -> None:
    """The types are there without them."""
    command = [sys.executable, "-c", LISTED]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert ["['ODBC', 'amazon_sqs_fifo']", "[]"] == found.stdout.splitlines()


def test_what_to_install_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package, or what it needs of the system."""
    (tmp_path / "needs_a_library.py").write_text("raise ImportError('libodd.so.2: not found')")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(MissingExtra, match=r"pip install -r requirements/sqs\.txt"):
        imported("no_such_package", "sqs")
    with pytest.raises(MissingExtra, match=r"libodd\.so\.2: not found\): apt-get install odd"):
        imported("needs_a_library", "sqs", system="apt-get install odd")
