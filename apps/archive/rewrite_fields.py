"""What an update takes from the story it updates (lifecycle contract 5.11)."""

from collections.abc import Mapping
from typing import Any

from apps.archive.schema import CONTENT, METADATA
from apps.core.service import Document
from apps.core.vocabulary import State

Item = Mapping[str, Any]
Settings = Mapping[str, Any]

SHARED = ("family_id", "event_id", "language", "place", "organisation", "person", "uri")
"""Fields that every update takes from its story, where the story has them."""

NOT_COPIED = frozenset(
    {"highlights", "marked_desks", "translations", "translated_from", "translation_id"}
    | {"broadcast", "fields_meta", "anpa_take_key", "flags"}
)
COPIED = (frozenset(CONTENT) | frozenset(METADATA)) - NOT_COPIED | {
    "type",
    "profile",
    "ingest_provider",
    "associations",
}
"""Fields that a new update takes besides."""


def take_key(sequence: int) -> str:
    """Return `update`, `2nd update`, `3rd update`, `11th update` and so on."""
    if sequence <= 1:
        return "update"
    is_teen = sequence % 100 in range(11, 14)
    ending = "th" if is_teen else {1: "st", 2: "nd", 3: "rd"}.get(sequence % 10, "th")
    return f"{sequence}{ending} update"


def fields_of_new(original: Item, settings: Settings) -> Document:
    """Return the fields of a new update of `original`, without its place."""
    item = {name: original[name] for name in COPIED if original.get(name) is not None}
    item |= _shared(original, settings)
    item["flags"] = {**(original.get("flags") or {}), "marked_for_sms": False}
    if original.get("priority") is not None:
        item["priority"] = original["priority"]
    item |= _link(original) | _priority(settings)
    return {**item, "state": State.IN_PROGRESS}


def fields_of_existing(update: Item, original: Item, settings: Settings) -> Document:
    """Return what changes on `update` when it becomes the update of `original`."""
    fields = _shared(original, settings) | _link(original) | _priority(settings)
    own, inherited = update.get("flags") or {}, original.get("flags") or {}
    fields["flags"] = {
        name: bool(own.get(name) or inherited.get(name)) for name in {**inherited, **own}
    }
    for name in ("associations", "extra"):
        merged = {**(original.get(name) or {}), **(update.get(name) or {})}
        if merged:
            fields[name] = merged
    fields["subject"] = _merged_subjects(update, original)
    on_desk = (update.get("task") or {}).get("desk")
    return {**fields, "state": State.IN_PROGRESS if on_desk else State.DRAFT}


def _shared(original: Item, settings: Settings) -> Document:
    names = (*SHARED, *settings["COPY_ON_REWRITE_FIELDS"])
    return {name: original[name] for name in names if original.get(name)}


def _link(original: Item) -> Document:
    sequence = (original.get("rewrite_sequence") or 0) + 1
    return {
        "rewrite_of": original["_id"],
        "rewrite_sequence": sequence,
        "anpa_take_key": take_key(sequence),
    }


def _priority(settings: Settings) -> Document:
    if not settings["RESET_PRIORITY_VALUE_FOR_UPDATE_ARTICLES"]:
        return {}
    return {"priority": settings["DEFAULT_PRIORITY_VALUE_FOR_MANUAL_ARTICLES"]}


def _merged_subjects(update: Item, original: Item) -> list[Any]:
    """Return the subjects of both; of two with one code, the story's."""
    theirs = list(original.get("subject") or ())
    codes = {subject.get("qcode") for subject in theirs}
    return [s for s in update.get("subject") or () if s.get("qcode") not in codes] + theirs
