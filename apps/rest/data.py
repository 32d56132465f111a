"""Eve's data layer: reads go to MongoDB, writes go to the service behind the resource."""

from collections.abc import Iterable, Mapping
from copy import copy
from datetime import datetime
from typing import Any

from bson import ObjectId
from eve.io.mongo import Mongo
from eve.utils import ParsedRequest, validate_filters
from flask import request
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError
from werkzeug.exceptions import BadRequest as InvalidRequest

from apps.archive.search.search import Search, search_of
from apps.archive.visibility import both
from apps.core import json
from apps.core.caller import Caller
from apps.core.clock import moment_of
from apps.core.errors import BadRequest, EtagMismatch, NotFound
from apps.core.ids import ById, id_forms, object_id
from apps.core.schemas import ID
from apps.core.service import Document, ResourceService
from apps.rest.auth import current_caller
from apps.rest.creation import check_size, check_storable, telling_which
from apps.rest.errors import passing_through_eve
from apps.rest.queries import AnyForm, check_shown, projection_of, sort_of, where_of
from apps.rest.routes import bounded_queries
from apps.rest.validator import parse_datetime
from apps.store.mongo import raise_unless_duplicates

FIND_ONE_OPTIONS = ("check_auth_value", "force_auth_field_projection", "mongo_options")
"""Arguments of Eve's `find_one` beside the look-up itself."""


VERSIONS = "_versions"
"""What Eve adds to the name of a resource for that of its versions."""


READ_BY_EVE: Mapping[str, type] = {
    "_created": datetime,
    "_updated": datetime,
    "_etag": str,
    "_links": dict,
    "_current_version": int,
}
"""Fields of stored documents that Eve takes for what they have to be."""


ALWAYS_SHOWN = frozenset(
    {"_id", "_id_document", "_created", "_updated", "_etag", "_current_version", "_deleted"}
)
"""Fields of documents that no projection leaves out."""
IDS = frozenset({str, int, ObjectId})
"""Types of what references hold."""


class Connection:
    """What Eve expects of its driver: something with a database."""

    def __init__(self, db: Database[Document]) -> None:
        self.db = db


class Rows(list[Document]):
    """Rows that a query has found; true without any, too, like the cursors that Eve expects."""

    def __bool__(self) -> bool:
        return True


