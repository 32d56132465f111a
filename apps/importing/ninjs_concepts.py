"""What a ninjs document is about and who made it: concepts, places, authors, sources.

1.x has a scheme and a code, 2.x and 3.x a URI and a literal; an item has a `qcode` in a `scheme`.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any
from urllib.parse import unquote

from apps.core.codes import known_concept, stored_code
from apps.core.vocabulary import AUTHOR_ROLES
from apps.importing.ninjs_fields import Fields, non_empty, number, objects, text

CONCEPT_FIELDS = {
    "subject": ("subject", "subjects"),
    "genre": ("genre", "genres"),
    "organisation": ("organisation", "organisations"),
    "event": ("event", "events"),
    "object": ("object", "objects"),
    "anpa_category": ("service",),
}
"""Fields of an item, and what they are called in 1.x and later."""

CATEGORIES = "anpa_category"
GEONAMES = "geonames"
SECURITIES = "Securities Identifier"
"""`rel` of organisations in Superdesk's ninjs that are listed companies."""

PLACE_FIELDS = ("state", "state_code", "country", "country_code", "world_region", "group")
AUTHOR_FIELDS = ("biography", "uri", "facebook", "twitter", "instagram")
AVATARS = ("avatar_url", "avatarurl", "avatar")
SIGNALS = "http://cv.iptc.org/newscodes/signal/"
CONTENT_WARNING = "cwarn"

ORIGINAL_SOURCE_ROLES = frozenset({"originalsource", "original_source", "original"})
SOURCE_ROLES = frozenset({"", "source", "provider"})

_ADDRESS = re.compile(r"(https?://[^?]*[/#])([\w.~%-]+)", re.IGNORECASE | re.ASCII)
_IN_SCHEME = re.compile(r"(?!urn:|https?:|tag:)([A-Za-z][\w.-]*):(\S.*)")


def concepts_of(fields: Fields) -> Fields:
    """Return subjects, categories, keywords and what else an item is about."""
    found = {
        name: list(chain.from_iterable(objects(fields.get(key, [])) for key in keys))
        for name, keys in CONCEPT_FIELDS.items()
    }
    tagged = found["subject"]
    found["subject"] = [entry for entry in tagged if _rel(entry) not in ("keyword", "category")]
    found[CATEGORIES] += [entry for entry in tagged if _rel(entry) == "category"]
    words = [
        text(entry.get("name")) or code_of(entry) for entry in tagged if _rel(entry) == "keyword"
    ]
    given = fields.get("keywords")
    keywords = [*(given if isinstance(given, list) else ()), *words]
    item: Fields = {"keywords": list(dict.fromkeys(w for w in keywords if isinstance(w, str)))}
    companies = found["organisation"]
    found["organisation"] = [entry for entry in companies if not _is_symbol_only(entry)]
    for name, entries in found.items():
        item[name] = distinct(concept(entry, is_subject=name == "subject") for entry in entries)
    categories = {entry["qcode"]: _without_scheme(entry) for entry in item[CATEGORIES]}
    item |= {CATEGORIES: list(categories.values()), "company_codes": _company_codes(companies)}
    return non_empty(item | _signals(fields))


def concept(entry: Fields, *, is_subject: bool = False) -> Fields:
    """Return a concept as a vocabulary entry: its code is unique within its scheme.

    Args:
        is_subject: see `stored_code`.
    """
    name, uri, scheme = text(entry.get("name")), text(entry.get("uri")), text(entry.get("scheme"))
    code = code_of(entry)
    if code and uri.endswith(code):
        scheme = scheme or uri.removesuffix(code)
    elif known_concept(uri) and not known_concept(code, scheme, is_subject=is_subject):
        code, scheme = uri, ""
    elif uri and not code:
        scheme, code = _code_at(uri)
    elif not scheme and "code" not in entry and code != name:
        scheme, code = _code_in(code)
    qcode, scheme = stored_code(code or uri or name, scheme, is_subject=is_subject)
    said: Fields = {key: text(entry.get(key)) for key in ("uri", "rel", "creator")}
    said |= {key: number(entry.get(key)) for key in ("relevance", "confidence")}
    return non_empty({"qcode": qcode, "name": name or code or uri, "scheme": scheme, **said})


def code_of(entry: Fields) -> str:
    """Return the code of a concept, `""` where it has none."""
    for key in ("literal", "code"):
        value = entry.get(key)
        if code := str(value) if isinstance(value, int) and value is not True else text(value):
            return code
    return ""


def _code_at(uri: str) -> tuple[str, str]:
    """Return scheme and code of a concept that only has an address: they make the same one."""
    parts = _ADDRESS.fullmatch(uri)
    return (parts[1], unquote(parts[2])) if parts else ("", uri)


