"""Items as readers see them (routing contract 9, read side): shapes, no store."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from apps.content_api.copies import STAGE, readers_of
from apps.content_api.schema import HIDDEN
from apps.core.documents import values_of
from apps.core.service import Document
from apps.core.vocabulary import ItemType
from formatters.ninjs_embeds import rebuilt


@dataclass(frozen=True)
class Links:
    """Addresses of what is served.

    Attributes:
        base: address of the content API, without a trailing slash.
    """

    base: str

    def item(self, document: Mapping[str, Any]) -> str:
        """Return the absolute address of an item or a package."""
        return f"{self.base}/{kind_of(document)}/{quote(str(document['_id']))}"

    def asset(self, media: Any) -> str:
        """Return the absolute address of a binary."""
        return f"{self.base}/assets/{quote(str(media), safe='')}"


def kind_of(document: Mapping[str, Any]) -> str:
    """Return the resource that serves a stored item."""
    return "packages" if document.get("type") == ItemType.COMPOSITE else "items"


def members_of(document: Mapping[str, Any]) -> list[str]:
    """Return the ids of the members that a stored package lists."""
    if document.get("type") != ItemType.COMPOSITE:
        return []
    associations = (document.get("associations") or {}).values()
    return [str(member["_id"]) for member in associations if member and member.get("_id")]


def for_subscriber(
    stored: Mapping[str, Any], reader: str, links: Links, readable: Callable[[str], bool]
) -> Document:
    """Return a stored item as a subscriber sees it.

    Args:
        reader: id of the subscriber, as text.
        readable: whether the subscriber may read the item of an id: a member of a package.
    """
    document = deepcopy(dict(stored))
    is_package = document.get("type") == ItemType.COMPOSITE

    def may_see(associated: Mapping[str, Any]) -> bool:
        if reader not in readers_of(associated):
            return False
        return not is_package or readable(str(associated.get("_id")))

    document["uri"] = links.item(document)
    document["_links"] = {"self": {"title": "Item", "href": _path(document)}}
    for field in HIDDEN:
        document.pop(field, None)
    if is_package:
        for member in values_of(document, "associations"):
            if member.get("_id"):
                member["uri"] = links.item(member)
    held = set(document.get("associations") or ())
    moved = _shape_associations(document, may_see, links)
    moved |= _shape_media(document, links)
    if isinstance(document.get("body_html"), str):
        # Media that the editor put into the text are associations, too.
        text = rebuilt(document["body_html"], {}, held - set(document["associations"]))
        for before, after in moved.items():
            text = text.replace(before, after)
        document["body_html"] = text
    return document


def for_user(stored: Mapping[str, Any], links: Links) -> Document:
    """Return a stored item as users of the newsroom see it: whole but for its stage."""
    document = deepcopy(dict(stored))
    document.pop(STAGE, None)
    document["uri"] = links.item(document)
    document["_links"] = {"self": {"title": "Item", "href": _path(document)}}
    return document


def _path(document: Mapping[str, Any]) -> str:
    return f"{kind_of(document)}/{document['_id']}"


def _shape_associations(
    document: Document, may_see: Callable[[Mapping[str, Any]], bool], links: Links
) -> dict[str, str]:
    """Leave the associations that a reader may see; return addresses that have changed."""
    moved: dict[str, str] = {}

    def shaped(associated: Document) -> Document:
        moved.update(_shape_media(associated, links))
        associated.pop("subscribers", None)
        return associated

    associations = document.get("associations") or {}
    document["associations"] = {
        key: shaped(associated)
        for key, associated in associations.items()
        if associated and may_see(associated)
    }
    for field in (document.get("extra_items") or {}).values():
        field["items"] = [shaped(item) for item in field.get("items") or () if may_see(item)]
    return moved


def _shape_media(document: Document, links: Links) -> dict[str, str]:
    """Put addresses in the place of media ids; return the addresses that have changed."""
    moved: dict[str, str] = {}
    renditions = document.get("renditions")
    if renditions:
        document["renditions"] = {name: r for name, r in renditions.items() if r}
    held = [*(document.get("renditions") or {}).values(), *(document.get("attachments") or ())]
    for binary in held:
        if not isinstance(binary, dict) or binary.get("media") is None:
            continue
        before, binary["href"] = binary.get("href"), links.asset(binary.pop("media"))
        if before:
            moved[before] = binary["href"]
    return moved
