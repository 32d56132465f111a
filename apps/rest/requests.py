"""What is checked of a request before Eve reads it: headers, arguments and the body.

Every resource, every method, after authentication. What is refused is answered with 400, a body
that is too large with 413 (`MAX_CONTENT_LENGTH`).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from eve import RFC1123_DATE_FORMAT, Eve
from eve.methods.common import field_definition
from flask import Request, Response, current_app, request
from werkzeug.exceptions import BadRequest

from apps.core.errors import SchemaIssues
from apps.rest.errors import aborted_response
from apps.rest.queries import INTEGERS, named_fields

BODY_DEPTH = 60
"""Most levels of a body. The store takes 100 levels, and items are stored inside of others."""

DOCUMENTS = 500
"""Most documents of a POST."""

FARTHEST_ROW = 2**31 - 1
"""The last row that pages reach."""

EMBEDDED_FIELDS = 20

Body = dict[str, Any]


def register_request_checks(app: Eve) -> None:
    """Check every request that Eve is about to handle."""
    for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
        event = getattr(app, f"on_pre_{method}")
        event += check_request
    app.before_request(check_address)


def check_address() -> Response | None:
    """Return the refusal of a request for a host that there cannot be.

    Eve has no answer to its OPTIONS.
    """
    error = request.routing_exception
    return aborted_response(error) if isinstance(error, BadRequest) else None


def check_request(resource: str, request: Request, lookup: Any = None) -> None:
    """Check a request.

    Args:
        resource: what it is for.
        lookup: what its URL names, where it names anything.

    Raises:
        BadRequest: it cannot be handled; the text says why.
        RequestEntityTooLarge: the body is larger than `MAX_CONTENT_LENGTH`.
    """
    definition = current_app.config["DOMAIN"][resource]
    _check_headers(request)
    _check_arguments(request, definition, resource)
    if request.method in ("POST", "PATCH", "PUT"):
        body = body_of(request)
        check_body(body, is_list_allowed=request.method == "POST")
        if "<" in definition["url"]:
            _check_lists(body if isinstance(body, list) else [body], definition)


def _check_headers(request: Request) -> None:
    modified = request.headers.get("If-Modified-Since")
    if modified:
        try:
            # Eve adds a second.
            datetime.strptime(modified, RFC1123_DATE_FORMAT) + timedelta(seconds=1)  # noqa: DTZ007
        except (ValueError, OverflowError):
            raise BadRequest("If-Modified-Since is no date") from None


def _check_arguments(request: Request, definition: Mapping[str, Any], resource: str) -> None:
    arguments = request.args
    version = arguments.get("version")
    if version in ("all", "diffs") and not definition["versioning"]:
        raise BadRequest(f"version={version}: there are no versions here")
    if version == "diffs" and _page_of(request) > 1:
        raise BadRequest("version=diffs has one page")
    if _page_of(request) * current_app.config["PAGINATION_LIMIT"] > FARTHEST_ROW:
        raise BadRequest("page is too large")
    if arguments.get("embedded"):
        _check_embedded(arguments["embedded"], resource)


def _page_of(request: Request) -> int:
    """Return the page that is asked for as Eve reads it."""
    try:
        return abs(int(request.args.get("page", 1)))
    except ValueError:
        return 1


def _check_embedded(text: str, resource: str) -> None:
    for field in named_fields(text, "embedded", EMBEDDED_FIELDS):
        try:
            field_definition(resource, field)
        except KeyError:
            # Eve looks inside of an object without a schema.
            raise BadRequest(f"embedded: {field} refers to nothing") from None


# Bodies.


def _check_lists(documents: list[Body], definition: Mapping[str, Any]) -> None:
    """Check that no object stands in the place of a list, below a document of another resource.

    Eve converts such bodies twice, and fails over the object that it made of it the first time.
    What the server writes is left out here, because it is dropped later.

    Raises:
        SchemaIssues: one does.
    """
    lists = {field for field, rules in definition["schema"].items() if rules.get("type") == "list"}
    dropped = definition.get("server_fields", ())
    for document in documents:
        for field in lists & document.keys():
            if not isinstance(document[field], dict):
                continue
            if field not in dropped:
                raise SchemaIssues({field: "must be of list type"})
            del document[field]


def body_of(request: Request) -> Any:
    """Return the body, which has to be JSON.

    Raises:
        BadRequest: it is none.
        RequestEntityTooLarge: it is larger than `MAX_CONTENT_LENGTH`.
    """
    if request.mimetype != "application/json":
        raise BadRequest("The body has to be JSON, with Content-Type: application/json")
    try:
        # Kept by the request, so that Eve does not read it again.
        return request.get_json(force=True)
    except BadRequest:
        raise BadRequest("The body is not valid JSON") from None


def check_body(body: Any, *, is_list_allowed: bool) -> None:
    """Check that a body is a document, or a list of such, that the store can hold.

    Args:
        is_list_allowed: whether it may be several documents.

    Raises:
        BadRequest: it is something else, too deep, or holds a key or a number that the store
            refuses or could not be read again with; the text names the place.
    """
    documents = body if is_list_allowed and isinstance(body, list) else [body]
    if not documents:
        raise BadRequest("The body is an empty list")
    if len(documents) > DOCUMENTS:
        raise BadRequest(f"The body has more than {DOCUMENTS} documents")
    if not all(isinstance(document, dict) for document in documents):
        kinds = "an object or a list of objects" if is_list_allowed else "an object"
        raise BadRequest(f"The body has to be {kinds}")
    for document in documents:
        check_document(document)


def check_document(document: Body) -> None:
    """Check the keys, the numbers and the depth of a document.

    Raises:
        BadRequest: as `check_body`.
    """
    # Not by recursion: the depth is what is in question.
    pending: list[tuple[Any, tuple[Any, ...]]] = [(document, ())]
    while pending:
        container, path = pending.pop()
        if len(path) >= BODY_DEPTH:
            raise BadRequest(f"{_dotted(path)}: {BODY_DEPTH} levels are the most that are stored")
        entries = container.items() if isinstance(container, dict) else enumerate(container)
        for key, value in entries:
            if isinstance(key, str) and (key.startswith("$") or "\0" in key):
                raise BadRequest(f"{_dotted((*path, key))}: keys neither begin with $ nor hold NUL")
            if isinstance(value, (dict, list)):
                pending.append((value, (*path, key)))
            elif type(value) is int and value not in INTEGERS:
                raise BadRequest(f"{_dotted((*path, key))}: whole numbers have 64 bits")


def _dotted(path: tuple[Any, ...]) -> str:
    """Return a path as people read it, cut where it is long."""
    text = ".".join(str(part) for part in path).replace("\0", "\\0")
    return text if len(text) <= 100 else f"{text[:100]}..."
