"""IPTC ninjs 3.1 and 2.2 (formats contract 8 rows 1, 7)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from apps.core.errors import FormatError
from formatters.base import FormatSettings
from formatters.ninjs3 import NINJS3Formatter
from formatters.uris import concept_uri, is_uri, item_uri, web_address
from tests.support.format_items import CONTEXT, EXAMPLES, LATER, NOW, example_item
from tests.support.format_schemas import check_ninjs, loaded, ninjs_schema

STORY = {"_id": "urn:x:1", "guid": "urn:x:1", "type": "text"}


def written(item: Mapping[str, Any], **context: Any) -> dict[str, Any]:
    [formatted] = NINJS3Formatter().format(item, replace(CONTEXT, **context))
    check_ninjs(formatted)
    return loaded(formatted)


def story(**fields: Any) -> dict[str, Any]:
    return written({**STORY, **fields})


def credits_of(document: Mapping[str, Any]) -> list[dict[str, str]]:
    said = [{"role": each["role"], "value": each["value"]} for each in document["descriptions"]]
    return [each for each in said if each["role"] == "creditline"]


class TestSchema:
    @pytest.mark.parametrize("version", ["3.1", "2.2"])
    @pytest.mark.parametrize("name", EXAMPLES)
    def test_example_items(self, name: str, version: str) -> None:
        """Every input is valid by the version that the destination asks for.

        Formats scenario 46.
        """
        document = written(example_item(name), config={"version": version})

        assert version == document["standard"]["version"]
        assert all(association["name"] for association in document.get("associations", ()))

    @pytest.mark.parametrize(
        "fields",
        [
            {"uri": "no uri"},
            {"urgency": 0},
            {"firstCreated": "2026-03-04T05:00:00+0000"},
            {"associations": [{"uri": "urn:x:2"}]},
            {"unknown": 1},
        ],
    )
    def test_the_check_can_fail(self, fields: dict[str, Any]) -> None:
        """Formats scenario 46: formats are checked: what the standard refuses is refused."""
        assert ninjs_schema("3.1").is_valid({"uri": "urn:x:1"})
        assert not ninjs_schema("3.1").is_valid({"uri": "urn:x:1", **fields})

    def test_an_unknown_version_is_refused(self) -> None:
        """A version that there is none of names the option."""
        with pytest.raises(FormatError) as caught:
            written(STORY, config={"version": "9"})

        assert (7004, "config.version") == (caught.value.code, caught.value.field)


class TestIdentity:
    def test_a_uri_stays(self) -> None:
        """Formats scenario 46: a guid that is a URI is the uri; there is no other name for it."""
        document = story()

        assert "urn:x:1" == document["uri"]
        assert "altIds" not in document

    def test_another_guid_becomes_a_urn(self) -> None:
        """A guid that is no URI is percent-encoded and stands among the other ids.

        Formats scenario 46.
        """
        document = story(guid="20260304 ö/1", rewrite_of="urn:x:0", unique_name="#1")

        assert "urn:localhost:item:20260304%20%C3%B6%2F1" == document["uri"]
        assert [
            {"role": "guid", "value": "20260304 ö/1"},
            {"role": "evolvedFrom", "value": "urn:x:0"},
            {"role": "uniqueName", "value": "#1"},
        ] == document["altIds"]

    @pytest.mark.parametrize("urgency", [0, None, 10, "high", -1])
    def test_an_urgency_out_of_range_is_left_out(self, urgency: object) -> None:
        """Formats scenario 46: 0 and null are no urgencies."""
        assert "urgency" not in story(urgency=urgency)

    @pytest.mark.parametrize(
        ("status", "sent"),
        [
            ("usable", "usable"),
            ("canceled", "canceled"),
            ("withheld", "withheld"),
            (None, "usable"),
        ],
    )
    def test_status(self, status: str | None, sent: str) -> None:
        """Unset is usable, as everywhere."""
        assert sent == story(pubstatus=status)["pubStatus"]

    def test_dates(self) -> None:
        """Dates are those of RFC 3339, from datetimes and from texts; others are left out."""
        document = story(
            versioncreated=NOW,
            firstcreated="2026-03-04T05:06:08+0000",
            embargo=LATER,
            expiry=NOW,
            extra={"expires": "2026-03-05T00:00:00Z", "contentcreated": "soon"},
        )

        moment = "2026-03-04T05:06:08+00:00"
        assert (moment, moment) == (document["versionCreated"], document["firstCreated"])
        assert "2026-03-05T06:07:08+00:00" == document["embargoedUntil"]
        assert "2026-03-05T00:00:00+00:00" == document["expires"]
        assert "contentCreated" not in document
        assert "expires" not in story(expiry=NOW)


class TestContent:
    def test_texts(self) -> None:
        """Headline, abstract and body stand in lists, as markup and as text."""
        document = story(
            headline="A & <b>",
            abstract="<p>An <i>abstract</i></p>",
            body_html="<p>One</p><ul><li>two</li></ul>",
            body_footer="<p>end</p>",
        )

        assert "A & <b>" == document["title"]
        assert [("main", "A & <b>")] == [(h["role"], h["value"]) for h in document["headlines"]]
        assert [("text/html", "<p>An <i>abstract</i></p>"), ("text/plain", "An abstract")] == [
            (entry["contentType"], entry["value"]) for entry in document["descriptions"]
        ]
        assert [
            ("text/html", 9, "<p>One</p><ul><li>two</li></ul><p>end</p>"),
            ("text/plain", 9, "One\n\n- two\n\nend"),
        ] == [(b["contentType"], b["charCount"], b["value"]) for b in document["bodies"]]

    def test_captions(self) -> None:
        """A medium has its caption and its alternative text by their roles."""
        document = written(
            {**STORY, "type": "picture", "description_text": "Caption", "alt_text": "Alt"}
        )

        assert [("caption", "Caption"), ("alt", "Alt")] == [
            (entry["role"], entry["value"]) for entry in document["descriptions"]
        ]

    def test_subjects(self) -> None:
        """A known vocabulary gives a URI, any other a literal; categories and keywords say so."""
        document = story(
            subject=[
                {"qcode": "17000000", "name": "weather"},
                {"qcode": "medtop:20000763", "name": "IT"},
                {"qcode": "x", "name": "X", "scheme": "https://cv.e.org/topics"},
                {"qcode": "desk1", "name": "Desk", "scheme": "desks"},
                {"name": "free", "translations": {"name": {"fr": "libre"}}},
            ],
            anpa_category=[{"qcode": "a", "name": "National"}],
            keywords=["flood", None, "flood"],
            language="fr",
        )

        assert [
            {"name": "weather", "uri": "http://cv.iptc.org/newscodes/subjectcode/17000000"},
            {"name": "IT", "uri": "http://cv.iptc.org/newscodes/mediatopic/20000763"},
            {"name": "X", "uri": "https://cv.e.org/topics/x"},
            {"name": "Desk", "literal": "desks:desk1"},
            {"name": "libre", "literal": "libre"},
            {"name": "National", "literal": "anpa_category:a", "rel": "category"},
            {"name": "flood", "literal": "flood", "rel": "keyword"},
        ] == document["subjects"]

    def test_places(self) -> None:
        """A position is GeoJSON, longitude first."""
        place = {"scheme": "geonames", "code": "1", "name": "P", "location": {"lat": 5, "lon": 1}}

        [sent] = story(place=[place])["places"]

        assert "https://sws.geonames.org/1/" == sent["uri"]
        assert [1, 5] == sent["geoJSON"]["geometry"]["coordinates"]

    def test_companies_and_people(self) -> None:
        """Companies have their ticker symbol, authors their role and address."""
        document = story(
            company_codes=[{"name": "Yancoal", "qcode": "YAL", "security_exchange": "ASX"}],
            authors=[{"parent": "user1", "role": "writer"}, {"name": "Guest"}],
        )

        [company] = document["organisations"]
        assert {"exchange": "ASX", "symbol": "YAL"}.items() <= company["symbols"][0].items()
        assert [
            {"name": "Jane Writer", "uri": "urn:localhost:user:user1", "rel": "writer"},
            {"name": "Guest", "rel": "author"},
        ] == document["people"]

    def test_sources_and_rights(self) -> None:
        """Sources stand by their role; rights are the item's, else those of the vocabulary."""
        document = story(source="AAP", original_source="Reuters")

        assert [("AAP", "source"), ("Reuters", "originalSource")] == [
            (entry["name"], entry["role"]) for entry in document["infoSources"]
        ]
        assert "Example News" == document["copyrightHolder"]
        assert "Own" == story(copyrightholder="Own")["copyrightHolder"]

    @pytest.mark.parametrize(
        ("said", "sent"),
        [
            ("http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture", "uri"),
            ({"name": "camera", "uri": "http://e.org/c"}, "uri"),
            ("camera", "literal"),
        ],
    )
    def test_digital_source_type(self, said: object, sent: str) -> None:
        """How the content came about goes out where the item says it."""
        assert sent in story(extra={"digitalsourcetype": said})["digitalSourceType"]

    def test_trust_and_rights_of_the_installation(self) -> None:
        """What the installation says of itself goes out, without what the standard refuses."""
        indicator = {"role": "http://e.org/role", "title": "Ethics", "href": "https://e.org/ethics"}
        settings = FormatSettings(
            trust_indicators=(indicator, {"role": "no uri", "href": "x"}),
            rights_info={"langId": "http://e.org/l", "encodedRights": "<o/>"},
        )

        document = written(STORY, settings=settings)

        assert [indicator] == document["trustIndicators"]
        assert {"langId": "http://e.org/l", "encodedRights": "<o/>"} == document["rightsInfo"]

    @pytest.mark.parametrize("version", ["3.1", "2.2"])
    def test_trust_and_rights_of_the_item(self, version: str) -> None:
        """What came in with an item counts before what the installation says of itself."""
        theirs = {"role": "http://e.org/theirs", "href": "https://e.org/theirs"}
        ours = {"role": "http://e.org/ours", "href": "https://e.org/ours"}
        settings = FormatSettings(
            trust_indicators=(ours,), rights_info={"linkedRights": "http://e.org/ours"}
        )
        extra = {
            "rightsinfo": {"langid": "http://w3.org/ns/odrl/2/", "encodedrights": "<o/>"},
            "trustindicators": [theirs, ours, {"role": "no uri"}],
            "altids": [{"role": "itemid", "value": "7"}, {"role": "none"}],
            "profile": "Standard",
            "title": "T",
        }

        document = written(
            {**STORY, "extra": extra, "ingest_id": "urn:x:1"},
            settings=settings,
            config={"version": version},
        )
        known = {key.lower(): value for key, value in document.items()}

        assert [theirs, ours] == known["trustindicators"]
        rights = {key.lower(): value for key, value in known["rightsinfo"].items()}
        assert extra["rightsinfo"] == rights
        assert [{"role": "itemid", "value": "7"}] == known["altids"]
        assert ("Standard", "T") == (known["profile"], known["title"])

    @pytest.mark.parametrize(
        ("extra", "field", "sent"),
        [
            (
                {
                    "trustindicator": [
                        {"scheme": "http://e.org/", "code": "c", "href": "http://e.org"}
                    ]
                },
                "trustIndicators",
                [{"role": "http://e.org/c", "href": "http://e.org"}],
            ),
            ({"altids": {"itemid": "7", "n": 8}}, "altIds", [("itemid", "7"), ("n", "8")]),
            (
                {"rightsInfo": {"linkedRights": "http://e.org/r", "encodedRights": "<o/>"}},
                "rightsInfo",
                {"linkedRights": "http://e.org/r"},
            ),
            ({"rightsinfo": {"linkedrights": "no uri"}}, "rightsInfo", None),
            ({"rightsinfo": "ask us"}, "rightsInfo", None),
            ({"altids": "7", "trustindicators": {"role": 1}}, "altIds", None),
        ],
    )
    def test_other_spellings(self, extra: dict[str, Any], field: str, sent: Any) -> None:
        """As other versions have them; what the standard refuses is left out."""
        if field == "altIds" and sent:
            sent = [{"role": role, "value": value} for role, value in sent]

        assert sent == story(extra=extra).get(field)

    def test_all_sources_that_came_in(self) -> None:
        """Unless an editor has changed the source since."""
        given = [{"name": "A", "uri": "http://e.org/a"}, {"name": "B", "role": "enhancer"}]
        extra = {"infosources": [*given, {"name": "C", "role": "original"}]}

        assert extra["infosources"] == story(source="A", extra=extra)["infoSources"]
        assert (
            extra["infosources"]
            == story(source="A, B", original_source="C", extra=extra)["infoSources"]
        )
        assert [{"name": "D", "role": "source"}] == story(source="D", extra=extra)["infoSources"]

    def test_what_is_said_of_concepts(self) -> None:
        """As far as the standard has a place for it."""
        said = {"rel": "about", "creator": "http://e.org/t", "relevance": 80, "confidence": 0.7}
        entry = {"name": "N", **said}
        fields = ("subject", "person", "organisation", "place", "event", "object", "genre")
        document = story(**{field: [entry] for field in fields})

        known = {"name": "N", "literal": "N"}
        assert {
            **known, "rel": "about", "creator": "http://e.org/t", "relevance": 80
        } == document["subjects"][0]  # fmt: skip
        for field in ("people", "organisations", "events", "objects"):
            assert [{**known, "rel": "about"}] == document[field]
        assert [known] == document["genres"]

    def test_authors_are_told_from_subjects(self) -> None:
        """Also those whose role nobody else knows."""
        authors = [
            {"name": "A", "role": "Photographer", "uri": "http://e.org/a"},
            {"name": "B", "role": "desk 1", "uri": "no uri"},
        ]

        assert [
            {"name": "A", "uri": "http://e.org/a", "rel": "Photographer"},
            {"name": "B", "rel": "author:desk 1"},
            {"name": "C", "literal": "C", "rel": "about"},
        ] == story(authors=authors, person=[{"name": "C"}])["people"]


