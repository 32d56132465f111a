"""What subscribers read, and how they are refused (routing contract 9, read side)."""

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from bson import ObjectId

import settings as settings_module
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client, log_in, make_user
from tests.support.newsdesk import START, HandClock, Newsdesk
from tests.support.routing import permitting

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


class Reading:
    """A subscriber of the content API with a client that holds its token."""

    def __init__(self, desk: Newsdesk, app: Any, name: str, **fields: Any) -> None:
        products = fields.pop("api_products", None) or [desk.newsroom.product(f"of {name}")]
        id_ = desk.newsroom.subscriber(name, products=[], api_products=products, **fields)
        self.id = str(id_)
        self.token = desk.client.create("subscriber_token", {"subscriber": self.id})["_id"]
        self.client = Client(app, self.token)

    def get(self, path: str, **arguments: Any) -> Document:
        answer = self.client.get(path, **arguments)
        assert 200 == answer.status_code, answer.text
        return dict(answer.get_json())

    def ids(self, path: str = "items", **arguments: Any) -> list[str]:
        return [item["_id"] for item in self.get(path, **arguments)["_items"]]


@pytest.fixture
def reader(desk: Newsdesk, app: Any) -> Reading:
    """A subscriber that may read everything."""
    return Reading(desk, app, "Reader")


@pytest.fixture
def other(desk: Newsdesk, app: Any) -> Reading:
    """A subscriber that may read nothing."""
    only = permitting(desk, "slugline", "eq", "nothing like it")
    return Reading(
        desk, app, "Other", api_products=[desk.newsroom.product("x", content_filter=only)]
    )


@pytest.fixture
def store(graph: Graph, reader: Reading) -> Callable[..., None]:
    """Put an item into the store, as somebody else might have written it."""

    def put(id_: str, **fields: Any) -> None:
        item = {
            "_id": id_,
            "type": "text",
            "version": "1",
            "headline": id_,
            "versioncreated": START,
            "subscribers": [reader.id],
            **fields,
        }
        graph.db["items"].insert_one(item)

    return put


Store = Callable[..., None]


class TestWhoReads:
    def test_only_its_subscribers_see_an_item(
        self, desk: Newsdesk, graph: Graph, reader: Reading, other: Reading
    ) -> None:
        """Routing scenario 41: it is not there for the others, neither in lists nor by id.

        Delivery scenario 38: the row is success when the item can be read.
        """
        item = desk.published()
        graph.enqueue.run()
        (row,) = desk.rows(subscriber_id=ObjectId(reader.id))
        assert "success" == row["state"]

        assert [item["_id"]] == reader.ids()
        assert "Rivers rise" == reader.get(f"items/{item['_id']}")["headline"]
        assert [] == other.ids()
        refused = other.client.get(f"items/{item['_id']}")
        assert 404 == refused.status_code
        assert 404 == refused.get_json()["_error"]["code"]

    @pytest.mark.parametrize("form", ["Token {}", "Bearer {}", "{}", "Basic"])
    def test_tokens_come_in_any_form(self, anonymous: Client, reader: Reading, form: str) -> None:
        """`Token`, `Bearer`, bare, or as the user name of Basic."""
        basic = "Basic " + b64encode(f"{reader.token}:".encode()).decode()
        header = basic if form == "Basic" else form.format(reader.token)

        answer = anonymous.request("GET", "items", headers={"Authorization": header})

        assert 200 == answer.status_code

    @pytest.mark.parametrize("path", ["items", "items/x", "packages", "packages/x", "assets/x"])
    def test_nobody_reads_without_a_token(
        self, anonymous: Client, app: Any, reader: Reading, path: str
    ) -> None:
        """No token, and one that stands for nobody."""
        for client in (anonymous, Client(app, "made-up")):
            answer = client.get(path)
            assert 401 == answer.status_code
            assert {
                "_status": "ERR",
                "_message": "",
                "_issues": {"auth": 1},
                "internal_error": 401,
            } == answer.get_json()

    def test_an_expired_token_is_gone(
        self, desk: Newsdesk, graph: Graph, app: Any, reader: Reading, clock: HandClock
    ) -> None:
        """Routing scenario 41: 401, and it does not come back."""
        body = {"subscriber": reader.id, "expiry_days": 7}
        token = desk.client.create("subscriber_token", body)["_id"]
        assert 200 == Client(app, token).get("items").status_code
        clock.advance(days=7)

        assert 401 == Client(app, token).get("items").status_code
        (left,) = desk.client.get("subscriber_token").get_json()["_items"]
        assert (reader.token, False) == (left["_id"], "expiry" in left)
        assert 404 == desk.client.get(f"subscriber_token/{quote(token)}").status_code
        assert 200 == reader.client.get("items").status_code

    def test_inactive_subscribers_do_not_read(self, graph: Graph, reader: Reading) -> None:
        """Their tokens answer 401."""
        graph.db["subscribers"].update_one(
            {"_id": ObjectId(reader.id)}, {"$set": {"is_active": False}}
        )

        assert 401 == reader.client.get("items").status_code

    def test_tokens_open_nothing_else(self, reader: Reading) -> None:
        """The rest of the API is for users."""
        for path in ("archive", "published", "subscribers", "search_capi", "upload-raw/x"):
            assert 401 == reader.client.get(path).status_code

    def test_every_answer_is_audited(self, desk: Newsdesk, graph: Graph, reader: Reading) -> None:
        """One row for each item served, by list or by id."""
        item = desk.published()
        graph.enqueue.run()

        reader.ids()
        reader.get(f"items/{item['_id']}")

        rows = list(graph.db["api_audit"].find({}, {"_id": 0, "_created": 0, "_updated": 0}))
        assert [
            {
                "type": "text",
                "subscriber": reader.id,
                "uri": f"http://127.0.0.1:5000/api/items/{quote(item['_id'])}",
                "items_id": item["_id"],
                "version": str(item["_current_version"]),
                "remote_addr": "127.0.0.1",
            }
        ] * 2 == rows


