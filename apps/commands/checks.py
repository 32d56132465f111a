"""`check` and `test`: what has to pass before a change goes in."""

import os
import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent.parent
CHECKS = (
    ("format", ["ruff", "format", "--check", "."]),
    ("lint", ["ruff", "check", "."]),
    ("types", ["mypy"]),
    ("import layers", ["lint-imports"]),
)


@click.command("check")
def check() -> int:
    """Check format, lint, types and import layers; stop at the first that fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name, (tool, *arguments) in CHECKS:
        click.echo(f"== {name}")
        command = [str(Path(sys.executable).with_name(tool)), *arguments]
        if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:  # noqa: S603
            click.echo(f"{name}: failed", err=True)
            return 1
    return 0


@click.command("test", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> int:
    """Run the tests, as many at a time as there are processors; ARGUMENTS go to pytest."""
    parallel = ["-n", str(os.cpu_count() or 1)] if "-n" not in arguments else []
    command = [sys.executable, "-m", "pytest", *parallel, *arguments]
    status = subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603
    return 0 if status == 0 else 1
