"""The format `ninjs` (formats contract 3.1)."""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest
from bson import Decimal128, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import FormatError
from apps.core.text import strip_forbidden
from formatters.base import FormatContext, FormatSettings
from formatters.ninjs import NINJSFormatter
from tests.support.format_items import (
    CONTEXT,
    EXAMPLES,
    LATER,
    NOW,
    SPREADSHEET,
    example_item,
    expected,
)
from tests.support.format_schemas import superdesk_schema

STORY = {"_id": "urn:x:1", "guid": "urn:x:1", "type": "text"}


def written(item: Mapping[str, Any], context: FormatContext = CONTEXT) -> dict[str, Any]:
    [formatted] = NINJSFormatter().format(item, context)
    document: dict[str, Any] = json.loads(formatted.body)
    return document


def story(**fields: Any) -> dict[str, Any]:
    return {**STORY, **fields}


def picture(**fields: Any) -> dict[str, Any]:
    return {"guid": "urn:x:pic", "type": "picture", **fields}


@pytest.fixture(scope="module")
def schema() -> jsonschema_rs.Draft202012Validator:
    return superdesk_schema()


class TestExamples:
    @pytest.mark.parametrize("name", EXAMPLES)
    def test_keys_and_values(self, name: str) -> None:
        """Formats scenario 11: every key that Superdesk writes, with its value and in its order."""
        document = expected("ninjs", name)

        actual = written(example_item(name))

        assert actual == document
        assert list(actual) == list(document)

    @pytest.mark.parametrize("name", EXAMPLES)
    def test_valid(self, name: str, schema: jsonschema_rs.Draft202012Validator) -> None:
        """Formats scenario 12: outputs are valid by the schema of the family."""
        schema.validate(written(example_item(name)))

    @pytest.mark.parametrize("name", EXAMPLES)
    def test_item_unchanged(self, name: str) -> None:
        """Formats scenario 9: formatting leaves the item as it was."""
        item = example_item(name)
        before = deepcopy(item)

        written(item)

        assert item == before


class TestIdentity:
    def test_defaults(self, schema: jsonschema_rs.Draft202012Validator) -> None:
        """The version is text, 1 when unknown; the priority is 5 when unknown.

        Formats scenario 12.
        """
        document = written(STORY)

        schema.validate(document)
        assert document["version"] == "1"
        assert document["priority"] == 5

    def test_preformatted(self) -> None:
        """Formats scenario 13: preformatted text goes out as text."""
        assert written(story(type="preformatted"))["type"] == "text"

    def test_uri_stands_in(self) -> None:
        """An item without guid is known by its uri."""
        assert written({"uri": "urn:x:u", "type": "text"})["guid"] == "urn:x:u"

    @pytest.mark.parametrize(
        ("item", "field"),
        [
            ({"_id": "7", "type": "text"}, "guid"),
            ({"_id": "7", "guid": None, "type": "text"}, "guid"),
            ({"_id": "7", "guid": "urn:x:1"}, "type"),
            ({"_id": "7", "guid": "urn:x:1", "type": None}, "type"),
        ],
    )
    def test_only_failures(self, item: dict[str, Any], field: str) -> None:
        """A missing guid or type fails with code 7004, which names the field.

        Formats scenario 38.
        """
        with pytest.raises(FormatError) as caught:
            NINJSFormatter().format(item, CONTEXT)

        assert caught.value.code == 7004
        assert caught.value.field == field
        assert caught.value.item_id == "7"
        assert str(caught.value) == (
            f'FormatterError Error 7004 - Article couldn"t be converted to NinJS:{field} is missing'
        )

    @pytest.mark.parametrize(
        ("profile", "name"),
        [
            ("snap", "snap"),
            (7, "7"),
            (ObjectId("65f000000000000000000001"), "BreakingNews"),
            ("65f000000000000000000001", "BreakingNews"),
            ("65f000000000000000000002", "Long_read"),
            ("65f000000000000000000003", "65f000000000000000000003"),
        ],
    )
    def test_profile(self, profile: object, name: str) -> None:
        """A profile goes out by its output name or label, reduced to letters, digits and `_`."""
        profiles = {
            "65f000000000000000000001": {"label": "x", "output_name": "Breaking News!"},
            "65f000000000000000000002": {"label": "Long_read"},
        }
        assert (
            written(story(profile=profile), replace(CONTEXT, profiles=profiles))["profile"] == name
        )


