"""`manage.py demo` with CMS sites."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from apps.commands.demo import demo
from apps.demo import wordpress
from tests.peers.shared import ROOT
from tests.support import loopback

OPERATIONS = ("publish", "publish", "publish", "correct", "kill")


def run_demo(*options: str, **environment: str) -> tuple[int, str]:
    """Run the demo as a person does; return its status and what it prints."""
    done = subprocess.run(
        [sys.executable, "manage.py", "demo", *options],
        cwd=ROOT,
        env={**os.environ, "NO_BOOTSTRAP": "1", **environment},
        check=False,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout


def lines_of(printed: str, site: str) -> list[list[str]]:
    """Return operation, state and what a reader gets, of each line of a site."""
    rows = [re.split(r" {2,}", line) for line in printed.splitlines() if site in line]
    return [[row[0], row[2], row[4]] for row in rows if len(row) == 5]


def is_whole(printed: str, site: str) -> None:
    lines = lines_of(printed, site)
    assert [operation for operation, *_ in lines] == list(OPERATIONS), printed
    assert [state for _, state, _ in lines] == [*["published"] * 4, "retracted"], printed
    assert lines[3][2] == "200 Budget passes with a two-vote majority"
    assert lines[4][2] == "404 nothing"
    assert f"5 of 5 changes seen by a reader of {site}" in printed


@pytest.mark.timeout(300)
def test_stand_in_site(tmp_path: Path) -> None:
    """What is published, corrected and killed arrives on the pages of a site.

    None of the demo's processes asks another machine for anything.
    """
    source = Path(loopback.__file__).read_text("utf-8")
    (tmp_path / "sitecustomize.py").write_text(f"{source}\n\nstay_on_loopback()\n", "utf-8")
    report = tmp_path / "report"
    started = {"PYTHONPATH": str(tmp_path), loopback.REPORT: str(report)}
    status, printed = run_demo("--cms", **started)
    assert status == 0, printed
    is_whole(printed, "Stand-in site")
    lines = report.read_text("utf-8").splitlines()
    assert all(loopback.STARTED in line for line in lines), lines
    assert all(name in " ".join(lines) for name in ("manage.py", "secantusd"))


@pytest.mark.peers
@pytest.mark.timeout(300)
def test_wordpress() -> None:
    if problem := wordpress.missing():
        pytest.skip(problem)
    status, printed = run_demo("--wordpress")
    assert status == 0, printed
    is_whole(printed, "WordPress")


def test_wordpress_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what to install; nothing is started."""
    monkeypatch.setattr(wordpress, "INSTALLED", tmp_path / "nothing")
    result = CliRunner().invoke(demo, ["--wordpress"])
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line.startswith("Error: WordPress is not installed; on Debian: apt-get install")
