"""What clients need to know of the delivery types: their config, and the errors they may end in."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, request

from apps.core import json
from apps.core.errors import BadRequest
from apps.core.registry import Registry
from apps.core.service import Document
from apps.core.vocabulary import CONTENT_API
from apps.rest.auth import PrivilegeAuth
from apps.rest.routes import add_view
from transmitters.base import Transmitter


def serve_delivery_types(app: Flask, types: Registry[Transmitter], auth: PrivilegeAuth) -> None:
    """Add GET `/client_config` (public) and GET `/io_errors` to `app`.

    Routing contract 2, resources contract 24, delivery contract 4.

    Args:
        auth: finds out who asks for errors.
    """

    def client_config() -> Response:
        return _answer({"config": {"transmitter_types": transmitter_types(types)}})

    def io_errors() -> Response:
        if request.method != "OPTIONS":
            auth.identify()
        if request.args.get("io_type") != "publish":
            raise BadRequest("io_type has to be publish")
        errors = {cls.type: cls.errors for cls in types}
        return _answer({"_items": [errors_of(errors, request.args.get("source_type"))]})

    add_view(app, "client_config", "client_config", client_config)
    add_view(app, "io_errors", "io_errors", io_errors)


def transmitter_types(types: Registry[Transmitter]) -> list[Document]:
    """Return the delivery types that a destination may name, with their config by default.

    The content API is no destination of a subscriber's own.
    """
    return [
        {
            "type": cls.type,
            "name": cls.name,
            "config": {field.name: field.default for field in cls.fields},
            "template_url": None,
        }
        for cls in types
        if cls.type != CONTENT_API
    ]


def errors_of(types: Mapping[str, Mapping[int, str]], source_type: str | None) -> Document:
    """Return the texts of errors by code: of all delivery types, and of one that is asked for.

    Args:
        types: codes and texts by name of the type.
        source_type: name of a delivery type in any case; None for none.

    Raises:
        BadRequest: there is no such type.
    """
    errors: Document = {"all_errors": {}}
    for name, texts in types.items():
        own = {str(code): text for code, text in texts.items()}
        errors["all_errors"] |= own
        if source_type is not None and name.lower() == source_type.lower():
            errors["source_errors"] = own
    if source_type is not None and "source_errors" not in errors:
        raise BadRequest(f"Unknown source_type {source_type}")
    return errors


def _answer(body: Any) -> Response:
    return Response(json.dumps(body), mimetype="application/json")
