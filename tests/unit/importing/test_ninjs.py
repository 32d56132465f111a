"""Ninjs documents of other systems become items."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.importing.ninjs import item_from_ninjs
from formatters.base import FormatContext, FormatSettings
from formatters.ninjs import NINJSFormatter
from formatters.ninjs3 import NINJS3Formatter
from tests.support.format_schemas import check_ninjs, superdesk_schema
from tests.support.schema_files import names_in, sample, schema

OFFICIAL = "ninjs/test_suite"
CONTEXT = FormatContext(settings=FormatSettings(), now=datetime(2026, 3, 4, tzinfo=UTC))

KEYS = st.text(max_size=8) | st.sampled_from(
    [
        *("name", "value", "role", "rel", "uri", "literal", "code", "scheme", "href", "duration"),
        *("type", "contentType", "geoJSON", "coordinates", "geometry", "features", "symbols"),
        *("ticker", "linkedRights", "encodedRights", "jobtitle", "relevance", "location", "lat"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
    max_leaves=8,
)
FIELD_NAMES = (
    "type", "headline", "headlines", "title", "body_html", "bodies", "descriptions", "located",
    "subjects", "places", "organisations", "infosources", "authors", "keywords", "versionCreated",
    "urgency", "pubStatus", "renditions", "associations", "rightsInfo", "extra", "people", "person",
    "altIds", "trustIndicators", "trustindicator", "signal", "annotations", "profile", "expires",
    "digitalSourceType", "contentCreated", "creditline", "body_text", "description_caption_xhtml",
    "genres", "service", "place", "evolvedFrom",
)  # fmt: skip


def ninjs(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(sample(f"ninjs/{name}").read_text("utf-8"))
    return document


def story(**fields: Any) -> dict[str, Any]:
    return {"uri": "urn:x:1", **fields}


class TestSamples:
    @pytest.mark.parametrize("name", names_in("samples/ninjs"))
    def test_formats_as_valid_ninjs(self, name: str) -> None:
        """Every sample imports, and what the formatter makes of it is valid."""
        item = item_from_ninjs(ninjs(name))

        [formatted] = NINJSFormatter().format(item, CONTEXT)

        document = json.loads(formatted.body)
        superdesk_schema().validate(document)
        for version in ("3.1", "2.2"):
            context = replace(CONTEXT, config={"version": version})
            check_ninjs(NINJS3Formatter().format(item, context)[0])
        assert document["guid"] == ninjs(name)["uri"]
        assert document["headline"] == ninjs(name)["headlines"][0]["value"]

    @pytest.mark.parametrize("name", names_in(OFFICIAL))
    def test_official_suite_imports(self, name: str) -> None:
        """Every document that the standard's own suite calls valid imports, in all versions."""
        document = json.loads(schema(f"{OFFICIAL}/{name}").read_text("utf-8"))

        if "embargoed_bad_datetime" in name:
            # The schema asks for a text; nobody could tell when the story may be shown.
            with pytest.raises(ValueError, match="is no time"):
                item_from_ninjs(document)
        else:
            assert item_from_ninjs(document)["guid"] == document["uri"]

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (name, name.replace("Text_2", "Text_3"))
            for name in (
                "ap_audio.json",
                "ap_image.json",
                "ap_video.json",
                "businesswire-newsml-20130731006140.json",
                "ninjsExSimpleText_2.json",
                "ntb_text.json",
            )
        ],
    )
    def test_versions_agree(self, old: str, new: str) -> None:
        """The same story in 2.1 and 3.0 gives the same item."""
        assert item_from_ninjs(ninjs(f"2.1/{old}")) == item_from_ninjs(ninjs(f"3.0/{new}"))

    def test_text(self) -> None:
        """A text story keeps its texts, dates, rights and classification."""
        item = item_from_ninjs(ninjs("3.0/ntb_text.json"))

        assert item["guid"] == "urn:8d19cf88-b3ab-4972-8fec-1207599f2872"
        assert item["type"] == "text"
        assert item["headline"] == "Google har kjøpt giganttomt i Skien"
        assert item["abstract"].startswith("<p>IT-giganten Google har kjøpt")
        assert item["byline"] == "NTB"
        assert item["slugline"] == "skien-google"
        assert item["urgency"] == 5
        assert item["copyrightholder"] == "NTB"
        assert item["ednote"] == "Noe utvidet."
        assert item["versioncreated"] == datetime(2019, 8, 9, 9, 46, 53, tzinfo=UTC)
        assert item["firstcreated"] == datetime(2019, 8, 9, 9, 30, 4, tzinfo=UTC)
        assert item["place"] == [{"qcode": "Telemark", "name": "Telemark"}]
        assert item["subject"][1] == {"qcode": "13010000", "name": "Teknologi"}

    def test_markup_body_wins(self) -> None:
        """Of a plain and a marked-up body the markup is taken, without its `body` element."""
        item = item_from_ninjs(ninjs("2.1/ninjsExSimpleText_2.json"))

        assert item["body_html"].startswith("<p>GROSSETO, Italy (AP) -- The trial of the captain")
        assert item["body_html"].endswith("Schettino has denied wrongdoing.</p>")
        assert item["byline"] == "Paulo Santalucia and Frances d'Emilio"

    def test_picture(self) -> None:
        """A picture keeps caption, credit, places with coordinates, and renditions by our names."""
        item = item_from_ninjs(ninjs("3.0/ap_image.json"))

        assert item["type"] == "picture"
        assert item["description_text"].startswith("FILE - In this Monday, Nov. 11, 2019")
        assert item["creditline"] == "ASSOCIATED PRESS"
        assert item["source"] == "DHA"
        assert item["place"][0] == {
            "qcode": "661e09b87d5b10048287c076b8e3055c",
            "name": "Turkey",
            "scheme": "http://cv.ap.org/id/",
            "uri": "http://cv.ap.org/id/661e09b87d5b10048287c076b8e3055c",
            "location": {"lat": 39, "lon": 35},
        }
        assert [entry["name"] for entry in item["organisation"]] == [
            "Islamic State group",
            "Turkey government",
        ]
        assert list(item["renditions"]) == ["original", "viewImage", "thumbnail", "caption_nitf"]
        assert item["renditions"]["original"]["width"] == 3000
        assert item["renditions"]["original"]["mimetype"] == "image/jpeg"
        assert "b2b6c3f4642f46deac7509d4db315ca0.0" in item["renditions"]["original"]["href"]

    def test_composite(self) -> None:
        """A composite keeps its body and its associations by name, each an item of its own."""
        item = item_from_ninjs(ninjs("2.1/businesswire-newsml-20130731006140.json"))

        assert item["type"] == "composite"
        assert "Industrial Strength Lunch Decoy" in item["body_html"]
        assert {key: entry["type"] for key, entry in item["associations"].items()} == {
            "logo": "graphic",
            "video": "video",
        }
        assert len(item["associations"]["video"]["renditions"]) == 7

    def test_linked_rights(self) -> None:
        """A link to the rights stands in for terms of use that are not given."""
        item = item_from_ninjs(ninjs("2.1/imageLinkedRights.json"))

        assert item["usageterms"] == "http://example.agency.com/rights/editorialUseOnly"
        assert item["byline"] == "John Smith"

    def test_audio(self) -> None:
        """An audio item keeps place, people and a title that says something of its own."""
        item = item_from_ninjs(ninjs("2.1/ap_audio.json"))

        assert item["dateline"]["located"]["city"] == "CAPITOL HILL"
        assert item["person"][0]["name"] == "Nancy Pelosi"
        assert item["slugline"] == "Trump Impeachment What s Next-Pelosi 1"


