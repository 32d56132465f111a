"""What our own ninjs formats write comes back as the same item."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.codes import stored_code
from apps.importing.ninjs import item_from_ninjs
from formatters.base import FormatContext, FormatSettings, Formatter
from formatters.ninjs import NINJSFormatter
from formatters.ninjs3 import NINJS3Formatter
from formatters.outgoing import outgoing
from formatters.uris import is_uri, scheme_uri
from tests.support.format_schemas import check_ninjs

NOW = datetime(2026, 3, 4, 5, 6, 8, tzinfo=UTC)
# Without this setting `ninjs` says no more of places than their names and codes.
CONTEXT = FormatContext(settings=FormatSettings(place_extended=True), now=NOW)

FORMATS: Mapping[str, tuple[Formatter, dict[str, str]]] = {
    "ninjs": (NINJSFormatter(), {}),
    "ninjs 3.1": (NINJS3Formatter(), {"version": "3.1"}),
    "ninjs 2.2": (NINJS3Formatter(), {"version": "2.2"}),
}

ABOUT = ("person", "organisation", "event", "object")
CONCEPTS = ("subject", "genre", *ABOUT)
NOT_IN_SUPERDESK = "Superdesk's ninjs is frozen on the wire and has no field for it"
NOT_IN_IPTC = "IPTC's ninjs has no field for it"
NO_PLACE: Mapping[str, Mapping[str, str]] = {
    "ninjs": {
        **dict.fromkeys(ABOUT, NOT_IN_SUPERDESK),
        **{f"subject.{key}": NOT_IN_SUPERDESK for key in ("uri", "rel", "creator")},
        **{f"subject.{key}": NOT_IN_SUPERDESK for key in ("relevance", "confidence")},
        **{f"genre.{key}": NOT_IN_SUPERDESK for key in ("uri", "rel")},
        **dict.fromkeys(("original_source", "creditline", "ingest_id"), NOT_IN_SUPERDESK),
        **{f"renditions.*.{key}": NOT_IN_SUPERDESK for key in ("size", "duration", "title")},
    },
    "ninjs 3.1": {
        **dict.fromkeys(("priority", "signal", "annotations", "flags", "mimetype"), NOT_IN_IPTC),
        **{f"authors.{key}": NOT_IN_IPTC for key in ("biography", "avatar_url", "job_title")},
        **{f"authors.{key}": NOT_IN_IPTC for key in ("jobtitle", "twitter")},
        **dict.fromkeys(("genre.rel", "place.state", "extra.custom", "order"), NOT_IN_IPTC),
    },
}
NO_PLACE = {
    **NO_PLACE,
    "ninjs 2.2": {**NO_PLACE["ninjs 3.1"], "renditions.*.poi": "only 3.1 has points of interest"},
}
"""Fields of the items below that a format has no place for, and why.

Items have other fields that are a newsroom's own, and that import does not take: desk, stage,
versions, users of authors and files of renditions (`parent`, `media`), schedule, state, template.
Of another newsroom's `unique_name` it makes another id.

