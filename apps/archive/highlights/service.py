"""Rules of `highlights`: what is removed leaves no marks behind (resources contract 23)."""

from apps.archive.highlighted import MARKED_IN
from apps.core.caller import Caller
from apps.core.service import Document, ResourceService


class HighlightsService(ResourceService):
    """Named selections of items."""

    resource = "highlights"

    def delete(self, document: Document, caller: Caller) -> None:
        """Unmark all items, then remove the highlight: a repeated request finishes the rest."""
        marked = {"highlights": document["_id"]}
        for collection in MARKED_IN:
            self.db[collection].update_many(marked, {"$pull": marked})
        super().delete(document, caller)
