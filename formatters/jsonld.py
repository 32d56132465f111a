"""The format `jsonld`: schema.org in JSON-LD, for web sites and search engines.

Formats contract 8.
"""

from collections.abc import Iterator
from typing import Any

from apps.core.codes import known_concept
from apps.core.documents import object_of, objects_of, text_of
from apps.core.embargo import embargo_of
from apps.core.text import plain_text, preserved_text, text_figures
from apps.core.vocabulary import TEXT_TYPES, ItemType, State
from formatters.base import Document, FormatContext, Formatted, Formatter
from formatters.body import parse_body
from formatters.conversions import (
    authors_of,
    body_with_footer,
    created_time,
    integer,
    keywords_of,
    language_of,
    localised,
    publish_status,
    rights_of,
    source_of,
    tagged,
    without_empty,
)
from formatters.json import encode
from formatters.media import renditions_of
from formatters.ninjs3_fields import digital_source_type, position, time
from formatters.ninjs_associations import associated_items
from formatters.ninjs_fields import place_label
from formatters.plain_body import TextBody
from formatters.uris import concept_uri, is_uri, item_uri, web_address

TYPES = {
    **dict.fromkeys(TEXT_TYPES, "NewsArticle"),
    ItemType.PICTURE: "ImageObject",
    ItemType.GRAPHIC: "ImageObject",
    ItemType.VIDEO: "VideoObject",
    ItemType.AUDIO: "AudioObject",
    ItemType.COMPOSITE: "Collection",
}
MEDIA = {"ImageObject": "image", "VideoObject": "video", "AudioObject": "audio"}
"""Types of media, and the property of a story that lists them."""


TAGGED_TYPES = {
    "person": "Person",
    "organisation": "Organization",
    "event": "Thing",
    "object": "Thing",
}


class JSONLDFormatter(Formatter):
    """A story as NewsArticle, media as MediaObject, a package as Collection.

    The output may stand in a `script` element as it is: it closes none.
    """

    type = "jsonld"
    name = "JSON-LD (schema.org)"
    media_type = "application/ld+json"
    file_extension = "jsonld"
    error_code = 7014
    error_text = 'Article couldn"t be converted to JSON-LD'
    item_types = frozenset(TYPES)
    is_extra = True
    can_preview = True
    can_export = True

    def write(self, item: Document, context: FormatContext) -> list[Formatted]:
        self.require(item)
        if until := embargo_of(item, context.now):
            cause = f"embargoed until {until.isoformat()}; web pages publish what they get"
            raise self.refusal(item, "embargo", cause)
        document = {"@context": "https://schema.org", **_work(item, context)}
        document |= without_empty({**_media(item, context), "hasPart": list(_members(item))})
        return [Formatted(encode(document).replace("<", "\\u003c"))]


def _work(item: Document, context: FormatContext) -> dict[str, Any]:
    """Return `item` without what it is associated with."""
    kind = TYPES.get(text_of(item, "type"), "NewsArticle")  # type: ignore[call-overload]
    guid = text_of(item, "guid")
    created = time(created_time(item))
    modified = time(item.get("versioncreated")) or created
    version = item.get("_current_version")
    shown = {
        "identifier": guid,
        "url": guid if guid.startswith(("https://", "http://")) and is_uri(guid) else "",
        "alternativeHeadline": text_of(item, "slugline"),
        "dateCreated": created,
        "dateModified": modified,
        "expires": time(object_of(item, "extra").get("expires")),
        "inLanguage": language_of(item, context),
        "creativeWorkStatus": publish_status(item),
        "keywords": keywords_of(item),
        "genre": _names(item, "genre"),
        "about": [*_subjects(item), *_tagged(item)],
        "contentLocation": list(_places(item, context)),
        "locationCreated": _located(item),
        "author": list(_authors(item, context)),
        **_sources(item),
        **_rights(item, context),
        "mentions": list(_companies(item)),
        "isBasedOn": text_of(item, "rewrite_of"),
        "correction": _correction(item, modified),
        "digitalSourceType": _digital_source(item),
        **(_article(item, context) if kind == "NewsArticle" else _described(item, context)),
    }
    return {
        "@type": kind,
        "@id": item_uri(guid, context.settings.urn_domain),
        "headline": text_of(item, "headline"),
        "datePublished": time(item.get("firstpublished")) or modified or time(context.now),
        "version": str(1 if version is None else version),
        "publisher": {"@type": "NewsMediaOrganization", "name": _publisher(item, context)},
        **without_empty(shown),
    }


