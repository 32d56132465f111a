"""What is sent to a WordPress, and what is stored of the form of its credentials."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.support.sites import build_identity, build_story, build_upload, feature
from transmitters.base import TransmitSettings
from transmitters.cms.base import Payload, PlatformError, RemoteMedia, Site, Story
from transmitters.cms.failures import redirected
from transmitters.cms.http import SiteAnswer, SiteClient
from transmitters.cms.wordpress import WordPress
from transmitters.cms.wordpress_api import address_of
from transmitters.http_client import HTTPClient


def payload(story: Story, remote: dict[str, Any] | None = None, **options: Any) -> Payload:
    site = Site("i1", "https://example.com", {}, options, remote or {})
    return WordPress(site, SiteClient(HTTPClient(TransmitSettings()))).payload(story)


class TestPayload:
    """The fields of a post."""

    def test_the_same_story_gives_the_same_fields(self) -> None:
        """Whatever the time is."""
        story = build_story(published_at=datetime(2026, 1, 2, 3, 4, 5, 6, UTC))
        assert payload(story) == payload(story)
        assert payload(story).fields["date_gmt"] == "2026-01-02T03:04:05"

    def test_titles_are_text(self) -> None:
        """The site takes title and abstract for HTML."""
        fields = payload(build_story(headline='1 < 2 & "<b>"', abstract="&lt;")).fields
        assert fields["title"] == '1 &lt; 2 &amp; "&lt;b&gt;"'
        assert fields["excerpt"] == "&amp;lt;"

    def test_the_marker_is_last(self) -> None:
        """In both kinds of text, also where there is no other."""
        identity = build_identity()
        for content_format in ("blocks", "classic"):
            for body in ("<p>Text</p>", ""):
                made = payload(build_story(identity, body=body), content_format=content_format)
                assert made.fields["content"].endswith(identity.marker)

    def test_a_time_to_come(self) -> None:
        """It is told in UTC, and takes the place of the time of publication."""
        zone = timezone(timedelta(hours=2))
        due = datetime(2030, 1, 2, 3, 4, tzinfo=zone)
        fields = payload(build_story(schedule_at=due, published_at=datetime.now(UTC))).fields
        assert (fields["status"], fields["date_gmt"]) == ("future", "2030-01-02T01:04:00")

    def test_who_may_read_is_always_sent(self) -> None:
        assert payload(build_story()).fields["status"] == "publish"

    def test_no_text_at_all(self) -> None:
        """A story that shows nothing is refused before anything is sent."""
        with pytest.raises(PlatformError, match="validation/empty_content"):
            payload(build_story(headline=" ", body="<p></p>", abstract=""))

    def test_ids(self) -> None:
        """Ids of WordPress are numbers; others are refused with the field that they are for."""
        fields = payload(build_story(terms={"tags": ["3", "4"]}, author="5")).fields
        assert (fields["tags"], fields["author"]) == ([3, 4], 5)
        for story in (
            build_story(author="jo"),
            build_story(terms={"tags": ["x"]}),
            build_story(**feature(RemoteMedia("²", "https://example.com/a.png"))),
        ):
            with pytest.raises(PlatformError, match="validation/invalid_id"):
                payload(story)

    def test_nothing_mapped(self) -> None:
        """The site's default category, where it is known."""
        story = build_story(terms={"categories": []})
        assert payload(story).fields["categories"] == []
        assert payload(story, {"default_category": 7}).fields["categories"] == [7]

    def test_a_picture_that_was_left_out(self) -> None:
        """An update takes away what was there before."""
        story = build_story(**feature(RemoteMedia("7", "https://example.com/a.png")))
        assert payload(story).fields["featured_media"] == 7
        media = {"featuremedia": replace(story.media["featuremedia"], remote=None)}
        assert payload(replace(story, media=media)).fields["featured_media"] == 0

    def test_embeds(self) -> None:
        """They are kept where the user may write any HTML, and where nothing is known of that."""
        body = '<p>Look.</p><iframe src="https://video.example.com/1"></iframe>'
        stripped = {"embeds": "strip"}
        for remote, options, is_kept in (
            ({}, {}, True),
            ({"capabilities": ["unfiltered_html"]}, {}, True),
            ({"capabilities": ["edit_posts"]}, {}, False),
            ({"capabilities": ["unfiltered_html"]}, stripped, False),
        ):
            made = payload(build_story(body=body), remote, **options)
            assert ("<iframe" in made.fields["content"]) == is_kept
            assert ("embeds_stripped" in made.warnings) != is_kept

    def test_the_field_map(self) -> None:
        """Fields can be switched off, or go elsewhere."""
        field_map = {"abstract": None, "slugline": "meta.kicker", "priority": None}
        story = build_story(item={"slugline": "PORT", "priority": 3})
        fields = payload(story, field_map=field_map).fields
        assert "excerpt" not in fields
        assert fields["meta"] == {"kicker": "PORT"}


