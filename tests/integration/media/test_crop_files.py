"""Crops get their files (resources contract 20.4; resources scenario R57)."""

from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.newsdesk import Newsdesk

SIZES = [
    {"name": "4-3", "ratio": "4:3", "is_active": True},
    {"name": "small", "width": 400, "is_active": True},
    {"name": "Box", "width": "200", "height": "100", "is_active": True},
]
RED, BLUE = (255, 0, 0), (0, 0, 255)


def box(left: int, top: int, right: int, bottom: int) -> Document:
    return {"CropLeft": left, "CropTop": top, "CropRight": right, "CropBottom": bottom}


LEFT, RIGHT = box(0, 0, 800, 600), box(1000, 0, 1800, 600)
"""Crops of 4:3 in the two halves of the picture."""


@pytest.fixture
def desk(desk: Newsdesk) -> Newsdesk:
    desk.db["vocabularies"].insert_one({"_id": "crop_sizes", "items": SIZES})
    return desk


@pytest.fixture
def original(graph: Graph) -> Document:
    """The rendition of a stored picture of 2000 by 1000 pixels, red on the left, blue beside it."""
    image = Image.new("RGB", (2000, 1000), RED)
    image.paste(BLUE, (1000, 0, 2000, 1000))
    file = BytesIO()
    image.save(file, "JPEG")
    media = str(graph.media.put(file.getvalue(), "a.jpg"))
    href = f"http://127.0.0.1:5000/api/upload-raw/{media}.jpg"
    size = {"width": 2000, "height": 1000, "mimetype": "image/jpeg"}
    return {"href": href, "media": media, **size}


@pytest.fixture
def picture(desk: Newsdesk, original: Document) -> Document:
    return desk.story(type="picture", renditions={"original": original})


def saved(desk: Newsdesk, item: Document, **changes: Any) -> Document:
    answer = desk.client.patch(f"archive/{item['_id']}", changes)
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def cropped(desk: Newsdesk, picture: Document, **crops: Any) -> Document:
    """Save crops; return the renditions as answered."""
    return dict(saved(desk, picture, renditions=crops)["renditions"])


def shown(desk: Newsdesk, rendition: Document) -> Image.Image:
    """Return the picture that the address of a rendition answers."""
    answer = desk.client.get(rendition["href"].partition("/api/")[2])
    assert (answer.status_code, answer.mimetype) == (200, rendition["mimetype"])
    return Image.open(BytesIO(answer.data))


