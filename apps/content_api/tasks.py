"""Celery task of the content API."""

from apps.core.tasks import GraphTask, task


@task("content_api.commands.item_expiry", queue="expiry", every=24 * 3600, hour=2)
def item_expiry(self: GraphTask) -> int:
    """Remove what has expired from the content API. Every night."""
    return self.graph.content_api_expiry.run()
