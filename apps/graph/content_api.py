"""The part of the object graph behind the content API: copies of items, and who may read them."""

from dataclasses import dataclass

from apps.content_api.backlog import CopyBacklog
from apps.content_api.expiry import CopyExpiry
from apps.content_api.service import ContentApi
from apps.content_api.store import CopyStore
from apps.content_api.tokens.service import SubscriberTokenService
from apps.content_api.transmitter import transmitter_for
from apps.core.service import ResourceService
from apps.graph.foundation import Foundation
from apps.publish.queue.content_api_rows import ContentApiRows


@dataclass(frozen=True)
class ContentApiServices:
    """Services of the content API.

    Attributes:
        reading: answers what subscribers ask.
        backlog: stores copies, and keeps those that the content API does not take yet.
    """

    reading: ContentApi
    expiry: CopyExpiry
    backlog: CopyBacklog
    subscriber_token: SubscriberTokenService

    @property
    def services(self) -> dict[str, ResourceService]:
        """The service behind each resource."""
        return {"subscriber_token": self.subscriber_token}


def build_content_api(base: Foundation) -> ContentApiServices:
    """Build the services of the content API, and add its delivery type to the others."""
    db, content_db, clock = base.db, base.content_db, base.clock
    rows = ContentApiRows(db, clock, base.notifier)
    backlog = CopyBacklog(db, clock, CopyStore(content_db, clock), rows.succeed)
    base.transmitters.add(transmitter_for(backlog))
    return ContentApiServices(
        reading=ContentApi(content_db, db, clock, base.settings),
        expiry=CopyExpiry(content_db, clock, base.settings),
        backlog=backlog,
        subscriber_token=SubscriberTokenService(db, clock, vault=base.vault),
    )
