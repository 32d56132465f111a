"""Associated items: what an item holds of other items (lifecycle contract 1.7, 5.9)."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from pymongo.database import Database

from apps.archive.journal.follow_ups import media_use
from apps.archive.packages import member_ids
from apps.archive.schema import ASSOCIATION, LOCK_FIELDS, SERVER_FIELDS
from apps.core.documents import object_of
from apps.core.errors import BadRequest
from apps.core.schemas import keeps
from apps.core.service import Document
from apps.core.vocabulary import MEDIA_TYPES
from apps.store.collections import ARCHIVE, PUBLISHED, VOCABULARIES

EDITOR_PREFIX = "editor_"
NOT_TAKEN = frozenset({*LOCK_FIELDS, "journal", "associations", "refs"})
"""Fields of a stored item that are left out of what another one holds of it."""

NOT_SENT = SERVER_FIELDS - {"_current_version"}
"""Fields of what an item holds that clients do not write. The version says which one it shows."""

REFRESHED = [
    "slugline",
    "abstract",
    "language",
    "anpa_take_key",
    "ednote",
    "sms",
    "footer",
    "body_html",
    "body_footer",
    "sign_off",
    "media_description",
    "keywords",
    "genre",
    "place",
    "anpa_category",
    "subject",
    "company_codes",
    "authors",
    "attachments",
    "priority",
    "urgency",
    "dateline",
]
"""Fields of the default schema that follow the stored item."""

OWN = frozenset({"headline", "byline", "usageterms", "alt_text", "description_text"})
"""Fields that the holder of an item writes for it."""

FROM_PARENT = [
    "anpa_category",
    "subject",
    "slugline",
    "urgency",
    "priority",
    "footer",
    "abstract",
    "genre",
]
"""Fields that media take from their parent under COPY_METADATA_FROM_PARENT."""


def present(item: Mapping[str, Any]) -> Iterator[tuple[str, Document]]:
    """Yield key and association of everything that the item holds; null ones are left out."""
    for key, association in object_of(item, "associations").items():
        if isinstance(association, dict):
            yield key, association


def named_items(item: Mapping[str, Any]) -> set[str]:
    """Return the ids of the items that an item, or a request, holds or has as members."""
    held = {association["_id"] for _, association in associations_with_ids(item)}
    return held | set(member_ids(item.get("groups")))


def associations_with_ids(item: Mapping[str, Any]) -> Iterator[tuple[str, Document]]:
    """Yield key and association where the association names a stored item."""
    return ((key, held) for key, held in present(item) if isinstance(held.get("_id"), str))


def copied(associations: Mapping[str, Any] | None) -> Document:
    """Return associations whose entries may be changed."""
    return {
        key: dict(held) if isinstance(held, Mapping) else held
        for key, held in object_of({"associations": associations}, "associations").items()
    }


def refs_of(associations: Mapping[str, Any] | None) -> list[Document]:
    """Return `refs` of an item: one entry per association that is there."""
    return [
        {"key": key, **{field: held.get(field) for field in ("_id", "uri", "guid", "type")}}
        | {"source": held.get("source")}
        for key, held in present({"associations": associations})
    ]


def stored_items(db: Database[Document], ids: Iterable[str]) -> dict[str, Document]:
    """Return items by id; one command, none when there are no ids."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    return {item["_id"]: item for item in db[ARCHIVE].find({"_id": {"$in": wanted}})}


def related_content_keys(db: Database[Document], keys: Iterable[str]) -> frozenset[str]:
    """Return those of `keys` that hold related content; no command without a numbered key."""
    fields = {key: key.partition("--")[0] for key in keys if "--" in key}
    if not fields:
        return frozenset()
    query = {"_id": {"$in": sorted(set(fields.values()))}, "field_type": "related_content"}
    found = {row["_id"] for row in db[VOCABULARIES].find(query, {"_id": 1})}
    return frozenset(key for key, field in fields.items() if field in found)


