"""Targets, filters, embargoes and numbers from the desk to the rows (routing contract 6 to 10).

Rules are made and items are published over REST; each test is one scenario.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.rules import Rules, push_destination


@pytest.fixture
def rules(desk: Newsdesk) -> Rules:
    return Rules(desk.client)


Receivers = Callable[..., list[str]]


@pytest.fixture
def receivers(desk: Newsdesk, graph: Graph) -> Receivers:
    """Publish a story with the given fields; return who receives it, sorted by name."""

    def publish(**fields: Any) -> list[str]:
        item = desk.published(**fields)
        graph.enqueue.run()
        names = {s["_id"]: s["name"] for s in desk.db["subscribers"].find({})}
        rows = desk.client.get("publish_queue", where=f'{{"item_id": "{item["_id"]}"}}')
        found = rows.get_json()["_items"]
        return sorted(
            {str(s): name for s, name in names.items()}[r["subscriber_id"]] for r in found
        )

    return publish


def subscriber(rules: Rules, name: str, *products: Document, **fields: Any) -> Document:
    """Create an active subscriber with one HTTP destination."""
    return rules.subscriber(
        name,
        is_active=True,
        products=[product["_id"] for product in products],
        destinations=[push_destination()],
        **fields,
    )


def region(qcode: str, *, allow: bool = True) -> Document:
    return {"qcode": qcode, "name": qcode, "allow": allow}


def named(subscriber: Document) -> Document:
    return {"_id": subscriber["_id"], "name": subscriber["name"]}


def test_a_global_filter_blocks_those_who_are_named(rules: Rules, receivers: Receivers) -> None:
    """Routing scenario 21: directly targeted, and still blocked unless it overrides the filter."""
    blocking = rules.simple_filter("floods", "slugline", "eq", "floods", is_global=True)
    blocked = subscriber(rules, "blocked")
    free = subscriber(rules, "free", global_filters={blocking["_id"]: False})
    targets = [named(blocked), named(free)]

    assert receivers(slugline="floods", target_subscribers=targets) == ["free"]
    assert receivers(slugline="storm", target_subscribers=targets) == ["blocked", "free"]


def test_regions_choose_products(rules: Rules, receivers: Receivers) -> None:
    """Allowed: only products of the region; denied: all regions but that; none: no regions.

    Routing scenario 22.
    """
    for name, place in (("qld", "QLD"), ("nsw", "NSW"), ("vic", "VIC"), ("anywhere", None)):
        product = rules.product(f"product {name}", geo_restrictions=place)
        subscriber(rules, name, product)

    assert receivers(target_regions=[region("QLD")]) == ["qld"]
    assert receivers(target_regions=[region("NSW", allow=False)]) == ["qld", "vic"]
    assert receivers() == ["anywhere"]


def test_types_and_names_choose_subscribers(
    desk: Newsdesk, rules: Rules, receivers: Receivers
) -> None:
    """Digital only; and exactly those named, who need no product and keep their own codes.

    Routing scenario 23.
    """
    everything = rules.product()
    subscriber(rules, "digital", everything)
    subscriber(rules, "wire", everything, subscriber_type="wire")
    chosen = [
        subscriber(rules, "s1", everything),
        subscriber(rules, "s4", everything, subscriber_type="wire"),
        subscriber(rules, "s5", codes="own,code"),
    ]

    assert receivers(target_types=[region("digital")]) == ["digital", "s1"]
    targets = [named(one) for one in chosen]
    assert receivers(target_subscribers=targets) == ["s1", "s4", "s5"]
    rows = desk.client.get("publish_queue").get_json()["_items"]
    codes = [row["codes"] for row in rows if row["subscriber_id"] == chosen[2]["_id"]]
    assert codes == [["own", "code"]]


class TestStrictTargeting:
    """`is_targetable` (routing contract 1)."""

    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "STRICT_TARGETING": True}

    def test_who_is_not_targetable_cannot_be_named(self, desk: Newsdesk, rules: Rules) -> None:
        """In a publication and in a correction; the refusal names those it is about."""
        closed = [subscriber(rules, name, is_targetable=False) for name in ("B", "A")]
        targets = [named(one) for one in (*closed, subscriber(rules, "C"))]
        refused = {"validator exception": "400: Subscriber(s) cannot be targeted: A, B"}
        item = desk.story(target_subscribers=targets)

        published = desk.client.patch(f"archive/publish/{item['_id']}", {})
        item = desk.act("publish", item, target_subscribers=targets[2:])
        change = {"target_subscribers": targets}
        corrected = desk.client.patch(f"archive/correct/{item['_id']}", change)

        assert [published.status_code, corrected.status_code] == [400, 400]
        assert published.get_json()["_issues"] == corrected.get_json()["_issues"] == refused

    def test_who_was_targeted_stays_so(self, desk: Newsdesk, rules: Rules) -> None:
        """A subscriber that is closed to targeting later does not block corrections."""
        one = subscriber(rules, "A")
        item = desk.published(target_subscribers=[named(one)])
        change = {"is_targetable": False}
        assert desk.client.patch(f"subscribers/{one['_id']}", change).status_code == 200

        desk.act("correct", item, headline="Mended")


def test_without_the_setting_anybody_can_be_named(
    desk: Newsdesk, rules: Rules, receivers: Receivers
) -> None:
    """`is_targetable` is a hint for clients then."""
    one = subscriber(rules, "A", is_targetable=False)

    assert receivers(target_subscribers=[named(one)]) == ["A"]


def test_names_and_regions_add_up(rules: Rules, receivers: Receivers) -> None:
    """Routing scenario 24: the named one, and the subscribers of the region's products."""
    queensland = rules.product("queensland", geo_restrictions="QLD")
    everything = rules.product()
    subscriber(rules, "s1", queensland)
    subscriber(rules, "s2", everything)
    third = subscriber(rules, "s3", everything)

    targets = {"target_regions": [region("QLD")], "target_subscribers": [named(third)]}

    assert receivers(**targets) == ["s1", "s3"]


