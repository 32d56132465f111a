"""Formatters, previews and exports at the HTTP edge (formats contract 1.4)."""

import json
from datetime import timedelta
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest

from apps.graph.build import Graph
from apps.output.formats.export import forget_exports
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import Newsroom, push

REFERENCE_ORDER = [
    *("NITFFormatter", "NINJSFormatter", "NINJS2Formatter", "NewsML12Formatter"),
    *("NewsMLG2Formatter", "EmailFormatter", "NewsroomNinjsFormatter", "IDMLFormatter"),
    *("FTPNinjsFormatter", "IMatricsFormatter"),
]


@pytest.fixture
def desk(admin: Any, graph: Graph) -> Newsdesk:
    newsroom = Newsroom(graph.db)
    newsroom.validators({"headline": {"required": True}})
    return Newsdesk(admin, newsroom)


def names(answer: Any) -> list[str]:
    return [row["name"] for row in answer.get_json()["_items"]]


def message(answer: Any) -> str:
    assert 400 == answer.status_code, answer.text
    return str(answer.get_json()["_message"])


def sequences(desk: Newsdesk) -> list[Any]:
    found = desk.db["sequences"].find({"key": {"$regex": "subscribers_"}})
    return sorted((row["key"], row["sequence_number"]) for row in found)


class TestList:
    def test_names_the_classes(self, editor: Any) -> None:
        """The classes in registration order; those beyond Superdesk's when asked for.

        Formats contract 1.4.
        """
        assert REFERENCE_ORDER == names(editor.get("formatters"))
        assert {"TextFormatter", *REFERENCE_ORDER} <= set(
            names(editor.get("formatters", extra="true"))
        )

    @pytest.mark.parametrize("criteria", ["can_export", "can_preview"])
    def test_by_criteria(self, editor: Any, criteria: str) -> None:
        """Formats scenario 2: those whose attribute is true."""
        assert ["NINJSFormatter", "NINJS2Formatter", "FTPNinjsFormatter"] == names(
            editor.get("formatters", criteria=criteria)
        )

    def test_unknown_criteria(self, editor: Any) -> None:
        """Formats scenario 2: `?criteria=nope` is 400."""
        assert "nope" in message(editor.get("formatters", criteria="nope"))


class TestPost:
    def post(self, desk: Newsdesk, item_id: str, name: str = "NINJSFormatter") -> Any:
        body = {"article_id": item_id, "formatter_name": name}
        return desk.client.post("formatters", body)

    def test_formats_an_item(self, desk: Newsdesk) -> None:
        """201 with `formatted_doc`; no sequence number of any subscriber moves.

        Formats scenario 3.
        """
        subscriber = desk.newsroom.subscriber("Push", push("http://127.0.0.1:9"))
        counter = {"key": f"subscribers_{subscriber}", "sequence_number": 7}
        desk.db["sequences"].insert_one(dict(counter))
        story = desk.story(headline="Don''t")

        for name in ("NINJSFormatter", "NewsML12Formatter", "NewsMLG2Formatter"):
            answer = self.post(desk, story["_id"], name)
            assert 201 == answer.status_code, answer.text
            assert "Don''t" in answer.get_json()["formatted_doc"]

        assert sequences(desk) == [tuple(counter.values())]
        assert (
            "<TransmissionId>0<"
            in self.post(desk, story["_id"], "NewsML12Formatter").get_json()["formatted_doc"]
        )

    def test_refusals(self, desk: Newsdesk) -> None:
        """Formats scenario 3: unknown class, then unknown item."""
        story = desk.story()
        assert "Formatter not found" == message(self.post(desk, story["_id"], "NoFormatter"))
        assert "Article not found!" == message(self.post(desk, "nowhere"))

    def test_needs_both_fields(self, desk: Newsdesk) -> None:
        """Formats contract 1.4: a missing field is a schema error."""
        answer = desk.client.post("formatters", {"article_id": "x"})
        assert (400, {"formatter_name": {"required": 1}}) == (
            answer.status_code,
            answer.get_json()["_issues"],
        )

    def test_items_that_are_not_valid(self, desk: Newsdesk) -> None:
        """Formats contract 1.4: the item is validated as if it were published."""
        story = desk.story(headline="")
        text = message(self.post(desk, story["_id"]))
        assert text.startswith("Error in formatting article: ")
        assert "HEADLINE" in text

    def test_formats_that_do_not_take_the_item(self, desk: Newsdesk) -> None:
        """Formats contract 1.3: a picture has no NITF."""
        desk.newsroom.validators(item_type="picture")
        picture = desk.story(type="picture")
        text = message(self.post(desk, picture["_id"], "NITFFormatter"))
        assert text == "Error in formatting article: nitf takes no items of type picture"

    def test_drops_what_the_profile_disables(self, desk: Newsdesk) -> None:
        """Formats contract 1.4: the content-profile filter applies."""
        schema = {"headline": {"type": "string"}, "ednote": None}
        desk.db["content_types"].insert_one({"_id": "plain", "label": "p", "schema": schema})
        story = desk.story(profile="plain", ednote="Not for you")
        answer = self.post(desk, story["_id"])
        assert "Not for you" not in answer.get_json()["formatted_doc"]

    def test_needs_a_privilege(self, desk: Newsdesk, editor: Any) -> None:
        """Formats contract 1.4: privilege `archive`."""
        body = {"article_id": desk.story()["_id"], "formatter_name": "NINJSFormatter"}
        assert 403 == editor.post("formatters", body).status_code


