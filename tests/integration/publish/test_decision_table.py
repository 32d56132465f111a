"""Who receives what after the first publication (routing contract 8.3, 8.5), row by row."""

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.routing import permitting, stored_filter

NOWHERE = "http://127.0.0.1:9"
WITHDRAWALS = [("kill", "killed"), ("takedown", "recalled"), ("unpublish", "unpublished")]

Told = Callable[[int], list[tuple[str, str]]]


@pytest.fixture
def told(desk: Newsdesk, graph: Graph) -> Told:
    """Route; return who is sent a version, and what it is told."""

    def rows(version: int) -> list[tuple[str, str]]:
        graph.enqueue.run()
        names = {s["_id"]: s["name"] for s in desk.db["subscribers"].find({})}
        found = desk.rows(item_version=version)
        return sorted((names[row["subscriber_id"]], row["publishing_action"]) for row in found)

    return rows


def rivers(desk: Newsdesk) -> ObjectId:
    """Return a product of stories about rivers only."""
    only = permitting(desk, "slugline", "eq", "rivers")
    return desk.newsroom.product("rivers", content_filter=only)


def patched(desk: Newsdesk, path: str, changes: Document) -> None:
    answer = desk.client.patch(path, changes)
    assert answer.status_code == 200, answer.text


def test_a_correction_of_what_nobody_has_goes_to_those_who_match(
    desk: Newsdesk, told: Told
) -> None:
    """P is empty: M over all active subscribers (routing contract 8.5)."""
    item = desk.published()
    assert told(2) == []
    desk.newsroom.subscriber("late", push(NOWHERE))
    desk.newsroom.subscriber("asleep", push(NOWHERE), is_active=False)

    desk.act("correct", item, headline="Mended")

    assert told(3) == [("late", "corrected")]


def test_a_correction_for_regions_adds_wire_subscribers_only(desk: Newsdesk, told: Told) -> None:
    """With `target_regions` the second set loses digital and `all`; the first keeps them."""
    regional = desk.newsroom.product("regional", geo_restrictions="QLD")
    kinds = ("digital", "wire", "all")
    for kind in kinds:
        desk.newsroom.subscriber(f"has it, {kind}", push(NOWHERE), subscriber_type=kind)
    item = desk.published()
    told(2)
    for kind in kinds:
        fields: Document = {"products": [regional], "subscriber_type": kind}
        desk.newsroom.subscriber(f"new, {kind}", push(NOWHERE), **fields)

    target = {"qcode": "QLD", "name": "Queensland", "allow": True}
    desk.act("correct", item, target_regions=[target])

    names = [name for name, _ in told(3)]
    assert names == ["has it, all", "has it, digital", "has it, wire", "new, wire"]


@pytest.mark.parametrize(("operation", "action"), [("correct", "corrected"), *WITHDRAWALS])
@pytest.mark.parametrize("state", ["pending", "failed", "canceled", "success"])
def test_rows_count_whatever_became_of_them(
    desk: Newsdesk, told: Told, operation: str, action: str, state: str
) -> None:
    """Who was meant to have it hears of it, also if the delivery failed or was canceled."""
    desk.newsroom.subscriber("s", push(NOWHERE), products=[rivers(desk)])
    item = desk.published()
    told(2)
    desk.db["publish_queue"].update_many({}, {"$set": {"state": state}})

    desk.act(operation, item, slugline="floods")

    assert told(3) == [("s", action)]


@pytest.mark.parametrize(("operation", "action"), [("correct", "corrected"), *WITHDRAWALS])
def test_it_goes_to_the_destinations_of_now(
    desk: Newsdesk, told: Told, operation: str, action: str
) -> None:
    """Not to those that the subscriber had when it received the item."""
    subscriber = desk.newsroom.subscriber("s", push(NOWHERE))
    item = desk.published()
    told(2)
    moved = [{**push(NOWHERE), "_id": id_, "name": id_} for id_ in ("new", "newer")]
    patched(desk, f"subscribers/{subscriber}", {"destinations": moved})

    desk.act(operation, item)

    assert told(3) == [("s", action)] * 2
    names = {row["destination"]["name"] for row in desk.rows(item_version=3)}
    assert names == {"new", "newer"}


def test_codes_are_those_of_the_newest_delivery(desk: Newsdesk, told: Told) -> None:
    """A kill carries the codes that the correction had, though no product matches any more."""
    product = rivers(desk)
    subscriber = desk.newsroom.subscriber("s", push(NOWHERE), products=[product], codes="own")
    item = desk.published()
    told(2)
    patched(desk, f"products/{product}", {"codes": "r"})
    patched(desk, f"subscribers/{subscriber}", {"codes": "other"})
    item = desk.act("publish", desk.act("unpublish", item))
    told(4)

    desk.act("kill", item, slugline="floods")
    told(5)

    assert [row["codes"] for row in desk.rows(item_version=4)] == [["other", "r"]]
    assert [row["codes"] for row in desk.rows(item_version=5)] == [["other", "r"]]


