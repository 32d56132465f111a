"""Celery entry point of the outbox."""

from celery import shared_task

from apps.celery import GraphTask


@shared_task(base=GraphTask, bind=True, name="apps.mail.send_mails")
def send_mails(self: GraphTask) -> int:
    """Send the mails that are due. Every minute, and at once after each kill."""
    return self.graph.outbox.run()