class TestTexts:
    def test_abstract(self) -> None:
        """An empty abstract empties both descriptions; without the key there are none.

        Formats scenario 14.
        """
        empty = written(story(abstract=""))
        absent = written(STORY)

        assert (empty["description_html"], empty["description_text"]) == ("", "")
        assert not {"description_html", "description_text"} & set(absent)

    def test_caption_is_escaped(self) -> None:
        """Formats scenario 16: a plain caption becomes markup without becoming an injection."""
        document = written(picture(description_text="a <b> & c"))

        assert document["description_text"] == "a <b> & c"
        assert document["description_html"] == "<p>a &lt;b&gt; &amp; c</p>"

    def test_given_caption_markup(self) -> None:
        """A caption's own markup goes out as it is; the abstract wins over both."""
        caption = {"description_text": "a", "description_html": "<p><b>a</b></p>"}

        assert written(picture(**caption))["description_html"] == "<p><b>a</b></p>"
        assert written(picture(abstract="<i>s</i>", **caption))["description_text"] == "s"

    @pytest.mark.parametrize(
        ("fields", "html"),
        [
            ({"body_html": "a<br>b"}, "a<br/>b"),
            ({"body_html": "<p>a</p>", "body_footer": "<p>f</p>"}, "<p>a</p><p>f</p>"),
            ({"body_html": "", "body_footer": "<p>f</p>"}, ""),
            (
                {"body_html": "a\nb<br>c", "body_footer": "<p>f</p>", "format": "preserved"},
                "<div><p>a&#13;\nb&#13;\nc</p></div>\r\nf",
            ),
            ({"type": "composite", "body_html": "<p>a</p>"}, "<p>a</p>"),
        ],
    )
    def test_body(self, fields: dict[str, Any], html: str) -> None:
        """The footer follows the body; preserved text keeps its lines; no body gets lost."""
        assert written(story(**fields))["body_html"] == html

    def test_stand_ins(self) -> None:
        """The alternative text stands in for the body text, a title overrides the headline."""
        document = written(picture(alt_text="alt", title="T", headline="H"))

        assert document["body_text"] == "alt"
        assert document["headline"] == "T"
        assert written(picture(alt_text="alt", body_text="b"))["body_text"] == "b"

    @pytest.mark.parametrize(
        ("body", "language", "minutes"),
        [("<p>" + "word " * 1460 + "</p>", "en", 6), ("<p>" + "新" * 5000 + "</p>", "ja", 8)],
    )
    def test_reading_time(self, body: str, language: str, minutes: int) -> None:
        """Formats scenario 22: reading time goes by words, in Japanese by characters."""
        assert written(story(body_html=body, language=language))["readtime"] == minutes

    def test_counts_of_plain_body(self) -> None:
        """Figures are those of the plain body where there is no other; media have none."""
        assert written(story(body_text="one two"))["wordcount"] == 2
        assert "wordcount" not in written(STORY)
        assert "wordcount" not in written(picture(body_text="one two"))

    def test_embed_description(self) -> None:
        """An embed in a custom field has a description, empty where none is given."""
        extra = {"a": {"embed": "x"}, "b": {"embed": "y", "description": "d"}, "c": "z"}

        sent = written(story(extra=extra))["extra"]

        assert sent["a"] == {"embed": "x", "description": ""}
        assert (sent["b"], sent["c"]) == (extra["b"], "z")


