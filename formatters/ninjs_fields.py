"""Parts of a ninjs document, each made from an item alone (formats contract 3.1).

The functions return plain values or small objects; `formatters.ninjs` puts them together.
"""

import re
from collections.abc import Iterable
from html import escape
from typing import Any

from bson import ObjectId

from apps.core.documents import object_of, objects_of, text_of
from apps.core.embargo import embargo_of
from apps.core.text import plain_text, strip_forbidden, text_figures
from formatters.base import Document, FormatContext
from formatters.conversions import (
    body_with_footer,
    first_entry,
    integer,
    iso_time,
    known_status,
    localised,
    without_empty,
)

COPIED_FIELDS = (
    "versioncreated",
    "usageterms",
    "language",
    "headline",
    "copyrightnotice",
    "urgency",
    "pubstatus",
    "mimetype",
    "copyrightholder",
    "ednote",
    "body_text",
    "body_html",
    "slugline",
    "keywords",
    "firstcreated",
    "firstpublished",
    "source",
    "extra",
    "annotations",
)
"""Fields that are sent as they stand, whenever they are not null."""

DEFAULT_PRIORITY = 5

RENDITION_FIELDS = ("href", "width", "height", "mimetype", "poi", "media")
LINKED_RENDITION_FIELDS = {
    "url": "href",
    "width": "width",
    "height": "height",
    "duration": "duration",
    "mimeType": "mimetype",
    "size": "size",
}
"""Fields of an embedded medium from elsewhere, and their names in a rendition."""

PLACE_FIELDS = ("scheme", "code", "name")
EXTENDED_PLACE_FIELDS = ("state", "state_code", "country", "country_code")
SOCIAL_FIELDS = ("facebook", "twitter", "instagram")
SIGNAL_SCHEME = "http://cv.iptc.org/newscodes/signal/"
CONTENT_WARNING = {"name": "Content Warning", "code": "cwarn", "scheme": SIGNAL_SCHEME}

_NO_NAME_CHARACTER = re.compile("[^0-9A-Za-z_]")


def _keywords(value: Any) -> Any:
    return [word for word in value if word is not None] if isinstance(value, list) else value


def _extra(value: Any) -> Any:
    """Give every embed a description, as readers expect."""
    if not isinstance(value, dict):
        return value
    return {
        key: {"description": "", **custom}
        if isinstance(custom, dict) and "embed" in custom
        else custom
        for key, custom in value.items()
    }


CONVERTED_FIELDS = {
    "urgency": integer,
    "keywords": _keywords,
    "extra": _extra,
    "pubstatus": known_status,
}


def copied(item: Document) -> dict[str, Any]:
    """Return the fields that pass as they are."""
    fields = {}
    for name in COPIED_FIELDS:
        value = item.get(name)
        if value is not None and name in CONVERTED_FIELDS:
            value = CONVERTED_FIELDS[name](value)
        if value is not None:
            fields[name] = value
    return fields


def byline_and_place(item: Document) -> dict[str, Any]:
    """Return `byline` and `located`."""
    fields = {}
    if item.get("byline"):
        fields["byline"] = item["byline"]
    located = object_of(object_of(item, "dateline"), "located")
    if located:
        fields["located"] = located.get("city") or ""
    return fields


def texts(item: Document) -> dict[str, Any]:
    """Return the texts that stand in for copied fields: alternative text, title, body."""
    fields: dict[str, Any] = {}
    if item.get("body_text") is None and item.get("alt_text") is not None:
        fields["body_text"] = item["alt_text"]
    if item.get("title") is not None:
        fields["headline"] = item["title"]
    body = body_with_footer(item)
    # Types without a body of their own keep what they hold, rather than sending an empty text.
    if item.get("body_html") and body:
        fields["body_html"] = body
    if item.get("description"):
        fields["description_html"] = body
    return fields


def descriptions(item: Document) -> dict[str, Any]:
    """Return `description_html` and `description_text`: the abstract, else the caption."""
    abstract = text_of(item, "abstract")
    if abstract:
        return {"description_html": abstract, "description_text": plain_text(abstract)}
    caption = text_of(item, "description_text")
    if caption:
        html = item.get("description_html") or f"<p>{escape(caption, quote=False)}</p>"
        return {"description_text": caption, "description_html": html}
    is_emptied = item.get("abstract") is not None
    return {"description_html": "", "description_text": ""} if is_emptied else {}


def vocabulary_entries(item: Document, field: str) -> list[dict[str, Any]]:
    """Return the entries of a vocabulary field as `{code, name, scheme}` without empty keys."""
    language = text_of(item, "language")
    entries = (
        without_empty(
            {
                "code": _readable(entry.get("qcode")),
                "name": _readable(localised(entry, "name", language)),
                "scheme": _readable(entry.get("scheme")),
            }
        )
        for entry in objects_of(item, field)
    )
    return [entry for entry in entries if entry]


