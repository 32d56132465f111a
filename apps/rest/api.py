"""Builds the Eve application: framework settings, JSON, resources, hooks, headers, errors.

Clients are told of every write made through the API: `resource:created` and so on.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from eve import Eve
from eve.render import Renderer
from flask import Response, current_app, request
from flask.json.provider import JSONProvider
from pymongo.database import Database
from pymongo.errors import PyMongoError
from werkzeug.middleware.proxy_fix import ProxyFix

from apps.core import json
from apps.core.errors import BadRequest, ServiceError
from apps.core.json import WIRE_DATE
from apps.core.notifier import Notifier
from apps.core.schemas import ID
from apps.core.service import Document, ResourceService
from apps.media.storage import MediaStorage
from apps.rest.auth import Authentication, PrivilegeAuth, current_caller
from apps.rest.creation import register_creation_checks
from apps.rest.data import ServiceData
from apps.rest.errors import (
    answer_for_the_store,
    passing_through_eve,
    register_error_handlers,
)
from apps.rest.requests import register_request_checks
from apps.rest.uploads import serve_uploads
from apps.rest.validator import ResourceValidator

log = structlog.get_logger(__name__)

Services = Mapping[str, ResourceService]

FRAMEWORK_SETTINGS: dict[str, Any] = {
    # Behaviour that the REST contract depends on (lifecycle contract 0.3; resources contract 2).
    "VERSION": "_current_version",
    "IF_MATCH": True,
    "ENFORCE_IF_MATCH": True,
    "MERGE_NESTED_DOCUMENTS": False,
    "UPSERT_ON_PUT": False,
    "VALIDATION_ERROR_STATUS": 400,
    "VALIDATION_ERROR_AS_LIST": True,
    "BANDWIDTH_SAVER": False,
    "DATE_FORMAT": WIRE_DATE,
    "JSON_SORT_KEYS": False,
    "RENDERERS": ["apps.rest.api.JSONRenderer"],
    "RESOURCE_METHODS": ["GET", "POST"],
    "ITEM_URL": "string",
    "ITEM_METHODS": ["GET", "PATCH", "PUT", "DELETE"],
    "PUBLIC_METHODS": ["GET"],
    "BULK_ENABLED": True,
    "ALLOW_OVERRIDE_HTTP_METHOD": True,
    "HEADER_TOTAL_COUNT": "X-Total-Count",
    "CACHE_CONTROL": "max-age=0, no-cache",
    "STANDARD_ERRORS": [400, 401, 403, 404, 405, 406, 409, 410, 412, 413, 415, 422, 428, 429, 503],
    "RETURN_MEDIA_AS_URL": False,
    "AUTO_COLLAPSE_MULTI_KEYS": True,
}


QUIET = frozenset(
    {
        "activity",
        "archive_autosave",
        "archive_history",
        "archive_versions",
        "media_references",
        "publish_queue",
        "product_test",
        "content_filter_test",
        "content_templates_apply",
        "validate",
        "formatters",
        "export",
        "items",
        "subscriber_token",
        # Those whose account they are of are told by events of their own.
        "publisher_sites",
        "publisher_integrations",
        "publisher_taxonomy_map",
        "publishing_records",
    }
)
"""Resources that change too often, or interest nobody (resources contract 26), or whose ids are
secrets."""

ALWAYS_SHOWN = ("_id", "_type", "_created", "_updated", "_etag", "_links")
"""What is shown of a document that cannot be shaped."""

MAX_AGE_SECONDS = "86400"
"""How long browsers may keep what they have learned about cross-origin requests."""


class JSONRenderer(Renderer):
    """Renders every answer. XML is not offered: no client asks for it."""

    mime = ("application/json",)

    def render(self, data: Any) -> bytes:
        return json.dumps(data)


class FlaskJSON(JSONProvider):
    """Parses request bodies."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return json.dumps(obj).decode("utf-8")

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return json.loads(s)


