"""A newsroom that publishes to servers of other projects, each behind a proxy, as clients do it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from html import unescape
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen
from uuid import uuid4

from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from tests.peers.ghost import GhostPeer
from tests.peers.proxy import Proxy
from tests.peers.webflow import WebflowPeer
from tests.peers.wordpress import WordPressPeer
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.publisher_client import Publisher
from tests.support.site_desk import picture_bytes
from tests.support.site_newsroom import SiteNewsroom


class Place(ABC):
    """A site as readers and its owner see it, past the code under test.

    Attributes:
        url: where the site itself is, not its proxy.
        api: what follows it in the address of an integration.
        creates: pattern of the address that posts are made at.
        uploads: pattern of the address that pictures are sent to first.
        removes_media: whether it takes uploaded pictures off.
    """

    destination: str
    url: str
    api = ""
    creates: str
    uploads: str
    removes_media = True

    @property
    @abstractmethod
    def credentials(self) -> Mapping[str, str]: ...

    @property
    @abstractmethod
    def wrong_credentials(self) -> Mapping[str, str]:
        """Credentials that look right and are not."""

    @property
    def options(self) -> Mapping[str, Any]:
        return {}

    @abstractmethod
    def ids(self, word: str) -> list[str]:
        """Return the ids of all posts with a word in their title, those in a trash as well."""

    @abstractmethod
    def live_ids(self, word: str) -> list[str]: ...

    @abstractmethod
    def terms(self, post_id: str) -> set[str]:
        """Return the names of the terms of a post."""

    @abstractmethod
    def public_paths(self, word: str) -> list[str]:
        """Return addresses at which anybody may find stories."""

    @abstractmethod
    def remove(self, post_id: str) -> None:
        """Remove a post for good, as its owner does."""

    def page(self, url: str) -> tuple[int, str]:
        """Return status and text of what readers find at an address."""
        status, content = fetched(url)
        return status, content.decode()

    def page_status(self, url: str) -> int:
        return fetched(url)[0]

    def tells(self, word: str, *texts: str) -> list[str]:
        """Return the public addresses at which texts can be read, found by a word of theirs."""
        pages = {path: unescape(self.page(self.url + path)[1]) for path in self.public_paths(word)}
        return [path for path, page in pages.items() if any(text in page for text in texts)]


class WordPressPlace(Place):
    destination = "wordpress"
    creates, uploads = "/wp/v2/posts(\\?|$)", "/wp/v2/media(\\?|$)"

    def __init__(self, peer: WordPressPeer, role: str = "editor") -> None:
        self.peer, self.url, self.role = peer, peer.url, role

    @property
    def credentials(self) -> Mapping[str, str]:
        return self.peer.credentials(self.role)

    @property
    def wrong_credentials(self) -> Mapping[str, str]:
        return {**self.credentials, "application_password": "abcd" * 6}

    def remove(self, post_id: str) -> None:
        self.peer.rest("DELETE", f"/wp/v2/posts/{post_id}", force="true")

    def _posts(self, word: str, states: str) -> list[str]:
        query = {"search": word, "status": states, "context": "edit", "per_page": 100}
        return [str(post["id"]) for post in self.peer.rest("GET", "/wp/v2/posts", **query)]

    def ids(self, word: str) -> list[str]:
        return self._posts(word, "publish,future,draft,pending,private,trash")

    def live_ids(self, word: str) -> list[str]:
        return self._posts(word, "publish")

    def terms(self, post_id: str) -> set[str]:
        found = [
            term
            for taxonomy in ("tags", "categories")
            for term in self.peer.rest("GET", f"/wp/v2/{taxonomy}", post=post_id)
        ]
        return {unescape(term["name"]) for term in found}

    def public_paths(self, word: str) -> list[str]:
        return [
            "/",
            "/?feed=rss2",
            "/?feed=atom",
            f"/?{urlencode({'s': word})}",
            "/wp-json/wp/v2/posts?per_page=100",
            f"/wp-json/wp/v2/search?{urlencode({'search': word})}",
        ]


class GhostPlace(Place):
    destination = "ghost"
    creates, uploads = "/admin/posts/(\\?|$)", "/images/upload/"
    removes_media = False

    def __init__(self, peer: GhostPeer) -> None:
        self.peer, self.url = peer, peer.url

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"admin_api_key": self.peer.admin_api_key}

    @property
    def wrong_credentials(self) -> Mapping[str, str]:
        return {"admin_api_key": self.peer.admin_api_key.split(":")[0] + ":" + "0" * 64}

    def remove(self, post_id: str) -> None:
        self.peer.admin("DELETE", f"posts/{post_id}")

    @property
    def options(self) -> Mapping[str, Any]:
        return {"visibility": "public"}

    def ids(self, word: str) -> list[str]:
        return [post["id"] for post in self.peer.posts() if word in post["title"]]

    def live_ids(self, word: str) -> list[str]:
        posts = self.peer.posts(filter="status:published")
        return [post["id"] for post in posts if word in post["title"]]

    def terms(self, post_id: str) -> set[str]:
        return {tag["name"] for tag in self.peer.post(post_id)["tags"]}

    def public_paths(self, word: str) -> list[str]:
        key = self.peer.content_api_key
        posts = f"/ghost/api/content/posts/?{urlencode({'key': key, 'limit': 'all'})}"
        return ["/", "/rss/", "/sitemap-posts.xml", posts]


class WebflowPlace(Place):
    destination = "webflow"
    uploads, api = "/assets$", "/v2"

    def __init__(self, peer: WebflowPeer) -> None:
        self.peer, self.url = peer, peer.root
        self.site = peer.add_site("daily")
        self.tags = peer.add_collection(self.site, "tags", [])
        self.collection = peer.add_collection(
            self.site,
            "articles",
            [
                peer.field("body", "RichText"),
                peer.field("photo", "Image"),
                peer.field("tags", "MultiReference", collectionId=self.tags),
                peer.field("wire-ref", "PlainText"),
            ],
        )
        self.creates = f"/collections/{self.collection}/items(\\?|$)"
        self.token = peer.add_token()

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"token": self.token}

    @property
    def wrong_credentials(self) -> Mapping[str, str]:
        return {"token": "0" * 40}

    def remove(self, post_id: str) -> None:
        del self.peer.collections[self.collection].items[post_id]

    @property
    def options(self) -> Mapping[str, Any]:
        return {
            "collection": self.collection,
            "site_id": self.site,
            "domain": self.peer.root,
            "field_map": {"ref": "wire-ref"},
            # Waits for the service's own limit are waits in real time.
            "rate_per_minute": 600,
        }

    def ids(self, word: str) -> list[str]:
        items = self.peer.items(self.collection)
        return [item["id"] for item in items if word in item["fieldData"]["name"]]

    def live_ids(self, word: str) -> list[str]:
        items = self.peer.live_items(self.collection)
        return [item["id"] for item in items if word in item["fieldData"]["name"]]

    def terms(self, post_id: str) -> set[str]:
        names = {tag["id"]: tag["fieldData"]["name"] for tag in self.peer.items(self.tags)}
        items = {item["id"]: item for item in self.peer.live_items(self.collection)}
        return {names[id_] for id_ in items[post_id]["fieldData"].get("tags") or ()}

    def public_paths(self, word: str) -> list[str]:
        return []


def fetched(url: str) -> tuple[int, bytes]:
    """Return status and body of what anybody gets at an address."""
    try:
        with urlopen(url, timeout=60) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


class PeerNewsroom(SiteNewsroom):
    """Publishes to one of the sites by requests of a client; nothing waits for real time.

    Attributes:
        proxy: the way to the site.
        word: is in the headline of each story, and nowhere else.

    Args:
        is_named_by_proxy: the site names itself by the address that it is reached at.
    """

    def __init__(
        self,
        graph: Graph,
        publisher: Publisher,
        desk: Newsdesk,
        place: Place,
        proxy: Proxy,
        clock: HandClock,
        *,
        is_named_by_proxy: bool = False,
        **options: Any,
    ) -> None:
        self.graph, self.db = graph, graph.db
        self.publisher, self.desk, self.clock = publisher, desk, clock
        self.place, self.proxy = place, proxy
        self.word = f"w{uuid4().hex[:10]}"
        self.site_document = publisher.site()
        self.own_options = {"renditions": ["original"], **place.options, **options}
        self.integration = publisher.integration(
            self.site_document,
            destination=place.destination,
            base_url=(proxy.url if is_named_by_proxy else place.url) + place.api,
            credentials=dict(place.credentials),
            options=self.own_options,
        )
        self.tested = publisher.post(f"integrations/{self.integration['_id']}/test").get_json()
        if not is_named_by_proxy:
            self._go_by_proxy()
        proxy.clear()

    def _go_by_proxy(self) -> None:
        # The site names itself in its answers, whatever way they take.
        query = {"_id": ObjectId(self.integration["_id"])}
        stored = self.db["publisher_integrations"].find_one(query) or {}
        changes: Document = {"base_url": self.proxy.url + self.place.api}
        if "api_root" in (stored.get("remote") or {}):
            root = stored["remote"]["api_root"].replace(self.place.url, self.proxy.url)
            changes["remote.api_root"] = root
        self.db["publisher_integrations"].update_one(query, {"$set": changes})

    def destination(self, **config: Any) -> Document:
        return {**super().destination(**config), "delivery_type": self.place.destination}

    def options(self, **options: Any) -> None:
        super().options(**self.own_options, **options)

    def picture(self, content: bytes | None = None, name: str = "picture.png") -> Document:
        """Store a picture, like no other unless it is given; return it as an association."""
        media = str(
            self.graph.media.put(picture_bytes("noise") if content is None else content, name)
        )
        return {
            "_id": f"urn:picture:{media}",
            "type": "picture",
            "headline": "A river",
            "alt_text": "A river at night",
            "description_text": "The river on Friday",
            "renditions": {"original": {"media": media, "href": f"/api/upload-raw/{media}"}},
        }

    def story(self, headline: str = "Rivers & rain", **fields: Any) -> Document:
        """Create a story with a word of its own, with pictures at its head and in its body."""
        mark = '{id: "editor_0"}'
        body = f"<p>Text {self.word} one.</p><!-- EMBED START Image {mark} --><figure></figure>"
        whole = {
            "headline": f"{headline} {self.word}",
            "body_html": f"{body}<!-- EMBED END Image {mark} -->",
            "keywords": [f"Tag {self.word}"],
            "associations": {
                "featuremedia": self.picture(),
                "editor_0": self.picture(),
            },
        }
        return self.desk.story(**{**whole, **fields})

    def ask(self, item: Document, **fields: Any) -> Document:
        """Want a story at the site, and return the answer's operation."""
        answer = self.publisher.publish(item["_id"], **fields)
        assert answer.status_code in (200, 202), answer.text
        (operation,) = answer.get_json()["operations"]
        return dict(operation)

    def bring(self, item: Document, **fields: Any) -> Document:
        """Want a story at the site, let everything end, and return its row of the status."""
        self.ask(item, **fields)
        self.settle()
        return self.status(item)

    def status(self, item: Document) -> Document:
        answer = self.publisher.get("publish/status", content=item["_id"])
        assert answer.status_code == 200, answer.text
        (row,) = answer.get_json()["_items"]
        return dict(row)

    def full(self, item: Document) -> Document:
        """Return the record of a story as clients see it."""
        record = self.status(item)["record"]
        return dict(self.publisher.get(f"records/{record}/").get_json())

    def writes(self) -> int:
        """Return how many requests that change something have come to the site."""
        return self.proxy.writes

    def posts_asked_for(self) -> int:
        """Return how many posts the site was asked to make."""
        return self.proxy.count("POST", self.place.creates)
