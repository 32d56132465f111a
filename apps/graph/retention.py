"""The part of the object graph that keeps and forgets: expiry, archived items, legal archive."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from apps.core.service import ResourceService
from apps.graph.foundation import Foundation
from apps.publish.content.collaborators import Collaborators
from apps.retention.archived.service import ArchivedService
from apps.retention.expiry import ContentExpiry
from apps.retention.expiry.purge import Purge
from apps.retention.legal_archive.items import LegalItems
from apps.retention.legal_archive.queue import LegalQueue
from apps.retention.legal_archive.service import build_services as legal_services


@dataclass(frozen=True)
class RetentionServices:
    """Services of what is kept, and for how long.

    Attributes:
        services: the service behind each resource.
    """

    expiry: ContentExpiry
    legal_items: LegalItems
    legal_queue: LegalQueue
    services: Mapping[str, ResourceService]


def build_retention(
    base: Foundation, collaborators: Collaborators, withdraw: Callable[[str, int], None]
) -> RetentionServices:
    """Build the services of expiry and of the archives.

    Args:
        collaborators: of the publish services; kills reach archived items.
        withdraw: see `ArchivedService`.
    """
    db, legal_db, clock, settings = base.db, base.legal_db, base.clock, base.settings
    has_legal_archive = bool(settings["LEGAL_ARCHIVE"])
    legal_items = LegalItems(db, legal_db, is_on=has_legal_archive)
    return RetentionServices(
        expiry=ContentExpiry(
            db,
            clock,
            journal=base.journal,
            purge=Purge(db, clock, outbox=base.outbox, settings=settings),
            legal=legal_items,
            notifier=base.notifier,
            settings=settings,
        ),
        legal_items=legal_items,
        legal_queue=LegalQueue(db, legal_db, is_on=has_legal_archive),
        services={
            "archived": ArchivedService(collaborators, withdraw),
            **legal_services(legal_db, clock),
        },
    )
