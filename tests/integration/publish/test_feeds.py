"""Feeds of what subscribers have received (formats contract 8 row 4)."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import feedparser
import pytest
from bson import ObjectId
from lxml import etree

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.commands import CommandCounter
from tests.support.feeds import ATOM, TOMBSTONES, assert_valid_feed
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.services import empty_services

NAMES = {"a": ATOM, "at": TOMBSTONES}
PUBLIC = "http://127.0.0.1:5000/api/"


@pytest.fixture
def eager() -> bool:
    """Tasks run at once."""
    return True


class Reader:
    """A feed reader that knows a token."""

    def __init__(self, client: Any, token: str) -> None:
        self.client = client
        self.token = token

    def get(self, kind: str, *, headers: Mapping[str, str] | None = None, **arguments: Any) -> Any:
        path = f"feeds/{self.token}/{kind}"
        return self.client.request("GET", path, query_string=arguments, headers=headers or {})

    def follow(self, address: str) -> Any:
        """Get an address that a feed names."""
        return self.client.request("GET", address.removeprefix(PUBLIC))

    def titles(self, kind: str, **arguments: Any) -> list[str]:
        """Return the titles of a feed, read as its readers do."""
        return titles(self.get(kind, **arguments))


def titles(answer: Any) -> list[str]:
    assert 200 == answer.status_code, answer.text
    if answer.mimetype == "application/feed+json":
        return [item["title"] for item in answer.get_json(force=True)["items"]]
    parsed = feedparser.parse(answer.data)
    assert not parsed.bozo, parsed.get("bozo_exception")
    return [entry["title"] for entry in parsed["entries"]]


@pytest.fixture
def commands() -> CommandCounter:
    return CommandCounter()


@pytest.fixture
def graph(
    settings: Mapping[str, Any], clock: HandClock, commands: CommandCounter
) -> Iterator[Graph]:
    with empty_services(settings, clock=clock, listeners=[commands]) as built:
        yield built


@pytest.fixture
def product(desk: Newsdesk) -> ObjectId:
    return desk.newsroom.product("Everything")


@pytest.fixture
def subscriber(desk: Newsdesk, product: ObjectId) -> ObjectId:
    """A subscriber that fetches only: nothing is pushed to it."""
    return desk.newsroom.subscriber("Daily Planet", products=[], api_products=[product])


def reader_of(desk: Newsdesk, client: Any, subscriber: ObjectId, **fields: Any) -> Reader:
    body = {"subscriber": str(subscriber), **fields}
    return Reader(client, desk.client.create("subscriber_token", body)["_id"])


@pytest.fixture
def reader(desk: Newsdesk, anonymous: Any, subscriber: ObjectId) -> Reader:
    return reader_of(desk, anonymous, subscriber)


KINDS = ("atom", "rss", "json")


class TestEntries:
    @pytest.mark.parametrize("kind", KINDS)
    def test_newest_first(
        self, desk: Newsdesk, reader: Reader, clock: HandClock, kind: str
    ) -> None:
        """What was routed last stands first; what nobody published is not there."""
        for headline in ("First", "Second"):
            desk.published(headline=headline)
            clock.advance(seconds=5)
        desk.story(headline="Draft")

        assert ["Second", "First"] == reader.titles(kind)

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_correction_takes_the_place_of_its_story(
        self, desk: Newsdesk, reader: Reader, clock: HandClock, kind: str
    ) -> None:
        """One entry for each item, in the version that the subscriber received last."""
        story = desk.published(headline="First")
        clock.advance(seconds=5)
        desk.published(headline="Second")
        clock.advance(seconds=5)
        desk.act("correct", story, headline="First, corrected")

        assert ["First, corrected", "Second"] == reader.titles(kind)

    def test_killed_items(self, desk: Newsdesk, reader: Reader, clock: HandClock) -> None:
        """Formats scenario 48: gone from RSS and JSON Feed, a tombstone (RFC 6721) in Atom."""
        story = desk.published(headline="Wrong")
        desk.published(headline="Right")
        clock.advance(seconds=5)
        desk.act("kill", story, headline="Kill notice")

        assert ["Right"] == reader.titles("rss") == reader.titles("json") == reader.titles("atom")
        root = etree.fromstring(reader.get("atom").data)
        (stone,) = root.findall("at:deleted-entry", NAMES)
        assert story["guid"] == stone.get("ref")
        assert "2030-01-01T12:00:05Z" == stone.get("when")
        assert not any(
            word in reader.get(kind).text for kind in KINDS for word in ("Wrong", "Kill")
        )

    def test_who_did_not_receive_it_does_not_see_it(
        self, desk: Newsdesk, reader: Reader, anonymous: Any
    ) -> None:
        """A subscriber sees what it is entitled to."""
        nothing = desk.newsroom.product("Elsewhere", geo_restrictions="QLD")
        other = desk.newsroom.subscriber("Other", products=[], api_products=[nothing])
        desk.published(headline="Ours")

        assert ["Ours"] == reader.titles("json")
        assert [] == reader_of(desk, anonymous, other).titles("json")

    def test_associated_items_need_to_be_received_too(self, desk: Newsdesk, reader: Reader) -> None:
        """Routing contract 8.8: an association that does not match the subscriber is not shown."""

        def picture(address: str) -> Document:
            return {"original": {"href": address, "mimetype": "image/jpeg"}}

        regions = [{"qcode": "QLD", "name": "Queensland", "allow": True}]
        ours, theirs = "https://example.com/ours.jpg", "https://example.com/theirs.jpg"
        desk.published(
            associations={
                "featuremedia": {"_id": "a", "type": "picture", "renditions": picture(ours)},
                "editor_0": {
                    "_id": "b",
                    "type": "picture",
                    "renditions": picture(theirs),
                    "target_regions": regions,
                },
            }
        )

        for kind in KINDS:
            text = reader.get(kind).text
            assert ours in text
            assert theirs not in text

    def test_embargoed_items_wait(self, desk: Newsdesk, reader: Reader, clock: HandClock) -> None:
        """What feed readers show is public, so an embargo has to be over first."""
        desk.published(embargo="2030-01-01T13:00:00+0000")

        before = reader.get("json")
        assert [] == titles(before)
        assert "Last-Modified" not in before.headers

        clock.advance(hours=2)
        headers = {"If-None-Match": before.headers["ETag"]}
        assert ["Rivers rise"] == titles(reader.get("json", headers=headers))

    def test_packages_are_no_entries(self, desk: Newsdesk, reader: Reader) -> None:
        """A feed holds stories and media; what holds them together is no text to read."""
        desk.newsroom.validators(item_type="composite")
        story = desk.story(headline="Inside")
        groups = [
            {"id": "root", "refs": [{"idRef": "main"}]},
            {"id": "main", "refs": [{"residRef": story["_id"]}]},
        ]
        desk.act("publish", desk.story(type="composite", headline="Package", groups=groups))

        assert ["Inside"] == reader.titles("atom")


class TestProducts:
    def test_only_what_the_product_takes(
        self, desk: Newsdesk, anonymous: Any, product: ObjectId, clock: HandClock
    ) -> None:
        """A feed may be narrowed to one of the subscriber's products."""
        regional = desk.newsroom.product("Queensland", geo_restrictions="QLD")
        subscriber = desk.newsroom.subscriber("Both", products=[], api_products=[product, regional])
        reader = reader_of(desk, anonymous, subscriber)
        regions = [{"qcode": "QLD", "name": "Queensland", "allow": True}]
        desk.published(headline="Everywhere")
        clock.advance(seconds=5)
        desk.published(headline="Up north", target_regions=regions)

        assert ["Up north", "Everywhere"] == reader.titles("rss")
        assert ["Up north"] == reader.titles("rss", product=str(regional))
        assert ["Everywhere"] == reader.titles("rss", product=str(product))
        root = etree.fromstring(reader.get("atom", product=str(regional)).data)
        assert root.findtext("a:title", namespaces=NAMES).endswith("Both, Queensland")

    def test_products_of_others(self, desk: Newsdesk, reader: Reader) -> None:
        """A product that the subscriber does not list is not to be had."""
        other = desk.newsroom.product("Other")
        assert [404, 404] == [
            reader.get("rss", product=product).status_code for product in (str(other), "nonsense")
        ]


