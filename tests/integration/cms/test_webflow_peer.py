"""The look-alike of Webflow, as the service's own Python client and plain requests see it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from hashlib import md5
from typing import Any

import httpx
import pytest
from webflow.client import Webflow as OfficialClient
from webflow.core.api_error import ApiError
from webflow.core.request_options import RequestOptions
from webflow.environment import WebflowEnvironment
from webflow.errors import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
)
from webflow.resources.collections.resources.items.types.item_i_ds import ItemIDs
from webflow.types import CollectionItemPatchSingle, CollectionItemPostSingle

from tests.peers.webflow import ALL_SCOPES, Behaviour, WebflowPeer
from tests.support.receivers import HTTPReceiver

ONCE = RequestOptions(max_retries=0)
PNG = b"\x89PNG\r\n\x1a\n picture"


class Installation:
    """A site with a collection of articles, and clients of it.

    Args:
        clients: closes them.
    """

    def __init__(self, peer: WebflowPeer, clients: ExitStack) -> None:
        self.peer = peer
        self._clients = clients
        self.site = peer.add_site("daily")
        sections = peer.add_collection(self.site, "sections", [])
        self.section = peer.add_item(sections, name="World", slug="world")
        self.fields = [
            peer.field("body", "RichText"),
            peer.field("photo", "Image"),
            peer.field("section", "Reference", collectionId=sections),
            peer.field("score", "Number", format="integer"),
        ]
        self.articles = peer.add_collection(self.site, "articles", self.fields)
        self.token = peer.add_token()
        headers = {"Authorization": f"Bearer {self.token}"}
        self.http = clients.enter_context(httpx.Client(base_url=peer.url, headers=headers))

    def client(self, token: str | None = None) -> OfficialClient:
        urls = dict.fromkeys(("base", "data_api", "content_delivery_api"), self.peer.url)
        return OfficialClient(
            access_token=token or self.token,
            environment=WebflowEnvironment(**urls),
            httpx_client=self._clients.enter_context(httpx.Client()),
        )

    def create(self, name: str = "Storm", **fields: Any) -> dict[str, Any]:
        """Create an item with plain HTTP; the typed client adds nothing to it."""
        body = {"fieldData": {"name": name, **fields}}
        answer = self.http.post(
            f"/collections/{self.articles}/items", json=body, params={"skipInvalidFiles": "false"}
        )
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def publish(self, *ids: str) -> httpx.Response:
        path = f"/collections/{self.articles}/items/publish"
        return self.http.post(path, json={"itemIds": list(ids)})


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def here(behaviour: Behaviour) -> Iterator[Installation]:
    with WebflowPeer(behaviour) as peer, ExitStack() as clients:
        yield Installation(peer, clients)


@pytest.fixture
def official(here: Installation) -> OfficialClient:
    return here.client()


def test_the_official_client_reads_sites_and_collections(
    here: Installation, official: OfficialClient
) -> None:
    """Tokens, sites and collections have the form that the client's models ask for."""
    token = official.token.introspect()
    sites = official.sites.list()
    site = official.sites.get(here.site)
    listed = official.collections.list(here.site)
    collection = official.collections.get(here.articles)

    assert set(token.authorization.scope.split(",")) == set(ALL_SCOPES)
    assert [one.id for one in sites.sites] == [here.site]
    assert site.short_name == "daily"
    assert here.articles in [one.id for one in listed.collections]
    assert [one.slug for one in collection.fields] == [
        "name", "slug", "body", "photo", "section", "score",
    ]  # fmt: skip
    assert [one.type for one in collection.fields][2:] == [
        "RichText", "Image", "Reference", "Number",
    ]  # fmt: skip


