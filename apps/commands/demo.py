"""`demo`: the whole system on embedded stores, doing its main job once."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from apps.commands.context import stored_settings
from apps.commands.run import START_SECONDS
from apps.demo import wordpress
from apps.demo.api import API
from apps.demo.newsroom import create_editor, import_stories, load_initial_data, set_up_newsroom
from apps.demo.notification_listener import NotificationListener
from apps.demo.pages import DemoSite, Pages, demo_sites, set_up
from apps.demo.receiver import Receiver
from apps.demo.show import Line, perform, steps, table
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
@click.option("--cms", is_flag=True, help="Publish to a small web site, too.")
@click.option("--wordpress", "with_wordpress", is_flag=True, help="Publish to a WordPress, too.")
def demo(keep: bool, cms: bool, with_wordpress: bool) -> int:
    """Start everything, publish, correct and kill stories, show what was delivered."""
    if with_wordpress and (problem := wordpress.missing()):
        raise click.ClickException(problem)
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
            if with_wordpress:
                progress("installing WordPress")
            running = demo_sites(stand_in=cms, with_wordpress=with_wordpress)
            with Receiver() as receiver, running as sites:
                api = API(settings["PUBLIC_URL"])
                api.log_in(login.username, login.password)
                desk = set_up_newsroom(api, receiver.url, files)
                stories = import_stories(graph, desk)
                pages = [Pages(api, site, set_up(api, site)) for site in sites]
                for each in pages:
                    each.restore(stories.known)
                with NotificationListener(websocket_url(settings, api.token)) as listener:
                    wanted = steps(stories.new) if stories.new else []
                    lines = perform(api, wanted, RECIPIENTS, progress, pages)
                click.echo(table(lines))
                show_totals(lines, receiver.received, files, listener.received, sites)
                if keep:
                    stay_up(supervisor, settings, login.username, login.password, api.token, sites)
        finally:
            progress("stopping")
            supervisor.stop()
            graph.close()
    return 0 if all(line.is_good for line in lines) else 1


def show_totals(
    lines: Sequence[Line], received: int, files: Path, notifications: int, sites: Sequence[DemoSite]
) -> None:
    """Say how much arrived where."""
    names = [site.name for site in sites]
    deliveries = [line for line in lines if line.destination not in names]
    click.echo(
        f"{len(deliveries)} deliveries: {received} over HTTP, "
        f"{len(list(files.iterdir()))} files; {notifications} notifications"
    )
    for site in sites:
        changes = [line for line in lines if line.destination == site.name]
        good = sum(line.is_good for line in changes)
        if changes:
            click.echo(f"{good} of {len(changes)} changes seen by a reader of {site.name}")


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
    supervisor: Supervisor,
    settings: dict[str, Any],
    username: str,
    password: str,
    token: str,
    sites: Sequence[DemoSite],
) -> None:
    """Say how to get in, and wait until stopped."""
    click.echo(f"\nAPI        {settings['PUBLIC_URL']}")
    click.echo(f"Websocket  {websocket_url(settings, token)}")
    click.echo(f"User       {username}\nPassword   {password}\nToken      {token}")
    for site in sites:
        click.echo(f"Site       {site.url}/ ({site.name})")
        if site.people:
            click.echo("Log-in     {}/wp-login.php as {}, {}".format(site.url, *site.people))
    click.echo("Stop with Ctrl-C.")
    supervisor.watch()
