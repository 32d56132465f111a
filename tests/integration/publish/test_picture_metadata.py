"""Metadata in the files of published pictures (lifecycle contract 5.1 step 10)."""

from io import BytesIO
from typing import Any

import pytest
from PIL import Image, IptcImagePlugin

from apps.core.errors import ConfigurationError
from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from tests.support.newsdesk import Newsdesk

MAPPING = {
    "headline": "Headline",
    "description_text": "Description",
    "byline": "Creator",
    "extra.town": "City",
    "keywords": "Keywords",
}


@pytest.fixture
def eager() -> bool:
    """Tasks run at once."""
    return True


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        **settings,
        "PICTURE_METADATA_MAPPING": MAPPING,
        "MEDIA_PREFIX": "https://cdn.example/m",
        "PUBLISH_ASSOCIATED_ITEMS": True,
    }


def file_of(color: str = "red", form: str = "JPEG") -> bytes:
    file = BytesIO()
    Image.new("RGB", (8, 8), color).save(file, form)
    return file.getvalue()


def renditions(graph: Graph, **files: bytes) -> Document:
    """Store files and return the renditions that show them."""
    ids = {name: str(graph.media.put(content, f"{name}.jpg")) for name, content in files.items()}
    return {
        name: {"href": f"https://cdn.example/m/{id}.jpg", "media": id, "width": 8, "height": 8}
        for name, id in ids.items()
    }


def picture(desk: Newsdesk, graph: Graph, **fields: Any) -> Document:
    files = renditions(graph, original=file_of(), thumbnail=file_of("blue"))
    return desk.story(type="picture", renditions=files, **fields)


def read(graph: Graph, rendition: Document) -> dict[Any, Any]:
    """Return the IPTC record of a rendition's file."""
    with Image.open(BytesIO(graph.media.get(rendition["media"]).read())) as image:
        image.load()
        return dict(IptcImagePlugin.getiptcinfo(image) or {})


def test_all_renditions_carry_the_metadata(desk: Newsdesk, graph: Graph) -> None:
    """In new files, with new ids and addresses; the old ones are as they were."""
    item = picture(
        desk,
        graph,
        headline="Flüsse",
        description_text="<p>Am Freitag</p>",
        byline="Ada Bell",
        extra={"town": "Malmö"},
        keywords=["flood", "rain"],
    )

    done = desk.act("publish", item)

    for name, old in item["renditions"].items():
        new = done["renditions"][name]
        assert new["media"] != old["media"]
        assert new["href"] == f"https://cdn.example/m/{new['media']}.jpg"
        assert (new["width"], new["height"]) == (8, 8)
        found = read(graph, new)
        assert found[(2, 105)] == "Flüsse".encode()
        assert found[(2, 120)] == b"Am Freitag"
        assert found[(2, 80)] == b"Ada Bell"
        assert found[(2, 90)] == "Malmö".encode()
        assert found[(2, 25)] == [b"flood", b"rain"]
        assert read(graph, old) == {}
    row = graph.db["published"].find_one() or {}
    assert row["renditions"] == done["renditions"]


def test_a_correction_writes_what_has_changed(desk: Newsdesk, graph: Graph) -> None:
    """Without a change the files stay."""
    done = desk.act("publish", picture(desk, graph, headline="Rivers rise"))
    same = desk.act("correct", done)
    assert same["renditions"] == done["renditions"]

    other = desk.act("correct", done, headline="Rivers fall")

    assert read(graph, other["renditions"]["original"])[(2, 105)] == b"Rivers fall"


def test_pictures_of_a_story_carry_theirs(desk: Newsdesk, graph: Graph) -> None:
    """The item and the association that shows it, with the same file."""
    held = picture(desk, graph, headline="A bridge")
    story = desk.story(associations={"featuremedia": held})

    done = desk.act("publish", story)

    shown = done["associations"]["featuremedia"]["renditions"]
    assert read(graph, shown["original"])[(2, 105)] == b"A bridge"
    item = graph.editing.archive.find(held["_id"])
    assert item["renditions"]["original"]["media"] == shown["original"]["media"]


def test_what_cannot_be_rewritten_goes_out_as_it_is(desk: Newsdesk, graph: Graph) -> None:
    """Another kind of file, a broken one, one that is not stored, a rendition that is null."""
    files = {
        **renditions(graph, gif=file_of(form="GIF"), broken=file_of()[:20]),
        "elsewhere": {"href": "https://elsewhere.example/a.jpg", "media": "a" * 24},
        "bare": {"href": "https://elsewhere.example/b.jpg"},
        "gone": None,
    }
    done = desk.act("publish", desk.story(type="picture", renditions=files))

    assert done["renditions"] == files


def test_texts_are_left_alone(desk: Newsdesk, graph: Graph) -> None:
    """Only pictures carry metadata."""
    files = renditions(graph, original=file_of())
    done = desk.act("publish", desk.story(renditions=files))
    assert done["renditions"] == files


class TestWithoutMapping:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "PICTURE_METADATA_MAPPING": {}}

    def test_files_stay(self, desk: Newsdesk, graph: Graph) -> None:
        item = picture(desk, graph)
        assert desk.act("publish", item)["renditions"] == item["renditions"]


def test_an_unknown_tag_stops_the_start(settings: dict[str, Any]) -> None:
    """The message names it, and those that there are."""
    wrong = {**settings, "PICTURE_METADATA_MAPPING": {"headline": "Shout"}}
    with pytest.raises(ConfigurationError, match=r"unknown Shout; known: .*Headline"):
        build_graph(wrong)
