"""Celery task of the enqueue run."""

from apps.core.tasks import GraphTask, task


@task("apps.publish.enqueue.enqueue_published", queue="publish")
def enqueue_published(self: GraphTask) -> int:
    """Route what was published. Every 10 seconds, and at once after each publish action."""
    return self.graph.enqueue.run()
