"""Parts of an IPTC ninjs 3.1 object, each made from an item (formats contract 8)."""

from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any
from urllib.parse import quote

from apps.core.clock import moment_of
from apps.core.codes import known_concept
from apps.core.documents import object_of, objects_of, text_of, texts_of
from apps.core.text import plain_text, preserved_text, text_figures
from apps.core.vocabulary import AUTHOR_ROLES, TEXT_TYPES
from formatters.base import Document, FormatContext
from formatters.body import parse_body
from formatters.conversions import body_with_footer, integer, localised, without_empty
from formatters.media import renditions_of
from formatters.ninjs_fields import place_label, user_of
from formatters.plain_body import TextBody
from formatters.uris import concept_uri, is_uri, web_address

HTML, PLAIN = "text/html", "text/plain"
SAID_OF = {
    "subject": ("rel", "creator"),
    **dict.fromkeys(("person", "organisation", "place", "event", "object"), ("rel",)),
}
"""What is said of a concept besides what it is, by the field of the item that it stands in."""

SCORES = ("relevance", "confidence")
"""The same of subjects: whole numbers up to 100."""

RENDITION_TEXTS = {
    "title": "title",
    "format": "format",
    "aspectratio": "aspectRatio",
    "videocodec": "videoCodec",
    "transportprotocol": "transportProtocol",
    "bitrate": "bitrate",
}
"""What renditions that came in as ninjs say of themselves, and what the standard calls it."""
SCANS = ("progressive", "interlaced")

TICKER = "http://cv.iptc.org/newscodes/financialinstrumentsymboltype/ticker"


def time(value: object) -> str:
    """Return a moment in the form of RFC 3339, empty where there is none."""
    moment = moment_of(value)
    return moment.isoformat(timespec="seconds") if moment else ""


def headlines(item: Document) -> list[dict[str, Any]]:
    """Return the headline; a title given to an embed wins."""
    headline = text_of(item, "title") or text_of(item, "headline")
    return [{"role": "main", "contentType": PLAIN, "value": headline}] if headline else []


def descriptions(item: Document) -> list[dict[str, Any]]:
    """Return abstract, caption, alternative text and credit line."""
    abstract, caption = text_of(item, "abstract"), text_of(item, "description_text")
    said = (
        ("summary", HTML, abstract),
        ("summary", PLAIN, plain_text(abstract, line_feeds=True).strip()),
        ("caption", HTML, text_of(item, "description_html")),
        ("caption", PLAIN, caption),
        ("alt", PLAIN, text_of(item, "alt_text")),
        ("creditline", PLAIN, text_of(item, "creditline")),
    )
    return [
        {"role": role, "contentType": content_type, "value": value}
        for role, content_type, value in said
        if value
    ]


def bodies(item: Document, context: FormatContext) -> list[dict[str, Any]]:
    """Return the body as markup and as text, each with its figures."""
    html = body_with_footer(item)
    if not html and text_of(item, "type") not in TEXT_TYPES:
        html = text_of(item, "body_html")
    text = text_of(item, "body_text")
    if not (html or text):
        return []
    rate = context.settings.japanese_characters_per_minute
    counted = text_figures(html or text, text_of(item, "language"), rate)
    figures = {"charCount": counted.characters, "wordCount": counted.words}
    if html:
        is_preserved = item.get("format") == "preserved"
        text = preserved_text(html) if is_preserved else TextBody().write(parse_body(html))
    said = ((HTML, html), (PLAIN, text))
    return [
        {"role": "main", "contentType": content_type, **figures, "value": value}
        for content_type, value in said
        if value
    ]


