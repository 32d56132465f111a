"""Recipients of a correction."""

from apps.archive.packages import is_package
from apps.core.vocabulary import PublishingAction, SubscriberType
from apps.publish.enqueue.enqueue_service import (
    EnqueueService,
    Item,
    Recipient,
    Routing,
    ids_of,
    united,
)
from apps.publish.enqueue.packages import (
    check_members,
    check_not_empty,
    followers,
    recipients_of_package,
)

WITHOUT_REGION_TARGETS = (SubscriberType.DIGITAL, SubscriberType.ALL)


class EnqueueCorrectedService(EnqueueService):
    """Everybody who has the story, whatever its targets are now, and those who match by now."""

    publishing_action = PublishingAction.CORRECTED

    def recipients(self, item: Item, routing: Routing) -> list[Recipient]:
        earlier = self.earlier(item["item_id"], routing)
        if is_package(item):
            return self._of_package(item, earlier, routing)
        known = ids_of(earlier)
        added = [r for r in self.matching(item, routing) if r.subscriber.id not in known]
        if earlier and item.get("target_regions"):
            added = [r for r in added if r.subscriber.type not in WITHOUT_REGION_TARGETS]
        meant = [r for r in self.intended(item["item_id"], routing) if r.subscriber.id not in known]
        return earlier + united(added, meant)

    def _of_package(
        self, package: Item, earlier: list[Recipient], routing: Routing
    ) -> list[Recipient]:
        check_not_empty(package)
        check_members(package, routing)
        known = ids_of(earlier)
        added = recipients_of_package(package, routing)
        return [
            *followers(package, earlier, routing),
            *(recipient for recipient in added if recipient.subscriber.id not in known),
        ]
