"""Parts of a NewsML-G2 message that its valid form and Superdesk's layout have in common."""

import re
from collections.abc import Container
from datetime import UTC, datetime

from apps.core.clock import moment_of
from apps.core.text import strip_forbidden
from apps.core.vocabulary import ItemType, PubStatus
from formatters import xml
from formatters.base import Document, FormatContext
from formatters.conversions import integer, mapping_of, objects_of, text_of
from formatters.xml import name_token

NAMESPACE = "http://iptc.org/std/nar/2006-10-01/"
ITEM_MEDIA_TYPE = "application/vnd.iptc.g2.newsitem+xml"
GROUP_ROLE = re.compile(r"grpRole:[^\s]+")
QCODE = re.compile(r"[^\s:]+:[^\s]+")


def leaf(tag: str, text: object, /, **attributes: str) -> str:
    """As `xml.leaf`, on one line: the standard takes no line ends in most texts."""
    return xml.leaf(tag, line(text), **attributes)


def line(value: object) -> str:
    """Return `value` as text on one line; numbers count, all else is empty."""
    if isinstance(value, str) and value.isprintable() and "  " not in value:
        # Most texts: nothing to fold.
        return value.strip()
    return " ".join(strip_forbidden(str(value)).split()) if isinstance(value, (str, int)) else ""


def iso(moment: object, fallback: datetime) -> str:
    """Return `moment` as ISO 8601 with its offset, UTC."""
    known = moment_of(moment) or fallback.astimezone(UTC)
    return f"{known.isoformat()[:19]}+00:00"


def version_of(item: Document) -> int:
    """Return the version of an item, at least 1."""
    return max(1, integer(item.get("_current_version")) or 1)


def item_class(kind: str) -> str:
    """Return the QCode of an item type."""
    return f"ninat:{ItemType.TEXT if kind in ('', ItemType.PREFORMATTED) else kind}"


def name_of(entry: Document, language: str, context: FormatContext) -> tuple[str, str]:
    """Return the name of a vocabulary entry, "" where there is none, and its language.

    That is the item's, else its main language without the region, else the name that the entry has,
    which is in the default language.
    """
    translated = mapping_of(mapping_of(entry, "translations"), "name")
    if translated:
        for tag in (language, re.split("[-_]", language)[0]):
            if line(translated.get(tag)):
                return line(translated[tag]), tag
    return line(entry.get("name")), context.settings.default_language


def geoname_code(place: Document) -> str:
    """Return the QCode of a place of the geonames scheme: ISO 3166 for states and countries."""
    country, state = ("".join(line(place.get(f)).split()) for f in ("country_code", "state_code"))
    if text_of(place, "feature_class").upper() == "A" and country:
        return f"iso3166-2:{country}-{state}" if state else f"iso3166-1a2:{country}"
    return "geonames:" + "".join(line(place.get("code")).split())


def position(place: Document) -> str:
    """Return where a place lies, "" where that is not known."""
    location = mapping_of(place, "location")
    said = {"latitude": (location.get("lat"), 90), "longitude": (location.get("lon"), 180)}
    known = {
        name: format(value, "f")
        for name, (value, most) in said.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= most
    }
    return xml.element("position", **known) if len(known) == len(said) else ""


def groups(item: Document, context: FormatContext, *, with_versions: bool = True) -> str:
    """Return the content of the group set of a package, root group first.

    Members that are known to be gone are left out.
    """
    known: dict[str, Document] = {}
    for group in objects_of(item, "groups"):
        if name_token(group.get("id")):
            known.setdefault(str(group["id"]), group)
    parts = []
    if "root" not in known:
        references = "".join([xml.element("groupRef", idref=name) for name in known])
        parts.append(xml.element("group", references, id="root", role="grpRole:NEP"))
    for name, group in sorted(known.items(), key=lambda named: named[0] != "root"):
        role = strip_forbidden(text_of(group, "role"))
        is_known = GROUP_ROLE.fullmatch(role) is not None
        references = "".join(
            [
                _reference(reference, known, context, with_versions)
                for reference in objects_of(group, "refs")
            ]
        )
        named = {"id": name, "role": role if is_known else f"grpRole:{name}"}
        parts.append(xml.element("group", references, **named))
    return "".join(parts)


def _reference(
    reference: Document, ids: Container[object], context: FormatContext, with_version: bool
) -> str:
    written = ""
    if reference.get("idRef") in ids:
        written = xml.element("groupRef", idref=str(reference["idRef"]))
    guid = line(reference.get("residRef"))
    members = context.members
    if not guid or (members is not None and guid not in members):
        return written
    published = (members or {}).get(guid, {})
    member = {**reference, **{k: v for k, v in published.items() if v is not None}}
    said = {"residref": guid, "contenttype": ITEM_MEDIA_TYPE}
    version = integer(member.get("_current_version"))
    if with_version and version and version > 0:
        said["version"] = str(version)
    status = text_of(member, "pubstatus") or PubStatus.USABLE
    hints = [
        xml.element("itemClass", qcode=item_class(text_of(member, "type"))),
        xml.element("pubStatus", qcode=f"stat:{status}"),
        *[leaf(tag, text) for tag in ("headline", "slugline") if (text := text_of(member, tag))],
    ]
    return written + xml.element("itemRef", "".join(hints), **said)
