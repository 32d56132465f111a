"""Celery task of the outbox."""

from apps.core.tasks import GraphTask, task


@task("apps.mail.send_mails", queue="default", every=60)
def send_mails(self: GraphTask) -> int:
    """Send the mails that are due. Every minute, and at once after each kill."""
    return self.graph.outbox.run()