class TestShape:
    def test_internal_fields_stay_inside(
        self, desk: Newsdesk, graph: Graph, reader: Reading
    ) -> None:
        """No etags, subscribers or ancestors; the address is absolute."""
        first = desk.published()
        update = desk.client.create(f"archive/{first['_id']}/rewrite", {})
        update = desk.act("publish", update)
        graph.enqueue.run()

        item = reader.get(f"items/{update['_id']}")

        hidden = "_etag _created _updated subscribers _current_version _latest_version ancestors"
        assert not set(hidden.split()) & set(item)
        assert f"http://127.0.0.1:5000/api/items/{quote(update['_id'])}" == item["uri"]
        assert first["_id"] == item["evolvedfrom"]

    def test_media_ids_become_addresses(self, reader: Reading, store: Store) -> None:
        """Of the item and of its associations, and in the text."""
        rendition = {"href": "http://inside/m1", "media": "m1", "mimetype": "image/jpeg"}
        photo = {"_id": "photo", "type": "picture", "subscribers": [reader.id]}
        store(
            "a",
            body_html='<img src="http://inside/m1">',
            renditions={"original": dict(rendition), "gone": None},
            associations={
                "featuremedia": {**photo, "renditions": {"original": dict(rendition)}},
                "gone": None,
            },
            attachments=[{"title": "Budget", "media": "m2"}],
        )

        item = reader.get("items/a")

        served = {"href": "http://127.0.0.1:5000/api/assets/m1", "mimetype": "image/jpeg"}
        assert {"original": served} == item["renditions"]
        assert {"original": served} == item["associations"]["featuremedia"]["renditions"]
        assert ["featuremedia"] == list(item["associations"])
        assert "subscribers" not in item["associations"]["featuremedia"]
        assert '<img src="http://127.0.0.1:5000/api/assets/m1">' == item["body_html"]
        (attachment,) = item["attachments"]
        assert "http://127.0.0.1:5000/api/assets/m2" == attachment["href"]
        assert "media" not in attachment

    def test_associations_are_for_those_they_match(
        self, desk: Newsdesk, graph: Graph, app: Any
    ) -> None:
        """S3 sees the picture, S1 sees the item without it; also once S3's is gone.

        Routing scenario 40.
        """
        texts = desk.newsroom.product(
            "texts", content_filter=permitting(desk, "type", "eq", "text")
        )
        pictures = desk.newsroom.product(
            "pictures", content_filter=permitting(desk, "source", "eq", "own")
        )
        s1 = Reading(desk, app, "S1", api_products=[texts])
        s3 = Reading(desk, app, "S3", api_products=[texts, pictures])
        photo = {"_id": "photo", "guid": "photo", "type": "picture", "source": "own"}
        held = {"featuremedia": {**photo, "headline": "Flood", "_fetchable": False}}
        item = desk.published(associations=held)
        graph.enqueue.run()
        path = f"items/{item['_id']}"

        assert {} == s1.get(path)["associations"]
        assert "Flood" == s3.get(path)["associations"]["featuremedia"]["headline"]

        less = {"api_products": [str(texts)]}
        assert 200 == desk.client.patch(f"subscribers/{s3.id}", less).status_code
        desk.act("correct", item, headline="Rivers fall")
        graph.enqueue.run()

        for subscriber, seen in ((s1, []), (s3, ["Flood"])):
            (listed,) = subscriber.get("items")["_items"]
            for shown in (subscriber.get(path), listed):
                assert "Rivers fall" == shown["headline"]
                held_now = shown["associations"].values()
                assert seen == [picture["headline"] for picture in held_now]
        late = desk.published(associations=held)
        graph.enqueue.run()
        assert {} == s3.get(f"items/{late['_id']}")["associations"]

    def test_media_in_the_text_are_associations_too(self, reader: Reading, store: Store) -> None:
        """What the reader may not see is not in the text either."""

        def block(key: str) -> str:
            mark = f'Image {{id: "{key}"}}'
            return f"<!-- EMBED START {mark} --><img id={key}><!-- EMBED END {mark} -->"

        store(
            "a",
            body_html=f"<p>One</p>{block('editor_0')}<p>Two</p>{block('editor_1')}",
            associations={
                "editor_0": {"_id": "theirs", "type": "picture", "subscribers": []},
                "editor_1": {"_id": "mine", "type": "picture", "subscribers": [reader.id]},
            },
        )

        item = reader.get("items/a")

        assert f"<p>One</p><p>Two</p>{block('editor_1')}" == item["body_html"]
        assert ["editor_1"] == list(item["associations"])

    def test_extra_items_are_filtered_like_associations(
        self, reader: Reading, store: Store
    ) -> None:
        """They hold the same items once more."""
        items = [
            {"_id": "mine", "subscribers": [reader.id]},
            {"_id": "theirs", "subscribers": ["somebody"]},
        ]
        store("a", extra_items={"gallery": {"type": "media", "items": items}})

        (item,) = reader.get("items/a")["extra_items"]["gallery"]["items"]

        assert {"_id": "mine"} == item

    def test_killed_items_show_that_they_are(
        self, desk: Newsdesk, graph: Graph, reader: Reading
    ) -> None:
        """The item is canceled, its versions cannot be read any more."""
        item = desk.published()
        graph.enqueue.run()
        path, version = f"items/{item['_id']}", item["_current_version"]
        assert "usable" == reader.get(path, version=version)["pubstatus"]
        desk.act("kill", item)
        graph.enqueue.run()

        assert "canceled" == reader.get(path)["pubstatus"]
        assert 404 == reader.client.get(path, version=version).status_code
        assert 404 == reader.client.get(path, version="all").status_code

    def test_versions_can_be_read(
        self, desk: Newsdesk, graph: Graph, reader: Reading, app: Any
    ) -> None:
        """One by its number, or all; only those that the subscriber has received."""
        item = desk.published()
        graph.enqueue.run()
        late = Reading(desk, app, "Late")
        first, path = item["_current_version"], f"items/{item['_id']}"
        desk.act("correct", item, headline="Rivers fall")
        graph.enqueue.run()

        assert "Rivers rise" == reader.get(path, version=first)["headline"]
        every = reader.get(path, version="all")["_items"]
        assert ["Rivers rise", "Rivers fall"] == [version["headline"] for version in every]
        assert 404 == late.client.get(path, version=first).status_code
        assert 404 == reader.client.get(path, version=first + 5).status_code
        assert "Rivers fall" == late.get(path)["headline"]


