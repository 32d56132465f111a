"""Install what peers need, where that is possible: `python3 -m tests.peers.install NAME...`.

Needs nothing but Python. Tests with a peer that is missing are skipped.
"""

import sys
from importlib import import_module


def main(names: list[str]) -> None:
    """Install each peer, and say which cannot be had here."""
    for name in names:
        peer = import_module(f"tests.peers.{name}")
        if peer.missing():
            peer.install()
        if problem := peer.missing():
            sys.stderr.write(f"tests with {name} are skipped: {problem}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
