"""The resources that consoles read: nobody writes them through the API."""

from apps.core.caller import Caller
from apps.core.service import Document, ResourceService
from apps.monitoring.processes import ALIVE


class ReadingsService(ResourceService):
    """Documents that tell their times in fields of their own."""

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        """Leave out the times that Eve fills in, which would say 1970."""
        for document in documents:
            document.pop("_created", None)
            document.pop("_updated", None)


class DeliveryCountersService(ReadingsService):
    """`delivery_counters`: what became of deliveries, per destination and hour."""

    resource = "delivery_counters"

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        """Leave out the counts of delivery types, which are of no hour."""
        return {**lookup, "hour": {"$type": "date"}}


class ProcessesService(ReadingsService):
    """`processes`: those that are alive."""

    resource = "processes"

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        """Leave out what has stopped writing; its document is about to expire."""
        return {**lookup, "beat_at": {"$gt": self.clock.precise() - ALIVE}}