What is one field on the wire comes back as one: the footer at the end of the body, preformatted
text as text. Codes come back as the archive stores them, whatever way they were spelled.
"""

PIECES = (
    *("AT&T", "<Free>", "R&amp;D", "a<b", "2 > 1", '"Q"', "it's", "§ 5", "Ω", "東京", "مرحبا"),
    *("e\u0301", "🌊", "\\u0041", "%20", "{x}"),
)
letters = st.characters(categories=("Lu", "Ll", "Lo", "Nd"))
word = st.text(letters, min_size=1, max_size=8) | st.sampled_from(PIECES)
line = st.lists(word, min_size=1, max_size=4).map(" ".join)
code = st.from_regex(r"[a-z][a-z0-9]{2,6}", fullmatch=True)
uri = code.map("http://e.org/{}".format)
moment = st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda value: value.replace(microsecond=0)
)
moment_text = moment.map(datetime.isoformat)
marked = st.sampled_from(
    ["One &amp; <b>two</b>", "<i>It</i> said:", 'See <a href="https://e.org/?a=1&amp;b">this</a>.']
)
block = st.sampled_from(["p", "h2", "blockquote", "pre"]).flatmap(
    lambda tag: marked.map(lambda inner: f"<{tag}>{inner}</{tag}>")
) | st.sampled_from(
    [
        "<ul><li>One</li><li>two</li></ul>",
        "<table><tbody><tr><td>1</td></tr></tbody></table>",
        '<!-- EMBED START Image {id: "editor_0"} --><figure><img src="https://e.org/i.jpg">'
        '<figcaption>c</figcaption></figure><!-- EMBED END Image {id: "editor_0"} -->',
        '<iframe src="https://e.org/v"></iframe><p>after</p>',
    ]
)
body = st.lists(block, min_size=1, max_size=4).map("\n".join)
KNOWN = (
    *(("20000763", "medtop"), ("medtop:20000763", ""), ("17000000", ""), ("genre:Feature", "")),
    ("http://cv.iptc.org/newscodes/mediatopic/20000763", ""),
)


def one_of_each(*fields: str, values: st.SearchStrategy[Any] = line) -> dict[str, Any]:
    return dict.fromkeys(fields, values)


def record(required: Mapping[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(dict(required), optional=optional)


def several(entry: st.SearchStrategy[Any], *keys: str) -> st.SearchStrategy[list[Any]]:
    """Lists of entries that differ in what identifies them."""
    return st.lists(
        entry,
        min_size=1,
        max_size=3,
        unique_by=lambda one: tuple(str(identity(one).get(key)) for key in keys),
    )


def identity(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a concept as the archive stores it, other entries as they are."""
    if "qcode" not in entry:
        return entry
    scheme = str(entry.get("scheme", ""))
    known, scheme = stored_code(str(entry["qcode"]), scheme, is_subject=True)
    return {**entry, "qcode": known, "scheme": scheme_uri(scheme) if is_uri(scheme) else scheme}


def _coded(pair: tuple[str, str]) -> dict[str, str]:
    return {"qcode": pair[0], **({"scheme": pair[1]} if pair[1] else {})}


coded = st.tuples(code, st.sampled_from(["", "desks", "https://cv.e.org/topics", "http://e.org/#"]))
concept = st.tuples(coded.map(_coded), record({"name": line}, rel=st.just("about"))).map(
    lambda parts: parts[0] | parts[1]
)
subject = st.tuples(
    (coded | st.sampled_from(KNOWN)).map(_coded),
    record(
        {"name": line},
        rel=st.just("about"),
        creator=uri,
        **one_of_each("relevance", "confidence", values=st.integers(0, 100)),
    ),
).map(lambda parts: parts[0] | parts[1])
category = record({"qcode": code, "name": line})
location = record({"lat": st.floats(-90, 90), "lon": st.floats(-180, 180)})
place = st.tuples(coded.map(_coded), record({"name": line}, location=location, state=line)).map(
    lambda parts: parts[0] | parts[1]
) | st.builds(
    lambda number, name, where: {
        **{"qcode": str(number), "code": str(number), "scheme": "geonames"},
        **{"name": name, "location": where},
    },
    st.integers(1, 10**7),
    line,
    location,
)
author = record(
    {"name": line},
    role=st.sampled_from(["writer", "Photographer", "desk 1", "a:b", "wri"]),
    uri=uri,
    biography=line,
    avatar_url=uri,
    twitter=line,
    **{"jobtitle": st.builds(lambda qcode, name: {"qcode": qcode, "name": name}, code, line)},
).map(
    lambda entry: entry | ({"job_title": entry["jobtitle"]["qcode"]} if "jobtitle" in entry else {})
)
company = record({"name": line, "qcode": code, "security_exchange": code})
rights = st.builds(
    lambda language, key, said: {"langid": language, key: said},
    uri,
    st.just("linkedrights"),
    uri,
) | st.builds(lambda said: {"encodedrights": said}, line)
extra = record(
    {},
    rightsinfo=rights,
    trustindicators=several(record({"role": uri, "href": uri}, title=line), "role"),
    altids=several(record({"role": code, "value": line}), "role"),
    expires=moment_text,
    contentcreated=moment_text,
    digitalsourcetype=record({"uri": uri}, name=line),
    custom=line,
)

