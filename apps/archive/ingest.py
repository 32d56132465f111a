"""`ingest`: items as they came in; they are read here and fetched to desks."""

from apps.core.caller import Caller
from apps.core.errors import Forbidden
from apps.core.privileges import NO_PRIVILEGE
from apps.core.service import Document, ResourceService


class IngestService(ResourceService):
    """Ingested items. Others store them; nothing is written here but their removal."""

    resource = "ingest"

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        self._check_may_read(caller)
        return lookup

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        self._check_may_read(caller)
        for document in documents:
            document["_type"] = "ingest"

    def _check_may_read(self, caller: Caller) -> None:
        if not caller.may("use_global_saved_searches"):
            raise Forbidden(NO_PRIVILEGE)