class TestLists:
    def test_hold_the_last_seven_days(
        self, reader: Reading, store: Store, clock: HandClock
    ) -> None:
        """Without dates: whole days, from seven days ago to today, the newest first."""
        midnight = START.replace(hour=0)
        ages = {
            "today": START + timedelta(hours=11),
            "first": midnight - timedelta(days=7),
            "before": midnight - timedelta(days=7, seconds=1),
            "tomorrow": midnight + timedelta(days=1),
        }
        for id_, moment in ages.items():
            store(id_, versioncreated=moment)

        assert ["today", "first"] == reader.ids()
        assert ["before"] == reader.ids(start_date="2029-12-24", end_date="2029-12-24")
        assert ["before"] == reader.ids(end_date="2029-12-24")
        assert ["today", "first", "before"] == reader.ids(start_date="2029-01-01")

    def test_packages_are_apart(self, reader: Reading, store: Store) -> None:
        """Items and packages have lists of their own, and addresses of their own."""
        store("story")
        store("package", type="composite")

        assert ["story"] == reader.ids("items")
        assert ["package"] == reader.ids("packages")
        package = reader.get("packages/package")
        assert "http://127.0.0.1:5000/api/packages/package" == package["uri"]
        assert 404 == reader.client.get("items/package").status_code
        assert 404 == reader.client.get("packages/story").status_code

    def test_packages_show_the_members_that_may_be_read(
        self, reader: Reading, store: Store
    ) -> None:
        """A member that its subscriber has not received is not in it."""
        store("mine")
        store("theirs", subscribers=["somebody"])
        member = {"type": "text", "subscribers": [reader.id]}
        store(
            "package",
            type="composite",
            associations={
                "main-0": {"_id": "mine", **member},
                "main-1": {"_id": "theirs", **member},
                "main-2": {"_id": "unknown", **member},
            },
        )

        assert ["main-0"] == list(reader.get("packages/package")["associations"])

    def test_packages_are_routed_to_those_who_have_members(
        self, desk: Newsdesk, graph: Graph, reader: Reading, app: Any
    ) -> None:
        """Each reads the package with the members it has."""
        only = permitting(desk, "slugline", "eq", "floods")
        some = Reading(
            desk, app, "Some", api_products=[desk.newsroom.product("y", content_filter=only)]
        )
        stories = [desk.published(slugline="rivers"), desk.published(slugline="floods")]
        refs = [{"residRef": story["_id"]} for story in stories]
        groups = [{"id": "root", "refs": [{"idRef": "main"}]}, {"id": "main", "refs": refs}]
        package = desk.published(type="composite", groups=groups)
        graph.enqueue.run()

        def members(who: Reading) -> list[str]:
            held = who.get(f"packages/{package['_id']}")["associations"]
            return [member["_id"] for member in held.values()]

        assert [story["_id"] for story in stories] == members(reader)
        assert [stories[1]["_id"]] == members(some)

    def test_come_in_pages(self, reader: Reading, store: Store) -> None:
        """`max_results` and `page`, with links and totals."""
        for number in range(5):
            store(f"i{number}", versioncreated=START - timedelta(minutes=number))

        page = reader.get("items", max_results=2, page=2)

        assert ["i2", "i3"] == [item["_id"] for item in page["_items"]]
        assert {"page": 2, "max_results": 2, "total": 5} == page["_meta"]
        assert {"parent", "self", "prev", "next", "last"} == set(page["_links"])
        assert "items?max_results=2&page=3" == page["_links"]["next"]["href"]

    @pytest.mark.parametrize(
        ("arguments", "found"),
        [
            ({"urgency": "1"}, ["a"]),
            ({"urgency": "[1, 3]"}, ["a", "b"]),
            ({"service": "news"}, ["a"]),
            ({"subject": '["02", "04"]'}, ["a", "b"]),
            ({"genre": "Feature"}, ["b"]),
            ({"item_source": "AAP"}, ["a"]),
            ({"priority": "5"}, ["b"]),
            ({"type": "picture"}, ["c"]),
            ({"q": "river"}, ["a"]),
            ({"q": "rivers river"}, []),
            ({"q": "rivers river", "default_operator": "or"}, ["a", "b"]),
            ({"q": "rivers OR river"}, ["a", "b"]),
            ({"q": '"a river"'}, ["a"]),
            ({"q": "river*"}, ["a", "b"]),
            ({"q": "-river type:text"}, ["b"]),
            ({"q": "(river OR rivers) AND NOT slugline:wide"}, ["a"]),
            ({"q": "headline:Öl"}, ["c"]),
            ({"q": "urgency:3"}, ["b"]),
            ({"filter": '[{"term": {"service.code": "news"}}]'}, ["a"]),
            ({"filter": '{"terms": {"urgency": [1, 3]}}'}, ["a", "b"]),
            ({"filter": '{"range": {"urgency": {"gte": 2}}}'}, ["b"]),
            ({"filter": '{"not": {"exists": {"field": "urgency"}}}'}, ["c"]),
            (
                {"filter": '{"bool": {"should": [{"term": {"urgency": 1}}], "must_not": []}}'},
                ["a"],
            ),
            ({"filter": '{"bool": {"must_not": {"term": {"urgency": 1}}}}'}, ["b", "c"]),
            ({"where": '{"headline": "A river"}'}, ["a"]),
            ({"where": '{"$or": [{"urgency": {"$gt": 2}}, {"type": "picture"}]}'}, ["b", "c"]),
            ({"where": '{"versioncreated": {"$gte": "2030-01-01T00:00:00+0000"}}'}, list("abc")),
            ({"related_to": "urn:r"}, ["b"]),
            ({"related_to": "urn:r", "related_source": "elsewhere"}, []),
            ({"related_source": "here"}, ["b"]),
            ({"sort": "-urgency,headline"}, ["b", "a", "c"]),
            ({"sort": "urgency:desc"}, ["b", "a", "c"]),
            ({"sort": '[("headline", -1)]'}, ["c", "b", "a"]),
        ],
    )
    def test_can_be_narrowed(
        self, reader: Reading, store: Store, arguments: Document, found: list[str]
    ) -> None:
        """Every argument (routing contract 9)."""
        code = {"service": [{"code": "news"}], "subject": [{"code": "02", "name": "Rain"}]}
        store("a", headline="A river", urgency=1, source="AAP", versioncreated=START, **code)
        store(
            "b",
            headline="Rivers",
            slugline="wide",
            urgency=3,
            priority=5,
            subject=[{"code": "04"}],
            genre=[{"code": "Feature"}],
            refs=[{"guid": "urn:r", "source": "here"}],
            versioncreated=START - timedelta(minutes=1),
        )
        moment = START - timedelta(minutes=2)
        store("c", headline="Öl", type="picture", versioncreated=moment)

        assert found == reader.ids(**arguments)

    def test_fields_can_be_chosen(self, reader: Reading, store: Store) -> None:
        """`include_fields` and `exclude_fields`; the address always comes along."""
        store("a", slugline="rivers", urgency=1)

        (some,) = reader.get("items", include_fields="headline, ,slugline")["_items"]
        most = reader.get("items/a", exclude_fields="headline,urgency")

        assert {"headline", "slugline", "uri", "_links"} == set(some)
        assert {"headline", "urgency"}.isdisjoint(most)
        assert "rivers" == most["slugline"]


