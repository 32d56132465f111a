"""The matrix of fields and formats, as `docs/formats-matrix.md` has it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "formats-matrix.md"
NOWHERE = "–"

_CELL = re.compile(r"`(?P<place>[^`]+)`(?: = (?P<said>[^(]+?))?(?: \((?P<state>\w+)\))?")


@dataclass(frozen=True)
class Cell:
    """What the page says of a field, or of a state, in a format.

    Attributes:
        section: heading of second level that it stands below.
        row: the field or the state.
        format: a column.
        place: where the reader of the format has it, "" where there is no place.
        words: the cell, where it names no place.
        said: what stands there; of fields it is the value of the item.
        state: the only state in which it stands there, "" for all that have it.
    """

    section: str
    row: str
    format: str
    place: str
    words: str
    said: str
    state: str


@cache
def matrix(section: str) -> list[Cell]:
    """Return the cells below a heading of second level."""
    return [cell for cell in _cells() if cell.section == section]


def _cells() -> Iterator[Cell]:
    section, columns = "", [""]
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("## "):
            section = line.removeprefix("## ")
        if not line.startswith("| ") or line.startswith("| ---"):
            continue
        first, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
        if after.startswith("| ---"):
            columns = [cell.strip("`") for cell in cells]
            continue
        for column, cell in zip(columns, cells, strict=True):
            yield _cell(section, first.strip("`"), column, cell)


def _cell(section: str, row: str, column: str, text: str) -> Cell:
    found = _CELL.fullmatch(text)
    place, said, state = found.group("place", "said", "state") if found else ("", "", "")
    words = "" if found or text == NOWHERE else text
    return Cell(section, row, column, place, words, said or "", state or "")
