"""Where the shared contract data lies: schemas, reference outputs, sample items.

The folder is no part of the repository. Tests that need it skip where it is missing.
"""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


def shared(path: str) -> Path:
    """Return the file or folder `path` inside the shared folder, or skip the test.

    The folder is `WIREDESK_SHARED`, relative to the repository; default is its sibling `shared`.
    """
    root = REPOSITORY / os.environ.get("WIREDESK_SHARED", "../shared")
    found = root / path
    if not found.exists():
        pytest.skip(f"{found} is missing; set WIREDESK_SHARED to the folder of the contract data")
    return found


def shared_names(path: str, pattern: str) -> list[str]:
    """Return the files below the shared folder `path` that match `pattern`, for `parametrize`.

    Empty where the folder is missing, which makes pytest skip the parametrized test.
    """
    root = REPOSITORY / os.environ.get("WIREDESK_SHARED", "../shared") / path
    return sorted(str(found.relative_to(root)) for found in root.glob(pattern))