def create_api(
    settings: Mapping[str, Any],
    domain: Mapping[str, Mapping[str, Any]],
    db: Database[Document],
    services: Services,
    authentication: Authentication,
    notifier: Notifier,
    media: MediaStorage,
) -> Eve:
    """Return the application with every resource of `domain`.

    Args:
        settings: as `settings.load` returns them.
        domain: Eve definition by resource name; `privileges` maps methods to what they need.
        db: the database.
        services: the service behind a resource; resources without one are read only.
        authentication: the authentication service.
        notifier: tells clients of every write.
        media: the binaries to serve.
    """
    privileges = {name: definition.get("privileges", {}) for name, definition in domain.items()}
    auth = PrivilegeAuth(authentication, privileges)
    app = Eve(
        "wiredesk",
        settings=eve_settings(settings, domain),
        data=ServiceData,
        media=None,
        validator=ResourceValidator,
        auth=auth,
    )
    app.json = FlaskJSON(app)
    app.data.bind(db, services)
    for resource, service in services.items():
        if resource in domain:
            source = domain[resource].get("datasource", {}).get("source", resource)
            connect_hooks(app, resource, service, Announcer(source, notifier, service))
    for resource, definition in domain.items():
        if "POST" in definition.get("public_methods", ()):
            welcome = getattr(app, f"on_pre_POST_{resource}")
            welcome += auth.welcome
    register_request_checks(app)
    register_creation_checks(app)
    serve_uploads(app, media, auth, db)
    register_error_handlers(app)
    app.after_request(allow_cross_origin)
    app.after_request(complete_location)
    # Called before the one above, which adds to any answer.
    app.after_request(answer_for_the_store)
    if proxies := int(settings["TRUSTED_PROXIES"]):
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=0)
    return app


