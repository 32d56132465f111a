"""Every scenario of the routing contract (section 13) has a test at the edge that names its number.

A test names scenarios in its own name (`test_scenario_21_...`, `test_scenarios_17_and_18_...`), in
its docstring or in that of its class (`Scenario 35: ...`), in a module whose own docstring speaks
of the routing contract.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[2]
EDGES = ("integration", "chaos")
SCENARIOS = range(1, 47)

_IN_NAME = re.compile(r"test_scenarios?_((?:\d+_(?:and_)?)+)")
_IN_TEXT = re.compile(r"Scenarios? ((?:\d+(?:, | and )?)+)[:,.]")


def _named(module: Path) -> Iterator[int]:
    tree = ast.parse(module.read_text("utf-8"))
    if "routing contract" not in " ".join((ast.get_docstring(tree) or "").split()):
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            for match in (
                _IN_NAME.match(node.name),
                _IN_TEXT.match(ast.get_docstring(node) or ""),
            ):
                yield from (int(number) for number in re.findall(r"\d+", match[1] if match else ""))


def test_every_scenario_is_named() -> None:
    """No scenario is without a test."""
    modules = [module for edge in EDGES for module in (TESTS / edge).rglob("test_*.py")]
    named = {number for module in modules for number in _named(module)}

    assert set() == set(SCENARIOS) - named
