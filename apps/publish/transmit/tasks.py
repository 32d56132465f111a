"""Celery task of the transmit run."""

from apps.core.tasks import GraphTask, task


@task("apps.publish.transmit.transmit", queue="transmit")
def transmit(self: GraphTask) -> int:
    """Deliver what is due. Every 10 seconds, and at once after routing made something due.

    In a queue of its own: worker processes serve their queues in turn, so that deliveries that wait
    hold up no routing.
    """
    return self.graph.transmit_turn.run()
