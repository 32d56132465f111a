"""A newsroom whose subscribers and sites publish to the stand-in site, as clients set it up."""

from typing import Any

import pytest

from apps.core.service import Document
from apps.demo.site import PASSWORD, USERNAME
from apps.graph.build import Graph
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.publisher_client import Publisher
from tests.support.site_desk import FaultySite

ENDED = {"success", "failed", "canceled"}
SUBSCRIBER, REQUEST, AUTO = "subscriber", "request", "auto"
WAYS = pytest.mark.parametrize("way", [SUBSCRIBER, REQUEST, AUTO])
"""How stories reach a site: by a subscriber, by a request, by themselves."""


class SiteNewsroom:
    """Publishes, and lets what is due happen.

    Attributes:
        integration: of the stand-in site.
        way: how stories reach it.
    """

    way = ""

    def __init__(
        self,
        graph: Graph,
        publisher: Publisher,
        desk: Newsdesk,
        site: FaultySite,
        clock: HandClock,
    ) -> None:
        self.graph = graph
        self.db = graph.db
        self.publisher = publisher
        self.desk = desk
        self.site = site
        self.clock = clock
        self.site_document = publisher.site()
        self.integration = publisher.integration(
            self.site_document,
            base_url=site.url,
            credentials={"username": USERNAME, "application_password": PASSWORD},
        )
        tested = publisher.post(f"integrations/{self.integration['_id']}/test").get_json()
        assert tested["ok"], tested["checks"]
        # What the site has is read when an integration is new.
        graph.site_run.run()
        site.requests.clear()

    def destination(self, **config: Any) -> Document:
        """Return a destination of a subscriber that leads to the site."""
        return {
            "_id": "site",
            "name": "site",
            "format": "ninjs",
            "delivery_type": "wordpress",
            "config": {"integration": self.integration["_id"], **config},
        }

    def subscribe(self, name: str = "Kestrel", **fields: Any) -> Document:
        """Create a subscriber that gets everything, at the site."""
        product = self.desk.newsroom.product(f"all of {name}")
        body = {
            "name": name,
            "is_active": True,
            "subscriber_type": "all",
            "email": "desk@kestrel.example",
            "media_type": "media",
            "sequence_num_settings": {"min": 1, "max": 9999},
            "products": [str(product)],
            "destinations": [self.destination()],
            **fields,
        }
        return self.publisher.client.create("subscribers", body)

    def auto_publish(self, rules: Document | None, **fields: Any) -> None:
        """Let the site publish by itself what fits."""
        path = f"sites/{self.site_document['_id']}"
        answer = self.publisher.patch(path, {"auto_publish": rules, **fields})
        assert answer.status_code == 200, answer.text

    def options(self, **options: Any) -> None:
        """Set options of the integration."""
        path = f"integrations/{self.integration['_id']}"
        answer = self.publisher.patch(path, {"options": options})
        assert answer.status_code == 200, answer.text

    def use(self, way: str) -> None:
        """Let stories reach the site by one of `WAYS`."""
        self.way = way
        if way == SUBSCRIBER:
            self.subscribe()
        if way == AUTO:
            self.auto_publish({})

    def act(self, operation: str, item: Document | None = None, **changes: Any) -> Document:
        """Publish, correct, kill ... an item on the chosen way; of a new one without `item`."""
        done = self.desk.act(operation, item or self.desk.story(), **changes)
        if self.way == REQUEST:
            answer = self.publisher.publish(done["_id"])
            assert answer.status_code in (200, 202), answer.text
        return done

    def save(self, item: Document, **changes: Any) -> None:
        """Save an item as an editor does."""
        answer = self.publisher.client.patch(f"archive/{item['_id']}", changes)
        assert answer.status_code == 200, answer.text

    def go(self, rounds: int = 2) -> None:
        """Let everything that is due happen, as often."""
        for _ in range(rounds):
            self.graph.enqueue.run()
            self.graph.transmit.run()
            self.graph.site_run.run()
            self.graph.transmit.run()

    def settle(self, most: int = 60, seconds: float = 70) -> None:
        """Let time pass until every row and every wish has ended."""
        for _ in range(most):
            self.go(1)
            open_rows = [row for row in self.desk.rows() if row["state"] not in ENDED]
            waiting = {"next_attempt_at": {"$ne": None}}
            if not open_rows and not self.db["publishing_records"].find_one(waiting):
                return
            self.clock.advance(seconds=seconds)
        raise AssertionError((open_rows, list(self.db["publishing_records"].find(waiting))))

    def record(self, item: Document | None = None) -> Document:
        """Return the one record, or that of an item."""
        query = {} if item is None else {"content": item["_id"]}
        (record,) = self.db["publishing_records"].find(query)
        return dict(record)

    def states(self, item: Document | None = None) -> list[str]:
        """Return the states of the rows, of all items or of one."""
        wanted = {} if item is None else {"item_id": item["_id"]}
        return [row["state"] for row in self.desk.rows(**wanted)]

    def creates(self) -> int:
        """Return how many posts the site was asked to make."""
        return sum(r.path == "/wp/v2/posts" for r in self.site.writes())