@pytest.mark.parametrize(
    ("username", "password", "wrong"),
    [
        ("editor", "abcd EFGH ijkl 1234 mnop QRST", set()),
        ("ed@example.com", "a" * 24, set()),
        ("", "a" * 24, {"username"}),
        ("a:b", "a" * 24, {"username"}),
        ("editor", "secret", {"application_password"}),
        ("", "a" * 23 + "é", {"username", "application_password"}),
    ],
)
def test_form_of_credentials(username: str, password: str, wrong: set[str]) -> None:
    given = {"username": username, "application_password": password}
    assert set(WordPress.check_credentials(given)) == wrong


@pytest.mark.parametrize(
    ("root", "address"),
    [
        ("https://example.com/wp-json/", "https://example.com/wp-json/wp/v2/posts?a=b+c"),
        (
            "https://example.com/b/?rest_route=/",
            "https://example.com/b/?rest_route=/wp/v2/posts&a=b+c",
        ),
        (
            "https://example.com/index.php?rest_route=/",
            "https://example.com/index.php?rest_route=/wp/v2/posts&a=b+c",
        ),
    ],
)
def test_addresses(root: str, address: str) -> None:
    """A second question mark would end the route."""
    assert address_of(root, "wp/v2/posts", {"a": "b c", "left_out": None}) == address


@pytest.mark.parametrize(
    "location", ["http://[broken", "", "//", "\x00", "https://a.example/b?c=d"]
)
def test_redirects_to_anywhere(location: str) -> None:
    """What a site tells is no reason to fail in another way; paths and queries are not shown."""
    error = redirected(SiteAnswer(301, {"Location": location}, None))
    assert error.code == "redirect"
    assert "c=d" not in error.message + error.help


@pytest.mark.parametrize("data", [[1], [{}], [{"id": "x"}], {"id": None}, [None], "text", [[]]])
def test_documents_that_are_none(data: Any) -> None:
    """Whatever a site answers, there is one kind of error."""
    answer = SiteAnswer(200, {"Link": '<http://[b>; rel="https://api.w.org/"', "Date": "?"}, data)
    site = Site("i1", "https://example.com", {"username": "a", "application_password": "b"})
    platform = WordPress(site, Answering(answer))
    identity = build_identity()
    story = payload(build_story(identity, terms={"tags": ["1"]}))
    for call in (
        lambda: platform.look_up(identity),
        lambda: platform.read("1"),
        lambda: platform.create(story, identity),
        lambda: platform.upload(build_upload()),
        lambda: list(platform.terms("tags")),
        lambda: platform.create_term("tags", "News", ""),
        lambda: platform.taxonomies(),
    ):
        with pytest.raises(PlatformError):
            call()
    assert not platform.test(write=True).ok


class Answering(SiteClient):
    """Answer every request alike."""

    def __init__(self, answer: SiteAnswer) -> None:
        self._answer = answer

    def request(self, method: str, url: str, **sent: Any) -> SiteAnswer:
        return self._answer
