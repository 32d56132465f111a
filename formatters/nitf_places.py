"""Places as NITF 3.6: where something happened, and where a story was written."""

from apps.core.codes import known_concept
from apps.core.documents import objects_of, text_of
from formatters.base import Document, FormatContext
from formatters.conversions import first_entry, without_empty
from formatters.xml import element, escaped, quoted

LEVELS = (
    ("city", "city", "city_code", "city-code"),
    ("state", "state", "state_code", "state-code"),
    ("country", "country", "country_code", "iso-cc"),
    ("region", "world_region", "", ""),
)
"""Elements of a location, from near to far: the fields with name and code, the code's attribute."""
AROUND = ("state", "country", "world_region")
COUNTRIES = ("iso3166-1a2", "iso3166-1a3")


def places_of(item: Document, context: FormatContext) -> list[Document]:
    """Return the places of an item: their names where these say what they are, and what is around.

    The vocabulary `locators` may know more than the item does.
    """
    locators = context.vocabularies.get("locators", ())
    found: list[Document] = []
    for place in objects_of(item, "place"):
        code = place.get("qcode")
        known = first_entry(locators, "qcode", code) if code else {}
        around = {field: known[field] for field in AROUND if known.get(field)}
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
    parts, names = "", []
    for tag, field, code_field, attribute in LEVELS:
        name, code = text_of(place, field), text_of(place, code_field)
        names.append(name)
        if name or (code and attribute):
            said = f" {attribute}={quoted(code)}" if code and attribute else ""
            parts += f"<{tag}{said}>{escaped(name)}</{tag}>"
    name = text_of(place, "name")
    if name not in names:
        # It is no city, no state and no country by what is known of it.
        parts = escaped(name) + parts
    if not parts:
        return ""
    identity = ""
    code, scheme = _code(place), text_of(place, "scheme")
    if found := known_concept(code, scheme):
        code, scheme = found.code, found.vocabulary
    if code:
        identity = f" location-code={quoted(code)}"
        identity += f" code-source={quoted(scheme)}" if scheme else ""
    return f"<location{identity}>{parts}</location>"


def _code(place: Document) -> str:
    return str(place.get("code") or place.get("qcode") or "")


def _named(place: Document) -> Document:
    """Return a place whose name stands in the field that says what it is.

    A place within nothing that is known counts as a city.
    """
    name, scheme = text_of(place, "name"), text_of(place, "scheme")
    kind = text_of(place, "feature_class").upper()
    known = known_concept(_code(place), scheme)
    if known and known.vocabulary in COUNTRIES:
        return {"country": name, "country_code": known.code, **place}
    around = [around for field in AROUND if (around := text_of(place, field))]
    if not name or name in around:
        return place
    if kind == "A":
        field = "state" if place.get("state_code") or place.get("state") else "country"
        return {field: name, **place}
    return {**place, "city": name} if kind == "P" or not around else place