COMMON = {
    **one_of_each("headline", "slugline", "byline", "ednote", "source", "original_source"),
    **one_of_each("copyrightholder", "copyrightnotice", "usageterms", "creditline"),
    **one_of_each("versioncreated", "firstcreated", values=moment),
    "embargoed": moment.filter(lambda value: value > NOW + timedelta(days=1)),
    "language": st.sampled_from(["en", "fr-CA", "ja"]),
    "keywords": st.lists(line, min_size=1, max_size=3, unique=True),
    "urgency": st.integers(1, 9),
    "priority": st.integers(1, 9),
    "pubstatus": st.sampled_from(["usable", "withheld", "canceled"]),
    "subject": several(subject, "qcode", "scheme"),
    **one_of_each("genre", *ABOUT, values=several(concept, "qcode", "scheme")),
    "anpa_category": several(category, "qcode"),
    "place": several(place, "qcode", "scheme"),
    "company_codes": several(company, "qcode"),
    "authors": several(author, "name"),
    "dateline": st.builds(lambda city: {"located": {"city": city}}, line),
    "rewrite_of": uri,
    "ingest_id": uri,
    "mimetype": st.just("text/html"),
    "signal": several(
        st.builds(
            lambda qcode, name: {"qcode": qcode, "name": name},
            st.sampled_from(["sig:update", "own:x", "plain"]),
            line,
        ),
        "qcode",
    ),
    "annotations": st.lists(record({"id": code, "msg": line}), min_size=1, max_size=2),
    "flags": st.just({"marked_for_legal": True}),
    "extra": extra,
}
rendition = record(
    {"href": uri, "mimetype": st.just("image/jpeg")},
    width=st.integers(1, 9000),
    height=st.integers(1, 9000),
    size=st.integers(1, 10**10),
    title=line,
)
point = st.builds(lambda x, y: {"x": x, "y": y}, st.integers(0, 999), st.integers(0, 999))
original = st.tuples(rendition, record({}, poi=point)).map(lambda parts: parts[0] | parts[1])
renditions = st.fixed_dictionaries(
    {"original": original}, optional={"viewImage": rendition, "thumbnail": rendition}
)
clip = st.tuples(rendition, record({}, duration=st.floats(0, 9000))).map(
    lambda parts: {**parts[0], **parts[1], "mimetype": "video/mp4"}
)
clips = st.fixed_dictionaries(
    {"original": clip}, optional={"viewImage": rendition, "16-9": clip, "low res": clip}
)


captions = (
    st.just({})
    | record({"description_text": line})
    | st.just({"description_text": "One & two", "description_html": "<p>One &amp; <b>two</b></p>"})
)


def medium(kinds: list[str], files: st.SearchStrategy[Any], guid: str) -> st.SearchStrategy[Any]:
    # What a medium shows is its caption; `ninjs` has its abstract in the same place.
    shown = record(
        {"guid": st.just(guid), "type": st.sampled_from(kinds), "renditions": files},
        **COMMON,
        alt_text=line,
        body_html=body,
    )
    return st.tuples(shown, captions).map(lambda parts: parts[0] | parts[1])


def media(guid: str) -> st.SearchStrategy[Any]:
    return medium(["picture", "graphic"], renditions, guid) | medium(
        ["video", "audio"], clips, guid
    )


story = record(
    {
        "guid": st.sampled_from(["urn:x:1", "tag:e.org,2026:1", "2026 ö/1", "no uri"]),
        "type": st.just("text"),
    },
    **COMMON,
    abstract=marked | body,
    body_html=body,
    associations=st.fixed_dictionaries(
        {"featuremedia": media("urn:x:2")},
        optional={"editor_0": media("urn:x:3"), "gallery--2": media("urn:x:4")},
    ),
)
items = story | media("urn:x:1")


def without(item: Any, path: list[str]) -> Any:
    """Return an item without a field, also in what it holds; `*` is every key."""
    if isinstance(item, list):
        return [without(one, path) for one in item]
    if not isinstance(item, dict):
        return item
    name, rest = path[0], path[1:]
    if not rest:
        return {key: value for key, value in item.items() if key != name}
    return {k: without(v, rest) if name in ("*", k) else v for k, v in item.items()}