UNKNOWN = "Unexpected parameter."
BAD = "Bad parameter value."
DATES = "parameter must be a valid ISO 8601 date (YYYY-MM-DD) without the time part"


class TestBadRequests:
    @pytest.mark.parametrize(
        ("query", "message", "issues"),
        [
            ("foo=1", UNKNOWN, "Unexpected parameter (foo)"),
            ("subscribers=1", UNKNOWN, "Unexpected parameter (subscribers)"),
            ("q=a&q=b", UNKNOWN, "Multiple values received for parameter (q)"),
            (
                "include_fields=headline&exclude_fields=slugline",
                UNKNOWN,
                "Cannot both include and exclude content fields at the same time.",
            ),
            ("start_date=2029-1x-01", BAD, f"start_date {DATES}"),
            ("end_date=2029-12-01T10:00:00", BAD, f"end_date {DATES}"),
            (
                "start_date=2029-12-31&end_date=2029-12-30",
                BAD,
                "Start date must not be greater than end date",
            ),
            (
                "start_date=2030-01-02",
                BAD,
                "Start date (2030-01-02) must not be set in the future "
                "(current server date (UTC): 2030-01-01)",
            ),
            ("include_fields=x", BAD, "Unknown content field to include (x)."),
            ("exclude_fields=x", BAD, "Unknown content field to exclude (x)."),
            (
                "exclude_fields=uri",
                BAD,
                "Cannot exclude a content field required by the NINJS format (uri).",
            ),
            ("service=", BAD, "Bad parameter value for Parameter (service)"),
            ("max_results=many", BAD, "max_results parameter must be a positive number"),
            ("page=0", BAD, "page parameter must be a positive number"),
            (
                "default_operator=xor&q=a",
                BAD,
                "Bad parameter value for Parameter (default_operator)",
            ),
        ],
    )
    def test_lists(self, reader: Reading, query: str, message: str, issues: str) -> None:
        """The bodies of refusals (routing contract 9)."""
        answer = reader.client.request("GET", f"items?{query}")

        assert 400 == answer.status_code
        assert {
            "_status": "ERR",
            "_message": message,
            "_issues": issues,
            "internal_error": 400,
        } == answer.get_json()

    @pytest.mark.parametrize(
        "query",
        [
            'where={"$where": "1"}',
            'where={"$expr": {}}',
            'where={"headline": {"$regex": "a"}}',
            'where={"subscribers": "x"}',
            'where={"_etag": "x"}',
            'where={"associations.featuremedia.headline": "x"}',
            'where={"headline": {"$gt": {"$where": "1"}}}',
            "where=[1]",
            "where=no",
            'where={"versioncreated": "yesterday"}',
            'where={"urgency": 18446744073709551615}',
            'where={"$or": []}',
            "filter=no",
            'filter={"script": {"inline": "1"}}',
            'filter={"term": {"subscribers": "x"}}',
            'filter={"term": {"a": 1, "b": 2}}',
            'filter={"range": {"urgency": {"about": 3}}}',
            "q=(a",
            "q=a)",
            "q=AND",
            "q=extra_items:a",
            'where={"headline": "\\ud800"}',
            "sort=[]",
            "sort=,",
            "sort=subscribers",
            "sort=headline:up",
            "sort=[headline",
            'sort=[("headline", 2)]',
        ],
    )
    def test_searches_that_reach_too_far(self, reader: Reading, query: str) -> None:
        """Nothing runs code, and nothing tells what is hidden."""
        name, _, value = query.partition("=")

        answer = reader.client.get("items", **{name: value})

        assert 400 == answer.status_code
        assert "Bad parameter value." == answer.get_json()["_message"]
        assert f"Parameter ({name})" in answer.get_json()["_issues"]

    @pytest.mark.parametrize(
        ("query", "issues"),
        [
            (
                "start_date=2029-01-01",
                "Filtering by date range is not supported when retrieving a single object "
                '(the "start_date" parameter)',
            ),
            ("q=a", "Unexpected parameter (q)"),
        ],
    )
    def test_single_items_take_few_arguments(
        self, reader: Reading, store: Store, query: str, issues: str
    ) -> None:
        """They are not searched for."""
        store("a")

        answer = reader.client.request("GET", f"items/a?{query}")

        assert 400 == answer.status_code
        assert issues == answer.get_json()["_issues"]

    def test_a_version_is_a_number(self, reader: Reading, store: Store) -> None:
        """Or `all`."""
        store("a")

        assert 400 == reader.client.get("items/a", version="diffs").status_code

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    def test_nothing_can_be_written(self, reader: Reading, method: str) -> None:
        """The content API is read only."""
        for path in ("items", "items/a", "assets/a"):
            assert 405 == reader.client.request(method, path, json={}).status_code


