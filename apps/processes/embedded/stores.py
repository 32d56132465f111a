"""MongoDB and Redis for a data directory, without anybody installing them.

One process starts a server and owns it; others that use the same data directory join in, by way of
a discovery file (`mongo.json`, `redis.json`). A lock decides who starts. The servers hold the lock
as well, so that it is only free when nothing uses the data any more. They end with their owner; one
that ends before is started again, at the same address and on the same data.

Not for production: there `MONGO_URI` and `REDIS_URL` name real servers.
"""

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import IO

import structlog

from apps.core.errors import ConfigurationError
from apps.processes.embedded.children import Restarts, free_port, has_ended, start, stop
from apps.processes.embedded.servers import MONGO, REDIS, Server

START_SECONDS = 60.0
TRIES = 3
"""Starts of one server: another program may take the port between choice and use."""
POLL_SECONDS = 0.05
RESTART_SECONDS = 0.2
"""Delay before a server that has ended is started again the first time."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class StoreAddresses:
    """Where the stores are."""

    mongo_uri: str
    redis_url: str


def resolve_stores(
    mongo_uri: str | None, redis_url: str | None, data_dir: Path
) -> tuple[StoreAddresses, Callable[[], None]]:
    """Return the addresses of both stores, joining or starting embedded ones for what is not given.

    What is started ends with this process at the latest, and takes those that joined with it.

    Args:
        mongo_uri, redis_url: addresses of real servers.
        data_dir: where embedded stores keep their data.

    Returns:
        The addresses, and a function that stops what this call started.

    Raises:
        ConfigurationError: an embedded store cannot be started.
    """
    given = {MONGO: mongo_uri, REDIS: redis_url}
    servers = [EmbeddedServer(server, data_dir) for server, address in given.items() if not address]
    found = start_all(servers)
    addresses = StoreAddresses(mongo_uri or found[MONGO.name], redis_url or found[REDIS.name])
    return addresses, lambda: stop_all(servers)


class EmbeddedStores:
    """Both stores of one data directory, as a context manager that yields their addresses.

    Args:
        data_dir: holds data, logs, locks and discovery files; a temporary directory makes
            throw-away stores.
    """

    def __init__(self, data_dir: Path) -> None:
        self._servers = [EmbeddedServer(server, data_dir) for server in (MONGO, REDIS)]

    def start(self) -> StoreAddresses:
        """Start the stores, or join those that another process runs in this directory.

        Raises:
            ConfigurationError: a store cannot be started; the message names its log.
        """
        found = start_all(self._servers)
        return StoreAddresses(found[MONGO.name], found[REDIS.name])

    def stop(self) -> None:
        """Stop the stores that this object started."""
        stop_all(self._servers)

    def __enter__(self) -> StoreAddresses:
        return self.start()

    def __exit__(self, *details: object) -> None:
        self.stop()


class EmbeddedServer:
    """One server of a data directory: started here, or joined.

    Args:
        server: which one.
        data_dir: holds its data, log, lock and discovery file.
    """

    def __init__(self, server: Server, data_dir: Path) -> None:
        self.server = server
        self.process: subprocess.Popen[bytes] | None = None
        self._directory = data_dir.resolve()
        self._discovery = self._directory / f"{server.name}.json"
        self._log = self._directory / "log" / f"{server.name}.log"
        self._lock: IO[str] | None = None
        self._port = 0
        self._address = ""
        self._restarts = Restarts(RESTART_SECONDS)
        self._withdrawn = Event()
        self._keeper: Thread | None = None

    def begin(self) -> None:
        """Start the server unless somebody else holds its data.

        Raises:
            ConfigurationError: the server is not installed.
        """
        if self._take_lock():
            self._launch()

    def wait(self, deadline: float) -> str:
        """Return the address as soon as the server answers, started here or elsewhere.

        Args:
            deadline: monotonic time at which to give up.

        Raises:
            ConfigurationError: it does not answer in time, or keeps ending.
        """
        launches = 1
        while time.monotonic() < deadline:
            if self.process is None:
                joined = self._announced()
                if joined:
                    return joined
                self.begin()
            elif has_ended(self.process):
                if launches == TRIES:
                    break
                launches += 1
                self._launch()
            # By its process id, because another program's server may have taken the port.
            elif self.server.pid_at(self._address) == self.process.pid:
                self._announce()
                self._keep()
                return self._address
            time.sleep(POLL_SECONDS)
        raise ConfigurationError(
            f"The embedded {self.server.name} store in {self._directory} does not answer; "
            f"see {self._log}"
        )

    def withdraw(self) -> None:
        """Let nobody join any more, and do not start the server again."""
        self._withdrawn.set()
        if self._keeper:
            self._keeper.join()
            self._keeper = None
        if self._lock:
            self._discovery.unlink(missing_ok=True)

    def release(self) -> None:
        """Free the data for another process, once the server has been stopped."""
        self.process = None
        if self._lock:
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> bool:
        self._directory.mkdir(parents=True, exist_ok=True)
        lock = (self._directory / f"{self.server.name}.lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        return True

    def _launch(self) -> None:
        """Start the server at a port that is free now."""
        self._port = free_port()
        self._address = self.server.address.format(port=self._port)
        self._start()

    def _start(self) -> None:
        data = self._directory / self.server.name
        data.mkdir(exist_ok=True)
        lock = [self._lock.fileno()] if self._lock else []
        self._restarts.started()
        self.process = start(self.server.command(self._port, data), self._log, inherited=lock)

    def _keep(self) -> None:
        """Start the server again whenever it ends, in the background, until it is withdrawn."""
        self._withdrawn.clear()
        self._keeper = Thread(target=self._watch, name=f"{self.server.name}-keeper", daemon=True)
        self._keeper.start()

    def _watch(self) -> None:
        while not self._withdrawn.wait(POLL_SECONDS):
            if self.process is None or not has_ended(self.process):
                continue
            if self._restarts.is_due():
                self._start()
            elif delay := self._restarts.ended():
                log.warning(
                    "store.ended",
                    store=self.server.name,
                    status=self.process.returncode,
                    restart_seconds=delay,
                    log=str(self._log),
                )

    def _announce(self) -> None:
        partial = self._discovery.with_suffix(f".{os.getpid()}")
        content = {"address": self._address, "owner": os.getpid()}
        partial.write_text(json.dumps(content), encoding="utf-8")
        partial.replace(self._discovery)

    def _announced(self) -> str | None:
        """Return the address that a living owner has announced and the server answers at."""
        try:
            found = json.loads(self._discovery.read_text(encoding="utf-8"))
            address, owner = str(found["address"]), int(found["owner"])
        except (OSError, ValueError, TypeError, KeyError):
            return None
        # A server whose owner has died is about to end.
        return address if is_alive(owner) and self.server.pid_at(address) else None


def start_all(servers: Sequence[EmbeddedServer]) -> dict[str, str]:
    """Start or join servers side by side; return their addresses by name.

    Raises:
        ConfigurationError: one of them cannot be started; none is left running.
    """
    deadline = time.monotonic() + START_SECONDS
    try:
        for server in servers:
            server.begin()
        return {server.server.name: server.wait(deadline) for server in servers}
    except BaseException:
        stop_all(servers)
        raise


def stop_all(servers: Sequence[EmbeddedServer]) -> None:
    """Stop the servers that were started here, together. May be called again."""
    for server in servers:
        server.withdraw()
    stop([server.process for server in servers if server.process])
    for server in servers:
        server.release()


def is_alive(pid: int) -> bool:
    """Whether there is a process of that id, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
