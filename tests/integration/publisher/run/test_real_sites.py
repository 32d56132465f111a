"""The whole run on a real WordPress and a real Ghost, through a proxy that loses answers.

cms scenario 1, 2, 3, 5, 6, 9, 10, 16, 29, 33.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from html import unescape
from typing import Any
from uuid import uuid4

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from apps.publisher.identity import new_installation
from apps.publisher.run.results import Result
from tests.peers.ghost import GhostPeer
from tests.peers.proxy import Fault, Proxy, Reply
from tests.peers.wordpress import WordPressPeer
from tests.support.newsdesk import HandClock
from tests.support.processes import wait_until
from tests.support.site_desk import SiteDesk
from transmitters.cms.base import Platform, Site
from transmitters.cms.ghost import Ghost
from transmitters.cms.http import SiteClient
from transmitters.cms.wordpress import WordPress

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]


class RealDesk(SiteDesk):
    """Publishes to a server of another project."""

    destination: str
    credentials: Mapping[str, str]
    kind: type[Platform]
    peer: Any

    def __init__(self, graph: Graph, proxy: Proxy, **options: Any) -> None:
        class Here:
            url = proxy.url

        super().__init__(graph.db, HandClock(datetime.now(UTC)), Here(), graph.notifier)  # type: ignore[arg-type]
        self.proxy = proxy
        self.options = {"renditions": ["original"], **options}
        changes = {"destination": self.destination, "credentials": dict(self.credentials)}
        self.integration |= changes
        self.db["publisher_integrations"].update_one(
            {"_id": self.integration["_id"]}, {"$set": changes}
        )
        self.remote: Mapping[str, Any] = {}
        self.remote = self.platform(self.integration).test().remote
        proxy.clear()

    def platform(
        self, integration: Mapping[str, Any], client: SiteClient | None = None
    ) -> Platform:
        site = Site(
            id=str(integration["_id"]),
            base_url=integration["base_url"],
            credentials=integration["credentials"],
            options=self.options,
            remote={**self.remote, **self.found_here()},
        )
        return self.kind(site, client or SiteClient(self.http))

    def found_here(self) -> Mapping[str, Any]:
        """Return what differs behind the proxy from what the site says of itself."""
        return {}

    def ours(self, record: Document) -> list[str]:
        """Return the ids of all posts with the marker of a record, those in the trash apart."""
        raise NotImplementedError

    def tags(self, record: Document) -> set[str]:
        raise NotImplementedError

    def edit(self, record: Document, text: str) -> None:
        """Write the text of a post, as an editor of the site does."""
        raise NotImplementedError

    def add_tag(self, name: str) -> None:
        raise NotImplementedError

    def give_tag(self, record: Document, name: str) -> None:
        """Give a post another tag, as an editor of the site does."""
        raise NotImplementedError

    def remove_tag(self, id_: str) -> None:
        raise NotImplementedError

    def remove(self, record: Document) -> None:
        raise NotImplementedError

    def page(self, url: str) -> tuple[int, str]:
        raise NotImplementedError

    def restore(self, record: Document) -> None:
        """Bring the site back to before a post; somebody else's has taken its id since."""
        raise NotImplementedError

    def stored(self, id_: str) -> Any:
        """Return all that the site's database holds of a post."""
        raise NotImplementedError

    def rebase(self, proxy: Proxy) -> None:
        """Point the integration to another address, as a PATCH with `rebase` does."""
        self.proxy = proxy
        moved = {"base_url": proxy.url, "installation": new_installation()}
        self.db["publisher_integrations"].update_one(
            {"_id": self.integration["_id"]}, {"$set": moved}
        )


