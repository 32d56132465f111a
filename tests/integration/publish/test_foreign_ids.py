"""The life of an item where documents of others have ids of any form."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client, client_of
from tests.support.ids import KINDS, ForeignRules, as_it_is, as_text
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import Newsroom, push
from tests.support.receivers import HTTPReceiver

FORMS = list(product(KINDS.values(), (as_it_is, as_text)))
NAMES = [f"{kind}, {how.__name__}" for kind, how in product(KINDS, (as_it_is, as_text))]


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "LEGAL_ARCHIVE": True, "CONTENT_EXPIRY_MINUTES": 60}


@pytest.fixture(params=FORMS, ids=NAMES)
def rules(graph: Graph, request: pytest.FixtureRequest) -> ForeignRules:
    """Documents with ids of one form, which others refer to as they are, or as text."""
    return ForeignRules(graph, *request.param)


@pytest.fixture
def editor(app: Any, rules: ForeignRules) -> Client:
    """The user who publishes."""
    return client_of(app, rules.user("editor"))


@pytest.fixture
def desk(editor: Client, rules: ForeignRules) -> Newsdesk:
    newsroom = Newsroom(rules.db)
    newsroom.validators()
    newsroom.validators(item_type="composite")
    return Newsdesk(editor, newsroom)


@pytest.fixture
def subscriber(rules: ForeignRules, receiver: HTTPReceiver) -> Any:
    """A subscriber of what its filter permits, at the receiver and in the content API."""
    wanted = rules.filter("rivers", "slugline", "rivers")
    direct = rules.product("rivers", wanted, codes="RIV")
    api = rules.product("api", wanted, product_type="api")
    # Stopped by a global filter, unless the subscriber's exception is understood.
    stop = rules.filter("all rivers", "slugline", "rivers", is_global=True)
    return rules.subscriber(
        "Daily",
        push(receiver.url),
        products=[direct],
        api_products=[api],
        global_filters={as_text(stop): False},
        codes="DAY",
    )


Deliver = Callable[[], None]


@pytest.fixture
def deliver(graph: Graph) -> Deliver:
    def run() -> None:
        graph.enqueue.run()
        graph.transmit.run()

    return run


def pushed(receiver: HTTPReceiver) -> list[tuple[str, str]]:
    """Return version and status of what was delivered."""
    bodies = [request.json() for request in receiver.requests]
    return [(body["version"], body["pubstatus"]) for body in bodies]


def queue(desk: Newsdesk) -> list[tuple[str, str, int]]:
    """Return action, state and number of the deliveries of the receiver, as clients see them."""
    found = desk.client.get("publish_queue", sort="published_seq_num").get_json()["_items"]
    return [
        (row["publishing_action"], row["state"], row["published_seq_num"])
        for row in found
        if row["destination"]["delivery_type"] == "http_push"
    ]


def resend(desk: Newsdesk, item: Document, *subscribers: Any) -> None:
    """Ask for an item once more, as clients do: with the text of the ids."""
    body = {"subscribers": [*map(as_text, subscribers)], "version": item["_current_version"]}
    desk.client.create(f"archive/{item['_id']}/resend", body)


def explained(desk: Newsdesk, item: Document) -> list[tuple[str, str, int | None]]:
    """Return name, outcome and delivered version of each subscriber."""
    lines = desk.client.get(f"explain/{item['_id']}").get_json()["subscribers"]
    return [(line["name"], line["outcome"], line["delivered_version"]) for line in lines]


def test_publish_correct_kill(
    desk: Newsdesk, subscriber: Any, receiver: HTTPReceiver, deliver: Deliver
) -> None:
    item = desk.published()
    deliver()
    desk.act("correct", item, headline="corrected")
    deliver()
    desk.act("kill", item)
    deliver()

    assert pushed(receiver) == [("2", "usable"), ("3", "usable"), ("4", "canceled")]
    states = [(action, state) for action, state, _number in queue(desk)]
    assert states == [("published", "success"), ("corrected", "success"), ("killed", "success")]
    rows = desk.rows(**{"destination.delivery_type": "http_push"})
    assert [row["subscriber_id"] for row in rows] == [subscriber] * 3
    assert [row["codes"] for row in rows] == [["DAY", "RIV"]] * 3
    assert len({row["lane"] for row in rows}) == 1
    assert explained(desk, item) == [("Daily", "sent", 4)]


def test_publish_resend_expire_kill(
    desk: Newsdesk,
    subscriber: Any,
    receiver: HTTPReceiver,
    deliver: Deliver,
    graph: Graph,
    clock: HandClock,
) -> None:
    """Of what has expired everything is kept by names, and a kill finds who had it."""
    item = desk.published()
    deliver()
    resend(desk, item, subscriber)
    deliver()
    assert pushed(receiver) == [("2", "usable")] * 2

    graph.legal_items.run()
    graph.legal_queue.run()
    clock.advance(minutes=61)
    assert graph.expiry.run() == 1
    kept = graph.db["legal_publish_queue"].find({"destination.delivery_type": "http_push"})
    assert [(row["subscriber_id"], row["_subscriber_id"]) for row in kept] == [
        ("Daily", subscriber)
    ] * 2
    legal = desk.client.get(f"legal_archive/{item['_id']}").get_json()
    assert (legal["task"]["desk"], legal["version_creator"]) == ("Sports", "editor")

    row = desk.client.get(f"archived/{item['_id']}:2").get_json()
    answer = desk.client.patch(f"archived/{row['_id']}", {"operation": "kill"})
    assert answer.status_code == 200, answer.text
    deliver()
    assert pushed(receiver)[-1] == ("3", "canceled")