def _code_in(literal: str) -> tuple[str, str]:
    """Return scheme and code of a literal, as our own ninjs 3 writes what has no address."""
    parts = _IN_SCHEME.fullmatch(literal)
    if parts is None or known_concept(literal):
        return "", literal
    return parts[1], parts[2]


def distinct(entries: Iterable[Fields]) -> list[Fields]:
    """Return the entries that say something, each once: the archive refuses equal codes."""
    found: dict[Any, Fields] = {}
    for entry in filter(None, entries):
        key = (entry.get("scheme"), entry.get("qcode"))
        found[key] = {**entry, **found.get(key, {})}
    return list(found.values())


def _rel(entry: Fields) -> str:
    return text(entry.get("rel")).lower()


def _without_scheme(category: Fields) -> Fields:
    """Return a category as items have it: our own ninjs 3 names the vocabulary."""
    kept = {key: value for key, value in category.items() if (key, value) != ("scheme", CATEGORIES)}
    return {key: value for key, value in kept.items() if (key, value) != ("rel", "category")}


# Organisations and signals


def _is_symbol_only(organisation: Fields) -> bool:
    """Whether an organisation is no more than a company with a ticker symbol."""
    is_named = text(organisation.get("uri")) or code_of(organisation)
    return not is_named and bool(_company_codes([organisation]))


def _company_codes(organisations: list[Fields]) -> list[Fields]:
    symbols = (
        {
            "name": text(entry.get("name")),
            "qcode": text(symbol.get("ticker")) or text(symbol.get("symbol")),
            "security_exchange": text(symbol.get("exchange")),
        }
        for entry in organisations
        for symbol in objects(entry.get("symbols", []))
    )
    return [non_empty(symbol) for symbol in symbols if symbol["qcode"]]


def _signals(fields: Fields) -> Fields:
    """Return what Superdesk's ninjs signals; a content warning asks for legal review."""
    found = []
    is_legal = False
    for entry in objects(fields.get("signal", [])):
        code, scheme = code_of(entry), text(entry.get("scheme"))
        if code == CONTENT_WARNING and scheme == SIGNALS:
            is_legal = True
        elif code:
            alias = "sig" if scheme == SIGNALS else scheme
            named = {"qcode": f"{alias}:{code}" if alias else code, "name": text(entry.get("name"))}
            found.append(non_empty(named))
    return {"signal": found, "flags": {"marked_for_legal": True} if is_legal else {}}


# Places


def places_of(fields: Fields) -> Fields:
    """Return the places, with their position where it is known."""
    entries = objects(fields.get("place", [])) + objects(fields.get("places", []))
    return non_empty({"place": distinct(map(_place, entries))})


def _place(entry: Fields) -> Fields:
    place = concept(entry)
    if place.get("scheme") == GEONAMES:
        # Under this key such places have it in items, and formats look for it there.
        place["code"] = place["qcode"]
    place |= non_empty({key: text(entry.get(key)) for key in PLACE_FIELDS})
    return place | non_empty({"location": _location(entry)}) if place else {}


def _location(entry: Fields) -> Fields:
    """Return where a place lies."""
    is_superdesk = entry.get("scheme") == GEONAMES
    known = entry.get("location")
    if isinstance(known, Mapping):
        lat, lon = number(known.get("lat")), number(known.get("lon"))
        return {"lat": lat, "lon": lon} if lat is not None and lon is not None else {}
    geometries = (entry[key] for key in entry if key == "geojson" or key.startswith("geometry"))
    for geometry in geometries:
        for lon, lat in _centres(geometry):
            # Superdesk's own ninjs writes the latitude first.
            lon, lat = (lat, lon) if is_superdesk else (lon, lat)
            if abs(lat) <= 90 and abs(lon) <= 180:
                return {"lat": lat, "lon": lon}
    return {}


def _centres(geometry: Any) -> Iterable[tuple[float, float]]:
    """Yield the middle of a GeoJSON object, and of what it holds, in order."""
    pending = [geometry]
    while pending:
        shape = pending.pop()
        if isinstance(shape, list):
            pending += reversed(shape)
        elif isinstance(shape, Mapping):
            points = _points(shape.get("coordinates"))
            if points:
                yield _middle(points)
            pending += [shape.get(key) for key in ("features", "geometries", "geometry")]


