"""The supervisor keeps its programs running, and ends them with itself."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from apps.core.errors import ConfigurationError
from apps.processes.embedded.children import start
from apps.processes.supervisor import Program, Supervisor
from tests.support.processes import is_running, wait_until

IN_THE_BACKGROUND = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
"""Starts a command as shells start one in the background, with SIGINT ignored."""
PROGRAM = """
import sys
from pathlib import Path
from apps.processes.supervisor import Program, Supervisor

directory, ready = Path(sys.argv[1]), sys.argv[2] == "ready"
count = ("sh", "-c", f"echo $$ >> {directory}/pids; exec sleep 60")
supervisor = Supervisor(
    [Program("count", count, is_ready=lambda: ready)], directory / "log", first_delay=0.05
)
try:
    print("starting", flush=True)
    supervisor.start(60.0)
    print("started", flush=True)
    supervisor.watch()
except KeyboardInterrupt:
    print("interrupted", flush=True)
finally:
    supervisor.stop()
print("stopped", flush=True)
"""


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """Put the handlers back that a supervisor in this process has replaced."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def supervise(
    directory: Path, ready: str = "ready", launcher: Sequence[str] = ()
) -> "subprocess.Popen[str]":
    """Start a process with a supervisor of one program that notes its process ids.

    Args:
        launcher: command that the process is started with.
    """
    command = [*launcher, sys.executable, "-c", PROGRAM, str(directory), ready]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def pids(directory: Path, count: int) -> list[int]:
    """Return the process ids of a program as soon as it has been started `count` times."""
    notes = directory / "pids"
    wait_until(lambda: notes.exists() and len(notes.read_text().split()) >= count)
    return [int(pid) for pid in notes.read_text().split()]


def test_a_crashed_program_is_started_again(tmp_path: Path) -> None:
    """A program that ends is replaced, again and again, until the supervisor is told to stop."""
    with supervise(tmp_path) as supervisor:
        for crashes in range(1, 4):
            os.kill(pids(tmp_path, crashes)[-1], signal.SIGKILL)
        last = pids(tmp_path, 4)[-1]
        supervisor.terminate()
        output, _ = supervisor.communicate()
    assert output.endswith("stopped\n")
    assert output.count("program.ended") == 3
    assert supervisor.returncode == 0
    assert not is_running(last)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything(tmp_path: Path, number: int) -> None:
    """SIGTERM and Ctrl-C end the programs and the watch, without an error."""
    with supervise(tmp_path) as supervisor:
        child = pids(tmp_path, 1)[0]
        supervisor.send_signal(number)
        output, _ = supervisor.communicate()
    assert output.endswith("stopped\n")
    assert supervisor.returncode == 0
    assert not is_running(child)


@pytest.mark.parametrize("launcher", [(), IN_THE_BACKGROUND])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_what_is_only_starting(
    tmp_path: Path, number: int, launcher: Sequence[str]
) -> None:
    """A program that is never ready does not keep the supervisor from stopping."""
    with supervise(tmp_path, "never ready", launcher) as supervisor:
        child = pids(tmp_path, 1)[0]
        supervisor.send_signal(number)
        output, _ = supervisor.communicate()
    assert output == "starting\ninterrupted\nstopped\n"
    assert not is_running(child)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_amid_the_start_of_a_program_stops_that_one_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The program runs already when the signal arrives, and the supervisor does not know it yet."""
    started: list[subprocess.Popen[bytes]] = []

    def interrupted(*arguments: Any) -> "subprocess.Popen[bytes]":
        started.append(start(*arguments))
        signal.raise_signal(number)
        return started[0]

    monkeypatch.setattr("apps.processes.supervisor.start", interrupted)
    supervisor = Supervisor([Program("sleep", ("sleep", "60"))], tmp_path)
    with pytest.raises(KeyboardInterrupt):
        supervisor.start(timeout=60)
    supervisor.stop()
    assert not is_running(started[0].pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_what_does_not_end_by_itself(tmp_path: Path, number: int) -> None:
    """However long programs may take to finish what they do."""
    deaf = ("sh", "-c", f"trap 'echo asked > {tmp_path}/asked' TERM; while :; do sleep 0.1; done")
    supervisor = Supervisor([Program("deaf", deaf)], tmp_path / "log", grace=3600.0)
    supervisor.start(timeout=60)
    child = supervisor.process("deaf").pid

    def insist() -> None:
        wait_until((tmp_path / "asked").exists)
        os.kill(os.getpid(), number)

    with ThreadPoolExecutor() as threads:
        threads.submit(insist)
        supervisor.stop()
    assert not is_running(child)


def test_programs_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    """`kill -9` of the supervisor ends its programs."""
    with supervise(tmp_path) as supervisor:
        child = pids(tmp_path, 1)[0]
        supervisor.kill()
    wait_until(lambda: not is_running(child))


def test_start_waits_until_a_program_is_ready(tmp_path: Path) -> None:
    """`start` returns when the program says that it does its work; it sees its own variables."""
    file = tmp_path / "ready"
    command = ("sh", "-c", 'sleep 0.2; echo "$WORD" > "$FILE"; exec sleep 60')
    environment = {"WORD": "yes", "FILE": str(file)}
    supervisor = Supervisor([Program("slow", command, environment, file.exists)], tmp_path)
    try:
        supervisor.start(timeout=60)
        assert file.read_text() == "yes\n"
        assert is_running(supervisor.process("slow").pid)
    finally:
        supervisor.stop()
    assert not is_running(supervisor.process("slow").pid)


@pytest.mark.parametrize("script", ["echo no such setting; exit 1", "exec sleep 60"])
def test_a_program_that_does_not_get_ready_is_named_with_its_log(
    tmp_path: Path, script: str
) -> None:
    """A program that ends or hangs while starting is an error that says where to read on."""
    program = Program("broken", ("sh", "-c", script), is_ready=lambda: False)
    supervisor = Supervisor([program], tmp_path)
    try:
        with pytest.raises(ConfigurationError, match=r"The broken process .*/broken\.log"):
            supervisor.start(timeout=0.5)
    finally:
        supervisor.stop()


def test_a_missing_program_is_an_error(tmp_path: Path) -> None:
    """A command that does not exist ends the start; what runs already can be stopped."""
    programs = [Program("fine", ("sleep", "60")), Program("absent", (str(tmp_path / "absent"),))]
    supervisor = Supervisor(programs, tmp_path / "log")
    with pytest.raises(FileNotFoundError, match="absent"):
        supervisor.start(timeout=1)
    supervisor.stop()
    assert not is_running(supervisor.process("fine").pid)