class TestFirstGeneration:
    def test_plain_fields(self) -> None:
        """1.x has plain fields, and objects for renditions and associations."""
        item = item_from_ninjs(
            story(
                type="composite",
                headline="H",
                byline="B",
                body_text="plain",
                body_richtext="<p>rich</p>",
                description_text="short",
                place=[{"name": "Italy", "scheme": "http://x/", "code": "it"}],
                associations={
                    "mainpic": {
                        "uri": "urn:x:2",
                        "type": "picture",
                        "headline_main": "P",
                        "description_caption_xhtml": "<p>c</p>",
                        "renditions": {"main": {"href": "http://x/1.jpg", "width": "10"}},
                    }
                },
            )
        )

        assert item["headline"] == "H"
        assert item["byline"] == "B"
        assert item["body_html"] == "<p>rich</p>"
        assert item["abstract"] == "<p>short</p>"
        assert item["place"] == [{"qcode": "it", "name": "Italy", "scheme": "http://x/"}]
        picture = item["associations"]["mainpic"]
        assert picture["headline"] == "P"
        assert picture["description_text"] == "c"
        assert picture["renditions"] == {"original": {"href": "http://x/1.jpg", "width": 10}}

    def test_superdesk_family(self) -> None:
        """What our own formatter writes is read back, alternative text and companies included."""
        item = {
            "guid": "urn:x:1",
            "type": "picture",
            "headline": "H",
            "alt_text": "Alternative",
            "description_text": "Caption",
            "anpa_category": [{"qcode": "a", "name": "National"}],
            "keywords": ["flood"],
            "priority": 2,
            "company_codes": [{"name": "Y", "qcode": "YAL", "security_exchange": "ASX"}],
        }
        [formatted] = NINJSFormatter().format(item, CONTEXT)

        read = item_from_ninjs(json.loads(formatted.body))

        assert {field: read.get(field) for field in item} == item

    @pytest.mark.parametrize(
        ("scheme", "location"),
        [("http://x/", {"lat": 2, "lon": 1}), ("geonames", {"lat": 1, "lon": 2})],
    )
    def test_coordinates(self, scheme: str, location: dict[str, int]) -> None:
        """GeoJSON has the longitude first, Superdesk's ninjs the latitude."""
        point = {"type": "Point", "coordinates": [1, 2]}
        place = {"code": "p", "scheme": scheme, "geometry_point": point}

        assert item_from_ninjs(story(place=[place]))["place"][0]["location"] == location