class WordPressDesk(RealDesk):
    destination, kind = "wordpress", WordPress
    peer: WordPressPeer

    def __init__(self, graph: Graph, proxy: Proxy, peer: WordPressPeer) -> None:
        self.peer, self.credentials = peer, peer.credentials("editor")
        super().__init__(graph, proxy)

    def found_here(self) -> Mapping[str, Any]:
        return {"api_root": f"{self.proxy.url}/wp-json/"} if self.remote else {}

    def ours(self, record: Document) -> list[str]:
        marker = f"publisher-ref:{record['ref']}"
        found = self.peer.rest(
            "GET", "/wp/v2/posts", search=marker, status="any", context="edit", per_page=100
        )
        return [str(post["id"]) for post in found if marker in post["content"]["raw"]]

    def tags(self, record: Document) -> set[str]:
        found = self.peer.rest("GET", "/wp/v2/tags", post=record["external_id"])
        return {unescape(tag["name"]) for tag in found}

    def add_tag(self, name: str) -> None:
        self.peer.rest("POST", "/wp/v2/tags", data={"name": name})

    def give_tag(self, record: Document, name: str) -> None:
        (tag,) = self.peer.rest("GET", "/wp/v2/tags", search=name)
        route = f"/wp/v2/posts/{record['external_id']}"
        tags = [*self.peer.rest("GET", route)["tags"], tag["id"]]
        self.peer.rest("POST", route, data={"tags": tags})

    def edit(self, record: Document, text: str) -> None:
        route = f"/wp/v2/posts/{record['external_id']}"
        self.peer.rest("POST", route, data={"content": f"<p>{text}</p>"})

    def remove_tag(self, id_: str) -> None:
        self.peer.rest("DELETE", f"/wp/v2/tags/{id_}", force="true")

    def remove(self, record: Document) -> None:
        self.peer.rest("DELETE", f"/wp/v2/posts/{record['external_id']}", force="true")

    def page(self, url: str) -> tuple[int, str]:
        return self.peer.page(url)

    def restore(self, record: Document) -> None:
        id_, word = int(record["external_id"]), uuid4().hex[:8]
        foreign = (
            f"'post_title' => 'Theirs {word}', 'post_name' => 'theirs-{word}', "
            f"'post_content' => '<p>Their text.</p>', 'post_date_gmt' => '2020-01-01 00:00:00', "
            "'post_modified_gmt' => '2020-01-01 00:00:00', 'post_author' => 1"
        )
        self.peer.run(
            f"global $wpdb; $wpdb->update($wpdb->posts, [{foreign}], ['ID' => {id_}]);"
            f"wp_set_object_terms({id_}, [], 'post_tag');"
            f"$wpdb->delete($wpdb->postmeta, ['post_id' => {id_}]);"
        )

    def stored(self, id_: str) -> Any:
        tables = [("posts", "ID"), ("postmeta", "post_id"), ("term_relationships", "object_id")]
        rows = ", ".join(
            f'$wpdb->get_results("SELECT * FROM $wpdb->{name} WHERE {key} = {int(id_)}")'
            for name, key in tables
        )
        return self.peer.run(f"global $wpdb; echo json_encode([{rows}]);")


