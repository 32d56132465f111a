"""Files and folders that the documents name are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PATH = re.compile(r"`((?:apps|formatters|transmitters|tests|benchmarks|docs)/[\w./]*)`")


def missing(text: str) -> list[str]:
    """Return the paths that `text` names and that are not there."""
    return [path for path in PATH.findall(text) if not (ROOT / path).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_is_there(document: Path) -> None:
    """A reader who follows a path finds something."""
    assert missing(document.read_text()) == []


def test_what_is_not_there_is_found() -> None:
    """A path that has moved is told."""
    assert missing("`apps/core/` and `apps/nowhere.py`") == ["apps/nowhere.py"]