class TestAssets:
    def test_are_served_to_subscribers(self, graph: Graph, reader: Reading) -> None:
        """With their type, and a row in the audit."""
        id_ = graph.media.put(PNG, filename="flood.png")

        answer = reader.client.get(f"assets/{id_}")

        assert PNG == answer.data
        assert "image/png" == answer.mimetype
        assert answer.cache_control.private
        row = graph.db["api_audit"].find_one({}) or {}
        assert ("asset", str(id_), reader.id) == (row["type"], row["items_id"], row["subscriber"])

    def test_of_items_are_for_those_who_may_read_them(
        self, desk: Newsdesk, graph: Graph, reader: Reading, other: Reading
    ) -> None:
        """Drafts show their binaries to nobody, published pictures to their subscribers."""
        id_ = str(graph.media.put(PNG))
        rendition = {"media": id_, "href": f"http://inside/{id_}", "mimetype": "image/png"}
        picture = desk.story(type="picture", renditions={"original": rendition})
        assert 404 == reader.client.get(f"assets/{id_}").status_code

        desk.act("publish", picture)
        graph.enqueue.run()

        href = reader.get(f"items/{picture['_id']}")["renditions"]["original"]["href"]
        assert 200 == reader.client.get(href.partition("/api/")[2]).status_code
        refused = other.client.get(f"assets/{id_}")
        assert (404, "File not found.") == (refused.status_code, refused.get_json()["_message"])

    def test_of_associations_are_for_those_who_see_them(
        self, desk: Newsdesk, graph: Graph, app: Any
    ) -> None:
        """S1 reads the story without its picture, so it does not get the picture either."""
        texts = desk.newsroom.product(
            "texts", content_filter=permitting(desk, "type", "eq", "text")
        )
        pictures = desk.newsroom.product(
            "pictures", content_filter=permitting(desk, "source", "eq", "own")
        )
        s1 = Reading(desk, app, "S1", api_products=[texts])
        s3 = Reading(desk, app, "S3", api_products=[texts, pictures])
        id_ = str(graph.media.put(PNG))
        rendition = {"media": id_, "href": f"http://inside/{id_}", "mimetype": "image/png"}
        photo = {"_id": "photo", "guid": "photo", "type": "picture", "source": "own"}
        held = {**photo, "_fetchable": False, "renditions": {"original": rendition}}
        desk.published(associations={"featuremedia": held})
        graph.enqueue.run()

        assert 200 == s3.client.get(f"assets/{id_}").status_code
        assert 404 == s1.client.get(f"assets/{id_}").status_code

    @pytest.mark.parametrize("id_", ["5f0000000000000000000000", "no-id"])
    def test_that_are_missing(self, reader: Reading, id_: str) -> None:
        """The body of the refusal (routing contract 9)."""
        answer = reader.client.get(f"assets/{id_}")

        assert 404 == answer.status_code
        assert "File not found." == answer.get_json()["_message"]


