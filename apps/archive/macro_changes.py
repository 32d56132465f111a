"""Changes that macros make to items (lifecycle contract 1.2; resources contract 8, 12)."""

from collections.abc import Mapping
from typing import Any

from apps.archive.places import NOWHERE, Place
from apps.archive.schema import IDENTITY, ITEM_SCHEMA, NOT_VERSIONED
from apps.core.errors import BadRequest
from apps.core.service import Document
from apps.newsroom.macros.macros import MacroFailed, Macros

FIXED = frozenset(IDENTITY) | NOT_VERSIONED | {"task", "type", "linked_in_packages", "lock_action"}
"""Fields that no macro changes: what the item is and where it stands."""


def changes_of_macro(
    macros: Macros, name: str, item: Mapping[str, Any], place: Place = NOWHERE
) -> Document:
    """Return the fields that the macro `name` changes at `item`.

    Raises:
        BadRequest: there is no such macro, or it raised.
    """
    return _differences(item, macros.run(name, item, **_context(place)))


def changes_of_translation(macros: Macros, item: Mapping[str, Any], language: str) -> Document:
    """Return the fields that macros change at `item` when it is translated into `language`.

    Raises:
        BadRequest: one cannot be loaded, or it raised.
    """
    return _differences(item, macros.translate(item, language))


def changes_of_stages(
    macros: Macros, item: Mapping[str, Any], left: Place, entered: Place
) -> Document:
    """Return what the macros of stages change at an item that is sent from one to the other.

    Args:
        macros: of the installation.
        item: as it will stand on the stage that it enters.
        left: where it comes from.
        entered: where it goes.

    Raises:
        BadRequest: a macro raised; the message names stage and rule.
    """
    result = dict(item)
    for rule, place in (("outgoing", left), ("incoming", entered), ("onstage", entered)):
        stage = place.stage or {}
        name = stage.get(f"{rule}_macro")
        if name:
            result = {**result, **_apply(macros, rule, str(name), result, place)}
    return _differences(item, result)


def _apply(macros: Macros, rule: str, name: str, item: Mapping[str, Any], place: Place) -> Document:
    text = "Error:{error} in {rule} rule:{macro} for stage:{stage}"
    stage = (place.stage or {}).get("name")
    try:
        return _differences(item, macros.run(name, item, **_context(place)))
    except MacroFailed as error:
        failed, label = error.text, error.macro.label
    except BadRequest as error:
        failed, label = error.message, name
    raise BadRequest(text.format(error=failed, rule=rule, macro=label, stage=stage))


def _context(place: Place) -> Document:
    desk, stage = place.desk or {}, place.stage or {}
    return {
        "desk": place.desk,
        "stage": place.stage,
        "dest_desk_id": desk.get("_id"),
        "dest_stage_id": stage.get("_id"),
    }


def _differences(item: Mapping[str, Any], result: Mapping[str, Any]) -> Document:
    return {
        name: value
        for name, value in result.items()
        if name in ITEM_SCHEMA and name not in FIXED and value != item.get(name)
    }
