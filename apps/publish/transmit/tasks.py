"""Celery task of the transmit run."""

from apps.core.tasks import GraphTask, task


@task("apps.publish.transmit.transmit", queue="publish")
def transmit(self: GraphTask) -> int:
    """Deliver what is due. Every 10 seconds, and at once after routing made something due."""
    return self.graph.transmit.run()