class ServiceData(Mongo):
    """Hands writes to services, so that HTTP, tasks and commands obey the same rules.

    `bind` is called once, after Eve has been built.
    """

    serializers = {
        **Mongo.serializers,
        "datetime": parse_datetime,
        ID: lambda value: None if value == "" else object_id(value),
    }

    def init_app(self, app: Any) -> None:
        self.app = app
        self._services: Mapping[str, ResourceService] = {}
        self._related: dict[str, list[str]] = {}

    def bind(self, db: Database[Document], services: Mapping[str, ResourceService]) -> None:
        """Set the main database and the services by resource name."""
        self._db = db
        self._services = services

    def pymongo(self, resource: str | None = None, prefix: str | None = None) -> Connection:
        """Return the connection to the database of `resource`: that of its service."""
        name = resource or ""
        # Eve keeps versions in a resource of their own, which has no service.
        service = self._services.get(name) or self._services.get(name.removesuffix(VERSIONS))
        return Connection(service.db if service else self._db)

    def collection(self, resource: str) -> Collection[Document]:
        """Return the collection behind `resource`."""
        source = self.app.config["DOMAIN"][resource]["datasource"]["source"]
        return self.pymongo(resource).db[source]

    @passing_through_eve
    def find(
        self, resource: str, req: Any, sub_resource_lookup: Any, perform_count: bool = True
    ) -> Any:
        service = self._services.get(resource)
        if service is None:
            return self._find(resource, req, sub_resource_lookup, perform_count)
        caller = current_caller()
        rows = service.computed(caller)
        if rows is not None:
            return rows, len(rows)
        query = service.list_filter(sub_resource_lookup or {}, caller)
        if req is None:
            # Eve asks so for what is embedded, and puts it in the place of its references by these.
            references = [part["_id"] for part in query.get("$or", ()) if "_id" in part]
            rows, count = self._find(resource, req, query, perform_count)
            return (referred_to(rows, references) if references else rows), count
        search = self._search(service, caller)
        if search is None:
            return self._find(resource, req, query, perform_count)
        self._ask_for(search, req)
        query = both(query, search.query) if search.query else query
        return self._find(resource, req, query, perform_count, search)

    def query_of(self, resource: str, where: Any) -> Document:
        """Return the query of a list for other uses: what a client looks for, of what it may see.

        Args:
            where: as the argument of lists, or the object that it holds.

        Raises:
            InvalidRequest: lists do not take it.
        """
        wanted = ParsedRequest()
        wanted.where = where
        query = self._convert_where_request_to_dict(resource, wanted)
        if refusal := validate_filters(query, resource):
            raise InvalidRequest(refusal)
        hidden = self._services[resource].list_filter({}, current_caller())
        return dict(self._mongotize(both(query, hidden) if hidden else query, resource))

    def _search(self, service: ResourceService, caller: Caller) -> Search | None:
        """Return what the client looks for in a list of items.

        Raises:
            HTTPException: with 400, it cannot be read, or is not offered.
        """
        kind = service.document_type
        try:
            return search_of(caller.arguments, kind, service.clock.now()) if kind else None
        except BadRequest as error:
            raise InvalidRequest(error.message) from error

    def _ask_for(self, search: Search, req: Any) -> None:
        """Let Eve order the list, and say of its pages, as a search asks for."""
        if search.order and not req.sort:
            req.sort = repr(search.order)
        if search.size is not None:
            # Eve takes 0 for no limit, and divides by it.
            req.max_results = min(search.size or 1, self.app.config["PAGINATION_LIMIT"])
        if search.start is not None:
            req.page = search.start // req.max_results + 1

    def _find(
        self,
        resource: str,
        req: Any,
        query: Any,
        perform_count: bool,
        search: Search | None = None,
    ) -> Any:
        try:
            # All that the client's query takes, the reading of its rows too.
            with bounded_queries():
                rows, count = super().find(resource, req, query, perform_count)
                if search is not None and search.start is not None:
                    rows = rows.skip(search.start)
                if search is not None and search.size == 0:
                    return Rows(), count
                return Rows(self._readable(resource, document) for document in rows), count
        except TypeError as error:
            # Where a query cannot be counted, or the database is away, Eve calls a method that
            # pymongo no longer has.
            if error.__context__ is not None:
                raise error.__context__ from None
            raise

    def _readable(self, resource: str, document: Document) -> Document:
        """Return a stored document with what Eve reads of each, whatever others wrote.

        Without a time Eve answers the first one there is, without an etag that of the content.
        """
        without_unreadable(document)
        for field in self._relations(resource):
            if field in document:
                document[field] = as_reference(document[field])
        # Elsewhere Eve bears with a document without one, whose etag is that of its content.
        has_versions = self.app.config["DOMAIN"][resource]["versioning"] is True
        if resource.endswith(VERSIONS) or (has_versions and "version" in request.args):
            document.setdefault("_current_version", 1)
        return document

    def _relations(self, resource: str) -> list[str]:
        """Return the fields of a resource that name documents of another one."""
        if resource not in self._related:
            schema = self.app.config["DOMAIN"][resource]["schema"]
            self._related[resource] = [
                field
                for field, rules in schema.items()
                if "data_relation" in rules or "data_relation" in rules.get("schema", {})
            ]
        return self._related[resource]

    def _datasource_ex(
        self,
        resource: str,
        query: Any = None,
        client_projection: Any = None,
        client_sort: Any = None,
        **options: Any,
    ) -> Any:
        """Return collection, query, fields and order of a look-up."""
        definition = self.app.config["DOMAIN"][resource]
        check_shown(definition, client_projection or {}, client_sort or ())
        return super()._datasource_ex(resource, query, client_projection, client_sort, **options)

    def _convert_where_request_to_dict(self, resource: str, req: Any) -> Document:
        """Return the query of the `where` argument."""
        query = where_of(req.where) if req and req.where not in (None, "") else {}
        service = self._services.get(resource)
        return service.where(query) if query and service is not None else query

    def _convert_sort_request_to_dict(self, req: Any) -> Any:
        """Return the order of the `sort` argument as pairs of field and 1 or -1."""
        return sort_of(req.sort) if req and req.sort else []

    def _client_projection(self, req: Any) -> dict[str, int]:
        """Return the fields that the `projection` argument names, with 1 or 0."""
        return projection_of(req.projection) if req and req.projection else {}

    @passing_through_eve
    def find_one(self, resource: str, req: Any, *args: Any, **lookup: Any) -> Any:
        service = self._services.get(resource)
        found_by = {k: v for k, v in lookup.items() if k not in FIND_ONE_OPTIONS}
        if service is not None:
            found_by = service.item_filter(found_by)
        options = {k: v for k, v in lookup.items() if k in FIND_ONE_OPTIONS}
        projection = self._client_projection(req)
        check_shown(self.app.config["DOMAIN"][resource], projection, ())
        if projection:
            # The rules see all of a document, whatever of it the client asks for.
            req = copy(req)
            req.projection = None
        document = self._find_one(resource, req, options, found_by)
        if document is None and (named := self._named(resource, lookup)):
            return self.find_one(resource, req, **options, **named)
        if document is None:
            return service.substitute(found_by) if service is not None else None
        document = self._readable(resource, document)
        if service is not None:
            try:
                service.on_found(document, current_caller())
            except NotFound:
                return None
        if projection and request.method in ("GET", "HEAD"):
            return projected(document, projection)
        return document

    def _find_one(
        self, resource: str, req: Any, options: Document, found_by: Document
    ) -> Document | None:
        """Return a document as Eve finds it; of several with forms of one id that of the given."""
        id_ = found_by.get("_id")
        if isinstance(id_, Mapping) or len(id_forms(id_)) == 1:
            found: Document | None = super().find_one(resource, req, **options, **found_by)
            return found
        query = self._mongotize(dict(found_by), resource)
        source, query, shown, _ = self._datasource_ex(
            resource, query, {}, **{k: v for k, v in options.items() if k != "mongo_options"}
        )
        deleted = self.app.config["DELETED"]
        if self.app.config["DOMAIN"][resource]["soft_delete"] and not (req and req.show_deleted):
            query = self.combine_queries(query, {deleted: {"$ne": True}})
        documents = self.pymongo(resource).db[source].find(query, shown or None)
        return ById((document["_id"], document) for document in documents).get(id_)

    def _named(self, resource: str, lookup: Mapping[str, Any]) -> Document | None:
        """Return what else may be read under the id that a URL names: what has it for its name."""
        names = self.app.config["DOMAIN"][resource].get("additional_lookup")
        if not names or "_id" not in lookup or request.method not in ("GET", "HEAD"):
            return None
        return {names["field"]: lookup["_id"]}

    def _mongotize(self, source: Any, resource: str, parse_objectid: bool = False) -> Any:
        """Let a query find ids in any form, and dates by their texts; it is changed in place."""
        found = AnyForm(self.app.config["DOMAIN"][resource]["schema"]).query(source)
        source.clear()
        source.update(found)
        return source

    @passing_through_eve
    def insert(self, resource: str, doc_or_docs: Any) -> list[Any]:
        documents = doc_or_docs if isinstance(doc_or_docs, list) else [doc_or_docs]
        service = self._services.get(resource)
        if service is None:
            return self._insert_versions(resource, documents)
        check_storable(documents)
        caller = current_caller()
        store = passing_through_eve(lambda new: service.create(new, caller))
        ids = telling_which(store, service)(documents)
        for document in documents:
            # What is computed from a request may hold any of its texts.
            document.update(with_times(document))
            without_unreadable(document)
        return ids

    def _insert_versions(self, resource: str, documents: list[Document]) -> list[Any]:
        """Store version rows that Eve writes; the service may have stored them already."""
        try:
            return list(
                self.collection(resource).insert_many(documents, ordered=False).inserted_ids
            )
        except BulkWriteError as error:
            raise_unless_duplicates(error)
            return [document["_id"] for document in documents]

    def update(self, resource: str, id_: Any, updates: Document, original: Document) -> None:
        check_size({**original, **updates})
        write = passing_through_eve(self._services[resource].update)
        try:
            write(id_, updates, original, current_caller())
        except EtagMismatch as error:
            raise self.OriginalChangedError from error

    def replace(self, resource: str, id_: Any, document: Document, original: Document) -> None:
        self.update(resource, id_, document, original)

    def remove(self, resource: str, lookup: Mapping[str, Any]) -> None:
        service, caller = self._services[resource], current_caller()
        query = dict(lookup)
        # One document, or a list that its URL names.
        is_one = "_id" in query
        query = service.item_filter(query) if is_one else service.list_filter(query, caller)
        id_ = query.get("_id")
        documents = list(service.collection.find(self._mongotize(dict(query), resource)))
        if is_one and id_ is not None:
            found = ById((document["_id"], document) for document in documents).get(id_)
            documents = [] if found is None else [found]
        for document in documents:
            service.delete(document, caller)