def is_blue(image: Image.Image) -> bool:
    red, _green, blue = image.convert("RGB").getpixel((image.width // 2, image.height // 2))
    return bool(blue > red)


class TestSave:
    def test_coordinates_make_a_file(
        self, desk: Newsdesk, picture: Document, original: Document
    ) -> None:
        """The rendition says where it is, and keeps what it was cut by; the original stays."""
        renditions = cropped(desk, picture, **{"4-3": RIGHT})

        assert renditions["original"] == original
        crop = renditions["4-3"]
        assert RIGHT.items() <= crop.items()
        assert (crop["width"], crop["height"], crop["mimetype"]) == (800, 600, "image/jpeg")
        assert crop["media"] != original["media"]
        assert crop["href"].endswith(f"/upload-raw/{crop['media']}.jpg")
        with shown(desk, crop) as image:
            assert (image.size, is_blue(image)) == ((800, 600), True)

    @pytest.mark.parametrize(
        ("name", "crop", "size"),
        [
            ("4-3", LEFT, (800, 600)),
            ("small", box(0, 0, 800, 500), (400, 250)),
            ("Box", box(0, 0, 1000, 500), (200, 100)),
        ],
    )
    def test_sizes_are_those_of_the_vocabulary(
        self, desk: Newsdesk, picture: Document, name: str, crop: Document, size: tuple[int, int]
    ) -> None:
        """Both sides are exact, one keeps the proportions, a ratio keeps what is cut."""
        made = cropped(desk, picture, **{name: crop})[name]

        with shown(desk, made) as image:
            assert image.size == (made["width"], made["height"]) == size

    def test_new_coordinates_make_a_new_file(self, desk: Newsdesk, picture: Document) -> None:
        """The old one stays for versions that show it."""
        first = cropped(desk, picture, **{"4-3": LEFT})["4-3"]
        second = cropped(desk, picture, **{"4-3": RIGHT})["4-3"]

        assert first["media"] != second["media"]
        with shown(desk, first) as old, shown(desk, second) as new:
            assert (is_blue(old), is_blue(new)) == (False, True)

    def test_the_same_coordinates_keep_their_file(
        self, desk: Newsdesk, graph: Graph, picture: Document
    ) -> None:
        """Whether they are sent with it or without."""
        first = cropped(desk, picture, **{"4-3": LEFT})
        files = graph.db["fs.files"].count_documents({})

        assert cropped(desk, picture, **{"4-3": LEFT}) == first
        assert cropped(desk, picture, **first) == first
        assert graph.db["fs.files"].count_documents({}) == files

    def test_several_crops_come_at_once(self, desk: Newsdesk, picture: Document) -> None:
        crops = {"4-3": LEFT, "Box": box(1000, 0, 2000, 500)}
        renditions = cropped(desk, picture, **crops)

        assert {"original", *crops} == set(renditions)
        assert all(renditions[name]["media"] for name in crops)

    def test_a_refused_crop_makes_no_file(
        self, desk: Newsdesk, graph: Graph, picture: Document
    ) -> None:
        """Checks come first."""
        files = graph.db["fs.files"].count_documents({})
        for crops in ({"16-9": LEFT}, {"4-3": LEFT, "Box": box(0, 0, 50, 25)}):
            answer = desk.client.patch(f"archive/{picture['_id']}", {"renditions": crops})
            assert answer.status_code == 400

        assert graph.db["fs.files"].count_documents({}) == files

    def test_files_are_found_when_the_picture_goes(
        self, desk: Newsdesk, graph: Graph, picture: Document
    ) -> None:
        made = cropped(desk, picture, **{"4-3": LEFT})["4-3"]

        reference = graph.db["media_references"].find_one({"media_id": made["media"]}) or {}
        assert reference["item_id"] == picture["_id"]

    def test_an_original_that_is_not_in_the_store_leaves_coordinates(self, desk: Newsdesk) -> None:
        """Nothing is refused: somebody else keeps the files, and may make them."""
        outside = {"href": "http://example.com/a.jpg", "width": 2000, "height": 1000}
        item = desk.story(type="picture", renditions={"original": outside})

        renditions = cropped(desk, item, **{"4-3": LEFT})

        assert renditions == {"original": outside, "4-3": LEFT}

    @pytest.mark.parametrize("content", [b"no picture", b"\xff\xd8\xff\xe0 cut off"])
    def test_an_original_that_cannot_be_read_leaves_coordinates(
        self, desk: Newsdesk, graph: Graph, original: Document, content: bytes
    ) -> None:
        media = {**original, "media": str(graph.media.put(content, "a.jpg"))}
        item = desk.story(type="picture", renditions={"original": media})

        assert cropped(desk, item, **{"4-3": LEFT})["4-3"] == LEFT

    def test_a_save_that_is_forced_makes_what_it_can(
        self, desk: Newsdesk, picture: Document
    ) -> None:
        """Its crops are not checked: unknown names and what lies outside stay coordinates."""
        wanted = {
            "4-3": LEFT,
            "16-9": LEFT,
            "small": box(3000, 0, 4000, 500),
            "Box": {"CropTop": 1},
        }
        renditions = saved(desk, picture, renditions=wanted, force_unlock=True)["renditions"]

        assert [name for name, r in renditions.items() if r.get("media")] == ["original", "4-3"]

    def test_other_renditions_stay_and_null_takes_one_away(
        self, desk: Newsdesk, picture: Document, original: Document
    ) -> None:
        """A save that does not name the original means a part of them."""
        cropped(desk, picture, **{"4-3": LEFT, "Box": box(0, 0, 1000, 500)})

        assert set(cropped(desk, picture, **{"4-3": None})) == {"original", "Box"}
        replaced = {"original": {**original, "href": "http://example.com/other.jpg"}}
        assert cropped(desk, picture, **replaced) == replaced


class TestPoint:
    def test_every_rendition_says_where_it_is(self, desk: Newsdesk, picture: Document) -> None:
        """In its own pixels, whenever the point or the crops change."""
        renditions = saved(desk, picture, poi={"x": 0.7, "y": 0.25})["renditions"]
        assert renditions["original"]["poi"] == {"x": 1400, "y": 250}

        crops = {"4-3": RIGHT, "Box": box(1000, 0, 2000, 500)}
        renditions = cropped(desk, picture, **crops)

        assert renditions["4-3"]["poi"] == {"x": 400, "y": 250}
        assert renditions["Box"]["poi"] == {"x": 80, "y": 50}

    def test_without_a_point_there_are_none(self, desk: Newsdesk, picture: Document) -> None:
        saved(desk, picture, poi={"x": 0.7, "y": 0.25})

        renditions = saved(desk, picture, poi=None)["renditions"]

        assert "poi" not in renditions["original"]

    def test_a_point_outside_a_crop_is_refused(self, desk: Newsdesk, picture: Document) -> None:
        body = {"poi": {"x": 0.1, "y": 0.1}, "renditions": {"4-3": RIGHT}}

        answer = desk.client.patch(f"archive/{picture['_id']}", body)

        issue = "400: Point of interest outside the crop 4-3 limits"
        assert answer.get_json()["_issues"] == {"validator exception": issue}


class TestPublish:
    def test_a_correction_crops_anew(self, desk: Newsdesk, picture: Document) -> None:
        """The published row shows the file, and the old row the old one."""
        before = cropped(desk, picture, **{"4-3": LEFT})["4-3"]
        item = desk.act("publish", picture)
        desk.act("correct", item, renditions={"4-3": RIGHT})

        rows = list(desk.db["published"].find({}).sort("publish_sequence_no", 1))
        old, new = (row["renditions"]["4-3"] for row in rows)
        assert old["media"] == before["media"] != new["media"]
        with shown(desk, new) as image:
            assert is_blue(image)
        assert rows[1]["renditions"]["original"]["media"]

    def test_a_publication_brings_crops(self, desk: Newsdesk, picture: Document) -> None:
        item = desk.act("publish", picture, renditions={"4-3": LEFT})

        with shown(desk, item["renditions"]["4-3"]) as image:
            assert image.size == (800, 600)


class TestAssociations:
    def media(self, picture: Document, **crops: Document) -> Document:
        return {
            "featuremedia": {"_id": picture["_id"], "type": "picture", "renditions": dict(crops)}
        }

    def held(self, item: Document) -> Document:
        return dict(item["associations"]["featuremedia"]["renditions"])

    def test_a_story_crops_its_picture(
        self, desk: Newsdesk, picture: Document, original: Document
    ) -> None:
        """For itself: the picture in the archive stays as it is."""
        story = saved(desk, desk.story(), associations=self.media(picture, **{"4-3": RIGHT}))

        renditions = self.held(story)
        assert renditions["original"] == original
        with shown(desk, renditions["4-3"]) as image:
            assert is_blue(image)
        stored = desk.client.get(f"archive/{picture['_id']}").get_json()
        assert set(stored["renditions"]) == {"original"}

    def test_a_correction_of_the_story_crops_it_anew(
        self, desk: Newsdesk, picture: Document
    ) -> None:
        story = desk.story(associations=self.media(picture))
        story = saved(desk, story, associations=self.media(picture, **{"4-3": LEFT}))
        before = self.held(story)["4-3"]
        story = desk.act("publish", story)

        story = desk.act("correct", story, associations=self.media(picture, **{"4-3": RIGHT}))

        renditions = self.held(story)
        assert renditions["4-3"]["media"] != before["media"]
        with shown(desk, renditions["4-3"]) as image:
            assert is_blue(image)
        assert renditions["original"]["media"]
