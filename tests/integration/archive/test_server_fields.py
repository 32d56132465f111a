"""Fields of an item that the server writes, sent by clients (lifecycle contract 1.11)."""

from datetime import datetime
from typing import Any

import pytest
from bson import ObjectId

from apps.archive.schema import FIXED_FIELDS, SERVER_FIELDS
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client, log_in, make_user
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import Newsroom

ODD: tuple[Any, ...] = ("7", 7, None, 2**63 - 1, 2**70, True, ["x"], {"x": 1}, "2030-01-01")
PATHS = ("archive/{id}", "archive/publish/{id}", "archive/correct/{id}", "archive/kill/{id}")


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    return newsroom


@pytest.fixture
def desk(admin: Client, newsroom: Newsroom) -> Newsdesk:
    return Newsdesk(admin, newsroom)


def odd(number: int) -> Document:
    """Every field of the server's with an odd value; another one for each `number`."""
    return {
        name: ODD[(number + place) % len(ODD)] for place, name in enumerate(sorted(SERVER_FIELDS))
    }


def own(document: Document) -> Document:
    """What a stored item has of fields that the server writes, but for the times of the write."""
    moving = {"_updated", "_created", "_current_version", "_latest_version", "version_creator"}
    moving |= {"expiry", "journal", "correction_sequence", "firstpublished", "_type"}
    return {name: document.get(name) for name in SERVER_FIELDS - moving}


@pytest.mark.parametrize("number", range(len(ODD)))
def test_are_dropped_wherever_they_are_sent(
    admin: Client, graph: Graph, newsroom: Newsroom, number: int
) -> None:
    """On create and in every write; whatever their type, never an error."""
    plain = admin.create("archive", newsroom.story())
    stored = graph.db["archive"].find_one({"_id": plain["_id"]}) or {}
    created = admin.create("archive", newsroom.story(**odd(number)))
    same = {"highlights", "marked_desks"}
    written = graph.db["archive"].find_one({"_id": created["_id"]}) or {}
    assert {k: v for k, v in own(written).items() if k not in same} == {
        k: v for k, v in own(stored).items() if k not in same
    }
    assert written["unique_id"] == stored["unique_id"] + 1
    assert created["_current_version"] == 1

    before = own(written)
    for path in PATHS:
        answer = admin.patch(path.format(id=created["_id"]), {"headline": path, **odd(number)})
        assert answer.status_code == 200, answer.text
        found = graph.db["archive"].find_one({"_id": created["_id"]}) or {}
        assert own(found) == before
    versions = [row["_current_version"] for row in graph.db["archive_versions"].find({})]
    assert sorted(versions) == [1, 1, 2, 3, 4, 5]
    assert [row.get("used_count") for row in graph.db["published"].find({})] == [None] * 3
    kill = graph.db["archive"].find_one({"_id": created["_id"]}) or {}
    assert (kill["correction_sequence"], kill["version_creator"]) == (2, admin.session["user"])


def test_are_dropped_from_a_document_that_takes_the_place_of_an_item(
    admin: Client, graph: Graph, newsroom: Newsroom
) -> None:
    """A PUT leaves what the server has written, whether it names it or not."""
    item = admin.create("archive", newsroom.story())
    links = {"rewrite_of": "x", "deleted_groups": [], "used_count": 3, "event_id": "e"}
    graph.db["archive"].update_one({"_id": item["_id"]}, {"$set": links})
    before = own(graph.db["archive"].find_one({"_id": item["_id"]}) or {})
    body = {**odd(1), "headline": "new"}
    headers = {"If-Match": admin.etag_of(f"archive/{item['_id']}")}

    answer = admin.request("PUT", f"archive/{item['_id']}", json=body, headers=headers)

    assert answer.status_code == 200, answer.text
    assert own(graph.db["archive"].find_one({"_id": item["_id"]}) or {}) == before


