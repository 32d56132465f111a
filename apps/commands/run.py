"""`run`: the whole installation, on embedded stores or on real ones."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import click

from apps.commands.context import stored_settings
from apps.core.errors import ConfigurationError
from apps.core.logs import configure_logs
from apps.graph.build import build_graph
from apps.processes.embedded.children import GRACE_SECONDS
from apps.processes.programs import PROGRAMS, listens, programs
from apps.processes.supervisor import Supervisor

START_SECONDS = 60.0
LISTENING = {"web": ("HOST", "PORT"), "websocket": ("WSHOST", "WSPORT")}
"""Settings of where programs listen."""


@click.command("run")
@click.argument("chosen", nargs=-1, type=click.Choice(PROGRAMS), metavar="[PROGRAM]...")
@click.option("--mongo", help="MongoDB to use; the embedded one unless given.")
@click.option("--redis", help="Redis to use; the embedded one unless given.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on.")
def run(
    chosen: tuple[str, ...],
    mongo: str | None,
    redis: str | None,
    host: str | None,
    port: int | None,
) -> int:
    """Run all PROGRAMs of the installation, or only those named, until stopped.

    Their output is in `log` in the data directory.
    """
    names = chosen or PROGRAMS
    options = {"MONGO_URI": mongo, "REDIS_URL": redis, "HOST": host, "PORT": port}
    overrides: dict[str, Any] = {name: value for name, value in options.items() if value}
    with stored_settings(overrides) as settings:
        configure_logs(settings["LOG_LEVEL"])
        if "priority" in chosen and not settings["HIGH_PRIORITY_QUEUE_ENABLED"]:
            raise ConfigurationError(
                "priority serves the queue of HIGH_PRIORITY_QUEUE_ENABLED, which is off"
            )
        refuse_taken_ports(settings, names)
        # Before several processes start: the indexes are made once.
        build_graph(settings).close()
        wanted = [program for program in programs(settings) if program.name in names]
        supervisor = Supervisor(
            wanted,
            Path(settings["DATA_DIR"]) / "log",
            # What has not ended by then does not end itself.
            grace=settings["GRACEFUL_STOP_SECONDS"] + GRACE_SECONDS,
        )
        try:
            supervisor.start(START_SECONDS)
            if "web" in names:
                click.echo(f"API        {settings['PUBLIC_URL']}")
            if "websocket" in names:
                click.echo(f"Websocket  ws://{settings['WSHOST']}:{settings['WSPORT']}")
            click.echo("Stop with Ctrl-C.")
            supervisor.watch()
        finally:
            supervisor.stop()
    return 0


def refuse_taken_ports(settings: dict[str, Any], names: Collection[str]) -> None:
    """Refuse to start where something else listens already.

    Args:
        names: of the programs that are to listen.

    Raises:
        ConfigurationError: names the setting and the port.
    """
    for host_setting, port_setting in (LISTENING[name] for name in names if name in LISTENING):
        host, port = settings[host_setting], int(settings[port_setting])
        if listens(host, port)():
            raise ConfigurationError(
                f"{port_setting} {port} is taken: something listens on {host}:{port} already"
            )
