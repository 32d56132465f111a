"""Clients of the REST API under test, and users to log in as."""

from base64 import b64encode
from functools import cache
from secrets import token_urlsafe
from typing import Any

from bson import ObjectId
from werkzeug.test import TestResponse

from apps.core import json
from apps.core.schemas import fill_defaults
from apps.core.service import new_etag
from apps.core.tokens import hash_token
from apps.graph.build import Graph
from apps.newsroom.auth.passwords import hash_password
from apps.newsroom.users.resource import USER_SCHEMA
from apps.newsroom.users.service import display_name

FAST_HASH = 4
"""Work factor of password hashes, the lowest there is."""


class Client:
    """A client of the REST API, logged in as one user.

    Paths are relative to the API prefix. `patch` and `delete` fetch the document's etag first
    unless `etag` is given, as Superdesk's clients do.
    """

    def __init__(self, app: Any, token: str | None = None) -> None:
        self.app = app
        self.http = app.test_client()
        self.token = token
        self.session: dict[str, Any] = {}

    @property
    def session_id(self) -> ObjectId:
        """The login session, as items that it has locked name it."""
        return ObjectId(self.session["_id"])

    def request(self, method: str, path: str, **options: Any) -> TestResponse:
        headers = dict(options.pop("headers", {}))
        if self.token:
            credentials = b64encode(f"{self.token}:".encode()).decode()
            headers.setdefault("Authorization", f"Basic {credentials}")
        return self.http.open(f"/api/{path.lstrip('/')}", method=method, headers=headers, **options)

    def get(self, path: str, **arguments: Any) -> TestResponse:
        return self.request("GET", path, query_string=arguments)

    def post(self, path: str, body: Any) -> TestResponse:
        return self.request("POST", path, json=body)

    def patch(
        self, path: str, body: Any, etag: str | None = None, **arguments: Any
    ) -> TestResponse:
        headers = {"If-Match": etag or self.etag_of(path)}
        return self.request("PATCH", path, json=body, headers=headers, query_string=arguments)

    def delete(self, path: str, etag: str | None = None) -> TestResponse:
        return self.request("DELETE", path, headers={"If-Match": etag or self.etag_of(path)})

    def etag_of(self, path: str) -> str:
        """Return the etag of the document at `path`; publish endpoints share the item's."""
        parts = path.split("/")
        plain = f"{parts[0]}/{parts[-1]}"
        return str(self.get(plain).get_json().get("_etag", ""))

    def create(self, path: str, body: Any) -> dict[str, Any]:
        """POST and return the stored document; fails the test unless the answer is 201."""
        response = self.post(path, body)
        assert response.status_code == 201, response.text
        return dict(response.get_json())


def make_user(graph: Graph, username: str, **fields: Any) -> dict[str, Any]:
    """Store a user whose password is `<username>_password`."""
    user = new_user(username, **fields)
    password = user.pop("password")
    graph.newsroom.users.post([user])
    graph.db["users"].update_one({"_id": user["_id"]}, {"$set": {"password": password}})
    return user


def first_client(app: Any, graph: Graph, username: str, **fields: Any) -> Client:
    """Return a client of a user who is stored as on an empty database: no role, no desk to see."""
    user, now = new_user(username, **fields), graph.clock.now()
    fill_defaults([user], USER_SCHEMA)
    stamps = {"_created": now, "_updated": now, "_etag": new_etag(), "password_changed_on": now}
    user.update(stamps, display_name=display_name(user), role=None, invisible_stages=[])
    graph.db["users"].insert_one(user)
    return client_of(app, user)


def new_user(username: str, **fields: Any) -> dict[str, Any]:
    """Return a user who is not stored yet."""
    return {
        "_id": ObjectId(),
        "username": username,
        "password": hashed(f"{username}_password"),
        "email": f"{username}@example.com",
        "user_type": "user",
        "is_active": True,
        "is_enabled": True,
        "needs_activation": False,
        "sign_off": username[:3],
        **fields,
    }


@cache
def hashed(password: str) -> str:
    """Return a hash of `password`, made once for all users who have it."""
    return hash_password(password, FAST_HASH)


def log_in(app: Any, username: str) -> Client:
    """Return a client with a session of `username`, stored as one that has just begun."""
    return client_of(app, app.extensions["graph"].db["users"].find_one({"username": username}))


def client_of(app: Any, user: dict[str, Any]) -> Client:
    """Return a client with a session of a stored user."""
    graph = app.extensions["graph"]
    now, token = graph.clock.now(), token_urlsafe()
    session = {
        "_id": ObjectId(),
        "username": user["username"],
        "user": user["_id"],
        "_created": now,
        "_updated": now,
        "_etag": new_etag(),
    }
    stored = {"token_hash": hash_token(token), "security_stamps": [user.get("security_stamp")]}
    graph.db["auth"].insert_one({**session, **stored})
    client = Client(app, token)
    client.session = json.loads(json.dumps(session))
    return client


def log_in_with_password(app: Any, username: str) -> Client:
    """Return a client that `username` has logged in with the password of `make_user`."""
    client = Client(app)
    credentials = {"username": username, "password": f"{username}_password"}
    client.session = client.create("auth_db", credentials)
    client.token = client.session["token"]
    return client
