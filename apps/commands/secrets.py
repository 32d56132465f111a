"""`secrets:rotate`: encrypt all secrets with the newest key."""

import click

from apps.commands.context import services


@click.command("secrets:rotate")
def rotate() -> int:
    """Encrypt the secrets of all destinations with the first of ENCRYPTION_KEYS.

    Keys that follow it may be taken away afterwards.
    """
    with services() as graph:
        rotation = graph.routing.subscribers.rotate_secrets()
    click.echo(f"{rotation.renewed} secrets encrypted with the newest key")
    for place in rotation.unreadable:
        click.echo(f"No key fits: {place}", err=True)
    return 1 if rotation.unreadable else 0
