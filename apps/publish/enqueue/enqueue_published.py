"""Recipients of a publication."""

from apps.archive.packages import is_package
from apps.core.vocabulary import PublishingAction
from apps.publish.enqueue.enqueue_service import (
    EnqueueService,
    Item,
    Recipient,
    Routing,
    united,
)
from apps.publish.enqueue.packages import check_members, recipients_of_package


class EnqueuePublishedService(EnqueueService):
    """Everybody who matches; an update also goes to those who have the story it updates.

    A package goes to those who received members of it.
    """

    publishing_action = PublishingAction.PUBLISHED

    def recipients(self, item: Item, routing: Routing) -> list[Recipient]:
        if is_package(item):
            check_members(item, routing)
            return recipients_of_package(item, routing)
        matching = self.matching(item, routing)
        if not item.get("rewrite_of"):
            return matching
        earlier = self.earlier(item["rewrite_of"], routing)
        meant = self.intended(item["rewrite_of"], routing)
        return united(united(earlier, meant), matching)