def concept(
    entry: Document, language: str, *, is_subject: bool = False, **fields: str
) -> dict[str, Any]:
    """Return a vocabulary entry: its name, and its URI where one is known, else a literal.

    Args:
        is_subject: see `known_concept`.
        fields: what else is said of it, such as `rel`.
    """
    code, scheme = _text(entry.get("qcode")), _text(entry.get("scheme"))
    name = _text(localised(entry, "name", language))
    own = text_of(entry, "uri")
    uri = concept_uri(own) if is_uri(own) else concept_uri(code, scheme, is_subject=is_subject)
    literal = "" if uri else ":".join(filter(None, (scheme, code))) if code else name
    identity = without_empty({"name": name, "uri": uri, "literal": literal})
    return {**identity, **fields} if identity else {}


def concepts(item: Document, field: str, **fields: str) -> list[dict[str, Any]]:
    """Return the entries of a vocabulary field.

    Args:
        fields: what is said of entries that do not say it themselves, such as `rel`.
    """
    language = text_of(item, "language")
    is_subject = field == "subject"
    found = []
    for entry in objects_of(item, field):
        known = concept(entry, language, is_subject=is_subject, **fields)
        if known:
            found.append(known | _said_of(entry, field))
    return found


def _said_of(entry: Document, field: str) -> dict[str, Any]:
    """Return what an entry says besides what it is, as far as the standard has a place for it."""
    said: dict[str, Any] = {}
    for name in SAID_OF.get(field, ()):
        if value := text_of(entry, name):
            said[name] = value
    if field == "subject":
        for name in SCORES:
            score: Any = entry.get(name)
            if _is_number(score) and score in range(101):
                said[name] = int(score)
    return said


def subjects(item: Document) -> list[dict[str, Any]]:
    """Return subjects, categories and keywords."""
    categories = [
        {"scheme": "anpa_category", **entry} for entry in objects_of(item, "anpa_category")
    ]
    keywords = [{"name": word, "rel": "keyword", "literal": word} for word in _keywords(item)]
    named = {"language": item.get("language"), "anpa_category": categories}
    tagged = concepts(named, "anpa_category", rel="category")
    return [*concepts(item, "subject"), *tagged, *keywords]


def _keywords(item: Document) -> Iterable[str]:
    return dict.fromkeys(texts_of(item, "keywords"))


def places(item: Document, context: FormatContext) -> list[dict[str, Any]]:
    """Return the places, with their position where it is known."""
    locators = context.vocabularies.get("locators", ())
    found = []
    for place in objects_of(item, "place"):
        code = _text(place.get("code")) or _text(place.get("qcode"))
        if place.get("scheme") == "geonames" or known_concept(code, _text(place.get("scheme"))):
            named = {**place, "qcode": code}
        else:
            label = place_label(place, locators)
            named = {**place, "qcode": code, "name": label}
        said = concept(named, text_of(item, "language"))
        if said:
            found.append(said | _said_of(place, "place") | _feature(object_of(place, "location")))
    return found


def position(location: Document) -> tuple[float, float] | None:
    """Return where a place lies as longitude and latitude, None where that is not known."""
    lat: Any = location.get("lat")
    lon: Any = location.get("lon")
    if not (_is_number(lat) and _is_number(lon) and abs(lat) <= 90 and abs(lon) <= 180):
        return None
    return lon, lat


def _feature(location: Document) -> dict[str, Any]:
    coordinates = position(location)
    if coordinates is None:
        return {}
    point = {"type": "Point", "coordinates": list(coordinates)}
    return {"geoJSON": {"type": "Feature", "properties": {}, "geometry": point}}


def organisations(item: Document) -> list[dict[str, Any]]:
    """Return the companies with their ticker symbols, and organisations tagged otherwise."""
    found = []
    for company in objects_of(item, "company_codes"):
        ticker = _text(company.get("qcode"))
        name = _text(company.get("name")) or ticker
        if not name:
            continue
        symbol = {"exchange": _text(company.get("security_exchange")), "symbol": ticker}
        symbols = [{**without_empty(symbol), "symbolType": TICKER}] if ticker else []
        found.append({"name": name, "rel": "about", **without_empty({"symbols": symbols})})
    if not found and text_of(item, "company"):
        found.append({"name": text_of(item, "company"), "rel": "about"})
    return found + concepts(item, "organisation")


