"""Published items reach the content API (routing contract 9)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

import apps.content_api.backlog as backlog_module
from apps.content_api.store import CopyStore
from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from apps.publish.enqueue.formatting import ItemFormats
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.routing import permitting, stored_filter

NOWHERE = "http://127.0.0.1:9"


def reader(desk: Newsdesk, name: str = "Reader", **fields: Any) -> str:
    """Store a subscriber of the content API that gets everything; return its id as text."""
    products = fields.pop("api_products", None) or [desk.newsroom.product(f"api of {name}")]
    return str(desk.newsroom.subscriber(name, products=[], api_products=products, **fields))


def copy_of(graph: Graph, item: Document) -> Document:
    """Return the stored item of the content API."""
    found = graph.db["items"].find_one({"_id": item["_id"]})
    assert found is not None
    return dict(found)


def versions_of(graph: Graph, item: Document) -> list[tuple[int, str]]:
    """Return version and status of every stored version, in order."""
    rows = graph.db["items_versions"].find({"_id_document": item["_id"]})
    return [(r["_current_version"], r["pubstatus"]) for r in rows.sort("_current_version", 1)]


def api_rows(desk: Newsdesk) -> list[Document]:
    return desk.rows(**{"destination.delivery_type": "content_api"})


class TestPublish:
    def test_direct_and_api_products_make_a_row_each(self, desk: Newsdesk, graph: Graph) -> None:
        """The row of the API is success by now, and the copy lists its reader.

        Routing scenario 27.
        """
        id_ = desk.newsroom.subscriber(
            "Both", push(NOWHERE), api_products=[desk.newsroom.product("api")]
        )
        item = desk.published()

        graph.enqueue.run()

        states = {row["destination"]["name"]: row["state"] for row in desk.rows()}
        assert {"push": "pending", "content api": "success"} == states
        (row,) = api_rows(desk)
        assert {"delivery_type": "content_api", "format": "ninjs"}.items() <= (
            row["destination"].items()
        )
        assert row["completed_at"] is not None
        assert [str(id_)] == copy_of(graph, item)["subscribers"]
        stored = graph.db["subscribers"].find_one({"_id": id_})
        assert stored is not None
        assert ["push"] == [d["name"] for d in stored["destinations"]]

    def test_an_item_that_nobody_gets_is_copied(self, desk: Newsdesk, graph: Graph) -> None:
        """No rows, `queued_not_transmitted`, and a copy that nobody may read.

        Routing scenario 37.
        """
        item = desk.published()

        graph.enqueue.run()

        assert [] == desk.rows()
        assert ["queued_not_transmitted"] == desk.queue_states(item)
        assert [] == copy_of(graph, item)["subscribers"]
        assert [(item["_current_version"], "usable")] == versions_of(graph, item)

    def test_the_copy_is_newsroom_ninjs_with_times(self, desk: Newsdesk, graph: Graph) -> None:
        """The guid is the id, the version text, times are times."""
        item = desk.published(anpa_category=[{"qcode": "a", "name": "Advisories"}])

        graph.enqueue.run()

        copy = copy_of(graph, item)
        assert "guid" not in copy
        assert str(item["_current_version"]) == copy["version"]
        assert item["_current_version"] == copy["_current_version"]
        assert "Rivers rise" == copy["headline"]
        assert [{"code": "a", "name": "Advisories"}] == copy["service"]
        assert isinstance(copy["versioncreated"], datetime)
        assert isinstance(copy["firstpublished"], datetime)
        assert item["_id"] == copy["original_id"]

    def test_fields_outside_the_profile_stay_out(self, desk: Newsdesk, graph: Graph) -> None:
        """The copy is trimmed to the content profile."""
        schema = {"headline": {"type": "string"}, "body_html": {"type": "string"}}
        graph.db["content_types"].insert_one({"_id": "brief", "label": "Brief", "schema": schema})
        item = desk.published(profile="brief", ednote="For editors")

        graph.enqueue.run()

        copy = copy_of(graph, item)
        assert "ednote" not in copy
        assert "Rivers rise" == copy["headline"]

    def test_a_filter_that_blocks_the_api_keeps_the_copy_out(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """`api_block` stops the copy for everyone, but not the rows."""
        stored_filter(desk, "slugline", "eq", "secret", api_block=True)
        reader(desk)
        desk.newsroom.subscriber("Push", push(NOWHERE))
        desk.published(slugline="secret")

        graph.enqueue.run()

        assert 0 == graph.db["items"].count_documents({})
        assert 2 == len(desk.rows())

    def test_a_global_filter_keeps_readers_out(self, desk: Newsdesk, graph: Graph) -> None:
        """Nothing for direct and API subscribers, unless they override the filter.

        Routing scenario 20.
        """
        filter_id = stored_filter(desk, "slugline", "eq", "secret", is_global=True)
        reader(desk, "Blocked")
        allowed = reader(desk, "Allowed", global_filters={str(filter_id): False})
        item = desk.published(slugline="secret")

        graph.enqueue.run()

        assert [ObjectId(allowed)] == [row["subscriber_id"] for row in api_rows(desk)]
        assert [allowed] == copy_of(graph, item)["subscribers"]

    def test_a_directly_targeted_reader_gets_it(self, desk: Newsdesk, graph: Graph) -> None:
        """Named subscribers with API products read it although none of them matches."""
        product = desk.newsroom.product(
            "other", content_filter=permitting(desk, "slugline", "eq", "other")
        )
        named = reader(desk, "Named", api_products=[product])
        reader(desk, "Unnamed")
        item = desk.published(target_subscribers=[{"_id": named}])

        graph.enqueue.run()

        assert [named] == copy_of(graph, item)["subscribers"]

    def test_an_item_that_cannot_be_copied_says_so(
        self, desk: Newsdesk, graph: Graph, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its other deliveries go out; the row of the API is failed with the reason."""

        def broken(formats: ItemFormats) -> Document:
            raise ZeroDivisionError("out of ink")

        monkeypatch.setattr(ItemFormats, "content_api_document", broken)
        product = desk.newsroom.product("api")
        desk.newsroom.subscriber("Both", push(NOWHERE), api_products=[product])
        desk.published()

        graph.enqueue.run()

        rows = {row["destination"]["name"]: row for row in desk.rows()}
        assert "pending" == rows["push"]["state"]
        assert "failed" == rows["content api"]["state"]
        assert "The item could not be copied: out of ink" == rows["content api"]["error_message"]

    def test_a_row_that_a_client_sends_again_succeeds(self, desk: Newsdesk, graph: Graph) -> None:
        """The copy is there already."""
        reader(desk)
        desk.published()
        graph.enqueue.run()
        row = desk.client.get("publish_queue").get_json()["_items"][0]
        kept = ("item_id", "item_version", "publishing_action", "formatted_item", "headline")
        kept += ("content_type", "subscriber_id", "destination")

        desk.client.create("publish_queue", {name: row[name] for name in kept})
        graph.transmit.run()

        assert ["success", "success"] == [row["state"] for row in api_rows(desk)]

    def test_internal_attachments_stay_out(self, desk: Newsdesk, graph: Graph) -> None:
        """Only those that are meant for the public are in the copy."""
        public, internal = (
            {"_id": ObjectId(), "title": title, "media": ObjectId(), "internal": title == "no"}
            for title in ("yes", "no")
        )
        graph.db["attachments"].insert_many([public, internal])
        references = [{"attachment": str(each["_id"])} for each in (public, internal)]
        item = desk.published(attachments=references)

        graph.enqueue.run()

        (attachment,) = copy_of(graph, item)["attachments"]
        assert ("yes", str(public["media"])) == (attachment["title"], attachment["media"])

    def test_an_embargo_is_in_the_copy(self, desk: Newsdesk, graph: Graph) -> None:
        """As a time; it holds nothing back."""
        item = desk.published(embargo="2030-01-05T12:00:00+0000")

        graph.enqueue.run()

        assert datetime(2030, 1, 5, 12, tzinfo=UTC) == copy_of(graph, item)["embargoed"]

    def test_an_item_that_keeps_its_ingest_id_goes_by_it(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """The id of the copy is that of its ingest."""
        item = desk.published(ingest_id="urn:agency:1", extra={"publish_ingest_id_as_guid": True})
        graph.enqueue.run()
        desk.act("kill", item)
        graph.enqueue.run()

        (copy,) = graph.db["items"].find({})
        assert ("urn:agency:1", "canceled") == (copy["_id"], copy["pubstatus"])
        assert item["_id"] == copy["_item_id"]


class TestOff:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "CONTENTAPI_ENABLED": False}

    def test_nothing_is_copied(self, desk: Newsdesk, graph: Graph) -> None:
        """Without a content API there are no copies, and its products speak for nobody."""
        reader(desk)
        item = desk.published()

        graph.enqueue.run()

        assert ["queued_not_transmitted"] == desk.queue_states(item)
        assert 0 == graph.db["items"].count_documents({})


