"""`content_api:remove_expired`: one expiry run of the content API, to the end."""

import click

from apps.commands.context import stoppable_services


@click.command("content_api:remove_expired")
@click.option("--expiry", "days", type=click.IntRange(min=1), help="Days, in place of the setting.")
def remove_expired(days: int | None) -> None:
    """Remove from the content API what has been there for long enough.

    Items that have not changed for CONTENT_API_EXPIRY_DAYS, and rows of `api_audit` that are older
    than CONTENT_API_AUDIT_EXPIRY_DAYS.
    """
    with stoppable_services() as graph:
        click.echo(f"{graph.content_api_expiry.run(days)} expired items removed")