def restore_server_fields(held: Document, *stored: Any) -> None:
    """Put what the server writes of an association back to what is stored, in place.

    What the association holds itself is treated likewise.

    Args:
        held: the association as a write brings it.
        stored: what may be stored of the item that it names; the first that does counts.
    """
    same: Mapping[str, Any] = next((each for each in stored if _names_same_item(held, each)), {})
    for field in NOT_SENT:
        held.pop(field, None)
        if field in same:
            held[field] = same[field]
    within = object_of(same, "associations")
    for key, inner in present(held):
        restore_server_fields(inner, within.get(key))


def _names_same_item(held: Mapping[str, Any], stored: Any) -> bool:
    item_id = held.get("_id")
    return item_id is not None and isinstance(stored, Mapping) and stored.get("_id") == item_id


def complete_new(item: Document, now: datetime) -> None:
    """Stamp the associations of an item that is created."""
    for _key, held in present(item):
        restore_server_fields(held)
        held["_created"] = held["_updated"] = now
    if item.get("associations") is not None:
        item["refs"] = refs_of(item["associations"])


def complete_saved(
    updates: Document,
    original: Mapping[str, Any],
    now: datetime,
    items: Mapping[str, Document],
    *,
    copies_from_parent: bool = False,
) -> None:
    """Complete the associations that a save brings: each overlays the item that it names.

    An association that comes without a version shows the one that it showed before: what it says
    may be as old. One that is new in the item shows the item's version.

    Args:
        updates: the save; nothing happens unless it holds associations.
        original: the item as stored.
        now: time of the save.
        items: the stored items that its associations name, by id.
        copies_from_parent: media have their own metadata in the item, not in the archive.
    """
    if updates.get("associations") is None:
        if "associations" in updates:
            updates["refs"] = []
        return
    associations = copied(updates["associations"])
    before = object_of(original, "associations")
    shown = _versions_shown(original)
    for key, held in present({"associations": associations}):
        restore_server_fields(held)
        is_own = copies_from_parent and held.get("type") in MEDIA_TYPES
        under = before.get(key) if is_own else items.get(held.get("_id") or "")
        kept = {}
        if isinstance(under, Mapping):
            kept = {name: value for name, value in under.items() if name not in NOT_TAKEN}
        drop_stale_renditions(held, before.get(key))
        if held.get("_current_version") is None:
            held.pop("_current_version", None)
            if held.get("_id") in shown:
                kept.pop("_current_version", None)
                kept.update(shown[held["_id"]])
        associations[key] = {**kept, **held, "_updated": now}
    updates["associations"] = associations
    updates["refs"] = refs_of(associations)


def _versions_shown(item: Mapping[str, Any]) -> dict[str, Document]:
    """Return by id the version that the item shows of each item that it holds; `{}` for none.

    Of several the oldest.
    """
    shown: dict[str, Document] = {}
    for _, held in associations_with_ids(item):
        known = shown.get(held["_id"])
        own = {"_current_version": held["_current_version"]} if has_version(held) else {}
        is_older = known and own and own["_current_version"] < known["_current_version"]
        if known is None or not own or is_older:
            shown[held["_id"]] = own
    return shown


def has_version(item: Mapping[str, Any]) -> bool:
    """Whether an item, or what is held of it, says which version it is."""
    return isinstance(item.get("_current_version"), int)


def follow_editor(updates: Document, original: Mapping[str, Any]) -> None:
    """Take the media that the editor's state holds as `editor_N`; others of that name go.

    Raises:
        BadRequest: what stands for media is no item.
    """
    body = (updates.get("fields_meta") or {}).get("body_html")
    content = body.get("draftjsState") if isinstance(body, Mapping) else None
    state = content[0] if isinstance(content, list) and content else content
    if not isinstance(state, Mapping) or "entityMap" not in state:
        return
    sent = updates.get("associations")
    associations = copied(original.get("associations") if sent is None else sent)
    embedded = {
        f"{EDITOR_PREFIX}{key}": dict(media)
        for key, entity in _entities(state["entityMap"])
        if (media := _media(entity))
    }
    if not all(keeps(ASSOCIATION, media) for media in embedded.values()):
        raise BadRequest("fields_meta of body_html holds media that is no item")
    gone = {key: None for key in associations if key.startswith(EDITOR_PREFIX)}
    if embedded or gone:
        updates["associations"] = {**associations, **gone, **embedded}


