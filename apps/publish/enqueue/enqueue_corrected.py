"""Recipients of a correction."""

from apps.core.vocabulary import PublishingAction, SubscriberType
from apps.publish.enqueue.enqueue_service import EnqueueService, Item, Recipient, Routing

WITHOUT_REGION_TARGETS = (SubscriberType.DIGITAL, SubscriberType.ALL)


class EnqueueCorrectedService(EnqueueService):
    """Everybody who has the story, whatever its targets are now, and those who match by now."""

    publishing_action = PublishingAction.CORRECTED

    def recipients(self, item: Item, routing: Routing) -> list[Recipient]:
        earlier = self.earlier(item["item_id"], routing)
        known = {recipient.subscriber.id for recipient in earlier}
        added = [r for r in self.matching(item, routing) if r.subscriber.id not in known]
        if earlier and item.get("target_regions"):
            added = [r for r in added if r.subscriber.type not in WITHOUT_REGION_TARGETS]
        return earlier + added