def test_the_official_client_takes_an_item_through_its_life(
    here: Installation, official: OfficialClient
) -> None:
    """Created as a draft, published, changed, taken down, deleted."""
    items = official.collections.items
    made = items.create_item(
        here.articles,
        skip_invalid_files=False,
        request=CollectionItemPostSingle(field_data={"name": "Storm", "slug": "storm"}),
    )
    assert (made.is_draft, made.last_published) == (True, None)
    with pytest.raises(NotFoundError):
        items.get_item_live(here.articles, made.id)

    done = items.publish_item(here.articles, request=ItemIDs(item_ids=[made.id]))
    assert (done.published_item_ids, done.errors) == ([made.id], [])
    live = items.get_item_live(here.articles, made.id)
    assert live.is_draft is False
    assert live.last_published is not None

    items.update_item(here.articles, made.id, field_data={"name": "Great storm"})
    assert items.get_item_live(here.articles, made.id).field_data.name == "Storm"
    assert items.get_item(here.articles, made.id).field_data.name == "Great storm"
    items.update_item_live(here.articles, made.id, field_data={"name": "Greater storm"})
    assert items.get_item_live(here.articles, made.id).field_data.name == "Greater storm"

    items.delete_item_live(here.articles, made.id)
    staged = items.get_item(here.articles, made.id)
    assert (staged.is_draft, staged.last_published) == (True, None)
    items.delete_item(here.articles, made.id)
    with pytest.raises(NotFoundError):
        items.get_item(here.articles, made.id)


def test_the_official_client_lists_and_filters(
    here: Installation, official: OfficialClient
) -> None:
    """By exact slug and name, page by page, staged and live."""
    ids = [here.create(f"Story {number}")["id"] for number in range(5)]
    here.publish(ids[2])
    items = official.collections.items

    page = items.list_items(here.articles, offset=3, limit=2)
    assert [one.id for one in page.items] == ids[3:]
    assert page.pagination.total == 5
    assert [one.id for one in items.list_items(here.articles, slug="story-1").items] == [ids[1]]
    assert [one.id for one in items.list_items(here.articles, name="Story 4").items] == [ids[4]]
    assert [one.id for one in items.list_items_live(here.articles).items] == [ids[2]]
    by_name = items.list_items(here.articles, sort_by="name", sort_order="desc").items
    assert [one.id for one in by_name] == ids[::-1]


def test_the_official_client_works_on_many_items(
    here: Installation, official: OfficialClient
) -> None:
    """Several are created, changed and deleted in one request each."""
    path = f"/collections/{here.articles}/items"
    body = {"items": [{"fieldData": {"name": name}} for name in ("One", "Two")]}
    made = here.http.post(path, json=body).json()["items"]
    ids = [one["id"] for one in made]
    items = official.collections.items

    changed = items.update_items(
        here.articles,
        items=[{"id": one, "fieldData": {"name": f"{one} again"}} for one in ids],
    )
    here.publish(*ids)
    items.delete_items_live(here.articles, items=[{"id": one} for one in ids])
    items.delete_items(here.articles, items=[{"id": one} for one in ids])

    assert [one.field_data.name for one in changed.items] == [f"{one} again" for one in ids]
    assert here.peer.items(here.articles) == []


def test_the_official_client_uploads(here: Installation, official: OfficialClient) -> None:
    """Entry, form to the address that is named, list, rename, delete."""
    file_hash = md5(PNG, usedforsecurity=False).hexdigest()
    entry = official.assets.create(here.site, file_name="sea.png", file_hash=file_hash)
    details = entry.upload_details.model_dump(by_alias=True)
    sent = httpx.post(entry.upload_url, data=details, files={"file": ("sea.png", PNG)})

    assert sent.status_code == 201
    assert httpx.get(entry.hosted_url).content == PNG
    listed = official.assets.list(here.site)
    assert [(one.id, one.size) for one in listed.assets] == [(entry.id, len(PNG))]
    assert official.assets.update(entry.id, display_name="Sea").display_name == "Sea"
    official.assets.delete(entry.id)
    with pytest.raises(NotFoundError):
        official.assets.get(entry.id)