def test_of_associations_are_those_of_the_item(desk: Newsdesk, graph: Graph) -> None:
    """On create nothing but times; later what the stored item has, also when it is published."""
    picture = desk.story(type="picture", used_count=3, used=True, rewrite_of="r")
    media = {"_id": picture["_id"], "type": "picture", "headline": "p"}

    def held(item: Document) -> Document:
        found = graph.db["archive"].find_one({"_id": item["_id"]}) or {}
        return dict(found["associations"]["a"])

    story = desk.story(associations={"a": {**media, **odd(2), "_current_version": 1}})
    new = held(story)
    assert SERVER_FIELDS & new.keys() == {"_created", "_updated", "_current_version"}
    assert {type(new[name]) for name in ("_created", "_updated")} == {datetime}

    body = {"associations": {"a": {**media, **odd(3), "_current_version": 1}}}
    assert desk.client.patch(f"archive/{story['_id']}", body).status_code == 200
    saved = held(story)
    assert (4, True, "r") == (saved["used_count"], saved["used"], saved["rewrite_of"])
    assert isinstance(saved["_updated"], datetime)
    assert "lock_user" not in saved

    body = {"associations": {"a": {**media, **odd(4), "_current_version": 1}}}
    assert desk.client.patch(f"archive/publish/{story['_id']}", body).status_code == 200
    published = held(story)
    names = SERVER_FIELDS - {"_updated"}
    assert {n: published.get(n) for n in names} == {n: saved.get(n) for n in names}


@pytest.mark.parametrize("path", [*PATHS[:3], ""])
def test_of_what_an_association_holds_are_dropped(desk: Newsdesk, graph: Graph, path: str) -> None:
    """At any depth: on create, in a save, and with a publication or correction."""
    inner = {"type": "picture", "headline": "n", **odd(4), "_current_version": 1}
    deepest = {"type": "text", "associations": {"n": inner, "gone": None}}
    held = {"a": {"type": "text", "headline": "p", "associations": {"d": deepest, "n": inner}}}
    story = desk.story(associations={} if path else held)
    if "correct" in path:
        desk.act("publish", story)
    if path:
        answer = desk.client.patch(path.format(id=story["_id"]), {"associations": held})
        assert answer.status_code == 200, answer.text

    found = graph.db["archive"].find_one({"_id": story["_id"]}) or {}
    within = found["associations"]["a"]["associations"]
    for kept in (within["n"], within["d"]["associations"]["n"]):
        assert kept["headline"] == "n"
        assert not (SERVER_FIELDS - {"_current_version"}) & kept.keys()


def test_of_editors_are_taken(admin: Client, newsroom: Newsroom) -> None:
    """Some that the server fills in as well are the client's to give (lifecycle contract 1)."""
    given = {
        "family_id": "family",
        "firstcreated": "2020-01-01T00:00:00+0000",
        "versioncreated": "2020-01-02T00:00:00+0000",
        "pubstatus": "withheld",
        "word_count": 7,
        "sign_off": "me",
        "uri": "urn:x",
        "assignment_id": "a",
        "unique_name": "#mine",
        "guid": "mine",
        "ingest_id": "wire",
    }

    item = admin.create("archive", newsroom.story(**given, operation="fetch"))

    assert given == {name: item[name] for name in given}
    assert (item["_id"], item["operation"]) == ("mine", "create")


def test_that_are_fixed_stay_after_the_first_write(
    admin: Client, graph: Graph, newsroom: Newsroom
) -> None:
    """Identity and origin are given once; a saved item does not become an unsaved one again."""
    item = admin.create("archive", newsroom.story(ingest_id="wire"))
    before = graph.db["archive"].find_one({"_id": item["_id"]}) or {}
    changes = dict.fromkeys(FIXED_FIELDS, "x") | {"version": 0, "type": "picture"}

    for path in PATHS:
        assert admin.patch(path.format(id=item["_id"]), changes).status_code == 200

    after = graph.db["archive"].find_one({"_id": item["_id"]}) or {}
    assert {n: after.get(n) for n in FIXED_FIELDS} == {n: before.get(n) for n in FIXED_FIELDS}


