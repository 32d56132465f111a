"""Macros: found in their directory at each use, run on a copy of the item."""

from collections.abc import Callable
from pathlib import Path

import pytest

from apps.core.errors import BadRequest
from apps.newsroom.macros.macros import MacroFailed, Macros

Write = Callable[[str, str], Macros]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a module and return the macros of its directory."""

    def store(name: str, text: str) -> Macros:
        (tmp_path / f"{name}.py").write_text(text)
        return Macros(str(tmp_path))

    return store


def test_changes_the_item_or_returns_another(write: Write) -> None:
    """Both ways of writing a macro work; the item that was handed in stays as it is."""
    item = {"headline": "a", "extra": {"n": 1}}
    write("changes", "def callback(item, **context):\n    item['extra']['n'] = 2")
    write("returns", "def callback(item):\n    return {**item, 'headline': 'b'}")
    macros = write("tells", "def callback(item):\n    return {'headline': 'c'}, {'a': 'c'}")

    assert macros.run("changes", item) == {"headline": "a", "extra": {"n": 2}}
    assert macros.run("returns", item) == {"headline": "b", "extra": {"n": 1}}
    assert macros.run("tells", item) == {"headline": "c"}
    assert item == {"headline": "a", "extra": {"n": 1}}


def test_gets_what_it_asks_for(write: Write) -> None:
    """A callback is handed the parts of the context that it has parameters for."""
    write("one", "def callback(item, stage):\n    return {'headline': stage}")
    macros = write("all", "def callback(item, **context):\n    return {'headline': str(context)}")

    assert macros.run("one", {}, stage="s", desk="d") == {"headline": "s"}
    assert macros.run("all", {}, stage="s") == {"headline": "{'stage': 's'}"}


def test_is_looked_up_at_each_use(write: Write) -> None:
    """A module that was changed is another macro, at once."""
    macros = write("shift", "def callback(item):\n    return {'headline': '1'}")
    assert macros.run("shift", {}) == {"headline": "1"}

    write("shift", "def callback(item):\n    return {'headline': '2'}")

    assert macros.run("shift", {}) == {"headline": "2"}


def test_has_names_of_its_own(write: Write) -> None:
    """`name` in the module counts, not the file's; `label` is for people."""
    macros = write(
        "file", "name = 'usd to cad'\nlabel = 'Dollars'\ndef callback(item):\n    raise KeyError"
    )

    assert macros.find("usd to cad").label == "Dollars"
    with pytest.raises(BadRequest, match="Macro not found: file"):
        macros.find("file")


@pytest.mark.parametrize("name", ["nothing", "../secret", "_helper", "", "empty"])
def test_refuses_what_is_no_macro(write: Write, tmp_path: Path, name: str) -> None:
    """Neither files elsewhere nor helpers nor modules without a callback are macros."""
    (tmp_path.parent / "secret.py").write_text("def callback(item): return {}")
    write("_helper", "def callback(item): return {}")
    macros = write("empty", "x = 1")

    with pytest.raises(BadRequest) as refused:
        macros.find(name)

    assert refused.value.message == f"Macro not found: {name}"


@pytest.mark.parametrize("directory", [None, "/does/not/exist"])
def test_an_installation_may_have_none(directory: str | None) -> None:
    """Without a directory every macro is unknown."""
    with pytest.raises(BadRequest):
        Macros(directory).find("any")


def test_tells_why_it_failed(write: Write) -> None:
    """What a macro raises refuses the request; so does a module that cannot be loaded."""
    write(
        "careful", "label = 'Be careful'\ndef callback(item):\n    raise ValueError('no slugline')"
    )
    macros = write("broken", "def callback(item:")

    with pytest.raises(MacroFailed) as failed:
        macros.run("careful", {})
    assert failed.value.message == "Error:no slugline in macro:Be careful"
    with pytest.raises(BadRequest, match="Macro cannot be loaded: broken"):
        macros.find("broken")
