"""The lock in `requirements/` holds what `pyproject.toml` asks for, and nothing but versions."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ASKED = {
    "run": PROJECT["project"]["dependencies"],
    **PROJECT["project"]["optional-dependencies"],
    **PROJECT["dependency-groups"],
}
PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[a-z0-9.]+)( ; [a-z_]+ .*)?")


def lines_of(name: str) -> list[str]:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def versions_of(name: str) -> dict[str, str]:
    pins = [PIN.fullmatch(line) for line in lines_of(name)]
    return {pin["name"]: pin["version"] for pin in pins if pin}


def is_met(wanted: Requirement, locked: dict[str, str]) -> bool:
    version = locked.get(canonicalize_name(wanted.name))
    return version is not None and wanted.specifier.contains(version, prereleases=True)


@pytest.mark.parametrize("name", ASKED)
def test_what_is_asked_for_is_locked(name: str) -> None:
    """Each requirement has a version that satisfies it; renew with `manage.py lock`."""
    locked = versions_of(name)
    wanted = [Requirement(text) for text in ASKED[name]]
    assert [str(one) for one in wanted if not is_met(one, locked)] == []


@pytest.mark.parametrize("name", ASKED)
def test_a_lock_is_made_of_exact_versions(name: str) -> None:
    """No index, address or path, no range."""
    assert [line for line in lines_of(name) if not PIN.fullmatch(line)] == []


def test_locks_agree() -> None:
    """A package that several of them name has one version."""
    pins = {pin for name in ASKED for pin in versions_of(name).items()}
    assert len(pins) == len(dict(pins))