class TestPages:
    def test_pages_hold_everything_once(
        self, desk: Newsdesk, reader: Reader, clock: HandClock
    ) -> None:
        """RFC 5005: `next` leads through the whole feed, also while new items arrive."""
        for number in range(5):
            desk.published(headline=f"Story {number}")
            # Some at the same moment: the order needs more than the time.
            clock.advance(milliseconds=number % 2)

        def walk(kind: str) -> Iterator[list[str]]:
            answer = reader.get(kind, max_results="2")
            while True:
                yield titles(answer)
                address = next_address(kind, answer)
                if address is None:
                    return
                desk.published(headline="New meanwhile")
                answer = reader.follow(address)

        for kind in KINDS:
            pages = list(walk(kind))
            stories = [t for page in pages for t in page if t.startswith("Story")]
            assert [f"Story {number}" for number in range(5)] == sorted(stories)
            assert all(len(page) <= 2 for page in pages)

    def test_atom_names_the_first_page(self, desk: Newsdesk, reader: Reader) -> None:
        """RFC 5005: every page says where the newest entries are."""
        for _ in range(3):
            desk.published()
        first = reader.get("atom", max_results="1")
        second = reader.follow(str(next_address("atom", first)))
        links = {
            link.get("rel"): link.get("href")
            for link in etree.fromstring(second.data).findall("a:link", NAMES)
        }
        assert links["first"].endswith("/atom?max_results=1")
        assert links["self"] == next_address("atom", first)

    @pytest.mark.parametrize(
        "arguments",
        [
            {"before": "x"},
            {"before": "9" * 30},
            {"max_results": "0"},
            {"max_results": "-1"},
            {"max_results": "many"},
        ],
    )
    def test_bad_arguments(self, reader: Reader, arguments: Mapping[str, str]) -> None:
        """Bad input is told."""
        assert 400 == reader.get("atom", **arguments).status_code


