"""Routes of the content API: `items`, `packages`, `assets` and `search_capi`."""

from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from flask import Flask, Response, abort, request
from pymongo.database import Database

from apps.archive.visibility import check_may_read_media, hidden_stages
from apps.content_api.service import ContentApi, Page, Reader
from apps.content_api.tokens.service import SubscriberTokenService
from apps.core.caller import Caller
from apps.core.errors import Forbidden, NotFound, Unauthorized
from apps.core.privileges import NO_PRIVILEGE
from apps.core.service import Document
from apps.media.storage import MediaStorage
from apps.rest.auth import PrivilegeAuth, current_caller, request_token
from apps.rest.errors import json_response
from apps.rest.routes import bounded_queries
from apps.rest.uploads import file_response

KINDS = ("items", "packages")
SEARCH = "search_capi"
"""Resource of users, and the privilege that it needs."""
ASSET_MISSING = "File not found."


class ContentApiRoutes:
    """Serves the content API.

    Args:
        content: the items.
        tokens: who subscribers are.
        media: the binaries.
        auth: who users are.
        db: has the items that the binaries belong to.
    """

    def __init__(
        self,
        content: ContentApi,
        tokens: SubscriberTokenService,
        media: MediaStorage,
        auth: PrivilegeAuth,
        db: Database[Document],
    ) -> None:
        self._content = content
        self._db = db
        self._tokens = tokens
        self._media = media
        self._auth = auth

    def add_to(self, app: Flask, prefix: str, *, for_users: bool) -> None:
        """Add the routes under a path.

        Args:
            prefix: without slashes at its ends; empty for the root.
            for_users: whether sessions of users count there too.
        """
        reader = self._anybody if for_users else self._subscriber
        name = f"content_api_{'users' if for_users else 'subscribers'}"
        root = f"/{prefix}" if prefix else ""

        def add(rule: str, view: Callable[..., Response]) -> None:
            app.add_url_rule(f"{root}/{rule}", f"{name}_{rule}", view, methods=["GET"])

        for kind in KINDS:
            add(kind, lambda kind=kind: self._list(kind, reader()))
            add(f"{kind}/<path:id>", lambda id, kind=kind: self._item(kind, id, reader()))
        add("assets/<path:id>", lambda id: self._asset(id, reader()))
        if for_users:
            add(SEARCH, self._search)
            add(f"{SEARCH}/<path:id>", lambda id: self._item(None, id, self._searcher()))

    # Who asks.

    def _subscriber(self) -> Reader:
        token = request_token()
        subscriber = self._tokens.subscriber_of(token) if token else None
        if subscriber is None:
            raise Unauthorized("", {"auth": 1})
        return Reader(subscriber["_id"], request.remote_addr)

    def _anybody(self) -> Reader:
        """Return the user whose session the token is, else the subscriber."""
        try:
            caller = self._auth.identify()
        except Unauthorized:
            return self._subscriber()
        return _user(caller)

    def _searcher(self) -> Reader:
        caller = self._auth.identify()
        if not caller.may(SEARCH):
            raise Forbidden(NO_PRIVILEGE)
        return _user(caller)

    # What is answered.

    def _list(self, kind: str, reader: Reader) -> Response:
        with bounded_queries():
            page = self._content.page(kind, reader, _arguments())
        return _page(kind, page)

    def _search(self) -> Response:
        searcher = self._searcher()
        with bounded_queries():
            page = self._content.search(searcher, _arguments())
        return _page(SEARCH, page)

    def _item(self, kind: str | None, id: str, reader: Reader) -> Response:
        try:
            document = self._content.item(kind, id, reader, _arguments())
        except NotFound:
            abort(404)
        return json_response(document, 200)

    def _asset(self, id: str, reader: Reader) -> Response:
        try:
            file = self._media.get(id)
            self._content.take_asset(str(file.id), reader)
        except NotFound as error:
            raise NotFound(ASSET_MISSING) from error
        if reader.is_user:
            check_may_read_media(self._db, str(file.id), current_caller())
        return file_response(file, shared=False)


def _user(caller: Caller) -> Reader:
    """Return the reader that a user of the newsroom is."""
    return Reader(None, request.remote_addr, hidden_stages(caller))


def serve_content_api(
    app: Flask,
    content: ContentApi,
    tokens: SubscriberTokenService,
    media: MediaStorage,
    auth: PrivilegeAuth,
    db: Database[Document],
) -> None:
    """Add the content API to the REST API, and under an address of its own where it has one.

    Args:
        app: its settings URL_PREFIX and CONTENTAPI_URL say where.
        content: the items.
        tokens: who subscribers are.
        media: the binaries.
        auth: who users are.
        db: has the items that the binaries belong to.
    """
    routes = ContentApiRoutes(content, tokens, media, auth, db)
    prefix = app.config["URL_PREFIX"]
    routes.add_to(app, prefix, for_users=True)
    own = urlsplit(app.config["CONTENTAPI_URL"]).path.strip("/")
    if own != prefix:
        routes.add_to(app, own, for_users=False)


def _arguments() -> dict[str, list[str]]:
    return dict(request.args.lists())


def _page(kind: str, page: Page) -> Response:
    selection = page.selection
    body: Document = {
        "_items": page.items,
        "_meta": {
            "page": selection.page,
            "max_results": selection.max_results,
            "total": page.total,
        },
        "_links": _links(kind, page),
    }
    if page.aggregations is not None:
        body["_aggregations"] = page.aggregations
    response = json_response(body, 200)
    response.headers["X-Total-Count"] = str(page.total)
    return response


def _links(kind: str, page: Page) -> Document:
    last = max(1, -(-page.total // page.selection.max_results))

    def to(number: int | None, title: str) -> Document:
        arguments = request.args.to_dict()
        if number is not None:
            arguments["page"] = str(number)
        query = f"?{urlencode(arguments)}" if arguments else ""
        return {"title": title, "href": f"{kind}{query}"}

    current = page.selection.page
    links = {"parent": {"title": "home", "href": "/"}, "self": to(None, kind)}
    if current > 1:
        links["prev"] = to(current - 1, "previous page")
    if current < last:
        links["next"] = to(current + 1, "next page")
        links["last"] = to(last, "last page")
    return links