def test_the_official_client_publishes_the_site(
    here: Installation, official: OfficialClient
) -> None:
    """Once a minute, to at least one domain."""
    official.sites.publish(here.site, publish_to_webflow_subdomain=True, custom_domains=[])

    with pytest.raises(TooManyRequestsError):
        official.sites.publish(
            here.site,
            publish_to_webflow_subdomain=True,
            custom_domains=[],
            request_options=ONCE,
        )


def test_tokens(here: Installation) -> None:
    """Unknown ones are refused, known ones can do what their scopes say, at their sites."""
    other = here.peer.add_site("other")
    with pytest.raises(UnauthorizedError):
        here.client("wrong").sites.list()
    reader = here.client(here.peer.add_token(["cms:read"]))
    assert reader.collections.get(here.articles).id == here.articles
    with pytest.raises(ApiError) as refused:
        reader.collections.items.delete_item(here.articles, "0" * 24)
    assert refused.value.status_code == 403
    assert refused.value.body["code"] == "missing_scopes"
    with pytest.raises(NotFoundError):
        here.client(here.peer.add_token(sites=[here.site])).sites.get(other)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"nothing": "x"}, "nothing"),
        ({"body": 5}, "body"),
        ({"score": "5"}, "score"),
        ({"score": True}, "score"),
        ({"score": 1.5}, "score"),
        ({"section": "0" * 24}, "section"),
        ({"section": ["0" * 24]}, "section"),
        ({"photo": {"file": "x"}}, "photo"),
        ({"photo": {"fileId": "0" * 24}}, "photo"),
        ({"photo": "ftp://example.com/sea.png"}, "photo"),
        ({"body": '<p><img src="http://127.0.0.1:9/sea.png"></p>'}, "body"),
        ({"slug": "not a slug"}, "slug"),
        ({"name": "x" * 257}, "name"),
        ({"name": None}, "name"),
    ],
)
def test_values_that_do_not_fit_are_refused(
    here: Installation, fields: dict[str, Any], param: str
) -> None:
    """Each names its field; nothing is stored."""
    body = {"fieldData": {"name": "Storm", **fields}}
    answer = here.http.post(
        f"/collections/{here.articles}/items", json=body, params={"skipInvalidFiles": "false"}
    )

    assert answer.status_code == 400
    assert answer.json()["code"] == "validation_error"
    assert [one["param"] for one in answer.json()["details"]] == [param]
    assert here.peer.items(here.articles) == []


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("POST", "items", {"json": {"fields": {}}}),
        ("POST", "items", {"json": {"isDraft": "yes", "fieldData": {"name": "x"}}}),
        ("POST", "items", {"json": [1]}),
        ("POST", "items", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
        ("POST", "items", {"content": b"{}"}),
        ("POST", "items", {"json": {"fieldData": {"name": "x"}}, "params": {"skip": "1"}}),
        ("GET", "items", {"params": {"limit": "101"}}),
        ("GET", "items", {"params": {"limit": "0"}}),
        ("GET", "items", {"params": {"colour": "red"}}),
        ("GET", "items/storm", {}),
        ("POST", "items/publish", {"json": {"itemIds": []}}),
        ("POST", "items/publish", {"json": {"itemIds": ["x"]}}),
        ("POST", "items/publish", {"json": {}}),
    ],
)
def test_malformed_requests_are_refused(
    here: Installation, method: str, path: str, options: dict[str, Any]
) -> None:
    """Unknown keys and arguments, wrong types, no JSON, ids that are none."""
    answer = here.http.request(method, f"/collections/{here.articles}/{path}", **options)

    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "message", "externalReference", "details"}


def test_skipped_files_leave_no_trace(here: Installation) -> None:
    """Unless told otherwise, pictures that cannot be had are dropped without a word."""
    with HTTPReceiver([(200, {"Content-Type": "image/png"}, PNG)]) as elsewhere:
        body = {
            "name": "Storm",
            "photo": "http://127.0.0.1:9/sea.png",
            "body": f'<p>a</p><img src="{elsewhere.url}/there.png"><img src="http://127.0.0.1:9/x">',
        }
        path = f"/collections/{here.articles}/items"
        stored = here.http.post(path, json={"fieldData": body}).json()["fieldData"]

    assert "photo" not in stored
    assert "there.png" in stored["body"]
    assert "127.0.0.1:9" not in stored["body"]


