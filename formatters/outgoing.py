"""An item as every format writes it: its lines read once, and nothing that must not go out."""

import re
from collections.abc import Callable, Iterator, Mapping
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

_EMBED_MARK = re.compile(
    r'<!-- EMBED (?P<side>START|END) (?P<kind>\w+) \{id: "(?P<key>[\w-]+)"\} -->'
)
"""Comments around each medium that an editor has put into a text, with its key."""

DEEPEST = 10
"""Items within items that are read."""


def outgoing(item: Document) -> Document:
    """Return `item` as formats write it; itself where nothing has to change.

    Lines and notes are text, also those of what the item holds. What is withdrawn is under no
    embargo. A kill or takedown is its notice only: without pictures, related items and custom
    fields of the version that it withdraws. Pictures and other items that a story holds and that
    are withdrawn are gone, also from its text.

    Args:
        item: the published document, trimmed to its content profile.
    """
    if item.get("pubstatus") == PubStatus.CANCELED:
        item = {key: value for key, value in item.items() if key not in EMBARGO_FIELDS}
    if item.get("state") in WITHDRAWN_STATES:
        item = _notice(item)
    item = _without_withdrawn(item)
    return {**item, **changed} if (changed := dict(_read(item, DEEPEST))) else item


def is_withdrawn(item: Any) -> bool:
    """Whether `item` was published and is not to be used any more."""
    if not isinstance(item, Mapping):
        return False
    is_canceled = item.get("pubstatus") == PubStatus.CANCELED
    return is_canceled or item.get("state") in (*WITHDRAWN_STATES, State.UNPUBLISHED)


def _without_withdrawn(item: Document) -> Document:
    """Return `item` without what it holds that is withdrawn, in its text as well."""
    held = object_of(item, "associations").items()
    gone = {key for key, one in held if is_withdrawn(one)}
    if not gone:
        return item
    changed: dict[str, Any] = {"associations": {k: one for k, one in held if k not in gone}}
    if item.get("refs"):
        changed["refs"] = [ref for ref in objects_of(item, "refs") if ref.get("key") not in gone]
    if isinstance(html := item.get("body_html"), str):
        changed["body_html"] = without_embeds(html, lambda _, key: key in gone)
    return {**item, **changed}


def without_embeds(html: str, is_gone: Callable[[str, str], bool]) -> str:
    """Return a text without some of the media that an editor has put into it.

    Args:
        is_gone: whether a medium goes, by its kind (`Image`) and its key in the associations.
    """
    parts, end = [], 0
    start, opened = 0, ("", "")
    for mark in _EMBED_MARK.finditer(html):
        if mark["side"] == "START":
            start, opened = mark.start(), (mark["kind"], mark["key"])
        elif mark["key"] == opened[1]:
            if is_gone(*opened):
                parts.append(html[end:start])
                end = mark.end()
            opened = ("", "")
    return "".join([*parts, html[end:]])


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
    left = _without_withdrawn(item)
    changed = dict(_read(left, depth - 1 if depth else 0))
    return {**left, **changed} if changed or left is not item else None