class TestTexts:
    def test_main_role_wins(self) -> None:
        """The main variant is taken, wherever it stands; another one is kept aside."""
        headlines = [{"role": "text", "value": "other"}, {"role": "main", "value": "Main"}]

        item = item_from_ninjs(story(headlines=headlines))

        assert item["headline"] == "Main"
        assert item["extra"] == {"headline_text": "other"}

    def test_plain_body_becomes_paragraphs(self) -> None:
        """A plain body is escaped and split at empty lines."""
        item = item_from_ninjs(story(bodies=[{"role": "main", "value": "a < b\n\nc"}]))

        assert item["body_html"] == "<p>a &lt; b</p><p>c</p>"

    def test_other_roles_are_kept(self) -> None:
        """Texts of roles that items do not know stand under `extra`."""
        item = item_from_ninjs(
            story(
                headlines=[{"role": "main", "value": "H"}, {"role": "for-mobile", "value": "M"}],
                descriptions=[{"role": "altText", "value": "A"}],
                altids={"itemid": "7"},
            )
        )

        assert item["headline"] == "H"
        assert item["alt_text"] == "A"
        assert item["extra"] == {"headline_for_mobile": "M", "altids": {"itemid": "7"}}

    def test_title_fills_gaps(self) -> None:
        """A title stands in for a missing headline; it never overrides one."""
        assert item_from_ninjs(story(title="T"))["headline"] == "T"
        assert item_from_ninjs(story(title="T", headline="H"))["slugline"] == "T"
        assert "slugline" not in item_from_ninjs(story(title=" t  X", headline="T x"))
        full = item_from_ninjs(story(title="T", headline="H", slugline="S"))
        assert full["extra"] == {"title": "T"}


HTML = "text/html"
PLAIN = "text/plain"


def _body(*variants: tuple[str | None, str | None, str]) -> Any:
    """Return the body of a story that has these variants: role, media type, value."""
    return item_from_ninjs(story(bodies=[_variant(*variant) for variant in variants]))["body_html"]


def _variant(role: str | None, media_type: str | None, value: str) -> dict[str, Any]:
    return {"role": role, "contentType": media_type, "value": value}