class TestMedia:
    @pytest.mark.parametrize("version", ["3.1", "2.2"])
    def test_each_picture_has_its_own_rights(self, version: str) -> None:
        """Those of the story, or of the story's source, are not a picture's."""
        picture = {
            "guid": "urn:x:2",
            "type": "picture",
            "creditline": "Reuters/Doe",
            "copyrightholder": "Reuters",
            "source": "Agency",
            "extra": {"rightsinfo": {"linkedrights": "http://e.org/reuters"}},
            "renditions": {"original": {"href": "https://e.org/a.jpg"}},
        }
        item = {**STORY, "copyrightholder": "Us", "creditline": "Us/Roe", "usageterms": "Ours"}

        document = written(
            {
                **item,
                "associations": {
                    "featuremedia": picture,
                    "editor_0": {**picture, "guid": "urn:x:3"},
                },
            },
            config={"version": version},
        )

        for sent in document["associations"]:
            known = {key.lower(): value for key, value in sent.items()}
            assert "Reuters" == known["copyrightholder"]
            assert not {"usageterms", "copyrightnotice"} & set(known)
            assert [{"role": "creditline", "value": "Reuters/Doe"}] == credits_of(known)
            assert ["http://e.org/reuters"] == list(known["rightsinfo"].values())
        assert [{"role": "creditline", "value": "Us/Roe"}] == credits_of(document)

    @pytest.mark.parametrize("version", ["3.1", "2.2"])
    def test_all_that_renditions_say(self, version: str) -> None:
        """Versions differ in what they have a place for."""
        said = {
            "title": "T", "format": "JPEG", "aspectratio": "16:9", "framerate": 29.97,
            "scantype": "progressive", "bitrate": "1", "duration": 7.25, "unknown": 1,
        }  # fmt: skip
        broken = {"title": 7, "framerate": "x", "scantype": "sideways", "duration": -1}
        renditions = {
            "16-9": {"href": "https://e.org/a.mp4", **said},
            "x": {"href": "https://e.org/b.mp4", **broken},
        }
        document = written(
            {**STORY, "type": "video", "renditions": renditions}, config={"version": version}
        )

        first, second = document["renditions"]
        kept = ("title", "format", "duration") if version == "2.2" else (*said,)
        known = {key.lower(): value for key, value in first.items()}
        assert {key: said[key] for key in kept if key != "unknown"} == {
            key: value for key, value in known.items() if key not in ("name", "href")
        }
        assert {"name": "x", "href": "https://e.org/b.mp4"} == second

    def test_renditions(self) -> None:
        """A picture sends all that can be fetched, with sizes and the point of interest."""
        item = {
            **STORY,
            "type": "picture",
            "filemeta": {"length": 7},
            "renditions": {
                "original": {
                    "href": "https://e.org/a b.jpg",
                    "mimetype": "image/jpeg",
                    "width": "100",
                    "height": 50,
                    "poi": {"x": 1, "y": 2},
                },
                "print": {"href": "https://e.org/p.jpg"},
                "viewImage": {"href": "relative.jpg"},
                "16-9": None,
            },
        }

        assert [
            {
                "name": "original",
                "href": "https://e.org/a%20b.jpg",
                "contentType": "image/jpeg",
                "width": 100,
                "height": 50,
                "sizeInBytes": 7,
                "poi": {"x": 1, "y": 2},
            },
            {"name": "print", "href": "https://e.org/p.jpg"},
        ] == written(item)["renditions"]

    def test_associations(self) -> None:
        """Every association has a name and its field; one level deep, nulls left out.

        Formats scenario 46.
        """
        inner = {"guid": "urn:x:3", "type": "picture"}
        picture = {"guid": "urn:x:2", "type": "picture", "associations": {"featuremedia": inner}}
        document = story(associations={"gallery--1": picture, "featuremedia": None, "x": {}})

        [association] = document["associations"]
        assert ("gallery--1", "gallery", "urn:x:2") == tuple(
            association[field] for field in ("name", "rel", "uri")
        )
        assert "associations" not in association

    def test_related_items(self) -> None:
        """A related item is the one of the archive; of one that is gone there is a reference."""
        held = {f"related--{n}": {"_id": f"urn:x:{n}", "order": n} for n in (2, 3)}
        known = {"urn:x:2": {"guid": "urn:x:2", "type": "text", "headline": "R"}}
        document = written({**STORY, "associations": held}, related=known)

        assert [("full", "R"), ("partial", None)] == [
            (entry["representationType"], entry.get("title")) for entry in document["associations"]
        ]

    def test_packages(self) -> None:
        """Members are partial unless the destination wants them inside."""
        reference_ = {"residRef": "urn:x:2", "type": "text", "headline": "H"}
        groups = [
            {"id": "root", "refs": [{"idRef": "main"}]},
            {"id": "main", "refs": [reference_]},
        ]
        package = {**STORY, "type": "composite", "groups": groups}
        member = {"guid": "urn:x:2", "type": "text", "body_html": "<p>b</p>"}

        [partial] = written(package)["associations"]
        [full] = written(package, config={"packaged": True}, package_items={"urn:x:2": member})[
            "associations"
        ]

        assert ("partial", "main", "H") == (
            partial["representationType"],
            partial["rel"],
            partial["title"],
        )
        assert "full" == full["representationType"]
        assert "<p>b</p>" == full["bodies"][0]["value"]