@pytest.mark.parametrize(
    ("state", "needed"),
    [
        *((state, True) for state in ("published", "scheduled", "corrected", "killed")),
        *((state, True) for state in ("recalled", "unpublished", "correction", "being_corrected")),
        *((state, False) for state in ("draft", "in_progress", "submitted", "routed", "fetched")),
    ],
)
def test_a_state_that_publishing_gives_is_for_publishers(
    app: Any, graph: Graph, newsroom: Newsroom, state: str, needed: bool
) -> None:
    """Lifecycle contract 1.3: who may not publish does not post what looks published."""
    make_user(graph, "writer", privileges={"archive": 1})
    make_user(graph, "publisher", privileges={"archive": 1, "publish": 1})
    body = newsroom.story(state=state)

    writer = log_in(app, "writer").post("archive", body)
    publisher = log_in(app, "publisher").post("archive", body)

    assert (writer.status_code, publisher.status_code) == (403 if needed else 201, 201)
    if needed:
        text = "Insufficient privileges for the requested operation."
        assert writer.get_json()["_message"] == text


def test_of_an_autosave_are_those_of_the_item(
    admin: Client, graph: Graph, newsroom: Newsroom
) -> None:
    """Clients autosave whole items; neither the autosave nor what becomes of it has them."""
    item = admin.create("archive", newsroom.story())
    assert admin.post(f"archive/{item['_id']}/lock", {}).status_code == 201
    before = graph.db["archive"].find_one({"_id": item["_id"]}) or {}

    kept = admin.create("archive_autosave", {"_id": item["_id"], "headline": "x", **odd(1)})
    patched = admin.patch(f"archive_autosave/{item['_id']}", {"headline": "y", **odd(3)})
    unlocked = admin.post(f"archive/{item['_id']}/unlock", {})

    assert kept["lock_user"] == str(before["lock_user"])
    assert (patched.status_code, unlocked.status_code) == (200, 201)
    after = graph.db["archive"].find_one({"_id": item["_id"]}) or {}
    free = {"lock_user", "lock_session", "lock_time", "lock_action"}
    assert after["headline"] == "y"
    assert {k: v for k, v in own(after).items() if k not in free} == {
        k: v for k, v in own(before).items() if k not in free
    }


@pytest.mark.parametrize("number", range(len(ODD)))
def test_of_a_fetched_item_are_made(
    admin: Client, graph: Graph, newsroom: Newsroom, number: int
) -> None:
    """The body of a fetch changes content only."""
    graph.db["ingest"].insert_one({"_id": "wire", "type": "text", "state": "ingested"})
    sent = {"desk": newsroom.task["desk"], "headline": "x", **odd(number)}

    answer = admin.post("ingest/wire/fetch", sent)

    assert answer.status_code == 201, answer.text
    item = graph.db["archive"].find_one({"ingest_id": "wire"}) or {}
    assert (item["headline"], item.get("used_count"), item.get("rewrite_of")) == ("x", None, None)
    assert isinstance(item["unique_id"], int)


def test_of_the_lock_come_from_the_lock(admin: Client, graph: Graph, newsroom: Newsroom) -> None:
    """A client says what it locks the item for, not for whom."""
    item = admin.create("archive", newsroom.story())
    sent = {"lock_action": "correct", "lock_user": str(ObjectId()), "lock_time": "x"}

    locked = admin.post(f"archive/{item['_id']}/lock", sent).get_json()

    assert (locked["lock_action"], locked["lock_user"]) == ("correct", admin.session["user"])


def test_of_rows_of_the_outbox_are_dropped(desk: Newsdesk) -> None:
    """Counters and marks of routing; what tells routing to go on is the operator's."""
    item = desk.published()
    row = desk.db["published"].find_one({"item_id": item["_id"]}) or {}
    path = f"published/{row['_id']}"
    etag = desk.client.get(path, published_id="1").get_json()["_etag"]
    sent = {"publish_sequence_no": -1, "moved_to_legal": True, "used_count": None, "lock_user": 5}

    answer = desk.client.patch(path, {**sent, "queue_state": "error"}, etag=etag)

    assert answer.status_code == 200, answer.text
    after = desk.db["published"].find_one({"_id": row["_id"]}) or {}
    assert after["queue_state"] == "error"
    assert {name: after.get(name) for name in sent} == {name: row.get(name) for name in sent}