class TestBodies:
    """Roles are free text, and media types are often missing."""

    @pytest.mark.parametrize("role", ["article", "html5", "main", "xhtml", "text", "Web", "", None])
    @pytest.mark.parametrize(
        "media_type", [HTML, "Text/HTML; charset=utf-8", "application/xhtml+xml", None]
    )
    @pytest.mark.parametrize("other", ["main", "text", "article", ""])
    def test_markup_beats_plain_text(
        self, role: str | None, media_type: str | None, other: str
    ) -> None:
        """Whatever its role, and wherever it stands."""
        marked, plain = (role, media_type, "<p>A <b>b</b></p>"), (other, PLAIN, "A b")

        assert "<p>A <b>b</b></p>" == _body(marked, plain) == _body(plain, marked)

    @pytest.mark.parametrize("media_type", [None, PLAIN, HTML, "text/markdown", "x"])
    @pytest.mark.parametrize("role", ["web", "lead", "teaser", "for mobile", None])
    def test_any_variant_beats_nothing(self, role: str | None, media_type: str | None) -> None:
        assert "<p>Said.</p>" == _body((role, media_type, "Said."))
        item = item_from_ninjs(
            story(
                headlines=[_variant(role, media_type, "Headline")],
                descriptions=[_variant(role, media_type, "Abstract")],
            )
        )

        assert ("Headline", None) == (item["headline"], item.get("extra"))
        assert "Abstract" in item["abstract"]
        picture = story(type="picture", descriptions=[_variant(role, media_type, "Caption")])
        assert "Caption" == item_from_ninjs(picture)["description_text"]

    def test_main_markup_wins(self) -> None:
        """Of several in markup that whose role says most; a teaser is no story."""
        teaser, article = ("teaser", HTML, "<p>T</p>"), ("article", HTML, "<p>A</p>")

        assert "<p>A</p>" == _body(teaser, article)
        assert "<p>Plain</p>" == _body(teaser, ("main", PLAIN, "Plain"))

    @pytest.mark.parametrize("role", ["lead", "summary", "Preamble"])
    def test_a_lead_is_the_abstract(self, role: str) -> None:
        """Among bodies as among descriptions; a description comes first."""
        bodies = [_variant(role, HTML, "<p>L</p>"), _variant("article", HTML, "<p>A</p>")]
        item = item_from_ninjs(story(bodies=bodies))
        described = item_from_ninjs(story(bodies=bodies, descriptions=[_variant(role, PLAIN, "D")]))

        assert ("<p>L</p>", "<p>A</p>") == (item["abstract"], item["body_html"])
        assert ("<p>D</p>", "<p>A</p>") == (described["abstract"], described["body_html"])
        assert "<p>L</p>" in described["extra"].values()

    def test_nothing_is_lost(self) -> None:
        """What is neither the text nor the same without markup is kept."""
        bodies = [
            _variant("main", HTML, "<p>A</p>"),
            _variant("main", PLAIN, "A"),
            _variant("mobile", PLAIN, "M"),
            _variant("mobile", PLAIN, "N"),
        ]

        assert {"body_mobile": "M", "body_mobile-2": "N"} == item_from_ninjs(story(bodies=bodies))[
            "extra"
        ]

    @pytest.mark.parametrize(
        ("value", "html"),
        [
            ("a\r\n\r\nb\r\nc\rd", "<p>a</p><p>b<br>c<br>d</p>"),
            ("a\n \t\nb\u2028c\u2029d", "<p>a</p><p>b<br>c</p><p>d</p>"),
            ("Profit <£1m & loss >£2m", "<p>Profit &lt;£1m &amp; loss &gt;£2m</p>"),
            ("Firm ends <Free> plan <p", "<p>Firm ends &lt;Free&gt; plan &lt;p</p>"),
            ("AT&amp;T\nrises", "<p>AT&amp;T<br>rises</p>"),
            ("<p>A</p>\n<p>B</p>", "<p>A</p>\n<p>B</p>"),
            ("One<br/>two", "<p>One<br/>two</p>"),
            ("One <b class='x'>two</b>", "<p>One <b class='x'>two</b></p>"),
            ("<P>One<P>two", "<P>One<P>two"),
            ("<section>One</section>", "<section>One</section>"),
        ],
    )
    def test_without_a_media_type(self, value: str, html: str) -> None:
        """Markup is recognised; text has its paragraphs and its line ends."""
        assert html == _body(("main", None, value)) == _body(("text", None, value))

    def test_a_media_type_counts(self) -> None:
        assert "<p>a &lt;b&gt;x&lt;/b&gt; &amp;amp;</p>" == _body(
            ("main", PLAIN, "a <b>x</b> &amp;")
        )
        assert "<p>a &amp; b</p>" == _body(("main", HTML, "a &amp; b"))

    @pytest.mark.parametrize(
        "document",
        [
            '<!DOCTYPE html>\n<html lang="en"><head><title>T</title></head>'
            '<body class="a">{}</body></html>',
            "<?xml version='1.0'?><!-- c --><!-- d --><HTML><HEAD><STYLE>p {{}}</STYLE></HEAD>"
            "<BODY>{}</BODY></HTML>",
            "<html><head><title>T</title></head>{}</html>",
            "<html>{}</html>",
            "<head><meta charset=utf-8></head>{}",
            "<body>{}",
            "\ufeff<!DOCTYPE html><html><body>{}</body></html>",
            "<!DOCTYPE html><meta charset=utf-8><title>T</title>{}",
            "<html><title>T</title><link href=a><style>p {{}}</style>{}</html>",
            "<html><head><!-- <body> --><script>'<body>'</script></head><body>{}</body></html>",
            "<nitf><head/><body><body.head><hedline/></body.head><body.content>{}</body.content></body></nitf>",
        ],
    )
    def test_a_whole_document_is_peeled(self, document: str) -> None:
        whole = document.format("\n<p>A</p><p>B</p>\n")

        assert "<p>A</p><p>B</p>" == _body(("main", HTML, whole)) == _body((None, None, whole))

    def test_what_is_no_document_stays(self) -> None:
        for html in ("<header>H</header><p>A</p>", "<p>&lt;body&gt;</p>", "<!-- EMBED --><p>A</p>"):
            assert html == _body(("main", HTML, html))

    @pytest.mark.parametrize(
        "piece",
        [
            "<!-- a -->",
            "<body ",
            "<html><!--",
            "<html><title>",
            "<html><script></title>",
            '<p a="',
            "\n \n",
            "<p ",
        ],
    )
    def test_reading_takes_time_by_length(self, piece: str) -> None:
        """A long text is read at once, whatever it repeats."""
        assert _body(("main", None, "<html>" + piece * 20_000 + "x"))

    def test_a_headline_is_one_line(self) -> None:
        headline = _variant("main", HTML, "<h1>AT&amp;T\n <b>wins</b></h1>")

        assert "AT&T wins" == item_from_ninjs(story(headlines=[headline]))["headline"]

    def test_a_medium_has_caption_and_abstract(self) -> None:
        """Where both are there; the markup of a caption is kept where it says more."""
        summary, caption = (
            _variant("summary", PLAIN, "S"),
            _variant("caption", HTML, "<p>A <b>c</b></p>"),
        )
        both = item_from_ninjs(story(type="picture", descriptions=[summary, caption]))
        plain = item_from_ninjs(
            story(type="picture", descriptions=[_variant("caption", HTML, "<p>c</p>")])
        )

        assert ("<p>S</p>", "A c") == (both["abstract"], both["description_text"])
        assert "<p>A <b>c</b></p>" == both["description_html"]
        assert ("c", None) == (plain["description_text"], plain.get("description_html"))


