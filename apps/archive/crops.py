"""Crops of pictures: what a write may ask for (lifecycle contract 3.3; resources contract 20.4)."""

from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.database import Database

from apps.core.errors import BadRequest
from apps.core.service import Document
from apps.core.vocabulary import ItemType
from apps.media.cropping import Box
from apps.store.collections import VOCABULARIES

SIDES = ("CropLeft", "CropTop", "CropRight", "CropBottom")
NUMBERS = (*SIDES, "width", "height")
RATIO_TOLERANCE = 0.1


def crop_sizes(db: Database[Document]) -> dict[str, Mapping[str, Any]]:
    """Return the entries of the vocabulary `crop_sizes` by lower-cased name."""
    vocabulary = db[VOCABULARIES].find_one({"_id": "crop_sizes"}, {"items": 1}) or {}
    return {str(size.get("name") or "").lower(): size for size in vocabulary.get("items") or ()}


def has_crops(updates: Mapping[str, Any]) -> bool:
    """Whether a write brings the coordinates of a crop."""
    return any(True for _ in _crops(updates))


def check_crops(
    updates: Mapping[str, Any],
    picture: Mapping[str, Any],
    sizes: Mapping[str, Mapping[str, Any]],
) -> None:
    """Refuse crops that the picture cannot have.

    Args:
        updates: a write; its `renditions` and `poi` are looked at.
        picture: the item as stored, whatever it is.
        sizes: see `crop_sizes`.

    Raises:
        BadRequest: the message says what is wrong.
    """
    for name, crop in _crops(updates):
        if picture.get("type") != ItemType.PICTURE:
            raise BadRequest("Only images can be cropped!")
        original = _original(picture)
        if not sizes:
            raise BadRequest("Crops sizes couldn't be loaded!")
        size = sizes.get(name.lower())
        if size is None:
            raise BadRequest(f"Unknown crop name! (name={name})")
        numbers = _numbers(crop)
        _check_point(updates, picture, original, name, numbers)
        _check_size(numbers, size)


def _crops(updates: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    renditions = updates.get("renditions")
    if not isinstance(renditions, Mapping):
        return ()
    return [
        (name, crop)
        for name, crop in renditions.items()
        if isinstance(crop, Mapping) and any(crop.get(side) is not None for side in SIDES)
    ]


def _original(picture: Mapping[str, Any]) -> Mapping[str, Any]:
    renditions = picture.get("renditions")
    if not isinstance(renditions, Mapping) or not renditions:
        raise BadRequest("Missing renditions!")
    original = renditions.get("original")
    if not isinstance(original, Mapping) or not original:
        raise BadRequest("Missing original rendition!")
    return original


def _numbers(crop: Mapping[str, Any]) -> dict[str, int]:
    """Return the coordinates of a crop, all four, and its size where it says one."""
    numbers: dict[str, int] = {}
    for field in NUMBERS:
        if field not in SIDES and crop.get(field) is None:
            continue
        try:
            numbers[field] = int(crop[field])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BadRequest(f"Invalid value for {field} in renditions") from error
    return numbers


def _check_point(
    updates: Mapping[str, Any],
    picture: Mapping[str, Any],
    original: Mapping[str, Any],
    name: str,
    crop: Mapping[str, int],
) -> None:
    """The point of interest, of the write or stored, stays in the crop."""
    sent = (updates.get("renditions") or {}).get("original")
    original = {**original, **(sent if isinstance(sent, Mapping) else {})}
    point = updates["poi"] if "poi" in updates else picture.get("poi")
    try:
        x = int(original["width"] * point["x"])  # type: ignore[index]
        y = int(original["height"] * point["y"])  # type: ignore[index]
    except (KeyError, TypeError, ValueError, OverflowError):
        return
    is_inside = (
        crop["CropLeft"] <= x <= crop["CropRight"] and crop["CropTop"] <= y <= crop["CropBottom"]
    )
    if not is_inside:
        raise BadRequest(f"Point of interest outside the crop {name} limits")


def _check_size(crop: Mapping[str, int], size: Mapping[str, Any]) -> None:
    """The crop is as large as its kind asks for, and has its proportions."""
    width, height = crop["CropRight"] - crop["CropLeft"], crop["CropBottom"] - crop["CropTop"]
    least_width, least_height = whole_number(size.get("width")), whole_number(size.get("height"))
    is_too_small = width < (least_width or 1) or height < (least_height or 1)
    if is_too_small:
        wanted = f"{least_width or 1}x{least_height or 1}"
        raise BadRequest(f"Wrong crop size. Minimum crop size is {wanted}.")
    ratio = width / height
    if least_width and least_height:
        if abs(ratio - least_width / least_height) > RATIO_TOLERANCE:
            raise BadRequest("Wrong aspect ratio!")
    elif size.get("ratio"):
        if abs(ratio - _ratio(size["ratio"])) > RATIO_TOLERANCE:
            raise BadRequest(f"Ratio {size['ratio']} is not respected. We got {ratio:.6g}")
    elif not (least_width or least_height):
        raise BadRequest("Crop data are missing. width, height or ratio need to be defined")


def box_of(rendition: Any) -> Box | None:
    """Return left, top, right and bottom of a rendition that says all four."""
    if not isinstance(rendition, Mapping):
        return None
    try:
        left, top, right, bottom = (int(rendition[side]) for side in SIDES)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return left, top, right, bottom


def with_points(renditions: Mapping[str, Any], point: Any) -> Document:
    """Return renditions that say in pixels where the point of interest is.

    Args:
        renditions: of a picture; those without a size stay as they are.
        point: `{x, y}` as shares of the original's sides; anything else takes the points away.
    """
    original = renditions.get("original")
    whole = original if isinstance(original, Mapping) else {}
    return {name: _with_point(rendition, whole, point) for name, rendition in renditions.items()}


def _with_point(rendition: Any, whole: Mapping[str, Any], point: Any) -> Any:
    if not isinstance(rendition, Mapping):
        return rendition
    rest = {name: value for name, value in rendition.items() if name != "poi"}
    box = box_of(rendition)
    try:
        x, y = float(point["x"]), float(point["y"])
        width, height = int(rendition["width"]), int(rendition["height"])
        if box is not None:
            left, top, right, bottom = box
            x = (int(whole["width"]) * x - left) / (right - left)
            y = (int(whole["height"]) * y - top) / (bottom - top)
        return {**rest, "poi": {"x": int(width * x), "y": int(height * y)}}
    except (KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError):
        return rest


def whole_number(value: Any) -> int:
    """Return a side of a crop size, which may be a text; 0 where there is none."""
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0


def _ratio(value: Any) -> float:
    """Return the number that a ratio, such as `4:3`, stands for; 0 where it is none."""
    width, _, height = str(value).partition(":")
    try:
        return float(width) / float(height or 1)
    except (ValueError, ZeroDivisionError):
        return 0.0
