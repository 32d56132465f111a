"""Rules of `deployment_records` (cms contract 3.4, 4.4): the records; workers carry them out."""

from collections.abc import Iterable, Mapping
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.documents import object_of, text_of
from apps.core.errors import PlainError, SchemaIssues
from apps.core.notifier import Notifier
from apps.core.service import Document, new_etag
from apps.publisher.accounts import AccountService
from apps.publisher.bodies import checked, moment
from apps.publisher.events import tell_deployment
from apps.publisher.lanes import SiteLanes
from apps.publisher.records.content import Contents
from apps.publisher.records.service import check_metadata
from apps.publisher.schema import (
    ERROR_LOG_BYTES,
    RUNNING,
    DeploymentItemState,
    DeploymentStatus,
    DeploymentType,
    one_of,
)
from apps.publisher.targets import Targets
from apps.store.collections import DEPLOYMENT_ITEMS
from apps.store.sequences import Sequences

SEQUENCE = "publisher_deployments"
MOST_ITEMS = 10_000
NO_LIST = {"type": "string", "minlength": 1, "maxlength": 1000}

FILTER_SCHEMA: Mapping[str, Any] = {
    "desk": {**NO_LIST, "nullable": True},
    "content_type": {**NO_LIST, "nullable": True},
    "since": {"type": ["string", "datetime"], "nullable": True},
    "until": {"type": ["string", "datetime"], "nullable": True},
    "items": {"type": "list", "nullable": True, "maxlength": MOST_ITEMS, "schema": NO_LIST},
}
"""What a deployment may be narrowed by."""

DEPLOY_SCHEMA: Mapping[str, Any] = {
    "site": {**NO_LIST, "required": True},
    "integration": {**NO_LIST, "nullable": True},
    "deployment_type": one_of(DeploymentType, required=True),
    "force": {"type": "boolean", "default": False},
    "filter": {"type": "dict", "nullable": True, "schema": FILTER_SCHEMA},
    "metadata": {"type": "dict", "nullable": True, "allow_unknown": True},
}
RESERVED = ("query", "snapshot_at", "options", "retry_of")
"""Keys of `metadata` that the server writes."""
INNER = frozenset({"hidden_stages", "canceled_by", "integrations", "list"})
"""Fields that clients are not told of."""
RUNS = "Deployment {} is running"
NOT_RUNNING = "The deployment is {}: there is nothing to cancel"
NOT_FAILED = (
    "The deployment is {}: only one that has failed is retried. "
    "Cancel it if it still runs, else start a new one"
)
NONE_FAILED = "No item of the deployment has failed. Start a new deployment for what is missing"
CUT = "earlier lines were cut\n"


