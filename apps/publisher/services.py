"""The services of CMS sites, as the REST edge and the commands know them."""

from dataclasses import dataclass

from apps.core.service import ResourceService
from apps.publisher.deployments.service import DeploymentsService
from apps.publisher.integrations.connection import ConnectionTests
from apps.publisher.integrations.platforms import Platforms
from apps.publisher.integrations.service import IntegrationsService
from apps.publisher.media.service import MediaService
from apps.publisher.metrics import PublisherMetrics
from apps.publisher.records.following import Following
from apps.publisher.records.requests import PublishRequests
from apps.publisher.records.service import RecordsService
from apps.publisher.records.status import StatusService
from apps.publisher.records.wishes import Wishes
from apps.publisher.site_definition.service import SiteDefinitions
from apps.publisher.sites.service import SitesService
from apps.publisher.taxonomies.service import Taxonomies, TaxonomyMapService
from apps.store.idempotency import IdempotentRequests


@dataclass(frozen=True)
class PublisherServices:
    """Services of CMS sites.

    Attributes:
        opened: opens the sites of integrations.
        wishes: writes what is wanted of records.
        following: makes wishes of what happens to items.
        requests, idempotent: POST `/publish`.
        status: GET `/publish/status`.
        tests: connection tests.
        metrics: what Prometheus reads.
    """

    opened: Platforms
    wishes: Wishes
    following: Following
    sites: SitesService
    integrations: IntegrationsService
    records: RecordsService
    deployments: DeploymentsService
    taxonomy_map: TaxonomyMapService
    media: MediaService
    requests: PublishRequests
    idempotent: IdempotentRequests
    status: StatusService
    tests: ConnectionTests
    taxonomies: Taxonomies
    site_definitions: SiteDefinitions
    metrics: PublisherMetrics

    @property
    def services(self) -> dict[str, ResourceService]:
        """The service behind each resource."""
        built = (
            *(self.sites, self.integrations, self.records, self.deployments),
            *(self.taxonomy_map, self.media),
        )
        return {service.resource: service for service in built}
