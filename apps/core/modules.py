"""Modules that are found by their name, so that no list of them has to be kept."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

PACKAGES = Path(__file__).resolve().parent.parent


def modules_named(name: str) -> Iterator[ModuleType]:
    """Import and yield the modules called `name` of all packages below `apps`, sorted by path.

    Args:
        name: a file name without its suffix, such as `tasks`.
    """
    for path in sorted(PACKAGES.rglob(f"{name}.py")):
        parts = path.relative_to(PACKAGES.parent).with_suffix("").parts
        yield import_module(".".join(parts))
