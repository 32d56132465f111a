"""Pictures of stories: uploaded once, found again, never silently missing."""

from base64 import b64encode
from io import BytesIO
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import quote

import pytest

from apps.graph.build import Graph
from apps.publisher.run import public_pages
from apps.publisher.run.public_pages import PublicPages
from apps.publisher.run.results import Result
from apps.publisher.run.story import wanted_media
from tests.support.receivers import Fault, HTTPReceiver, Reply
from tests.support.site_desk import FaultySite, SiteDesk, picture_bytes
from transmitters.base import TransmitSettings
from transmitters.http_client import HTTPClient
from transmitters.http_connections import NoAnswer


def test_featured_picture_is_there_with_its_texts(desk: SiteDesk, site: FaultySite) -> None:
    _, record = desk.published(associations={"featuremedia": desk.picture()})
    (medium,) = site.content.media.values()
    assert site.post()["featured_media"] == medium["id"]
    assert medium["alt_text"] == "A river"
    (used,) = record["media"]
    assert (used["role"], used["remote_id"]) == ("feature", str(medium["id"]))
    assert desk.visit(used["remote_url"]) == 200


def test_picture_in_the_body_is_shown_from_the_site(desk: SiteDesk, site: FaultySite) -> None:
    held = desk.picture()
    href = held["renditions"]["original"]["href"]
    body = f'<p>Text</p><!-- EMBED START Image {{id: "editor_0"}} --><img src="{href}">'
    desk.published(body_html=body, associations={"editor_0": held, "related": desk.picture("blue")})
    assert len(site.content.media) == 1
    assert href not in site.post()["content"]


def test_stored_picture_that_the_body_names_by_address(desk: SiteDesk, site: FaultySite) -> None:
    href = desk.picture()["renditions"]["original"]["href"]
    desk.published(body_html=f'<p><img src="https://wire.example{href}" alt="x"></p>')
    assert len(site.content.media) == 1
    assert href not in site.post()["content"]


def test_two_stories_one_picture(desk: SiteDesk, site: FaultySite) -> None:
    first, second = desk.picture(), desk.picture()
    assert first["renditions"] != second["renditions"]
    for held in (first, second):
        desk.published(associations={"featuremedia": held})
    assert len(site.content.media) == 1
    assert len(site.writes("media")) == 1


def test_two_workers_one_picture(desk: SiteDesk, site: FaultySite) -> None:
    held = desk.picture()
    one, other = (desk.wish(desk.item(associations={"featuremedia": held})) for _ in range(2))
    seen: list[object] = []

    def meanwhile(request: object) -> None:
        if getattr(request, "path", "").endswith("/media") and not seen:
            seen.append(None)
            seen.append(desk.run(other, name="other"))

    site.fault = meanwhile  # type: ignore[assignment]
    assert desk.run(one) == Result.DONE
    assert seen[1] == Result.WAITING
    assert desk.run_until_settled(other)["status"] == "published"
    assert len(site.content.media) == 1


def test_lost_answer_of_an_upload_makes_one_picture(desk: SiteDesk, site: FaultySite) -> None:
    record = desk.wish(desk.item(associations={"featuremedia": desk.picture()}))
    site.fault = lambda request: "lost" if request.writes else None
    assert desk.run(record) == Result.WAITING
    site.fault = lambda request: None
    assert desk.run_until_settled(record)["status"] == "published"
    assert len(site.content.media) == 1
    assert len(site.writes("media")) == 1


@pytest.mark.parametrize("state", ["ready", "uploading"])
def test_removed_picture_may_be_brought_again_at_once(
    desk: SiteDesk, site: FaultySite, state: str
) -> None:
    """Unless an upload of it may still be on its way: that gets its time to arrive."""
    item, _ = desk.published(associations={"featuremedia": desk.picture()})
    desk.db["publisher_media"].update_one({}, {"$set": {"state": state}})

    desk.run_until_settled(desk.wish(desk.change(item, state="unpublished"), "retract"))

    assert not site.content.media
    (row,) = desk.db["publisher_media"].find()
    assert (row["state"], row["used_by"]) == ("deleted", [])
    assert (row["lease_until"] is None) == (state == "ready")