class DeploymentsService(AccountService):
    """Deployments of sites.

    Args:
        targets: finds sites and integrations.
        contents: looks up items.
        sequences: numbers deployments.
        lanes: of deployments.
        notifier: tells clients.
    """

    resource = "deployment_records"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        targets: Targets,
        contents: Contents,
        sequences: Sequences,
        lanes: SiteLanes,
        notifier: Notifier,
    ) -> None:
        super().__init__(db, clock)
        self._targets = targets
        self._contents = contents
        self._sequences = sequences
        self._lanes = lanes
        self._notifier = notifier

    def start(self, body: Mapping[str, Any], caller: Caller) -> Document:
        """Start a deployment, and return it.

        Raises:
            SchemaIssues: something is wrong with the request.
            PlainError: 409, another one of the site and the integration is running.
        """
        document = checked(DEPLOY_SCHEMA, body)
        query = read_filter(object_of(document, "filter"))
        metadata = object_of(document, "metadata")
        check_metadata(document)
        if taken := sorted(set(RESERVED) & metadata.keys()):
            raise SchemaIssues({"metadata": dict.fromkeys(taken, "is written by the server")})
        self._contents.check_may_see(query.get("items") or (), caller)
        site = self._targets.site(caller, document["site"])
        integration = self._integration(document, site, caller)
        options = {"force": document["force"]}
        return self._begin(
            account=site["account"],
            site=site["_id"],
            integration=integration,
            deployment_type=document["deployment_type"],
            metadata={**metadata, "query": query, "options": options},
            caller=caller,
        )

    def _integration(self, document: Mapping[str, Any], site: Document, caller: Caller) -> Any:
        """Return the id of the integration that a request names, None for all of the site."""
        if document.get("integration") is None:
            return None
        named = [document["integration"]]
        (found,) = self._targets.named(caller, named, "integration", site["_id"], None)
        if found.get("active") is False:
            raise SchemaIssues({"integration": "is not active"})
        return found["_id"]

    def _begin(self, *, caller: Caller, **fields: Any) -> Document:
        now = self.clock.now()
        deployment: Document = {
            "_id": ObjectId(),
            "_created": now,
            "_updated": now,
            "_etag": new_etag(),
            "created_at": now,
            "status": DeploymentStatus.PENDING,
            "items_deployed": 0,
            "counts": dict.fromkeys(
                ("total", "done", "unchanged", "failed", "skipped", "retracted"), 0
            ),
            "started_at": None,
            "completed_at": None,
            "error_log": "",
            "requested_by": caller.user_id,
            # What nobody may know of who asked for it is not deployed for them.
            "hidden_stages": list((caller.user or {}).get("invisible_stages") or ()),
            "seq": self._sequences.draw(SEQUENCE),
            **fields,
        }
        try:
            self.collection.insert_one(deployment)
        except DuplicateKeyError:
            raise self._running(deployment) from None
        tell_deployment(self._notifier, deployment)
        self._lanes.wake(deployment["_id"], now)
        return told(deployment)

    def _running(self, deployment: Mapping[str, Any]) -> PlainError:
        same = {"site": deployment["site"], "integration": deployment["integration"]}
        same["status"] = {"$in": [status.value for status in RUNNING]}
        running = self.collection.find_one(same, {"_id": 1})
        if running is None:
            return PlainError(409, "A deployment has just ended. Try again.")
        location = (self.resource, str(running["_id"]))
        return PlainError(409, RUNS.format(running["_id"]), location=location)

    def cancel(self, id: Any, caller: Caller) -> Document:
        """End a deployment: what has begun is finished, nothing else is begun.

        Raises:
            PlainError: 404; 409, it has ended.
        """
        deployment = self.one(id, caller)
        now, name = self.clock.now(), text_of(caller.user or {}, "username") or "the system"
        while deployment["status"] in RUNNING:
            log = logged(text_of(deployment, "error_log"), f"canceled by {name}")
            as_read = {key: deployment.get(key) for key in ("_id", "status", "error_log")}
            changes = {"status": DeploymentStatus.FAILED, "completed_at": now, "error_log": log}
            changes["canceled_by"] = name
            changed = self.collection.find_one_and_update(
                as_read,
                {"$set": {**changes, "_updated": now, "_etag": new_etag()}},
                return_document=ReturnDocument.AFTER,
            )
            if changed is not None:
                tell_deployment(self._notifier, changed)
                self._lanes.wake(changed["_id"], now)
                return told(changed)
            deployment = self.one(id, caller)
        raise PlainError(409, NOT_RUNNING.format(deployment["status"]))

    def retry(self, id: Any, caller: Caller) -> Document:
        """Start a deployment of what has failed in an earlier one, and return it.

        Raises:
            PlainError: 404; 409, it has not failed, nothing of it has, or another one is running.
        """
        deployment = self.one(id, caller)
        if deployment["status"] != DeploymentStatus.FAILED:
            raise PlainError(409, NOT_FAILED.format(deployment["status"]))
        failed = {"deployment": deployment["_id"], "state": DeploymentItemState.FAILED}
        if not self.db[DEPLOYMENT_ITEMS].find_one(failed, {"_id": 1}):
            raise PlainError(409, NONE_FAILED)
        metadata = {**object_of(deployment, "metadata"), "retry_of": str(deployment["_id"])}
        metadata.pop("snapshot_at", None)
        same = ("account", "site", "integration", "deployment_type")
        return self._begin(
            **{name: deployment.get(name) for name in same}, metadata=metadata, caller=caller
        )


def told(deployment: Mapping[str, Any]) -> Document:
    """Return a deployment as clients are told of it."""
    return {name: value for name, value in deployment.items() if name not in INNER}


def read_filter(sent: Mapping[str, Any]) -> Document:
    """Return what a deployment is narrowed by, its times as such.

    Raises:
        SchemaIssues: a time is none, or the range is empty.
    """
    query = {name: value for name, value in sent.items() if value is not None}
    try:
        query |= {n: moment(query, n) for n in ("since", "until") if n in query}
    except SchemaIssues as error:
        raise SchemaIssues({"filter": error.payload}) from None
    if {"since", "until"} <= query.keys() and query["since"] > query["until"]:
        raise SchemaIssues({"filter": {"until": "must not be before since"}})
    return query


def logged(log: str, line: str) -> str:
    """Return an `error_log` with a line more; of one that is too long the oldest lines are cut."""
    return _cut(f"{log}{line}\n")


def log_of(lines: Iterable[str], *, is_cut: bool = False) -> str:
    """Return an `error_log`.

    Args:
        is_cut: there are older lines.
    """
    return _cut((CUT if is_cut else "") + "".join(f"{line}\n" for line in lines))


def _cut(whole: str) -> str:
    if len(whole.encode()) <= ERROR_LOG_BYTES:
        return whole
    rest = whole.removeprefix(CUT).encode()[-(ERROR_LOG_BYTES - len(CUT)) :]
    return CUT + rest.decode(errors="ignore").partition("\n")[2]
