"""Every line of the lifecycle checklist (lifecycle contract, section 8) is named by a test."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

LINES = range(1, 82)
NAMED = re.compile(r"Checklist ((?:\d+(?: to |, )?)+)")


def docstrings() -> Iterator[str]:
    """Yield what tests at the HTTP edge say they test."""
    for path in (Path(__file__).parent.parent / "integration").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield ast.get_docstring(node) or ""


def lines_in(text: str) -> Iterator[int]:
    """Yield the lines of the checklist that `text` names."""
    for named in NAMED.findall(text):
        for first, last in re.findall(r"(\d+)(?: to (\d+))?", named):
            yield from range(int(first), int(last or first) + 1)


def test_each_line_has_a_test() -> None:
    """Section 8 has 81 lines."""
    named = {line for text in docstrings() for line in lines_in(text)}

    assert named == set(LINES)
