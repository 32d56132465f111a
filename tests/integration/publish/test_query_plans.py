"""Every query whose collection grows with the number of items is served by an index.

The queries are those that a newsroom's day really makes, from the first save to the long-term
archive; the indexes are those that are declared (`apps/store/indexes.py`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo import IndexModel

from apps.content_api.tokens.service import file_key
from apps.core.service import Document
from apps.graph.build import Graph
from apps.store.indexes import ARCHIVING_INDEXES, CONTENT_INDEXES, INDEXES, LEGAL_INDEXES
from tests.support.clients import Client
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.plans import Keys, Queries, Query, index_of, queries_of
from tests.support.queues import leave_claimed
from tests.support.receivers import HTTPReceiver
from tests.support.services import empty_services

DECLARED: dict[str, list[IndexModel]] = {
    **INDEXES,
    **{name: [*INDEXES[name], *indexes] for name, indexes in ARCHIVING_INDEXES.items()},
    **CONTENT_INDEXES,
    **LEGAL_INDEXES,
    # GridFS makes its own.
    "fs.files": [IndexModel(["filename", "uploadDate"])],
    "fs.chunks": [IndexModel(["files_id", "n"])],
}

SMALL = frozenset(
    {"content_filters", "content_types", "desks", "filter_conditions", "highlights"}
    | {"internal_destinations", "products", "roles", "routing_refusals", "stages", "subscribers"}
    | {"publisher_integrations", "publisher_site_contents", "publisher_sites"}
    | {"users", "validators", "vocabularies"}
)
"""Collections whose size is that of the newsroom, not that of its output: they are read whole."""

HOT: dict[tuple[str, str], Keys] = {
    # Enqueue: what waits, what is due, what was left by a process that died, what comes before.
    ("published", "queue_retry_at queue_state state"): ("queue_state", "publish_sequence_no"),
    ("published", "queue_state schedule_settings.utc_publish_schedule state"): (
        "queue_state",
        "state",
        "schedule_settings.utc_publish_schedule",
    ),
    ("published", "queue_lease_until queue_state"): ("queue_state", "publish_sequence_no"),
    ("published", "item_id"): ("item_id", "publish_sequence_no"),
    ("recipients", "_id"): ("_id",),
    ("publish_queue", "item_id publishing_action"): ("item_id", "lane", "order_no"),
    # Lanes: which are due, and their rows.
    ("publish_lanes", "lease_until wake_at"): ("wake_at",),
    ("publish_lanes", "_id lease_until"): ("_id",),
    ("publish_lanes", "lease_owner"): ("lease_owner",),
    ("publish_queue", "lane state"): ("lane", "state", "priority", "order_no"),
    ("publish_queue", "claim_token item_id item_version lane order_no state"): (
        "item_id",
        "lane",
        "order_no",
    ),
    ("publish_queue", "state"): ("state",),
    # Deliveries of a request.
    ("publish_queue", "_id state"): ("_id",),
    # What is measured.
    ("publish_lanes", "paused wake_at"): ("wake_at",),
    ("publish_lanes", "breaker.open_until paused"): ("breaker.open_until",),
    ("publish_queue", "lane priority state"): ("lane", "state", "priority", "order_no"),
    ("publish_queue", "lane next_retry_attempt_at state"): ("lane", "next_retry_attempt_at"),
    ("delivery_counters", "hour"): ("hour", "_id"),
    ("processes", "beat_at"): ("beat_at",),
    # Deliveries of an item, to clients and in explanations.
    ("publish_queue", "item_id"): ("item_id", "lane", "order_no"),
    ("publish_queue", "item_id item_version"): ("item_id", "lane", "order_no"),
    ("routing_decisions", "item_id item_version"): ("item_id", "item_version"),
    # Deliveries to the content API whose copy has been stored.
    ("publish_queue", "$or destination.delivery_type idempotency_key item_id state"): ("state",),
    # What is to be completed.
    ("archive", "journal.at journal.retry_at"): ("journal.at",),
    ("resends", "due_at state"): ("due_at",),
    ("mails", "due_at state"): ("state", "due_at"),
    ("content_api_backlog", "due_at"): ("due_at",),
    ("content_api_backlog", "item_id version"): ("item_id", "version"),
    # The item and what belongs to it.
    ("archive_versions", "_current_version _id_document"): ("_id_document", "_current_version"),
    ("archive_versions", "_id_document"): ("_id_document", "_current_version"),
    ("archive_history", "item_id"): ("item_id",),
    ("archive", "groups.refs.residRef package_type state"): ("groups.refs.residRef",),
    ("archive", "broadcast.master_id"): ("broadcast.master_id",),
    ("archive", "lock_user"): ("lock_user",),
    ("media_references", "media_id"): ("media_id",),
    ("media_references", "item_id published"): ("item_id",),
    # What subscribers read.
    ("items", "subscribers type versioncreated"): ("subscribers", "versioncreated", "_id"),
    ("items", "_id subscribers type"): ("_id",),
    ("items_versions", "_id_document pubstatus subscribers"): ("_id_document", "_current_version"),
    ("recipients", "receivers"): ("receivers", "routed_at", "_id"),
    ("recipients", "_id receivers"): ("_id",),
    ("media_references", "media_id published"): ("media_id",),
    ("subscriber_token", "subscriber"): ("subscriber",),
    # What the public reads of sites: how many items have each term.
    (
        "published",
        "embargo embargoed last_published_version profile schedule_settings.utc_embargo state",
    ): ("state", "profile"),
    ("published", "embargo embargoed last_published_version schedule_settings.utc_embargo state"): (
        "state",
        "profile",
    ),
    # The end of everything.
    ("archive", "refs._id"): ("refs._id",),
    ("archive", "expiry_status"): ("expiry_status",),
    ("publish_queue", "_id moved_to_legal state"): ("moved_to_legal", "_id"),
    ("published", "_id moved_to_legal state"): ("moved_to_legal", "_id"),
    ("archived", "_updated"): ("_updated",),
    ("items", "ancestors"): ("ancestors",),
    ("api_audit", "_created"): ("_created",),
}
"""Collection and fields of a query to the index that serves it."""


@pytest.fixture
def queries() -> Queries:
    return Queries()


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Everything is kept for a while, then expires."""
    return {
        **settings,
        "CONTENT_EXPIRY_MINUTES": 60,
        "PUBLISH_QUEUE_EXPIRY_MINUTES": 60,
        "ARCHIVED_EXPIRY_MINUTES": 60,
        "CONTENT_API_EXPIRY_DAYS": 1,
        "CONTENT_API_AUDIT_EXPIRY_DAYS": 1,
        "PUBLISH_ASSOCIATIONS_RESEND": "updates",
        "LEGAL_ARCHIVE": True,
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": 9,
    }


