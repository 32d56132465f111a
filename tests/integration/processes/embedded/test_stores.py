"""Embedded stores: started once for a directory, joined by others, gone with their owner."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from redis import Redis
from structlog.testing import capture_logs

from apps.core.errors import ConfigurationError
from apps.processes.embedded.children import free_port
from apps.processes.embedded.servers import MONGO, REDIS, Server
from apps.processes.embedded.stores import (
    EmbeddedServer,
    EmbeddedStores,
    StoreAddresses,
    resolve_stores,
    start_all,
    stop_all,
)
from tests.support.processes import is_running, wait_until

OTHER = """
import sys
from dataclasses import astuple
from pathlib import Path
from apps.processes.embedded.stores import resolve_stores
addresses, close = resolve_stores(sys.argv[1] or None, None, Path(sys.argv[2]))
print(*astuple(addresses), flush=True)
sys.stdin.readline()
close()
"""
ELSEWHERE = "mongodb://127.0.0.1:1/"


@pytest.fixture
def started() -> Iterator[list[EmbeddedServer]]:
    """Servers put into this list are stopped after the test."""
    servers: list[EmbeddedServer] = []
    yield servers
    stop_all(servers)


def other_process(directory: Path, mongo_uri: str = "") -> "subprocess.Popen[str]":
    """Start a process that uses the stores of `directory` until it reads a line."""
    command = [sys.executable, "-c", OTHER, mongo_uri, str(directory)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def addresses_of(process: "subprocess.Popen[str]") -> StoreAddresses:
    assert process.stdout is not None
    return StoreAddresses(*process.stdout.readline().split())


def write(addresses: StoreAddresses) -> None:
    with MongoClient[Any](addresses.mongo_uri) as mongo, Redis.from_url(addresses.redis_url) as r:
        mongo["kept"]["items"].insert_one({"_id": 1})
        r.set("kept", "1")


def is_kept(addresses: StoreAddresses) -> bool:
    with MongoClient[Any](addresses.mongo_uri) as mongo, Redis.from_url(addresses.redis_url) as r:
        return bool(mongo["kept"]["items"].find_one(1)) and r.get("kept") == b"1"


def pids(addresses: StoreAddresses) -> list[int]:
    found = [MONGO.pid_at(addresses.mongo_uri), REDIS.pid_at(addresses.redis_url)]
    return [pid for pid in found if pid]


def test_data_survives_a_restart(tmp_path: Path) -> None:
    """What was written is there when the stores of a directory are started again."""
    with EmbeddedStores(tmp_path) as addresses:
        write(addresses)
        servers = pids(addresses)
    assert len(servers) == 2
    assert not any(map(is_running, servers))
    assert not list(tmp_path.glob("*.json"))
    with EmbeddedStores(tmp_path) as addresses:
        assert is_kept(addresses)


def test_a_second_process_joins(tmp_path: Path) -> None:
    """The second process gets the running stores, and leaves them running when it ends."""
    with EmbeddedStores(tmp_path) as addresses, other_process(tmp_path) as other:
        assert addresses_of(other) == addresses
        other.communicate("\n")
        assert other.returncode == 0
        assert len(pids(addresses)) == 2


def test_two_processes_that_start_at_once_share_one_pair_of_stores(tmp_path: Path) -> None:
    """Only one of them starts servers; both get the same addresses."""
    with other_process(tmp_path) as one, other_process(tmp_path) as two:
        found = addresses_of(one), addresses_of(two)
        two.communicate("\n")
        one.communicate("\n")
    assert found[0] == found[1]
    assert (one.returncode, two.returncode) == (0, 0)


def test_a_killed_owner_leaves_neither_servers_nor_a_lock(tmp_path: Path) -> None:
    """After `kill -9` of the owner its servers end, and the next process takes over at once."""
    with other_process(tmp_path) as owner:
        addresses = addresses_of(owner)
        write(addresses)
        servers = pids(addresses)
        os.kill(owner.pid, signal.SIGKILL)
    with EmbeddedStores(tmp_path) as new:
        assert not set(servers) & set(pids(new))
        assert is_kept(new)
        wait_until(lambda: not any(map(is_running, servers)))


def test_nothing_is_started_where_both_addresses_are_given(tmp_path: Path) -> None:
    """Real servers need neither data directory nor child."""
    found, close = resolve_stores(ELSEWHERE, "redis://127.0.0.1:1/0", tmp_path / "var")
    close()
    assert found == StoreAddresses(ELSEWHERE, "redis://127.0.0.1:1/0")
    assert not (tmp_path / "var").exists()


def test_only_the_missing_store_is_started(tmp_path: Path) -> None:
    """With an address for one store, only the other one is embedded."""
    found, close = resolve_stores(ELSEWHERE, None, tmp_path)
    try:
        assert found.mongo_uri == ELSEWHERE
        assert REDIS.pid_at(found.redis_url)
        assert not (tmp_path / MONGO.name).exists()
    finally:
        close()
    assert not REDIS.pid_at(found.redis_url)


def test_the_announcement_of_a_dead_owner_is_not_believed(
    tmp_path: Path, stores: StoreAddresses, started: list[EmbeddedServer]
) -> None:
    """A discovery file left behind leads nobody to a server that belongs to others."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = {"address": stores.redis_url, "owner": ended.pid}
    (tmp_path / "redis.json").write_text(json.dumps(left))
    started.append(EmbeddedServer(REDIS, tmp_path))
    assert start_all(started)["redis"] != stores.redis_url


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"address": 1, "owner": "x"}'])
def test_a_broken_announcement_is_ignored(
    tmp_path: Path, started: list[EmbeddedServer], content: str
) -> None:
    """A discovery file that makes no sense is written anew."""
    (tmp_path / "redis.json").write_text(content)
    started.append(EmbeddedServer(REDIS, tmp_path))
    address = start_all(started)["redis"]
    announced = json.loads((tmp_path / "redis.json").read_text())
    assert announced == {"address": address, "owner": os.getpid()}


