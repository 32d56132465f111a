"""Parts of a NewsML-G2 message that its valid form and Superdesk's layout have in common."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from apps.core.clock import moment_of
from apps.core.codes import Concept, known_concept
from apps.core.documents import object_of, objects_of, text_of
from apps.core.text import strip_forbidden
from formatters import xml
from formatters.base import Document, FormatContext
from formatters.conversions import TAGGED, integer, publish_status, sent_type
from formatters.uris import is_uri, scheme_uri, web_address

NAMESPACE = "http://iptc.org/std/nar/2006-10-01/"
ITEM_MEDIA_TYPE = "application/vnd.iptc.g2.newsitem+xml"
GROUP_ROLE = re.compile(r"grpRole:[^\s]+")
OWN_ALIAS = "cv"
"""Alias of codes without a vocabulary; those of vocabularies begin with it."""
PLACE_KINDS = (("CountryArea", "state"), ("Country", "country"), ("WorldArea", "world_region"))
"""Places around a place, from near to far: their kind, and the field that names them."""
ODRL = "http://www.w3.org/ns/odrl/2/"
"""The language of rights of which it is not known in which they are expressed."""
_ENCODINGS = {
    "{": "application/ld+json",
    "[": "application/ld+json",
    "<": "application/xml",
    "@": "text/turtle",
}
"""Media types of rights by the character that they begin with."""
_NO_ALIAS = re.compile(r"[^\w.-]+", re.ASCII)
_NO_NAME = re.compile(r"[^\w.-]", re.ASCII)
QCODE = re.compile(r"[^\s:]+:[^\s]+")


def leaf(tag: str, text: object, /, **attributes: str) -> str:
    """As `xml.leaf`, on one line: the standard takes no line ends in most texts."""
    if not attributes:
        content = xml.escaped(line(text))
        return f"<{tag}>{content}</{tag}>" if content else f"<{tag}/>"
    return xml.leaf(tag, line(text), **attributes)


def line(value: object) -> str:
    """Return `value` as text on one line; numbers count, all else is empty."""
    if isinstance(value, str) and value.isprintable() and "  " not in value:
        return value.strip()
    return " ".join(strip_forbidden(str(value)).split()) if isinstance(value, (str, int)) else ""


def iso(moment: object, fallback: datetime) -> str:
    """Return `moment` as ISO 8601 with its offset, UTC."""
    known = moment_of(moment) or fallback.astimezone(UTC)
    return f"{known.isoformat()[:19]}+00:00"


def item_class(kind: str) -> str:
    """Return the QCode of an item type."""
    return f"ninat:{sent_type(kind)}"


def name_of(entry: Document, language: str) -> tuple[str, str]:
    """Return the name of a vocabulary entry and its language, each "" where it is not known.

    That is the item's language, else its main language without the region. Else it is the name that
    the entry has, of which nothing says what language it is in.
    """
    if translated := object_of(object_of(entry, "translations"), "name"):
        main = re.split("[-_]", language)[0]
        keys = ((language, language), (language.replace("-", "_"), language), (main, main))
        for key, tag in keys:
            if name := line(translated.get(key)):
                return name, tag
    return line(entry.get("name")), ""


def geoname_code(place: Document) -> str:
    """Return the QCode of a place of the geonames scheme: ISO 3166 for states and countries."""
    country, state = ("".join(line(place.get(f)).split()) for f in ("country_code", "state_code"))
    if text_of(place, "feature_class").upper() == "A" and country:
        return f"iso3166-2:{country}-{state}" if state else f"iso3166-1a2:{country}"
    found = place_concept(place)
    return found.qcode if found else "geonames:" + "".join(line(place.get("code")).split())


def position(place: Document) -> str:
    """Return where a place lies, "" where that is not known."""
    location = object_of(place, "location")
    said = {"latitude": (location.get("lat"), 90), "longitude": (location.get("lon"), 180)}
    known = {
        name: format(value, "f")
        for name, (value, most) in said.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= most
    }
    return xml.element("position", **known) if len(known) == len(said) else ""


def rights_expression(item: Document) -> str:
    """Return the rights of an item as its `extra.rightsinfo` has them: by a link, or in ODRL.

    The keys are those of ninjs 1 or 2 (`linkedrights`, `linkedRights`). An expression in XML is
    sent as data, too: the schema takes elements of no rights language.
    """
    given = object_of(object_of(item, "extra"), "rightsinfo")
    if not given:
        return ""
    known = {str(key).lower(): value for key, value in given.items()}
    link = web_address(text_of(known, "linkedrights"))
    written = xml.element("link", href=link) if link else ""
    if encoded := strip_forbidden(text_of(known, "encodedrights")).strip():
        language = web_address(text_of(known, "langid")) or ODRL
        kind = _ENCODINGS.get(encoded[0], "text/plain")
        written += xml.leaf("rightsExpressionData", encoded, langid=language, enctype=kind)
    return written


def own_aliases(item: Document, domain: str) -> dict[str, tuple[str, str]]:
    """Return alias and URI of each vocabulary of the newsroom that an item has entries of, by id.

    Args:
        domain: setting URN_DOMAIN.
    """
    found: dict[str, tuple[str, str]] = {}
    taken = set()
    fields = ("subject", "genre", "place", *TAGGED)
    entries = (entry for field in fields for entry in objects_of(item, field))
    for entry in entries:
        scheme = line(entry.get("scheme"))
        if not scheme or scheme in found or known_concept(line(entry.get("qcode")), scheme):
            continue
        alias = f"{OWN_ALIAS}-{_NO_ALIAS.sub('_', scheme)}"
        while alias in taken:
            alias += "_"
        taken.add(alias)
        own = f"http://{domain}/cv/{quote(scheme, safe='')}/"
        found[scheme] = (alias, scheme_uri(scheme) if is_uri(scheme) else own)
    return found


def concept_qcode(
    entry: Document,
    aliases: Mapping[str, tuple[str, str]],
    alias: str = OWN_ALIAS,
    *,
    is_subject: bool = False,
) -> str:
    """Return the QCode of a vocabulary entry, under the alias of its vocabulary.

    Args:
        aliases: see `own_aliases`.
        alias: of entries without a scheme.
        is_subject: see `known_concept`.
    """
    code, scheme = line(entry.get("qcode")), line(entry.get("scheme"))
    if found := known_concept(code, scheme, is_subject=is_subject):
        return found.qcode
    return f"{aliases[scheme][0] if scheme else alias}:{code}"


def place_concept(place: Document) -> Concept | None:
    """Return the concept that a place is, None where its vocabulary is not known."""
    code = line(place.get("code")) or line(place.get("qcode"))
    return known_concept(code, line(place.get("scheme")))


def _group_names(item: Document) -> dict[str, str]:
    """Return an XML name for the id of each group, by the id."""
    names: dict[str, str] = {}
    for group in objects_of(item, "groups"):
        id_ = str(group.get("id") or "")
        if id_ in names:
            continue
        name = _NO_NAME.sub("_", id_) or "group"
        name = name if name[0].isalpha() or name[0] == "_" else f"_{name}"
        while name in names.values():
            name += "_"
        names[id_] = name
    return names


def groups(item: Document, context: FormatContext, *, with_versions: bool = True) -> str:
    """Return the content of the group set of a package, root group first.

    Members that are known to be gone are left out.
    """
    names = _group_names(item)
    roles: dict[str, str] = {}
    content: dict[str, str] = dict.fromkeys(names.values(), "")
    for group in objects_of(item, "groups"):
        name = names[str(group.get("id") or "")]
        role = strip_forbidden(text_of(group, "role"))
        roles.setdefault(name, role if GROUP_ROLE.fullmatch(role) else f"grpRole:{name}")
        for reference in objects_of(group, "refs"):
            content[name] += _reference(reference, names, context, with_versions)
    if "root" not in content:
        references = [xml.element("groupRef", idref=name) for name in content]
        content = {"root": "".join(references), **content}
        roles["root"] = "grpRole:NEP"
    written = {
        name: xml.element("group", inside, id=name, role=roles[name])
        for name, inside in content.items()
    }
    return written.pop("root") + "".join(written.values())


def _reference(
    reference: Document, names: Mapping[str, str], context: FormatContext, with_version: bool
) -> str:
    name = names.get(str(reference.get("idRef") or ""))
    written = xml.element("groupRef", idref=name) if reference.get("idRef") and name else ""
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
    hints = [
        xml.element("itemClass", qcode=item_class(text_of(member, "type"))),
        xml.element("pubStatus", qcode=f"stat:{publish_status(member)}"),
        *[leaf(tag, text) for tag in ("headline", "slugline") if (text := text_of(member, tag))],
    ]
    return written + xml.element("itemRef", "".join(hints), **said)
