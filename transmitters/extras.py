"""Packages that one delivery type alone needs: extras of `pyproject.toml`, imported on first use.

An installation without them has the type all the same, which then says what to install.
"""

import sys
from importlib import import_module
from typing import Any


class MissingExtra(Exception):
    """A package is not installed, or something that it needs of the system; the text says what."""


def imported(module: str, extra: str, *, system: str = "") -> Any:
    """Return a module of an extra.

    Args:
        extra: what `pyproject.toml` calls it.
        system: what else the package needs, and how to get it.

    Raises:
        MissingExtra: it cannot be imported.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError:
        pip = f"{sys.executable} -m pip install -r requirements/{extra}.txt"
        raise MissingExtra(f"the package {module} is not installed; run: {pip}") from None
    except ImportError as error:
        raise MissingExtra(f"{module} cannot be used ({error}): {system}") from None