def _media(entity: Any) -> Mapping[str, Any] | None:
    """Return the media item that an entity of the editor's state embeds."""
    if not isinstance(entity, Mapping) or entity.get("type") != "MEDIA":
        return None
    data = entity.get("data")
    media = data.get("media") if isinstance(data, Mapping) else None
    return media if isinstance(media, Mapping) else None


def _entities(entity_map: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(entity_map, Mapping):
        return entity_map.items()
    return enumerate(entity_map) if isinstance(entity_map, list) else ()


def drop_stale_renditions(held: Document, before: Any) -> None:
    """Null the renditions of an association that belong to another file, in place.

    Args:
        held: the association as a write brings it.
        before: the association under its key as stored.
    """
    old = before.get("renditions") if isinstance(before, Mapping) else None
    new = held.get("renditions")
    if (
        not (isinstance(old, Mapping) and isinstance(new, Mapping))
        or not new
        or _file(old) == _file(new)
    ):
        return
    held["renditions"] = {**dict.fromkeys(old.keys() - new.keys()), **new}


def _file(renditions: Mapping[str, Any]) -> Any:
    original = renditions.get("original")
    if not isinstance(original, Mapping):
        return None
    return original.get("media") or original.get("href")


def refresh(held: Document, item: Mapping[str, Any] | None) -> None:
    """Bring metadata of an association up to the stored item's, in place.

    Fields that the association has are replaced when the item is the newer of both, or when nobody
    can tell: the association may be older than what an editor has saved since. What an editor has
    emptied goes from the association too.
    """
    if not item:
        return
    versions = versions_of(held, item)
    may_be_newer = versions is None or versions[1] > versions[0]
    for field in REFRESHED:
        if item.get(field) is not None and (may_be_newer or held.get(field) is None):
            held[field] = item[field]
        elif field in item and may_be_newer:
            held.pop(field, None)


def versions_of(held: Mapping[str, Any], item: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the versions of an association and of its item; None unless both have one."""
    if has_version(held) and has_version(item):
        return held["_current_version"], item["_current_version"]
    return None


def version_after(held: Mapping[str, Any], item: Mapping[str, Any]) -> Any:
    """Return the version that an association shows of an item that has made one version more.

    It stays the old one where the item was saved meanwhile: what the association says is older.
    """
    versions = versions_of(held, item)
    is_saved = versions is not None and versions[1] != versions[0] + 1
    return held["_current_version"] if is_saved else item.get("_current_version")


def take_from_parent(held: Document, parent: Mapping[str, Any]) -> None:
    """Give associated media the metadata of the item that holds it, in place."""
    for field in FROM_PARENT:
        if parent.get(field) is not None:
            held[field] = parent[field]


def usage_changes(
    updates: Mapping[str, Any], original: Mapping[str, Any], at: datetime
) -> list[Document]:
    """Return the follow-ups that count new uses of media.

    Args:
        updates: what is stored; only its associations are looked at.
        original: the item before.
        at: names this media_use, so that counting it again changes nothing.
    """
    before = {key: held["_id"] for key, held in associations_with_ids(original)}
    new = {
        held["_id"]
        for key, held in associations_with_ids(updates)
        if held.get("type") in MEDIA_TYPES and before.get(key) != held["_id"]
    }
    if not new:
        return []
    used = {"$in": sorted(new)}
    return [
        media_use(ARCHIVE, {"_id": used}, at),
        media_use(PUBLISHED, {"item_id": used, "last_published_version": True}, at),
    ]
