#!/usr/bin/env python3
"""The command line: `python3 manage.py <command>`.

Run outside a virtual environment it makes one in `.venv` first, with the pinned packages that run;
those of development are added when one of its commands is called. That part uses the standard
library only and runs nowhere else: importing this module does nothing.
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
REQUIREMENTS = ROOT / "requirements"
RUNTIME, DEVELOPMENT = ("run.txt", "embedded.txt"), ("dev.txt",)
DEVELOPMENT_COMMANDS = ("check", "lock", "test")
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
        pip = f"{sys.executable} -m pip install -r {REQUIREMENTS / RUNTIME[0]}"
        say(f"The package {package} is missing in this environment; run: {pip}")
        return WRONG_USE


def bootstrap() -> None:
    """Continue inside `.venv`, which is set up first where it lacks what the command needs.

    Raises:
        CannotStart: wrong Python, no venv module, no packages.
        OSError: nothing can be written here.
    """
    if sys.version_info < OLDEST_PYTHON:
        wanted, found = (".".join(map(str, v[:2])) for v in (OLDEST_PYTHON, sys.version_info))
        raise CannotStart(f"Wiredesk needs Python {wanted} or newer, and this is {found}.")
    if sys.prefix != sys.base_prefix or os.environ.get("NO_BOOTSTRAP"):
        return
    wanted_sets = [PackageSet("runtime", RUNTIME)]
    if sys.argv[1:2] and sys.argv[1] in DEVELOPMENT_COMMANDS:
        wanted_sets.append(PackageSet("development", DEVELOPMENT, RUNTIME))
    if not all(packages.is_ready() for packages in wanted_sets):
        with setup_lock():
            set_up(wanted_sets)
    os.execv(PYTHON, [str(PYTHON), str(ROOT / "manage.py"), *sys.argv[1:]])  # noqa: S606


class PackageSet:
    """Packages that are installed together, and the stamp in `.venv` that says that they are.

    Args:
        name: of the set.
        files: its requirements.
        below: requirements of the set that must be there first.
    """

    def __init__(self, name: str, files: tuple[str, ...], below: tuple[str, ...] = ()) -> None:
        self.name = name
        self.files = [REQUIREMENTS / file for file in files]
        self.stamp = VENV / f"stamp-{name}"
        # With the place, because scripts in an environment name their interpreter by its full path.
        contents = [file.read_bytes() for file in (*(REQUIREMENTS / b for b in below), *self.files)]
        self._expected = hashlib.sha256(b"\0".join([str(VENV).encode(), *contents])).hexdigest()

    def is_ready(self) -> bool:
        """Whether it has been installed to the end, and the environment's Python is still there."""
        return PYTHON.exists() and self.is_present() and self.stamp.read_text() == self._expected

    def is_present(self) -> bool:
        """Whether it has been installed, in this version or another one."""
        return self.stamp.exists()

    def install(self) -> None:
        """Install it into `.venv`.

        Raises:
            CannotStart: there is a package that cannot be had.
        """
        pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        # The files name all that is needed, and Python compiles what it comes to use.
        options = ["--no-deps", "--no-compile"]
        files = [option for file in self.files for option in ("-r", str(file))]
        complaint = "The packages cannot be installed; is a package index within reach?"
        run([*pip, *options, *files], complaint)
        partial = self.stamp.with_suffix(".partial")
        partial.write_text(self._expected)
        partial.replace(self.stamp)


def set_up(wanted: list[PackageSet]) -> None:
    """Install the sets that are missing; make `.venv` anew where one is there in another version.

    Args:
        wanted: sets, each after those that it needs.

    Raises:
        CannotStart: no venv module, no packages.
    """
    missing = [packages for packages in wanted if not packages.is_ready()]
    if not missing:  # another start has made it meanwhile
        return
    if wanted[0] in missing or any(packages.is_present() for packages in missing):
        missing = wanted
        if not (find_spec("venv") and find_spec("ensurepip")):
            raise CannotStart(
                "Python's venv module is missing (on Debian: apt install python3-venv)."
            )
        say(f"Setting up {VENV} with the packages of requirements/ (once; needs the network)")
        run([sys.executable, "-m", "venv", "--clear", str(VENV)], f"{VENV} cannot be made")
    else:
        say(f"Adding the packages of development to {VENV} (once; needs the network)")
    for packages in missing:
        packages.install()
    say("Ready")


def setup_lock() -> TextIO:
    """Return a lock that is held until it is closed; wait for a start that holds it."""
    lock = (ROOT / ".venv.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"Waiting for another start that sets up {VENV}")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


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
