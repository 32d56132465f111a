"""`legal_archive:import` and `legal_publish_queue:import`: one run each, to the end."""

import click

from apps.commands.context import stoppable_services

page_size = click.option(
    "--page-size", type=click.IntRange(min=1), default=None, help="Rows taken at once."
)


@click.command("legal_archive:import")
@page_size
def import_items(page_size: int | None) -> None:
    """Import published items that the long-term archive lacks."""
    with stoppable_services() as graph:
        click.echo(f"{graph.legal_items.run(page_size)} published items imported")


@click.command("legal_publish_queue:import")
@page_size
def import_queue(page_size: int | None) -> None:
    """Import finished deliveries that the long-term archive lacks."""
    with stoppable_services() as graph:
        click.echo(f"{graph.legal_queue.run(page_size)} deliveries imported")
