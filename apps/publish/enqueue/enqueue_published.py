"""Recipients of a publication."""

from apps.core.vocabulary import PublishingAction
from apps.publish.enqueue.enqueue_service import (
    EnqueueService,
    Item,
    Recipient,
    Routing,
    united,
)


class EnqueuePublishedService(EnqueueService):
    """Everybody who matches; an update also goes to those who have the story it updates."""

    publishing_action = PublishingAction.PUBLISHED

    def recipients(self, item: Item, routing: Routing) -> list[Recipient]:
        matching = self.matching(item, routing)
        if not item.get("rewrite_of"):
            return matching
        return united(self.earlier(item["rewrite_of"], routing), matching)
