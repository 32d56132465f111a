#!/usr/bin/env python3
"""The command line: `python3 manage.py <command>`.

Run outside a virtual environment it makes one in `.venv` first, with the pinned requirements. That
part uses the standard library only and runs nowhere else: importing this module does nothing.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
REQUIREMENTS = (ROOT / "requirements" / "run.txt", ROOT / "requirements" / "dev.txt")
OLDEST_PYTHON = (3, 11)
WRONG_USE = 2

NO_VENV = "The Python module venv is missing (on Debian: apt install python3-venv)."
NO_PACKAGES = "The required packages cannot be installed; is the package index within reach?"


class CannotStart(Exception):
    """The environment cannot be made; the text is for the person at the terminal."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 failed, 2 wrong use or settings."""
    try:
        from apps.commands import run_command
    except ModuleNotFoundError as error:
        print(f"{error.name} is missing. Run: pip install -r requirements/run.txt", file=sys.stderr)
        return WRONG_USE
    return run_command(sys.argv[1:] if arguments is None else arguments)


def bootstrap() -> None:
    """Continue inside `.venv`, which is made or brought up to date where that is needed.

    Raises:
        CannotStart: wrong Python, no venv module, no network.
    """
    if sys.version_info < OLDEST_PYTHON:
        raise CannotStart(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.")
    if sys.prefix != sys.base_prefix or os.environ.get("NO_BOOTSTRAP"):
        return
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in REQUIREMENTS)).hexdigest()
    if not is_ready(wanted):
        with only_one():
            if not is_ready(wanted):
                install(wanted)
    python = str(VENV / "bin" / "python")
    os.execv(python, [python, str(ROOT / "manage.py"), *sys.argv[1:]])  # noqa: S606


def is_ready(wanted: str) -> bool:
    """Whether `.venv` holds the requirements whose hash is `wanted`."""
    stamp = VENV / "stamp"
    return stamp.exists() and stamp.read_text() == wanted


def only_one() -> TextIO:
    """Return a lock that is held until it is closed, so that two starts do not collide."""
    lock = (ROOT / ".venv.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def install(wanted: str) -> None:
    """Make `.venv` and install the pinned requirements; a minute on a first run."""
    say(f"Setting up {VENV} (once; needs the network)")
    if not (VENV / "bin" / "pip").exists():
        run([sys.executable, "-m", "venv", "--clear", str(VENV)], NO_VENV)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
    files = [option for path in REQUIREMENTS for option in ("-r", str(path))]
    run([*pip, "--quiet", *files], NO_PACKAGES)
    partial = VENV / f"stamp.{os.getpid()}"
    partial.write_text(wanted)
    partial.replace(VENV / "stamp")
    say("Ready.")


def run(command: list[str], complaint: str) -> None:
    """Run `command`, showing that time passes, and raise `complaint` when it fails."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while True:
        try:
            output, _ = process.communicate(timeout=5)
            break
        except subprocess.TimeoutExpired:
            say(f"  ... {time.monotonic() - started:.0f} s")
    if process.returncode:
        last = output.decode(errors="replace").strip().splitlines()[-1:]
        raise CannotStart(" ".join([complaint, *last]))


def say(text: str) -> None:
    """Tell the person at the terminal, apart from a command's own output."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        bootstrap()
    except CannotStart as problem:
        say(str(problem))
        sys.exit(WRONG_USE)
    sys.exit(main())
