"""`lock`: exact versions of all packages, from what `pyproject.toml` asks for."""

import os
import subprocess
import tomllib

import click

from apps.commands.checks import ROOT, tool

LOCKS = (
    ("run", ("pyproject.toml",)),
    ("odbc", ("pyproject.toml", "--extra", "odbc")),
    ("sqs", ("pyproject.toml", "--extra", "sqs")),
    ("embedded", ("--group", "embedded")),
    ("dev", ("--group", "dev")),
)
"""Files in `requirements/` and their sources; each keeps to the versions of those above it."""


@click.command("lock")
@click.option("--upgrade", is_flag=True, help="Take the newest versions, not only missing ones.")
def lock(upgrade: bool) -> int:
    """Write requirements/*.txt: exact versions of what pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    # For every Python and system that may run it, not for this one only.
    options = ["--universal", "--python-version", project["requires-python"].removeprefix(">=")]
    options += ["--no-annotate", "--quiet", *(["--upgrade"] if upgrade else [])]
    environment = {**os.environ, "UV_CUSTOM_COMPILE_COMMAND": "python3 manage.py lock"}
    above: list[str] = []
    for name, source in LOCKS:
        file = f"requirements/{name}.txt"
        command = [tool("uv"), "pip", "compile", *options, *above, *source, "--output-file", file]
        if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:  # noqa: S603
            return 1
        above += ["--constraint", file]
    return 0