class TestRightsAndDates:
    def test_vocabulary_rights(self) -> None:
        """Rights come from the entry of the source, else from the default one.

        Formats scenario 15.
        """
        assert written(story(source="Agency"))["copyrightholder"] == "Agency"
        assert written(story(source="Agency"))["usageterms"] is None
        assert written(story(source="Nobody"))["copyrightholder"] == "Example News"
        assert written(story(original_source="Agency"))["copyrightholder"] == "Agency"

    def test_own_rights(self) -> None:
        """Formats scenario 15: one right on the item is enough to leave the vocabulary aside."""
        document = written(story(copyrightholder="Own"))

        assert document["copyrightholder"] == "Own"
        assert not {"copyrightnotice", "usageterms"} & set(document)

    def test_no_vocabulary(self) -> None:
        """Without the vocabulary rights are left out."""
        assert "usageterms" not in written(STORY, FormatContext(FormatSettings(), NOW))

    def test_translated_rights(self) -> None:
        """Rights are sent in exactly the item's language where the vocabulary has it."""
        entry = {"name": "default", "usageTerms": "Terms"}
        entry |= {"translations": {"usageTerms": {"fr-CA": "Conditions"}}}
        context = replace(CONTEXT, vocabularies={"rightsinfo": [entry]})

        assert written(story(language="fr-CA"), context)["usageterms"] == "Conditions"
        assert written(story(language="fr"), context)["usageterms"] == "Terms"

    @pytest.mark.parametrize(
        ("fields", "moment"),
        [
            ({"embargo": LATER}, "2026-03-05T06:07:08+00:00"),
            (
                {"embargo": "local", "schedule_settings": {"utc_embargo": LATER}},
                "2026-03-05T06:07:08+00:00",
            ),
            ({"embargoed": LATER}, "2026-03-05T06:07:08+00:00"),
            ({"embargoed": LATER.replace(tzinfo=None)}, "2026-03-05T06:07:08+00:00"),
        ],
    )
    def test_embargo(self, fields: dict[str, Any], moment: str) -> None:
        """An embargo goes out as ISO time with its offset."""
        assert written(story(**fields))["embargoed"] == moment

    def test_wire_dates(self) -> None:
        """Datetimes go out in the wire form, texts as they are."""
        document = written(
            story(
                versioncreated=NOW,
                firstcreated="2026-03-04T05:06:08+0000",
                schedule_settings={"utc_publish_schedule": NOW},
            )
        )

        assert document["versioncreated"] == "2026-03-04T05:06:08+0000"
        assert document["firstcreated"] == "2026-03-04T05:06:08+0000"
        assert document["publish_schedule"] == "2026-03-04T05:06:08+0000"


class TestVocabularies:
    def test_translated_names(self) -> None:
        """Names are sent in exactly the item's language; empty keys are left out."""
        entry = {
            "qcode": "1",
            "name": "Art",
            "translations": {"name": {"fr": "Arts"}},
            "scheme": "",
        }
        item = story(subject=[entry], genre=[entry], anpa_category=[entry], language="fr")

        document = written(item)

        for field in ("subject", "genre", "service"):
            assert document[field] == [{"code": "1", "name": "Arts"}]

    @pytest.mark.parametrize(
        ("place", "is_extended", "sent"),
        [
            ({"qcode": "NSW", "name": "x"}, False, {"name": "New South Wales", "code": "NSW"}),
            ({"qcode": "VIC", "name": "Victoria"}, False, {"name": "Victoria", "code": "VIC"}),
            (
                {"qcode": "VIC", "name": "Victoria", "state": "Victoria", "group": ""},
                True,
                {"code": "VIC", "name": "Victoria", "state": "Victoria"},
            ),
            (
                {"scheme": "geonames", "code": "1", "name": "Prague", "country": "Czechia"},
                False,
                {"scheme": "geonames", "code": "1", "name": "Prague"},
            ),
            (
                {
                    "scheme": "geonames",
                    "code": "1",
                    "country": "C",
                    "location": {"lat": 5, "lon": 1},
                },
                True,
                {
                    "scheme": "geonames",
                    "code": "1",
                    "country": "C",
                    "geometry_point": {"type": "Point", "coordinates": [5, 1]},
                },
            ),
        ],
    )
    def test_place(self, place: dict[str, Any], is_extended: bool, sent: dict[str, Any]) -> None:
        """A place has its locator's label; more of it only with the setting."""
        settings = FormatSettings(place_extended=is_extended)

        assert written(story(place=[place]), replace(CONTEXT, settings=settings))["place"] == [sent]

    def test_signals(self) -> None:
        """A signal's code splits into scheme and code; legal review is a warning."""
        signals = [
            {"qcode": "sig:update", "name": "U"},
            {"qcode": "x:y", "name": "X"},
            {"qcode": "plain", "name": "P"},
        ]
        document = written(story(signal=signals, flags={"marked_for_legal": True}))

        assert [entry["code"] for entry in document["signal"]] == ["cwarn", "update", "y", "plain"]
        assert [entry.get("scheme") for entry in document["signal"]] == [
            "http://cv.iptc.org/newscodes/signal/",
            "http://cv.iptc.org/newscodes/signal/",
            "x",
            None,
        ]

    def test_company(self) -> None:
        """A company without listing is sent by name."""
        assert written(story(company="Yancoal"))["organisation"] == [{"name": "Yancoal"}]


