"""`demo`: the whole system on embedded stores, doing its main job once."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from apps.commands.context import stored_settings
from apps.commands.run import START_SECONDS
from apps.core.vocabulary import RowState
from apps.demo.api import API
from apps.demo.newsroom import create_editor, import_stories, load_initial_data, set_up_newsroom
from apps.demo.notification_listener import NotificationListener
from apps.demo.receiver import Receiver
from apps.demo.show import perform, steps, table
from apps.graph.build import build_graph
from apps.processes.embedded.children import free_port
from apps.processes.programs import programs
from apps.processes.supervisor import Supervisor
from settings import DATABASES, load

RECIPIENTS = 2
PASSWORD_MIN_LENGTH = 12
"""What passwords need here, unless the environment says otherwise: the demo can stay up."""


@click.command("demo")
@click.option("--keep", is_flag=True, help="Stay up afterwards, on the ports and data of `run`.")
def demo(keep: bool) -> int:
    """Start everything, publish, correct and kill stories, show what was delivered."""
    started = time.monotonic()

    def progress(text: str) -> None:
        click.echo(f"[{time.monotonic() - started:5.1f} s] {text}", err=True)

    with settings_of(keep) as overrides, stored_settings_of(overrides, progress) as settings:
        progress("filling the newsroom")
        graph = build_graph(settings)
        load_initial_data(graph)
        login = create_editor(graph)
        supervisor = Supervisor(programs(settings), Path(settings["DATA_DIR"]) / "log")
        files = Path(settings["DATA_DIR"]).resolve() / "files"
        files.mkdir(parents=True, exist_ok=True)
        try:
            progress("starting web server, worker with beat, and websocket process")
            supervisor.start(START_SECONDS)
            with Receiver() as receiver:
                api = API(settings["PUBLIC_URL"])
                api.log_in(login.username, login.password)
                desk = set_up_newsroom(api, receiver.url, files)
                stories = import_stories(graph, desk)
                with NotificationListener(websocket_url(settings, api.token)) as listener:
                    lines = perform(api, steps(stories), RECIPIENTS, progress) if stories else []
                click.echo(table(lines))
                good = all(line.state == RowState.SUCCESS for line in lines)
                click.echo(
                    f"{len(lines)} deliveries: {receiver.received} over HTTP, "
                    f"{len(list(files.iterdir()))} files; {listener.received} notifications"
                )
                if keep:
                    stay_up(supervisor, settings, login.username, login.password, api.token)
        finally:
            progress("stopping")
            supervisor.stop()
            graph.close()
    return 0 if good else 1


@contextmanager
def settings_of(keep: bool) -> Iterator[dict[str, Any]]:
    """Yield settings that win over the environment: ports and data of its own unless kept."""
    passwords = {"PASSWORD_MIN_LENGTH": load()["PASSWORD_MIN_LENGTH"] or PASSWORD_MIN_LENGTH}
    if keep:
        yield passwords
        return
    directory = Path(tempfile.mkdtemp(prefix="wiredesk-demo-"))
    try:
        yield {
            **passwords,
            "DATA_DIR": str(directory),
            "MONGO_URI": None,
            "REDIS_URL": None,
            "MONGO_DBNAME": "wiredesk_demo",
            **{name: None for *own, _fallback in DATABASES for name in own},
            "PUBLIC_URL": None,
            "HOST": "127.0.0.1",
            "WSHOST": "127.0.0.1",
            "PORT": free_port(),
            "WSPORT": free_port(),
            "WEB_WORKERS": 1,
        }
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def stored_settings_of(
    overrides: dict[str, Any], progress: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Yield the settings with running stores."""
    progress("starting the embedded stores")
    with stored_settings(overrides) as settings:
        yield settings


def websocket_url(settings: dict[str, Any], token: str) -> str:
    """Return where a client with `token` listens to notifications."""
    return f"ws://{settings['WSHOST']}:{int(settings['WSPORT'])}/?token={token}"


def stay_up(
    supervisor: Supervisor, settings: dict[str, Any], username: str, password: str, token: str
) -> None:
    """Say how to get in, and wait until stopped."""
    click.echo(f"\nAPI        {settings['PUBLIC_URL']}")
    click.echo(f"Websocket  {websocket_url(settings, token)}")
    click.echo(f"User       {username}\nPassword   {password}\nToken      {token}")
    click.echo("Stop with Ctrl-C.")
    supervisor.watch()
