"""The key of installations that set none: a file that only its owner may read."""

import os
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet

NAME = "encryption.key"
OWNER_ONLY = 0o600


def read(directory: Path) -> list[str]:
    """Return the keys in the key file of `directory`, newest first; empty when there is none."""
    try:
        return (directory / NAME).read_text(encoding="ascii").split()
    except FileNotFoundError:
        return []


def create(directory: Path) -> list[str]:
    """Return the keys of the key file, which is made when there is none.

    Processes that do so at once end up with the same key.

    Raises:
        OSError: nothing can be written there.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=directory, prefix=f".{NAME}.")
    whole = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), OWNER_ONLY)
            file.write(f"{Fernet.generate_key().decode()}\n")
            file.flush()
            os.fsync(file.fileno())
        # A link appears whole or not at all, and never in the place of another file.
        os.link(whole, directory / NAME)
    except FileExistsError:
        pass
    finally:
        whole.unlink()
    return read(directory)