class TestRenditions:
    def test_picture(self) -> None:
        """A picture sends common renditions, original and active crops, sizes as numbers.

        Formats scenario 17.
        """
        stored = {
            "4-3": {"href": "4-3"},
            "16-9": None,
            "original": {"href": "o", "width": "100", "height": "", "mimetype": None},
            "thumbnail": {"href": "t", "width": "wide", "secret": 1},
        }
        assert written(picture(renditions=stored))["renditions"] == {
            "thumbnail": {"href": "t"},
            "original": {"href": "o", "width": 100},
        }

    def test_other_media(self) -> None:
        """Other media send all renditions."""
        item = {**picture(renditions={"4-3": {"href": "x"}}), "type": "video"}

        assert written(item)["renditions"] == {"4-3": {"href": "x"}}

    def test_point_of_interest(self) -> None:
        """Formats scenario 17: inside an association only the original has a point of interest."""
        poi = {"x": 1, "y": 2}
        stored = {name: {"href": name, "poi": poi} for name in ("original", "viewImage")}

        nested = written(story(associations={"featuremedia": picture(renditions=stored)}))
        sent = nested["associations"]["featuremedia"]["renditions"]

        assert sent["original"]["poi"] == poi
        assert "poi" not in sent["viewImage"]
        assert written(picture(renditions=stored))["renditions"]["viewImage"]["poi"] == poi

    def test_linked(self) -> None:
        """A medium that only has an address gets an original and a thumbnail."""
        item = picture(url="u", mimeType="m", duration=3, thumbnail="t")

        assert written(item)["renditions"] == {
            "original": {"href": "u", "duration": 3, "mimetype": "m"},
            "thumbnail": {"href": "t"},
        }