def test_an_embargo_is_what_filters_make_of_it(
    desk: Newsdesk, graph: Graph, clock: HandClock, rules: Rules, receivers: Receivers
) -> None:
    """Alone it holds nothing back; a global filter on it does, until it has lapsed.

    Routing scenario 33.
    """
    everything = rules.product()
    subscriber(rules, "digital", everything)
    subscriber(rules, "wire", everything, subscriber_type="wire")
    later = (clock.now() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S+0000")

    assert receivers(embargo=later) == ["digital", "wire"]
    rules.simple_filter("embargoed", "embargo", "eq", "True", is_global=True)
    held_back = desk.published(embargo=later)
    graph.enqueue.run()
    assert (desk.rows(item_id=held_back["_id"]), desk.queue_states(held_back)) == (
        [],
        ["queued_not_transmitted"],
    )
    waiting = desk.published(embargo=later)
    clock.advance(hours=2)
    graph.enqueue.run()
    desk.act("correct", held_back)
    graph.enqueue.run()
    for item, action in ((waiting, "published"), (held_back, "corrected")):
        rows = desk.rows(item_id=item["_id"])
        assert [row["publishing_action"] for row in rows] == [action] * 2


def test_a_row_in_error_is_routed_again(desk: Newsdesk, graph: Graph, rules: Rules) -> None:
    """A target without its key: `error` with the text; PATCH to pending routes it again.

    Routing scenario 38.
    """
    subscriber(rules, "s", rules.product())
    item = desk.published(target_regions=[{"a": "b"}])
    graph.enqueue.run()

    row = desk.client.get(f"published/{item['_id']}", published_id="1").get_json()

    assert row["queue_state"] == "error"
    text = "400: Key is missing on article to be published: 'qcode'"
    assert row["error_message"] == text
    mended = {"queue_state": "pending", "target_regions": []}
    answer = desk.client.patch(f"published/{row['_id']}", mended)
    assert answer.status_code == 200, answer.text
    graph.enqueue.run()
    assert (desk.queue_states(item), len(desk.rows())) == (["queued"], 1)


def test_numbers_wrap(desk: Newsdesk, graph: Graph, rules: Rules) -> None:
    """Routing scenario 44: after 9 999 comes 1, without a repeat in between."""
    fields: Document = {"sequence_num_settings": {"min": 1, "max": 9999}}
    created = subscriber(rules, "s", rules.product(), **fields)
    counter = {"key": f"subscribers_{created['_id']}", "sequence_number": 9997}
    desk.db["sequences"].insert_one(counter)
    for _ in range(4):
        desk.published()

    graph.enqueue.run()

    rows = desk.client.get("publish_queue", sort="order_no").get_json()["_items"]
    assert [row["published_seq_num"] for row in rows] == [9998, 9999, 1, 2]