def with_place(item: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what a format has a place for of an item and of what it holds."""
    for field in NO_PLACE[name]:
        item = without(item, field.split("."))
    held = item.get("associations", {})
    return {**item, "associations": {key: with_place(one, name) for key, one in held.items()}}


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """Yield where an item that came back lacks what was sent; it may say more."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        expected, found = identity(expected), identity(found)
        for key, value in expected.items():
            if value not in ({}, [], ""):
                yield from differences(value, found.get(key), f"{path}.{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from differences(one, other, f"{path}.{number}")
    elif expected != found:
        yield f"{path}: {expected!r} came back as {found!r}"


def written(item: Mapping[str, Any], name: str) -> dict[str, Any]:
    formatter, config = FORMATS[name]
    [formatted] = formatter.format(item, replace(CONTEXT, config=config))
    if config:
        check_ninjs(formatted)
    document: dict[str, Any] = json.loads(formatted.body)
    return document


def expected_of(item: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what has to come back: lines and notes are text, as every format sends them."""
    known = with_place(dict(outgoing(item)), name)
    created = known.get("firstcreated")
    if created and known.get("extra", {}).get("contentcreated") == created.isoformat():
        # The archive needs no second field to know it.
        known = without(known, ["extra", "contentcreated"])
    return known


@pytest.mark.parametrize("name", FORMATS)
@given(items)
def test_items_come_back(name: str, item: dict[str, Any]) -> None:
    """What came back goes out and comes back as it is."""
    found = item_from_ninjs(written({**item, "_current_version": 7}, name))
    again = item_from_ninjs(written({**found, "_current_version": 7}, name))

    assert [] == list(differences(expected_of(item, name), found))
    assert ("7", found) == (found["ingest_version"], again)


@pytest.mark.parametrize("name", FORMATS)
def test_what_has_no_place_is_nowhere(name: str) -> None:
    """The table above tells the truth: none of it is in what a format writes."""
    picture = {"guid": "urn:x:2", "type": "picture", "order": 77701}
    rendition = {"href": "http://e.org/a.jpg", "size": 77702, "duration": 77703, "title": "mark t"}
    item: dict[str, Any] = {
        **{"guid": "urn:x:1", "type": "video", "associations": {"featuremedia": picture}},
        "renditions": {"original": {**rendition, "poi": {"x": 77704, "y": 77705}}},
        **{field: [{"name": f"mark {field}", "qcode": f"q{field}"}] for field in ABOUT},
        "subject": [
            {"name": "S", "uri": "http://e.org/uri", "rel": "mark rel", "creator": "mark creator"}
            | {"relevance": 91, "confidence": 92}
        ],
        "genre": [{"name": "G", "uri": "http://e.org/guri", "rel": "mark grel"}],
        "place": [{"name": "P", "qcode": "p", "state": "mark state"}],
        "original_source": "mark original",
        "creditline": "mark credit",
        "ingest_id": "mark ingest",
        "priority": 77706,
        "signal": [{"qcode": "mark signal"}],
        "annotations": [{"msg": "mark annotation"}],
        "flags": {"marked_for_legal": True},
        "mimetype": "mark/mimetype",
        "extra": {"custom": "mark custom"},
        "authors": [
            {
                "name": "A",
                "biography": "mark bio",
                "avatar_url": "mark avatar",
                "job_title": "mark code",
            }
            | {"jobtitle": {"qcode": "mark job"}, "twitter": "mark twitter"}
        ],
    }

    document = json.dumps(written(item, name))

    for field in NO_PLACE[name]:
        for value in values_at(item, field.split(".")):
            assert json.dumps(value) not in document, field


def values_at(item: Any, path: list[str]) -> Iterator[Any]:
    """Yield the texts and numbers under a path."""
    if isinstance(item, list):
        for one in item:
            yield from values_at(one, path)
    elif isinstance(item, dict):
        for key, value in item.items():
            if not path or path[0] in ("*", key):
                yield from values_at(value, path[1:])
    elif not path and item is not True:
        yield item
