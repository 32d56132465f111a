"""Celery entry point of the expiry job."""

from celery import shared_task

from apps.celery import GraphTask


@shared_task(base=GraphTask, bind=True, name="apps.archive.content_expiry")
def content_expiry(self: GraphTask) -> int:
    """Remove what has expired. Every 30 minutes."""
    return self.graph.expiry.run()
