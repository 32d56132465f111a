"""What is needed to install the servers of other projects that tests run against."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PEERS = sorted(
    file.stem for file in (ROOT / "tests/peers").glob("*.py") if "def install()" in file.read_text()
)


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_is_installed_with_nothing_but_python(peer: str) -> None:
    """Packages of the project need not be there yet."""
    program = [sys.executable, "-S", "-c", f"import tests.peers.{peer}"]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