class TestConcepts:
    def test_all_that_is_said_of_a_subject(self) -> None:
        said = {"rel": "about", "creator": "http://e.org/tagger", "relevance": 80, "confidence": 71}
        entry = {"name": "Floods", "uri": "http://e.org/cv/7", "literal": "7", **said}

        [subject] = item_from_ninjs(story(subjects=[entry]))["subject"]

        assert {
            **{"qcode": "7", "name": "Floods", "scheme": "http://e.org/cv/"},
            **{"uri": "http://e.org/cv/7", **said},
        } == subject

    @pytest.mark.parametrize(
        ("entry", "code", "scheme"),
        [
            ({"uri": "http://cv.iptc.org/newscodes/mediatopic/20000763"}, "20000763", None),
            ({"uri": "http://cv.iptc.org/newscodes/subjectcode/17000000"}, "17000000", None),
            ({"uri": "http://e.org/cv/x%20y"}, "x y", "http://e.org/cv/"),
            ({"uri": "http://e.org/cv#x"}, "x", "http://e.org/cv#"),
            *(
                ({"uri": uri}, uri, None)
                for uri in ("http://e.org", "http://e.org/?a=/x", "urn:x:1")
            ),
            ({"literal": "medtop:20000763"}, "20000763", None),
            ({"literal": "desks:one"}, "one", "desks"),
            ({"literal": "urn:x:1"}, "urn:x:1", None),
            ({"literal": "A: b", "name": "A: b"}, "A: b", None),
            ({"code": "a:b"}, "a:b", None),
            ({"code": 7, "scheme": "s"}, "7", "s"),
            ({"uri": "https://sws.geonames.org/264371/"}, "264371", "geonames"),
        ],
    )
    def test_codes(self, entry: dict[str, Any], code: str, scheme: str | None) -> None:
        [found] = item_from_ninjs(story(subjects=[{"name": "N", **entry}]))["subject"]

        assert (code, scheme) == (found["qcode"], found.get("scheme"))

    def test_keywords_and_categories(self) -> None:
        """Subjects that say so are none: the archive has fields of its own for them."""
        keyword = {"name": "flood", "rel": "keyword", "literal": "flood"}
        category = {"name": "National", "rel": "category", "literal": "anpa_category:a"}
        item = item_from_ninjs(
            story(keywords=["rain", "flood"], subjects=[keyword, category, {"name": "S"}])
        )

        assert ["rain", "flood"] == item["keywords"]
        assert [{"qcode": "a", "name": "National"}] == item["anpa_category"]
        assert [{"qcode": "S", "name": "S"}] == item["subject"]

    def test_categories_of_one_code_are_one(self) -> None:
        """The archive refuses equal codes, whatever their scheme."""
        service = [{"code": "a", "scheme": "x"}, {"code": "a", "name": "A"}]

        assert 1 == len(item_from_ninjs(story(service=service))["anpa_category"])

    @pytest.mark.parametrize(
        "shape",
        [
            {"type": "Point", "coordinates": [10, 50, 300]},
            {
                "type": "Feature",
                "properties": {},
                "geometry": {"type": "Point", "coordinates": [10, 50]},
            },
            {"type": "Feature", "geometry": None, "geometries": [{"coordinates": [10, 50]}]},
            {"type": "MultiPoint", "coordinates": [[9, 49], [11, 51]]},
            {"type": "LineString", "coordinates": [[9, 49], [10, 49], [11, 51]]},
            {
                "type": "Polygon",
                "coordinates": [[[9, 49], [11, 49], [11, 51], [9, 51], [9, 49]]],
            },
            {"type": "MultiPolygon", "coordinates": [[[[9, 49], [11, 51], [9, 51]]]]},
            {
                "type": "GeometryCollection",
                "geometries": [{"type": "Point", "coordinates": [10, 50]}],
            },
            {
                "type": "FeatureCollection",
                "features": [
                    {"type": "Feature", "geometry": {"type": "Point", "coordinates": [10, 500]}},
                    {"type": "Feature", "geometry": {"type": "Point", "coordinates": [10, 50]}},
                    {"type": "Feature", "geometry": {"type": "Point", "coordinates": [0, 0]}},
                ],
            },
        ],
    )
    def test_positions(self, shape: dict[str, Any]) -> None:
        """Of what is larger than a point the middle, of several the first one that there is."""
        for key in ("geoJSON", "geojson", "geometry_point", "geometry_area"):
            [place] = item_from_ninjs(story(places=[{"name": "P", key: shape}]))["place"]

            assert {"lat": 50, "lon": 10} == place["location"]

    @pytest.mark.parametrize(
        "shape",
        [
            *(None, 7, "10,50", [], {}, {"type": "Feature"}, {"coordinates": None}),
            *({"coordinates": [10]}, {"coordinates": ["10", "50"]}, {"coordinates": [True, False]}),
            *(
                {"coordinates": [1e999, 2]},
                {"coordinates": [200, 100]},
                {"coordinates": [[10], 50]},
            ),
        ],
    )
    def test_no_position(self, shape: Any) -> None:
        [place] = item_from_ninjs(story(places=[{"name": "P", "geoJSON": shape}]))["place"]

        assert {"qcode": "P", "name": "P"} == place

    def test_a_bottomless_position(self) -> None:
        shape: Any = [10, 50]
        for _ in range(5000):
            shape = [shape]

        [place] = item_from_ninjs(story(places=[{"name": "P", "geojson": {"coordinates": shape}}]))[
            "place"
        ]

        assert {"lat": 50, "lon": 10} == place["location"]