def test_ledger_restored_from_a_backup_finds_the_picture(desk: SiteDesk, site: FaultySite) -> None:
    held = desk.picture()
    desk.published(associations={"featuremedia": held})
    desk.db["publisher_media"].delete_many({})
    desk.published(associations={"featuremedia": held})
    assert len(site.content.media) == 1


def test_picture_deleted_at_the_site_is_uploaded_again(desk: SiteDesk, site: FaultySite) -> None:
    held = desk.picture()
    desk.published(associations={"featuremedia": held})
    for medium in list(site.content.media.values()):
        site.content.remove_media(medium)
    _, record = desk.published(associations={"featuremedia": held})
    (medium,) = site.content.media.values()
    post = site.content.entries[int(record["external_id"])]
    assert post["featured_media"] == medium["id"]


def test_known_picture_is_looked_for_once_a_day(desk: SiteDesk, site: FaultySite) -> None:
    held = desk.picture()
    desk.published(associations={"featuremedia": held})
    site.requests.clear()
    desk.published(associations={"featuremedia": held})
    assert not [request for request in site.requests if "media" in request.path]
    desk.clock.advance(days=1, seconds=1)
    desk.published(associations={"featuremedia": held})
    assert len([request for request in site.requests if "media" in request.path]) == 1


@pytest.mark.parametrize("policy", ["fail", "omit"])
@pytest.mark.parametrize("kind", ["broken", "wrong type", "missing", "withdrawn", "canceled"])
def test_picture_that_cannot_be_shown(
    desk: SiteDesk, site: FaultySite, policy: str, kind: str
) -> None:
    desk.options["on_media_failure"] = policy
    held = desk.picture()
    original = held["renditions"]["original"]
    match kind:
        case "broken":
            original["media"] = str(desk.storage.put(b"\x89PNG\r\n\x1a\n broken", "broken.png"))
        case "wrong type":
            original["media"] = str(desk.storage.put(b"%PDF-1.7", "file.pdf"))
        case "missing":
            original["media"] = "0" * 24
        case "withdrawn":
            held["state"] = "killed"
        case _:
            held["pubstatus"] = "canceled"
    record = desk.run_until_settled(desk.wish(desk.item(associations={"featuremedia": held})))
    if policy == "omit":
        assert record["status"] == "published"
        assert record["warnings"] == ["media_omitted:featuremedia"]
        assert site.post()["featured_media"] == 0
        return
    assert record["status"] == "failed"
    assert record["error"]["class"] == (
        "validation" if kind in ("withdrawn", "canceled") else "media"
    )
    assert record["error"]["field"] == "featuremedia"
    assert not site.posts()


def test_picture_that_is_too_large_is_made_smaller(desk: SiteDesk, site: FaultySite) -> None:
    held = desk.picture("noise", size=(900, 700))
    desk.published(associations={"featuremedia": held})
    (medium,) = site.content.media.values()
    assert medium["mime_type"] == "image/jpeg"
    assert medium["filesize"] <= 100_000
    desk.published(associations={"featuremedia": held})
    assert len(site.content.media) == 1


def test_rendition_that_fits_goes_before_a_smaller_copy(desk: SiteDesk, site: FaultySite) -> None:
    held = desk.picture("noise", size=(900, 700))
    small = desk.picture()["renditions"]["original"]
    held["renditions"]["viewImage"] = small
    desk.options["renditions"] = ["original", "viewImage"]
    desk.published(associations={"featuremedia": held})
    (medium,) = site.content.media.values()
    assert medium["mime_type"] == "image/png"


def test_kill_removes_pictures_that_nobody_else_shows(desk: SiteDesk, site: FaultySite) -> None:
    shared, own = desk.picture(), desk.picture("blue")
    body = '<p><!-- EMBED START Image {id: "editor_0"} --></p>'
    first, _ = desk.published(
        body_html=body, associations={"featuremedia": shared, "editor_0": own}
    )
    second, other = desk.published(associations={"featuremedia": shared})
    desk.run_until_settled(desk.wish(desk.change(first, state="killed"), "retract"))
    (left,) = site.content.media.values()
    assert str(left["id"]) == other["media"][0]["remote_id"]
    desk.run_until_settled(desk.wish(desk.change(second, state="killed"), "retract"))
    assert not site.content.media


