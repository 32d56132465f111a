"""Celery tasks of CMS sites, in a queue of their own: a slow site delays nothing of the wire."""

from apps.core.tasks import GraphTask, task

QUEUE = "publisher"
FIVE_MINUTES = 5 * 60


@task("publisher.dispatch", queue=QUEUE)
def dispatch(self: GraphTask) -> int:
    """Carry out what is due: wishes, schedules, later looks. At once when a wish is made."""
    return self.graph.site_run.run()


@task("publisher.sync_taxonomies", queue=QUEUE, every=FIVE_MINUTES)
def sync_taxonomies(self: GraphTask) -> int:
    """Let sites be read by `dispatch` that were not for six hours, or whose wake-up got lost."""
    return self.graph.site_sync.run()


@task("publisher.verify", queue=QUEUE, every=FIVE_MINUTES)
def verify(self: GraphTask) -> int:
    """Tell of what was to go and is still there. Later looks at posts are taken by `dispatch`."""
    return self.graph.late_retractions.run()


@task("publisher.cleanup", queue=QUEUE, hour=4)
def cleanup(self: GraphTask) -> int:
    """Remove what ledgers hold for nothing."""
    return self.graph.publisher_cleanup.run()