def _article(item: Document, context: FormatContext) -> dict[str, Any]:
    html = body_with_footer(item)
    is_preserved = item.get("format") == "preserved"
    rate = context.settings.japanese_characters_per_minute
    counted = text_figures(html, text_of(item, "language"), rate)
    return {
        "description": plain_text(text_of(item, "abstract"), line_feeds=True).strip(),
        "articleBody": preserved_text(html) if is_preserved else TextBody().write(parse_body(html)),
        "articleSection": _names(item, "anpa_category"),
        "dateline": text_of(object_of(item, "dateline"), "text"),
        "wordCount": counted.words,
        "timeRequired": f"PT{counted.minutes}M" if html else "",
    }


def _described(item: Document, context: FormatContext) -> dict[str, Any]:
    """Return what is said of a medium or a package, and where the medium lies."""
    markup = text_of(item, "description") or text_of(item, "abstract")
    # A caption is text, the others are markup.
    said = text_of(item, "description_text") or plain_text(markup, line_feeds=True)
    return {
        "description": said.strip() or text_of(item, "alt_text"),
        "creditText": text_of(item, "creditline") or text_of(item, "byline"),
        "creator": list(_authors(item, context)),
        **_file(item),
    }


def _file(item: Document) -> dict[str, Any]:
    """Return the original of a medium, else its first file."""
    files = [r for r in renditions_of(item) if web_address(r.href)]
    files.sort(key=lambda rendition: rendition.name != "original")
    if not files or text_of(item, "type") == ItemType.COMPOSITE:
        return {}
    best = files[0]
    thumbnails = [r.href for r in files if r.name in ("thumbnail", "viewImage")]
    return {
        "contentUrl": web_address(best.href),
        "encodingFormat": best.mimetype,
        "width": best.width,
        "height": best.height,
        "contentSize": f"{best.size} B" if best.size else "",
        "duration": f"PT{best.seconds:g}S" if best.seconds else "",
        "thumbnailUrl": web_address(thumbnails[0]) if thumbnails else "",
    }


def _names(item: Document, field: str) -> list[str]:
    language = text_of(item, "language")
    names = (localised(entry, "name", language) for entry in objects_of(item, field))
    return [name for name in names if isinstance(name, str) and name.strip()]


def _subjects(item: Document) -> Iterator[dict[str, Any]]:
    for subject in objects_of(item, "subject"):
        name = localised(subject, "name", text_of(item, "language"))
        code, scheme = str(subject.get("qcode") or ""), text_of(subject, "scheme")
        uri = _address(subject) or concept_uri(code, scheme, is_subject=True)
        if found := known_concept(code, scheme, is_subject=True):
            code, scheme = found.code, found.scheme_uri
        known = {"name": name, "termCode": code, "inDefinedTermSet": scheme, "url": uri}
        if name or code:
            yield {"@type": "DefinedTerm", **without_empty(known)}


def _address(entry: Document) -> str:
    """Return the address that a concept came in with, as all know it."""
    own = text_of(entry, "uri")
    return concept_uri(own) if own and is_uri(own) else ""


def _tagged(item: Document) -> Iterator[dict[str, Any]]:
    for kind, entry in tagged(item):
        name = localised(entry, "name", text_of(item, "language"))
        code = str(entry.get("qcode") or "")
        uri = _address(entry) or concept_uri(code, text_of(entry, "scheme"))
        known = {"name": str(name), "identifier": code, "url": uri}
        yield {"@type": TAGGED_TYPES[kind], **without_empty(known)}


def _places(item: Document, context: FormatContext) -> Iterator[dict[str, Any]]:
    locators = context.vocabularies.get("locators", ())
    for place in objects_of(item, "place"):
        is_geoname = place.get("scheme") == "geonames"
        name = place.get("name") if is_geoname else place_label(place, locators)
        if isinstance(name, str) and name:
            found: dict[str, Any] = {"@type": "Place", "name": name}
            code = str(place.get("code") or place.get("qcode") or "")
            if uri := _address(place) or concept_uri(code, text_of(place, "scheme")):
                found["sameAs"] = uri
            point = position(object_of(place, "location"))
            if point:
                longitude, latitude = point
                geo = {"@type": "GeoCoordinates", "latitude": latitude, "longitude": longitude}
                found["geo"] = geo
            yield found


