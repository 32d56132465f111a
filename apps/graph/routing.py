"""The part of the object graph that decides who receives items: filters, products, subscribers,
internal destinations."""

from collections.abc import Iterable
from dataclasses import dataclass

from apps.core.service import ResourceService
from apps.graph.foundation import Foundation
from apps.graph.publishing import build_older_rows
from apps.lanes.waking import wake
from apps.publish.transmit.destinations import transmit_settings
from apps.routing.filters.condition_service import (
    FilterConditionParametersService,
    FilterConditionsService,
)
from apps.routing.filters.filter_service import ContentFiltersService, ContentFilterTestService
from apps.routing.internal_destinations.service import InternalDestinationsService
from apps.routing.products.service import ProductsService, ProductTestService
from apps.routing.subscribers.service import SubscribersService
from apps.store.collections import PUBLISH_LANES
from transmitters.networks import AddressGuard


@dataclass(frozen=True)
class RoutingServices:
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


def build_routing(base: Foundation) -> RoutingServices:
    """Build the services of routing rules."""
    db, clock, settings = base.db, base.clock, base.settings

    def wake_lanes(lanes: Iterable[str]) -> None:
        wake(db[PUBLISH_LANES], dict.fromkeys(lanes, False), clock.precise(), probe=True)

    return RoutingServices(
        filter_conditions=FilterConditionsService(db, clock, settings),
        filter_condition_parameters=FilterConditionParametersService(db, clock, settings),
        content_filters=ContentFiltersService(db, clock),
        content_filter_test=ContentFilterTestService(db, clock),
        products=ProductsService(db, clock),
        product_test=ProductTestService(db, clock),
        subscribers=SubscribersService(
            db,
            clock,
            notifier=base.notifier,
            formatters=base.formatters,
            transmitters=base.transmitters,
            guard=AddressGuard.of(transmit_settings(settings)),
            vault=base.vault,
            wake_lanes=wake_lanes,
            hold_older=build_older_rows(base).hold,
            settings=settings,
        ),
        internal_destinations=InternalDestinationsService(db, clock, macros=base.macros),
    )
