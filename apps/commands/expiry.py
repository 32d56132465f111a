"""`archive:remove_expired`: one expiry run, to the end."""

import click

from apps.commands.context import stoppable_services


@click.command("archive:remove_expired")
def remove_expired() -> None:
    """Remove items whose time is over, and what has been on record for long enough."""
    with stoppable_services() as graph:
        click.echo(f"{graph.expiry.run()} expired items removed")
