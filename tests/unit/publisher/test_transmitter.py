"""Errors of deliveries to CMS sites (delivery contract 4)."""

from typing import Any

import pytest

from apps.publisher.transmitter import SiteErrors
from transmitters.cms.registry import BUILT_IN

FIRST = {"wordpress": 16000, "ghost": 17000, "webflow": 18000}
NAMES = {"wordpress": "WordPress", "ghost": "Ghost", "webflow": "Webflow"}


@pytest.mark.parametrize("platform", BUILT_IN)
@pytest.mark.parametrize(
    ("error", "kind", "name"),
    [
        ({"class": "ambiguous", "status": None}, 0, ""),
        ({"class": "transient", "status": None}, 0, ""),
        ({"class": "transient", "status": 503}, 2, "Server"),
        ({"class": "permission", "status": 403}, 1, "Client"),
        ({"class": "config", "status": 301}, 1, "Client"),
        ({"class": "media", "status": 500}, 2, "Server"),
        ({"class": "validation", "status": None}, 1, "Client"),
        ({}, 1, "Client"),
    ],
)
def test_codes_tell_where_it_failed(
    platform: Any, error: dict[str, Any], kind: int, name: str
) -> None:
    failure = SiteErrors(platform).of_record({"error": error})
    assert failure.code == FIRST[platform.destination] + kind
    text = platform.errors[failure.code]
    own = NAMES[platform.destination]
    assert str(failure).startswith(f"Publish{own}{name}Error Error {failure.code} - {text}:")
    assert failure.response_status == error.get("status")


def test_what_to_do_is_told() -> None:
    error = {"class": "auth", "code": "x", "message": "No", "help": "Check the password"}
    failure = SiteErrors(BUILT_IN[0]).of_record({"error": error})
    assert failure.cause == "auth/x: No. Check the password"


def test_a_platform_with_one_code_has_it_for_all() -> None:
    class Small(BUILT_IN[0]):  # type: ignore[name-defined, misc]
        errors = {16000: "It failed"}

    assert SiteErrors(Small).of_record({"error": {"status": 500}}).code == 16000


@pytest.mark.parametrize(
    ("error", "is_ours"),
    [
        ({"class": "validation", "code": "not_publishable"}, True),
        ({"class": "unsupported", "code": "unsupported_type"}, True),
        ({"class": "media", "code": "media_missing"}, True),
        ({"class": "media", "code": "media_type"}, True),
        ({"class": "transient", "code": "internal_error"}, True),
        ({"class": "config", "code": "credentials_unreadable"}, True),
        ({"class": "config", "code": "integration_inactive"}, True),
        ({"class": "media", "code": "rest_upload_failed", "status": 400}, False),
        ({"class": "media", "code": "media_not_attached"}, False),
        ({"class": "taxonomy", "code": "term_mismatch"}, False),
        ({"class": "permission", "code": "rest_forbidden", "status": 403}, False),
        ({"class": "auth", "code": "rest_not_logged_in", "status": 401}, False),
        ({"class": "transient", "code": "connection"}, False),
        # A site may call its own errors as it likes.
        ({"class": "transient", "code": "internal_error", "status": 500}, False),
        ({}, False),
    ],
)
def test_whose_fault_it_is(error: dict[str, Any], is_ours: bool) -> None:
    """What lies in the item, its files or this installation is ours (delivery contract 1)."""
    assert SiteErrors(BUILT_IN[0]).of_record({"error": error}).is_ours is is_ours


def test_what_no_site_was_asked_for_is_ours() -> None:
    errors = SiteErrors(BUILT_IN[0])
    assert errors.refused("There is no integration 1 of WordPress").is_ours
    assert errors.unstored("The database has not answered").is_ours
