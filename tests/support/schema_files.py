"""Where the official schemas and sample items lie, which belong to their publishers.

`python3 manage.py schemas` gets them. Tests that need one skip where it is missing.
"""

import os
from pathlib import Path

import pytest

from apps.commands.schemas import SAMPLES, listed, located

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / (os.environ.get("WIREDESK_SCHEMAS") or "var/schemas")


def schema(path: str) -> Path:
    """Return a file in the folder of schemas, `WIREDESK_SCHEMAS` or `var/schemas`."""
    return _present(SCHEMAS / path)


def sample(path: str) -> Path:
    """Return a file in the folder of sample items, `WIREDESK_SAMPLES`.

    Without that variable it is the folder `samples` in that of the schemas, or beside it.
    """
    folder = os.environ.get("WIREDESK_SAMPLES")
    return _present(ROOT / folder / path if folder else located(SCHEMAS, f"{SAMPLES}/{path}"))


def names_in(folder: str) -> list[str]:
    """Return the paths of listed files below `folder`, there or not, for `parametrize`."""
    inside = f"{folder}/"
    return [file.path.removeprefix(inside) for file in listed() if file.path.startswith(inside)]


def _present(file: Path) -> Path:
    if not file.exists():
        # The same words in one place, so that pytest sums all of them up in one line.
        pytest.skip("official schemas or samples are missing; run: python3 manage.py schemas")
    return file
