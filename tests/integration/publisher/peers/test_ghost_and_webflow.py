"""What only a Ghost, or a Webflow, does to stories, from a request to the page."""

import time
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.publisher.peers.conftest import Opens
from tests.peers.ghost import GhostPeer
from tests.peers.proxy import Reply
from tests.peers.webflow import Behaviour, WebflowPeer
from tests.support.newsdesk import HandClock
from tests.support.peer_newsroom import GhostPlace, PeerNewsroom, WebflowPlace
from tests.support.processes import wait_until

pytestmark = pytest.mark.timeout(300)


def published(newsroom: PeerNewsroom, **fields: Any) -> Any:
    """Publish a story; return it and the row of its status."""
    item = newsroom.desk.act("publish", newsroom.story(**fields))
    row = newsroom.bring(item)
    assert row["status"] == "published", row["error"]
    return item, row


@pytest.mark.peers
class TestGhost:
    """A Ghost, which keeps dates, tags and pictures in its own way."""

    @pytest.fixture
    def place(self, ghost: GhostPeer) -> GhostPlace:
        return GhostPlace(ghost)

    def test_a_tag_that_is_there_in_another_case(
        self, newsroom: PeerNewsroom, ghost: GhostPeer
    ) -> None:
        """cms scenario 29, 30."""
        newsroom.options(parallel=4)
        word = newsroom.word
        ghost.admin("POST", "tags", {"tags": [{"name": f"News {word}"}]})
        held = {"keywords": [f"news {word}", f"New {word}"], "associations": {}}
        items = [
            newsroom.desk.act("publish", newsroom.story(body_html="<p>One.</p>", **held))
            for _ in range(4)
        ]
        for item in items:
            newsroom.ask(item)
        newsroom.settle()
        for item in items:
            row = newsroom.status(item)
            assert row["status"] == "published", row["error"]
            terms = {term for term in newsroom.place.terms(row["external_id"]) if word in term}
            assert terms == {f"News {word}", f"New {word}"}
        tags = ghost.admin("GET", "tags", limit="all")["tags"]
        assert len([tag for tag in tags if word in tag["name"]]) == 2

    def test_a_schedule_of_the_site_is_taken_back(
        self, opens: Opens, place: GhostPlace, ghost: GhostPeer
    ) -> None:
        """A later publication is live, and dated, now. cms scenario 32."""
        newsroom = opens(place, schedule_mode="remote")
        item = newsroom.desk.act("publish", newsroom.story())
        due = newsroom.clock.now() + timedelta(hours=2)
        newsroom.ask(item, schedule_at=due.strftime("%Y-%m-%dT%H:%M:%S+0000"))
        newsroom.go()
        row = newsroom.status(item)
        assert (row["status"], row["remote_state"]) == ("pending", "scheduled")
        (id_,) = newsroom.place.ids(newsroom.word)
        assert ghost.post(id_)["status"] == "scheduled"
        newsroom.ask(item, action="retract")
        newsroom.go()
        assert ghost.post(id_)["status"] == "draft"
        row = newsroom.bring(item)
        assert row["status"] == "published", row["error"]
        post = ghost.post(id_)
        assert post["status"] == "published"
        assert post["published_at"] < due.strftime("%Y-%m-%dT%H:%M")
        assert newsroom.place.page(row["external_url"])[0] == 200

    @pytest.mark.parametrize("length", [255, 400])
    def test_headlines(self, newsroom: PeerNewsroom, ghost: GhostPeer, length: int) -> None:
        """As text, and cut at a word where the site would refuse them. cms scenario 42."""
        headline = 'Tom & Jerry "رحبا" 🌊 ' + "word " * (length // 5)
        _, row = published(newsroom, headline=headline, associations={}, body_html="<p>1</p>")
        title = ghost.post(row["external_id"])["title"]
        assert title.startswith('Tom & Jerry "رحبا" 🌊 word')
        assert len(title) <= 255
        assert title.endswith("word…")

    def test_bodies(self, newsroom: PeerNewsroom) -> None:
        """Of a megabyte, and of nothing. cms scenario 42."""
        word = newsroom.word
        words = "Rivers rose on Friday. " * 25
        long = "".join(f"<p>Line {number} {word}. {words}</p>" for number in range(1800))
        assert len(long) > 1_000_000
        item, row = published(newsroom, body_html=long, associations={})
        _, page = newsroom.place.page(row["external_url"])
        assert f"Line 1799 {word}." in page
        newsroom.desk.act("correct", item, body_html="")
        row = newsroom.bring(item)
        _, page = newsroom.place.page(newsroom.full(item)["external_url"])
        if row["status"] == "published":
            assert f"Line 1799 {word}." not in page
        else:
            assert row["error"]["class"] == "validation"

    @pytest.mark.parametrize("credentials", ["wrong secret", "unknown key"])
    def test_keys_that_are_wrong(
        self, newsroom: PeerNewsroom, ghost: GhostPeer, credentials: str
    ) -> None:
        """cms scenario 19."""
        id_, _, secret = ghost.admin_api_key.partition(":")
        key = f"{id_}:{'0' * 64}" if credentials == "wrong secret" else f"{'0' * 24}:{secret}"
        path = f"integrations/{newsroom.integration['_id']}"
        newsroom.publisher.patch(path, {"credentials": {"admin_api_key": key}})
        item = newsroom.desk.act("publish", newsroom.story())
        newsroom.ask(item)
        newsroom.go()
        row = newsroom.status(item)
        assert (row["status"], row["error"]["class"]) == ("pending", "auth")
        # Terms are read with new credentials, too.
        assert 1 <= newsroom.proxy.count() <= 2
        assert newsroom.publisher.get(path).get_json()["state"] == "auth_failed"


class TestWebflow:
    """A Webflow, which counts requests, and has items that nobody sees."""

    @pytest.fixture
    def behaviour(self, clock: HandClock) -> Behaviour:
        return Behaviour(clock=lambda: clock.at.timestamp(), publish_touches=True)

    @pytest.fixture
    def peer(self, behaviour: Behaviour) -> Any:
        with WebflowPeer(behaviour) as peer:
            yield peer

    @pytest.fixture
    def place(self, peer: WebflowPeer) -> WebflowPlace:
        return WebflowPlace(peer)

    def test_the_service_asks_to_wait(self, newsroom: PeerNewsroom) -> None:
        """The attempt does not count, and nobody else asks meanwhile. cms scenario 35."""
        headers = {"Retry-After": "1", "Content-Type": "application/json"}
        refusal = Reply(429, b'{"code":"too_many_requests","message":"Slow down"}', headers)
        newsroom.proxy.rule(refusal, times=1)
        items = [newsroom.desk.act("publish", newsroom.story()) for _ in range(2)]
        for item in items:
            newsroom.ask(item)
        newsroom.go()
        assert newsroom.proxy.count() == 1
        record = newsroom.full(items[0])
        assert (record["error"]["class"], record["retry_attempt"]) == ("rate_limited", 0)
        path = f"integrations/{newsroom.integration['_id']}"
        assert newsroom.publisher.get(path).get_json()["state"] == "paused"
        # All workers keep the pause by the clock of Redis.
        ends = time.monotonic() + 1.1
        wait_until(lambda: time.monotonic() > ends, 10)
        newsroom.clock.advance(seconds=2)
        newsroom.settle()
        assert [newsroom.status(item)["status"] for item in items] == ["published"] * 2
        assert newsroom.publisher.get(path).get_json()["state"] == "ok"

    @pytest.mark.parametrize("conflict", ["suffix", "error"])
    def test_a_slug_that_is_taken(
        self,
        newsroom: PeerNewsroom,
        peer: WebflowPeer,
        place: WebflowPlace,
        behaviour: Behaviour,
        conflict: Any,
    ) -> None:
        """By an item of somebody else: it stays as it is, and ours is there once.

        cms scenario 17, 37.
        """
        behaviour.slug_conflict = conflict
        newsroom.options(slug_mode="clean")
        slug = f"rivers-rain-{newsroom.word}"
        theirs = peer.add_item(place.collection, name="Theirs", slug=slug)
        before = [item for item in peer.items(place.collection) if item["id"] == theirs]
        item = newsroom.desk.act("publish", newsroom.story())
        row = newsroom.bring(item)
        if row["status"] == "published":
            assert place.ids(newsroom.word) == [row["external_id"]]
        else:
            assert (row["status"], row["error"]["code"]) == ("failed", "slug_taken")
            assert place.ids(newsroom.word) == []
        after = [item for item in peer.items(place.collection) if item["id"] == theirs]
        assert after == before

    @pytest.mark.parametrize("conflict", ["suffix", "error"])
    def test_an_item_of_ours_holds_the_slug(
        self, newsroom: PeerNewsroom, peer: WebflowPeer, behaviour: Behaviour, conflict: Any
    ) -> None:
        """There is one after a restore from a backup, too. cms scenario 37."""
        behaviour.slug_conflict = conflict
        item = newsroom.desk.act("publish", newsroom.story())
        newsroom.ask(item)
        backup = newsroom.record()
        newsroom.settle()
        newsroom.db["publishing_records"].replace_one({"_id": backup["_id"]}, backup)
        row = newsroom.bring(item, force=True)
        assert row["status"] == "published", row["error"]
        assert newsroom.place.ids(newsroom.word) == [row["external_id"]]

    def test_a_token_that_may_only_read(self, newsroom: PeerNewsroom, peer: WebflowPeer) -> None:
        """The error names the scope. cms scenario 36."""
        token = peer.add_token(scopes=("sites:read", "cms:read", "assets:read"))
        path = f"integrations/{newsroom.integration['_id']}"
        newsroom.publisher.patch(path, {"credentials": {"token": token}})
        item = newsroom.desk.act(
            "publish", newsroom.story(associations={}, keywords=[], body_html="<p>One.</p>")
        )
        row = newsroom.bring(item)
        assert (row["status"], row["error"]["class"]) == ("failed", "permission")
        assert "cms:write" in f"{row['error']['message']} {row['error']['help']}"