def test_a_taken_slug_gets_a_suffix(here: Installation) -> None:
    """On creation; a change to a taken slug is refused."""
    first, second = here.create(slug="storm"), here.create(slug="storm")

    assert first["fieldData"]["slug"] == "storm"
    assert second["fieldData"]["slug"].startswith("storm-")
    with pytest.raises(BadRequestError):
        here.client().collections.items.update_item(
            here.articles,
            second["id"],
            field_data=CollectionItemPatchSingle.model_validate(
                {"fieldData": {"name": "Storm", "slug": "storm"}}
            ).field_data,
        )


class TestErrorMode:
    """A taken slug is refused, and so is an item's own."""

    @pytest.fixture
    def behaviour(self) -> Behaviour:
        return Behaviour(slug_conflict="error", own_slug_refused=True)

    def test_a_taken_slug_is_refused(self, here: Installation) -> None:
        """With the words that clients know it by."""
        made = here.create(slug="storm")
        path = f"/collections/{here.articles}/items"
        refused = here.http.post(path, json={"fieldData": {"name": "x", "slug": "storm"}})
        repeated = here.http.patch(f"{path}/{made['id']}", json={"fieldData": {"slug": "storm"}})

        said = "Unique value is already in database: 'storm'"
        for answer in (refused, repeated):
            assert answer.json()["details"] == [{"param": "slug", "description": said}]


def test_items_that_cannot_be_published(here: Installation) -> None:
    """Archived and unknown ones are told in an answer with status 202."""
    made = here.create()["id"]
    here.http.patch(f"/collections/{here.articles}/items/{made}", json={"isArchived": True})

    answer = here.publish(made, "0" * 24)

    assert answer.status_code == 202
    assert answer.json() == {
        "publishedItemIds": [],
        "errors": [
            f"Staging item ID {made} is archived and cannot be published.",
            f"Staging item ID {'0' * 24} not found.",
        ],
    }


def test_conflicts(here: Installation, official: OfficialClient) -> None:
    """What was never published cannot be changed live; a changed structure stops publications."""
    made = here.create()["id"]
    with pytest.raises(ConflictError, match="never been published"):
        official.collections.items.update_item_live(
            here.articles, made, field_data={"name": "x"}, request_options=ONCE
        )
    here.peer.collections[here.articles].is_changed = True

    assert here.publish(made).status_code == 409


def test_archiving_takes_effect_with_the_site(here: Installation) -> None:
    """And what is no draft goes out with it."""
    archived, queued, draft = (here.create(name)["id"] for name in ("One", "Two", "Three"))
    here.publish(archived)
    items = f"/collections/{here.articles}/items"
    here.http.patch(f"{items}/{archived}", json={"isArchived": True})
    here.http.patch(f"{items}/{queued}", json={"isDraft": False})
    assert [one["id"] for one in here.peer.live_items(here.articles)] == [archived]

    here.http.post(f"/sites/{here.site}/publish", json={"publishToWebflowSubdomain": True})

    assert [one["id"] for one in here.peer.live_items(here.articles)] == [queued]
    assert draft in [one["id"] for one in here.peer.items(here.articles)]


def test_every_answer_says_when_to_retry(here: Installation) -> None:
    """Good ones too; beyond the limit nothing is done."""
    assert here.http.get("/sites").headers["Retry-After"] == "60"
    here.peer.behaviour.rate_limit = 2
    path = f"/collections/{here.articles}/items"
    answers = [here.http.post(path, json={"fieldData": {"name": "x"}}) for _ in range(3)]

    assert [one.status_code for one in answers] == [202, 202, 429]
    assert [one.headers.get("X-RateLimit-Remaining") for one in answers] == ["1", "0", None]
    assert answers[2].json()["code"] == "too_many_requests"
    assert len(here.peer.items(here.articles)) == 2


