"""`items:import`: bring ninjs documents into the newsroom, or straight to the subscribers."""

from pathlib import Path

import click
from bson import ObjectId

from apps.commands.context import stoppable_services, until_asked
from apps.core.errors import NotFound, ServiceError, ValidationFailed
from apps.graph.build import Graph
from apps.importing.importer import Imported, Importer
from apps.store.collections import DESKS


@click.command("items:import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--desk", help="Name of the desk to put the items on; personal items without one.")
@click.option("--publish", is_flag=True, help="Publish the items as well.")
def import_items(files: tuple[Path, ...], desk: str | None, publish: bool) -> int:
    """Import FILES, ninjs 1.x, 2.x or 3.x documents; folders are searched for .json files.

    Newer versions of what is known here update it. With --publish, new items are published, those
    that are out are corrected, and killed where their provider has canceled them. Each line tells
    id, type, state and what was done.
    """
    failures = 0
    with stoppable_services() as graph:
        resources = {**graph.editing.services, **graph.publishing.operations.by_endpoint}
        importer = Importer(resources, task_of(graph, desk), publish=publish)
        for file in until_asked(each_file(files)):
            try:
                done = importer.add(file)
            except (ServiceError, ValidationFailed) as error:
                failures += 1
                click.echo(f"{file}: {error}", err=True)
                continue
            click.echo("  ".join([done.item_id, done.type, done.state or "-", told(done)]))
            if done.error:
                failures += 1
                click.echo(f"{file}: {done.reason}", err=True)
    return 1 if failures else 0


def told(done: Imported) -> str:
    """Return what was done with a document, and why not more."""
    return f"{done.outcome}: {done.reason}" if done.reason else str(done.outcome)


def each_file(paths: tuple[Path, ...]) -> list[Path]:
    """Return the files among `paths`, and the .json files below its folders, sorted."""
    found: list[Path] = []
    for path in paths:
        found += sorted(path.rglob("*.json")) if path.is_dir() else [path]
    return found


def task_of(graph: Graph, desk_name: str | None) -> dict[str, ObjectId]:
    """Return the `task` that puts an item on the working stage of a desk.

    Raises:
        NotFound: no desk of that name.
    """
    if not desk_name:
        return {}
    desk = graph.db[DESKS].find_one({"name": desk_name})
    if desk is None:
        raise NotFound(f"There is no desk {desk_name!r}")
    return {"desk": desk["_id"], "stage": desk["working_stage"]}
