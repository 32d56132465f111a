"""GET `/upload-raw/<id>` (resources contract 20.1)."""

import pytest

from apps.media.storage import MediaStorage
from tests.support.clients import Client

JPEG = b"\xff\xd8\xff\xe0 a picture"


@pytest.fixture
def path(media: MediaStorage) -> str:
    return f"upload-raw/{media.put(JPEG, 'bridge.jpg')}"


def test_a_file_is_served_with_all_that_caches_need(editor: Client, path: str) -> None:
    """Every logged-in user may read it, and keep it for a month."""
    answer = editor.get(path)

    assert (answer.status_code, answer.data) == (200, JPEG)
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Content-Length"] == str(len(JPEG))
    assert answer.headers["Cache-Control"] == "public, max-age=2592000"
    assert answer.headers["Content-Disposition"] == "Inline; filename=bridge.jpg"
    assert answer.headers["ETag"]
    assert answer.headers["Last-Modified"]


@pytest.mark.parametrize("ending", [".jpg", ".jpeg", ""])
def test_an_extension_does_not_matter(editor: Client, path: str, ending: str) -> None:
    """It is there for programs that guess types by it."""
    assert editor.get(path + ending).data == JPEG


def test_a_download_is_an_attachment(editor: Client, path: str) -> None:
    """With `?download=true` a browser keeps it."""
    answer = editor.get(path, download="true")

    assert answer.headers["Content-Disposition"] == "Attachment; filename=bridge.jpg"


def test_a_range_is_served(editor: Client, path: str) -> None:
    """Players ask for parts."""
    answer = editor.request("GET", path, headers={"Range": "bytes=6-8"})

    assert (answer.status_code, answer.data) == (206, JPEG[6:9])
    assert answer.headers["Content-Range"] == f"bytes 6-8/{len(JPEG)}"


def test_what_the_client_has_is_not_sent_again(editor: Client, path: str) -> None:
    """`If-None-Match` with the etag answers 304."""
    etag = editor.get(path).headers["ETag"]

    answer = editor.request("GET", path, headers={"If-None-Match": etag})

    assert (answer.status_code, answer.data) == (304, b"")


def test_an_unknown_file_is_not_found(editor: Client) -> None:
    """404 with a message."""
    answer = editor.get("upload-raw/" + "a" * 24)

    assert answer.status_code == 404
    assert answer.get_json()["_message"] == "File not found on media storage."


def test_strangers_get_nothing(anonymous: Client, path: str) -> None:
    """A session is needed; asking what is possible needs none."""
    assert anonymous.get(path).status_code == 401
    assert anonymous.request("OPTIONS", path).status_code == 200


def test_a_page_that_was_stored_is_not_run(editor: Client, media: MediaStorage) -> None:
    """Files come from outside: browsers are told not to guess, and not to run scripts."""
    id = media.put(b"<script>alert(1)</script>", content_type="text/html")

    headers = editor.get(f"upload-raw/{id}").headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox"