def test_picture_comes_back_with_its_story(desk: SiteDesk, site: FaultySite) -> None:
    item, _ = desk.published(associations={"featuremedia": desk.picture()})
    item = desk.change(item, state="unpublished")
    desk.run_until_settled(desk.wish(item, "retract"))
    assert not site.content.media
    desk.clock.advance(minutes=5)
    desk.run_until_settled(desk.wish(desk.change(item, state="published")))
    (medium,) = site.content.media.values()
    assert site.post()["featured_media"] == medium["id"]


def test_digests_are_computed_once(desk: SiteDesk) -> None:
    held = desk.picture()
    file = desk.storage.get(held["renditions"]["original"]["media"])
    first = desk.storage.digests(file)
    desk.db["fs.chunks"].delete_many({})
    assert desk.storage.digests(desk.storage.get(file.id)) == first


def test_stored_file_that_is_damaged(desk: SiteDesk, site: FaultySite) -> None:
    held = desk.picture()
    desk.db["fs.chunks"].delete_many({})
    record = desk.run_until_settled(desk.wish(desk.item(associations={"featuremedia": held})))
    assert (record["status"], record["error"]["class"]) == ("failed", "media")
    assert not site.posts()


# Files that the body names.


def stored(desk: SiteDesk, href: str) -> dict[str, Any]:
    """Return a picture whose rendition is said to be at an address, `ID` standing for its id."""
    held = desk.picture()
    original = held["renditions"]["original"]
    original["href"] = href.replace("ID", original["media"])
    return held


@pytest.mark.parametrize(
    ("href", "source"),
    [
        ("https://wire.example/a%20b.png?x=1&y=2", "https://wire.example/a b.png?x=1&amp;y=2"),
        ("https://wire.example/p?a=1&b=2", "https://wire.example/p?a=1&amp;b=2"),
        ("https://wire.example/p?a=1&b=2", "https://wire.example/p?a=1&b=2"),
        ("https://wire.example/api/upload-raw/ID.png", "/upload-raw/ID"),
        ("https://wire.example/api/upload-raw/ID", "/api/upload-raw/ID.png"),
        ("https://wire.example/api/upload-raw/ID", "https://other.example/upload-raw/ID"),
        ("https://wire.example/picture.png", "/picture.png"),
        ("https://wire.example/picture.png", "http://WIRE.example/picture.png"),
        ("https://wire.example/picture.png", "//wire.example/picture.png"),
    ],
)  # fmt: skip
def test_association_that_the_body_shows_by_another_form_of_its_address(
    desk: SiteDesk, site: FaultySite, href: str, source: str
) -> None:
    held = stored(desk, href)
    source = source.replace("ID", held["renditions"]["original"]["media"])
    _, record = desk.published(
        body_html=f'<p>Text</p><img src="{source}">', associations={"editor_0": held}
    )
    (used,) = record["media"]
    assert used["association"] == "editor_0"
    content = site.post()["content"]
    assert used["remote_url"] in content
    assert "wire.example" not in content


@pytest.mark.parametrize(
    "body",
    [
        '<p>The key "editor_0" stands in the text.</p>',
        '<p data-key="editor_0">Text</p>',
        '<!-- EMBED START Image {id: "editor_0"} --><p>Without an end.</p>',
        "<p>/api/upload-raw/ID</p>",
        "<script>'/api/upload-raw/ID'</script>",
    ],
)
def test_association_that_is_only_mentioned_stays_here(
    desk: SiteDesk, site: FaultySite, body: str
) -> None:
    held = desk.picture()
    body = body.replace("ID", held["renditions"]["original"]["media"])
    _, record = desk.published(body_html=f"<p>Text</p>{body}", associations={"editor_0": held})
    assert record["media"] == []
    assert not site.content.media