class TestPeople:
    def test_authors(self) -> None:
        """With role, picture, title, biography and where they are found."""
        author = {
            "name": "Jane Writer",
            "code": "jane",
            "role": "writer",
            "biography": "Bio",
            "uri": "http://e.org/jane",
            "twitter": "@jane",
            "jobtitle": {"qcode": "ed", "name": "Editor"},
        }
        said = {**author, "job_title": "ed", "avatar_url": "http://e.org/j.jpg"}

        for key in ("avatar_url", "avatarurl", "avatarUrl"):
            [read] = item_from_ninjs(story(authors=[{**author, key: "http://e.org/j.jpg"}]))[
                "authors"
            ]

            assert said == read

        [formatted] = NINJSFormatter().format(item_from_ninjs(story(authors=[said])), CONTEXT)
        [sent] = json.loads(formatted.body)["authors"]
        assert {"avatar_url": "http://e.org/j.jpg", "uri": author["uri"]}.items() <= sent.items()
        assert {"qcode": "ed", "name": "Editor"} == sent["jobtitle"]

    def test_names_alone(self) -> None:
        item = item_from_ninjs(
            story(authors=["Jane", {"name": "Joe", "jobTitle": "Editor"}, None, 7])
        )

        assert [{"name": "Jane"}, {"name": "Joe", "job_title": "Editor"}] == item["authors"]

    @pytest.mark.parametrize("field", ["person", "people"])
    @pytest.mark.parametrize(
        ("rel", "role"),
        [
            *(("author", None), ("Author", None), ("http://e.org/rel/author", None)),
            *(("photographer", "photographer"), ("author:desk", "desk"), ("crol:writer", "writer")),
        ],
    )
    def test_who_has_made_it(self, field: str, rel: str, role: str | None) -> None:
        """People who have made an item are its authors; it is about the others."""
        people = [
            {"name": "A", "rel": rel, "uri": "http://e.org/a", "literal": "1"},
            {"name": "B", "rel": "about"},
            {"name": "C"},
        ]
        item = item_from_ninjs(story(**{field: people}, authors=[{"name": "A", "role": role}]))

        [author] = item["authors"]
        assert ("A", role, "http://e.org/a", "1") == (
            *(author["name"], author.get("role")),
            *(author["uri"], author["code"]),
        )
        assert ["B", "C"] == [person["name"] for person in item["person"]]

    @pytest.mark.parametrize(
        ("sources", "source", "original", "kept"),
        [
            ([{"name": "A"}], "A", None, False),
            ([{"name": "A"}, {"name": "B"}], "A, B", None, True),
            ([{"name": "A", "uri": "http://e.org/a"}], "A", None, True),
            ([{"literal": "a"}], "a", None, True),
            (
                [{"name": "R", "role": "originalSource"}, {"name": "A", "role": "source"}],
                *("A", "R", False),
            ),
            ([{"name": "E", "role": "enhancer"}, {"name": "A"}], "A", None, True),
            ([{"name": "E", "role": "isrol:enhancer"}], "E", None, True),
        ],
    )
    def test_sources(
        self, sources: list[dict[str, Any]], source: str, original: str | None, kept: bool
    ) -> None:
        """By their roles; all of them are kept where the two fields say less."""
        item = item_from_ninjs(story(infoSources=sources))

        assert (source, original) == (item["source"], item.get("original_source"))
        assert ({"infosources": sources} if kept else None) == item.get("extra")
        assert "X" == item_from_ninjs(story(source="X", infosource=sources))["source"]


