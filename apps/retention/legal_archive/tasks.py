"""Celery entry points of the long-term archive."""

from celery import shared_task

from apps.celery import GraphTask


@shared_task(base=GraphTask, bind=True, name="apps.legal_archive.import_legal_archive")
def import_legal_archive(self: GraphTask) -> int:
    """Import what was published. After each publish action, and every 3 minutes what is missing."""
    return self.graph.legal_items.run()


@shared_task(base=GraphTask, bind=True, name="apps.legal_archive.import_legal_publish_queue")
def import_legal_publish_queue(self: GraphTask) -> int:
    """Import finished deliveries. Every 5 minutes."""
    return self.graph.legal_queue.run()