def test_picture_that_is_written_into_the_body(desk: SiteDesk, site: FaultySite) -> None:
    encoded = b64encode(picture_bytes("green")).decode()
    for source in (f"data:image/png;base64,{encoded}", f"DATA:image/jpeg;BASE64,{encoded}"):
        desk.published(body_html=f'<p>Text</p><img src="{source}" alt="Green">')
    assert len(site.content.media) == 1
    assert all("data:" not in post["content"] for post in site.posts())
    assert all("<img" in post["content"] for post in site.posts())


@pytest.mark.parametrize("policy", ["fail", "omit"])
def test_picture_in_the_body_that_is_broken(desk: SiteDesk, site: FaultySite, policy: str) -> None:
    desk.options["on_media_failure"] = policy
    body = '<p>Text</p><img src="data:image/png;base64,%%%">'
    record = desk.run_until_settled(desk.wish(desk.item(body_html=body)))
    if policy == "fail":
        assert (record["status"], record["error"]["class"]) == ("failed", "media")
        return
    assert record["status"] == "published"
    assert record["warnings"][0].startswith("media_omitted:")


@pytest.mark.parametrize(
    "address",
    [
        "https://other.example/upload-raw/0123456789abcdef01234567",
        "https://other.example/picture.png",
    ],
)
def test_picture_of_another_host_stays_there(
    desk: SiteDesk, site: FaultySite, address: str
) -> None:
    _, record = desk.published(body_html=f'<p>Text</p><img src="{address}">')
    assert address in site.post()["content"]
    assert record["media"] == []


def test_picture_of_another_host_is_brought_along_once(desk: SiteDesk, site: FaultySite) -> None:
    desk.options["rehost"] = True
    picture = picture_bytes("yellow")
    with HTTPReceiver() as host:
        host.answer(lambda request: (200, {"Content-Type": "text/plain"}, picture))
        body = f'<p>Text</p><img src="{host.url}/a.png"><img src="{host.url}/a.png">'
        item, record = desk.published(body_html=body)
        desk.run_until_settled(desk.wish(desk.change(item, headline="Rivers fall")))
        assert len(host.requests) == 1
        assert host.url not in site.post()["content"]
    assert len(site.content.media) == 1
    assert len(record["media"]) == 1


@pytest.mark.parametrize("policy", ["fail", "omit"])
def test_picture_of_another_host_that_cannot_be_had(
    desk: SiteDesk, site: FaultySite, policy: str
) -> None:
    desk.options |= {"rehost": True, "on_media_failure": policy}
    with HTTPReceiver() as host:
        host.answer(lambda request: (404, {}, b""))
        body = f'<p>Text</p><img src="{host.url}/a.png">'
        record = desk.run_until_settled(desk.wish(desk.item(body_html=body)))
    if policy == "fail":
        assert record["error"]["code"] == "media_not_fetched"
        return
    assert record["status"] == "published"
    assert record["warnings"][0].startswith("media_omitted:")


def test_film_of_another_host_stays_there(desk: SiteDesk, site: FaultySite) -> None:
    desk.options["rehost"] = True
    with HTTPReceiver() as host:
        host.answer(lambda request: (200, {}, b"\0\0\0\x20ftypisom" + b"\0" * 99))
        desk.published(body_html=f'<p>Text</p><video src="{host.url}/a.mp4"></video>')
        assert host.url in site.post()["content"]
    assert not site.content.media


def test_film_that_the_body_names_by_address(desk: SiteDesk) -> None:
    film, sound = "0123456789abcdef01234567", "0123456789abcdef01234568"
    body = (
        f'<video><source src="/api/upload-raw/{film}.mp4"></video>'
        f'<audio src="https://wire.example/api/upload-raw/{sound}"></audio>'
    )
    wanted = list(wanted_media({"body_html": body}, [], desk.clock.at))
    assert [one.key for one in wanted] == [f"media_{film}", f"media_{sound}"]
    assert [one.candidates for one in wanted] == [(film,), (sound,)]
    assert wanted[0].source_urls == {f"/api/upload-raw/{film}.mp4"}


