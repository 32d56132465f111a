"""The stand-in site refuses what WordPress refuses to those whom it does not know."""

from base64 import b64encode
from typing import Any

import pytest

from tests.support.site_desk import FaultySite, SiteDesk, picture_bytes

WRONG = {
    "a wrong password": "Basic " + b64encode(b"newsroom:wrong").decode(),
    "an unknown user": "Basic " + b64encode(b"nobody:abcdefghijklmnopqrstuvwx").decode(),
    "what is no pair": "Basic %%%",
    "another scheme": "Bearer token",
}


def status(desk: SiteDesk, url: str, **headers: str) -> int:
    return desk.http.request("GET", url, headers=headers).status


@pytest.mark.parametrize("authorization", WRONG.values(), ids=WRONG)
def test_only_editors_read_for_editing(
    desk: SiteDesk, site: FaultySite, authorization: str
) -> None:
    _, record = desk.published()
    medium: dict[str, Any] = site.content.add_media("river.png", picture_bytes(), {})
    places = (
        "posts",
        f"posts/{record['external_id']}",
        "categories",
        "categories/1",
        "media",
        f"media/{medium['id']}",
        "types",
        "taxonomies",
    )
    for place in places:
        url = f"{site.url}/wp-json/wp/v2/{place}"
        assert status(desk, f"{url}?context=edit", Authorization=authorization) == 401, place
        # A wrong password does not keep anybody from what everybody can read.
        assert status(desk, url, Authorization=authorization) == 200, place
    for place in ("posts?status=any", "posts?status=trash", "posts?status=any&context=edit"):
        url = f"{site.url}/wp-json/wp/v2/{place}"
        assert status(desk, url, Authorization=authorization) == 400, place


def test_a_wrong_password_is_found_when_a_post_is_read(desk: SiteDesk, site: FaultySite) -> None:
    """Also where the post is public: it is read for editing."""
    item, record = desk.published()
    site.password = "another one"
    desk.wish(desk.change(item, body_html="<p>They fell.</p>"))
    before = len(site.writes())
    desk.run(record)
    assert desk.record(record)["error"]["class"] == "auth"
    assert len(site.writes()) == before
