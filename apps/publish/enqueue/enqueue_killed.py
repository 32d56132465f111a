"""Recipients of a kill, a takedown or an unpublication."""

from collections.abc import Sequence

from apps.archive.packages import is_package
from apps.core.vocabulary import PublishingAction, State
from apps.publish.enqueue.association_shares import Shares, shares_held
from apps.publish.enqueue.enqueue_service import (
    EnqueueService,
    Item,
    Recipient,
    Routing,
    ids_of,
    united,
)
from apps.publish.enqueue.packages import recipients_of_package, withdrawn_from

ACTION_OF = {
    State.KILLED: PublishingAction.KILLED,
    State.RECALLED: PublishingAction.RECALLED,
    State.UNPUBLISHED: PublishingAction.UNPUBLISHED,
}


class EnqueueKilledService(EnqueueService):
    """Everybody who has the story, those included that delivery closed meanwhile.

    Where nobody is on record it goes to those who match, unless a setting says otherwise or the
    item was never out at all. An item that was archived goes to all who ever had it, active or not,
    and to nobody else.

    Args:
        published_state: the state that the withdrawal gave the item.
    """

    def __init__(self, published_state: State = State.KILLED) -> None:
        self.publishing_action = ACTION_OF[published_state]

    def recipients(self, item: Item, routing: Routing) -> list[Recipient]:
        if item.get("revived"):
            return self.ever(item["item_id"], routing)
        earlier = self.held(item["item_id"], routing)
        falls_back = routing.withdraw_to_matching and not item.get("only_scheduled")
        if is_package(item):
            if earlier or not falls_back:
                return withdrawn_from(item, earlier, routing)
            return recipients_of_package(item, routing)
        if not falls_back:
            return earlier
        meant = self.intended(item["item_id"], routing)
        return united(earlier or self.matching(item, routing), meant)

    def shares(self, item: Item, recipients: Sequence[Recipient], routing: Routing) -> Shares:
        """Return who had the associations; a withdrawal shows nobody anything new."""
        return shares_held(item, ids_of(recipients), routing.ledger)
