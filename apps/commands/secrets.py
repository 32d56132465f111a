"""`secrets:rotate`: encrypt all secrets with the newest key."""

import click

from apps.commands.context import services


@click.command("secrets:rotate")
def rotate() -> int:
    """Encrypt all secrets with the first of ENCRYPTION_KEYS: of destinations and CMS sites, tokens.

    Keys that follow it may be taken away afterwards.
    """
    with services() as graph:
        rotation = graph.routing.subscribers.rotate_secrets()
        tokens, unreadable = graph.content_api.subscriber_token.rotate_secrets()
        sites = graph.publisher.integrations.rotate_secrets()
    click.echo(f"{rotation.renewed + tokens + sites.renewed} secrets encrypted with the newest key")
    lost = rotation.unreadable + [f"subscriber token {id_}" for id_ in unreadable]
    lost += sites.unreadable
    for place in lost:
        click.echo(f"No key fits: {place}", err=True)
    return 1 if lost else 0
