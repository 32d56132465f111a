#!/usr/bin/env python3
"""The command line: `python3 manage.py <command>`.

Run outside a virtual environment it makes one in `.venv` first, with the pinned requirements. That
part uses the standard library only and runs nowhere else: importing this module does nothing.
"""

# Keeps this module readable for a Python that is too old, so that it can say so.
from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = (ROOT / "requirements" / "run.txt", ROOT / "requirements" / "dev.txt")
OLDEST_PYTHON = (3, 11)
FAILED, WRONG_USE = 1, 2
LONGEST_SILENCE_SECONDS = 8


class CannotStart(Exception):
    """The environment cannot be made; the text is for the person at the terminal."""


def main(argv: list[str] | None = None) -> int:
    """Run one command, without setting anything up.

    Args:
        argv: the command and its arguments; those of this process unless given.

    Returns:
        The exit status: 0 done, 1 failed, 2 wrong use or settings.
    """
    try:
        from apps.commands import run_command

        return run_command(sys.argv[1:] if argv is None else argv)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if (ROOT / package).exists() or (ROOT / f"{package}.py").exists():
            raise
        pip = f"{sys.executable} -m pip install -r {REQUIREMENTS[0]}"
        say(f"The package {package} is missing in this environment; run: {pip}")
        return WRONG_USE


def bootstrap() -> None:
    """Continue inside `.venv`, which is made anew where the requirements have changed.

    Raises:
        CannotStart: wrong Python, no venv module, no packages.
        OSError: nothing can be written here.
    """
    if sys.version_info < OLDEST_PYTHON:
        wanted, found = (".".join(map(str, v[:2])) for v in (OLDEST_PYTHON, sys.version_info))
        raise CannotStart(f"Wiredesk needs Python {wanted} or newer, and this is {found}.")
    if sys.prefix != sys.base_prefix or os.environ.get("NO_BOOTSTRAP"):
        return
    stamp = expected_stamp()
    if not is_ready(stamp):
        with setup_lock():
            if not is_ready(stamp):  # another start may have made it meanwhile
                install(stamp)
    os.execv(PYTHON, [str(PYTHON), str(ROOT / "manage.py"), *sys.argv[1:]])  # noqa: S606


def expected_stamp() -> str:
    """Return what a ready `.venv` is marked with: a hash of the requirements and its place.

    The place, because scripts in an environment name their interpreter by its full path.
    """
    contents = [str(VENV).encode(), *(path.read_bytes() for path in REQUIREMENTS)]
    return hashlib.sha256(b"\0".join(contents)).hexdigest()


def is_ready(expected: str) -> bool:
    """Whether `.venv` has been made to the end and its Python is still there."""
    stamp = VENV / "stamp"
    return PYTHON.exists() and stamp.exists() and stamp.read_text() == expected


def setup_lock() -> TextIO:
    """Return a lock that is held until it is closed; wait for a start that holds it."""
    lock = (ROOT / ".venv.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"Waiting for another start that sets up {VENV}")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def install(stamp: str) -> None:
    """Make `.venv` with the pinned requirements; takes about a minute."""
    if not (find_spec("venv") and find_spec("ensurepip")):
        raise CannotStart("Python's venv module is missing (on Debian: apt install python3-venv).")
    say(f"Setting up {VENV} with the packages of requirements/ (once; needs the network)")
    run([sys.executable, "-m", "venv", "--clear", str(VENV)], f"{VENV} cannot be made")
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    files = [option for path in REQUIREMENTS for option in ("-r", str(path))]
    run([*pip, *files], "The packages cannot be installed; is a package index within reach?")
    partial = VENV / "stamp.partial"
    partial.write_text(stamp)
    partial.replace(VENV / "stamp")
    say("Ready")


def run(command: list[str], complaint: str) -> None:
    """Run `command`, showing that time passes, and raise `complaint` when it fails."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    silence = 1
    while True:
        try:
            output, _ = process.communicate(timeout=silence)
            break
        except subprocess.TimeoutExpired:
            say(f"  ... {time.monotonic() - started:.0f} s")
            silence = min(silence * 2, LONGEST_SILENCE_SECONDS)
    if process.returncode:
        last = output.decode(errors="replace").strip().splitlines()[-1:]
        raise CannotStart(" ".join([complaint, *(f"({line})" for line in last)]))


def say(text: str) -> None:
    """Tell the person at the terminal, apart from a command's own output."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        bootstrap()
    except (CannotStart, OSError) as problem:
        say(str(problem))
        sys.exit(WRONG_USE)
    except KeyboardInterrupt:
        say(f"Interrupted; the next start sets up {VENV} again")
        sys.exit(FAILED)
    sys.exit(main())