def test_texts_lead_to_no_machine_of_ours(graph: Graph) -> None:
    """Whoever writes a body cannot let the server ask what only it can reach."""
    with HTTPReceiver() as host:
        client = graph.publisher.opened.foreign_client()
        pages = PublicPages(lambda url: client, lambda: client)
        for url in (host.url, host.url.replace("127.0.0.1", "localhost"), "http://[::1]:9/"):
            with pytest.raises(NoAnswer), NamedTemporaryFile() as target:
                pages.fetch(f"{url}/a.png", target)
        assert not host.requests


def test_file_that_is_too_long_is_not_read_to_its_end(graph: Graph) -> None:
    client = HTTPClient(TransmitSettings(allow_private_addresses=True))
    with HTTPReceiver(lambda request: (200, {}, b"x" * 5_000_000)) as host:
        target = BytesIO()
        with pytest.raises(ValueError, match="longer than 1000000"):
            client.download(host.url, target, 1_000_000)
        assert target.tell() < 1_200_000
    client.close()


def rehosted_body(host: HTTPReceiver) -> str:
    return f'<p>Text</p><img src="{host.url}/a.png">'


@pytest.mark.parametrize("policy", ["fail", "omit"])
@pytest.mark.parametrize("trouble", [500, 503, 429, 408, Fault.CLOSE, Fault.RESET_MID_BODY])
def test_host_that_is_down_for_the_moment(
    desk: SiteDesk, site: FaultySite, policy: str, trouble: Reply
) -> None:
    """The story waits for its picture, and nobody takes the site for one that is down."""
    desk.options |= {"rehost": True, "on_media_failure": policy}
    with HTTPReceiver(lambda request: trouble) as host:
        record = desk.wish(desk.item(body_html=rehosted_body(host)))
        for tries in (1, 2):
            assert desk.run(record) == Result.WAITING
            waiting = desk.record(record)
            assert (waiting["status"], waiting["retry_attempt"]) == ("pending", tries)
            error = waiting["error"]
            assert (error["class"], error["code"]) == ("media", "media_not_fetched")
            assert error["retryable"]
            assert error["retry_at"] == waiting["next_attempt_at"] > desk.clock.at
            desk.clock.at = waiting["next_attempt_at"]
        host.answer(lambda request: (200, {}, picture_bytes("yellow")))
        assert desk.run_until_settled(record)["status"] == "published"
        assert host.url not in site.post()["content"]
    assert len(site.content.media) == 1
    assert desk.record(record)["warnings"] == []


@pytest.mark.parametrize("policy", ["fail", "omit"])
def test_host_that_stays_down(desk: SiteDesk, site: FaultySite, policy: str) -> None:
    """After the last try the story fails; one that may go without the picture goes sooner."""
    desk.options |= {"rehost": True, "on_media_failure": policy}
    with HTTPReceiver(lambda request: 503) as host:
        record = desk.run_until_settled(desk.wish(desk.item(body_html=rehosted_body(host))))
        asked = len(host.requests)
    if policy == "fail":
        assert (record["status"], asked) == ("failed", 11)
        assert record["error"]["code"] == "media_not_fetched"
        assert not site.posts()
        return
    assert (record["status"], asked) == ("published", 4)
    assert record["warnings"][0].startswith("media_omitted:")


def test_host_that_hangs(desk: SiteDesk) -> None:
    """It holds nobody longer than an answer may take, and is asked again."""
    desk.options["rehost"] = True
    client = HTTPClient(TransmitSettings(http_read_timeout=0.2, http_total_timeout=0.5))
    desk.pages = PublicPages(lambda url: client, lambda: client)
    with HTTPReceiver(lambda request: Fault.HANG) as host:
        record = desk.wish(desk.item(body_html=rehosted_body(host)))
        assert desk.run(record) == Result.WAITING
    assert "timed out" in desk.record(record)["error"]["message"]


@pytest.mark.parametrize(
    "target",
    ["ftp://files.example/a.png", "http://[", "javascript:x", "file:///etc/passwd", "/a.png"],
)
def test_host_that_leads_nowhere(desk: SiteDesk, site: FaultySite, target: str) -> None:
    """Nothing is waited for that no second try can change."""
    desk.options["rehost"] = True
    with HTTPReceiver(lambda request: (302, {"Location": target}, b"")) as host:
        record = desk.run_until_settled(desk.wish(desk.item(body_html=rehosted_body(host))))
        assert len(host.requests) <= 4
    assert (record["status"], record["error"]["code"]) == ("failed", "media_not_fetched")
    assert not record["error"]["retryable"]