class GhostDesk(RealDesk):
    destination, kind = "ghost", Ghost
    peer: GhostPeer

    def __init__(self, graph: Graph, proxy: Proxy, peer: GhostPeer) -> None:
        self.peer, self.credentials = peer, {"admin_api_key": peer.admin_api_key}
        super().__init__(graph, proxy, kind="posts", visibility="public")

    def ours(self, record: Document) -> list[str]:
        marker = f"publisher-ref:{record['ref']}"
        posts = self.peer.posts()
        return [one["id"] for one in posts if marker in str(one.get("codeinjection_head"))]

    def tags(self, record: Document) -> set[str]:
        return {tag["name"] for tag in self.peer.post(record["external_id"])["tags"]}

    def add_tag(self, name: str) -> None:
        self.peer.admin("POST", "tags", {"tags": [{"name": name}]})

    def give_tag(self, record: Document, name: str) -> None:
        tags = [{"name": one} for one in (*self.tags(record), name)]
        self.peer.edit(record["external_id"], tags=tags)

    def edit(self, record: Document, text: str) -> None:
        self.peer.edit(record["external_id"], title=text)

    def remove_tag(self, id_: str) -> None:
        self.peer.admin("DELETE", f"tags/{id_}")

    def remove(self, record: Document) -> None:
        self.peer.admin("DELETE", f"posts/{record['external_id']}")

    def page(self, url: str) -> tuple[int, str]:
        return self.peer.page(url)

    def restore(self, record: Document) -> None:
        word = uuid4().hex[:8]
        foreign = {
            "title": f"Theirs {word}",
            "slug": f"theirs-{word}",
            "html": "<p>Their text.</p>",
            "codeinjection_head": None,
            "published_at": "2020-01-01 00:00:00",
            "created_at": "2020-01-01 00:00:00",
            "updated_at": "2020-01-01 00:00:00",
        }
        names = ", ".join(f"{name} = ?" for name in foreign)
        with closing(sqlite3.connect(self.peer.database, timeout=30)) as database, database:
            values = (*foreign.values(), record["external_id"])
            database.execute(f"UPDATE posts SET {names} WHERE id = ?", values)
            database.execute("DELETE FROM posts_tags WHERE post_id = ?", values[-1:])

    def stored(self, id_: str) -> Any:
        tables = [("posts", "id"), ("posts_meta", "post_id"), ("posts_tags", "post_id")]
        with closing(sqlite3.connect(self.peer.database, timeout=30)) as database:
            return [
                database.execute(f"SELECT * FROM {name} WHERE {key} = ?", (id_,)).fetchall()
                for name, key in tables
            ]


@pytest.fixture(params=["wordpress", "ghost"])
def desk(request: pytest.FixtureRequest, graph: Graph) -> Iterator[RealDesk]:
    peer = request.getfixturevalue(request.param)
    kind = WordPressDesk if request.param == "wordpress" else GhostDesk
    with Proxy(peer.url) as proxy:
        yield kind(graph, proxy, peer)


def story(desk: RealDesk, **fields: Any) -> dict[str, Any]:
    """Return fields of an item with pictures at its head and in its body."""
    mark, word = '{id: "editor_0"}', uuid4().hex[:8]
    body = f"<p>Rivers of {word} rose.</p><!-- EMBED START Image {mark} -->"
    return {
        "headline": f"Rivers & rain {word}",
        "body_html": f"{body}<!-- EMBED END Image {mark} -->",
        "keywords": [f"Tag {word}"],
        # Tests share the site: no two of them may have the same files.
        "associations": {"featuremedia": desk.picture("noise"), "editor_0": desk.picture("noise")},
        **fields,
    }


def test_a_story_is_published_corrected_killed(desk: RealDesk) -> None:
    """One post at one address, with pictures and terms; then nothing of it."""
    fields = story(desk)
    word = fields["headline"].split()[-1]
    item, record = desk.published(**fields)
    status, page = desk.page(record["external_url"])
    assert status == 200
    assert f"Rivers of {word} rose." in page
    pictures = {media["remote_url"] for media in record["media"]}
    assert len(pictures) == 2
    assert all(desk.visit(url) == 200 for url in pictures)
    assert desk.tags(record) == set(fields["keywords"])
    assert record["warnings"] == []

    before = desk.proxy.writes
    desk.wish(item)
    assert desk.run(record) == Result.UNCHANGED
    assert desk.proxy.writes == before

    item = desk.change(item, headline="Another", body_html=f"<p>Lakes of {word}.</p>")
    changed = desk.run_until_settled(desk.wish(item))
    assert changed["status"] == "published", changed["error"]
    for name in ("external_id", "external_url", "published_at", "slug"):
        assert changed[name] == record[name]
    _, page = desk.page(record["external_url"])
    assert f"Lakes of {word}." in page
    assert f"Rivers of {word}" not in page

    item = desk.change(item, state="killed", headline="Kill", body_html="<p>Withdrawn.</p>")
    killed = desk.run_until_settled(desk.wish(item, "retract"))
    assert killed["status"] == "retracted", killed["error"]
    assert desk.visit(record["external_url"]) == 404
    shown = [url for url in pictures if desk.visit(url) == 200]
    assert bool(shown) is ("media_left_public" in killed["warnings"])


