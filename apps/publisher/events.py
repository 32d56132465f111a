"""What clients are told of records, deployments and integrations (cms contract 2.4)."""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from apps.archive.visibility import audience_of_id
from apps.core.notifier import Notifier
from apps.core.service import Document


def tell_record(notifier: Notifier, db: Database[Document], record: Mapping[str, Any]) -> None:
    """Tell the users of the record's account who see its item where it stands; one command."""
    notifier.push(
        "publisher:record",
        audience=[[{"account": record["account"]}], *audience_of_id(db, record["content"])],
        record=str(record["_id"]),
        content=record["content"],
        integration=str(record["integration"]),
        status=record["status"],
        remote_state=record["remote_state"],
    )


def tell_deployment(notifier: Notifier, deployment: Mapping[str, Any]) -> None:
    """Tell the users of the deployment's account how far it is."""
    notifier.push(
        "publisher:deployment",
        audience=[[{"account": deployment["account"]}]],
        deployment=str(deployment["_id"]),
        status=deployment["status"],
        items_deployed=deployment.get("items_deployed") or 0,
        total=(deployment.get("counts") or {}).get("total") or 0,
    )


def tell_integration(notifier: Notifier, integration: Mapping[str, Any]) -> None:
    """Tell the users of the integration's account in which state it is."""
    notifier.push(
        "publisher:integration",
        audience=[[{"account": integration["account"]}]],
        integration=str(integration["_id"]),
        state=integration["state"],
    )
