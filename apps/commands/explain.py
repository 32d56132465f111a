"""`explain`: why each subscriber got a version of an item, or did not."""

from collections.abc import Mapping
from typing import Any

import click
from tabulate import tabulate

from apps.commands.context import services
from apps.core.vocabulary import RowState

HEADINGS = ("subscriber", "outcome", "reason", "deliveries")


@click.command("explain")
@click.argument("item_id")
@click.option("--version", type=int, help="The version; the one published last unless given.")
def explain(item_id: str, version: int | None) -> None:
    """Show what routing decided about each subscriber for ITEM_ID, and what became of it."""
    with services() as graph:
        explanation = graph.publishing.explain.explain(item_id, version)
    head = f"{item_id}  version {explanation['version']}  {explanation['state']}"
    click.echo(head)
    if explanation["error_message"]:
        click.echo(explanation["error_message"])
    rows = [row_of(line) for line in explanation["subscribers"]]
    click.echo(tabulate(rows, HEADINGS, disable_numparse=True))


def row_of(line: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of one subscriber."""
    outcome = f"{line['outcome']} (resend)" if line["resend"] else line["outcome"]
    name = line["name"] or str(line["subscriber_id"])
    deliveries = [*map(delivery_of, line["deliveries"]), *newest_of(line)]
    return name, outcome, line["reason"], ", ".join(deliveries)


def newest_of(line: Mapping[str, Any]) -> list[str]:
    """Return which version a subscriber has, in words, where its deliveries do not say it."""
    is_told = any(delivery["state"] == RowState.SUCCESS for delivery in line["deliveries"])
    version = line["delivered_version"]
    return [] if is_told or version is None else [f"has version {version}"]


def delivery_of(delivery: Mapping[str, Any]) -> str:
    """Return a delivery in words: `push success`, `push failed: Connection refused`."""
    said = f"{delivery['destination']} {delivery['state']}"
    return f"{said}: {delivery['error_message']}" if delivery["error_message"] else said