def test_who_is_closed_by_delivery_hears_of_a_kill(
    desk: Newsdesk, graph: Graph, told: Told
) -> None:
    """Not one that a user has switched off (routing contract 8.3)."""
    closed = desk.newsroom.subscriber("closed", push(NOWHERE))
    off = desk.newsroom.subscriber("off", push(NOWHERE))
    item = desk.published()
    told(2)
    last_closed = {"closed_at": graph.clock.now(), "message": "error"}
    by_delivery = {"is_active": False, "last_closed": last_closed}
    desk.db["subscribers"].update_one({"_id": closed}, {"$set": by_delivery})
    patched(desk, f"subscribers/{off}", {"is_active": False})

    desk.act("kill", item)

    assert told(3) == [("closed", "killed")]


@pytest.mark.parametrize("has_api", [True, False])
def test_a_resend_reaches_the_content_api_of_those_who_have_api_products(
    desk: Newsdesk, graph: Graph, told: Told, has_api: bool
) -> None:
    """Whether the item matches them or not."""
    never = desk.newsroom.product("never", geo_restrictions="Nowhere")
    fields: Document = {"api_products": [never] if has_api else []}
    chosen = desk.newsroom.subscriber("chosen", push(NOWHERE), products=[], **fields)
    item = desk.published()
    assert told(2) == []

    wanted = {"subscribers": [str(chosen)], "version": 2}
    desk.client.create(f"archive/{item['_id']}/resend", wanted)
    told(2)

    types = sorted(row["destination"]["delivery_type"] for row in desk.rows())
    assert types == (["content_api", "http_push"] if has_api else ["http_push"])
    copy: Any = graph.db["items"].find_one({"_id": item["_id"]})
    assert copy["subscribers"] == ([str(chosen)] if has_api else [])


@pytest.mark.parametrize("kind", ["picture", "video", "audio", "graphic"])
def test_media_are_for_digital_and_all(desk: Newsdesk, told: Told, kind: str) -> None:
    """Wire gets neither the publication nor a correction, nor as one that is targeted."""
    if kind != "picture":
        desk.newsroom.validators(item_type=kind)
    ids = {
        name: desk.newsroom.subscriber(name, push(NOWHERE), subscriber_type=name)
        for name in ("wire", "digital", "all")
    }
    targets = [{"_id": str(id_), "name": name} for name, id_ in ids.items()]
    item = desk.published(type=kind)
    assert told(2) == [("all", "published"), ("digital", "published")]

    desk.act("correct", item, target_subscribers=targets)

    assert told(3) == [("all", "corrected"), ("digital", "corrected")]


@pytest.mark.parametrize(("operation", "action"), [("correct", "corrected"), *WITHDRAWALS])
def test_global_filters_are_for_those_who_are_new(
    desk: Newsdesk, told: Told, operation: str, action: str
) -> None:
    """Who has the story hears of it; who only matches is blocked (routing contract 6 row 4)."""
    desk.newsroom.subscriber("has it", push(NOWHERE))
    item = desk.published()
    told(2)
    desk.newsroom.subscriber("new", push(NOWHERE))
    stored_filter(desk, "slugline", "eq", "rivers", is_global=True)

    desk.act(operation, item)

    assert told(3) == [("has it", action)]


def test_global_filters_let_updates_and_resends_pass(desk: Newsdesk, told: Told) -> None:
    """Followers of a story get its update; who is chosen gets the story."""
    desk.newsroom.subscriber("has it", push(NOWHERE))
    chosen = desk.newsroom.subscriber("chosen", push(NOWHERE), products=[])
    item = desk.published()
    told(2)
    stored_filter(desk, "slugline", "eq", "rivers", is_global=True)

    wanted = {"subscribers": [str(chosen)], "version": 2}
    desk.client.create(f"archive/{item['_id']}/resend", wanted)
    assert told(2) == [("chosen", "published"), ("has it", "published")]
    update = desk.published(rewrite_of=item["_id"])
    told(2)

    rows = desk.rows(item_id=update["_id"])
    assert len(rows) == 2
    assert {row["publishing_action"] for row in rows} == {"published"}


@pytest.mark.parametrize("kind", ["permitting", "blocking"])
def test_a_product_whose_filter_is_gone_gets_nothing(desk: Newsdesk, told: Told, kind: str) -> None:
    """Fail closed both ways, told to administrators; others get theirs (routing contract 3)."""
    gone = {"filter_id": ObjectId(), "filter_type": kind}
    closed = desk.newsroom.product("closed", content_filter=gone)
    desk.newsroom.subscriber("closed", push(NOWHERE), products=[closed])
    desk.newsroom.subscriber("open", push(NOWHERE))
    desk.published()

    assert told(2) == [("open", "published")]
    activities = desk.client.get("activity").get_json()["_items"]
    assert [activity["name"] for activity in activities] == ["content_filter:broken"]


class TestBatches:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "ENQUEUE_BATCH_SIZE": 2}

    def test_what_waits_for_its_hour_starves_nobody(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """One run takes all that is due, however many batches, and none that is not.

        Routing contract R14.
        """
        desk.newsroom.subscriber("s", push(NOWHERE))
        later = [desk.story() for _ in range(3)]
        for item in later:
            desk.act("publish", item, publish_schedule="2030-01-01T13:00:00+0000")
        now = [desk.published() for _ in range(5)]

        assert graph.enqueue.run() == 5
        assert {row["item_id"] for row in desk.rows()} == {item["_id"] for item in now}
        clock.advance(hours=1)
        now.append(desk.published())

        assert graph.enqueue.run() == 4
        assert len({row["item_id"] for row in desk.rows()}) == 9
