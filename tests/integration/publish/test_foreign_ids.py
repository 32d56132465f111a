"""The life of an item where documents of others have ids of any form."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from bson import ObjectId

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


def only(*names: str) -> pytest.MarkDecorator:
    """Run a test with some of the forms only."""
    chosen = [form for form, name in zip(FORMS, NAMES, strict=True) if name in names]
    return pytest.mark.parametrize("rules", chosen, ids=names, indirect=True)


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


@pytest.mark.parametrize(
    ("operation", "action"), [("takedown", "recalled"), ("unpublish", "unpublished")]
)
def test_withdrawals(
    desk: Newsdesk,
    subscriber: Any,
    receiver: HTTPReceiver,
    deliver: Deliver,
    operation: str,
    action: str,
) -> None:
    item = desk.published()
    deliver()
    desk.act(operation, item)
    deliver()

    assert [told for told, _state, _number in queue(desk)] == ["published", action]
    assert pushed(receiver)[-1] == ("3", "canceled")


def test_an_update_goes_to_who_has_the_story(
    desk: Newsdesk, subscriber: Any, receiver: HTTPReceiver, deliver: Deliver
) -> None:
    """Also where its own content matches nothing; its correction does so as well."""
    story = desk.published()
    deliver()
    update = desk.client.create(f"archive/{story['_id']}/rewrite", {})
    desk.act("publish", update, slugline="nothing like it")
    deliver()
    desk.act("correct", update, headline="corrected")
    deliver()

    told = [request.json() for request in receiver.requests]
    assert [body["guid"] for body in told] == [story["_id"], update["_id"], update["_id"]]


def test_named_subscribers(
    desk: Newsdesk, rules: ForeignRules, receiver: HTTPReceiver, deliver: Deliver
) -> None:
    """Clients name them by text. An embargo changes nothing for who takes embargoed items."""
    named = rules.subscriber("named", push(receiver.url), codes="own")
    rules.subscriber("other", push(receiver.url))
    targets = [{"_id": as_text(named), "name": "named"}]
    embargo = "2030-01-01T13:00:00+0000"

    item = desk.published(target_subscribers=targets, embargo=embargo)
    deliver()
    desk.act("correct", item, target_subscribers=[])
    deliver()

    assert [row["subscriber_id"] for row in desk.rows()] == [named, named]


def test_packages(
    desk: Newsdesk, subscriber: Any, receiver: HTTPReceiver, deliver: Deliver
) -> None:
    """A package goes to who received its members, and so does its kill."""
    member = desk.published()
    ref = {"residRef": member["_id"], "type": "text", "headline": member["headline"]}
    groups = [
        {"id": "root", "refs": [{"idRef": "main"}], "role": "grpRole:NEP"},
        {"id": "main", "refs": [ref], "role": "grpRole:main"},
    ]
    package = desk.published(type="composite", groups=groups, slugline="no match")
    deliver()
    desk.act("kill", package)
    deliver()

    told = [(r.json()["guid"], r.json()["pubstatus"]) for r in receiver.requests]
    assert told == [
        (member["_id"], "usable"),
        (package["_id"], "usable"),
        (package["_id"], "canceled"),
    ]


def test_the_content_api(
    app: Any, desk: Newsdesk, rules: ForeignRules, subscriber: Any, deliver: Deliver
) -> None:
    """A token opens what its subscriber may read, feeds as well."""
    rules.db["subscriber_token"].insert_one(
        {"_id": "token", "subscriber": rules.reference(subscriber)}
    )
    reader = Client(app, "token")
    item = desk.published()
    deliver()

    assert [i["_id"] for i in reader.get("items").get_json()["_items"]] == [item["_id"]]
    feed = reader.get("feeds/token/json", product=as_text(rules.id_of("products.rivers")))
    assert [entry["title"] for entry in feed.get_json()["items"]] == ["Rivers rise"]


def test_rows_of_others(
    desk: Newsdesk,
    rules: ForeignRules,
    subscriber: Any,
    receiver: HTTPReceiver,
    deliver: Deliver,
) -> None:
    """Whoever they name as recipient gets the correction; those that wait go out, in its lane."""
    item = desk.published()
    deliver()
    (row,) = desk.rows(**{"destination.delivery_type": "http_push"})
    row["subscriber_id"] = rules.reference(subscriber)
    own = ("lane", "order_no", "idempotency_key", "claim_token", "priority")
    foreign = {name: value for name, value in row.items() if name not in own}
    desk.db["publish_queue"].delete_many({})
    desk.db["recipients"].delete_many({})
    waiting = {**foreign, "_id": ObjectId(), "state": "pending", "formatted_item": "{}"}
    desk.db["publish_queue"].insert_many([foreign, waiting])

    deliver()
    desk.act("correct", item, headline="corrected", slugline="no match")
    deliver()

    rows = desk.rows(**{"destination.delivery_type": "http_push", "lane": {"$ne": None}})
    assert [(r["subscriber_id"], r["state"]) for r in rows] == [(subscriber, "success")] * 2
    assert len({r["lane"] for r in rows}) == 1
    assert explained(desk, {**item}) == [("Daily", "sent", 3)]
    assert len(receiver.requests) == 3


def test_a_row_that_a_client_posts_or_cancels(
    desk: Newsdesk, rules: ForeignRules, subscriber: Any, receiver: HTTPReceiver, deliver: Deliver
) -> None:
    """It gets the next number of the subscriber, and goes where its other rows go."""
    item = desk.published()
    deliver()
    (first,) = desk.rows(**{"destination.delivery_type": "http_push"})
    shown = desk.client.get(f"publish_queue/{first['_id']}").get_json()
    kept = ("item_id", "item_version", "publishing_action", "destination", "content_type")
    copy = {**{name: shown[name] for name in kept}, "subscriber_id": as_text(subscriber)}
    again = desk.client.create("publish_queue", {**copy, "formatted_item": "{}"})
    row = desk.db["publish_queue"].find_one({"_id": ObjectId(again["_id"])})
    assert (row["subscriber_id"], row["lane"]) == (subscriber, first["lane"])
    assert row["published_seq_num"] > first["published_seq_num"]
    assert row["codes"] == ["DAY"]

    answer = desk.client.patch(f"publish_queue/{again['_id']}", {"state": "canceled"})
    assert answer.status_code == 200, answer.text
    deliver()
    assert pushed(receiver) == [("2", "usable")]
    assert item["_id"] == row["item_id"]


def test_a_closed_subscriber(
    desk: Newsdesk, rules: ForeignRules, receiver: HTTPReceiver, deliver: Deliver
) -> None:
    """A critical error closes it, administrators are told its name, and its rows are kept."""
    everything = rules.product("everything")
    critical = {"critical_errors": {"9001": True, "15001": True}}
    closed = rules.subscriber("closed", push(receiver.url), products=[everything], **critical)
    receiver.answer([400])
    desk.published()
    deliver()

    (row,) = desk.rows()
    told = [a["data"] for a in desk.db["activity"].find({"resource": "publish_queue"})]
    assert row["subscriber_id"] == closed
    assert row["state"] != "success"
    assert all(data["subscriber"] == "closed" for data in told)


def test_an_internal_destination(desk: Newsdesk, rules: ForeignRules, graph: Graph) -> None:
    """Copies what its filter takes to its stage, but not what comes from its desk."""
    features = rules.desk("Features")
    wanted = rules.filter("rivers", "slugline", "rivers")
    stage = rules.id_of("stages.incoming of Features")
    rules.insert(
        "internal_destinations",
        "to Features",
        is_active=True,
        desk=rules.reference(features["_id"]),
        stage=rules.reference(stage),
        filter=rules.reference(wanted),
    )
    item = desk.published()
    desk.published(slugline="other")
    graph.enqueue.run()
    graph.enqueue.run()

    (copy,) = desk.db["archive"].find({"processed_from": {"$ne": None}})
    assert copy["processed_from"] == item["_id"]
    assert as_text(copy["task"]["desk"]) == as_text(features["_id"])
    assert as_text(copy["task"]["stage"]) == as_text(stage)


@only("ObjectId, as_it_is")
@pytest.mark.parametrize("own_id", ["row-1", 7, "5f" * 12])
def test_rows_whose_own_ids_are_others(
    desk: Newsdesk,
    subscriber: Any,
    deliver: Deliver,
    graph: Graph,
    clock: HandClock,
    own_id: Any,
) -> None:
    """They get into the long-term archive, and go when their time is over."""
    item = desk.published()
    deliver()
    for name in ("published", "publish_queue"):
        (row, *_others) = list(desk.db[name].find({"item_id": item["_id"]}))
        desk.db[name].delete_many({})
        desk.db[name].insert_one({**row, "_id": own_id})

    assert (graph.legal_items.run(), graph.legal_queue.run()) == (1, 1)
    kept = graph.db["legal_publish_queue"].find_one({"_id": own_id})
    assert kept["subscriber_id"] == "Daily"
    clock.advance(days=90)
    assert graph.expiry.run() == 1
    assert desk.rows() == []


@only("ObjectId, as_it_is")
def test_a_page_of_rows_with_ids_of_several_forms(
    desk: Newsdesk, subscriber: Any, deliver: Deliver, graph: Graph
) -> None:
    """The import goes on where a page ends between two forms."""
    desk.published()
    deliver()
    (row,) = desk.rows(**{"destination.delivery_type": "http_push"})
    ids = [3, 1.5, "a", "b", ObjectId()]
    desk.db["publish_queue"].delete_many({})
    desk.db["publish_queue"].insert_many(
        {**row, "_id": id_, "idempotency_key": str(id_)} for id_ in ids
    )

    assert graph.legal_queue.run(page_size=2) == 5
    assert graph.legal_queue.run() == 0
