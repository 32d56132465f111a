"""Which recipients may see which associations of an item (routing contract 8.8)."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import push
from tests.support.routing import permitting

NOWHERE = "http://127.0.0.1:9"


Seen = Callable[[Document], dict[str, list[str]]]


@pytest.fixture
def seen(desk: Newsdesk) -> Seen:
    """Return what the rows of a version say: subscriber name to the associations it may see."""

    def of(item: Document) -> dict[str, list[str]]:
        found = {"item_id": item["_id"], "item_version": item["_current_version"]}
        names = {s["_id"]: s["name"] for s in desk.db["subscribers"].find({})}
        return {names[row["subscriber_id"]]: row["associated_items"] for row in desk.rows(**found)}

    return of


def text_product(desk: Newsdesk) -> ObjectId:
    """Store a product of texts, whatever they say."""
    return desk.newsroom.product("texts", content_filter=permitting(desk, "type", "eq", "text"))


def picture_product(desk: Newsdesk) -> ObjectId:
    """Store a product of pictures from our own photographers."""
    own = permitting(desk, "source", "eq", "own")
    return desk.newsroom.product("own pictures", content_filter=own)


def with_picture(desk: Newsdesk, **fields: Any) -> Document:
    picture = {"_id": "photo", "type": "picture", "source": "own", "headline": "Flood", **fields}
    return {"featuremedia": {**picture, "_fetchable": False}}


class TestShares:
    def test_an_association_is_for_those_it_matches(
        self, desk: Newsdesk, graph: Graph, seen: Seen
    ) -> None:
        """Routing scenario 40, rows: S3 has a product for the picture, S1 has none."""
        texts, pictures = text_product(desk), picture_product(desk)
        s1 = desk.newsroom.subscriber("S1", push(NOWHERE), products=[texts])
        s3 = desk.newsroom.subscriber("S3", push(NOWHERE), products=[texts, pictures])
        item = desk.published(associations=with_picture(desk))

        graph.enqueue.run()

        assert seen(item) == {"S1": [], "S3": ["photo"]}
        ledger = desk.db["recipients"].find_one({"_id": item["_id"]})["subscribers"]
        assert ledger[str(s3)]["associated"] == ["photo"]
        assert "associated" not in ledger[str(s1)]
        bodies = desk.db["publish_payloads"].find({"item_id": item["_id"]})
        assert all("subscribers" not in body["body"] for body in bodies)

    def test_what_was_seen_stays_visible(self, desk: Newsdesk, graph: Graph, seen: Seen) -> None:
        """S3 still sees it when its product is gone and the item corrected.

        Routing scenario 40, rows.
        """
        texts, pictures = text_product(desk), picture_product(desk)
        desk.newsroom.subscriber("S1", push(NOWHERE), products=[texts])
        desk.newsroom.subscriber("S3", push(NOWHERE), products=[texts, pictures])
        item = desk.published(associations=with_picture(desk))
        graph.enqueue.run()
        desk.db["subscribers"].update_many({}, {"$set": {"products": [texts]}})

        corrected = desk.act("correct", item)
        graph.enqueue.run()
        killed = desk.act("kill", item)
        graph.enqueue.run()

        assert seen(corrected) == {"S1": [], "S3": ["photo"]}
        assert seen(killed) == {"S1": [], "S3": ["photo"]}

    def test_an_update_shows_what_the_story_showed(
        self, desk: Newsdesk, graph: Graph, seen: Seen
    ) -> None:
        """Earlier associated items count for those who follow the story."""
        texts, pictures = text_product(desk), picture_product(desk)
        desk.newsroom.subscriber("S3", push(NOWHERE), products=[texts, pictures])
        story = desk.published(associations=with_picture(desk))
        graph.enqueue.run()
        desk.db["subscribers"].update_many({}, {"$set": {"products": [texts]}})

        update = desk.published(rewrite_of=story["_id"], associations=with_picture(desk))
        graph.enqueue.run()

        assert seen(update) == {"S3": ["photo"]}

    def test_nobody_sees_an_association_of_an_item_it_does_not_get(
        self, desk: Newsdesk, graph: Graph, seen: Seen
    ) -> None:
        """The association's subscribers are among the item's."""
        texts, pictures = text_product(desk), picture_product(desk)
        desk.newsroom.subscriber("texts only", push(NOWHERE), products=[texts])
        desk.newsroom.subscriber("pictures only", push(NOWHERE), products=[pictures])
        item = desk.published(associations=with_picture(desk))

        graph.enqueue.run()

        assert seen(item) == {"texts only": []}

    def test_associations_of_any_shape_stop_nothing(
        self, desk: Newsdesk, graph: Graph, seen: Seen
    ) -> None:
        """A null one, and one whose targets cannot be read: nobody sees that one."""
        desk.newsroom.subscriber("s", push(NOWHERE))
        item = desk.published(associations={"gone": None, **with_picture(desk)})
        aimed = {"associations.featuremedia.target_regions": [{"a": "b"}]}
        desk.db["published"].update_one({"item_id": item["_id"]}, {"$set": aimed})

        graph.enqueue.run()

        assert seen(item) == {"s": []}

    def test_a_resend_shows_everything(self, desk: Newsdesk, graph: Graph) -> None:
        """Routing contract 11: associations count as received by all who were chosen."""
        chosen = desk.newsroom.subscriber("S1", push(NOWHERE), products=[text_product(desk)])
        item = desk.published(associations=with_picture(desk))
        graph.enqueue.run()
        body = {"subscribers": [str(chosen)], "version": item["_current_version"]}
        assert desk.client.post(f"archive/{item['_id']}/resend", body).status_code == 201

        graph.enqueue.run()

        first, again = desk.rows(item_id=item["_id"])
        assert (first["associated_items"], again["associated_items"]) == ([], ["photo"])


Told = Callable[[Document], list[tuple[str, str]]]


@pytest.fixture
def told(desk: Newsdesk) -> Told:
    """Return who is sent an item with another one, and what they are told."""

    def of(item: Document) -> list[tuple[str, str]]:
        names = {s["_id"]: s["name"] for s in desk.db["subscribers"].find({})}
        rows = desk.rows(item_id=item["_id"], resend_id={"$ne": None})
        return [(names[row["subscriber_id"]], row["publishing_action"]) for row in rows]

    return of


@pytest.fixture
def enqueue_with(settings: dict[str, Any]) -> Iterator[Callable[[Any], Any]]:
    """Return what builds the enqueue run of an installation with another setting."""
    built: list[Graph] = []

    def build(when: Any) -> Any:
        built.append(build_graph({**settings, "PUBLISH_ASSOCIATIONS_RESEND": when}))
        return built[-1].enqueue

    yield build
    for graph in built:
        graph.close()


def held(item: Document) -> Document:
    return {"featuremedia": {"_id": item["_id"], "type": "picture", "headline": "Flood"}}


class TestSentAlong:
    @pytest.mark.parametrize(
        ("when", "expected"),
        [
            ("new", ["story"]),
            ("updates", ["story", "update"]),
            ("corrections", ["story", "update", "correction"]),
            (False, []),
        ],
    )
    def test_pictures_that_are_out_go_with_stories(
        self,
        desk: Newsdesk,
        told: Told,
        enqueue_with: Callable[[Any], Any],
        when: Any,
        expected: list[str],
    ) -> None:
        """Routing contract 8.6: by the setting, never with a kill."""
        desk.newsroom.subscriber("s", push(NOWHERE))
        enqueue = enqueue_with(when)
        picture = desk.published(type="picture")
        enqueue.run()
        sent: list[str] = []

        def note(step: str) -> None:
            before = len(told(picture))
            enqueue.run()
            sent.extend([step] * (len(told(picture)) - before))

        story = desk.published(associations=held(picture))
        note("story")
        desk.published(rewrite_of=story["_id"], associations=held(picture))
        note("update")
        story = desk.act("correct", story)
        note("correction")
        desk.act("kill", story)
        note("kill")

        assert sent == expected

    def test_only_to_recipients_of_the_story(
        self, desk: Newsdesk, graph: Graph, told: Told
    ) -> None:
        """Routing contract 8.6: and only to those whom the picture itself is for."""
        texts = text_product(desk)
        pictures = permitting(desk, "type", "eq", "picture")
        pictures = desk.newsroom.product("pictures", content_filter=pictures)
        desk.newsroom.subscriber("both", push(NOWHERE), products=[texts, pictures])
        desk.newsroom.subscriber("pictures", push(NOWHERE), products=[pictures])
        desk.newsroom.subscriber("texts", push(NOWHERE), products=[texts])
        wire = {"products": [texts, pictures], "subscriber_type": "wire"}
        desk.newsroom.subscriber("wire", push(NOWHERE), **wire)
        picture = desk.published(type="picture")
        story = desk.published(associations=held(picture))

        graph.enqueue.run()

        assert told(picture) == [("both", "published")]
        again = {"$set": {"queue_state": "pending"}}
        desk.db["published"].update_one({"item_id": story["_id"]}, again)
        graph.enqueue.run()
        assert told(picture) == [("both", "published")]
        explained = desk.client.get(f"explain/{picture['_id']}").get_json()["subscribers"]
        along = [(s["name"], s["reason"]) for s in explained if s["resend"]]
        assert along == [("both", f"sent along with {story['_id']}")]

    def test_not_when_it_is_withdrawn_or_went_out_with_the_story(
        self, desk: Newsdesk, graph: Graph, told: Told
    ) -> None:
        """Killed media stay away, those marked `is_queued` went out by themselves.

        Routing contract 8.6.
        """
        desk.newsroom.subscriber("s", push(NOWHERE))
        killed = desk.act("kill", desk.published(type="picture"))
        queued = desk.published(type="picture")
        associations = {
            "killed": held(killed)["featuremedia"],
            "queued": {**held(queued)["featuremedia"], "is_queued": True},
        }
        story = desk.published()
        stored = {"$set": {"associations": associations}}
        desk.db["published"].update_one({"item_id": story["_id"]}, stored)

        graph.enqueue.run()

        assert told(killed) == told(queued) == []
