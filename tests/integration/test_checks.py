"""`manage.py test` and `manage.py check` report what their tools found."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from apps.commands.checks import tool
from apps.core.errors import ConfigurationError

ROOT = Path(__file__).resolve().parent.parent.parent
PASSING = "def test_truth():\n    assert True\n"
FAILING = "def test_truth():\n    assert False\n"


def manage(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the `manage.py` of a tree inside this environment."""
    return subprocess.run(
        [sys.executable, root / "manage.py", *arguments],
        env={**os.environ, "NO_BOOTSTRAP": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    ("source", "options", "status", "says"),
    [
        (FAILING, [], 1, "1 failed"),
        ("", [], 1, "no tests ran"),
        (PASSING + FAILING.replace("truth", "lies"), ["-k", "truth"], 0, "1 passed, 1 deselected"),
        (PASSING, ["--no-such-option"], 2, "--no-such-option"),
    ],
)
def test_test_hands_on_arguments_and_status(
    tmp_path: Path, source: str, options: list[str], status: int, says: str
) -> None:
    """0 when all tests pass, 1 when one fails or none ran, 2 when pytest was called wrongly."""
    (tmp_path / "test_it.py").write_text(source)
    done = manage(ROOT, "test", "-n0", "-p", "no:cacheprovider", str(tmp_path), *options)
    assert done.returncode == status
    assert says in done.stdout + done.stderr


def test_given_servers_are_handed_on(tmp_path: Path) -> None:
    """The session's fixtures find them in the environment, as with the variables themselves."""
    (tmp_path / "test_it.py").write_text(
        "import os\ndef test_servers():\n"
        "    assert os.environ['WIREDESK_TEST_MONGO'] == 'mongodb://db/'\n"
        "    assert os.environ['WIREDESK_TEST_REDIS'] == 'redis://cache'\n"
    )
    given = ("--mongo", "mongodb://db/", "--redis", "redis://cache")
    done = manage(ROOT, "test", *given, "-n0", "-p", "no:cacheprovider", str(tmp_path))
    assert done.returncode == 0, done.stdout


def test_campaigns_run_when_they_are_asked_for(tmp_path: Path) -> None:
    """So do properties, with the examples of the campaigns; all other tests do not."""
    (tmp_path / "conftest.py").write_text(
        "from hypothesis import settings\nsettings.register_profile('chaos', max_examples=7)\n"
    )
    (tmp_path / "test_it.py").write_text(
        "import pytest\nfrom hypothesis import given, settings, strategies as st\n"
        "@pytest.mark.chaos\ndef test_campaign():\n    pass\n"
        "@given(st.none())\ndef test_property(value):\n"
        "    assert settings.default.max_examples == 7\n" + FAILING
    )
    options = ("-n0", "-p", "no:cacheprovider", "-W", "ignore")
    done = manage(ROOT, "test", str(tmp_path), "--chaos", *options)
    assert (done.returncode, "2 passed, 1 deselected" in done.stdout) == (0, True), done.stdout


def test_campaigns_are_longer_on_request(tmp_path: Path) -> None:
    """`--long` goes to the tests with `--chaos`, and is wrong use without."""
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--long', action='store_true')\n"
    )
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.chaos\n"
        "def test_campaign(request):\n    assert request.config.getoption('--long')\n"
    )
    options = ("--hypothesis-profile", "default", "-n0", "-p", "no:cacheprovider", "-W", "ignore")
    done = manage(ROOT, "test", str(tmp_path), "--chaos", "--long", *options)
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout

    refused = manage(ROOT, "test", str(tmp_path), "--long", *options)
    assert (refused.returncode, "--chaos" in refused.stderr) == (2, True), refused.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--peers"], "test_peer PASSED"),
        (["--peers", "--chaos"], "test_peer_campaign PASSED"),
        (["--chaos"], "test_campaign PASSED"),
    ],
)
def test_tests_with_peers_run_when_they_are_asked_for(
    tmp_path: Path, options: list[str], says: str
) -> None:
    """Alone; and their campaigns only where both are asked for."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.peers\ndef test_peer():\n    pass\n"
        "@pytest.mark.peers\n@pytest.mark.chaos\ndef test_peer_campaign():\n    pass\n"
        "@pytest.mark.chaos\ndef test_campaign():\n    pass\n"
    )
    (tmp_path / "conftest.py").write_text(
        "from hypothesis import settings\nsettings.register_profile('chaos', max_examples=7)\n"
    )
    ours = ("-v", "-n0", "-p", "no:cacheprovider", "-W", "ignore")
    done = manage(ROOT, "test", str(tmp_path), *options, *ours)
    assert (done.returncode, says in done.stdout) == (0, True), done.stdout
    assert "1 passed, 2 deselected" in done.stdout


def test_check_stops_at_the_first_failure(tmp_path: Path) -> None:
    """The failing check is named last; those after it are not run."""
    for name in ("manage.py", "pyproject.toml", "apps/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("apps/commands", "apps/core"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "untidy.py").write_text("x=1\n")

    done = manage(tmp_path, "check")
    assert done.returncode == 1
    assert "untidy.py" in done.stdout
    assert "lint" not in done.stdout
    assert done.stderr.endswith("format: failed\n")


def test_a_missing_tool_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the requirements of production are installed, the others are named."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ConfigurationError, match=r"ruff is missing .* run: .*dev\.txt"):
        tool("ruff")
