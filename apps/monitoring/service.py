"""The resources that consoles read: nobody writes them through the API."""

from apps.core.caller import Caller
from apps.core.service import Document, ResourceService
from apps.monitoring.processes import ALIVE


class DeliveryCountersService(ResourceService):
    """`delivery_counters`: what became of deliveries, per destination and hour."""

    resource = "delivery_counters"

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        """Leave out the counts of delivery types, which are of no hour."""
        return {**lookup, "hour": {"$type": "date"}}


class ProcessesService(ResourceService):
    """`processes`: those that are alive."""

    resource = "processes"

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        """Leave out what has stopped writing; its document is about to expire."""
        return {**lookup, "beat_at": {"$gt": self.clock.precise() - ALIVE}}
