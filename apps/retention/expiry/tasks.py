"""Celery task of the expiry of items."""

from apps.core.tasks import GraphTask, task


@task("apps.archive.content_expiry", queue="expiry", every=30 * 60)
def content_expiry(self: GraphTask) -> int:
    """Remove what has expired. Every 30 minutes."""
    return self.graph.expiry.run()
