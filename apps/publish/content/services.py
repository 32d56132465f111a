"""The publish services, each of which publishes with the others what goes out with its items."""

from collections.abc import Mapping

from apps.core.service import Document
from apps.core.vocabulary import Operation
from apps.publish.content.collaborators import Collaborators
from apps.publish.content.common import BasePublishService
from apps.publish.content.correct import CorrectPublishService
from apps.publish.content.kill import KillPublishService
from apps.publish.content.publication import NO_FIELDS, PublishRequest
from apps.publish.content.publish import ArchivePublishService
from apps.publish.content.take_down import TakeDownPublishService
from apps.publish.content.unpublish import UnpublishService

PUBLISH_SERVICES: tuple[type[BasePublishService], ...] = (
    ArchivePublishService,
    CorrectPublishService,
    KillPublishService,
    TakeDownPublishService,
    UnpublishService,
)
"""One service for each operation; it is behind the endpoint that it names."""


class PublishServices:
    """Builds the publish services and finds the one of an operation.

    Args:
        collaborators: what all of them work with.

    Attributes:
        by_endpoint: the services by the name of their REST resource.
    """

    def __init__(self, collaborators: Collaborators) -> None:
        services = [service(collaborators, self) for service in PUBLISH_SERVICES]
        self._by_operation = {service.operation: service for service in services}
        self.by_endpoint = {service.endpoint: service for service in services}

    def publish_nested(
        self,
        operation: Operation,
        updates: Document,
        original: Document,
        request: PublishRequest,
        row: Mapping[str, str] = NO_FIELDS,
    ) -> Document:
        """Publish an item that goes out with another one; see `NestedPublishing`."""
        service = self._by_operation[operation]
        return service.publish_nested(updates, original, request, row)
