"""The format `newsroom ninjs`: ninjs as Newshub reads it (formats contract 3.3)."""

from typing import Any, ClassVar

from formatters.base import Document, FormatContext
from formatters.conversions import mapping_of
from formatters.ninjs import NINJSFormatter

RENDITIONS = ("original", "viewImage", "baseImage")
PLANNING = {"coverage_id": "coverage_item", "planning_id": "planning_item"}
"""What is sent of an item's assignment."""


class NewsroomNinjsFormatter(NINJSFormatter):
    """As ninjs, with the products that the item matches and what planning knows of it."""

    type = "newsroom ninjs"
    name: ClassVar[str | None] = "Newsroom NINJS"
    shows_products = True
    can_preview = False
    can_export = False

    def rendition_names(self, context: FormatContext) -> list[str]:
        crops = [str(crop.get("name")) for crop in context.vocabularies.get("crop_sizes", ())]
        return [*RENDITIONS, *crops]

    def guid(self, item: Document) -> Any:
        return item["ingest_id"] if keeps_ingest_id(item) else super().guid(item)

    def version(self, item: Document) -> Any:
        if keeps_ingest_id(item) and item.get("ingest_version"):
            return item["ingest_version"]
        return super().version(item)

    def additions(self, item: Document, context: FormatContext) -> dict[str, Any]:
        products = context.association_products.get(str(item.get("_id")), context.products)
        added: dict[str, Any] = {"products": list(products)}
        assignment = context.assignments.get(str(item.get("assignment_id")), {})
        for field, source in PLANNING.items():
            if assignment.get(source):
                added[field] = assignment[source]
        if item.get("refs"):
            added["refs"] = item["refs"]
        return added


def keeps_ingest_id(item: Document) -> bool:
    """Whether the item goes out under the id it came in with."""
    asked = item.get("auto_publish") or mapping_of(item, "extra").get("publish_ingest_id_as_guid")
    return bool(item.get("ingest_id") and asked)
