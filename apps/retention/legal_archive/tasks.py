"""Celery tasks of the long-term archive."""

from apps.core.tasks import GraphTask, task


@task("apps.legal_archive.import_legal_archive", queue="legal", every=3 * 60)
def import_legal_archive(self: GraphTask) -> int:
    """Import what was published. After each publish action, and every 3 minutes what is missing."""
    return self.graph.legal_items.run()


@task("apps.legal_archive.import_legal_publish_queue", queue="legal", every=5 * 60)
def import_legal_publish_queue(self: GraphTask) -> int:
    """Import finished deliveries. Every 5 minutes."""
    return self.graph.legal_queue.run()
