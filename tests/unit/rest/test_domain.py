"""The resources that modules declare, collected for Eve."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

import settings as settings_module
from apps.core import modules
from apps.core.errors import ConfigurationError
from apps.rest.domain import domain


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages of a test in the place of the product's."""
    root = tmp_path / "site_apps"
    monkeypatch.setattr(modules, "PACKAGES", root)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "modules", dict[str, ModuleType](sys.modules))
    return root


def write(root: Path, name: str, text: str) -> None:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "resource.py").write_text(text)


def test_a_module_called_resource_is_enough(package: Path) -> None:
    """Nothing else has to name a new resource."""
    write(package, "wires", 'RESOURCES = {"wires": {"schema": {}}}')

    assert domain({}) == {"wires": {"schema": {}}}


def test_a_setting_may_leave_resources_out(package: Path) -> None:
    """Resources of a module that names a setting are there where it is on."""
    write(package, "wires", 'ONLY_WITH = "WIRES"\nRESOURCES = {"wires": {"schema": {}}}')

    assert domain({"WIRES": False}) == {}
    assert list(domain({"WIRES": True})) == ["wires"]


def test_a_name_is_declared_once(package: Path) -> None:
    """Of two resources of one name neither wins in silence."""
    for name in ("wires", "more_wires"):
        write(package, name, 'RESOURCES = {"wires": {"schema": {}}}')

    with pytest.raises(ConfigurationError, match=r"\['wires'\] declared twice"):
        domain({})


def test_the_long_term_archive_depends_on_its_setting() -> None:
    """What the product declares is there."""
    without, with_it = (
        domain(settings_module.load({"LEGAL_ARCHIVE": is_on}, environ={}))
        for is_on in (False, True)
    )

    assert {"archive", "published", "publish_queue", "archive_publish"} <= without.keys()
    assert with_it.keys() - without.keys() == {
        *("legal_archive", "legal_versions", "legal_archive_history", "legal_publish_queue")
    }