def referred_to(documents: Iterable[Document], references: Iterable[Any]) -> Rows:
    """Return for each reference the document that it names, under the id that it names it by."""
    found = ById((document["_id"], document) for document in documents)
    pairs = ((id_, found.get(id_)) for id_ in dict.fromkeys(references))
    return Rows({**document, "_id": id_} for id_, document in pairs if document is not None)


def without_unreadable(document: Document) -> None:
    """Remove, in place, what Eve would take for something that it is not."""
    for field, kind in READ_BY_EVE.items():
        if field in document and not isinstance(document[field], kind):
            del document[field]


def with_times(document: Mapping[str, Any]) -> Document:
    """Return the times of a document that it holds as texts."""
    texts = {
        field: moment_of(document[field])
        for field, kind in READ_BY_EVE.items()
        if kind is datetime and isinstance(document.get(field), str)
    }
    return {field: moment for field, moment in texts.items() if moment is not None}


def projected(document: Document | None, projection: Mapping[str, int]) -> Document | None:
    """Return what a client asks for of a document, by whole fields."""
    if document is None:
        return None
    named = {path.partition(".")[0] for path, is_shown in projection.items() if is_shown}
    left_out = {path for path, is_shown in projection.items() if not is_shown} - ALWAYS_SHOWN
    return {
        field: value
        for field, value in document.items()
        if field in ALWAYS_SHOWN or (field in named if named else field not in left_out)
    }


def as_reference(value: Any) -> Any:
    """Return what a field holds that names documents, anything but ids as text.

    Eve follows references of other forms, and fails where there is nothing behind them.
    """
    if isinstance(value, list):
        return [entry if type(entry) in IDS else json.dumps(entry).decode() for entry in value]
    return value if value is None or type(value) in IDS else json.dumps(value).decode()