class TestUsers:
    def test_see_everything(self, admin: Client, reader: Reading, store: Store) -> None:
        """With the session of a user: items of any age and for anybody, with all their fields."""
        store("old", versioncreated=datetime(2001, 1, 1, tzinfo=UTC), subscribers=["somebody"])

        page = admin.get("items").get_json()

        (item,) = page["_items"]
        assert ["somebody"] == item["subscribers"]
        assert "http://127.0.0.1:5000/api/items/old" == item["uri"]

    def test_search_for_subscribers(
        self, admin: Client, graph: Graph, reader: Reading, store: Store
    ) -> None:
        """`subscribers`, `aggregations`; packages too; no audit."""
        store("a", urgency=1, service=[{"code": "n", "name": "News"}])
        store("b", subscribers=["somebody"])
        store("c", type="composite")

        page = admin.get("search_capi", subscribers=reader.id, aggregations=1).get_json()

        assert ["a", "c"] == [item["_id"] for item in page["_items"]]
        counts = page["_aggregations"]
        assert [{"key": 1, "doc_count": 1}] == counts["urgency"]["buckets"]
        assert [{"key": "News", "doc_count": 1}] == counts["category"]["buckets"]
        assert 3 == admin.get("search_capi").get_json()["_meta"]["total"]
        assert ["somebody"] == admin.get("search_capi/b").get_json()["subscribers"]
        assert 0 == graph.db["api_audit"].count_documents({})

    def test_need_the_privilege_to_search(
        self, app: Any, graph: Graph, editor: Client, anonymous: Client, reader: Reading
    ) -> None:
        """`search_capi`."""
        make_user(graph, "librarian", privileges={"search_capi": 1})

        assert 200 == log_in(app, "librarian").get("search_capi").status_code
        assert 403 == editor.get("search_capi").status_code
        assert 401 == anonymous.get("search_capi").status_code


