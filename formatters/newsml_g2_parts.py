"""Parts of a NewsML-G2 message that its valid form and Superdesk's layout have in common."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from apps.core.clock import moment_of
from apps.core.text import strip_forbidden
from apps.core.vocabulary import ItemType, PubStatus
from formatters import xml
from formatters.base import Document, FormatContext
from formatters.conversions import integer, mapping_of, objects_of, text_of
from formatters.xml import XML_LANG, Element, name_token

NAMESPACE = "http://iptc.org/std/nar/2006-10-01/"
ITEM_MEDIA_TYPE = "application/vnd.iptc.g2.newsitem+xml"
GROUP_ROLE = re.compile(r"grpRole:[^\s]+")
QCODE = re.compile(r"[^\s:]+:[^\s]+")


def add(parent: Element, tag: str, text: str | None = None, /, **attributes: str) -> Any:
    """As `xml.add`, on one line: the standard takes no line ends in most texts."""
    return xml.add(parent, tag, line(text) if text else None, **attributes)


def line(value: object) -> str:
    """Return `value` as text on one line; numbers count, all else is empty."""
    if isinstance(value, str) and value.isprintable() and "  " not in value:
        # Most texts: nothing to fold.
        return value.strip()
    return " ".join(strip_forbidden(str(value)).split()) if isinstance(value, (str, int)) else ""


def iso(moment: object, fallback: datetime) -> str:
    """Return `moment` as ISO 8601 with its offset, UTC."""
    known = moment_of(moment) or fallback.astimezone(UTC)
    return known.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def version_of(item: Document) -> int:
    """Return the version of an item, at least 1."""
    return max(1, integer(item.get("_current_version")) or 1)


def item_class(kind: str) -> str:
    """Return the QCode of an item type."""
    return f"ninat:{ItemType.TEXT if kind in ('', ItemType.PREFORMATTED) else kind}"


def names(element: Element, entry: Document, language: str, context: FormatContext) -> None:
    """Append the name of a vocabulary entry with its language.

    That is the item's, else its main language without the region, else the name that the entry has,
    which is in the default language.
    """
    translated = mapping_of(mapping_of(entry, "translations"), "name")
    for tag in (language, re.split("[-_]", language)[0]):
        if line(translated.get(tag)):
            add(element, "name", line(translated[tag])).set(XML_LANG, tag)
            return
    if line(entry.get("name")):
        named = add(element, "name", line(entry["name"]))
        named.set(XML_LANG, context.settings.default_language)


def geoname_code(place: Document) -> str:
    """Return the QCode of a place of the geonames scheme: ISO 3166 for states and countries."""
    country, state = ("".join(line(place.get(f)).split()) for f in ("country_code", "state_code"))
    if text_of(place, "feature_class").upper() == "A" and country:
        return f"iso3166-2:{country}-{state}" if state else f"iso3166-1a2:{country}"
    return "geonames:" + "".join(line(place.get("code")).split())


def position(element: Element, place: Document) -> None:
    """Append where a place lies, if that is known."""
    location = mapping_of(place, "location")
    said = {"latitude": (location.get("lat"), 90), "longitude": (location.get("lon"), 180)}
    known = {
        name: format(value, "f")
        for name, (value, most) in said.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= most
    }
    if len(known) == len(said):
        add(add(element, "geoAreaDetails"), "position", **known)


def groups(
    package: Element, item: Document, context: FormatContext, *, with_versions: bool = True
) -> None:
    """Append the group set of a package, root group first.

    Members that are known to be gone are left out.
    """
    known = [group for group in objects_of(item, "groups") if name_token(group.get("id"))]
    ids = {str(group["id"]) for group in known}
    group_set = add(package, "groupSet", root="root")
    if "root" not in ids:
        root = add(group_set, "group", id="root", role="grpRole:NEP")
        for name in dict.fromkeys(str(group["id"]) for group in known):
            add(root, "groupRef", idref=name)
    written: set[str] = set()
    for group in sorted(known, key=lambda group: group["id"] != "root"):
        name = str(group["id"])
        if name in written:
            continue
        written.add(name)
        role = text_of(group, "role")
        is_known = GROUP_ROLE.fullmatch(strip_forbidden(role)) is not None
        element = add(group_set, "group", id=name, role=role if is_known else f"grpRole:{name}")
        for reference in objects_of(group, "refs"):
            _reference(element, reference, ids, context, with_versions)


def _reference(
    group: Element,
    reference: Mapping[str, Any],
    ids: set[str],
    context: FormatContext,
    with_version: bool,
) -> None:
    if reference.get("idRef") in ids:
        add(group, "groupRef", idref=str(reference["idRef"]))
    guid = line(reference.get("residRef"))
    members = context.members
    if not guid or (members is not None and guid not in members):
        return
    published = (members or {}).get(guid, {})
    member = {**reference, **{k: v for k, v in published.items() if v is not None}}
    said = {"residref": guid, "contenttype": ITEM_MEDIA_TYPE}
    version = integer(member.get("_current_version"))
    if with_version and version and version > 0:
        said["version"] = str(version)
    element = add(group, "itemRef", **said)
    add(element, "itemClass", qcode=item_class(text_of(member, "type")))
    add(element, "pubStatus", qcode=f"stat:{text_of(member, 'pubstatus') or PubStatus.USABLE}")
    for tag in ("headline", "slugline"):
        if text_of(member, tag):
            add(element, tag, text_of(member, tag))
