"""Pictures that go out carry their metadata in the file (lifecycle contract 5.1 step 10)."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import structlog
from bson import ObjectId

from apps.core.documents import object_of
from apps.core.errors import ConfigurationError, NotFound
from apps.core.service import Document
from apps.core.text import plain_text
from apps.core.vocabulary import ItemType
from apps.media.photo_metadata import TAGS, MetadataError, with_metadata
from apps.media.signatures import extension_of
from apps.media.storage import MediaStorage

log = structlog.get_logger(__name__)


class Pictures:
    """Writes metadata of items into the files of their renditions.

    A file is never changed: the rendition gets a new one, whose id follows from its content. A
    repeated operation finds it there. Files that cannot be rewritten go out as they are.

    Args:
        media: where the files are.
        settings: PICTURE_METADATA_MAPPING, MEDIA_PREFIX.
    """

    def __init__(self, media: MediaStorage, settings: Mapping[str, Any]) -> None:
        self._media = media
        self._prefix = settings["MEDIA_PREFIX"]
        self._mapping: Mapping[str, str] = settings["PICTURE_METADATA_MAPPING"]

    def stamp(self, updates: Document, original: Mapping[str, Any]) -> None:
        """Put the metadata of an item, and of the pictures that it holds, into their files.

        Changes renditions in `updates` where a file is new.
        """
        item = {**original, **updates}
        if renditions := self._stamped(item):
            updates["renditions"] = renditions
        associations = object_of(item, "associations")
        stamped = {
            key: {**held, "renditions": renditions}
            for key, held in associations.items()
            if isinstance(held, Mapping) and (renditions := self._stamped(held))
        }
        if stamped:
            updates["associations"] = {**associations, **stamped}

    def _stamped(self, item: Mapping[str, Any]) -> Document | None:
        """Return the renditions of a picture with new files; None where none is new."""
        renditions = item.get("renditions")
        if item.get("type") != ItemType.PICTURE or not isinstance(renditions, Mapping):
            return None
        values = metadata_of(item, self._mapping)
        files = {
            media: new
            for media in {r.get("media") for r in renditions.values() if isinstance(r, Mapping)}
            if media and values and (new := self._rewritten(media, values)) is not None
        }
        if not files:
            return None
        return {
            name: self._with_file(rendition, *files[rendition["media"]])
            if isinstance(rendition, Mapping) and rendition.get("media") in files
            else rendition
            for name, rendition in renditions.items()
        }

    def _rewritten(
        self, media: Any, values: Mapping[str, list[str]]
    ) -> tuple[ObjectId, str] | None:
        """Return id and media type of a new file; None where none is needed or possible."""
        try:
            file = self._media.get(media)
            content = file.read()
            changed = with_metadata(content, values)
        except (NotFound, MetadataError) as error:
            log.warning("picture.metadata_not_written", media=str(media), error=str(error))
            return None
        if changed == content:
            return None
        id = ObjectId(sha256(changed).digest()[:12])
        self._media.put(changed, file.filename, file.content_type, file.metadata, id=id)
        return id, file.content_type

    def _with_file(
        self, rendition: Mapping[str, Any], media: ObjectId, media_type: str
    ) -> Document:
        old, href = str(rendition["media"]), str(rendition.get("href") or "")
        if old in href:
            href = href.replace(old, str(media))
        else:
            href = f"{self._prefix}/{media}{extension_of(media_type)}"
        # As it was: some clients keep ids as texts.
        is_text = isinstance(rendition["media"], str)
        return {**rendition, "media": str(media) if is_text else media, "href": href}


def check_mapping(mapping: Mapping[str, Any]) -> None:
    """Check the setting PICTURE_METADATA_MAPPING.

    Raises:
        ConfigurationError: it names a tag that there is not.
    """
    if unknown := sorted(set(map(str, mapping.values())) - set(TAGS)):
        message = f"PICTURE_METADATA_MAPPING: unknown {', '.join(unknown)}; known: "
        raise ConfigurationError(message + ", ".join(TAGS))


def metadata_of(item: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, list[str]]:
    """Return tag to its texts, for the fields of `mapping` that the item has.

    Args:
        mapping: field, or its path with dots (`extra.city`, `dateline.located.city`), to tag.
    """
    values: dict[str, list[str]] = {}
    for path, tag in mapping.items():
        if texts := _texts(_value(item, path)):
            values.setdefault(tag, []).extend(texts)
    return values


def _value(item: Any, path: str) -> Any:
    for name in path.split("."):
        item = item.get(name) if isinstance(item, Mapping) else None
    return item


def _texts(value: Any) -> list[str]:
    """Return the texts of a field: of a list each entry, of entries of vocabularies the names."""
    if isinstance(value, (list, tuple)):
        return [text for entry in value for text in _texts(entry)]
    if isinstance(value, Mapping):
        value = value.get("name") or value.get("qcode")
    if value is None or isinstance(value, (bool, Mapping)):
        return []
    text = " ".join(plain_text(str(value)).split())
    return [text] if text else []
