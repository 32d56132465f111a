"""Sets up the demo's newsroom: one desk, two subscribers, a few stories."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bson import ObjectId

from apps import initial_data
from apps.core.vocabulary import UserType
from apps.demo.api import API
from apps.graph.build import Graph
from apps.importing.importer import Importer, Outcome
from apps.store.collections import USERS

STORIES = Path(__file__).parent / "stories"
USERNAME = "editor"


@dataclass(frozen=True)
class Login:
    """An account of the demo."""

    username: str
    password: str


def create_editor(graph: Graph) -> Login:
    """Create an administrator with a new password, or give the one that is there a new one."""
    login = Login(USERNAME, secrets.token_urlsafe(12))
    known = graph.db[USERS].find_one({"username": USERNAME}, {"_id": 1})
    if known:
        graph.newsroom.users.patch(known["_id"], {"password": login.password})
        return login
    user = {
        "username": login.username,
        "password": login.password,
        "email": "editor@example.com",
        "first_name": "Demo",
        "last_name": "Editor",
        "sign_off": "DE",
        "user_type": UserType.ADMINISTRATOR,
        "is_active": True,
        "is_enabled": True,
        "needs_activation": False,
    }
    graph.newsroom.users.post([user])
    return login


def set_up_newsroom(api: API, push_url: str, directory: Path) -> dict[str, Any]:
    """Create desk, product and subscribers through the API where they are missing; return the desk.

    Args:
        push_url: where the digital subscriber receives items.
        directory: where the wire subscriber's files go.
    """
    desk = _ensure(api, "desks", {"name": "News", "source": "Wiredesk Demo"})
    product = _ensure(api, "products", {"name": "Everything", "codes": "all"})
    push = {"resource_url": push_url, "secret_token": secrets.token_urlsafe(24)}
    destinations = {
        "Daily Planet": ("http_push", push, "digital"),
        "Radio Brenn": ("File", {"file_path": str(directory)}, "wire"),
    }
    for name, (delivery_type, config, subscriber_type) in destinations.items():
        destination = {
            "name": name,
            "format": "ninjs",
            "delivery_type": delivery_type,
            "config": config,
        }
        subscriber = {
            "name": name,
            "is_active": True,
            "subscriber_type": subscriber_type,
            "email": "desk@example.com",
            "sequence_num_settings": {"min": 1, "max": 9999},
            "products": [product["_id"]],
            "destinations": [destination],
        }
        _ensure(api, "subscribers", subscriber)
    return desk


def _ensure(api: API, resource: str, document: dict[str, Any]) -> dict[str, Any]:
    stored: list[dict[str, Any]] = api.get(resource)["_items"]
    known = [d for d in stored if d["name"] == document["name"]]
    if not known:
        return api.post(resource, document)
    if resource != "subscribers":
        return known[0]
    # The demo's receiver listens on a new port each time. The destination stays what it was, with
    # its deliveries and what is known of it.
    (wanted,) = document["destinations"]
    kept = {"_id": known[0]["destinations"][0]["_id"]} if known[0]["destinations"] else {}
    changes = {"destinations": [{**wanted, **kept}]}
    return api.patch(f"{resource}/{known[0]['_id']}", known[0]["_etag"], changes)


@dataclass(frozen=True)
class DemoStories:
    """The stories that come with the demo.

    Attributes:
        new: ids of those that were not there yet.
        known: ids of those that an earlier demo has left.
    """

    new: list[str]
    known: list[str]


def import_stories(graph: Graph, desk: dict[str, Any]) -> DemoStories:
    """Import the stories that come with the demo onto `desk`."""
    task = {"desk": ObjectId(desk["_id"]), "stage": ObjectId(desk["working_stage"])}
    importer = Importer(graph.editing.services, task)
    imported = [importer.add(file) for file in sorted(STORIES.glob("*.json"))]
    return DemoStories(
        new=[one.item_id for one in imported if one.outcome == Outcome.IMPORTED],
        known=[one.item_id for one in imported if one.outcome != Outcome.IMPORTED],
    )


def load_initial_data(graph: Graph) -> None:
    """Load validators and vocabularies."""
    initial_data.load(graph.db, graph.clock)
