"""The part of the object graph that decides who receives items: filters, products, subscribers,
internal destinations."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.registry import Registry
from apps.core.service import Document, ResourceService
from apps.newsroom.macros.macros import Macros
from apps.publish.queue.rows import wake
from apps.routing.filters.condition_service import (
    FilterConditionParametersService,
    FilterConditionsService,
)
from apps.routing.filters.filter_service import ContentFiltersService, ContentFilterTestService
from apps.routing.internal_destinations.service import InternalDestinationsService
from apps.routing.products.service import ProductsService, ProductTestService
from apps.routing.subscribers.service import SubscribersService
from apps.secrets.vault import Vault
from formatters.base import Formatter
from transmitters.base import Transmitter


@dataclass(frozen=True)
class Routing:
    """Services of the resources of routing rules."""

    filter_conditions: FilterConditionsService
    filter_condition_parameters: FilterConditionParametersService
    content_filters: ContentFiltersService
    content_filter_test: ContentFilterTestService
    products: ProductsService
    product_test: ProductTestService
    subscribers: SubscribersService
    internal_destinations: InternalDestinationsService

    @property
    def services(self) -> dict[str, ResourceService]:
        """The service behind each resource."""
        return dict(vars(self))


def build_routing(
    db: Database[Document],
    clock: Clock,
    notifier: Notifier,
    formatters: Registry[Formatter],
    transmitters: Registry[Transmitter],
    vault: Vault,
    macros: Macros,
    settings: Mapping[str, Any],
) -> Routing:
    """Build the services of routing rules.

    Args:
        db: the database.
        clock: source of time.
        notifier: tells clients.
        formatters: output formats by name.
        transmitters: delivery types by name.
        vault: encrypts secrets.
        macros: of the installation.
        settings: as `settings.load` returns them.
    """

    def wake_lanes(lanes: Iterable[str]) -> None:
        wake(db, dict.fromkeys(lanes, False), clock.precise())

    return Routing(
        filter_conditions=FilterConditionsService(db, clock, settings),
        filter_condition_parameters=FilterConditionParametersService(db, clock, settings),
        content_filters=ContentFiltersService(db, clock),
        content_filter_test=ContentFilterTestService(db, clock),
        products=ProductsService(db, clock),
        product_test=ProductTestService(db, clock),
        subscribers=SubscribersService(
            db,
            clock,
            notifier=notifier,
            formatters=formatters,
            transmitters=transmitters,
            vault=vault,
            wake_lanes=wake_lanes,
            settings=settings,
        ),
        internal_destinations=InternalDestinationsService(db, clock, macros=macros),
    )
