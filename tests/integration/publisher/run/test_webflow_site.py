"""Stories on a Webflow site, from the wish to what visitors see; no failure makes a second item."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.core.json import dumps
from apps.core.service import Document
from apps.graph.build import Graph
from tests.peers.webflow import Behaviour, WebflowPeer
from tests.support.newsdesk import HandClock
from tests.support.receivers import Fault
from tests.support.site_desk import SiteDesk
from transmitters.cms.base import Platform, Site
from transmitters.cms.http import SiteClient
from transmitters.cms.webflow import Webflow

ITEMS, ITEM = "/collections/[^/]+/items", "/collections/[^/]+/items/[0-9a-f]+"
PUBLISH, LIVE = f"{ITEMS}/publish", f"{ITEM}/live"


class WebflowDesk(SiteDesk):
    """Publishes items to a collection of a look-alike of the service."""

    def __init__(self, db: Any, clock: HandClock, peer: WebflowPeer, notifier: Any) -> None:
        super().__init__(db, clock, peer, notifier)  # type: ignore[arg-type]
        self.peer = peer
        site = peer.add_site("daily")
        self.tags = peer.add_collection(site, "tags", [])
        self.collection = peer.add_collection(
            site,
            "articles",
            [
                peer.field("body", "RichText"),
                peer.field("photo", "Image"),
                peer.field("tags", "MultiReference", collectionId=self.tags),
                peer.field("wire-ref", "PlainText"),
            ],
        )
        self.options = {
            "collection": self.collection,
            "site_id": site,
            "domain": peer.root,
            "renditions": ["original"],
            "field_map": {"ref": "wire-ref"},
        }
        changes = {"destination": "webflow", "credentials": {"token": peer.add_token()}}
        self.integration |= changes
        self.db["publisher_integrations"].update_one(
            {"_id": self.integration["_id"]}, {"$set": changes}
        )
        self.remote: Mapping[str, Any] = {}
        self.remote = self.platform(self.integration).test().remote
        peer.forget_calls()

    def platform(
        self, integration: Mapping[str, Any], client: SiteClient | None = None
    ) -> Platform:
        site = Site(
            id=str(integration["_id"]),
            base_url=integration["base_url"],
            credentials=integration["credentials"],
            options=self.options,
            remote=self.remote,
        )
        return Webflow(site, client or SiteClient(self.http))

    def items(self) -> list[dict[str, Any]]:
        return self.peer.items(self.collection)

    def live(self) -> list[dict[str, Any]]:
        return self.peer.live_items(self.collection)

    def page(self, record: Document) -> str | None:
        """Return what visitors find at the address of a record, None where that is nothing."""
        answer = self.http.request("GET", record["external_url"], headers={}, keep_bytes=1 << 20)
        return answer.text if answer.status == 200 else None


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def peer(clock: HandClock) -> Iterator[WebflowPeer]:
    behaviour = Behaviour(clock=lambda: clock.at.timestamp(), publish_touches=True)
    with WebflowPeer(behaviour) as open_peer:
        yield open_peer


@pytest.fixture
def desk(graph: Graph, clock: HandClock, peer: WebflowPeer) -> WebflowDesk:
    return WebflowDesk(graph.db, clock, peer, graph.notifier)


def with_pictures(desk: WebflowDesk, **fields: Any) -> dict[str, Any]:
    """Return fields of an item with a picture at its head and one in its body."""
    mark = '{id: "editor_0"}'
    body = f"<p>Rivers rose.</p><!-- EMBED START Image {mark} --><figure></figure>"
    return {
        "body_html": f"{body}<!-- EMBED END Image {mark} -->",
        "keywords": ["Rivers"],
        "associations": {"featuremedia": desk.picture(), "editor_0": desk.picture("blue")},
        **fields,
    }


def test_a_story_is_shown_with_pictures_and_terms(desk: WebflowDesk, peer: WebflowPeer) -> None:
    """Whatever is in the record can be seen on the page."""
    _, record = desk.published(**with_pictures(desk))

    [item] = desk.live()
    [tag] = peer.live_items(desk.tags)
    assert (record["external_id"], record["remote_state"]) == (item["id"], "live")
    assert item["fieldData"]["tags"] == [tag["id"]]
    assert item["fieldData"]["photo"]["alt"] == "A river"
    page = desk.page(record)
    assert page is not None
    assert "Rivers rose." in page
    assert page.count("<img") == 2
    assert len(peer.finished_assets()) == 2


def test_requests_are_counted(desk: WebflowDesk, peer: WebflowPeer) -> None:
    """Create 4, nothing new 0, update 3, unpublish 1, kill 2; a known picture costs none."""
    desk.published(**with_pictures(desk))
    item = desk.item(**with_pictures(desk, headline="Lakes rise"))

    def asked(action: str, **fields: Any) -> int:
        nonlocal item
        item = desk.change(item, **fields) if fields else item
        peer.forget_calls()
        desk.run_until_settled(desk.wish(item, action))
        return len(peer.calls)

    counts = [asked("publish"), asked("publish"), asked("update", headline="Lakes fall")]
    counts.append(asked("retract", state="unpublished"))
    assert counts == [4, 0, 3, 1]
    item = desk.item(headline="Seas rise")
    asked("publish")
    assert asked("retract", state="killed") == 2


def test_a_correction_keeps_item_and_address(desk: WebflowDesk) -> None:
    """New text and headline at the same place, of the same date."""
    item, record = desk.published()
    desk.clock.advance(hours=1)
    item = desk.change(item, headline="Rivers fall", body_html="<p>They fell.</p>")

    changed = desk.run_until_settled(desk.wish(item))

    assert changed["external_id"] == record["external_id"]
    assert changed["external_url"] == record["external_url"]
    assert changed["published_at"] == record["published_at"]
    page = desk.page(changed)
    assert page is not None
    assert "Rivers fall" in page
    assert "They fell." in page
    assert len(desk.items()) == 1


@pytest.mark.parametrize("overwrites", [True, False])
def test_a_kill_leaves_nothing(desk: WebflowDesk, peer: WebflowPeer, overwrites: bool) -> None:
    """Neither page, item nor pictures."""
    desk.options["kill_overwrite"] = overwrites
    item, record = desk.published(**with_pictures(desk))
    item = desk.change(item, state="killed", headline="Kill", body_html="<p>Withdrawn.</p>")

    record = desk.run_until_settled(desk.wish(item, "retract"))

    assert (record["status"], record["remote_state"]) == ("retracted", "deleted")
    assert record["warnings"] == []
    assert desk.page(record) is None
    assert (desk.items(), desk.live(), peer.finished_assets()) == ([], [], [])


@pytest.mark.parametrize("keeps", [True, False])
def test_terms_of_editors_stay(desk: WebflowDesk, peer: WebflowPeer, keeps: bool) -> None:
    """With the option; those of the story come and go."""
    desk.options["keep_remote_terms"] = keeps
    item, record = desk.published(keywords=["Rivers"])
    front = peer.add_item(desk.tags, name="Front", slug="front")
    [rivers] = desk.live()[0]["fieldData"]["tags"]
    peer.edit(desk.collection, record["external_id"], tags=[rivers, front])

    record = desk.run_until_settled(desk.wish(desk.change(item, keywords=["Lakes"])))

    assert record["status"] == "published", record["error"]
    names = {tag["id"]: tag["fieldData"]["name"] for tag in peer.live_items(desk.tags)}
    shown = [names[id_] for id_ in desk.live()[0]["fieldData"]["tags"]]
    assert shown == (["Lakes", "Front"] if keeps else ["Lakes"])
    again = desk.run_until_settled(desk.wish(desk.change(item, keywords=[])))
    assert again["status"] == "published", again["error"]
    shown = [names[id_] for id_ in desk.live()[0]["fieldData"].get("tags") or ()]
    assert shown == (["Front"] if keeps else [])


def test_a_schedule_is_kept_by_us(desk: WebflowDesk, peer: WebflowPeer) -> None:
    """The service keeps none: nothing is sent before, whatever is moved, corrected, taken back."""
    desk.options["schedule_mode"] = "remote"
    due = desk.clock.at + timedelta(hours=2)
    item = desk.item(**with_pictures(desk))

    def waits(record: Document, until: datetime) -> None:
        desk.run(record)
        found = desk.record(record)
        assert (found["status"], found["remote_state"]) == ("pending", "absent")
        assert found["next_attempt_at"] == until
        assert peer.calls == []

    record = desk.wish(item, schedule_at=due, is_sent_early=True)
    waits(record, due)
    sooner = due - timedelta(hours=1)
    waits(desk.wish(item, schedule_at=sooner, is_sent_early=True), sooner)
    item = desk.change(item, headline="Lakes rise")
    waits(desk.wish(item, schedule_at=sooner, is_sent_early=True), sooner)
    off = desk.run_until_settled(desk.wish(item, "retract", mode="unpublish"))
    assert (off["status"], off["remote_state"], peer.calls) == ("retracted", "absent", [])
    waits_again = desk.wish(item, schedule_at=sooner, is_sent_early=True)
    waits(waits_again, sooner)

    record = desk.run_until_settled(record)

    assert desk.clock.at >= sooner
    assert record["status"] == "published", record["error"]
    [shown] = desk.live()
    assert shown["fieldData"]["name"] == "Lakes rise"
    assert len(desk.items()) == 1
    other = desk.item(headline="Seas rise")
    record = desk.wish(other, schedule_at=due + timedelta(hours=1), is_sent_early=True)
    killed = desk.change(other, state="killed")
    peer.forget_calls()
    killed_record = desk.run_until_settled(desk.wish(killed, "retract", is_kill=True))
    assert (killed_record["status"], peer.calls) == ("retracted", [])


@pytest.mark.parametrize("is_off_already", [False, True])
def test_a_kill_that_leaves_a_draft_leaves_nothing_of_the_text(
    desk: WebflowDesk, peer: WebflowPeer, is_off_already: bool
) -> None:
    """By `unpublish` the item stays, overwritten, for two requests; also one that was off."""
    desk.options["kill_mode"] = "unpublish"
    item, record = desk.published(**with_pictures(desk))
    if is_off_already:
        assert desk.run_until_settled(desk.wish(item, "retract"))["remote_state"] == "draft"
    body = "<p>This story is withdrawn.</p>"
    item = desk.change(item, state="killed", headline="Kill", body_html=body)
    peer.forget_calls()

    record = desk.run_until_settled(desk.wish(item, "retract", is_kill=True))

    assert (record["status"], record["remote_state"]) == ("retracted", "draft")
    assert record["warnings"] == []
    asked = [method for method, path in peer.calls if "/items" in path]
    assert asked == (["PATCH", "DELETE", "GET"] if is_off_already else ["PATCH", "DELETE"])
    assert desk.page(record) is None
    [left] = desk.items()
    assert left["isDraft"] is True
    assert "Rivers" not in str(left["fieldData"] | {"slug": "", "tags": []})
    assert not left["fieldData"].get("photo")
    assert (desk.live(), peer.finished_assets()) == ([], [])


def test_a_kill_removes_the_draft_of_an_earlier_retraction(
    desk: WebflowDesk, peer: WebflowPeer
) -> None:
    item, _ = desk.published()
    desk.run_until_settled(desk.wish(item, "retract"))
    assert len(desk.items()) == 1
    killed = desk.change(item, state="killed")

    record = desk.run_until_settled(desk.wish(killed, "retract", is_kill=True))

    assert (record["status"], record["remote_state"]) == ("retracted", "deleted")
    assert (desk.items(), desk.live()) == ([], [])
    peer.forget_calls()
    desk.run_until_settled(desk.wish(killed, "retract", is_kill=True))
    assert peer.calls == []


def test_an_unpublished_story_comes_back(desk: WebflowDesk) -> None:
    """As the same item at the same address, once."""
    item, record = desk.published()
    item = desk.change(item, state="unpublished")
    off = desk.run_until_settled(desk.wish(item, "retract"))
    assert (off["status"], off["remote_state"]) == ("retracted", "draft")
    assert desk.page(off) is None

    item = desk.change(item, state="published")
    again = desk.run_until_settled(desk.wish(item))

    assert (again["status"], again["external_id"]) == ("published", record["external_id"])
    assert again["external_url"] == record["external_url"]
    assert desk.page(again) is not None
    assert len(desk.items()) == 1


@pytest.mark.parametrize(
    "fault", [Fault.CLOSE, Fault.RESET_MID_BODY, (502, {}, b"<h1>Bad gateway</h1>")]
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", ITEMS), ("POST", PUBLISH), ("GET", LIVE), ("GET", ITEMS)]
)
def test_a_lost_answer_of_a_create(
    desk: WebflowDesk, peer: WebflowPeer, method: str, path: str, fault: Any
) -> None:
    """One item, published."""
    peer.lose_answer(method, path, fault=fault)

    record = desk.run_until_settled(desk.wish(desk.item()))

    assert record["status"] == "published"
    assert [one["id"] for one in desk.items()] == [record["external_id"]]
    assert desk.page(record) is not None


def test_a_headline_that_changes_while_a_create_is_in_doubt(
    desk: WebflowDesk, peer: WebflowPeer
) -> None:
    """Also where no field holds the ref."""
    desk.options["field_map"] = {}
    peer.lose_answer("POST", ITEMS)
    item = desk.item()
    record = desk.wish(item)
    desk.run(record)
    item = desk.change(item, headline="Rivers fall")

    record = desk.run_until_settled(desk.wish(item))

    assert record["status"] == "published"
    assert [one["fieldData"]["name"] for one in desk.items()] == ["Rivers fall"]


@pytest.mark.parametrize("path", [ITEM, PUBLISH])
def test_a_lost_answer_of_an_update(desk: WebflowDesk, peer: WebflowPeer, path: str) -> None:
    """It is repeated."""
    item, record = desk.published()
    peer.lose_answer("PATCH" if path == ITEM else "POST", path)
    item = desk.change(item, headline="Rivers fall")

    desk.run_until_settled(desk.wish(item))

    assert [one["fieldData"]["name"] for one in desk.live()] == ["Rivers fall"]
    assert [one["id"] for one in desk.items()] == [record["external_id"]]


@pytest.mark.parametrize("path", [LIVE, ITEM])
def test_a_lost_answer_of_a_kill(desk: WebflowDesk, peer: WebflowPeer, path: str) -> None:
    """It is carried out all the same."""
    item, record = desk.published()
    peer.lose_answer("DELETE", path)
    item = desk.change(item, state="killed")

    record = desk.run_until_settled(desk.wish(item, "retract"))

    assert record["status"] == "retracted"
    assert (desk.items(), desk.live()) == ([], [])


def test_a_lost_answer_of_an_upload(desk: WebflowDesk, peer: WebflowPeer) -> None:
    """The file is found again, or sent again where it did not arrive."""
    peer.lose_answer("POST", "/upload")
    peer.refuse("POST", "/upload", Fault.CLOSE)
    item = desk.item(**with_pictures(desk))

    record = desk.run_until_settled(desk.wish(item))

    assert record["status"] == "published"
    assert len(peer.finished_assets()) == 2


@pytest.mark.parametrize("mode", ["suffix", "error"])
def test_an_item_that_arrives_late_leaves_one(
    desk: WebflowDesk, peer: WebflowPeer, mode: Any
) -> None:
    """Whatever the service does with a slug that is taken."""
    peer.behaviour.slug_conflict = mode
    item = desk.item()
    record = desk.wish(item)
    peer.lose_answer("POST", ITEMS)
    desk.run(record)
    [late] = peer.collections[desk.collection].items.values()
    del peer.collections[desk.collection].items[late.id]
    empty = (200, {}, b'{"items": [], "pagination": {"total": 0}}')
    peer.refuse("GET", ITEMS, empty, times=2)
    desk.clock.advance(seconds=20)
    desk.run(record)
    peer.collections[desk.collection].items[late.id] = late

    record = desk.run_until_settled(record)

    assert record["status"] == "published"
    assert [one["id"] for one in desk.items()] == [record["external_id"]]
    assert len(desk.live()) == 1


@pytest.mark.parametrize("mode", ["suffix", "error"])
@pytest.mark.parametrize("has_ref", [True, False])
def test_a_foreign_item_with_our_slug(
    desk: WebflowDesk, peer: WebflowPeer, mode: Any, has_ref: bool
) -> None:
    """It is not touched; ours gets another way, or the person is told."""
    peer.behaviour.slug_conflict = mode
    desk.options["slug_mode"] = "clean"
    desk.options["field_map"] = {"ref": "wire-ref"} if has_ref else {}
    foreign = peer.add_item(desk.collection, name="Somebody's", slug="rivers-rise")
    desk.clock.advance(hours=1)
    before = desk.live()

    record = desk.run_until_settled(desk.wish(desk.item()))

    assert [one for one in desk.live() if one["id"] == foreign] == before
    if mode == "error":
        assert (record["status"], record["error"]["code"]) == ("failed", "slug_taken")
        assert len(desk.items()) == 1
    else:
        assert record["status"] == "published"
        assert desk.page(record) is not None
        assert len(desk.items()) == 2


def test_an_item_that_somebody_deleted(desk: WebflowDesk, peer: WebflowPeer) -> None:
    """The next correction makes it again."""
    item, record = desk.published()
    peer.collections[desk.collection].items.clear()

    again = desk.run_until_settled(desk.wish(desk.change(item, headline="Rivers fall")))

    assert again["status"] == "published"
    assert again["external_id"] != record["external_id"]
    assert len(desk.live()) == 1


@pytest.mark.parametrize(("policy", "status"), [("fail", "failed"), ("overwrite", "published")])
def test_an_item_that_somebody_edited(
    desk: WebflowDesk, peer: WebflowPeer, policy: str, status: str
) -> None:
    """Our own publications are no edits."""
    desk.options["on_remote_edit"] = policy
    item, record = desk.published()
    item = desk.change(item, headline="Rivers fall")
    record = desk.run_until_settled(desk.wish(item))
    assert record["status"] == "published"
    peer.edit(desk.collection, record["external_id"], body="<p>Mine.</p>")

    record = desk.run_until_settled(desk.wish(desk.change(item, headline="Rivers dry")))

    assert record["status"] == status
    shown = desk.live()[0]["fieldData"]["name"]
    assert shown == ("Rivers dry" if status == "published" else "Rivers fall")


def test_no_story_without_its_picture(desk: WebflowDesk, peer: WebflowPeer) -> None:
    """What the service cannot have stops the story."""
    refusal = (403, {}, b"<Error><Code>AccessDenied</Code></Error>")
    peer.refuse("POST", "/upload", refusal, times=9)

    record = desk.run_until_settled(desk.wish(desk.item(**with_pictures(desk))))

    assert (record["status"], record["error"]["class"]) == ("failed", "media")
    assert desk.items() == []


def test_a_picture_that_may_be_left_out(desk: WebflowDesk, peer: WebflowPeer) -> None:
    """The story goes without it, and says so."""
    desk.options["on_media_failure"] = "omit"
    refusal = (403, {}, b"<Error><Code>AccessDenied</Code></Error>")
    peer.refuse("POST", "/upload", refusal, times=9)

    record = desk.run_until_settled(desk.wish(desk.item(**with_pictures(desk))))

    assert record["status"] == "published"
    assert {"media_omitted:featuremedia", "media_omitted:editor_0"} <= set(record["warnings"])


def test_the_service_asks_to_slow_down(desk: WebflowDesk, peer: WebflowPeer) -> None:
    """It is waited as long as asked, and the attempt does not count."""
    peer.refuse("POST", ITEMS, peer.error(429, "too_many_requests", **{"Retry-After": "37"}))
    record = desk.wish(desk.item())
    desk.run(record)
    found = desk.record(record)
    assert (found["next_attempt_at"] - desk.clock.at).total_seconds() == pytest.approx(37, abs=4)
    assert not found.get("retry_attempt")

    assert desk.run_until_settled(record)["status"] == "published"
    assert len(desk.items()) == 1


def test_errors_of_the_collection(desk: WebflowDesk, peer: WebflowPeer) -> None:
    """Archived, changed since the site was published, a token that may only read."""
    item, record = desk.published()
    staged = peer.collections[desk.collection].items[record["external_id"]].staged
    assert staged is not None
    staged["isArchived"] = True
    archived = desk.run_until_settled(desk.wish(desk.change(item, headline="Rivers fall")))
    assert archived["error"]["code"] == "item_archived"

    peer.collections[desk.collection].is_changed = True
    changed = desk.run_until_settled(desk.wish(desk.item(headline="Lakes rise")))
    assert (changed["status"], changed["error"]["class"]) == ("failed", "config")
    assert "Publish the site" in changed["error"]["help"]

    credentials = {"token": peer.add_token(["cms:read", "sites:read"])}
    desk.db["publisher_integrations"].update_one({}, {"$set": {"credentials": credentials}})
    refused = desk.run_until_settled(desk.wish(desk.item(headline="Seas rise")))
    assert (refused["status"], refused["error"]["class"]) == ("failed", "permission")
    assert "cms:write" in refused["error"]["message"]


def test_a_file_that_somebody_deleted_is_brought_again(
    desk: WebflowDesk, peer: WebflowPeer
) -> None:
    """A correction that the service refuses for it asks what is there, and is sent once more."""
    fields = with_pictures(desk)
    item, record = desk.published(**fields)
    before = {media["remote_id"] for media in record["media"]}
    for asset in before:
        peer.assets.pop(asset)

    record = desk.run_until_settled(desk.wish(desk.change(item, headline="Rivers fall")))

    assert record["status"] == "published", record["error"]
    assert not before & {media["remote_id"] for media in record["media"]}
    assert desk.live()[0]["fieldData"]["name"] == "Rivers fall"
    assert len(desk.items()) == 1


def test_a_file_that_the_service_refuses_again_and_again(
    desk: WebflowDesk, peer: WebflowPeer
) -> None:
    """One more try, not more."""
    details = [{"param": "photo", "description": "File not found"}]
    body = {"code": "validation_error", "message": "Validation Error", "details": details}
    refusal = (400, {}, dumps(body))
    peer.refuse("POST", ITEMS, refusal, times=9)

    record = desk.run_until_settled(desk.wish(desk.item(**with_pictures(desk, keywords=[]))))

    assert (record["status"], record["error"]["class"]) == ("failed", "media")
    outcomes = [entry["outcome"] for entry in record["history"]]
    assert outcomes.count("resynced") == 1
    assert outcomes.count("announced") == 2
    assert desk.items() == []


@pytest.mark.parametrize("what", ["update", "retract", "kill"])
@pytest.mark.parametrize("has_ref", [True, False])
def test_an_item_of_somebody_else_that_has_our_id(
    desk: WebflowDesk, peer: WebflowPeer, what: str, has_ref: bool
) -> None:
    """It stays as it is; ours is made anew where it is to be shown."""
    desk.options["field_map"] = {"ref": "wire-ref"} if has_ref else {}
    item, record = desk.published(**with_pictures(desk))
    desk.clock.advance(minutes=5)
    there = peer.collections[desk.collection].items[record["external_id"]]
    theirs = {"name": "Theirs", "slug": "theirs", "body": "<p>Their text.</p>"}
    for version in (there.staged, there.live):
        assert version is not None
        version.update(fieldData=dict(theirs), createdOn="2020-01-01T00:00:00.000Z")
    before = dumps([there.staged, there.live])

    if what == "update":
        after = desk.run_until_settled(desk.wish(desk.change(item, headline="Rivers fall")))
        assert (after["status"], after["external_id"] != record["external_id"]) == (
            "published",
            True,
        )
        assert desk.page(after) is not None
        assert len(desk.live()) == 2
    else:
        item = desk.change(item, state="killed" if what == "kill" else "unpublished")
        after = desk.run_until_settled(desk.wish(item, "retract"))
        assert (after["status"], after["remote_state"]) == ("retracted", "deleted")
        assert len(desk.items()) == 1
    assert dumps([there.staged, there.live]) == before
    assert len(desk.alerts) == 1


@pytest.mark.parametrize("slug_mode", ["suffix", "clean"])
@pytest.mark.parametrize("has_ref", [True, False])
def test_an_item_of_ours_without_its_mark(
    desk: WebflowDesk, peer: WebflowPeer, slug_mode: str, has_ref: bool
) -> None:
    """Whatever editors have made of it, and the story of its headline, there is no second one."""
    desk.options |= {
        "slug_mode": slug_mode,
        "field_map": {"ref": "wire-ref"} if has_ref else {},
    }
    item, record = desk.published()
    desk.clock.advance(minutes=5)
    edited = {"name": "Edited", "wire-ref": None}
    peer.edit(desk.collection, record["external_id"], **edited)

    after = desk.run_until_settled(desk.wish(desk.change(item, headline="Rivers fall")))

    assert after["external_id"] == record["external_id"]
    assert len(desk.items()) == 1