class TestAssociations:
    def test_media_field(self) -> None:
        """Entries of a media field are keyed by order and listed once more, sorted.

        Formats scenario 18.
        """
        associations = {
            "gallery--3": picture(guid="urn:x:b", order=2),
            "gallery--1": picture(guid="urn:x:a", order=1),
            "gallery--7": picture(guid="urn:x:c"),
            "gallery--2": None,
            "sidebar--1": picture(guid="urn:x:d"),
        }
        document = written(story(associations=associations))

        guids = {key: entry["guid"] for key, entry in document["associations"].items()}
        assert guids == {
            "gallery--1": "urn:x:a",
            "gallery--2": "urn:x:b",
            "gallery--7": "urn:x:c",
            "sidebar--1": "urn:x:d",
        }
        field = document["extra_items"]["gallery"]
        assert field["type"] == "media"
        assert [entry["guid"] for entry in field["items"]] == ["urn:x:c", "urn:x:a", "urn:x:b"]

    def test_order(self) -> None:
        """Associations go out by order; one that has none counts as first."""
        orders = {"a": 2, "b": None, "c": 0}
        associations = {key: picture(order=order) for key, order in orders.items()}

        assert list(written(story(associations=associations))["associations"]) == ["c", "b", "a"]

    def test_equal_order(self) -> None:
        """Entries of equal order all go out."""
        associations = {
            "gallery--3": picture(guid="urn:x:a", order=1),
            "gallery--4": picture(guid="urn:x:b", order=1),
        }
        sent = written(story(associations=associations))["associations"]

        assert [entry["guid"] for entry in sent.values()] == ["urn:x:a", "urn:x:b"]

    def test_related_content(self) -> None:
        """A related story is read from the archive; one that is gone stays a reference."""
        associations = {
            "related--1": {"_id": "urn:x:r", "type": "text", "order": 2},
            "related--2": {"_id": "urn:x:gone", "type": "text", "order": 1},
        }
        related = {"urn:x:r": story(guid="urn:x:r", headline="R")}

        document = written(story(associations=associations), replace(CONTEXT, related=related))

        assert [entry["guid"] for entry in document["extra_items"]["related"]["items"]] == [
            "urn:x:gone",
            "urn:x:r",
        ]
        assert document["associations"]["related--2"]["headline"] == "R"
        assert document["associations"]["related--2"]["order"] == 2

    def test_nulls(self) -> None:
        """Null associations go, the object stays; an unidentified one goes too."""
        item = story(associations={"featuremedia": None, "x": {"headline": "no guid"}})

        assert written(item)["associations"] == {}

    def test_not_recursive(self) -> None:
        """Associations of associations stay out."""
        inner = picture(associations={"featuremedia": picture()})

        sent = written(story(associations={"featuremedia": inner}))["associations"]

        assert "associations" not in sent["featuremedia"]

    def test_package(self) -> None:
        """Members are keyed by group, numbered where a group has more than one.

        Formats scenario 19.
        """
        document = written(self.package())

        assert document["associations"] == {
            "main": {"guid": "urn:x:1", "type": "text", "label": "L"},
            "sidebars-0": {"guid": "urn:x:2", "type": "picture"},
            "sidebars-1": {"guid": "urn:x:3", "type": "text"},
        }

    def test_packaged(self) -> None:
        """A destination that wants packages whole gets headline and body of the members.

        Formats scenario 19.
        """
        member = story(headline="H", body_html="<p>b</p>")
        context = replace(CONTEXT, config={"packaged": True}, package_items={"urn:x:1": member})

        document = written(self.package(), context)

        assert document["associations"]["main"]["headline"] == "H"
        assert document["associations"]["main"]["body_html"] == "<p>b</p>"
        assert document["associations"]["main"]["label"] == "L"
        assert written(self.package(), replace(context, config={})) == written(self.package())

    @staticmethod
    def package() -> dict[str, Any]:
        side = [{"residRef": "urn:x:2", "type": "picture"}, {"residRef": "urn:x:3"}, {"idRef": "x"}]
        groups = [
            {"id": "root", "refs": [{"idRef": "main"}]},
            {"id": "main", "refs": [{"residRef": "urn:x:1", "type": "text", "label": "L"}]},
            {"id": "sidebars", "refs": side},
            {"id": "empty", "refs": []},
        ]
        return {"guid": "urn:x:p", "type": "composite", "groups": groups}


class TestPeopleAndFiles:
    def test_attachments(self) -> None:
        """A public attachment has an address, an internal or unknown one is left out.

        Formats scenario 20.
        """
        references = [{"attachment": key} for key in ("att2", "att1", "gone")]

        assert written(story(attachments=references))["attachments"] == [
            {"id": "att1", **SPREADSHEET}
        ]
        assert "attachments" not in written(story(attachments=references[:1]))

    def test_attachment_address(self) -> None:
        """An attachment without an address lies under the media prefix."""
        stored = {key: value for key, value in SPREADSHEET.items() if key != "href"}
        context = replace(
            CONTEXT,
            attachments={"att1": stored},
            settings=FormatSettings(media_prefix="https://cdn.example.com"),
        )
        item = story(attachments=[{"attachment": "att1"}])

        [sent] = written(item, context)["attachments"]

        assert sent["href"] == "https://cdn.example.com/media5"

    def test_unknown_author(self) -> None:
        """An author without user is sent as the reference has it, with an empty biography.

        Formats scenario 21.
        """
        author = {"name": "Guest", "role": "writer"}

        assert written(story(authors=[author]))["authors"] == [
            {"code": "Guest", "name": "Guest", "role": "writer", "biography": ""}
        ]

    @pytest.mark.parametrize("author", [{"parent": "user1"}, {"name": "Jane Writer"}])
    def test_author(self, author: dict[str, Any]) -> None:
        """An author is the user of that id, else the one of that name."""
        [sent] = written(story(authors=[author]))["authors"]

        assert sent["code"] == "user1"
        assert sent["uri"] == "urn:localhost:user:user1"
        assert sent["jobtitle"] == {"qcode": "writer", "name": "Writer"}