class TestRights:
    def test_kept(self) -> None:
        """Rights, trust indicators, other ids, profile and credit line, spelt as in 2.x."""
        rights = {"langId": "http://w3.org/ns/odrl/2/", "encodedRights": "<o/>"}
        indicator = {"role": "http://e.org/r", "title": "Ethics", "href": "http://e.org/ethics"}
        item = item_from_ninjs(
            story(
                rightsInfo=rights,
                trustIndicators=[indicator],
                altIds=[{"role": "itemid", "value": "7"}],
                profile="Standard",
                creditLine="AP Photo",
            )
        )

        assert {
            "rightsinfo": {"langid": "http://w3.org/ns/odrl/2/", "encodedrights": "<o/>"},
            "trustindicators": [indicator],
            "altids": [{"role": "itemid", "value": "7"}],
            "profile": "Standard",
        } == item["extra"]
        assert "AP Photo" == item["creditline"]

    def test_rights_in_json(self) -> None:
        """An expression in JSON-LD is a text, as the standard has it."""
        rights = {"encodedRights": {"@type": "Offer", "permission": []}}

        kept = item_from_ninjs(story(rightsInfo=rights))["extra"]["rightsinfo"]

        assert {"encodedrights": '{"@type":"Offer","permission":[]}'} == kept

    def test_own_ids(self) -> None:
        """What our own ninjs 3 says of an item is what it is here, too."""
        altids = {"guid": "2026 ö/1", "evolvedFrom": "urn:x:0", "ingestId": "i", "uniqueName": "#1"}
        item = item_from_ninjs(
            {
                "uri": "urn:e.org:item:2026%20%C3%B6%2F1",
                "altIds": [{"role": role, "value": value} for role, value in altids.items()],
            }
        )

        assert ("2026 ö/1", "urn:x:0", "i") == (
            *(item["guid"], item["rewrite_of"]),
            item["ingest_id"],
        )
        assert {"altids": [{"role": "uniqueName", "value": "#1"}]} == item["extra"]
        other = story(altIds=[{"role": "guid", "value": "urn:x:9"}])
        assert "urn:x:1" == item_from_ninjs(other)["guid"]

    def test_renditions(self) -> None:
        """Every one is kept, with all that is said of it, under a name of its own."""
        said = {
            "href": "http://e.org/v.mp4",
            "contentType": "video/mp4",
            "duration": 7.25,
            "title": "Full",
            "format": "MPEG",
            "videoCodec": "c015",
            "frameRate": 29.97,
            "sizeInBytes": 5_000_000_000,
        }
        names = ("main", "original", "small", "16-9", "16-9")
        item = item_from_ninjs(
            story(type="video", renditions=[{"name": name, **said} for name in names])
        )

        assert ["main", "original", "thumbnail", "16-9", "16-9-2"] == list(item["renditions"])
        assert {
            **{"href": "http://e.org/v.mp4", "mimetype": "video/mp4", "duration": 7.25},
            **{"title": "Full", "format": "MPEG", "videocodec": "c015", "framerate": 29.97},
            "size": 5_000_000_000,
        } == item["renditions"]["original"]

    @pytest.mark.parametrize("duration", ["long", -1, float("nan"), True, None])
    def test_a_bad_duration_is_left_out(self, duration: Any) -> None:
        rendition = {"name": "original", "href": "http://e.org/v", "duration": duration}

        assert {"href": "http://e.org/v"} == item_from_ninjs(
            story(type="video", renditions=[rendition])
        )["renditions"]["original"]


