"""Celery entry point of the enqueue run."""

from celery import shared_task

from apps.celery import GraphTask


@shared_task(base=GraphTask, bind=True, name="apps.publish.enqueue.enqueue_published")
def enqueue_published(self: GraphTask) -> int:
    """Route what was published. Every 10 seconds, and at once after each publish action."""
    return self.graph.enqueue.run()