def test_pages_show_live_items(here: Installation) -> None:
    """Drafts and what was taken down are not found."""
    made = here.create(body="<p>Waves</p>", slug="storm")["id"]
    address = f"{here.peer.root}/articles/storm"
    assert httpx.get(address).status_code == 404
    here.publish(made)
    assert "<p>Waves</p>" in httpx.get(address).text
    here.http.delete(f"/collections/{here.articles}/items/{made}/live")
    assert httpx.get(address).status_code == 404


def test_deleting_a_staged_item_may_leave_the_live_one(here: Installation) -> None:
    """As the service promises nothing."""
    made = here.create(slug="storm")["id"]
    here.publish(made)
    here.http.delete(f"/collections/{here.articles}/items/{made}")
    assert httpx.get(f"{here.peer.root}/articles/storm").status_code == 200
    here.peer.behaviour.delete_removes_live = True
    again = here.create(slug="wind")["id"]
    here.publish(again)
    here.http.delete(f"/collections/{here.articles}/items/{again}")
    assert httpx.get(f"{here.peer.root}/articles/wind").status_code == 404


Form = dict[str, str]


def _without_policy(form: Form) -> Form:
    return {name: value for name, value in form.items() if name != "Policy"}


@pytest.mark.parametrize(
    ("change", "data", "code"),
    [
        (lambda form: {**form, "acl": "private"}, PNG, "AccessDenied"),
        (lambda form: {**form, "extra": "x"}, PNG, "AccessDenied"),
        (lambda form: {**form, "X-Amz-Signature": "x"}, PNG, "SignatureDoesNotMatch"),
        (_without_policy, PNG, "SignatureDoesNotMatch"),
        (lambda form: {**form, "key": "elsewhere"}, PNG, "AccessDenied"),
        (lambda form: form, PNG + b"x", "BadDigest"),
        (lambda form: form, b"x" * (4 << 20) + b"x", "EntityTooLarge"),
    ],
)
def test_uploads_have_to_keep_the_policy(
    here: Installation, change: Callable[[Form], Form], data: bytes, code: str
) -> None:
    """Fields, signature, size and digest."""
    body = {"fileName": "sea.png", "fileHash": md5(PNG, usedforsecurity=False).hexdigest()}
    entry = here.http.post(f"/sites/{here.site}/assets", json=body).json()
    form = change(entry["uploadDetails"])

    refused = httpx.post(entry["uploadUrl"], data=form, files={"file": ("sea.png", data)})

    assert 400 <= refused.status_code < 500
    assert f"<Code>{code}</Code>" in refused.text
    assert here.peer.finished_assets() == []


def test_the_file_is_last(here: Installation) -> None:
    """What comes behind it does not count; another authorization is refused."""
    body = {"fileName": "sea.png", "fileHash": md5(PNG, usedforsecurity=False).hexdigest()}
    entry = here.http.post(f"/sites/{here.site}/assets", json=body).json()
    parts: list[tuple[str, Any]] = [("file", ("sea.png", PNG))]
    parts += [(name, (None, value)) for name, value in entry["uploadDetails"].items()]

    assert httpx.post(entry["uploadUrl"], files=parts).status_code == 403
    assert here.http.post(entry["uploadUrl"], files=parts[::-1]).status_code == 400
    assert httpx.post(entry["uploadUrl"], files=parts[::-1]).status_code == 201


def test_entries_of_files_are_checked(here: Installation) -> None:
    """Type, length of the name, digest."""
    good = {"fileName": "sea.png", "fileHash": "0" * 32}
    for wrong in (
        {"fileName": "sea.exe"},
        {"fileName": "x" * 96 + ".png"},
        {"fileHash": "0" * 64},
        {"size": 5},
    ):
        answer = here.http.post(f"/sites/{here.site}/assets", json={**good, **wrong})
        assert answer.status_code == 400, wrong