@pytest.fixture
def graph(settings: dict[str, Any], clock: HandClock, queries: Queries) -> Iterator[Graph]:
    with empty_services(settings, clock=clock, listeners=[queries]) as built:
        yield built


class Day:
    """A day of a newsroom with two subscribers, one of which reads the content API, too.

    What goes out is copied to a second desk.
    """

    def __init__(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, app: Any, queries: Queries
    ) -> None:
        self.desk, self.graph, self.clock, self.app = desk, graph, clock, app
        self.queries = queries
        desk.newsroom.validators(item_type="composite")

    def pass_by(self, receiver: HTTPReceiver, directory: Path) -> None:
        """Let everything happen that a day brings."""
        desk, api = self.desk, self.desk.newsroom.product("api")
        own = (push(receiver.url), file_in(directory))
        kept: Document = {"api_products": [api], "email": "a@example.com"}
        subscriber = desk.newsroom.subscriber("both", *own, **kept)
        desk.newsroom.subscriber("whole", push(receiver.url, packaged=True))
        other = desk.client.create("desks", {"name": "Features"})
        shown = {"url": "https://kestrel.example", "public": True, "schemes": ["topics"]}
        topics = {"_id": "topics", "type": "manageable", "items": [{"qcode": "t", "name": "T"}]}
        self.graph.db["vocabularies"].insert_one(topics)
        self.graph.db["content_types"].insert_one({"_id": "story", "label": "Story"})
        for slug, profiles in (("whole", []), ("part", ["story"])):
            site = {**shown, "name": slug, "slug": slug, "content_types": profiles}
            desk.client.create("v1/publisher/sites", site)
        desk.client.create("internal_destinations", {"name": "Features", "desk": other["_id"]})
        token = desk.client.create("subscriber_token", {"subscriber": str(subscriber)})["_id"]
        self.queries.seen.clear()
        # The first delivery fails and is tried again.
        receiver.answer([503])

        story = self.edited()
        self.deliver()
        self.clock.advance(minutes=2)
        story = desk.act("correct", story, headline="Corrected")
        self.deliver()
        package = self.packaged(story)
        late = self.scheduled()
        self.sent_again(late, subscriber)
        self.lost_and_found()
        self.held_back(subscriber)
        self.looked_at(story, package, Client(self.app, token))
        self.acted_on(subscriber)
        desk.act("kill", late)
        self.deliver()
        self.graph.outbox.run()
        self.expired()

    def deliver(self) -> None:
        self.graph.enqueue.run()
        self.graph.transmit.run()

    def edited(self) -> Document:
        """Return a story with a picture that was locked, saved and published."""
        binary = str(self.graph.media.put(b"a picture", "a.jpg", "image/jpeg"))
        picture = {"original": {"href": "http://x/original", "media": binary}}
        media = {"_id": "p1", "type": "picture", "headline": "x", "renditions": picture}
        client = self.desk.client
        story = self.desk.story(associations={"featuremedia": media})
        address = f"archive/{story['_id']}"
        client.create(f"{address}/lock", {})
        client.create("archive_autosave", {"_id": story["_id"], "headline": "More"})
        assert client.patch(address, {"headline": "More"}).status_code == 200
        client.create(f"{address}/unlock", {})
        return self.desk.act("publish", story)

    def packaged(self, story: Document) -> Document:
        """Return a package of an update and of a story that is corrected in it."""
        desk = self.desk
        update = desk.act("publish", desk.client.create(f"archive/{story['_id']}/rewrite", {}))
        other = desk.story()
        refs = [{"residRef": update["_id"]}, {"residRef": other["_id"]}]
        groups = [
            {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": "main"}]},
            {"id": "main", "refs": refs},
        ]
        package = desk.act("publish", desk.story(type="composite", groups=groups))
        self.deliver()
        desk.act("correct", other, headline="Corrected")
        self.deliver()
        return package

    def scheduled(self) -> Document:
        """Return an item whose time has come."""
        item = self.desk.act(
            "publish", self.desk.story(), publish_schedule="2030-01-02T12:00:00+0000"
        )
        self.deliver()
        self.clock.advance(days=1)
        self.deliver()
        return dict(self.desk.client.get(f"archive/{item['_id']}").get_json())

    def sent_again(self, item: Document, subscriber: ObjectId) -> None:
        wanted = {"subscribers": [str(subscriber)], "version": item["_current_version"]}
        self.desk.client.create(f"archive/{item['_id']}/resend", wanted)
        self.graph.enqueue.run()

    def lost_and_found(self) -> None:
        """Let a worker die, rows lose their lanes, and the content API be away."""
        leave_claimed(self.graph.db, self.clock, state="pending")
        self.graph.monitoring.metrics.text()
        self.clock.advance(minutes=2)
        self.graph.transmit.run()
        astray: Document = {"$set": {"lane": None, "state": "pending"}}
        ended = [row["_id"] for row in self.desk.rows(item_id={"$gt": ""}, state="success")]
        self.graph.db["publish_queue"].update_many({"_id": {"$in": ended}}, astray)
        self.graph.transmit.run()
        copy = self.graph.db["items"].find_one({}) or {}
        waiting = {
            "_id": "again",
            "item_id": copy["_id"],
            "version": copy["_current_version"],
            "document": copy,
            "subscribers": [],
            "attempts": 1,
            "due_at": self.clock.precise(),
        }
        self.graph.db["content_api_backlog"].insert_one(waiting)
        self.graph.enqueue.run()

    def held_back(self, subscriber: ObjectId) -> None:
        """Let deliveries become old, behind a pause and behind an inactive subscriber."""
        client, address = self.desk.client, f"subscribers/{subscriber}"
        destinations = f"{address}/destinations"

        def ask(path: str, body: Document | None = None) -> None:
            answer = client.get(path) if body is None else client.post(path, body)
            assert answer.status_code == 200, (path, answer.text)

        ask(f"{destinations}/push/pause", {})
        item = self.desk.published()
        self.deliver()
        self.desk.act("kill", item)
        self.deliver()
        self.clock.advance(days=2)
        ask(destinations)
        ask(f"{destinations}/push")
        ask(f"{destinations}/push/resume", {"older": "cancel"})
        self.desk.published()
        self.graph.enqueue.run()
        assert client.patch(address, {"is_active": False}).status_code == 200
        self.clock.advance(days=2)
        assert client.patch(address, {"is_active": True}).status_code == 200
        self.desk.published()
        self.deliver()
        for name in ("push", "file"):
            ask(f"{destinations}/{name}/resume", {"older": "send"})
        self.deliver()

    def looked_at(self, story: Document, package: Document, reader: Client) -> None:
        """Read what came of it: an editor, and a subscriber."""
        id_ = story["_id"]
        of_item = f'{{"item_id": "{id_}"}}'
        media = story["associations"]["featuremedia"]["renditions"]["original"]["media"]
        for client, path, arguments in (
            (reader, "items", {}),
            (reader, f"items/{id_}", {"version": "all"}),
            (reader, f"packages/{package['_id']}", {}),
            (reader, f"assets/{media}", {}),
            (self.desk.client, "search_capi", {}),
            (self.desk.client, "archive", {}),
            (self.desk.client, f"archive/{id_}", {"version": "all"}),
            (self.desk.client, f"archive/{id_}", {"version": "1"}),
            (self.desk.client, f"archive/{id_}/related", {}),
            (self.desk.client, "archive_history", {"where": of_item}),
            (self.desk.client, "published", {}),
            (self.desk.client, f"published/{id_}", {}),
            (self.desk.client, "publish_queue", {"where": of_item}),
            (self.desk.client, f"publish_queue/{id_}", {}),
            (self.desk.client, "publish_queue", {}),
            (self.desk.client, f"publish_queue/{self.a_row()['_id']}/preview", {}),
            (self.desk.client, f"explain/{id_}", {}),
            (self.desk.client, "delivery_counters", {}),
            (self.desk.client, "processes", {}),
            (self.desk.client, "archived", {}),
            (self.desk.client, "activity", {}),
            (self.desk.client, "legal_archive", {}),
            (self.desk.client, "legal_publish_queue", {}),
            (self.desk.client, "v1/publisher/site-definition", {}),
        ):
            answer = client.get(path, **arguments)
            assert answer.status_code == 200, (path, answer.text)
        feed = self.desk.client.get(f"feeds/{reader.token}/atom")
        assert feed.status_code == 200, feed.text
        subscriber = self.graph.db["subscriber_token"].find_one({})["subscriber"]
        key = file_key(reader.token, str(media))
        shown = self.desk.client.get(f"feed_media/{subscriber}/{key}/{media}")
        assert shown.status_code == 200, shown.text

    def a_row(self) -> Document:
        """Return a row that has ended."""
        return self.desk.rows(item_id={"$gt": ""}, state="success")[0]

    def acted_on(self, subscriber: ObjectId) -> None:
        """Cancel a row, send one again and replay all of a destination."""
        client, row = self.desk.client, self.a_row()
        again = client.post(f"publish_queue/{row['_id']}/resend", {}).get_json()
        assert client.post(f"publish_queue/{again['_id']}/cancel", {}).status_code == 200
        wanted = {"action": "cancel", "where": {"item_id": row["item_id"], "state": "gone"}}
        assert client.post("publish_queue/actions", {**wanted, "expected": 0}).status_code == 200
        body = {"since": "2000-01-01T00:00:00+0000", "expected": -1}
        answer = client.post(f"subscribers/{subscriber}/destinations/push/replay", body)
        assert answer.status_code == 409, answer.text

    def expired(self) -> None:
        """Archive for good, let everything go, also what was spiked, and log out."""
        spiked = self.desk.story()
        answer = self.desk.client.patch(f"archive/spike/{spiked['_id']}", {})
        assert answer.status_code == 200, answer.text
        for _ in range(3):
            self.graph.legal_items.run()
            self.graph.legal_queue.run()
            self.clock.advance(days=2)
            self.graph.expiry.run()
        self.graph.content_api_expiry.run()
        session = f"auth_db/{self.desk.client.session['_id']}"
        assert self.desk.client.delete(session).status_code == 204


def test_no_query_reads_a_collection_whole_that_grows_with_the_items(
    desk: Newsdesk, graph: Graph, clock: HandClock, queries: Queries, app: Any, tmp_path: Path
) -> None:
    """Lists are read up to their limit, in the order of an index; they may count what they have."""
    with HTTPReceiver() as receiver:
        Day(desk, graph, clock, app, queries).pass_by(receiver, tmp_path)

    seen = list(queries.seen.values())
    lists = {(q.collection, str(q.filter)) for q in seen if q.command == "find" and q.limit}
    unserved = [
        query.shape
        for query in seen
        if query.collection not in SMALL
        and index_of(query, DECLARED.get(query.collection, ())) is None
        and not (query.command == "count" and (query.collection, str(query.filter)) in lists)
    ]
    assert [] == unserved, unserved

    served: dict[tuple[str, str], set[Keys | None]] = {}
    for query in seen:
        name = (query.collection, " ".join(sorted(query.filter)))
        served.setdefault(name, set()).add(index_of(query, DECLARED.get(query.collection, ())))
    assert {} == {
        name: served.get(name) for name, index in HOT.items() if index not in served.get(name, ())
    }


def test_what_nobody_else_has_changed_is_written_without_being_read(
    desk: Newsdesk, graph: Graph, queries: Queries
) -> None:
    """The embedded store carries out findAndModify by reading the collection whole."""
    with HTTPReceiver() as receiver:
        desk.newsroom.subscriber("one", push(receiver.url))
        story = desk.story()
        for action in ("publish", "correct", "kill"):
            desk.act(action, story, body_html="x")
            graph.enqueue.run()
            graph.transmit.run()
        assert len(receiver.requests) == 3

    read = [query for query in queries.seen.values() if query.command == "findAndModify"]
    assert [] == [query.shape for query in read if query.collection == "archive"]
    leases = [query for query in read if query.collection == "publish_lanes"]
    assert [sorted(query.filter) for query in leases] == [["_id", "lease_until"]]


PLAIN, SPARSE = IndexModel(["a", "b"]), IndexModel(["c"], sparse=True)
PARTIAL = IndexModel(["d"], partialFilterExpression={"d": {"$type": "string"}})
SOME = IndexModel(["e", "f"], partialFilterExpression={"f": {"$gte": "in", "$lt": "s"}})
INDEXED = [PLAIN, SPARSE, PARTIAL, SOME]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({"a": 1}, ("a", "b")),
        ({"a": None}, ("a", "b")),
        ({"a": {"$in": [1, None]}, "z": 1}, ("a", "b")),
        ({"a": {"$gt": 1}}, ("a", "b")),
        ({"a": {"x": 1}}, ("a", "b")),
        ({"$and": [{"z": 1}, {"a": 1}]}, ("a", "b")),
        ({"_id": 1, "z": 1}, ("_id",)),
        ({"b": 1}, None),
        ({"a": {"$ne": 1}}, None),
        ({"a": {"$regex": "x"}}, None),
        ({"a": {"$regex": "^x"}}, ("a", "b")),
        ({"c": 1}, ("c",)),
        ({"c": None}, None),
        ({"c": {"$in": [1, None]}}, None),
        ({"d": "text"}, None),
        ({"e": 1}, None),
        ({"e": 1, "f": "p"}, ("e", "f")),
        ({"e": 1, "f": "s"}, None),
        ({"e": 1, "f": {"$in": ["in", "p"]}}, ("e", "f")),
        ({"e": 1, "f": {"$in": ["in", "a"]}}, None),
        ({"e": 1, "f": {"$gte": "in", "$lt": "s"}}, ("e", "f")),
        ({"e": 1, "f": {"$gte": "p", "$lt": "s"}}, ("e", "f")),
        ({"e": 1, "f": {"$gte": "p", "$lte": "s"}}, None),
        ({"e": 1, "f": {"$gte": "p"}}, None),
        ({"e": 1, "f": {"$ne": "p"}}, None),
        ({"$or": [{"a": 1}, {"c": 1}]}, ("a", "b")),
        ({"$or": [{"a": 1}, {"z": 1}]}, None),
        ({"c": 1, "$or": [{"z": 1}, {"y": 1}]}, ("c",)),
        ({}, None),
    ],
)
def test_how_indexes_are_told(wanted: Document, index: Keys | None) -> None:
    """By the rules of the planner: first fields, missing fields, alternatives."""
    (query,) = queries_of("find", {"find": "x", "filter": wanted})

    assert index == index_of(query, INDEXED)


@pytest.mark.parametrize(
    ("sort", "limit", "index"),
    [
        (("a",), 5, ("a", "b")),
        (("a",), 0, None),
        (("b",), 5, None),
        (("c",), 5, None),
        ((), 1, ("_id",)),
        ((), 0, None),
    ],
)
def test_how_an_order_is_told(sort: Keys, limit: int, index: Keys | None) -> None:
    """An index that holds all documents in the order, if no more than some are read."""
    assert index == index_of(Query("find", "x", {}, sort, limit), INDEXED)