def next_address(kind: str, answer: Any) -> str | None:
    if kind == "json":
        address = answer.get_json(force=True).get("next_url")
        return str(address) if address else None
    root = etree.fromstring(answer.data)
    found = root.xpath("//a:link[@rel='next']/@href", namespaces=NAMES)
    return str(found[0]) if found else None


class TestTokens:
    @pytest.mark.parametrize("kind", KINDS)
    def test_unknown_and_expired(
        self, desk: Newsdesk, anonymous: Any, subscriber: ObjectId, clock: HandClock, kind: str
    ) -> None:
        """Routing contract 9.1: 401 for a token that stands for nobody, or no longer."""
        reader = reader_of(desk, anonymous, subscriber, expiry_days=1)
        assert 200 == reader.get(kind).status_code
        clock.advance(days=2)
        assert [401, 401] == [
            each.get(kind).status_code for each in (reader, Reader(anonymous, "guess"))
        ]

    def test_inactive_subscribers(self, desk: Newsdesk, reader: Reader) -> None:
        """Routing contract 9.1: whoever is switched off reads nothing."""
        desk.db["subscribers"].update_many({}, {"$set": {"is_active": False}})
        assert 401 == reader.get("rss").status_code

    def test_unknown_kinds(self, reader: Reader) -> None:
        """There are three kinds of feeds."""
        assert 404 == reader.get("html").status_code

    def test_tokens_with_slashes(
        self, desk: Newsdesk, anonymous: Any, subscriber: ObjectId
    ) -> None:
        """Tokens hold `/`, `+` and `=`; feeds name their own address whole.

        Routing contract 9.1.
        """
        desk.db["subscriber_token"].insert_one({"_id": "a/b+c==", "subscriber": subscriber})
        desk.published()
        answer = Reader(anonymous, "a/b+c==").get("json")
        address = answer.get_json(force=True)["feed_url"]
        assert ["Rivers rise"] == titles(Reader(anonymous, "").follow(address))


