"""Every scenario of the formats contract (section 10) has a test that names its number.

A test names scenarios at the start of its docstring: `26, 38: ...` or `Scenario 6: ...`, in a
module whose own docstring speaks of the formats contract.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[2]
SCENARIOS = range(1, 52)

_NUMBERS = re.compile(r"(?:Scenarios? )?(\d+(?:(?:, | and )\d+)*)[:,]? ")


def _named(module: Path) -> Iterator[int]:
    tree = ast.parse(module.read_text("utf-8"))
    if "formats contract" not in " ".join((ast.get_docstring(tree) or "").split()).lower():
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            match = _NUMBERS.match(ast.get_docstring(node) or "")
            if match:
                yield from (int(number) for number in re.findall(r"\d+", match[1]))


def test_every_scenario_is_named() -> None:
    """No scenario is without a test."""
    named = {number for module in TESTS.rglob("test_*.py") for number in _named(module)}

    assert set() == set(SCENARIOS) - named