class TestOwnAddress:
    @pytest.fixture(params=["/contentapi", "/contentapi/", "", "/", "/api/of/readers", "/api"])
    def path(self, request: pytest.FixtureRequest) -> str:
        """Path of the address, as it is set."""
        return str(request.param)

    @pytest.fixture
    def settings(self, settings: dict[str, Any], path: str) -> dict[str, Any]:
        own = {"CONTENTAPI_URL": f"https://news.example.com{path}"}
        return settings_module.load({**settings, **own})

    @pytest.fixture
    def get(self, app: Any, reader: Reading) -> Any:
        """Return what a subscriber gets at an address."""

        def get(address: str, token: str | None = reader.token) -> Any:
            path = address.removeprefix("https://news.example.com")
            return app.test_client().get(path, headers={"Authorization": f"Token {token}"})

        return get

    def test_links_lead_there(
        self, get: Any, path: str, reader: Reading, store: Store, graph: Graph
    ) -> None:
        """Of items and members of packages, and of media wherever they are; it is served there."""
        base = f"https://news.example.com{path.rstrip('/')}"
        media = str(graph.media.put(b"data", filename="a.jpg", content_type="image/jpeg"))
        photo = {"_id": "photo", "type": "picture", "subscribers": [reader.id]}
        id_ = "urn:newsml:localhost:2030,a"
        files = {"renditions": {"original": {"href": "http://inside/x", "media": media}}}
        store(
            id_,
            body_html='<img src="http://inside/x">',
            associations={"featuremedia": {**photo, **files}},
            extra_items={"gallery": {"items": [{**photo, **files}]}},
            attachments=[{"title": "Budget", "media": media}],
            **files,
        )
        member = {"_id": id_, "type": "text", "subscribers": [reader.id]}
        store("package", type="composite", associations={"main-0": member})

        uri, href = f"{base}/items/urn%3Anewsml%3Alocalhost%3A2030%2Ca", f"{base}/assets/{media}"
        for address in (f"{base}/items/{id_}", uri):
            item = get(address).get_json()
            assert uri == item["uri"]
            photos = (
                item["associations"]["featuremedia"],
                *item["extra_items"]["gallery"]["items"],
            )
            assert {href} == {each["renditions"]["original"]["href"] for each in (item, *photos)}
            assert href == item["attachments"][0]["href"]
            assert f'<img src="{href}">' == item["body_html"]
        assert b"data" == get(href).data
        (package,) = get(f"{base}/packages").get_json()["_items"]
        assert f"{base}/packages/package" == package["uri"]
        assert uri == package["associations"]["main-0"]["uri"]
        assert {uri, href, package["uri"]} == set(graph.db["api_audit"].distinct("uri"))

    def test_pages_lead_from_one_to_the_next(self, get: Any, path: str, store: Store) -> None:
        """Links of lists are relative to the address."""
        base = f"https://news.example.com{path.rstrip('/')}"
        for number in range(3):
            store(f"i{number}")
        page = get(f"{base}/items?max_results=1").get_json()
        seen = [page["_items"][0]["_id"]]
        while following := page["_links"].get("next"):
            page = get(f"{base}/{following['href']}").get_json()
            seen.append(page["_items"][0]["_id"])
        assert {"i0", "i1", "i2"} == set(seen)

    @pytest.mark.parametrize("path", ["/contentapi"])
    def test_it_is_for_subscribers_alone(
        self, get: Any, admin: Client, reader: Reading, store: Store
    ) -> None:
        """Users of the newsroom read at the API's own address, where it is served, too."""
        store("a")
        assert 401 == get("/contentapi/items/a", admin.token).status_code
        assert 404 == get("/contentapi/search_capi", admin.token).status_code
        assert 200 == get("/api/items/a").status_code


class TestOff:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "CONTENTAPI_ENABLED": False}

    def test_there_is_nothing_to_read(self, reader: Reading) -> None:
        """Without a content API there are no such paths."""
        for path in ("items", "packages", "assets/x", "search_capi"):
            assert 404 == reader.client.get(path).status_code


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("therapist", False),
        ('"the rapist"', True),
        ("headline:wins", True),
        ('"AT&T wins"', True),
        ("strong", True),
        ("href", False),
        ("nbsp", False),
        ("example.org", False),
        ("secret", False),
        ("CAFE\u0301", True),
        ('"one two three"', True),
    ],
)
def test_searches_see_text(
    desk: Newsdesk, graph: Graph, reader: Reading, query: str, is_found: bool
) -> None:
    """Never markup: blocks part words, inline elements do not; accents and blanks are alike."""
    desk.published(
        headline="AT&amp;T <b>wins</b>",
        body_html="<p>We know the</p><p>rapist is str<b>ong</b>.</p><p>one&nbsp;two<br>three</p>"
        '<p><a href="https://example.org/">Caf\u00e9</a></p><script>secret()</script>',
    )
    graph.enqueue.run()

    assert len(reader.ids(q=query)) == int(is_found)
