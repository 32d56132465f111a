"""GET `/upload-raw/<id>`: binaries, to users who may read one of their items.

Resources contract 20.1.
"""

from flask import Flask, Response, request
from pymongo.database import Database
from werkzeug.http import dump_options_header
from werkzeug.wsgi import wrap_file

from apps.archive.visibility import check_may_read_media
from apps.core.service import Document
from apps.media.signatures import extension_of
from apps.media.storage import MediaStorage, StoredFile
from apps.rest.auth import PrivilegeAuth
from apps.rest.routes import add_view

CACHE_SECONDS = 30 * 24 * 3600
"""Files never change: what a browser has it may keep."""


def serve_uploads(
    app: Flask, media: MediaStorage, auth: PrivilegeAuth, db: Database[Document]
) -> None:
    """Add the route to `app`.

    Args:
        media: where the files are.
        auth: finds out who asks.
        db: has the items that the files belong to.
    """

    def upload_raw(media_id: str) -> Response:
        caller = auth.identify()
        # The extension is for whoever guesses types by it.
        file = media.get(media_id.partition(".")[0])
        check_may_read_media(db, str(file.id), caller)
        return file_response(file)

    add_view(app, "upload-raw/<media_id>", "upload_raw", upload_raw)


def file_response(file: StoredFile, *, shared: bool = True) -> Response:
    """Return the answer with a file, or with the part of it that the request asks for.

    Args:
        shared: whether caches that several readers share may keep it.
    """
    response = Response(
        wrap_file(request.environ, file.stream),
        mimetype=file.content_type,
        direct_passthrough=True,
    )
    response.content_length = file.length
    response.last_modified = file.stored_at
    response.set_etag(str(file.id))
    if shared:
        response.cache_control.public = True
    else:
        response.cache_control.private = True
    response.cache_control.max_age = CACHE_SECONDS
    response.headers["Content-Disposition"] = disposition(file, request.args.get("download"))
    # Files come from outside: a browser must not find a page in one.
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "sandbox"
    response.make_conditional(request, accept_ranges=True, complete_length=file.length)
    return response


def disposition(file: StoredFile, download: str | None) -> str:
    """Return the header that names the file, and tells whether to show or to keep it."""
    how = "Attachment" if str(download).lower() in ("true", "1") else "Inline"
    name = file.filename or f"{file.id}{extension_of(file.content_type)}"
    return dump_options_header(how, {"filename": name})