def eve_settings(
    settings: Mapping[str, Any], domain: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return Eve's settings: the framework's, the installation's and the resources."""
    closed: dict[str, list[str]] = {"public_methods": [], "public_item_methods": []}
    resources = {
        name: {
            **closed,
            **{key: value for key, value in definition.items() if key != "privileges"},
            "schema": {"_id": {"type": ID, "one_form": True}, **definition["schema"]},
        }
        for name, definition in domain.items()
    }
    return {**settings, **FRAMEWORK_SETTINGS, "DOMAIN": resources}


class Announcer:
    """Announces the writes of one resource.

    Args:
        resource: name that clients know the documents under.
        notifier: tells clients.
        service: knows who may be told.
    """

    def __init__(self, resource: str, notifier: Notifier, service: ResourceService) -> None:
        self._resource = resource
        self._notifier = notifier
        self._service = service

    def created(self, documents: Iterable[Document]) -> None:
        for document in documents:
            self._push("created", document)

    def updated(self, updates: Document, original: Document) -> None:
        self._push("updated", updates, original, fields=changed_fields(updates, original))

    def deleted(self, document: Document) -> None:
        self._push("deleted", document)

    def _push(
        self, what: str, document: Document, original: Document | None = None, **extra: Any
    ) -> None:
        if self._resource in QUIET:
            return
        self._notifier.push(
            f"resource:{what}",
            audience=self._service.audience(document, original),
            resource=self._resource,
            _id=str((original or document)["_id"]),
            **extra,
        )


def changed_fields(updates: Mapping[str, Any], original: Mapping[str, Any]) -> Document:
    """Return the fields of `updates` that differ, and the ones inside of them as dotted names."""
    changed = [field for field in updates if updates[field] != original.get(field)]
    fields: Document = dict.fromkeys(changed, 1)
    for field in changed:
        before, after = original.get(field), updates[field]
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            inner = before.keys() | after.keys()
            fields.update({f"{field}.{n}": 1 for n in inner if before.get(n) != after.get(n)})
    return fields


def connect_hooks(app: Eve, resource: str, service: ResourceService, announcer: Announcer) -> None:
    """Let Eve's events call the service's hooks with the caller of the request."""

    def on(event: str, function: Callable[..., None]) -> None:
        slot = getattr(app, f"on_{event}_{resource}")
        slot += passing_through_eve(function)

    def update(updates: Document, original: Document) -> None:
        _keep_id(updates, original)
        service.on_update(updates, original, current_caller())

    def add_type(documents: list[Document]) -> None:
        for document in documents if service.document_type else ():
            document["_type"] = service.document_type

    def shaped(documents: list[Document], fetched: Callable[[list[Document]], None]) -> None:
        add_type(documents)
        shape(documents, fetched)

    def replace(item: Document, original: Document) -> None:
        _keep_id(item, original)
        service.on_replace(item, original, current_caller())

    on("insert", lambda documents: service.on_create(documents, current_caller()))
    on("inserted", lambda documents: service.on_created(documents, current_caller()))
    on("inserted", announcer.created)
    on("inserted", add_type)
    on("update", update)
    on("replace", replace)
    for event in ("updated", "replaced"):
        on(event, lambda item, original: service.on_updated(item, original, current_caller()))
        on(event, announcer.updated)
    on("delete_item", lambda item: service.on_delete(item, current_caller()))
    on("deleted_item", lambda item: service.on_deleted(item, current_caller()))
    on("deleted_item", announcer.deleted)
    on(
        "fetched_item",
        lambda item: shaped([item], lambda of: service.on_fetched_item(of[0], current_caller())),
    )
    on(
        "fetched_resource",
        lambda page: shaped(page["_items"], lambda of: service.on_fetched(of, current_caller())),
    )


def shape(documents: list[Document], fetched: Callable[[list[Document]], None]) -> None:
    """Let a hook shape documents for the client, in place.

    What others have stored may break the hook. It breaks no list: such a document is shown without
    its content, for what the hook would have hidden of it is not known.

    Raises:
        ServiceError: the caller may not read them.
    """
    before = [dict(document) for document in documents]
    try:
        fetched(documents)
    except (ServiceError, PyMongoError):
        raise
    except Exception as error:
        if len(before) == 1:
            log.error("document.not_shown", id=str(before[0].get("_id")), exc_info=error)
            documents[0].clear()
            documents[0].update({k: v for k, v in before[0].items() if k in ALWAYS_SHOWN})
            return
        documents[:] = before
        for position in range(len(documents)):
            one = [documents[position]]
            shape(one, fetched)
            documents[position] = one[0]


def _keep_id(updates: Document, original: Document) -> None:
    if updates.get("_id", original["_id"]) != original["_id"]:
        raise BadRequest("_id cannot be changed")


def complete_location(response: Response) -> Response:
    """Name a new document by its whole path: what Eve tells begins below the prefix."""
    location = response.headers.get("Location", "")
    if response.status_code == 201 and location and not location.startswith("/"):
        prefix = current_app.config["URL_PREFIX"]
        response.headers["Location"] = "/" + "/".join(filter(None, (prefix, location)))
    return response


def allow_cross_origin(response: Response) -> Response:
    """Let browser clients of any origin read `response`; tokens, not origins, guard the API.

    On every answer, errors included (resources contract 2.7).
    """
    origin = request.headers.get("Origin")
    if origin is None:
        return response
    if response.headers.get("Access-Control-Allow-Origin") == "*":
        # It is public, and takes no account of who asks.
        return response
    methods = (request.url_rule.methods if request.url_rule else None) or set()
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Vary"] = "Origin"
    response.headers["Access-Control-Allow-Headers"] = "Content-Type, Authorization, If-Match"
    response.headers["Access-Control-Allow-Methods"] = ", ".join(sorted(methods))
    response.headers["Access-Control-Allow-Credentials"] = "true"
    response.headers["Access-Control-Max-Age"] = MAX_AGE_SECONDS
    return response
