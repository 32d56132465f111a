"""`check` and `test`: what has to pass before a change goes in."""

import os
import subprocess
import sys
from pathlib import Path

import click

from apps.core.errors import ConfigurationError

ROOT = Path(__file__).resolve().parent.parent.parent
CHECKS = (
    ("format", ("ruff", "format", "--check", ".")),
    ("lint", ("ruff", "check", ".")),
    ("types", ("mypy",)),
    ("import layers", ("lint-imports",)),
    ("dependencies", ("deptry", ".")),
)
PYTEST_USAGE_ERROR = 4
CAMPAIGNS = ("-m", "(chaos or hypothesis) and not peers", "--hypothesis-profile", "chaos")
"""What pytest runs instead of all others; tests that draw examples have the marker `hypothesis`."""
PEERS = ("-m", "peers and not chaos")
PEER_CAMPAIGNS = ("-m", "peers and chaos")


@click.command("check")
def check() -> int:
    """Check format, lint, types, import layers and dependencies; stop at the first that fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name, (program, *arguments) in CHECKS:
        click.echo(f"== {name}")
        command = [tool(program), *arguments]
        if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:  # noqa: S603
            click.echo(f"{name}: failed", err=True)
            return 1
    return 0


@click.command("test", context_settings={"ignore_unknown_options": True})
@click.option(
    "--chaos",
    is_flag=True,
    help="Run the long campaigns instead: processes that die at every step, walks through the "
    "states of items, and many more examples for each property.",
)
@click.option("--long", is_flag=True, help="With --chaos: campaigns of hundreds of faults.")
@click.option(
    "--peers",
    is_flag=True,
    help="Run the tests instead that talk to servers of other projects, where these are installed. "
    "With --chaos: the campaigns against them.",
)
@click.option(
    "--mongo",
    metavar="URI",
    help="A MongoDB to use instead of the embedded one. Databases of its own are made there and "
    "removed.",
)
@click.option(
    "--redis",
    metavar="URI",
    help="A Redis to use instead of the embedded one: its databases from 1 on, one for each "
    "process, which have to be empty.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(
    chaos: bool,
    long: bool,
    peers: bool,
    mongo: str | None,
    redis: str | None,
    arguments: tuple[str, ...],
) -> int:
    """Run the tests but the long campaigns, as many at a time as there are processors.

    ARGUMENTS go to pytest. The order is another one each time; its seed is printed at the start,
    and `--randomly-seed=NUMBER` repeats it.
    """
    chosen = any(argument.startswith(("-n", "--numprocesses")) for argument in arguments)
    parallel = () if chosen else ("-n", str(os.cpu_count() or 1))
    if long and not chaos:
        raise click.UsageError("--long makes campaigns longer: it needs --chaos")
    wanted = (*_selection(chaos, peers), *(("--long",) if long else ()))
    command = [tool("pytest"), *parallel, *wanted, *arguments]
    given = {"WIREDESK_TEST_MONGO": mongo, "WIREDESK_TEST_REDIS": redis}
    environment = {**os.environ, **{name: uri for name, uri in given.items() if uri}}
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode  # noqa: S603
    if status == PYTEST_USAGE_ERROR:
        return 2
    return 1 if status else 0


def _selection(chaos: bool, peers: bool) -> tuple[str, ...]:
    """Return the options of pytest that choose the tests; none for those that always run."""
    if peers:
        return PEER_CAMPAIGNS if chaos else PEERS
    return CAMPAIGNS if chaos else ()


def tool(name: str) -> str:
    """Return the path of a program of this environment.

    Raises:
        ConfigurationError: the requirements of development are not installed.
    """
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        pip = f"{sys.executable} -m pip install -r {ROOT / 'requirements' / 'dev.txt'}"
        raise ConfigurationError(f"{name} is missing in this environment; run: {pip}")
    return str(path)
