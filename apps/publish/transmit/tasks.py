"""Celery entry point of the transmit run."""

from celery import shared_task

from apps.celery import GraphTask


@shared_task(base=GraphTask, bind=True, name="apps.publish.transmit.transmit")
def transmit(self: GraphTask) -> int:
    """Deliver what is due. Every 10 seconds, and at once after routing made something due."""
    return self.graph.transmit.run()
