"""Ghost without a server: how stories and answers are read, and which credentials have the form."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jwt
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from transmitters.base import TransmitSettings
from transmitters.cms.base import (
    ErrorClass,
    Payload,
    PlatformError,
    PostIdentity,
    RemoteMedia,
    Site,
    Story,
    StoryMedia,
)
from transmitters.cms.ghost import ALT_LENGTH, EXCERPT_LENGTH, TITLE_LENGTH, Ghost
from transmitters.cms.ghost_api import failure, quoted, signed_token
from transmitters.cms.http import SiteAnswer, SiteClient
from transmitters.http_client import HTTPClient

KEY = f"{'a' * 24}:{'0b' * 32}"
IDENTITY = PostIdentity("0123456789abcdef", "a-01234567")


def payload(options: Mapping[str, Any] | None = None, **fields: Any) -> Payload:
    site = Site("i", "https://ghost.example", {"admin_api_key": KEY}, options or {})
    ghost = Ghost(site, SiteClient(HTTPClient(TransmitSettings())))
    return ghost.payload(Story(IDENTITY, **{"headline": "A", "body": "<p>b</p>", **fields}))


class TestPayload:
    """What is sent of a story."""

    def test_fields(self) -> None:
        """All that the site is to hold, with who may read, and no time of now."""
        assert payload(published_at=datetime(2026, 5, 1, tzinfo=UTC)).fields == {
            "title": "A",
            "html": "<p>b</p>",
            "custom_excerpt": None,
            "canonical_url": None,
            "visibility": "public",
            "status": "published",
            "feature_image": None,
            "feature_image_alt": None,
            "feature_image_caption": None,
            "published_at": "2026-05-01T00:00:00.000Z",
        }

    def test_options(self) -> None:
        """Access and schedule; tags by id, the author by address."""
        fields = payload(
            {"visibility": "paid"},
            schedule_at=datetime(2026, 5, 2, tzinfo=UTC),
            published_at=datetime(2026, 5, 1, tzinfo=UTC),
            terms={"tags": ["1"]},
            author="a@example.com",
        ).fields
        assert (fields["visibility"], fields["status"]) == ("paid", "scheduled")
        assert fields["published_at"] == "2026-05-02T00:00:00.000Z"
        assert (fields["tags"], fields["authors"]) == ([{"id": "1"}], [{"email": "a@example.com"}])

    def test_no_headline(self) -> None:
        """Ghost would make one up."""
        for headline in ("", " \n\t"):
            with pytest.raises(PlatformError) as caught:
                payload(headline=headline)
            assert (caught.value.error_class, caught.value.field) == (
                ErrorClass.VALIDATION,
                "headline",
            )

    @given(st.text(max_size=700), st.text(max_size=700), st.text(max_size=700))
    def test_lengths(self, headline: str, abstract: str, alt: str) -> None:
        """No text is longer than Ghost takes, and what is cut is told."""
        remote = RemoteMedia("x", "https://ghost.example/x.png")
        made = payload(
            headline=f"x{headline}",
            abstract=abstract,
            media={"m": StoryMedia("m", remote, alt)},
            feature="m",
        )
        fields = made.fields
        assert 0 < len(fields["title"]) <= TITLE_LENGTH
        assert len(fields["custom_excerpt"] or "") <= EXCERPT_LENGTH
        assert len(fields["feature_image_alt"] or "") <= ALT_LENGTH
        assert ("title_cut" in made.warnings) == fields["title"].endswith("…") or "…" in headline
        assert made.media == (remote,)

    @pytest.mark.parametrize(
        "address", ["javascript:alert(1)", "//host/a", "/a", "http://[", f"https://a/{'x' * 2000}"]
    )
    def test_addresses_that_cannot_be_canonical(self, address: str) -> None:
        """They are left out and told."""
        made = payload(canonical_url=address)
        assert made.fields["canonical_url"] is None
        assert "canonical_url_dropped" in made.warnings

    def test_media_that_were_left_out(self) -> None:
        """A feature without a file is none."""
        made = payload(media={"m": StoryMedia("m", None)}, feature="m")
        assert (made.fields["feature_image"], made.media) == (None, ())


class TestCredentials:
    """The Admin API key."""

    @pytest.mark.parametrize(
        ("key", "says"),
        [
            (KEY, ""),
            (KEY.upper(), "24 hex digits"),
            ("", "24 hex digits"),
            (f"{KEY}\n", "24 hex digits"),
            ("0" * 26, "Content API key"),
        ],
    )
    def test_form(self, key: str, says: str) -> None:
        """What is no key is told before anything is stored."""
        found = Ghost.check_credentials({"admin_api_key": key})
        assert says in found.get("admin_api_key", "")
        assert bool(found) == bool(says)

    def test_token(self) -> None:
        """Signed with the decoded secret, for the Admin API, for five minutes."""
        moment = datetime(2026, 5, 1, tzinfo=UTC)
        token = signed_token({"admin_api_key": KEY}, moment)
        assert jwt.get_unverified_header(token)["kid"] == "a" * 24
        claims = jwt.decode(
            token,
            bytes.fromhex("0b" * 32),
            ["HS256"],
            audience="/admin/",
            options={"verify_exp": False, "verify_iat": False},
        )
        assert (claims["iat"], claims["exp"] - claims["iat"]) == (int(moment.timestamp()), 300)

    def test_quotes(self) -> None:
        """Strings of filters end where they should."""
        assert quoted("a'b\"c\\d") == "'a\\'b\\\"c\\\\d'"


def answer(status: int, error: Mapping[str, Any] | None = None, **headers: str) -> SiteAnswer:
    data = None if error is None else {"errors": [error]}
    named = HTTPHeaderDict({name.replace("_", "-"): value for name, value in headers.items()})
    return SiteAnswer(status, named, data, orjson.dumps(data).decode() if data else "<html>")


class TestErrors:
    """What answers mean that a Ghost of tests does not give."""

    @pytest.mark.parametrize(
        ("status", "error", "writes", "expected"),
        [
            (429, {"type": "TooManyRequestsError"}, True, ErrorClass.RATE_LIMITED),
            (429, None, True, ErrorClass.RATE_LIMITED),
            (503, {"type": "MaintenanceError"}, True, ErrorClass.TRANSIENT),
            (503, None, True, ErrorClass.AMBIGUOUS),
            (503, None, False, ErrorClass.TRANSIENT),
            (500, {"type": "InternalServerError"}, True, ErrorClass.AMBIGUOUS),
            (500, {"type": "InternalServerError"}, False, ErrorClass.TRANSIENT),
            (501, {"type": "NotImplementedError"}, True, ErrorClass.PERMISSION),
            (403, {"type": "NoPermissionError", "message": "No"}, True, ErrorClass.PERMISSION),
            (403, {"message": "Authorization failed"}, True, ErrorClass.AUTH),
            (401, {"code": "INVALID_AUTH_HEADER"}, True, ErrorClass.AUTH),
            (401, {"code": "INVALID_API_KEY_TYPE"}, True, ErrorClass.AUTH),
            (401, {"type": "UnauthorizedError"}, False, ErrorClass.AUTH),
            (401, None, False, ErrorClass.AUTH),
            (400, {"code": "INVALID_JWT"}, True, ErrorClass.AUTH),
            (400, {"code": "MISSING_ADMIN_API_KID"}, True, ErrorClass.AUTH),
            (400, {"type": "BadRequestError"}, True, ErrorClass.VALIDATION),
            (400, {"code": "UNEXPECTED_ERROR"}, True, ErrorClass.VALIDATION),
            (404, {"type": "NotFoundError"}, True, ErrorClass.NOT_FOUND),
            (404, None, True, ErrorClass.CONFIG),
            (406, {"type": "RequestNotAcceptableError"}, True, ErrorClass.CONFIG),
            (409, {"code": "UPDATE_COLLISION"}, True, ErrorClass.CONFLICT),
            (413, None, True, ErrorClass.VALIDATION),
            (301, None, True, ErrorClass.CONFIG),
            (303, None, True, ErrorClass.AMBIGUOUS),
        ],
    )
    def test_classes(
        self, status: int, error: Mapping[str, Any] | None, writes: bool, expected: ErrorClass
    ) -> None:
        """By status and by the code or type that Ghost names."""
        found = failure(answer(status, error), writes=writes)
        assert (found.error_class, found.status) == (expected, status)

    @pytest.mark.parametrize("body", [[], {"errors": []}, {"errors": ["x"]}, {"errors": 1}, "x", 3])
    def test_json_of_somebody_else(self, body: Any) -> None:
        """It is no answer of Ghost's, so nobody knows what became of a write."""
        found = failure(SiteAnswer(500, HTTPHeaderDict(), body), writes=True)
        assert found.error_class == ErrorClass.AMBIGUOUS

    def test_waiting(self) -> None:
        """As long as the site asks, a minute where it does not say."""
        assert failure(answer(429, None, Retry_After="7"), writes=True).retry_after == 7
        assert failure(answer(429, {"type": "x"}), writes=True).retry_after == 60
        assert failure(answer(503, {"type": "x"}, Retry_After="9"), writes=True).retry_after == 9

    def test_field(self) -> None:
        """The reason comes from the context, the field from the details."""
        error = {
            "message": "Validation error, cannot save post.",
            "context": "Value in [posts.title] exceeds maximum length of 255 characters.",
            "property": "other",
            "details": [{"dataPath": ".posts[0].title"}],
        }
        found = failure(answer(422, error), writes=True)
        assert (found.field, "exceeds maximum length" in found.message) == ("title", True)

    def test_redirects_name_no_path(self) -> None:
        """An address may hold a token."""
        found = failure(answer(302, None, Location="https://x.example/a?token=1"), writes=True)
        assert "https://x.example" in found.help
        assert "token" not in f"{found.message}{found.help}"