def people(item: Document, context: FormatContext) -> list[dict[str, Any]]:
    """Return the authors by their role, and the persons that the item is about."""
    return [*_authors(item, context), *concepts(item, "person", rel="about")]


def _authors(item: Document, context: FormatContext) -> Iterator[dict[str, Any]]:
    for author in objects_of(item, "authors"):
        user = user_of(author, context)
        names = (user.get("display_name"), author.get("name"), author.get("sub_label"))
        name = next(filter(None, map(_text, names)), "")
        user_id = quote(str(user.get("_id")), safe="")
        own = text_of(author, "uri") if is_uri(text_of(author, "uri")) else ""
        uri = f"urn:{context.settings.urn_domain}:user:{user_id}" if user else own
        if name or uri:
            role = _text(author.get("role")) or "author"
            # Who wrote an item must not be taken for somebody that it is about.
            rel = role if role.lower() in AUTHOR_ROLES else f"author:{role}"
            yield {**without_empty({"name": name, "uri": uri}), "rel": rel}


def sources(item: Document, extra: Document) -> list[dict[str, Any]]:
    """Return who the content comes from: all that came in with it, unless an editor changed it.

    Args:
        extra: custom fields, as of `spelt_as_in_2`.
    """
    said = (("source", "source"), ("originalSource", "original_source"))
    own = [{"name": item[field], "role": role} for role, field in said if text_of(item, field)]
    given = [_source(entry) for entry in objects_of(extra, "infosources")]
    known = {source.get("name") or source.get("literal") for source in given}
    names = [name for source in own for name in (source["name"], *source["name"].split(", "))]
    if not given or not all(n in known or set(n.split(", ")) <= known for n in names):
        return own
    return [source for source in given if source]


def _source(entry: Document) -> dict[str, Any]:
    """Return a source that came in as ninjs, of whatever version."""
    uri = text_of(entry, "uri")
    return without_empty(
        {
            "name": text_of(entry, "name"),
            "role": text_of(entry, "role") or text_of(entry, "rel"),
            "uri": uri if is_uri(uri) else "",
            "literal": text_of(entry, "literal") or text_of(entry, "code"),
        }
    )


def spelt_as_in_2(extra: Document) -> dict[str, Any]:
    """Return custom fields with the names that ninjs 2 would have for them: in lower case."""
    return {str(key).lower(): value for key, value in extra.items()}


def renditions(item: Document) -> list[dict[str, Any]]:
    """Return all renditions that can be fetched."""
    stored = object_of(item, "renditions")
    if not stored and text_of(item, "url"):
        return _linked(item)
    found = []
    for rendition in renditions_of(item):
        href = web_address(rendition.href)
        if not href:
            continue
        said = {
            "name": rendition.name,
            "href": href,
            "contentType": rendition.mimetype,
            "width": rendition.width,
            "height": rendition.height,
            "sizeInBytes": rendition.size,
            "duration": rendition.seconds,
            **_said_of_rendition(object_of(stored, rendition.name)),
        }
        found.append({key: value for key, value in said.items() if value not in (None, "")})
    return found


def _said_of_rendition(stored: Document) -> dict[str, Any]:
    """Return the point of interest, and what else a rendition says of itself."""
    poi = object_of(stored, "poi")
    point = {side: integer(poi.get(side)) for side in ("x", "y")}
    said: dict[str, Any] = {"poi": point if None not in point.values() else None}
    for field, name in RENDITION_TEXTS.items():
        said[name] = text_of(stored, field)
    rate, scan = stored.get("framerate"), stored.get("scantype")
    said["frameRate"] = rate if _is_number(rate) else None
    said["scanType"] = scan if scan in SCANS else None
    return said