def _points(coordinates: Any) -> list[tuple[float, float]]:
    """Return the positions of a geometry, however deep its lists are."""
    points = []
    pending = [coordinates]
    while pending:
        part = pending.pop()
        if not isinstance(part, list):
            continue
        pair = [number(value) for value in part[:2] if not isinstance(value, (list, str))]
        if len(pair) == 2 and pair[0] is not None and pair[1] is not None:
            points.append((pair[0], pair[1]))
        else:
            pending += part
    return points


def _middle(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the middle of what lies around all points."""
    if len(points) == 1:
        return points[0]
    lons, lats = zip(*points, strict=True)
    return (min(lons) + max(lons)) / 2, (min(lats) + max(lats)) / 2


# Authors and sources


def people_of(fields: Fields) -> Fields:
    """Return authors, and the persons that an item is about."""
    people = objects(fields.get("person", [])) + objects(fields.get("people", []))
    authors = [_author(entry) for entry in _named(fields.get("authors"))]
    persons = []
    for entry in people:
        if role := _role(entry):
            authors.append(_author(entry, role))
        else:
            persons.append(concept(entry))
    return non_empty({"authors": _once(authors), "person": distinct(persons)})


def _named(value: Any) -> list[Fields]:
    """Return authors, also those that are no more than names."""
    entries = value if isinstance(value, list) else [value]
    return objects([{"name": entry} if isinstance(entry, str) else entry for entry in entries])


def _role(person: Fields) -> str:
    """Return the part that a person had in making an item, `""` where it is about them."""
    rel = text(person.get("rel"))
    kind, _, role = rel.partition(":")
    if kind.lower() == "author" and role:
        return role
    last = re.split("[:/#]", rel)[-1]
    return last if last.lower() in AUTHOR_ROLES else ""


def _author(entry: Fields, role: str = "") -> Fields:
    """Return an author.

    Args:
        role: that of a person by its relation; `author` says nothing more.
    """
    name, code = text(entry.get("name")), code_of(entry)
    author = {key: text(entry.get(key)) for key in AUTHOR_FIELDS}
    role = text(entry.get("role")) or ("" if role.lower() == "author" else role)
    author |= {"name": name, "role": role, "code": "" if code == name else code}
    author["avatar_url"] = next(filter(None, (text(entry.get(key)) for key in AVATARS)), "")
    return non_empty(author | _job_title(entry)) if name or author["uri"] else {}


def _job_title(entry: Fields) -> Fields:
    """Return the title as it came, and the code by which it may be known here."""
    said = entry.get("jobtitle") or entry.get("job_title")
    if isinstance(said, Mapping):
        known = {key: text(said.get(key)) for key in ("qcode", "name")}
        title = non_empty(known)
        return {"job_title": known["qcode"] or known["name"], "jobtitle": title}
    return {"job_title": text(said)}


def _once(authors: list[Fields]) -> list[Fields]:
    found: dict[Any, Fields] = {}
    for author in filter(None, authors):
        key = (author.get("name") or author.get("uri"), author.get("role"))
        found[key] = {**author, **found.get(key, {})}
    return list(found.values())


def sources_of(fields: Fields) -> Fields:
    """Return the source, the one that it had it from, and all sources where these say less."""
    entries = objects(fields.get("infosource", [])) + objects(fields.get("infosources", []))
    keys = ("name", "role", "rel", "uri", "literal", "scheme", "code")
    sources = [non_empty({key: text(entry.get(key)) for key in keys}) for entry in entries]
    sources = [source for source in sources if _source_name(source)]
    original = [entry for entry in sources if _source_role(entry) in ORIGINAL_SOURCE_ROLES]
    others = [entry for entry in sources if entry not in original]
    named = [entry for entry in others if _source_role(entry) in SOURCE_ROLES] or others
    item: Fields = {
        "source": text(fields.get("source")) or ", ".join(_names(named)),
        "original_source": ", ".join(_names(original)),
    }
    is_all = sorted(map(_source_name, sources)) == sorted(filter(None, item.values()))
    if not is_all or not all(map(_is_plain_source, sources)):
        item["extra"] = {"infosources": sources} if sources else {}
    return non_empty(item)


def _is_plain_source(source: Fields) -> bool:
    is_ours = _source_role(source) in SOURCE_ROLES | ORIGINAL_SOURCE_ROLES
    return is_ours and {*source} <= {"name", "role", "rel"}


def _source_name(source: Fields) -> str:
    return text(source.get("name")) or text(source.get("literal")) or text(source.get("code"))


def _source_role(source: Fields) -> str:
    role = text(source.get("role")) or text(source.get("rel"))
    return re.split("[:/#]", role)[-1].lower()


def _names(sources: Iterable[Fields]) -> list[str]:
    return list(dict.fromkeys(map(_source_name, sources)))