class TestCaching:
    @pytest.mark.parametrize("kind", KINDS)
    def test_nothing_new(self, desk: Newsdesk, reader: Reader, clock: HandClock, kind: str) -> None:
        """ETag and Last-Modified: 304 without a body until something changes."""
        story = desk.published()
        clock.advance(seconds=5)
        first = reader.get(kind)
        known = [
            {"If-None-Match": first.headers["ETag"]},
            {"If-Modified-Since": first.headers["Last-Modified"]},
        ]
        for headers in known:
            answer = reader.get(kind, headers=headers)
            assert (304, b"") == (answer.status_code, answer.data)
            assert first.headers["ETag"] == answer.headers["ETag"]

        desk.act("correct", story, headline="Rivers fall")
        clock.advance(seconds=5)

        for headers in known:
            assert ["Rivers fall"] == titles(reader.get(kind, headers=headers))

    def test_changes_within_one_second_are_told(self, desk: Newsdesk, reader: Reader) -> None:
        """A time to the second cannot tell two changes within it apart, so none is given."""
        desk.published()
        answer = reader.get("rss")
        assert "Last-Modified" not in answer.headers
        assert "private" in answer.headers["Cache-Control"]

    def test_an_empty_feed(self, reader: Reader) -> None:
        """Nothing received yet: a feed without entries."""
        for kind in KINDS:
            answer = reader.get(kind)
            assert [] == titles(answer)
            assert_valid_feed(kind, answer.data)

    def test_commands_do_not_grow(
        self, desk: Newsdesk, reader: Reader, commands: CommandCounter, clock: HandClock
    ) -> None:
        """Twenty entries cost as many commands as two, and an unchanged feed fewer."""

        def cost(**headers: str) -> int:
            before = commands.count
            reader.get("atom", headers=headers)
            return commands.count - before

        def publish(count: int) -> None:
            for _ in range(count):
                user = desk.db["users"].insert_one({"username": str(ObjectId())}).inserted_id
                desk.published(authors=[{"parent": str(user), "name": "Jane"}])

        publish(2)
        two = cost()
        publish(18)
        assert two == cost()
        assert two > cost(**{"If-None-Match": reader.get("atom").headers["ETag"]})

    def test_uses_its_index(self, desk: Newsdesk, reader: Reader, subscriber: ObjectId) -> None:
        """The page is found by the index that is there for it."""
        desk.published()
        query = {"receivers": subscriber}
        found = desk.db["recipients"].find(query).sort([("routed_at", -1), ("_id", -1)])
        plan = json.dumps(found.explain()["queryPlanner"]["winningPlan"], default=str)
        assert "receivers_1_routed_at_-1__id_-1" in plan


class TestValid:
    @pytest.mark.parametrize("kind", KINDS)
    def test_is_valid(self, desk: Newsdesk, reader: Reader, clock: HandClock, kind: str) -> None:
        """Valid by the schemas, with a killed item and a picture of its own.

        Formats scenario 48.
        """
        original = {"href": "https://example.com/a b.jpg", "mimetype": "image/jpeg"}
        media = {"_id": "p", "type": "picture", "headline": "Flood", "description_text": "A & B"}
        thumbnail = {"href": "https://example.com/t.jpg"}
        renditions = {"original": {**original, "width": 800, "height": 600}, "thumbnail": thumbnail}
        desk.published(
            headline="Rivers &amp; <b>lakes</b>\x0b",
            abstract="<p>Short</p>",
            body_html="<p>One<br>two</p>]]>",
            authors=[{"name": "Jane"}],
            subject=[{"qcode": "17000000", "name": "weather"}],
            keywords=["flood"],
            associations={"featuremedia": {**media, "renditions": renditions}},
        )
        killed = desk.published(headline="Wrong")
        clock.advance(seconds=5)
        desk.act("kill", killed)

        answer = reader.get(kind, max_results="1")
        assert_valid_feed(kind, answer.data)
        whole = reader.get(kind)
        assert_valid_feed(kind, whole.data)
        assert "https://example.com/a%20b.jpg" in whole.text
        assert ["Rivers & lakes"] == titles(whole)
