"""Routes around output formats: previews, and downloads of exports."""

from flask import Flask, Response, request

from apps.core.errors import NotFound
from apps.media.storage import NOT_STORED, MediaStorage
from apps.output.formats.export import is_export
from apps.output.formats.preview import ItemPreview
from apps.rest.auth import PrivilegeAuth
from apps.rest.routes import add_view
from apps.rest.uploads import file_response

ARGUMENTS = ("document_id", "subscriber_id", "formatter")


def serve_previews(app: Flask, preview: ItemPreview, auth: PrivilegeAuth) -> None:
    """Add GET `/format-document-for-preview/` to `app` (formats contract 1.4).

    Args:
        preview: formats items.
        auth: finds out who asks.
    """

    def format_document() -> Response:
        caller = auth.identify()
        item_id, subscriber_id, format = (_argument(name) for name in ARGUMENTS)
        formatter, formatted = preview.for_subscriber(item_id, subscriber_id, format, caller)
        response = Response(formatted.data, mimetype=formatter.media_type)
        response.headers["Cache-Control"] = "no-cache, no-store, must-revalidate"
        # Items hold what others wrote: a browser must not find a page in one.
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    add_view(app, "format-document-for-preview/", "format_document_for_preview", format_document)


def serve_exports(app: Flask, media: MediaStorage, auth: PrivilegeAuth) -> None:
    """Add GET `/download/<id>` to `app`: archives that the caller has made with `/export`.

    Args:
        media: where they are.
        auth: finds out who asks.
    """

    def download(media_id: str) -> Response:
        caller = auth.identify()
        file = media.get(media_id)
        if not is_export(file, caller):
            raise NotFound(NOT_STORED)
        return file_response(file, shared=False)

    add_view(app, "download/<media_id>", "download", download)


def _argument(name: str) -> str:
    value = request.args.get(name, "")
    if not value:
        raise NotFound(f"{name} is missing")
    return value
