"""Ids of every form, and a newsroom whose documents have them."""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import make_user

IdOf = Callable[[str], Any]
"""Returns the id of a document by its name: of one name always the same."""


def _hex(name: str) -> str:
    return sha256(name.encode()).hexdigest()[:24]


def _number(name: str) -> int | float:
    number = int(_hex(name)[:8], 16)
    return number if name.startswith(("desks", "stages", "users")) else float(number)


KINDS: dict[str, IdOf] = {
    "ObjectId": lambda name: ObjectId(_hex(name)),
    "text": lambda name: f"{name}-1",
    "text of an ObjectId": _hex,
    "number": lambda name: int(_hex(name)[:8], 16),
    "text of a number": lambda name: str(int(_hex(name)[:8], 16)),
    # As the shell of MongoDB stored numbers for long. Desks and users are made by the server.
    "decimal number": lambda name: _number(name),
    "text with signs": lambda name: f"a.b$c:{name} %2E=é\"'",
}
"""Forms of ids in documents that others have stored."""


def as_it_is(id: Any) -> Any:
    return id


def as_text(id: Any) -> str:
    """Return an id as clients write it."""
    return str(int(id)) if isinstance(id, float) else str(id)


class ForeignRules:
    """Routing rules, desks and users, written straight into the collections.

    Args:
        id_of: gives the documents their ids.
        reference: returns an id as other documents refer to it.
    """

    def __init__(self, graph: Graph, id_of: IdOf, reference: Callable[[Any], Any]) -> None:
        self.graph = graph
        self.db = graph.db
        self.id_of = id_of
        self.reference = reference

    def insert(self, resource: str, name: str, **fields: Any) -> Any:
        """Store a document; return its id."""
        document = {"_id": self.id_of(f"{resource}.{name}"), "name": name, **fields}
        self.db[resource].insert_one(document)
        return document["_id"]

    def filter(self, name: str, field: str, value: str, **fields: Any) -> Any:
        """Store a content filter with one condition."""
        settings = {"field": field, "operator": "eq", "value": value}
        condition = self.insert("filter_conditions", name, **settings)
        inner = _of(fc=self.reference(condition))
        nested = self.insert("content_filters", f"in {name}", content_filter=inner)
        outer = _of(pf=self.reference(nested))
        return self.insert("content_filters", name, content_filter=outer, **fields)

    def product(self, name: str, filter_id: Any = None, **fields: Any) -> Any:
        """Store a product that takes what its filter permits, or everything."""
        if filter_id is not None:
            chosen = {"filter_id": self.reference(filter_id), "filter_type": "permitting"}
            fields["content_filter"] = chosen
        return self.insert("products", name, **fields)

    def subscriber(
        self,
        name: str,
        *destinations: Document,
        products: Iterable[Any] = (),
        api_products: Iterable[Any] = (),
        **fields: Any,
    ) -> Any:
        """Store an active subscriber; the ids of its destinations are of the same form."""
        return self.insert(
            "subscribers",
            name,
            is_active=True,
            subscriber_type="all",
            sequence_num_settings={"min": 1, "max": 9999},
            destinations=[
                {**each, "_id": self.id_of(f"destinations.{name}")} for each in destinations
            ],
            products=[self.reference(id_) for id_ in products],
            api_products=[self.reference(id_) for id_ in api_products],
            **fields,
        )

    def desk(self, name: str) -> Document:
        """Store a desk with a working and an incoming stage."""
        desk_id = self.id_of(f"desks.{name}")
        stages = [
            self.insert("stages", f"{kind} of {name}", desk=self.reference(desk_id))
            for kind in ("working", "incoming")
        ]
        working, incoming = map(self.reference, stages)
        self.insert("desks", name, working_stage=working, incoming_stage=incoming)
        return dict(self.db["desks"].find_one({"_id": desk_id}) or {})

    def user(self, name: str, **fields: Any) -> Document:
        """Store an administrator."""
        id_ = self.id_of(f"users.{name}")
        return make_user(self.graph, name, _id=id_, user_type="administrator", **fields)


def _of(**expression: Any) -> list[Document]:
    return [{"expression": {name: [id_] for name, id_ in expression.items()}}]