class TestPreview:
    def get(self, desk: Newsdesk, **arguments: Any) -> Any:
        return desk.client.get("format-document-for-preview/", **arguments)

    def test_shows_what_a_subscriber_would_get(self, desk: Newsdesk) -> None:
        """The body is the formatted text, uncached, with the format's own type.

        Formats contract 1.4.
        """
        destination = {**push("http://127.0.0.1:9"), "format": "nitf"}
        subscriber = str(desk.newsroom.subscriber("Push", destination))
        story = desk.story()
        before = sequences(desk)

        for format, media_type in (
            ("nitf", "application/nitf+xml"),
            ("newsmlg2", "application/vnd.iptc.g2.newsmessage+xml"),
            ("ninjs", "application/json"),
            ("NINJS2Formatter", "application/json"),
        ):
            answer = self.get(
                desk, document_id=story["_id"], subscriber_id=subscriber, formatter=format
            )
            assert (200, media_type) == (answer.status_code, answer.mimetype)
            assert "no-cache, no-store, must-revalidate" == answer.headers["Cache-Control"]
            assert "Rivers rise" in answer.text

        assert before == sequences(desk)

    @pytest.mark.parametrize("missing", ["document_id", "subscriber_id", "formatter"])
    def test_whatever_is_missing_is_not_found(self, desk: Newsdesk, missing: str) -> None:
        """Formats contract 1.4: 404 for an argument that is absent or names nothing."""
        subscriber = str(desk.newsroom.subscriber("Push", push("http://127.0.0.1:9")))
        known = {
            "document_id": desk.story()["_id"],
            "subscriber_id": subscriber,
            "formatter": "ninjs",
        }
        unknown = {**known, missing: "nothing"}
        absent = {name: value for name, value in known.items() if name != missing}
        assert [404, 404] == [self.get(desk, **a).status_code for a in (unknown, absent)]

    def test_needs_a_login(self, anonymous: Any) -> None:
        """Items are not for everybody."""
        assert 401 == anonymous.get("format-document-for-preview/").status_code


class TestExport:
    def export(self, desk: Newsdesk, *items: Any, **fields: Any) -> Any:
        ids = [item["_id"] for item in items]
        body = {"item_ids": ids, "format_type": "NINJSFormatter", **fields}
        answer = desk.client.post("export", body)
        assert 201 == answer.status_code, answer.text
        return answer.get_json()

    def test_makes_an_archive(self, desk: Newsdesk) -> None:
        """A zip with a file for each item, named by slugline and unique id.

        Formats contract 1.4.
        """
        first = desk.story(slugline='a/b: "c"')
        second = desk.story(slugline="rivers", headline="Second")
        unique = [first["unique_id"], second["unique_id"]]

        answer = self.export(desk, first, second, {"_id": "not here"})

        assert 0 == answer["failures"]
        path = answer["url"].removeprefix("http://127.0.0.1:5000/api/")
        download = desk.client.get(path)
        assert "application/zip" == download.mimetype
        with ZipFile(BytesIO(download.data)) as archive:
            assert [f"ab c_{unique[0]}.txt", f"rivers_{unique[1]}.txt"] == archive.namelist()
            written = json.loads(archive.read(f"rivers_{unique[1]}.txt"))
            assert "Second" == written["headline"]

    def test_answers_inline(self, desk: Newsdesk) -> None:
        """Formats contract 1.4: JSON as JSON, other formats as text."""
        story = desk.story()
        ninjs = self.export(desk, story, inline=True)
        nitf = self.export(desk, story, inline=True, format_type="NITFFormatter")
        assert "Rivers rise" == ninjs["export"][story["_id"]]["headline"]
        assert nitf["export"][story["_id"]].startswith("<?xml")
        assert "url" not in ninjs

    def test_counts_failures(self, desk: Newsdesk) -> None:
        """Formats contract 1.4: with `validate`, what is not valid is left out and counted."""
        good, bad = desk.story(), desk.story(headline="")
        assert 0 == self.export(desk, good, bad, inline=True)["failures"]
        answer = self.export(desk, good, bad, inline=True, validate=True)
        assert (1, [good["_id"]]) == (answer["failures"], [*answer["export"]])

    def test_nothing_left(self, desk: Newsdesk) -> None:
        """Formats contract 1.4: neither url nor export."""
        answer = self.export(desk, desk.story(headline=""), validate=True)
        assert 1 == answer["failures"]
        assert not {"url", "export"} & answer.keys()

    def test_unknown_format(self, desk: Newsdesk) -> None:
        """Formats contract 1.4: the class has to exist."""
        body = {"item_ids": ["x"], "format_type": "NoFormatter"}
        text = "Formatter not found for requested format type."
        assert text == message(desk.client.post("export", body))

    def test_archives_are_kept_for_a_day(self, desk: Newsdesk, graph: Graph) -> None:
        """What was exported can be exported again; the store does not fill up with it."""
        other = graph.media.put(b"stays", "export_of_salt.txt")
        url = self.export(desk, desk.story())["url"]
        path = url.removeprefix("http://127.0.0.1:5000/api/")

        forget_exports(graph.db, graph.clock.now())
        assert 200 == desk.client.get(path).status_code
        forget_exports(graph.db, graph.clock.now() + timedelta(days=2))

        assert 404 == desk.client.get(path).status_code
        assert 0 == graph.db["fs.chunks"].count_documents({"files_id": {"$ne": other}})
        assert graph.media.exists(other)

    def test_downloads_are_exports_only(self, desk: Newsdesk, graph: Graph, anonymous: Any) -> None:
        """Other stored files are not to be had there, and nothing without a login."""
        other = graph.media.put(b"secret", "a.txt")
        assert 404 == desk.client.get(f"download/{other}").status_code
        url = self.export(desk, desk.story())["url"]
        assert 401 == anonymous.get(url.removeprefix("http://127.0.0.1:5000/api/")).status_code
