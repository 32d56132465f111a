"""`app:initialize_data`: load what an empty installation starts with."""

from pathlib import Path

import click

from apps import initial_data
from apps.commands.context import services


@click.command("app:initialize_data")
@click.option(
    "-n",
    "--entity-name",
    "names",
    multiple=True,
    type=click.Choice(initial_data.RESOURCES),
    help="Load this resource only; may be repeated.",
)
@click.option(
    "-p",
    "--path",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=initial_data.SHIPPED,
    help="Folder with <resource>.json files; those that come with Wiredesk unless given.",
)
def initialize_data(names: tuple[str, ...], path: Path) -> None:
    """Add validators, vocabularies, templates, content types and roles that are not there yet."""
    with services() as graph:
        loaded = initial_data.load(graph.db, graph.clock, names or initial_data.RESOURCES, path)
    for name, count in loaded.items():
        click.echo(f"{name}: {count} added")