def _readable(value: Any) -> Any:
    return strip_forbidden(value) if isinstance(value, str) else value


def subjects(item: Document) -> dict[str, Any]:
    """Return `subject` and `service`."""
    return without_empty(
        {
            "subject": vocabulary_entries(item, "subject"),
            "service": vocabulary_entries(item, "anpa_category"),
        }
    )


def genre_and_signal(item: Document) -> dict[str, Any]:
    """Return `genre` and `signal`."""
    return without_empty({"genre": vocabulary_entries(item, "genre"), "signal": signals(item)})


def dates_and_priority(item: Document, context: FormatContext) -> dict[str, Any]:
    """Return `embargoed`, `publish_schedule` and `priority`."""
    dates = {
        "embargoed": iso_time(embargo_of(item, context.now)),
        "publish_schedule": object_of(item, "schedule_settings").get("utc_publish_schedule"),
    }
    return without_empty(dates) | {"priority": integer(item.get("priority")) or DEFAULT_PRIORITY}


def relations(item: Document) -> dict[str, Any]:
    """Return `organisation` and `evolvedfrom`."""
    return without_empty(
        {"organisation": organisations(item), "evolvedfrom": item.get("rewrite_of")}
    )


def _geoname(place: Document, is_extended: bool) -> dict[str, Any]:
    fields = PLACE_FIELDS + EXTENDED_PLACE_FIELDS if is_extended else PLACE_FIELDS
    found = without_empty({field: place.get(field) for field in fields})
    location = object_of(place, "location")
    if is_extended and location.get("lat") is not None and location.get("lon") is not None:
        # Latitude first, unlike GeoJSON: readers rely on it.
        coordinates = [location["lat"], location["lon"]]
        found["geometry_point"] = {"type": "Point", "coordinates": coordinates}
    return found


def place_label(place: Document, locators: Iterable[Document]) -> Any:
    """Return what a place is called: as the vocabulary `locators` has it, else its name."""
    matches = [entry for entry in locators if entry.get("qcode") == place.get("qcode")]
    known = matches[0] if len(matches) == 1 else {}
    fields = ("state", "country", "world_region", "group")
    return next((known[field] for field in fields if known.get(field)), place.get("name"))


def places(item: Document, context: FormatContext) -> list[dict[str, Any]]:
    """Return the places; which keys they have depends on the setting `place_extended`."""
    is_extended = context.settings.place_extended
    locators = context.vocabularies.get("locators", ())
    found: list[dict[str, Any]] = []
    for place in objects_of(item, "place"):
        if place.get("scheme") == "geonames":
            found.append(_geoname(place, is_extended))
        elif is_extended:
            renamed = {"code" if key == "qcode" else key: value for key, value in place.items()}
            found.append(without_empty(renamed))
        else:
            found.append({"name": place_label(place, locators), "code": place.get("qcode")})
    return found


def place_and_profile(item: Document, context: FormatContext) -> dict[str, Any]:
    """Return `place` and `profile`."""
    fields: dict[str, Any] = without_empty({"place": places(item, context)})
    if item.get("profile"):
        fields["profile"] = profile_name(item, context)
    return fields


def profile_name(item: Document, context: FormatContext) -> str:
    """Return the output name of the item's content type; an id that is a name is sent as it is."""
    profile = str(item["profile"])
    if not ObjectId.is_valid(profile):
        return profile
    content_type = context.profiles.get(profile, {})
    name = content_type.get("output_name") or content_type.get("label") or profile
    return _NO_NAME_CHARACTER.sub("", str(name))


def rendition(stored: Document) -> dict[str, Any]:
    """Return the keys of a stored rendition that are sent, sizes as integers."""
    sent = {field: stored[field] for field in RENDITION_FIELDS if stored.get(field) is not None}
    for side in ("width", "height"):
        if side in sent:
            size = integer(sent.pop(side))
            sent.update({side: size} if size else {})
    return sent


def crop_names(context: FormatContext) -> list[str]:
    """Return the names of the crops that an installation cuts out of pictures."""
    return [str(crop.get("name")) for crop in context.vocabularies.get("crop_sizes", ())]


def linked_renditions(item: Document) -> dict[str, Any]:
    """Return the renditions of an embedded medium from elsewhere, which only has a `url`."""
    sent = {
        target: item[field]
        for field, target in LINKED_RENDITION_FIELDS.items()
        if item.get(field) is not None
    }
    renditions: dict[str, Any] = {"original": sent}
    if item.get("thumbnail") is not None:
        renditions["thumbnail"] = {"href": item["thumbnail"]}
    return renditions


