"""An item as every format writes it: its lines read once, and nothing that must not go out."""

from collections.abc import Iterator, Mapping
from typing import Any

from apps.core.documents import object_of, objects_of
from apps.core.embargo import EMBARGO_FIELDS
from apps.core.text import text_of_line
from apps.core.vocabulary import PubStatus, State

Document = Mapping[str, Any]

LINES = frozenset(
    {"headline", "title", "slugline", "anpa_take_key", "byline", "alt_text", "creditline"}
    | {"source", "original_source", "copyrightholder", "sign_off", "label"}
)
"""Fields of one line that hold text or markup."""
NOTES = frozenset({"ednote", "description_text", "copyrightnotice", "usageterms"})
"""The same, of several lines."""
READ = LINES | NOTES

WITHDRAWN_STATES = (State.KILLED, State.RECALLED)
OF_WITHDRAWN = frozenset(
    {
        "associations",
        "attachments",
        "refs",
        "extra",
        "renditions",
        "url",
        "annotations",
        "fields_meta",
    }
    | {"body_text", "sms_message", "embargoed_text", "fields_meta"}
    | {"description_text", "description_html", "alt_text"}
)
"""Fields of what a notice withdraws, not of the notice."""
KEPT_OF_EXTRA = ("altids", "publish_ingest_id_as_guid")
"""Custom fields by which receivers find what they have to drop."""

DEEPEST = 10
"""Items within items that are read."""


def outgoing(item: Document) -> Document:
    """Return `item` as formats write it; itself where nothing has to change.

    Lines and notes are text, also those of what the item holds. What is withdrawn is under no
    embargo. A kill or takedown is its notice only: without pictures, related items and custom
    fields of the version that it withdraws.

    Args:
        item: the published document, trimmed to its content profile.
    """
    if item.get("pubstatus") == PubStatus.CANCELED:
        item = {key: value for key, value in item.items() if key not in EMBARGO_FIELDS}
    if item.get("state") in WITHDRAWN_STATES:
        item = _notice(item)
    return {**item, **changed} if (changed := dict(_read(item, DEEPEST))) else item


def _notice(item: Document) -> Document:
    notice = {key: value for key, value in item.items() if key not in OF_WITHDRAWN}
    extra = object_of(item, "extra")
    kept = {key: extra[key] for key in KEPT_OF_EXTRA if key in extra}
    return {**notice, "extra": kept} if kept else notice


def _read(item: Document, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield the fields of `item` that are read differently from what is stored."""
    for name in READ.intersection(item):
        stored = item[name]
        if not isinstance(stored, str) or _says_itself(stored):
            continue
        if (said := text_of_line(stored)) != stored:
            yield name, said.replace("\n", " ") if name in LINES else said
    if not depth:
        return
    held = object_of(item, "associations")
    read = {key: changed for key, one in held.items() if (changed := _held(one, depth))}
    if read:
        yield "associations", {**held, **read}
    if item.get("groups"):
        yield (
            "groups",
            [
                {**group, "refs": [_held(ref, 0) or ref for ref in objects_of(group, "refs")]}
                for group in objects_of(item, "groups")
            ],
        )


def _says_itself(line: str) -> bool:
    """Whether there is neither markup in a line nor anything that is left out."""
    return "<" not in line and "&" not in line and line.isprintable()


def _held(item: Any, depth: int) -> Document | None:
    """Return what an item holds as formats write it, None where nothing has to change."""
    if not isinstance(item, dict):
        return None
    changed = dict(_read(item, depth - 1 if depth else 0))
    return {**item, **changed} if changed else None
