"""Deployments to the stand-in site, and processes that carry them out and die."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from bson import ObjectId

from apps.core.service import Document
from apps.demo.site import PASSWORD, USERNAME
from apps.graph.build import Graph
from apps.lanes import RetryPolicy, wake
from apps.publisher.deployments.listing import Listing
from apps.publisher.deployments.run import DeploymentRun, deployment_lanes, deployment_waker
from apps.publisher.lanes import StoredLanes
from apps.publisher.records.content import Contents
from apps.publisher.records.requests import check_usable
from apps.publisher.records.wishes import Wishes
from apps.store.collections import DEPLOYMENT_LANES
from tests.support.newsdesk import HandClock
from tests.support.publisher_client import Publisher, put_out
from tests.support.site_desk import FaultySite

CREDENTIALS = {"username": USERNAME, "application_password": PASSWORD}
LEASE = timedelta(seconds=60)
ENDED = ("completed", "failed")


class DeploymentDesk:
    """Deploys items to a site.

    Args:
        site_id: of the publisher's site.
        clock: of the services; it is moved to whatever is due next.
    """

    def __init__(self, graph: Graph, clock: HandClock, publisher: Publisher, site_id: str) -> None:
        self.graph = graph
        self.db = graph.db
        self.clock = clock
        self.publisher = publisher
        self.site_id = site_id

    # Items.

    def put_out(self, numbers: Iterable[int], **fields: Any) -> list[str]:
        """Store items that have gone out; return their ids."""
        ids = [f"item-{number:03}" for number in numbers]
        for id_ in ids:
            self.change(id_, 1, **fields)
        return ids

    def change(self, id_: str, version: int, **fields: Any) -> None:
        """Store a version of an item that goes out."""
        body = f"<p>{id_} in version {version}.</p>"
        shown = {"headline": f"Story {id_}", "body_html": body, "_current_version": version}
        put_out(self.db, id_, **{**shown, "_created": self.clock.now(), **fields})

    def moment(self, text: str) -> datetime:
        return datetime.fromisoformat(text)

    # Requests.

    def integration(self, site: FaultySite, **fields: Any) -> Document:
        """Add a WordPress to the publisher's site, and test it."""
        body = {"base_url": site.url, "credentials": CREDENTIALS, **fields}
        created = self.publisher.integration({"_id": self.site_id}, **body)
        assert self.publisher.post(f"integrations/{created['_id']}/test").get_json()["ok"]
        return dict(created)

    def options(self, integration: Document, **options: Any) -> None:
        """Set options of an integration."""
        self.publisher.patch(f"integrations/{integration['_id']}", {"options": options})

    def id_of(self, document: Document) -> ObjectId:
        return ObjectId(str(document["_id"]))

    def start(self, deployment_type: str = "full", **fields: Any) -> str:
        """Start a deployment; return its id."""
        body = {"site": self.site_id, "deployment_type": deployment_type, **fields}
        answer = self.publisher.post("deployments", body)
        assert answer.status_code == 202, answer.get_json()
        return str(answer.get_json()["_id"])

    def told(self, id_: str) -> Document:
        """Return a deployment as clients are told of it."""
        return dict(self.publisher.get(f"deployments/{id_}").get_json())

    def rows(self, **query: Any) -> list[Document]:
        return list(self.db["deployment_items"].find(query).sort("order", 1))

    # Processes.

    def look(self) -> None:
        """Let workers do what is due, at this moment."""
        self.graph.deployment_run.run()
        self.graph.site_run.run()

    def run(self, id_: str, most: int = 400) -> Document:
        """Let workers carry a deployment out, and return it; nothing is done by itself.

        The clock moves to whatever is due next.
        """
        for _ in range(most):
            self.look()
            told = self.told(id_)
            if told["status"] in ENDED and not self.rows(state="queued"):
                return told
            self.move_on()
        raise AssertionError((told, list(self.db["deployment_lanes"].find())))

    def move_on(self) -> None:
        """Move the clock to when something is due, and what is leased is free."""
        due = []
        for name in ("deployment_lanes", "publisher_lanes"):
            for lane in self.db[name].find({"wake_at": {"$type": "date"}}):
                due.append(max(lane["wake_at"], lane.get("lease_until") or lane["wake_at"]))
        if due:
            self.clock.at = max(self.clock.at, min(due) + timedelta(milliseconds=1))

    def process(self, db: Any = None, check: Callable[[], object] = lambda: None) -> DeploymentRun:
        """Return the deployments of another process.

        Args:
            db: the database that it works on.
            check: called before each wish for an item that is shown.
        """
        db, clock, graph = self.db if db is None else db, self.clock, self.graph
        contents, opened = Contents(db, clock.now), graph.publisher.opened

        def checked(integration: Any) -> None:
            check()
            partial(check_usable, opened)(integration)

        return DeploymentRun(
            db,
            clock,
            deployment_lanes(LEASE, RetryPolicy(10, 0.1, Random())),
            listing=Listing(db, clock, contents, opened),
            contents=contents,
            wishes=Wishes(db, clock, StoredLanes(db, clock), graph.notifier),
            check=checked,
            notifier=graph.notifier,
        )

    def wake(self, id_: str) -> None:
        """Let a deployment be looked at now."""
        wake(self.db[DEPLOYMENT_LANES], {id_: False}, self.clock.precise())

    def waker(self) -> Any:
        return deployment_waker(
            StoredLanes(self.db, self.clock, collection=DEPLOYMENT_LANES), self.clock
        )


def titles(site: FaultySite) -> list[str]:
    """Return the titles of the posts that the public sees, in the order of the alphabet."""
    return sorted(post["title"] for post in site.content.live())
