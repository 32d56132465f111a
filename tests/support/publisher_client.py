"""CMS sites as a client sets them up, and items that are out, for tests at the HTTP edge."""

from typing import Any

from tests.support.clients import Client
from tests.support.fake_sites import PASSWORD

API = "v1/publisher"
CREDENTIALS = {"username": "wire", "application_password": PASSWORD}
BASE_URL = "http://127.0.0.1:9"


class Publisher:
    """The publisher as a client sees it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def get(self, path: str, **arguments: Any) -> Any:
        return self.client.get(f"{API}/{path}", **arguments)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        return self.client.request("POST", f"{API}/{path}", json=body or {}, **options)

    def patch(self, path: str, body: Any, **arguments: Any) -> Any:
        etag = self.get(path).get_json()["_etag"]
        return self.client.patch(f"{API}/{path}", body, etag, **arguments)

    def delete(self, path: str, **arguments: Any) -> Any:
        etag = self.get(path).get_json()["_etag"]
        headers = {"If-Match": etag}
        return self.client.request(
            "DELETE", f"{API}/{path}", headers=headers, query_string=arguments
        )

    def site(self, **fields: Any) -> dict[str, Any]:
        """Create a site."""
        body = {"name": "The Kestrel", "slug": "kestrel", "url": "https://kestrel.example"}
        return self.client.create(f"{API}/sites", {**body, **fields})

    def integration(self, site: Any, **fields: Any) -> dict[str, Any]:
        """Create a WordPress of a site."""
        body = {
            "site": site["_id"],
            "destination": "wordpress",
            "name": "main",
            "base_url": BASE_URL,
            "credentials": CREDENTIALS,
        }
        return self.client.create(f"{API}/integrations", {**body, **fields})

    def publish(self, content: Any, **fields: Any) -> Any:
        return self.post("publish", {"content": content, **fields})


def put_out(db: Any, item_id: str = "story", state: str = "published", **fields: Any) -> None:
    """Store an item that has gone out, as publishing leaves it: its item, and its newest row."""
    item = {
        "type": "text",
        "state": state,
        "headline": "Rivers rise",
        "_current_version": 2,
        **fields,
    }
    db["archive"].replace_one({"_id": item_id}, item, upsert=True)
    db["published"].update_many({"item_id": item_id}, {"$set": {"last_published_version": False}})
    row = {**item, "item_id": item_id, "last_published_version": True}
    db["published"].insert_one({**row, "publish_sequence_no": db["published"].count_documents({})})


def shown(db: Any, record_id: Any, **fields: Any) -> None:
    """Store what a worker does when the wish of a record is carried out: the post is live."""
    record = db["publishing_records"].find_one({"_id": record_id})
    live = {
        "status": "published",
        "phase": "idle",
        "remote_state": "live",
        "external_id": "7",
        "external_url": "https://kestrel.example/story/",
        "published_at": record["_created"],
        "published_version": record["content_version"],
        "slug": "story",
        "next_attempt_at": None,
        "error": None,
    }
    db["publishing_records"].update_one({"_id": record_id}, {"$set": {**live, **fields}})