class TestVersion2:
    def test_spells_in_lower_case(self) -> None:
        """ninjs 2.2 says the same in lower case, by its own names, without what it lacks."""
        poi = {"href": "https://e.org/a.jpg", "poi": {"x": 1, "y": 2}}
        picture = {"guid": "urn:x:2", "type": "picture", "renditions": {"original": poi}}
        item = {**STORY, "embargo": LATER, "associations": {"featuremedia": picture}}

        document = written({**item, "type": "event"}, config={"version": "2.2"})

        assert "2026-03-05T06:07:08+00:00" == document["embargoed"]
        assert "type" not in document
        [association] = document["associations"]
        assert "rel" not in association
        assert {"name": "original", "href": "https://e.org/a.jpg"} == association["renditions"][0]


class TestURIs:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("urn:newsml:example.com:2026:2", True),
            ("tag:example.com,2026:pic", True),
            ("https://e.org:80/a/b?c=d/e#f", True),
            ("mailto:a@e.org", True),
            ("http://[::1]/", False),
            ("no uri", False),
            ("a b:c", False),
            ("urn:ö", False),
            ("urn:%zz", False),
            ("1:2", False),
            ("", False),
        ],
    )
    def test_is_uri(self, text: str, expected: bool) -> None:
        assert expected is is_uri(text)

    def test_item_uri(self) -> None:
        assert "urn:e.org:item:a%2Fb" == item_uri(" a/b ", "e.org")

    def test_web_address(self) -> None:
        assert "https://e.org/%25?a=%C3%B6" == web_address("https://e.org/%?a=ö")
        assert "" == web_address("/upload/1")

    def test_concept_uri(self) -> None:
        assert "" == concept_uri("17000000", "desks")
        assert "http://e.org/#a%20b" == concept_uri("a b", "http://e.org/#")
