"""One version of an item as the content API keeps it (routing contract 9): shapes, no store."""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.content_api.schema import TEXT_FIELDS, WORDS
from apps.core.clock import moment_of
from apps.core.documents import object_of
from apps.core.service import Document, new_etag
from apps.core.text import comparable, plain_text, text_of_line
from apps.core.vocabulary import ItemType, PubStatus

DATES = ("versioncreated", "firstcreated", "firstpublished", "embargoed")
ITEM_ID = "_item_id"
"""Field with the id of the published item, where the copy goes by another: that of its ingest."""
CANCELED = "_canceled_version"
"""Field with the newest version that withdrew the item: it and all before it are hidden."""
STAGE = "_stage"
"""Field with the stage of the item when it was published: users may be kept from it."""
KEPT = ("nextversion", "bookmarks", "downloads", "shares", "prints", "copies", "expiry", "_created")
"""Fields that no version brings along: they stay as they are stored."""


@dataclass(frozen=True)
class Copy:
    """A version on its way into the content API.

    Attributes:
        key: what it came from: a routing or a resend. The same copy has the same key.
        item_id: id of the published item. The id of `document` may be another one.
        version: orders the copies of one item.
        document: as stored, before it is merged with what is stored already.
        subscribers: ids, as text, of those who may read it.
    """

    key: str
    item_id: str
    version: int
    document: Document
    subscribers: tuple[str, ...]

    @property
    def id(self) -> str:
        return str(self.document["_id"])


def build_copy(
    row: Mapping[str, Any], ninjs: Document, subscribers: Iterable[Any], key: str, now: datetime
) -> Copy:
    """Return the copy of a published row.

    Args:
        row: the published row. Its associations may name their `subscribers`; where they do not,
            those of the item count.
        ninjs: the row in the format that the content API keeps; becomes part of the copy.
        subscribers: ids of those who may read it.
        now: stands in where the item says nothing of its times.
    """
    readers = tuple(dict.fromkeys(map(str, subscribers)))
    document = _stored(ninjs)
    for field in ("versioncreated", "firstcreated"):
        if not isinstance(document.get(field), datetime):
            document[field] = now
    version = int(row.get("_current_version") or 1)
    document.update({"_current_version": version, "subscribers": list(readers)})
    document[WORDS] = words_of(document)
    if stage := object_of(row, "task").get("stage"):
        document[STAGE] = stage
    if document["_id"] != row["item_id"]:
        document[ITEM_ID] = row["item_id"]
    chosen = _chosen_readers(row)
    # Members of packages are named by nobody: they are shown to those who may read them themselves.
    is_open = not chosen or row.get("type") == ItemType.COMPOSITE
    others = set(readers) if is_open else set()
    for associated in associated_of(document):
        associated.update(_stored(associated))
        wanted = chosen.get(str(associated.get("_id")), others)
        associated["subscribers"] = [id_ for id_ in readers if id_ in wanted]
    return Copy(key, str(row["item_id"]), version, document, readers)


def words_of(document: Mapping[str, Any]) -> Document:
    """Return the texts of an item as searches compare them, by field: what readers see of it."""
    found: Document = {}
    for field in TEXT_FIELDS:
        value = document.get(field)
        texts = [text for text in (value if isinstance(value, list) else [value]) if text]
        read = [
            comparable(plain_text(text, line_feeds=True) if "html" in field else text_of_line(text))
            for text in texts
            if isinstance(text, str)
        ]
        if read:
            found[field] = read
    return found


def _stored(ninjs: Document) -> Document:
    """Return a ninjs object under its id, with its times as times."""
    document = {"_id": ninjs.get("guid"), **ninjs}
    document.pop("guid", None)
    for field in DATES:
        if field in document:
            document[field] = _time(document[field])
    return document


def _time(value: Any) -> Any:
    """Return the time that a text stands for; what is no time stays as it is."""
    return moment_of(value) or value


def associated_of(document: Mapping[str, Any]) -> Iterator[Document]:
    """Yield the associated items of a stored document wherever it holds them."""
    for associated in (document.get("associations") or {}).values():
        if isinstance(associated, dict):
            yield associated
    for field in (document.get("extra_items") or {}).values():
        yield from field.get("items") or ()


