"""`deployment_records` (cms contract 3.4)."""

from typing import Any

from apps.core.schemas import ID
from apps.publisher.schema import (
    ACCOUNT,
    METADATA,
    READ,
    DeploymentStatus,
    DeploymentType,
    kept,
    one_of,
)

DEPLOYMENT_SCHEMA: dict[str, Any] = {
    "account": ACCOUNT,
    "site": {"type": ID},
    "integration": {"type": ID, "nullable": True},
    "deployment_type": one_of(DeploymentType),
    "status": {**one_of(DeploymentStatus), "readonly": True},
    "items_deployed": kept("integer"),
    "counts": kept("dict", allow_unknown=True),
    "created_at": kept("datetime"),
    "started_at": kept("datetime"),
    "completed_at": kept("datetime"),
    "error_log": kept("string"),
    "metadata": METADATA,
    "requested_by": kept(ID),
    "seq": kept("integer"),
    "lease_owner": kept("string"),
    "lease_until": kept("datetime"),
    "claim_token": kept(),
}

RESOURCES: dict[str, dict[str, Any]] = {
    "deployment_records": {
        "url": "v1/publisher/deployments",
        "schema": DEPLOYMENT_SCHEMA,
        "datasource": {"default_sort": [("created_at", -1), ("_id", -1)]},
        # Deployments are started, canceled and tried again by requests of their own.
        "resource_methods": ["GET"],
        "item_methods": ["GET"],
        "privileges": {"GET": READ},
    },
}