def organisations(item: Document) -> list[dict[str, Any]]:
    """Return the companies, with their ticker symbols where they are listed."""
    listed = [
        {
            "name": company.get("name") or "",
            "rel": "Securities Identifier",
            "symbols": [
                {
                    "ticker": company.get("qcode") or "",
                    "exchange": company.get("security_exchange") or "",
                }
            ],
        }
        for company in objects_of(item, "company_codes")
    ]
    if listed or item.get("company") is None:
        return listed
    return [{"name": item["company"]}]


def _signal(signal: Document) -> dict[str, Any]:
    code = str(signal["qcode"])
    sent = {"name": signal.get("name") or "", "code": code}
    scheme, colon, rest = code.partition(":")
    if colon and ":" not in rest:
        sent["code"] = rest
        sent["scheme"] = SIGNAL_SCHEME if scheme == "sig" else scheme
    return sent


def signals(item: Document) -> list[dict[str, Any]]:
    """Return the signals, first the warning that legal review is asked for."""
    warnings = [CONTENT_WARNING] if object_of(item, "flags").get("marked_for_legal") else []
    return warnings + [_signal(entry) for entry in objects_of(item, "signal") if entry.get("qcode")]


def attachments(item: Document, context: FormatContext) -> list[dict[str, Any]]:
    """Return the attachments that leave the house: not internal, and with a stored file."""
    sent = []
    for reference in objects_of(item, "attachments"):
        attachment_id = str(reference.get("attachment"))
        stored = context.attachments.get(attachment_id, {})
        if stored.get("media") and not stored.get("internal"):
            sent.append(_attachment(attachment_id, stored, context))
    return sent


def _attachment(attachment_id: str, stored: Document, context: FormatContext) -> dict[str, Any]:
    media = str(stored["media"])
    return {
        "id": attachment_id,
        "title": stored.get("title") or "",
        "description": stored.get("description"),
        "filename": stored.get("filename") or "",
        "mimetype": stored.get("mimetype") or "",
        "length": stored.get("length"),
        "media": media,
        "href": stored.get("href") or f"{context.settings.media_prefix}/{media}",
    }


def authors(item: Document, context: FormatContext) -> list[dict[str, Any]]:
    """Return the authors with what is known of the users they refer to."""
    return [_author(author, context) for author in objects_of(item, "authors")]


def _author(author: Document, context: FormatContext) -> dict[str, Any]:
    user = user_of(author, context)
    known = {**author, **without_empty(user)}
    name = author.get("name") or ""
    sent = {
        "code": str(user.get("_id") or name),
        "name": user.get("display_name") or name,
        "role": author.get("role") or "",
        "biography": known.get("biography") or "",
    }
    if user:
        sent["uri"] = f"urn:{context.settings.urn_domain}:user:{user['_id']}"
    elif text_of(author, "uri"):
        sent["uri"] = text_of(author, "uri")
    sent |= without_empty({field: known.get(field) for field in SOCIAL_FIELDS})
    sent |= without_empty({"avatar_url": user.get("picture_url") or author.get("avatar_url")})
    titles = context.vocabularies.get("job_titles", ())
    title = first_entry(titles, "qcode", known.get("job_title")) if known.get("job_title") else {}
    if title.get("name"):
        name = localised(title, "name", text_of(known, "language"))
        sent["jobtitle"] = {"qcode": title["qcode"], "name": name}
    elif own := object_of(author, "jobtitle"):
        # Authors come in with titles that no vocabulary here has.
        sent["jobtitle"] = {key: text_of(own, key) for key in ("qcode", "name")}
    return sent


def user_of(author: Document, context: FormatContext) -> Document:
    """Return the user an author refers to by id, else by name; empty where there is none."""
    parent = author.get("parent")
    if parent is not None:
        user_id, user = str(parent), context.users.get(str(parent))
        return {"_id": user_id, **user} if user is not None else {}
    name = author.get("name")
    for user_id, user in context.users.items():
        if name and user.get("display_name") == name:
            return {"_id": user_id, **user}
    return {}


def figures(document: Document, language: str, context: FormatContext) -> dict[str, Any]:
    """Return the counts of the body that `document` sends, `{}` where it sends none."""
    body = document.get("body_html", document.get("body_text"))
    if document["type"] != "text" or not isinstance(body, str):
        return {}
    counted = text_figures(body, language, context.settings.japanese_characters_per_minute)
    return {
        "charcount": counted.characters,
        "wordcount": counted.words,
        "readtime": counted.minutes,
    }