class TestLaterVersions:
    def test_a_correction_takes_its_place(self, desk: Newsdesk, graph: Graph) -> None:
        """Readers are never removed; fields that are gone are gone; each version has a row."""
        product = desk.newsroom.product(
            "rivers", content_filter=permitting(desk, "slugline", "eq", "rivers")
        )
        first = reader(desk, "First", api_products=[product])
        item = desk.published(ednote="Careful")
        graph.enqueue.run()

        late = reader(desk, "Late")
        item = desk.act("correct", item, slugline="floods", ednote=None, headline="Rivers fall")
        graph.enqueue.run()

        copy = copy_of(graph, item)
        assert {first, late} == set(copy["subscribers"])
        assert "Rivers fall" == copy["headline"]
        assert "ednote" not in copy
        numbers = [number for number, _ in versions_of(graph, item)]
        assert [item["_current_version"] - 1, item["_current_version"]] == numbers

    @pytest.mark.parametrize("word", ["kill", "takedown", "unpublish"])
    def test_a_withdrawal_cancels_all_versions(
        self, desk: Newsdesk, graph: Graph, word: str
    ) -> None:
        """Everybody who could read it sees it canceled."""
        who = reader(desk)
        item = desk.published()
        graph.enqueue.run()

        item = desk.act(word, item)
        graph.enqueue.run()

        copy = copy_of(graph, item)
        assert "canceled" == copy["pubstatus"]
        assert [who] == copy["subscribers"]
        assert {"canceled"} == {status for _, status in versions_of(graph, item)}

    def test_a_kill_passes_filters_that_block(self, desk: Newsdesk, graph: Graph) -> None:
        """An item that a filter blocks by now is canceled all the same."""
        item = desk.published(slugline="secret")
        graph.enqueue.run()
        stored_filter(desk, "slugline", "eq", "secret", api_block=True)

        item = desk.act("kill", item)
        graph.enqueue.run()

        assert "canceled" == copy_of(graph, item)["pubstatus"]

    def test_killing_what_was_only_scheduled_leaves_nothing(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Routing scenario 45: neither rows nor a copy, now or when its time comes."""
        reader(desk)
        item = desk.story()
        item = desk.act("publish", item, publish_schedule="2030-01-02T12:00:00+0000")
        graph.enqueue.run()
        desk.act("kill", item)
        graph.enqueue.run()
        clock.advance(days=2)

        graph.enqueue.run()

        assert [] == desk.rows()
        assert 0 == graph.db["items"].count_documents({})

    def test_republishing_what_was_unpublished_makes_it_usable(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """A newer version may; the old ones stay canceled."""
        reader(desk)
        item = desk.published()
        graph.enqueue.run()
        item = desk.act("unpublish", item)
        graph.enqueue.run()

        item = desk.act("publish", item)
        graph.enqueue.run()

        assert "usable" == copy_of(graph, item)["pubstatus"]
        statuses = [status for _, status in versions_of(graph, item)]
        assert ["canceled", "canceled", "usable"] == statuses

    def test_an_update_continues_the_chain(self, desk: Newsdesk, graph: Graph) -> None:
        """`evolvedfrom`, `ancestors`, `original_id`, `nextversion`; bookmarks are taken along."""
        who = reader(desk)
        first = desk.published()
        graph.enqueue.run()
        graph.db["items"].update_one({"_id": first["_id"]}, {"$set": {"bookmarks": ["reader-1"]}})
        chain = [first]
        for number in (2, 3):
            update = desk.client.create(f"archive/{chain[-1]['_id']}/rewrite", {})
            desk.client.patch(f"archive/{update['_id']}", {"headline": f"Take {number}"})
            chain.append(desk.act("publish", update))
            graph.enqueue.run()

        one, two, three = (copy_of(graph, item) for item in chain)
        assert two["_id"] == one["nextversion"]
        assert three["_id"] == two["nextversion"]
        assert two["_id"] == three["evolvedfrom"]
        assert [one["_id"], two["_id"]] == three["ancestors"]
        assert one["_id"] == three["original_id"] == two["original_id"]
        assert ["reader-1"] == three["bookmarks"]
        assert [who] == three["subscribers"]

    def test_a_whole_chain_can_come_in_one_run(self, desk: Newsdesk, graph: Graph) -> None:
        """Updates that are routed together with their story are in its chain as well."""
        first = desk.published()
        update = desk.client.create(f"archive/{first['_id']}/rewrite", {})
        update = desk.act("publish", update)

        graph.enqueue.run()

        assert update["_id"] == copy_of(graph, first)["nextversion"]
        assert [first["_id"]] == copy_of(graph, update)["ancestors"]

    def test_an_update_of_what_is_not_there_stands_alone(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """The story was blocked; its update is stored without a chain."""
        stored_filter(desk, "slugline", "eq", "rivers", api_block=True)
        first = desk.published()
        update = desk.client.create(f"archive/{first['_id']}/rewrite", {})
        desk.client.patch(f"archive/{update['_id']}", {"slugline": "floods"})
        update = desk.act("publish", update)

        graph.enqueue.run()

        copy = copy_of(graph, update)
        assert first["_id"] == copy["evolvedfrom"]
        assert update["_id"] == copy["original_id"]
        assert "ancestors" not in copy

    def test_a_resend_adds_readers(self, desk: Newsdesk, graph: Graph) -> None:
        """The chosen subscriber reads it from then on; the version has one row."""
        item = desk.published()
        graph.enqueue.run()
        late = reader(desk, "Late")

        body = {"subscribers": [late], "version": item["_current_version"]}
        assert 201 == desk.client.post(f"archive/{item['_id']}/resend", body).status_code
        graph.enqueue.run()

        assert [late] == copy_of(graph, item)["subscribers"]
        assert ["success"] == [row["state"] for row in api_rows(desk)]
        assert 1 == len(versions_of(graph, item))


def with_picture(**fields: Any) -> Document:
    picture = {"_id": "photo", "guid": "photo", "type": "picture", "headline": "Flood"}
    return {"featuremedia": {**picture, "source": "own", "_fetchable": False, **fields}}


class TestAssociations:
    def test_readers_of_an_association_keep_it(self, desk: Newsdesk, graph: Graph) -> None:
        """S3 may see the picture, S1 may not; S3 also once its product is gone.

        Routing scenario 40.
        """
        texts = desk.newsroom.product(
            "texts", content_filter=permitting(desk, "type", "eq", "text")
        )
        pictures = desk.newsroom.product(
            "pictures", content_filter=permitting(desk, "source", "eq", "own")
        )
        s1 = reader(desk, "S1", api_products=[texts])
        s3 = reader(desk, "S3", api_products=[texts, pictures])
        item = desk.published(associations=with_picture())
        graph.enqueue.run()

        copy = copy_of(graph, item)
        assert {s1, s3} == set(copy["subscribers"])
        assert [s3] == copy["associations"]["featuremedia"]["subscribers"]
        assert "photo" == copy["associations"]["featuremedia"]["_id"]

        graph.db["subscribers"].update_one(
            {"_id": ObjectId(s3)}, {"$set": {"api_products": [texts]}}
        )
        item = desk.act("correct", item, headline="Rivers fall")
        graph.enqueue.run()

        assert [s3] == copy_of(graph, item)["associations"]["featuremedia"]["subscribers"]

    def test_what_vanishes_is_null(self, desk: Newsdesk, graph: Graph) -> None:
        """Readers can tell that an association, or a rendition of one, is gone."""
        renditions = {
            name: {"href": f"http://x/{name}", "mimetype": "image/jpeg"}
            for name in ("original", "viewImage")
        }
        item = desk.published(associations=with_picture(renditions=renditions))
        graph.enqueue.run()
        less = {"original": renditions["original"], "viewImage": None}
        item = desk.act("correct", item, associations=with_picture(renditions=less))
        graph.enqueue.run()

        picture = copy_of(graph, item)["associations"]["featuremedia"]
        assert picture["renditions"]["viewImage"] is None
        assert "http://x/original" == picture["renditions"]["original"]["href"]

        item = desk.act("correct", item, associations={"featuremedia": None})
        graph.enqueue.run()

        assert copy_of(graph, item)["associations"] == {"featuremedia": None}


class TestStoreDown:
    """Routing scenario 46."""

    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The content API has a database of its own, which nobody serves."""
        return {
            **settings,
            "CONTENTAPI_MONGO_URI": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100",
            "CONTENTAPI_MONGO_DBNAME": settings["MONGO_DBNAME"],
            "RETRY_JITTER": 0,
        }

    @pytest.fixture
    def recovered(self, settings: dict[str, Any], clock: HandClock) -> Iterator[Graph]:
        """The same installation with the database back."""
        graph = build_graph({**settings, "CONTENTAPI_MONGO_URI": None}, clock=clock)
        yield graph
        graph.close()

    @pytest.fixture(autouse=True)
    def no_pause(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(backlog_module, "PAUSE_SECONDS", 0)

    def test_the_row_waits_for_the_copy(
        self, desk: Newsdesk, graph: Graph, recovered: Graph, clock: HandClock
    ) -> None:
        """The row is pending, then retried as any delivery; later there is exactly one version."""
        who = reader(desk)
        item = desk.published()

        graph.enqueue.run()
        assert ["pending"] == [row["state"] for row in api_rows(desk)]
        graph.transmit.run()
        (row,) = api_rows(desk)
        assert "retrying" == row["state"]
        assert row["error_message"].startswith("PublishContentAPIError Error 19000")
        clock.advance(minutes=1)
        recovered.transmit.run()
        recovered.enqueue.run()

        assert ["success"] == [row["state"] for row in api_rows(desk)]
        assert [who] == copy_of(recovered, item)["subscribers"]
        assert 1 == len(versions_of(recovered, item))
        assert 0 == graph.db["content_api_backlog"].count_documents({})

    def test_an_answer_of_the_store_that_is_lost(
        self, desk: Newsdesk, recovered: Graph, clock: HandClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It went down after it had stored the copy: the second try adds no version."""

        def lossy(store: CopyStore, copies: Any) -> None:
            whole(store, copies)
            raise AutoReconnect("connection closed")

        reader(desk)
        item = desk.published()
        whole = CopyStore.store
        with monkeypatch.context() as patch:
            patch.setattr(CopyStore, "store", lossy)
            recovered.enqueue.run()
            assert ["pending"] == [row["state"] for row in api_rows(desk)]
            recovered.transmit.run()
            assert ["retrying"] == [row["state"] for row in api_rows(desk)]
        clock.advance(minutes=1)
        recovered.transmit.run()
        recovered.enqueue.run()

        assert ["success"] == [row["state"] for row in api_rows(desk)]
        assert [(item["_current_version"], "usable")] == versions_of(recovered, item)
        assert 1 == recovered.db["items"].count_documents({})

    def test_a_copy_without_readers_is_made_up_for(
        self, desk: Newsdesk, graph: Graph, recovered: Graph, clock: HandClock
    ) -> None:
        """No row stands for it; the enqueue runs try it again."""
        desk.newsroom.subscriber("Push", push(NOWHERE))
        item = desk.published()
        graph.enqueue.run()
        assert ["queued"] == desk.queue_states(item)
        clock.advance(seconds=10)
        graph.enqueue.run()
        assert 2 == (graph.db["content_api_backlog"].find_one({}) or {})["attempts"]

        clock.advance(seconds=20)
        recovered.enqueue.run()

        assert "Rivers rise" == copy_of(recovered, item)["headline"]
        assert 0 == graph.db["content_api_backlog"].count_documents({})

    def test_a_late_version_does_not_undo_a_kill(
        self, desk: Newsdesk, graph: Graph, recovered: Graph, clock: HandClock
    ) -> None:
        """The publication was held up; when it comes the item stays canceled, and so is it."""
        who = reader(desk)
        item = desk.published()
        graph.enqueue.run()
        item = desk.act("kill", item)
        recovered.enqueue.run()
        clock.advance(minutes=1)

        recovered.enqueue.run()
        recovered.transmit.run()

        copy = copy_of(recovered, item)
        assert "canceled" == copy["pubstatus"]
        assert item["_current_version"] == copy["_current_version"]
        assert [who] == copy["subscribers"]
        assert ["canceled", "canceled"] == [s for _, s in versions_of(recovered, item)]
        states = {row["publishing_action"]: row["state"] for row in api_rows(desk)}
        assert {"published": "canceled", "killed": "success"} == states
