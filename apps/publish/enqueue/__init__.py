"""From published rows to rows of the delivery queue: who receives what."""

from apps.publish.enqueue.enqueue_service import enqueue_services
from apps.publish.enqueue.run import EnqueueContent
from apps.publish.enqueue.tasks import enqueue_published

__all__ = ["EnqueueContent", "enqueue_published", "enqueue_services"]
