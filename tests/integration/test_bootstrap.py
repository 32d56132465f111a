"""`manage.py` sets itself up on a machine that has nothing but Python, and says why it cannot.

Each test works on a small tree of its own: the real `manage.py`, requirements that ask for nothing,
and one command that tells where it runs. The interpreter is the one outside this environment.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path

import pytest

import manage

# Environments are made for real, which takes minutes on a machine that is busy.
LONGEST_SECONDS = 500
pytestmark = pytest.mark.timeout(LONGEST_SECONDS + 100)
ROOT = Path(__file__).resolve().parent.parent.parent
OUTSIDE = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
NO_NETWORK = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_INDEX_URL": "http://127.0.0.1:1/",
    "PIP_RETRIES": "0",
}
ONE_COMMAND = """
import sys

def run_command(arguments):
    print(sys.prefix, *arguments)
    return len(arguments)
"""
AS_OTHER_PYTHON = """
import runpy, sys
{change}
sys.argv = ["manage.py"]
runpy.run_path("manage.py", run_name="__main__")
"""


class Tree:
    """A tree to start `manage.py` in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.venv = path / ".venv"
        (path / "apps" / "commands").mkdir(parents=True)
        (path / "requirements").mkdir()
        shutil.copy(ROOT / "manage.py", path)
        self.command(ONE_COMMAND)
        for name in ("run", "embedded", "dev"):
            self.require(name, "# nothing")

    def command(self, source: str) -> None:
        """Replace the command."""
        (self.path / "apps" / "commands" / "__init__.py").write_text(source)

    def require(self, name: str, content: str) -> None:
        """Replace a file of requirements."""
        (self.path / "requirements" / f"{name}.txt").write_text(content + "\n")

    def start(
        self, *arguments: str, python: str | Path = OUTSIDE, **variables: str
    ) -> "subprocess.Popen[str]":
        """Start Python in this tree, with `manage.py` unless told otherwise."""
        return subprocess.Popen(
            [python, *(arguments if "-c" in arguments else ("manage.py", *arguments))],
            cwd=self.path,
            env=environment(variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *arguments: str, python: str | Path = OUTSIDE, **variables: str
    ) -> tuple[int, str, str]:
        """Return status, output and errors of a start."""
        with self.start(*arguments, python=python, **variables) as process:
            output, errors = process.communicate(timeout=LONGEST_SECONDS)
        return process.returncode, output, errors


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without what would change a bootstrap."""
    left_out = ("PIP_", "NO_BOOTSTRAP", "VIRTUAL_ENV", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {**kept, **variables}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path.resolve())


def test_sets_itself_up_once(tree: Tree) -> None:
    """The first start makes the environment and continues in it; later ones only continue."""
    status, output, errors = tree.run("one", "two")
    assert (status, output) == (2, f"{tree.venv} one two\n")
    assert errors.startswith(f"Setting up {tree.venv} ")
    assert errors.endswith("Ready\n")

    assert tree.run("again", **NO_NETWORK) == (1, f"{tree.venv} again\n", "")


def test_a_command_of_development_adds_its_packages(tree: Tree) -> None:
    """What only development needs is installed when it is first asked for, and asked for once."""
    tree.require("dev", "wiredesk-needs-this==1.0")
    assert tree.run("demo")[:2] == (1, f"{tree.venv} demo\n")
    status, output, errors = tree.run("test", **NO_NETWORK)
    assert (status, output) == (2, "")
    assert "wiredesk-needs-this==1.0" in errors

    (tree.venv / "still-there").touch()
    tree.require("dev", "# nothing")
    status, output, errors = tree.run("test", "-x")
    assert (status, output) == (2, f"{tree.venv} test -x\n")
    assert errors.startswith(f"Adding the packages of development to {tree.venv} ")
    assert (tree.venv / "still-there").exists()
    for command in ("check", "demo", "lock"):
        assert tree.run(command) == (1, f"{tree.venv} {command}\n", "")


@pytest.mark.chaos
def test_development_gets_all_packages_at_once(tree: Tree) -> None:
    """The first start may be one of the tests."""
    _, output, errors = tree.run("test")
    assert output == f"{tree.venv} test\n"
    assert errors.startswith(f"Setting up {tree.venv} ")
    assert tree.run("test") == (1, f"{tree.venv} test\n", "")


@pytest.mark.chaos
def test_follows_changed_requirements_and_a_moved_tree(tree: Tree, tmp_path: Path) -> None:
    """Other pins, or another place, make the environment anew."""
    tree.run("test")
    for name, command in (("embedded", "demo"), ("run", "test"), ("dev", "test")):
        (tree.venv / "left-over").touch()
        tree.require(name, "# something else")
        assert "Ready" in tree.run(command)[2]
        assert not (tree.venv / "left-over").exists()

    moved = tmp_path / "moved"
    moved.mkdir()
    for path in (tree.path / name for name in ("manage.py", "requirements", "apps", ".venv")):
        path.rename(moved / path.name)
    tree.path, tree.venv = moved, moved / ".venv"
    assert tree.run()[:2] == (0, f"{tree.venv}\n")
    assert tree.run() == (0, f"{tree.venv}\n", "")


@pytest.mark.chaos
def test_two_starts_at_once_make_one_environment(tree: Tree) -> None:
    """The second start waits for the first and uses what it made."""
    with tree.start("test") as one, tree.start("test") as two:
        results = [process.communicate(timeout=LONGEST_SECONDS) for process in (one, two)]
    assert (one.returncode, two.returncode) == (1, 1)
    assert [output for output, _ in results] == [f"{tree.venv} test\n"] * 2
    assert sorted(errors.partition(" ")[0] for _, errors in results) == ["Setting", "Waiting"]


@pytest.mark.chaos
def test_no_network_is_said_in_one_sentence(tree: Tree) -> None:
    """Without a package index the start fails as wrong use, and the next one tries again."""
    tree.require("run", "wiredesk-needs-this==1.0")
    status, output, errors = tree.run(**NO_NETWORK)
    assert (status, output) == (2, "")
    sentence = errors.splitlines()[-1]
    assert sentence.startswith("The packages cannot be installed; is a package index within reach?")
    assert "wiredesk-needs-this==1.0" in sentence

    tree.require("run", "# nothing")
    assert tree.run()[:2] == (0, f"{tree.venv}\n")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "sys.version_info = (3, 10, 4, 'final', 0)",
            "Wiredesk needs Python 3.11 or newer, and this is 3.10.",
        ),
        (
            "sys.modules['ensurepip'] = None",
            "Python's venv module is missing (on Debian: apt install python3-venv).",
        ),
        (
            "sys.modules['venv'] = None",
            "Python's venv module is missing (on Debian: apt install python3-venv).",
        ),
    ],
)
def test_an_unfit_python_is_said_in_one_sentence(tree: Tree, change: str, sentence: str) -> None:
    """An old Python, and one without its venv module, are refused before anything is made."""
    source = AS_OTHER_PYTHON.format(change=change)
    assert tree.run("-c", source) == (2, "", f"{sentence}\n")
    assert not tree.venv.exists()


def test_a_tree_that_cannot_be_written_is_said_in_one_sentence(tree: Tree) -> None:
    """The sentence names the file in the way."""
    lock = tree.path / ".venv.lock"
    lock.mkdir()
    status, output, errors = tree.run()
    assert (status, output) == (2, "")
    assert errors.count("\n") == 1
    assert str(lock) in errors


@pytest.mark.parametrize(
    ("python", "variables"), [(sys.executable, {}), (OUTSIDE, {"NO_BOOTSTRAP": "1"})]
)
def test_sets_nothing_up_where_that_is_not_wanted(
    tree: Tree, python: Path, variables: dict[str, str]
) -> None:
    """Inside an environment, and with NO_BOOTSTRAP, the command runs as it is."""
    status, _, errors = tree.run("here", python=python, **variables)
    assert (status, errors) == (1, "")
    assert not tree.venv.exists()


def test_a_missing_package_is_named(tree: Tree) -> None:
    """Inside an environment nothing is installed; the command that would do it is named."""
    tree.command("import wiredesk_needs_this.much")
    status, output, errors = tree.run(python=sys.executable)
    install = f"{sys.executable} -m pip install -r {tree.path}/requirements/run.txt"
    assert (status, output) == (2, "")
    assert errors == (
        f"The package wiredesk_needs_this is missing in this environment; run: {install}\n"
    )


def test_a_missing_module_of_the_project_is_no_missing_package(tree: Tree) -> None:
    """A fault of ours is shown as such."""
    tree.command("import apps.nowhere")
    status, _, errors = tree.run(python=sys.executable)
    assert status == 1
    assert errors.endswith("ModuleNotFoundError: No module named 'apps.nowhere'\n")


def test_importing_does_nothing(tree: Tree) -> None:
    """Programs import `manage` and call its commands, which report their status."""
    source = "import manage; print(manage.main([])); print(manage.main(['a', 'b']))"
    status, output, errors = tree.run("-c", source)
    assert (status, errors) == (0, "")
    assert output.splitlines()[1::2] == ["0", "2"]
    assert not tree.venv.exists()


@pytest.mark.parametrize(("arguments", "status"), [(["settings"], 0), (["no-such-command"], 2)])
def test_commands_can_be_called_in_a_forked_process(arguments: list[str], status: int) -> None:
    """A program may fork and call a command; the fork ends with its status."""
    forked = get_context("fork").Process(target=lambda: os._exit(manage.main(arguments)))
    forked.start()
    forked.join()
    assert forked.exitcode == status
