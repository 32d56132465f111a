"""Items of every type with whatever their fields may hold, for property tests of the formats."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from apps.core.vocabulary import ItemType, PubStatus, State

MEDIA = ("picture", "graphic", "video", "audio")
TAGS = (
    *("p", "b", "i", "u", "a", "ul", "ol", "li", "dl", "table", "tr", "td", "th", "caption"),
    *("h1", "h6", "blockquote", "pre", "div", "sup", "sub", "figure", "figcaption", "span"),
    *("em", "strong", "unknown", "s", "br", "thead", "tbody", "hr", "nav", "code"),
    "tfoot",
)
PIECES = (
    *('<a href="https://e.org/a b?c=1&d">l</a>', '<a name="x">n</a>', '<img src="i.jpg" alt="A">'),
    *(
        '<img alt="only">',
        '<iframe src="https://e.org/v"></iframe>',
        "<video><source src=v></video>",
    ),
    *("<script>x()</script>", "<style>p{}</style>", "<!-- c -->", "<p>open", "</p></div>", "<br>"),
    *("<td colspan=2 rowspan=x>c</td>", "&nbsp;&amp;&#1;&#xD800;&bogus;", "<?pi x?>", "<", "&"),
    *("<p xml:lang='x' on:y=1>z</p>", "<svg:x>s</svg:x>", "<audio src='a.mp3'>", "<o:p></o:p>"),
    *("<p id=a class='x y' style=s>i</p>", "<b id=a>i</b>", "<td id='&#2;b' class=''>d</td>"),
    *("<a rel='x y' rev=z id=c>r</a>", "<tfoot id=a class=f><tr><td>f</td></tr></tfoot>"),
)

FIRST = datetime(1000, 1, 1)  # noqa: DTZ001  the strategy adds the zone

BLANKS = (" ", "\t\r\n", "\u00a0", "\u2003\u3000", "\u200b", "\ufeff\u2060", "\u00ad", "\x00 ")
"""Texts that show nothing."""

characters = st.characters(exclude_categories=())
plain = st.text(characters, max_size=12)
words = plain | st.sampled_from(
    ["", *BLANKS, "a b", "a:b", "17000000", "medtop:1", "https://e.org/x y"]
)
html = st.recursive(
    plain | st.sampled_from(PIECES),
    lambda inner: st.builds(
        lambda tag, parts: f"<{tag}>{''.join(parts)}</{tag}>",
        st.sampled_from(TAGS),
        st.lists(inner, max_size=3),
    ),
    max_leaves=12,
)
moments = st.datetimes(FIRST, timezones=st.just(UTC) | st.none()) | st.just(
    datetime(2026, 3, 4, 5, 6, 8, tzinfo=UTC)
)
sizes = st.none() | st.integers(0, 5000) | st.sampled_from(["100", "wide"])


def _or_null(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def _object(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def _entries(*fields: str) -> st.SearchStrategy[Any]:
    """Lists of vocabulary entries, some of them null."""
    entry = _object(**dict.fromkeys(fields, _or_null(words)))
    return _or_null(st.lists(_or_null(entry), max_size=2))


rendition = _object(
    href=words | st.just("https://e.org/o.jpg"),
    mimetype=st.sampled_from(["image/jpeg", "video/mp4", ""]),
    media=st.just("media1"),
    width=sizes,
    height=sizes,
    poi=_object(x=st.integers(0, 9), y=st.integers(0, 9)),
)
renditions = _or_null(
    st.dictionaries(
        st.sampled_from(["original", "viewImage", "16-9", "x y", "ö:\x01"]),
        _or_null(rendition),
        max_size=3,
    )
)
place = _object(
    **dict.fromkeys(["qcode", "name", "state", "country", "world_region"], words),
    scheme=st.sampled_from(["", "geonames"]),
    code=st.just("2147714"),
    location=_object(lat=st.floats(), lon=st.floats() | st.integers(-200, 200)),
)
group = _object(
    id=st.sampled_from(["root", "main", "sidebars", "a b", "a_b", "1a", "a:b", ""]),
    role=words,
    refs=st.lists(
        _object(
            idRef=st.sampled_from(["main", "gone", "1a"]),
            residRef=st.sampled_from(["urn:x:2", "a b", "\x00"]),
            type=st.sampled_from(["text", "picture", "preformatted"]),
            headline=words,
            slugline=words,
            _current_version=_or_null(st.integers(-1, 3)),
        ),
        max_size=3,
    ),
)
located = _or_null(_object(city=_or_null(words), state=words, country=words))

FIELDS: Mapping[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(["headline", "slugline", "byline", "ednote", "source"], _or_null(words)),
    **dict.fromkeys(["original_source", "copyrightholder", "usageterms"], _or_null(words)),
    **dict.fromkeys(["rewrite_of", "unique_name", "alt_text", "sign_off"], _or_null(words)),
    **dict.fromkeys(["body_html", "abstract", "body_footer", "description"], _or_null(html)),
    **dict.fromkeys(["description_text", "body_text", "anpa_take_key"], _or_null(words)),
    **dict.fromkeys(["versioncreated", "firstcreated", "firstpublished"], _or_null(moments)),
    **dict.fromkeys(["embargo", "expiry"], _or_null(moments)),
    **dict.fromkeys(["urgency", "priority", "correction_sequence"], _or_null(st.integers(-1, 12))),
    **dict.fromkeys(["subject", "genre", "anpa_category"], _entries("qcode", "name", "scheme")),
    "company_codes": _entries("qcode", "name", "security_exchange"),
    "authors": _entries("name", "role", "sub_label"),
    "language": st.sampled_from([None, "en", "en-GB", "fr-CA", "ja", "en_US", "no tag", "é"]),
    "format": st.sampled_from(["HTML", "preserved", None]),
    "_current_version": _or_null(st.integers(0, 5)),
    "state": st.sampled_from([None, *map(str, State)]),
    "pubstatus": st.sampled_from([None, "unheard of", *map(str, PubStatus)]),
    "keywords": _or_null(st.lists(_or_null(words), max_size=3)),
    "place": _or_null(st.lists(_or_null(place), max_size=2)),
    "dateline": _or_null(_object(text=_or_null(words), located=located)),
    "renditions": renditions,
    "filemeta": _or_null(
        _object(length=sizes, width=sizes, duration=st.sampled_from(["0:00:10.2", "nan:0:0", "x"]))
    ),
    "groups": _or_null(st.lists(group, max_size=3)),
    "associations": _or_null(
        st.dictionaries(
            st.sampled_from(["featuremedia", "gallery--1", "gallery--2", "related--1"]),
            _or_null(
                st.fixed_dictionaries(
                    {"guid": st.just("urn:x:pic"), "type": st.sampled_from(MEDIA)},
                    optional={"renditions": renditions, "headline": words},
                )
            ),
            max_size=2,
        )
    ),
    "schedule_settings": _or_null(_object(utc_embargo=_or_null(moments))),
    "flags": _or_null(_object(marked_for_legal=st.booleans())),
}

items = st.fixed_dictionaries(
    {
        "_id": st.just("urn:x:1"),
        "guid": st.sampled_from(["urn:x:1", "tag:e.org,2026:1", "no uri ö", "a\x01b"]),
        "type": st.sampled_from([str(kind) for kind in ItemType]),
    },
    optional=dict(FIELDS),
)
"""Items with a guid and a type; every other field may be missing or null."""