def _linked(item: Document) -> list[dict[str, Any]]:
    """Return the renditions of an embedded medium from elsewhere, which only has a `url`."""
    duration = item.get("duration")
    original = {
        "href": web_address(text_of(item, "url")),
        "contentType": text_of(item, "mimeType"),
        "width": integer(item.get("width")),
        "height": integer(item.get("height")),
        "sizeInBytes": integer(item.get("size")),
        "duration": duration if _is_number(duration) else None,
    }
    thumbnail = {"href": web_address(text_of(item, "thumbnail"))}
    named: tuple[tuple[str, dict[str, Any]], ...] = (
        ("original", original),
        ("thumbnail", thumbnail),
    )
    return [{"name": name, **without_empty(said)} for name, said in named if said["href"]]


def alternative_ids(item: Document, uri: str, extra: Document) -> list[dict[str, Any]]:
    """Return the other names of the item, its guid among them where `uri` is another.

    Args:
        extra: custom fields, as of `spelt_as_in_2`; with the names that the item came in with, as
            1.x or later ones have them.
    """
    guid = text_of(item, "guid") or text_of(item, "uri")
    ingest_id = text_of(item, "ingest_id")
    own = {
        "guid": guid if guid != uri else "",
        "evolvedFrom": text_of(item, "rewrite_of"),
        "uniqueName": text_of(item, "unique_name"),
        "ingestId": ingest_id if ingest_id != guid else "",
    }
    found = [(role, value) for role, value in own.items() if value]
    given = extra.get("altids")
    if isinstance(given, Mapping):
        found += [(str(role), _text(value)) for role, value in given.items()]
    for entry in objects_of(extra, "altids"):
        found.append((text_of(entry, "role"), _text(entry.get("value"))))
    kept = dict.fromkeys((role, value) for role, value in found if value)
    return [without_empty({"role": role, "value": value}) for role, value in kept]


def digital_source_type(item: Document) -> dict[str, Any]:
    """Return how the content came about (a camera, a model ...), where the item says so."""
    for holder in (item, object_of(item, "extra")):
        said = holder.get("digitalsourcetype")
        if isinstance(said, str) and said:
            return {"uri": said} if is_uri(said) else {"literal": said}
        if isinstance(said, Mapping):
            known = {key: text_of(said, key) for key in ("name", "uri", "literal")}
            known["literal"] = known["literal"] or text_of(said, "qcode")
            known["uri"] = known["uri"] if is_uri(known["uri"]) else ""
            return without_empty(known)
    return {}


def trust_indicators(extra: Document, context: FormatContext) -> list[dict[str, Any]]:
    """Return those of the item and then NINJS_TRUST_INDICATORS, without what the standard refuses.

    Args:
        extra: custom fields, as of `spelt_as_in_2`.
    """
    found = []
    for entry in (
        *objects_of(extra, "trustindicators"),
        *objects_of(extra, "trustindicator"),
        *context.settings.trust_indicators,
    ):
        role = text_of(entry, "role") or concept_uri(
            text_of(entry, "code"), text_of(entry, "scheme")
        )
        said = {"role": role, "title": text_of(entry, "title"), "href": text_of(entry, "href")}
        if (
            is_uri(said["role"])
            and is_uri(said["href"])
            and (known := without_empty(said)) not in found
        ):
            found.append(known)
    return found


def rights_info(extra: Document, context: FormatContext) -> dict[str, Any]:
    """Return the rights of the item, else NINJS_RIGHTS_INFO: a link, or what is written out.

    Args:
        extra: custom fields, as of `spelt_as_in_2`.
    """
    own = object_of(extra, "rightsinfo")
    return _rights_info(spelt_as_in_2(own)) or _rights_info(
        spelt_as_in_2(context.settings.rights_info)
    )


def _rights_info(rights: Document) -> dict[str, Any]:
    said = {"langId": text_of(rights, "langid"), "linkedRights": text_of(rights, "linkedrights")}
    known = {key: value for key, value in said.items() if is_uri(value)}
    if "linkedRights" in known:
        return known
    encoded = text_of(rights, "encodedrights")
    return {**known, "encodedRights": encoded} if encoded else {}


def _text(value: object) -> str:
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
