"""`output_formats`: the formats that destinations may name (formats contract, 1.4)."""

from typing import Any

RESOURCES: dict[str, dict[str, Any]] = {
    "output_formats": {
        "schema": {"type": {"type": "string"}, "name": {"type": "string"}},
        "resource_methods": ["GET"],
        "item_lookup": False,
    },
}