def _located(item: Document) -> dict[str, Any]:
    located = object_of(object_of(item, "dateline"), "located")
    city = text_of(located, "city")
    if not city:
        return {}
    known = {
        "addressLocality": city,
        "addressRegion": text_of(located, "state"),
        "addressCountry": text_of(located, "country_code") or text_of(located, "country"),
    }
    address = {"@type": "PostalAddress", **without_empty(known)}
    return {"@type": "Place", "name": city, "address": address}


def _authors(item: Document, context: FormatContext) -> Iterator[dict[str, Any]]:
    """Yield the authors with what they do, else the byline."""
    authors = list(authors_of(item, context))
    for name, role in authors:
        yield {"@type": "Person", "name": name, **without_empty({"jobTitle": role})}
    byline = text_of(item, "byline")
    if not authors and byline:
        yield {"@type": "Person", "name": byline}


def _sources(item: Document) -> dict[str, Any]:
    """Return who the item came from in the first place, and who provided it if somebody else."""
    first, provider = source_of(item), text_of(item, "source")
    return {
        "sourceOrganization": _organisation(first),
        "provider": _organisation(provider if provider != first else ""),
    }


def _organisation(name: str) -> dict[str, Any]:
    return {"@type": "Organization", "name": name} if name else {}


def _publisher(item: Document, context: FormatContext) -> str:
    holder = text_of(rights_of(item, context), "copyrightholder")
    return holder or context.settings.provider_id


def _rights(item: Document, context: FormatContext) -> dict[str, Any]:
    known = rights_of(item, context)
    terms = text_of(known, "usageterms")
    created = time(created_time(item))
    return {
        "creditText": text_of(item, "creditline"),
        "license": _license(item, terms),
        "copyrightHolder": _organisation(text_of(known, "copyrightholder")),
        "copyrightNotice": text_of(known, "copyrightnotice"),
        "copyrightYear": integer(created[:4]),
        "usageInfo": terms if is_uri(terms) else _text_work(terms),
    }


def _license(item: Document, terms: str) -> str:
    """Return the address of the page with the rights, `""` where none is known."""
    given = object_of(object_of(item, "extra"), "rightsinfo")
    linked = text_of(given, "linkedRights") or text_of(given, "linkedrights")
    pages = (page for page in (linked, terms) if page.startswith(("http://", "https://")))
    return next(filter(is_uri, pages), "")


def _text_work(text: str) -> dict[str, Any]:
    return {"@type": "CreativeWork", "text": text} if text else {}


def _companies(item: Document) -> Iterator[dict[str, Any]]:
    for company in objects_of(item, "company_codes"):
        ticker = str(company.get("qcode") or "")
        name = company.get("name") or ticker
        if name:
            symbol = f"{company.get('security_exchange') or ''} {ticker}".strip()
            known = {"name": name, "tickerSymbol": symbol if ticker else ""}
            yield {"@type": "Corporation", **without_empty(known)}


def _correction(item: Document, moment: str) -> dict[str, Any]:
    if item.get("state") != State.CORRECTED:
        return {}
    text = text_of(item, "ednote") or "This version corrects an earlier one."
    known = {"text": text, "datePublished": moment}
    return {"@type": "CorrectionComment", **without_empty(known)}


def _digital_source(item: Document) -> str:
    known = digital_source_type(item)
    return str(known.get("uri") or known.get("literal") or "")


def _media(item: Document, context: FormatContext) -> dict[str, list[dict[str, Any]]]:
    """Return the associated items: media by their kind, stories as mentioned."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in associated_items(object_of(item, "associations"), context):
        stored = entry.stored
        guid = text_of(stored, "guid") or text_of(stored, "_id")
        if guid.strip() and text_of(stored, "type") in TYPES:
            work = _work({**stored, "guid": guid}, context)
            found.setdefault(MEDIA.get(work["@type"], "citation"), []).append(work)
    return found


def _members(item: Document) -> Iterator[dict[str, Any]]:
    """Yield what is known of the members of a package."""
    for group in objects_of(item, "groups"):
        for reference in objects_of(group, "refs"):
            guid = text_of(reference, "residRef")
            kind = TYPES.get(text_of(reference, "type") or ItemType.TEXT)  # type: ignore[call-overload]
            if guid.strip() and kind:
                known = {"identifier": guid, "headline": text_of(reference, "headline")}
                yield {"@type": kind, **without_empty(known)}