class TestBadInput:
    @pytest.mark.parametrize(
        ("fields", "absent"),
        [
            ({"dateline": None}, "located"),
            ({"dateline": {"located": None}}, "located"),
            ({"subject": None}, "subject"),
            ({"company_codes": None}, "organisation"),
            ({"anpa_category": None}, "service"),
            ({"abstract": None}, "description_html"),
            ({"firstcreated": None}, "firstcreated"),
            ({"language": None}, "language"),
            ({"urgency": None}, "urgency"),
            ({"urgency": "high"}, "urgency"),
            ({"pubstatus": None}, "pubstatus"),
            ({"renditions": None}, "renditions"),
            ({"renditions": {}}, "renditions"),
            ({"associations": None}, "associations"),
            ({"extra": None}, "extra"),
            ({"authors": None}, "authors"),
            ({"flags": None, "signal": None}, "signal"),
            ({"signal": [{"qcode": None, "name": "x"}]}, "signal"),
            ({"schedule_settings": None}, "publish_schedule"),
            ({"title": None}, "headline"),
            ({"alt_text": None}, "body_text"),
            ({"place": [None]}, "place"),
            ({"order": None}, "order"),
        ],
    )
    def test_null_equals_absent(self, fields: dict[str, Any], absent: str) -> None:
        """Formats scenario 38: what is null is not sent, and nothing fails."""
        document = written(story(**fields), FormatContext(FormatSettings(), NOW))

        assert absent not in document
        assert document == written(STORY, FormatContext(FormatSettings(), NOW))

    @pytest.mark.parametrize(
        ("fields", "field", "sent"),
        [
            ({"priority": None}, "priority", 5),
            ({"_current_version": None}, "version", "1"),
            ({"keywords": ["a", None]}, "keywords", ["a"]),
            ({"subject": [{"qcode": None, "name": "x"}, None]}, "subject", [{"name": "x"}]),
            ({"renditions": {"original": None}}, "renditions", {}),
            ({"renditions": {"original": {"width": 1}}}, "renditions", {"original": {"width": 1}}),
            ({"headline": "a\x00b\x1fc\ud800d\ufffe"}, "headline", "abcd"),
            ({"body_html": "<p>a\x0bb\ud800</p>"}, "body_html", "<p>ab</p>"),
            ({"extra": {"a\x01": float("nan")}}, "extra", {"a": None}),
            ({"extra": {"price": Decimal128("1.5")}}, "extra", {"price": "1.5"}),
            ({"extra": {"id": ObjectId("65f000000000000000000001")}}, "extra", None),
            ({"headline": r"back\slash"}, "headline", r"back\slash"),
            ({"headline": "tab\t and 🌍"}, "headline", "tab\t and 🌍"),
        ],
    )
    def test_tolerated(self, fields: dict[str, Any], field: str, sent: object) -> None:
        """Odd values are skipped or cleaned, and the output stays well-formed.

        Formats scenario 38, 50.
        """
        expected = {"id": "65f000000000000000000001"} if sent is None else sent

        assert written(story(type="picture", **fields))[field] == expected


