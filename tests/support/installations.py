"""Whole installations of real processes, made to be killed, stopped and restarted."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import settings as settings_module
from apps.core import json
from apps.processes.embedded.children import free_port, has_ended, start, stop
from apps.processes.embedded.servers import MONGO, REDIS
from apps.processes.embedded.stores import EmbeddedServer, start_all, stop_all
from apps.processes.programs import programs
from apps.processes.supervisor import Program
from tests.support.processes import wait_until

PATIENCE_SECONDS = 120.0
"""How long a process may take to do its work on a busy machine."""


class Installation:
    """Stores and programs of an installation, each of them a real process.

    Embedded stores start again by themselves when they are killed, programs do not.

    Args:
        directory: for data and logs.
        workers: how many there are, each with the schedule of its tasks.
        changes: settings, beside addresses and ports.
    """

    def __init__(self, directory: Path, *, workers: int = 1, **changes: Any) -> None:
        self._directory = directory
        self._workers = workers
        self._changes = changes
        self._servers = [EmbeddedServer(server, directory) for server in (MONGO, REDIS)]
        self._programs: dict[str, Program] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._started_at: dict[str, float] = {}
        self.settings: Mapping[str, Any] = {}

    def begin(self) -> None:
        """Start the stores, which the settings then name."""
        addresses = start_all(self._servers)
        self.settings = settings_module.load(
            {
                "MONGO_URI": addresses[MONGO.name],
                "REDIS_URL": addresses[REDIS.name],
                "DATA_DIR": str(self._directory),
                "PORT": free_port(),
                "WSPORT": free_port(),
                "WEB_WORKERS": 1,
                "WORKER_CONCURRENCY": 2,
                **self._changes,
            },
            environ={},
        )
        changes = {
            name: json.dumps(value).decode().strip('"') for name, value in self._changes.items()
        }
        for program in programs(self.settings):
            environment = {**program.environment, **changes, "DATA_DIR": str(self._directory)}
            self._programs[program.name] = replace(program, environment=environment)
        for number in range(2, self._workers + 1):
            worker = self._programs["worker"]
            own = [
                part.replace("beat-", f"beat{number}-") if "--schedule" in part else part
                for part in worker.command
            ]
            name = f"worker-{number}"
            self._programs[name] = replace(worker, name=name, command=tuple(own))

    @property
    def names(self) -> list[str]:
        """Names of the programs."""
        return list(self._programs)

    def start(self, *names: str) -> None:
        """Start programs, all of them unless named; those that run are left alone."""
        for name in names or self.names:
            if not self.is_running(name):
                program = self._programs[name]
                log = self._directory / "log" / f"{name}.log"
                self._started_at[name] = time.time()
                self._processes[name] = start(program.command, log, program.environment)

    def wait_until_ready(self) -> None:
        """Wait until all programs answer that listen."""
        for name, program in self._programs.items():
            wait_until(
                lambda p=program, n=name: p.is_ready() or not self.is_running(n), PATIENCE_SECONDS
            )
            assert self.is_running(name), f"{name} has ended; see {self._directory / 'log'}"

    def is_running(self, name: str) -> bool:
        """Whether a program has been started and not ended."""
        return name in self._processes and not has_ended(self._processes[name])

    def is_at_work(self, name: str) -> bool:
        """Whether a program has started up; of a worker its schedule says so."""
        if not self.is_running(name) or not self._programs[name].is_ready():
            return False
        if not name.startswith("worker"):
            return True
        option = next(part for part in self._programs[name].command if "--schedule" in part)
        schedule = Path(option.partition("=")[2])
        files = schedule.parent.glob(f"{schedule.name}*")
        return any(file.stat().st_mtime > self._started_at[name] for file in files)

    def pid(self, name: str) -> int:
        """Return the process id of a program that has been started; of a worker its parent's."""
        return self._processes[name].pid

    def signal(self, name: str, number: int) -> None:
        """Send a signal to all processes of a running program."""
        os.killpg(self._processes[name].pid, number)

    def kill(self, name: str) -> None:
        """End a program at once, as `kill -9` does."""
        self.signal(name, signal.SIGKILL)
        self._processes[name].wait()
        has_ended(self._processes[name])

    def terminate(self, name: str) -> None:
        """Ask a program to end, and wait until it has."""
        stop([self._processes[name]])

    def redis(self) -> int:
        """Return the process id of Redis as soon as it answers."""
        wait_until(lambda: REDIS.pid_at(self.settings["REDIS_URL"]), PATIENCE_SECONDS)
        return REDIS.pid_at(self.settings["REDIS_URL"]) or self.redis()

    def mongo(self) -> int:
        """Return the process id of MongoDB as soon as it answers."""
        wait_until(lambda: MONGO.pid_at(self.settings["MONGO_URI"]), PATIENCE_SECONDS)
        return MONGO.pid_at(self.settings["MONGO_URI"]) or self.mongo()

    def end(self) -> None:
        """End everything."""
        for name, process in self._processes.items():
            if not has_ended(process):
                self.signal(name, signal.SIGCONT)
        stop(list(self._processes.values()))
        stop_all(self._servers)


@contextmanager
def installation(directory: Path, **options: Any) -> Iterator[Installation]:
    """Yield an installation whose stores run and whose programs do not, yet.

    Args:
        options: of `Installation`.
    """
    made = Installation(directory, **options)
    try:
        made.begin()
        yield made
    finally:
        made.end()
