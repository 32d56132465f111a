"""Crops that a picture can have (lifecycle contract 3.3; resources contract 20.4)."""

from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.archive.crops import check_crops, has_crops
from apps.core.errors import BadRequest

SIZES = {
    "4-3": {"name": "4-3", "width": 800, "height": 600},
    "16-9": {"name": "16-9", "ratio": "16:9"},
    "wide": {"name": "wide", "width": "1000"},
    "odd": {"name": "odd"},
}
PICTURE: dict[str, Any] = {
    "type": "picture",
    "renditions": {"original": {"width": 2000, "height": 1500}},
}


def crop(left: Any, top: Any, right: Any, bottom: Any) -> dict[str, Any]:
    return {"CropLeft": left, "CropTop": top, "CropRight": right, "CropBottom": bottom}


def write(name: str = "4-3", *sides: Any, **fields: Any) -> dict[str, Any]:
    return {"renditions": {name: crop(*(sides or (0, 0, 800, 600)))}, **fields}


@pytest.mark.parametrize(
    "updates",
    [
        write(),
        write("4-3", 100, 100, 900, 700),
        write("4-3", "0", "0", "800", "600"),
        write("4-3", 0, 0, 1600, 1210),
        write("16-9", 0, 0, 1600, 900),
        write("WIDE", 0, 0, 1000, 10),
        write(poi={"x": 0.1, "y": 0.1}),
        write(poi=None),
        {"renditions": {"original": {"href": "x"}, "4-3": None}},
        {"renditions": "none"},
        {"headline": "x"},
    ],
)
def test_takes_what_is_possible(updates: dict[str, Any]) -> None:
    """Large enough, in proportion, with the point of interest inside; or no crop at all."""
    before = deepcopy(updates)
    check_crops(updates, PICTURE, SIZES)
    assert updates == before


@pytest.mark.parametrize(
    ("updates", "message"),
    [
        (write("4-3", 0, 0, 799, 600), "Wrong crop size. Minimum crop size is 800x600."),
        (write("4-3", 0, 0, 800, 599), "Wrong crop size. Minimum crop size is 800x600."),
        (write("4-3", 800, 0, 0, 600), "Wrong crop size. Minimum crop size is 800x600."),
        (write("16-9", 0, 0, 0, 0), "Wrong crop size. Minimum crop size is 1x1."),
        (write("4-3", 0, 0, 1600, 600), "Wrong aspect ratio!"),
        (write("16-9", 0, 0, 900, 600), "Ratio 16:9 is not respected. We got 1.5"),
        (write("5-4"), "Unknown crop name! (name=5-4)"),
        (
            write("odd"),
            "Crop data are missing. width, height or ratio need to be defined",
        ),
        (write("4-3", "left", 0, 800, 600), "Invalid value for CropLeft in renditions"),
        (
            {"renditions": {"4-3": {"CropLeft": 0, "CropTop": 0, "CropRight": 800}}},
            "Invalid value for CropBottom in renditions",
        ),
        (
            {"renditions": {"4-3": {**crop(0, 0, 800, 600), "width": "wide"}}},
            "Invalid value for width in renditions",
        ),
        (
            write(poi={"x": 0.9, "y": 0.1}),
            "Point of interest outside the crop 4-3 limits",
        ),
    ],
)
def test_refuses_what_is_not(updates: dict[str, Any], message: str) -> None:
    """The message says what is wrong with the crop."""
    with pytest.raises(BadRequest) as refused:
        check_crops(updates, PICTURE, SIZES)

    assert refused.value.message == message


@pytest.mark.parametrize(
    ("picture", "sizes", "message"),
    [
        ({"type": "picture"}, SIZES, "Missing renditions!"),
        ({**PICTURE, "renditions": {"thumbnail": {}}}, SIZES, "Missing original rendition!"),
        (PICTURE, {}, "Crops sizes couldn't be loaded!"),
        ({**PICTURE, "poi": {"x": 0.9, "y": 0}}, SIZES, "Point of interest outside the crop 4-3 "),
    ],
)
def test_looks_at_the_stored_picture(picture: Any, sizes: Any, message: str) -> None:
    """A picture without an original cannot be cropped; a stored point of interest counts."""
    with pytest.raises(BadRequest) as refused:
        check_crops(write(), picture, sizes)

    assert refused.value.message.startswith(message)


def test_are_for_pictures() -> None:
    """Nothing else is cropped; renditions without coordinates are no crops."""
    check_crops({"renditions": {"original": {"href": "x"}}}, {"type": "video"}, SIZES)
    with pytest.raises(BadRequest, match="Only images can be cropped!"):
        check_crops(write(), {"type": "video"}, SIZES)


values = st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers())
crops = st.dictionaries(
    st.sampled_from(["CropLeft", "CropTop", "CropRight", "CropBottom", "width", "media"]), values
)


@given(
    st.dictionaries(st.sampled_from([*SIZES, "original", "x"]), crops | values),
    st.none() | st.dictionaries(st.sampled_from("xy"), values),
)
def test_never_fails_otherwise(renditions: Any, point: Any) -> None:
    """Whatever a client sends is taken or refused with a message."""
    updates = {"renditions": renditions, "poi": point}
    with suppress(BadRequest):
        check_crops(updates, PICTURE, SIZES)
        assert not has_crops(updates) or any(key.lower() in SIZES for key in renditions)