def test_an_unpublished_story_comes_back(desk: RealDesk) -> None:
    """As the same post at the same address, once."""
    item, record = desk.published(**story(desk))
    item = desk.change(item, state="unpublished")
    assert desk.run_until_settled(desk.wish(item, "retract"))["status"] == "retracted"
    assert desk.visit(record["external_url"]) == 404

    again = desk.run_until_settled(desk.wish(desk.change(item, state="published")))
    assert again["status"] == "published", again["error"]
    assert (again["external_id"], again["external_url"]) == (
        record["external_id"],
        record["external_url"],
    )
    assert desk.visit(record["external_url"]) == 200
    assert desk.ours(again) == [record["external_id"]]


@pytest.mark.parametrize(
    "fault",
    [
        Fault.LOSE_ANSWER,
        Fault.CUT_ANSWER,
        Fault.LOSE_REQUEST,
        Reply(502, work_done=True),
    ],
    ids=["lost", "cut short", "never sent", "proxy"],
)
def test_an_answer_that_is_lost(desk: RealDesk, fault: Any) -> None:
    """One post, whether the create has arrived or not."""
    item = desk.item(**story(desk, associations={}, body_html="<p>Rivers rose.</p>"))
    desk.proxy.rule(fault, method="POST", target="/posts", times=1)
    record = desk.run_until_settled(desk.wish(item))
    assert record["status"] == "published", record["error"]
    assert desk.ours(record) == [record["external_id"]]
    assert desk.visit(record["external_url"]) == 200


def test_a_post_that_somebody_removed(desk: RealDesk) -> None:
    """The next correction makes it anew."""
    item, record = desk.published(**story(desk))
    desk.remove(record)
    again = desk.run_until_settled(desk.wish(desk.change(item, headline="Another")))
    assert again["status"] == "published", again["error"]
    assert desk.ours(again) == [again["external_id"]] != [record["external_id"]]


def test_a_tag_that_is_there_in_another_case(desk: RealDesk) -> None:
    """There is no second one."""
    word = uuid4().hex[:8]
    desk.add_tag(f"News {word}")
    _, record = desk.published(**story(desk, keywords=[f"news {word}"]))
    assert desk.tags(record) == {f"News {word}"}


def test_a_tag_that_somebody_removed(desk: RealDesk) -> None:
    """It is made again, though the ledger says that it is there."""
    name = f"Gone {uuid4().hex[:8]}"
    item, record = desk.published(**story(desk, keywords=[name]))
    desk.remove_tag(record["terms"][0]["remote_id"])
    record = desk.run_until_settled(desk.wish(desk.change(item, headline="Another")))
    assert record["status"] == "published", record["error"]
    assert desk.tags(record) == {name}


def test_tags_of_editors_stay(desk: RealDesk) -> None:
    """With the option; those of the story come and go."""
    desk.options["keep_remote_terms"] = True
    item, record = desk.published(**story(desk, keywords=[f"One {uuid4().hex[:8]}"]))
    word = uuid4().hex[:8]
    desk.add_tag(f"Front {word}")
    desk.give_tag(record, f"Front {word}")
    new = [f"Two {word}"]
    record = desk.run_until_settled(desk.wish(desk.change(item, keywords=new)))
    assert record["status"] == "published", record["error"]
    assert desk.tags(record) == {f"Front {word}", *new}


