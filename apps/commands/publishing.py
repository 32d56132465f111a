"""`publish:enqueue` and `publish:transmit`: one run each, to the end."""

import click

from apps.commands.context import stoppable_services


@click.command("publish:enqueue")
def enqueue() -> None:
    """Route everything that was published and is waiting."""
    with stoppable_services() as graph:
        click.echo(f"{graph.enqueue.run()} published items routed")


@click.command("publish:transmit")
def transmit() -> None:
    """Deliver everything that is due now."""
    with stoppable_services() as graph:
        click.echo(f"{graph.transmit.run()} deliveries attempted")