def test_host_that_leads_to_a_private_network(graph: Graph, desk: SiteDesk) -> None:
    """Cms scenario 45, for what stands in texts: the second address is checked, too."""
    desk.options["rehost"] = True
    with HTTPReceiver() as inner:
        guarded = graph.publisher.opened.foreign_client()
        clients = iter([desk.http])
        desk.pages = PublicPages(lambda url: guarded, lambda: next(clients, guarded))
        with HTTPReceiver(lambda request: (302, {"Location": f"{inner.url}/x"}, b"")) as host:
            record = desk.run_until_settled(desk.wish(desk.item(body_html=rehosted_body(host))))
        assert not inner.requests
    assert (record["status"], record["error"]["code"]) == ("failed", "media_not_fetched")
    assert "not allowed" in record["error"]["message"]


def test_page_in_the_place_of_a_picture_stays_there(desk: SiteDesk, site: FaultySite) -> None:
    desk.options["rehost"] = True
    page = (200, {"Content-Type": "image/png"}, b"<!doctype html><h1>No hotlinks</h1>")
    with HTTPReceiver(lambda request: page) as host:
        desk.published(body_html=rehosted_body(host))
        assert f"{host.url}/a.png" in site.post()["content"]
    assert not site.content.media


def test_picture_of_another_host_that_is_too_long(
    desk: SiteDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_pages, "LARGEST_FILE", 1000)
    desk.options["rehost"] = True
    with HTTPReceiver(lambda request: (200, {}, picture_bytes() + b"x" * 1000)) as host:
        record = desk.run_until_settled(desk.wish(desk.item(body_html=rehosted_body(host))))
        assert len(host.requests) == 1
    assert record["status"] == "failed"
    assert "longer than 1000 bytes" in record["error"]["message"]


DRAWING = "<svg xmlns='http://www.w3.org/2000/svg'><script>x()</script><circle r='9'/></svg>"


@pytest.mark.parametrize("policy", ["fail", "omit"])
@pytest.mark.parametrize(
    "address",
    [
        f"data:image/svg+xml,{quote(DRAWING)}",
        f"data:image/svg+xml;base64,{b64encode(DRAWING.encode()).decode()}",
        "DATA:Image/SVG+xml;charset=utf-8,%3Csvg/%3E",
        "data:image/svg+xml;base64,%%%",
    ],
)
def test_drawing_that_is_written_into_the_body(
    desk: SiteDesk, site: FaultySite, address: str, policy: str
) -> None:
    """It goes, as drawings do; the story does not wait for it, and says so."""
    desk.options["on_media_failure"] = policy
    _, record = desk.published(body_html=f'<p>Text</p><img src="{address}" alt="Circle">')
    (warning,) = record["warnings"]
    assert warning.startswith("media_omitted:")
    assert "svg" not in site.post()["content"]
    assert "<img" not in site.post()["content"]


@pytest.mark.parametrize("policy", ["fail", "omit"])
@pytest.mark.parametrize(
    "address",
    [
        "data:image/png;base64,%%%",
        "data:image/png;base64,AAA",
        "data:image/png;base64,",
        "data:,",
        "data:",
        "data:text/html,<b>x</b>",
        "data:image/png;base64,iVBORw0KGgo=",
        "data:image/png;base64,\u00e9\u4e2d",
    ],
)
def test_address_that_holds_no_picture(
    desk: SiteDesk, site: FaultySite, policy: str, address: str
) -> None:
    desk.options["on_media_failure"] = policy
    record = desk.run_until_settled(
        desk.wish(desk.item(body_html=f"<p>Text</p><img src='{address}'>"))
    )
    if policy == "fail":
        assert (record["status"], record["error"]["class"]) == ("failed", "media")
        assert not site.posts()
        return
    assert record["status"] == "published"
    assert record["warnings"][0].startswith("media_omitted:")
    assert "data:" not in site.post()["content"]
