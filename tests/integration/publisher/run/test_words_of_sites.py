"""What a site says when it refuses something is in the record: in plain text, and no secrets."""

from base64 import b64encode
from typing import Any

import pytest

from apps.core.service import Document
from apps.demo.site import PASSWORD, USERNAME, SiteRequest, SiteResponse
from tests.support.site_desk import FaultySite, SiteDesk

TOKEN = b64encode(f"{USERNAME}:{PASSWORD.replace(' ', '')}".encode()).decode()


def answer(
    site: FaultySite, monkeypatch: pytest.MonkeyPatch, what: str, status: int, body: Any
) -> None:
    """Let writes of posts, media or tags be answered so."""
    usual = site.respond

    def respond(request: SiteRequest) -> SiteResponse | None:
        if request.writes and request.path.startswith(f"/wp/v2/{what}"):
            site.requests.append(request)
            return SiteResponse(status, body)
        return usual(request)

    monkeypatch.setattr(site, "respond", respond)


def refusal(code: str, message: str, status: int, **data: Any) -> dict[str, Any]:
    return {"code": code, "message": message, "data": {"status": status, **data}}


def tried(desk: SiteDesk, **fields: Any) -> Document:
    record = desk.wish(desk.item(**fields))
    desk.run(record)
    return desk.record(record)


@pytest.mark.parametrize(
    ("words", "is_for_good", "help"),
    [
        ("Sorry, you are not allowed to upload this file type.", True, "type of file"),
        ("Sorry, this file type is not permitted for security reasons.", True, "type of file"),
        (
            "The uploaded file exceeds the upload_max_filesize directive in php.ini.",
            True,
            "upload_max_filesize",
        ),
        ("File is empty. Please upload something more substantial.", True, "empty"),
        ("The uploaded file could not be moved to wp-content/uploads.", False, "free space"),
        ("Unable to create directory wp-content/uploads/2030/01.", False, "free space"),
        ("Failed to write file to disk.", False, "free space"),
        ("Da ging etwas schief.", False, "free space"),
    ],
)
def test_refused_file(
    desk: SiteDesk,
    site: FaultySite,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    is_for_good: bool,
    help: str,
) -> None:
    """WordPress answers 500 to all of them: its words tell whether another try helps."""
    answer(site, monkeypatch, "media", 500, refusal("rest_upload_unknown_error", words, 500))

    record = tried(desk, associations={"featuremedia": desk.picture()})

    error = record["error"]
    assert words in error["message"]
    assert (error["code"], error["status"]) == ("rest_upload_unknown_error", 500)
    assert help in error["help"]
    assert error["class"] == ("media" if is_for_good else "transient")
    assert (record["status"], error["retryable"]) == (
        ("failed", False) if is_for_good else ("pending", True)
    )
    assert not site.posts()


def test_site_that_could_not_store_a_file_gets_it_later(
    desk: SiteDesk, site: FaultySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "The uploaded file could not be moved to wp-content/uploads."
    with monkeypatch.context() as patched:
        answer(site, patched, "media", 500, refusal("rest_upload_unknown_error", words, 500))
        record = tried(desk, associations={"featuremedia": desk.picture()})
    record = desk.run_until_settled(record)
    assert (record["status"], record["error"]) == ("published", None)
    assert len(site.content.media) == 1


@pytest.mark.parametrize(
    ("what", "status", "body", "error_class"),
    [
        ("posts", 400, refusal("rest_invalid_param", "{}", 400), "validation"),
        (
            "posts",
            400,
            refusal("rest_invalid_param", "Invalid.", 400, params={"slug": "{}"}),
            "validation",
        ),
        ("posts", 500, refusal("db_update_error", "{}", 500), "ambiguous"),
        ("posts", 403, refusal("a_plugin", "{}", 403), "permission"),
        ("posts", 403, b"<html><head><style>p{}</style></head><p>{}</p></html>", "permission"),
        ("posts", 502, b"<html><title>{}</title><script>x()</script>", "ambiguous"),
        ("tags", 400, refusal("rest_invalid_param", "{}", 400), "taxonomy"),
        ("tags", 500, refusal("db_insert_error", "{}", 500), "taxonomy"),
    ],
)
def test_other_refusals(
    desk: SiteDesk,
    site: FaultySite,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    status: int,
    body: Any,
    error_class: str,
) -> None:
    said = f"<strong>No</strong> &amp; never (http://a.test/b?key=secret) {PASSWORD} {TOKEN}"
    long = f"{said} {'long ' * 1000}"

    def filled(value: Any) -> Any:
        match value:
            case dict():
                return {key: filled(each) for key, each in value.items()}
            case str():
                return value.replace("{}", long)
            case bytes():
                return value.replace(b">{}<", f">{long}<".encode())
        return value

    answer(site, monkeypatch, what, status, filled(body))

    record = tried(desk, keywords=["Rivers"])

    error = record["error"]
    assert error["class"] == error_class
    assert "No & never (http://a.test/b" in error["message"]
    assert len(error["message"]) < 400
    for text in (error["message"], repr(record["history"])):
        for secret in (PASSWORD, PASSWORD.replace(" ", ""), TOKEN, "key=secret", "<", "x()"):
            assert secret not in text
