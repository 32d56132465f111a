"""Where the shared contract data lies: schemas, reference outputs, sample items.

The folder is no part of the repository. Tests that need it skip where it is missing.
"""

import os
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parent.parent


def _location(path: str) -> Path:
    return REPOSITORY / os.environ.get("WIREDESK_SHARED", "../shared") / path


def _missing(found: Path) -> str:
    return f"{found} is missing; set WIREDESK_SHARED to the folder of the contract data"


def shared(path: str) -> Path:
    """Return the file or folder `path` inside the shared folder, or skip the test.

    The folder is `WIREDESK_SHARED`, relative to the repository; default is its sibling `shared`.
    """
    found = _location(path)
    if not found.exists():
        pytest.skip(_missing(found))
    return found


def shared_names(path: str, pattern: str) -> list[Any]:
    """Return the files below the shared folder `path` that match `pattern`, for `parametrize`.

    Where there are none, the one parameter left skips the test.
    """
    root = _location(path)
    names: list[Any] = sorted(str(found.relative_to(root)) for found in root.glob(pattern))
    return names or [pytest.param("", marks=pytest.mark.skip(reason=_missing(root)))]