TEXTS = st.none() | st.text(max_size=20) | st.sampled_from(["<p>a</p>", "a<br>b", "\ud800", "&#1;"])
SCALARS = (
    TEXTS | st.booleans() | st.integers() | st.floats() | st.datetimes() | st.binary(max_size=4)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
KEYS = [
    "qcode",
    "name",
    "scheme",
    "attachment",
    "parent",
    "id",
    "refs",
    "residRef",
    "href",
    "width",
]
OBJECTS = st.dictionaries(st.sampled_from([*KEYS, "type", "guid", "order"]), ANYTHING, max_size=4)
LISTS = st.lists(OBJECTS | ANYTHING, max_size=3)
FIELDS = {
    **dict.fromkeys(["headline", "body_html", "abstract", "description_text", "language"], TEXTS),
    **dict.fromkeys(["body_footer", "format", "title", "alt_text", "byline", "profile"], TEXTS),
    **dict.fromkeys(["subject", "anpa_category", "genre", "place", "signal", "authors"], LISTS),
    **dict.fromkeys(["company_codes", "attachments", "groups", "keywords"], LISTS),
    **dict.fromkeys(["dateline", "flags", "schedule_settings", "extra"], OBJECTS),
    "renditions": st.dictionaries(st.sampled_from(["original", "16-9"]), OBJECTS),
    "associations": st.dictionaries(st.sampled_from(["a", "gallery--1", "related--2"]), OBJECTS),
    **dict.fromkeys(["versioncreated", "urgency", "priority", "source", "url", "order"], ANYTHING),
}
ITEMS = st.fixed_dictionaries(
    {
        "guid": st.text(min_size=1).filter(lambda guid: strip_forbidden(guid).strip()),
        "type": st.sampled_from(
            ["text", "preformatted", "picture", "video", "composite", "graphic"]
        ),
    },
    optional={name: values | ANYTHING for name, values in FIELDS.items()},
)


class TestAnyItem:
    @given(ITEMS)
    def test_formats_and_leaves_the_item(self, item: dict[str, Any]) -> None:
        """Any item with guid and type gives valid JSON and is not changed by it.

        Formats scenario 38.
        """
        before = repr(item)

        document = written(item)

        assert document["type"] in {"text", "picture", "video", "composite", "graphic"}
        assert repr(item) == before


class TestFamily:
    def test_hooks(self) -> None:
        """A format of the family changes guid, version, renditions and more, at every depth."""

        class Sequenced(NINJSFormatter):
            type = "sequenced"

            def guid(self, item: Mapping[str, Any]) -> Any:
                return item.get("ingest_id") or super().guid(item)

            def version(self, item: Mapping[str, Any]) -> Any:
                return item.get("correction_sequence") or 1

            def rendition_names(self, context: FormatContext) -> list[str]:
                return ["original"]

            def rendition(
                self, stored: Mapping[str, Any], context: FormatContext
            ) -> dict[str, Any]:
                return {"href": "/" + stored["href"]}

            def additions(self, item: Mapping[str, Any], context: FormatContext) -> dict[str, Any]:
                return {"rewrite_sequence": item.get("rewrite_sequence")}

        fields = {"ingest_id": "i", "correction_sequence": 2, "rewrite_sequence": 3}
        renditions = {"original": {"href": "o"}, "thumbnail": {"href": "t"}}
        nested = picture(renditions=renditions, **fields)

        [formatted] = Sequenced().format(
            story(associations={"featuremedia": nested}, **fields), CONTEXT
        )

        document = json.loads(formatted.body)
        sent = document["associations"]["featuremedia"]
        for part in (document, sent):
            assert (part["guid"], part["version"], part["rewrite_sequence"]) == ("i", "2", 3)
        assert sent["renditions"] == {"original": {"href": "/o"}}

    def test_declaration(self) -> None:
        """The format takes every item type and is offered for preview and export."""
        assert NINJSFormatter.can_format({"type": "event"})
        assert not NINJSFormatter.can_format({"type": "opera"})
        assert NINJSFormatter.can_preview
        assert NINJSFormatter.can_export
        assert NINJSFormatter.media_type == "application/json"
