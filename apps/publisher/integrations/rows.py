"""Resources whose documents belong to integrations."""

from typing import Any

from apps.archive.visibility import both
from apps.core.caller import Caller
from apps.core.errors import NotFound
from apps.core.service import Document, ResourceService
from apps.publisher.accounts import found_by_id, is_of_caller
from apps.store.collections import PUBLISHER_INTEGRATIONS


class IntegrationRows(ResourceService):
    """Rows that are of the account of their integration, which they may not name."""

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        """Leave out what is of integrations of other accounts; one command."""
        if caller.user is None:
            return lookup
        own = {"account": caller.account}
        found = self.db[PUBLISHER_INTEGRATIONS].find(own, {"_id": 1})
        return both(lookup, {"integration": {"$in": [each["_id"] for each in found]}})

    def on_found(self, document: Document, caller: Caller) -> None:
        if not self._is_of_caller(document.get("integration"), caller):
            raise NotFound()

    def _is_of_caller(self, integration_id: Any, caller: Caller) -> bool:
        if caller.user is None:
            return True
        integration = found_by_id(self.db[PUBLISHER_INTEGRATIONS], integration_id)
        return integration is not None and is_of_caller(integration, caller)
