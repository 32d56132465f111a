"""Celery entry point of the content API."""

from celery import shared_task

from apps.celery import GraphTask


@shared_task(base=GraphTask, bind=True, name="content_api.commands.item_expiry")
def item_expiry(self: GraphTask) -> int:
    """Remove what has expired from the content API. Every night."""
    return self.graph.content_api_expiry.run()
