"""`run`: the whole installation, on embedded stores or on real ones."""

from pathlib import Path
from typing import Any

import click

from apps.commands.context import stored_settings
from apps.core.errors import ConfigurationError
from apps.core.logs import configure_logs
from apps.graph.build import build_graph
from apps.processes.programs import listens, programs
from apps.processes.supervisor import Supervisor

START_SECONDS = 60.0


@click.command("run")
@click.option("--mongo", help="MongoDB to use; the embedded one unless given.")
@click.option("--redis", help="Redis to use; the embedded one unless given.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on.")
def run(mongo: str | None, redis: str | None, host: str | None, port: int | None) -> int:
    """Run web server, worker and websocket process until stopped.

    Their output is in `log` in the data directory.
    """
    options = {"MONGO_URI": mongo, "REDIS_URL": redis, "HOST": host, "PORT": port}
    overrides: dict[str, Any] = {name: value for name, value in options.items() if value}
    with stored_settings(overrides) as settings:
        configure_logs(settings["LOG_LEVEL"])
        refuse_taken_ports(settings)
        # Before several processes start: the indexes are made once.
        build_graph(settings).close()
        supervisor = Supervisor(programs(settings), Path(settings["DATA_DIR"]) / "log")
        try:
            supervisor.start(START_SECONDS)
            click.echo(f"API        {settings['PUBLIC_URL']}")
            click.echo(f"Websocket  ws://{settings['WSHOST']}:{settings['WSPORT']}")
            click.echo("Stop with Ctrl-C.")
            supervisor.watch()
        finally:
            supervisor.stop()
    return 0


def refuse_taken_ports(settings: dict[str, Any]) -> None:
    """Refuse to start where something else listens already.

    Raises:
        ConfigurationError: names the setting and the port.
    """
    for host_setting, port_setting in (("HOST", "PORT"), ("WSHOST", "WSPORT")):
        host, port = settings[host_setting], int(settings[port_setting])
        if listens(host, port)():
            raise ConfigurationError(
                f"{port_setting} {port} is taken: something listens on {host}:{port} already"
            )
