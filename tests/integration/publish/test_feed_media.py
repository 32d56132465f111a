"""Pictures that feeds link to are for whoever has the feed (formats contract 8 row 4)."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from bson import ObjectId

from apps.content_api.tokens.service import file_key
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.feeds import assert_valid_feed
from tests.support.newsdesk import HandClock, Newsdesk

PUBLIC = "http://127.0.0.1:5000/api/"
PNG = b"\x89PNG\r\n\x1a\n a picture"
KINDS = ("atom", "rss", "json")


@pytest.fixture
def eager() -> bool:
    """Tasks run at once."""
    return True


class Subscriber:
    """A subscriber with a token, and somebody outside who has the address of its feed."""

    def __init__(self, desk: Newsdesk, client: Client, name: str, **product: Any) -> None:
        self._client = client
        found = desk.newsroom.product(name, **product)
        self.id = desk.newsroom.subscriber(name, products=[], api_products=[found])
        self.tokens = [self.add_token(desk)]

    def add_token(self, desk: Newsdesk, **fields: Any) -> str:
        body = {"subscriber": str(self.id), **fields}
        return str(desk.client.create("subscriber_token", body)["_id"])

    def feed(self, kind: str, token: str = "") -> str:
        answer = self._client.request("GET", f"feeds/{token or self.tokens[0]}/{kind}")
        assert 200 == answer.status_code
        assert_valid_feed(kind, answer.data)
        return str(answer.text)

    def links(self, kind: str = "atom", token: str = "") -> list[str]:
        """Return the addresses of files that a feed names, each once."""
        found = re.findall(rf"{PUBLIC}feed_media/[^\"'&<\s\\\\]+", self.feed(kind, token))
        return list(dict.fromkeys(found))

    def follow(self, address: str, **headers: str) -> Any:
        path = address.removeprefix(PUBLIC)
        return self._client.request("GET", path, headers=headers)


def file_of(graph: Graph, number: int = 0) -> Document:
    """Return a rendition with a file of its own."""
    media = graph.media.put(PNG + bytes([number]), "flood.png", "image/png")
    href = f"{PUBLIC}upload-raw/{media}"
    return {"media": str(media), "href": href, "mimetype": "image/png", "width": 800}


def picture(id_: str, rendition: Mapping[str, Any], **fields: Any) -> Document:
    return {"_id": id_, "type": "picture", "renditions": {"original": rendition}, **fields}


@pytest.fixture
def subscriber(desk: Newsdesk, anonymous: Client) -> Subscriber:
    return Subscriber(desk, anonymous, "Daily Planet")


@pytest.fixture
def rendition(graph: Graph) -> Document:
    return file_of(graph)


class TestReaders:
    @pytest.mark.parametrize("kind", KINDS)
    def test_see_the_pictures_of_a_story(
        self, desk: Newsdesk, subscriber: Subscriber, rendition: Document, kind: str
    ) -> None:
        """The feed is all that they have; the rest of the API asks for more."""
        desk.published(associations={"featuremedia": picture("p", rendition)})

        (address,) = subscriber.links(kind)
        answer = subscriber.follow(address)

        assert (200, PNG + b"\0") == (answer.status_code, answer.data)
        assert "image/png" == answer.mimetype
        assert answer.cache_control.private
        assert not answer.cache_control.public
        assert 401 == subscriber.follow(rendition["href"]).status_code

    def test_know_how_large_a_file_is(
        self, desk: Newsdesk, subscriber: Subscriber, rendition: Document
    ) -> None:
        """RSS has no enclosure without its length, which renditions do not say."""
        desk.published(associations={"featuremedia": picture("p", rendition)})

        (address,) = subscriber.links("rss")
        length = len(PNG) + 1
        enclosure = f'<enclosure url="{address}" length="{length}" type="image/png"/>'
        assert enclosure in subscriber.feed("rss")
        assert f'"size_in_bytes":{length}' in subscriber.feed("json")

    def test_get_parts_and_nothing_twice(
        self, desk: Newsdesk, subscriber: Subscriber, rendition: Document
    ) -> None:
        """Players ask for parts; what a browser has is not sent again."""
        desk.published(associations={"featuremedia": picture("p", rendition)})
        (address,) = subscriber.links()

        part = subscriber.follow(address, Range="bytes=1-3")
        known = subscriber.follow(address, **{"If-None-Match": part.headers["ETag"]})

        assert (206, b"PNG") == (part.status_code, part.data)
        assert 304 == known.status_code

    def test_see_pictures_in_the_text(
        self, desk: Newsdesk, graph: Graph, subscriber: Subscriber
    ) -> None:
        """Addresses in the text are those of the renditions, also where they are relative."""
        one, two = file_of(graph, 1), {**file_of(graph, 2), "href": "/api/upload-raw/2?a&b"}
        body = f'<p><img src="{one["href"]}"> <img src="/api/upload-raw/2?a&amp;b"></p>'
        held = {"editor_0": picture("p", one), "editor_1": picture("q", two)}
        desk.published(body_html=body, associations=held)

        item = subscriber.feed("json")
        links = subscriber.links("json")

        assert 2 == len(links)
        assert all(item.count(link) > 1 for link in links)
        assert "upload-raw" not in item
        assert [PNG + b"\1", PNG + b"\2"] == [subscriber.follow(link).data for link in links]

    def test_see_pictures_of_their_own(
        self, desk: Newsdesk, subscriber: Subscriber, rendition: Document
    ) -> None:
        """An item may be a picture itself."""
        desk.published(type="picture", renditions={"original": rendition})

        (address,) = subscriber.links()
        assert address.endswith(f"/{rendition['media']}.png")
        assert 200 == subscriber.follow(address).status_code

    def test_learn_nothing_of_the_token(
        self, desk: Newsdesk, subscriber: Subscriber, rendition: Document
    ) -> None:
        """Pictures are shown on pages that anybody may see."""
        desk.published(associations={"featuremedia": picture("p", rendition)})

        (address,) = subscriber.links()
        assert not any(part in address for part in subscriber.tokens[0].split("/") if len(part) > 5)

    def test_with_a_token_that_others_wrote(
        self, desk: Newsdesk, subscriber: Subscriber, rendition: Document
    ) -> None:
        """Routing contract 9.1: tokens that stand in the database as they are."""
        desk.db["subscriber_token"].insert_one({"_id": "a/b+c==", "subscriber": subscriber.id})
        desk.published(associations={"featuremedia": picture("p", rendition)})

        (address,) = subscriber.links("rss", "a/b+c==")
        assert 200 == subscriber.follow(address).status_code


class TestRefusals:
    def test_a_key_opens_one_file(
        self, desk: Newsdesk, graph: Graph, subscriber: Subscriber
    ) -> None:
        """401 for another file, for another subscriber, and for what is no key."""
        desk.published(associations={"featuremedia": picture("p", file_of(graph, 1))})
        desk.published(associations={"featuremedia": picture("q", file_of(graph, 2))})
        first, second = (link.rsplit("/", 3) for link in subscriber.links())
        base, owner, key, name = first

        wrong = [
            f"{base}/{owner}/{key}/{second[3]}",
            f"{base}/{ObjectId()}/{key}/{name}",
            f"{base}/nobody/{key}/{name}",
            f"{base}/{owner}/{key[:-1]}/{name}",
            f"{base}/{owner}/ü/{name}",
        ]
        answers = [subscriber.follow(address) for address in wrong]

        assert [401] * len(wrong) == [answer.status_code for answer in answers]
        assert {"auth": 1} == answers[0].get_json()["_issues"]

    def test_files_of_others(
        self, desk: Newsdesk, graph: Graph, anonymous: Client, subscriber: Subscriber
    ) -> None:
        """A picture that the subscriber may not see is not linked, and not to be had."""
        regions = [{"qcode": "QLD", "name": "Queensland", "allow": True}]
        north = Subscriber(desk, anonymous, "North", geo_restrictions="QLD")
        theirs = picture("q", file_of(graph, 2), target_regions=regions)
        mark = 'Image {id: "editor_0"}'
        desk.published(
            body_html=f"<p>a</p><!-- EMBED START {mark} --><figure><img src="
            f'"{theirs["renditions"]["original"]["href"]}"><figcaption>Secret</figcaption>'
            f"</figure><!-- EMBED END {mark} -->",
            associations={"featuremedia": picture("p", file_of(graph, 1)), "editor_0": theirs},
        )
        desk.published(headline="Up north", target_regions=regions, associations={"m": theirs})

        assert 1 == len(subscriber.links())
        assert "Secret" not in subscriber.feed("json")
        (address,) = north.links()
        assert 200 == north.follow(address).status_code
        assert 404 == subscriber.follow(key_of(subscriber, theirs)).status_code

    def test_files_that_nothing_shows(
        self, desk: Newsdesk, subscriber: Subscriber, rendition: Document
    ) -> None:
        """404 for drafts, and for files that are in no item."""
        desk.story(associations={"featuremedia": picture("p", rendition)})

        assert 404 == subscriber.follow(key_of(subscriber, picture("p", rendition))).status_code

    def test_withdrawn_and_embargoed(
        self, desk: Newsdesk, graph: Graph, subscriber: Subscriber, clock: HandClock
    ) -> None:
        """What leaves the feed takes its pictures along; an embargo has to be over."""
        killed = desk.published(associations={"featuremedia": picture("p", file_of(graph, 1))})
        (gone,) = subscriber.links()
        assert 200 == subscriber.follow(gone).status_code

        desk.act("kill", killed)
        assert 404 == subscriber.follow(gone).status_code

        waiting = picture("q", file_of(graph, 2))
        desk.published(embargo="2030-01-01T13:00:00+0000", associations={"featuremedia": waiting})
        address = key_of(subscriber, waiting)
        assert 404 == subscriber.follow(address).status_code
        clock.advance(hours=2)
        assert [address + ".png"] == subscriber.links("rss")
        assert 200 == subscriber.follow(address).status_code

    def test_a_correction_without_the_picture(
        self, desk: Newsdesk, subscriber: Subscriber, rendition: Document
    ) -> None:
        """The newest version counts."""
        story = desk.published(associations={"featuremedia": picture("p", rendition)})
        (address,) = subscriber.links()
        desk.act("correct", story, associations={"featuremedia": None})

        assert [] == subscriber.links()
        assert 404 == subscriber.follow(address).status_code

    def test_tokens_that_no_longer_count(
        self, desk: Newsdesk, subscriber: Subscriber, rendition: Document, clock: HandClock
    ) -> None:
        """401 once the token has expired or is gone, or the subscriber is switched off."""
        desk.published(associations={"featuremedia": picture("p", rendition)})
        short = subscriber.add_token(desk, expiry_days=1)
        (by_short,) = subscriber.links(token=short)
        (address,) = subscriber.links()
        clock.advance(days=2)
        assert [401, 200] == [subscriber.follow(a).status_code for a in (by_short, address)]

        desk.db["subscribers"].update_many({}, {"$set": {"is_active": False}})
        assert 401 == subscriber.follow(address).status_code
        desk.db["subscribers"].update_many({}, {"$set": {"is_active": True}})
        desk.db["subscriber_token"].delete_many({})
        assert 401 == subscriber.follow(address).status_code


def key_of(subscriber: Subscriber, held: Document) -> str:
    """Return the address of a file as the subscriber's feed would link to it."""
    # Whoever has the token can make it: what counts is whether it is of use.

    media = held["renditions"]["original"]["media"]
    return f"{PUBLIC}feed_media/{subscriber.id}/{file_key(subscriber.tokens[0], media)}/{media}"


class TestElsewhere:
    def test_files_that_are_not_stored_here(self, desk: Newsdesk, subscriber: Subscriber) -> None:
        """They keep the address that they came with."""
        held = picture("p", {"media": str(ObjectId()), "href": "https://example.com/a.jpg"})
        desk.published(associations={"featuremedia": held})

        assert "https://example.com/a.jpg" in subscriber.feed("atom")
        assert [] == subscriber.links()


class TestMediaPrefix:
    @pytest.fixture
    def settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {**settings, "MEDIA_PREFIX": "https://cdn.example.com"}

    def test_wins(self, desk: Newsdesk, graph: Graph, subscriber: Subscriber) -> None:
        """A site that serves media itself is not asked for a key."""
        href = "https://cdn.example.com/a.png"
        held = picture("p", {**file_of(graph), "href": href})
        desk.published(associations={"featuremedia": held})

        assert href in subscriber.feed("rss")
        assert [] == subscriber.links("rss")
