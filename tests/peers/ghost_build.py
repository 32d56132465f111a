"""Build Ghost from npm, once for all sessions.

It needs Node.js 20 with npm, a C++ compiler, make and Python, and takes about three minutes. The
result lies outside the repository: in `WIREDESK_PEERS_CACHE`, or in the cache of the user.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

VERSION = "5.130.6"
BUILD_SECONDS = 600
TOOLS = ("node", "npm", "make", "g++")
NODE_VERSIONS = ("18", "20", "22")
"""Others Ghost refuses to start on."""


class CannotBuild(Exception):
    """Ghost is not to be had here; the text is one line for people."""


def cache() -> Path:
    """Return the directory in which peers are kept between runs."""
    return Path(os.environ.get("WIREDESK_PEERS_CACHE") or Path.home() / ".cache/wiredesk-peers")


def built() -> Path | None:
    """Return where Ghost has been built, None where it has not been."""
    place = cache() / f"ghost-{VERSION}"
    return place if place.is_dir() else None


def build(seconds: float = BUILD_SECONDS) -> Path:
    """Build Ghost unless it is there, and return where it is.

    Several may ask at once: one builds, the others wait.

    Args:
        seconds: that it may take.

    Raises:
        CannotBuild: a tool is missing, or a step failed or took too long.
    """
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        raise CannotBuild(f"Ghost needs {', '.join(missing)}")
    if (version := _node_version()) not in NODE_VERSIONS:
        raise CannotBuild(f"Ghost does not run on Node.js {version}")
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "ghost.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if place := built():
            return place
        with tempfile.TemporaryDirectory(dir=cache()) as folder:
            end = time.monotonic() + seconds
            place = _fetched(Path(folder), end)
            _without_development(place / "package.json")
            _npm(place, end, "install", "--ignore-scripts", "--legacy-peer-deps")
            # Of all packages that would be compiled this one alone is needed.
            _npm(place, end, "rebuild", "sqlite3")
            return place.rename(cache() / f"ghost-{VERSION}")


def _node_version() -> str:
    done = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    return done.stdout.removeprefix("v").partition(".")[0]


def _fetched(folder: Path, end: float) -> Path:
    """Return the unpacked program: npm installs packages that lie inside it from there alone."""
    _npm(folder, end, "pack", f"ghost@{VERSION}")
    with tarfile.open(folder / f"ghost-{VERSION}.tgz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def _without_development(manifest: Path) -> None:
    """Drop what only Ghost's own developers need."""
    package = json.loads(manifest.read_text())
    kept = {key: package[key] for key in package if key not in ("devDependencies", "scripts")}
    manifest.write_text(json.dumps(kept))


def _npm(folder: Path, end: float, *arguments: str) -> None:
    node = Path(shutil.which("node") or "").resolve().parent.parent
    headers = {"npm_config_nodedir": str(node)} if (node / "include/node/node.h").exists() else {}
    environment = {
        **os.environ,
        **headers,
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "npm_config_build_from_source": "true",
        # The lock file of the package names another registry than the one that is set up here.
        "npm_config_replace_registry_host": "always",
    }
    command = ["nice", "npm", "--loglevel=error", *arguments]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, said = process.communicate(timeout=max(end - time.monotonic(), 0.0))
    except subprocess.TimeoutExpired:
        # With the compilers that it has started.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise CannotBuild(f"npm {arguments[0]} was still at work when the time was over") from None
    if process.returncode:
        last = (said.strip() or "no reason given").splitlines()[0]
        raise CannotBuild(f"npm {arguments[0]} failed: {last}")
