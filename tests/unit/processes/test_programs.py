"""The programs of an installation get what the settings say."""

import socket
from pathlib import Path
from typing import Any

import pytest

import settings as settings_module
from apps.celery import create_celery, queues, registered_tasks
from apps.processes.embedded.children import free_port
from apps.processes.programs import PROGRAMS, listens, programs


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    given = {
        "HOST": "0.0.0.0",
        "PORT": 8123,
        "WSPORT": 8124,
        "MONGO_URI": "mongodb://db/",
        "REDIS_URL": "redis://db/0",
        "WORKER_CONCURRENCY": 3,
        "PUBLISHER_CONCURRENCY": 5,
        "WEB_WORKERS": 4,
        "CELERY_PREFIX": "blue_",
        "DATA_DIR": str(tmp_path),
    }
    return settings_module.load(given, environ={})


def test_all_reach_the_same_stores(settings: dict[str, Any]) -> None:
    """Every program is told where the stores are, and shares the secret and the public address."""
    for program in programs(settings):
        assert program.environment["MONGO_URI"] == "mongodb://db/"
        assert program.environment["REDIS_URL"] == "redis://db/0"
        assert program.environment["SECRET_KEY"] == settings["SECRET_KEY"]
        assert program.environment["PUBLIC_URL"] == settings["PUBLIC_URL"]


@pytest.mark.parametrize("length", [None, 12])
def test_all_know_how_long_passwords_are(settings: dict[str, Any], length: int | None) -> None:
    """Where it is not set, no program takes it for set."""
    told = None if length is None else str(length)
    for program in programs({**settings, "PASSWORD_MIN_LENGTH": length}):
        assert program.environment.get("PASSWORD_MIN_LENGTH") == told


def test_programs_are_known_by_their_names(settings: dict[str, Any]) -> None:
    """The names that `manage.py run` takes are those of the programs."""
    with_all = {**settings, "HIGH_PRIORITY_QUEUE_ENABLED": True}
    assert [program.name for program in programs(with_all)] == list(PROGRAMS)
    usual = [program.name for program in programs(settings)]
    assert usual == [name for name in PROGRAMS if name != "priority"]


def test_a_worker_is_kept_free_for_what_is_urgent(settings: dict[str, Any]) -> None:
    """Where that has a queue of its own; the other worker of the wire serves the queue, too."""
    settings |= {"HIGH_PRIORITY_QUEUE_ENABLED": True, "PRIORITY_CONCURRENCY": 4}
    commands = {program.name: program.command for program in programs(settings)}
    assert {"--queues=blue_publish_priority", "--concurrency=4"} < set(commands["priority"])
    served = next(part for part in commands["worker"] if part.startswith("--queues="))
    assert "blue_publish_priority" in served.partition("=")[2].split(",")


def test_commands_follow_the_settings(settings: dict[str, Any], tmp_path: Path) -> None:
    """Addresses, counts, queue names and the place of the schedule come from the settings."""
    web, worker, publisher, websocket = programs(settings)
    listened = ",".join(f"blue_{queue}" for queue in queues() if queue != "publisher")
    assert {"--bind=0.0.0.0:8123", "--workers=4", "app:create_app()"} < set(web.command)
    wanted = {"--beat", "--concurrency=3", f"--queues={listened}"}
    assert {*wanted, f"--schedule={tmp_path}/beat-schedule"} < set(worker.command)
    assert {"--queues=blue_publisher", "--concurrency=5"} < set(publisher.command)
    assert "--beat" not in publisher.command
    assert websocket.environment["WSPORT"] == "8124"


def test_the_workers_serve_every_queue_of_a_task(settings: dict[str, Any]) -> None:
    """No task is routed to a queue that nobody reads; none of sites to the worker of the wire."""
    served = [
        queue.removeprefix("blue_")
        for program in programs(settings)
        for part in program.command
        if part.startswith("--queues=")
        for queue in part.removeprefix("--queues=").split(",")
    ]
    assert sorted(served) == queues()
    assert len(set(served)) == len(served)
    tasks = registered_tasks()
    assert {task.queue for task in tasks.values()} <= set(served)
    of_sites = {name for name, task in tasks.items() if task.queue == "publisher"}
    assert of_sites == {name for name in tasks if name.startswith("publisher.")}


@pytest.mark.parametrize("is_on", [True, False])
def test_the_beat_starts_the_task_of_urgent_deliveries_where_there_is_one(
    settings: dict[str, Any], is_on: bool
) -> None:
    """Nobody is woken for nothing."""
    settings["HIGH_PRIORITY_QUEUE_ENABLED"] = is_on
    started = {entry["task"] for entry in create_celery(settings, dict).conf.beat_schedule.values()}
    assert ("apps.publish.transmit.transmit_priority" in started) == is_on
    assert "apps.publish.transmit.transmit" in started


def test_listens_tells_open_from_closed_ports() -> None:
    """A port counts as open as soon as connections are accepted; an unknown host never does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert listens("127.0.0.1", server.getsockname()[1])()
    assert not listens("127.0.0.1", free_port())()
    assert not listens("no host", 80)()
