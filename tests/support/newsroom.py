"""A small newsroom for tests at the HTTP edge: a desk, validators, products, subscribers."""

from typing import Any

from bson import ObjectId

from apps.core.service import Document

ACTS = ("publish", "correct", "kill")


class Newsroom:
    """Seeds a database with what a test needs, straight into the collections.

    Administrators who are there are members of its desks.

    Documents are written as fixtures and migrations write them: without etags and defaults.
    """

    def __init__(self, db: Any, desk: str = "Sports") -> None:
        self.db = db
        self.desk = self._desk(desk)

    def _desk(self, name: str, **fields: Any) -> Document:
        administrators = self.db["users"].find({"user_type": "administrator"}, {"_id": 1})
        members = [{"user": user["_id"]} for user in administrators]
        desk: Document = {"_id": ObjectId(), "name": name, "members": members, **fields}
        stages = [{"_id": ObjectId(), "desk": desk["_id"], "name": n} for n in ("Working", "In")]
        desk.update({"working_stage": stages[0]["_id"], "incoming_stage": stages[1]["_id"]})
        self.db["desks"].insert_one(desk)
        self.db["stages"].insert_many(stages)
        return desk

    def join(self, user: Document) -> None:
        """Make a user a member of every desk there is."""
        self.db["desks"].update_many({}, {"$push": {"members": {"user": user["_id"]}}})

    @property
    def task(self) -> dict[str, str]:
        """The `task` of an item on the desk."""
        return {"desk": str(self.desk["_id"]), "stage": str(self.desk["working_stage"])}

    def validators(self, schema: Document | None = None, item_type: str = "text") -> None:
        """Validate items of a type with `schema` for every action."""
        self.db["validators"].insert_many(
            {"_id": f"{act}_{item_type}", "act": act, "type": item_type, "schema": schema or {}}
            for act in ACTS
        )

    def product(self, name: str = "everything", **fields: Any) -> ObjectId:
        """Store a product; without a filter it matches every item."""
        return ObjectId(str(self.db["products"].insert_one({"name": name, **fields}).inserted_id))

    def subscriber(
        self,
        name: str,
        *destinations: Document,
        products: list[ObjectId] | None = None,
        **fields: Any,
    ) -> ObjectId:
        """Store an active subscriber with `destinations`."""
        subscriber = {
            "_id": ObjectId(),
            "name": name,
            "is_active": True,
            "subscriber_type": "all",
            "sequence_num_settings": {"min": 1, "max": 9999},
            "destinations": list(destinations),
            "products": products if products is not None else [self.product(f"all of {name}")],
            **fields,
        }
        self.db["subscribers"].insert_one(subscriber)
        id_: ObjectId = subscriber["_id"]
        return id_

    def story(self, **fields: Any) -> Document:
        """Return the body of a POST that puts a story on the desk."""
        return {
            "type": "text",
            "state": "fetched",
            "headline": "Rivers rise",
            "slugline": "rivers",
            "body_html": "<p>Rivers rose on Friday.</p>",
            "task": self.task,
            **fields,
        }


def groups_of(*members: Document) -> list[Document]:
    """Return the groups of a package of these items."""
    refs = [{"residRef": member["_id"], "type": member["type"]} for member in members]
    return [
        {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": "main"}]},
        {"id": "main", "role": "grpRole:main", "refs": refs},
    ]


def push(url: str, **config: Any) -> Document:
    """Return an HTTP push destination."""
    return {
        "_id": "push",
        "name": "push",
        "format": "ninjs",
        "delivery_type": "http_push",
        "config": {"resource_url": url, **config},
    }


def file_in(directory: Any, **config: Any) -> Document:
    """Return a destination that writes files into `directory`."""
    return {
        "_id": "file",
        "name": "file",
        "format": "ninjs",
        "delivery_type": "File",
        "config": {"file_path": str(directory), **config},
    }
