"""Places as NITF 3.6: where something happened, and where a story was written."""

from apps.core.codes import known_concept
from apps.core.documents import objects_of, text_of
from formatters.base import Document, FormatContext
from formatters.conversions import first_entry, without_empty
from formatters.xml import element, escaped, leaf

LEVELS = {
    "city": ("city", "city_code"),
    "state": ("state", "state_code"),
    "country": ("country", "country_code"),
    "region": ("world_region", ""),
}
"""Elements of a location by the fields with their name and their code, from near to far."""
CODES = {"city": "city-code", "state": "state-code", "country": "iso-cc"}


def places_of(item: Document, context: FormatContext) -> list[Document]:
    """Return the places of an item: their names where these say what they are, and what is around.

    The vocabulary `locators` may know more than the item does.
    """
    locators = context.vocabularies.get("locators", ())
    found: list[Document] = []
    for place in objects_of(item, "place"):
        code = place.get("qcode")
        known = first_entry(locators, "qcode", code) if code else {}
        around = {field: known[field] for field, _ in LEVELS.values() if known.get(field)}
        found.append(_named({**around, **without_empty(place)}))
    return found


def event_location(place: Document) -> str:
    """Return where it happened as `evloc`, which has codes of countries and no names of them.

    Args:
        place: one of `places_of`.
    """
    said = {
        "city": text_of(place, "city"),
        "state-prov": text_of(place, "state"),
        "iso-cc": text_of(place, "country_code"),
    }
    attributes = {name: value for name, value in said.items() if value}
    return element("evloc", **attributes) if attributes else ""


def location(place: Document) -> str:
    """Return a place as `location`, with what lies around it; "" where nothing is known of it.

    Args:
        place: one of `places_of`, or where a dateline is located.
    """
    parts, names = "", set()
    for tag, (field, code_field) in LEVELS.items():
        name, code = text_of(place, field), text_of(place, code_field)
        names.add(name)
        if code and tag in CODES:
            parts += leaf(tag, name, **{CODES[tag]: code})
        elif name:
            parts += leaf(tag, name)
    name = text_of(place, "name")
    if name not in names:
        # It is no city, no state and no country by what is known of it.
        parts = escaped(name) + parts
    if not parts:
        return ""
    code, scheme = _code(place), text_of(place, "scheme")
    identity = {"location-code": code, "code-source": scheme} if scheme else {"location-code": code}
    return element("location", parts, **(identity if code else {}))


def _code(place: Document) -> str:
    return str(place.get("code") or place.get("qcode") or "")


def _named(place: Document) -> Document:
    """Return a place whose name stands in the field that says what it is.

    A place within nothing that is known counts as a city.
    """
    name, kind = text_of(place, "name"), text_of(place, "feature_class").upper()
    code = known_concept(_code(place), text_of(place, "scheme"))
    if code and code.vocabulary == "iso3166-1a2":
        own = {"country": name, "country_code": code.code}
        return {**place, **{key: value for key, value in own.items() if not place.get(key)}}
    if not name or any(name == text_of(place, field) for field, _ in LEVELS.values()):
        return place
    if kind == "A":
        is_state = bool(place.get("state_code") or place.get("state"))
        field = "state" if is_state else "country"
        return place if place.get(field) else {**place, field: name}
    is_within = any(text_of(place, field) for field in ("state", "country", "world_region"))
    return {**place, "city": name} if kind == "P" or not is_within else place
