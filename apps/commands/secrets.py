"""`secrets:rotate`: encrypt all secrets with the newest key."""

import click

from apps.commands.context import services


@click.command("secrets:rotate")
def rotate() -> int:
    """Encrypt the secrets of destinations and subscriber tokens with the first of ENCRYPTION_KEYS.

    Keys that follow it may be taken away afterwards.
    """
    with services() as graph:
        rotation = graph.routing.subscribers.rotate_secrets()
        tokens, unreadable = graph.content_api.subscriber_token.rotate_secrets()
    click.echo(f"{rotation.renewed + tokens} secrets encrypted with the newest key")
    lost = rotation.unreadable + [f"subscriber token {id_}" for id_ in unreadable]
    for place in lost:
        click.echo(f"No key fits: {place}", err=True)
    return 1 if lost else 0