@pytest.mark.parametrize("policy", ["overwrite", "fail", "skip"])
def test_a_post_that_somebody_edited(desk: RealDesk, policy: str) -> None:
    """Each policy, also where the site itself notices that two have written."""
    desk.options["on_remote_edit"] = policy
    item, record = desk.published(**story(desk))
    # The dates of sites have whole seconds: two writes within one cannot be told apart.
    second = int(time.time())
    wait_until(lambda: int(time.time()) > second, 5)
    desk.edit(record, "Edited by hand")
    # Pages name other posts, too.
    ours = f"By the desk {uuid4().hex[:8]}"
    item = desk.change(item, headline=ours, body_html=f"<p>{ours}</p>")
    record = desk.run_until_settled(desk.wish(item))
    _, page = desk.page(record["external_url"])
    assert (ours in page) is (policy == "overwrite")
    if policy == "fail":
        assert (record["status"], record["error"]["code"]) == ("failed", "remote_edited")
    else:
        assert record["status"] == "published", record["error"]


def test_pictures_removed_at_the_site_come_back(desk: RealDesk) -> None:
    """(cms scenario 25)"""
    if not isinstance(desk, WordPressDesk):
        pytest.skip("Ghost removes no pictures")
    item, record = desk.published(**story(desk))
    for media in record["media"]:
        desk.peer.rest("DELETE", f"/wp/v2/media/{media['remote_id']}", force="true")
    record = desk.run_until_settled(desk.wish(desk.change(item, headline="Another")))
    assert record["status"] == "published", record["error"]
    shown = desk.peer.rest("GET", f"/wp/v2/posts/{record['external_id']}")
    assert str(shown["featured_media"]) in {media["remote_id"] for media in record["media"]}
    assert all(desk.visit(media["remote_url"]) == 200 for media in record["media"])


KILL = {"state": "killed", "headline": "Kill", "body_html": "<p>Withdrawn.</p>"}


def done(desk: RealDesk, item: Document, what: str) -> Document:
    """Correct, retract or kill a story; return its record."""
    if what == "update":
        changed = desk.change(item, headline="Another", body_html="<p>Lakes rose.</p>")
        return desk.run_until_settled(desk.wish(changed))
    changed = desk.change(item, **(KILL if what == "kill" else {"state": "unpublished"}))
    return desk.run_until_settled(desk.wish(changed, "retract"))


@pytest.mark.parametrize("what", ["update", "retract", "kill"])
@pytest.mark.parametrize("moves", [False, True], ids=["restored", "rebased"])
def test_a_post_of_somebody_else_that_has_our_id(desk: RealDesk, what: str, moves: bool) -> None:
    """It stays as it is, to the last byte; ours is made anew where it is to be shown."""
    item, record = desk.published(**story(desk))
    desk.clock.advance(minutes=5)
    desk.restore(record)
    before = desk.stored(record["external_id"])
    assert "Theirs" in str(before)
    with Proxy(desk.peer.url) as other:
        if moves:
            desk.rebase(other)

        after = done(desk, item, what)

        assert desk.stored(record["external_id"]) == before
        if what == "update":
            assert after["status"] == "published", after["error"]
            assert desk.ours(after) == [after["external_id"]] != [record["external_id"]]
            assert desk.tags(after)
            assert "Lakes rose." in desk.page(after["external_url"])[1]
        else:
            assert after["status"] == "retracted", after["error"]
            assert desk.ours(after) == []


@pytest.mark.parametrize("what", ["update", "retract", "kill"])
def test_a_post_that_came_along_to_another_address(desk: RealDesk, what: str) -> None:
    """It is ours by its marker: there is no second one."""
    item, record = desk.published(**story(desk))
    with Proxy(desk.peer.url) as other:
        desk.rebase(other)

        after = done(desk, item, what)

        assert after["external_id"] == record["external_id"]
        if what == "update":
            assert after["status"] == "published", after["error"]
            assert desk.ours(after) == [record["external_id"]]
        else:
            assert after["status"] == "retracted", after["error"]
            assert desk.visit(record["external_url"]) == 404


@pytest.mark.parametrize(("what", "costs"), [("update", 2), ("retract", 1), ("kill", 2)])
def test_requests_for_a_post_that_was_just_seen(desk: RealDesk, what: str, costs: int) -> None:
    item, _ = desk.published()
    before = len(desk.proxy.requests)
    done(desk, item, what)
    assert len(desk.proxy.requests) - before == costs