def test_a_port_that_is_taken_meanwhile_is_given_up(
    tmp_path: Path, stores: StoreAddresses, started: list[EmbeddedServer]
) -> None:
    """When another program took the port first, the server starts on another one."""
    taken = int(stores.redis_url.rpartition(":")[2].partition("/")[0])
    ports: list[int] = []

    def command(port: int, directory: Path) -> list[str]:
        ports.append(port)
        return REDIS.command(taken if len(ports) == 1 else port, directory)

    started.append(EmbeddedServer(replace(REDIS, command=command), tmp_path))
    assert start_all(started)["redis"] == REDIS.address.format(port=ports[1])


def test_the_server_of_another_program_is_never_taken_for_ours(
    tmp_path: Path, stores: StoreAddresses, started: list[EmbeddedServer]
) -> None:
    """A Redis that answers on the port, but is not the child, is not used."""
    taken = int(stores.redis_url.rpartition(":")[2].partition("/")[0])
    server = replace(
        REDIS,
        address=stores.redis_url,
        command=lambda port, directory: REDIS.command(taken, directory),
    )
    started.append(EmbeddedServer(server, tmp_path))
    with pytest.raises(ConfigurationError, match="embedded redis store"):
        start_all(started)


def test_a_server_that_cannot_start_is_named_with_its_log(tmp_path: Path) -> None:
    """The error says which store it was and where to read on; nothing is left running."""
    broken = replace(MONGO, command=lambda port, directory: ["sh", "-c", "echo no disk; exit 1"])
    servers = [EmbeddedServer(REDIS, tmp_path), EmbeddedServer(broken, tmp_path)]
    log = tmp_path / "log" / "mongo.log"
    with pytest.raises(ConfigurationError, match=f"embedded mongo store .*; see {log}"):
        start_all(servers)
    assert log.read_text() == "no disk\n" * 3
    assert [server.process for server in servers] == [None, None]
    assert not (tmp_path / "redis.json").exists()


def test_stopping_twice_is_harmless(tmp_path: Path) -> None:
    """Stores may be stopped by a context manager and by hand, and without having been started."""
    stores = EmbeddedStores(tmp_path)
    stores.stop()
    stores.stop()
    assert not list(tmp_path.glob("*.json"))


def test_nothing_answers_where_nothing_listens() -> None:
    """A closed port is no server."""
    port = free_port()
    assert MONGO.pid_at(MONGO.address.format(port=port)) is None
    assert REDIS.pid_at(REDIS.address.format(port=port)) is None


@pytest.mark.parametrize("server", [MONGO, REDIS])
def test_a_killed_server_is_started_again(
    tmp_path: Path, started: list[EmbeddedServer], server: Server
) -> None:
    """By its owner, each time: at the same address, with the data it had; the log says so."""
    started.append(EmbeddedServer(server, tmp_path))
    address = start_all(started)[server.name]
    keep(server, address)
    seen = {server.pid_at(address)}

    with capture_logs() as log:
        for _ in range(2):
            os.kill(started[0].process.pid, signal.SIGKILL)
            wait_until(lambda: server.pid_at(address) not in {None, *seen}, 60)
            seen.add(server.pid_at(address))

    assert is_still_there(server, address)
    notes = [(note["event"], note["store"], note["restart_seconds"]) for note in log]
    assert notes == [("store.ended", server.name, 0.2), ("store.ended", server.name, 0.4)]


def test_who_joined_finds_a_server_that_was_started_again(tmp_path: Path) -> None:
    """The address stays: nobody has to look for the store anew."""
    with EmbeddedStores(tmp_path) as addresses, other_process(tmp_path) as other:
        assert addresses_of(other) == addresses
        killed = REDIS.pid_at(addresses.redis_url)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: REDIS.pid_at(addresses.redis_url) not in {None, killed})
        other.communicate("\n")
        assert other.returncode == 0


def test_a_server_that_was_stopped_is_not_started_again(tmp_path: Path) -> None:
    """Not even one that had just been killed."""
    stores = EmbeddedStores(tmp_path)
    addresses = stores.start()
    for pid in pids(addresses):
        os.kill(pid, signal.SIGKILL)
    stores.stop()
    assert pids(addresses) == []


def keep(server: Server, address: str) -> None:
    if server is REDIS:
        with Redis.from_url(address) as redis:
            redis.set("kept", "1")
            return
    with MongoClient[Any](address, journal=True) as mongo:
        mongo["kept"]["items"].insert_one({"_id": 1})


def is_still_there(server: Server, address: str) -> bool:
    if server is REDIS:
        with Redis.from_url(address) as redis:
            return bool(redis.get("kept"))
    with MongoClient[Any](address) as mongo:
        return bool(mongo["kept"]["items"].find_one(1))