def readers_of(associated: Mapping[str, Any]) -> list[str]:
    """Return the ids of the subscribers that may see a stored associated item."""
    return associated.get("subscribers") or []


def _chosen_readers(row: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return who may read associated items, by each id that they may go by, where that is said."""
    chosen: dict[str, set[str]] = {}
    for associated in (row.get("associations") or {}).values():
        if not isinstance(associated, Mapping) or associated.get("subscribers") is None:
            continue
        readers = set(map(str, associated["subscribers"]))
        for field in ("_id", "guid", "ingest_id"):
            if associated.get(field):
                chosen.setdefault(str(associated[field]), set()).update(readers)
    return chosen


def is_canceled(document: Mapping[str, Any]) -> bool:
    """Whether an item was killed, taken down or unpublished."""
    return document.get("pubstatus") == PubStatus.CANCELED


def canceled_by(*documents: Mapping[str, Any]) -> int:
    """Return the newest version that withdrew what was out by then; 0 where none did.

    Args:
        documents: stored forms of one item.
    """
    withdrawn = (version_of(document) for document in documents if is_canceled(document))
    return max(*(int(d.get(CANCELED) or 0) for d in documents), *withdrawn, 0, 0)


def version_of(document: Mapping[str, Any]) -> int:
    """Return the version of a stored item."""
    return int(document.get("_current_version") or 0)


def merged(copy: Copy, stored: Document | None, parent: Document | None, now: datetime) -> Document:
    """Return the document that a copy makes of what is stored.

    Args:
        stored: the item as it is stored, None for a new one.
        parent: the stored item that it is a rewrite of, None where there is none.
    """
    before = stored or {}
    document = {
        "_created": now,
        **{field: before[field] for field in KEPT if field in before},
        # A copy may be merged again, with what is stored by then.
        **deepcopy(copy.document),
        "subscribers": united(before.get("subscribers"), copy.subscribers),
        "_updated": now,
        "_etag": new_etag(),
    }
    if withdrawn := canceled_by(before, document):
        document[CANCELED] = withdrawn
    _chain(document, before, parent)
    _unite_associations(document, before)
    _keep_vanished(document, before)
    return document


def united(first: Iterable[str] | None, second: Iterable[str]) -> list[str]:
    """Return the members of both, each once."""
    return list(dict.fromkeys((*(first or ()), *second)))


def _chain(document: Document, before: Mapping[str, Any], parent: Mapping[str, Any] | None) -> None:
    """Put the item into the chain of rewrites."""
    root = document["_id"]
    if parent is not None:
        root = parent.get("original_id") or parent["_id"]
        document["ancestors"] = [*(parent.get("ancestors") or ()), parent["_id"]]
        document.setdefault("bookmarks", parent.get("bookmarks") or [])
    elif before.get("ancestors"):
        document["ancestors"] = before["ancestors"]
        root = before.get("original_id") or root
    document["original_id"] = root


def _unite_associations(document: Document, before: Mapping[str, Any]) -> None:
    """Let those who could read an associated item go on reading it."""
    readers: dict[Any, list[str]] = {}
    for associated in associated_of(before):
        known = readers.get(associated.get("_id"))
        readers[associated.get("_id")] = united(known, associated.get("subscribers") or ())
    for associated in associated_of(document):
        earlier = readers.get(associated.get("_id"))
        associated["subscribers"] = united(earlier, associated.get("subscribers") or ())


def _keep_vanished(document: Document, before: Mapping[str, Any]) -> None:
    """Say of renditions and associations that they are gone, so that readers notice."""
    for field in ("renditions", "associations"):
        gone = (before.get(field) or {}).keys() - (document.get(field) or {}).keys()
        if gone:
            document[field] = {**(document.get(field) or {}), **dict.fromkeys(gone)}
    for key, associated in (document.get("associations") or {}).items():
        earlier = (before.get("associations") or {}).get(key)
        gone = ((earlier or {}).get("renditions") or {}).keys()
        gone -= ((associated or {}).get("renditions") or {}).keys()
        if associated and gone:
            associated["renditions"] = {
                **(associated.get("renditions") or {}),
                **dict.fromkeys(gone),
            }