class TestBadInput:
    @pytest.mark.parametrize(
        ("document", "message"),
        [
            ([], "JSON object"),
            ("text", "JSON object"),
            (None, "JSON object"),
            ({}, "uri"),
            ({"uri": None}, "uri"),
            ({"uri": 7}, "uri"),
            ({"uri": "urn:x:1", "type": "opera"}, "unknown ninjs type 'opera'"),
            ({"uri": "urn:x:1", "type": ["text"]}, "unknown ninjs type"),
        ],
    )
    def test_no_ninjs(self, document: Any, message: str) -> None:
        """What is no ninjs at all is refused with the reason."""
        with pytest.raises(ValueError, match=message):
            item_from_ninjs(document)

    @pytest.mark.parametrize(
        ("status", "known"),
        [
            ("usable", "usable"),
            ("stat:withheld", "withheld"),
            ("http://cv.iptc.org/newscodes/pubstatusg2/canceled", "canceled"),
            ("Cancelled", "canceled"),
            ("embargoed", "embargoed"),
            ("on hold", "withheld"),
            (7, "withheld"),
        ],
    )
    def test_status(self, status: Any, known: str) -> None:
        """What nobody knows is not taken for leave to publish."""
        assert item_from_ninjs(story(pubstatus=status))["pubstatus"] == known

    @pytest.mark.parametrize(
        "fields",
        [
            {"urgency": 0},
            {"urgency": "high"},
            {"urgency": True},
            {"versioncreated": "yesterday"},
            {"versioncreated": "0001-01-01T00:00:00+14:00"},
            {"subjects": "weather"},
            {"subjects": [None, {}, {"name": 7}]},
            {"renditions": [{"name": "main"}]},
            {"associations": [{"name": "no uri"}, {"uri": "urn:x:2", "type": "opera"}, 7]},
            {"keywords": "flood"},
            {"located": {"city": "x"}},
        ],
    )
    def test_bad_values_are_left_out(self, fields: dict[str, Any]) -> None:
        """A bad value never stops an import."""
        item = item_from_ninjs(story(type="text", **fields))

        assert item == {"guid": "urn:x:1", "uri": "urn:x:1", "type": "text"}

    @pytest.mark.parametrize(
        ("written", "moment"),
        [
            ("2026-03-04T05:06:07Z", datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)),
            ("2026-03-04T05:06:07+0000", datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)),
            ("2026-03-04T05:06:07.5+02:00", datetime(2026, 3, 4, 3, 6, 7, tzinfo=UTC)),
            ("2026-03-04T05:06:07", datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)),
            ("2026-03-04", datetime(2026, 3, 4, tzinfo=UTC)),
        ],
    )
    def test_moments(self, written: str, moment: datetime) -> None:
        """Moments of any ISO form become UTC to the second."""
        item = item_from_ninjs(story(versionCreated=written, embargoedUntil=written))

        assert item["versioncreated"] == moment
        assert item["embargoed"] == moment

    def test_equal_names_do_not_overwrite(self) -> None:
        """Associations and renditions of the same name all stay."""
        item = item_from_ninjs(
            story(
                associations=[{"name": "a", "uri": "urn:x:2"}, {"name": "a", "uri": "urn:x:3"}],
                renditions=[{"name": "main", "href": "1"}, {"name": "main", "href": "2"}],
            )
        )

        assert [entry["guid"] for entry in item["associations"].values()] == ["urn:x:2", "urn:x:3"]
        assert [entry["href"] for entry in item["renditions"].values()] == ["1", "2"]

    def test_equal_subjects_once(self) -> None:
        """A subject stands once: the archive refuses equal codes."""
        item = item_from_ninjs(story(subjects=[{"name": "Trade"}, {"name": "Trade"}]))

        assert item["subject"] == [{"qcode": "Trade", "name": "Trade"}]

    def test_bottomless_associations(self) -> None:
        """Associations within associations end, however deep a document is."""
        document = story()
        for _ in range(2000):
            document = story(associations=[{"name": "a", **document}])

        item, depth = item_from_ninjs(document), 0
        while "associations" in item:
            item, depth = item["associations"]["a"], depth + 1

        assert depth == 10

    @given(st.dictionaries(st.sampled_from(FIELD_NAMES), JSON))
    def test_any_fields(self, fields: dict[str, Any]) -> None:
        """Whatever the fields hold, the outcome is an item that formats, or a `ValueError`."""
        try:
            item = item_from_ninjs(story(**fields))
        except ValueError:
            return
        [formatted] = NINJSFormatter().format(item, CONTEXT)
        [latest] = NINJS3Formatter().format(item, CONTEXT)

        assert json.loads(formatted.body)["guid"] == item["guid"]
        check_ninjs(latest)
