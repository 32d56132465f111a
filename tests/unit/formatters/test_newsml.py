"""NewsML 1.2 and NewsML-G2 (formats contract 3.6, 3.7).

That all outputs are valid is shown in `test_formats_are_valid`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from lxml import etree
from NewsMLG2 import NewsMLG2Document, qcode_to_uri

from formatters.base import FormatSettings
from formatters.newsml_12 import NewsML12Formatter
from formatters.newsml_g2 import NewsMLG2Formatter
from formatters.nitf import NITF_NAMESPACE
from tests.support.format_items import CONTEXT, LATER, NOW, example_item
from tests.support.format_schemas import (
    G2,
    catalog_aliases,
    check_g2,
    check_newsml_12,
    g2_schema,
    parsed,
)

LANG = "{http://www.w3.org/XML/1998/namespace}lang"
STORY = {"_id": "urn:x:1", "item_id": "urn:x:1", "guid": "urn:x:1", "type": "text"}


def newsml_12(item: Mapping[str, Any], **context: Any) -> etree._Element:
    [formatted] = NewsML12Formatter().format(item, replace(CONTEXT, **context))
    check_newsml_12(formatted)
    return parsed(formatted)


def g2(item: Mapping[str, Any], **context: Any) -> etree._Element:
    [formatted] = NewsMLG2Formatter().format(item, replace(CONTEXT, **context))
    check_g2(formatted)
    return parsed(formatted)


def attribute(root: etree._Element, path: str, name: str) -> str | None:
    found = root.find(path)
    assert found is not None, path
    value = found.get(name)
    return None if value is None else str(value)


def item_of(kind: str, **fields: Any) -> dict[str, Any]:
    """Return an item of a type with what such items have."""
    item: dict[str, Any] = {**STORY, "type": kind, "headline": "h", "versioncreated": NOW}
    if kind in ("picture", "graphic", "video", "audio"):
        original = {"href": "https://e.org/o", "mimetype": "image/jpeg", "width": 4, "height": 3}
        item["renditions"] = {"original": original}
        item["filemeta"] = {"length": 5, "duration": "0:00:10.224000", "width": 9}
    if kind == "composite":
        refs = [
            {
                "residRef": "urn:x:2",
                "type": "preformatted",
                "headline": "H",
                "pubstatus": "canceled",
            },
            {"residRef": "urn:x:3", "type": "picture", "_current_version": 2},
        ]
        item["groups"] = [
            {"id": "main", "role": "grpRole:main", "refs": refs},
            {"id": "root", "refs": [{"idRef": "main"}], "role": "grpRole:NEP"},
        ]
    return {**item, **fields}


class TestNewsML12:
    @pytest.mark.parametrize(
        ("state", "previous", "instruction"),
        [
            ("published", "0", "Update"),
            ("corrected", "2", "Correction"),
            ("killed", "2", "Update"),
            ("recalled", "2", "Update"),
            ("unpublished", "2", "Update"),
        ],
    )
    def test_a_correction_says_so(self, state: str, previous: str, instruction: str) -> None:
        """Formats scenario 32: instruction and previous revision; the number is that of the row."""
        root = newsml_12(item_of("text", state=state, _current_version=3), sequence_number=42)

        assert (previous, instruction, "42") == (
            attribute(root, ".//RevisionId", "PreviousRevision"),
            attribute(root, ".//Instruction", "FormalName"),
            root.findtext(".//TransmissionId"),
        )

    def test_an_embargo_changes_the_status(self) -> None:
        """Formats scenario 31: embargoed now, usable at a moment in basic form."""
        root = newsml_12(item_of("text", schedule_settings={"utc_embargo": LATER}))

        assert "Embargoed" == attribute(root, ".//Status", "FormalName")
        assert "usable" == attribute(root, ".//FutureStatus", "FormalName")
        assert "20260305T060708+0000" == root.findtext(".//StatusWillChange/DateAndTime")

    def test_carries_more_than_the_reference(self) -> None:
        """Version, languages, genre, slugline, keywords, what it derives from, captions.

        Formats contract 3.6.
        """
        said = {
            "genre": [{"name": "Article"}],
            "slugline": "s",
            "keywords": ["k"],
            "language": "fr",
        }
        root = newsml_12(item_of("picture", rewrite_of="urn:x:0", description_text="C", **said))

        assert "1.2" == root.get("Version")
        assert "fr" == attribute(root, "NewsItem", LANG)
        for path, name, value in (
            (".//Language", "FormalName", "fr"),
            (".//Genre", "FormalName", "Article"),
            (".//Property[@FormalName='Keyword']", "Value", "k"),
            (".//DerivedFrom", "NewsItem", "urn:x:0"),
        ):
            assert value == attribute(root, path, name)
        assert "s" == root.findtext(".//SlugLine")
        assert "C" == root.findtext(".//Role[@FormalName='Caption']/..//DataContent")
        assert root.find(".//EndDate") is None

    @pytest.mark.parametrize(
        ("kind", "role"),
        [("picture", "Photo"), ("graphic", "Graphic"), ("video", "Video"), ("audio", "Audio")],
    )
    def test_media(self, kind: str, role: str) -> None:
        """Formats scenario 31: each rendition is a content item; sizes are those of the file."""
        root = newsml_12(item_of(kind))

        content = root.find(".//ContentItem[@Href]")
        assert content is not None
        assert role == attribute(content, "MediaType", "FormalName")
        assert "5" == content.findtext("Characteristics/SizeInBytes")
        width = attribute(content, "Characteristics/Property[@FormalName='Width']", "Value")
        assert ("4" if kind in ("picture", "graphic") else "9") == width

    def test_a_package_refers_to_its_members(self) -> None:
        """Formats scenario 31: a component per group, with the version where it is known."""
        root = newsml_12(item_of("composite"))

        assert ["urn:x:2", "urn:x:3:2N"] == [r.get("NewsItem") for r in root.iter("NewsItemRef")]


class TestNewsMLG2:
    def test_nitf_stands_in_its_namespace(self) -> None:
        """Valid by both versions, the NITF in its own namespace, aliases of the catalog.

        Formats scenario 33.
        """
        root = g2(item_of("text", body_html="<p>b</p>"))

        assert "b" == root.findtext(f".//{{{NITF_NAMESPACE}}}body.content/{{{NITF_NAMESPACE}}}p")
        assert {"ninat", "stat", "subj"} <= catalog_aliases()
        assert "cat" not in catalog_aliases()
        assert attribute(root, f".//{G2}catalogRef", "href") == (
            "http://www.iptc.org/std/catalog/catalog.IPTC-G2-Standards_41.xml"
        )

    @pytest.mark.parametrize("name", ["text", "picture", "video", "package"])
    def test_another_reader_understands_it(self, name: str) -> None:
        """The IPTC's own library reads the item and resolves what kind it is.

        Formats scenario 33.
        """
        item = example_item(name)
        [content] = g2(item).iterfind(f"{G2}itemSet/*")
        read = NewsMLG2Document(etree.tostring(content)).item

        assert (item["guid"], str(item["_current_version"]), item["headline"]) == (
            read.guid,
            str(read.version),
            str(read.contentmeta.headline),
        )
        kind = "composite" if name == "package" else name
        uri = qcode_to_uri(read.itemmeta.itemclass.qcode)
        assert f"http://cv.iptc.org/newscodes/ninature/{kind}" == uri

    def test_the_check_can_fail(self) -> None:
        """Formats scenario 33: the schemas refuse what stands out of order."""
        root = g2(item_of("text", embargo=LATER))
        embargoed, status = root.find(f".//{G2}embargoed"), root.find(f".//{G2}pubStatus")
        assert embargoed is not None
        assert status is not None
        status.addnext(embargoed)

        assert not g2_schema("2.35").validate(root)
        assert not g2_schema("2.34").validate(root)

    def test_an_embargo_stands_before_the_status(self) -> None:
        """Formats scenario 34: embargoed, then pubStatus."""
        meta = g2(item_of("text", embargo=LATER)).find(f".//{G2}itemMeta")

        assert meta is not None
        names = [etree.QName(element).localname for element in meta]
        assert names.index("embargoed") == names.index("pubStatus") - 1
        assert "2026-03-05T06:07:08+00:00" == meta.findtext(f"{G2}embargoed")

    def test_names_stay_while_versions_rise(self) -> None:
        """The guid is the same in all versions of an item, its version goes up.

        Formats scenario 33.
        """
        items = [
            g2(item_of("text", _current_version=n)).find(f".//{G2}newsItem") for n in (1, 2, 9)
        ]

        assert [("urn:x:1", "1"), ("urn:x:1", "2"), ("urn:x:1", "9")] == [
            (i.get("guid"), i.get("version")) for i in items if i is not None
        ]

    def test_media_of_other_agencies(self) -> None:
        """A rendition that measures itself is sent with that, its length in seconds.

        Formats contract 3.7.
        """
        own = {"href": "https://e.org/v.mp4", "size": 7, "duration": 12, "width": 640}
        root = g2(item_of("video", renditions={"original": own}, filemeta=None))

        said = {"size": "7", "duration": "12", "durationunit": "timeunit:seconds", "width": "640"}
        remote = root.find(f".//{G2}remoteContent")
        assert remote is not None
        assert said.items() <= dict(remote.attrib).items()

    @pytest.mark.parametrize(
        ("fields", "signal"),
        [
            ({"state": "published", "operation": "publish"}, None),
            ({"state": "published", "operation": "publish", "_current_version": 7}, None),
            ({"state": "corrected", "operation": "correct"}, "sig:correction"),
            ({"state": "killed", "operation": "kill", "_current_version": 3}, "sig:update"),
        ],
    )
    def test_signals(self, fields: dict[str, Any], signal: str | None) -> None:
        """Corrected: sig:correction; first version: no signal; later ones: sig:update.

        Formats scenario 34.
        """
        root = g2(item_of("text", **fields))

        found = root.find(f".//{G2}signal")
        assert signal == (None if found is None else found.get("qcode"))

    @pytest.mark.parametrize(
        ("language", "name", "tag"),
        [
            ("fr-CA", "Article FR", "fr"),
            ("fr", "Article FR", "fr"),
            ("de", "Article", None),
            (None, "Article", None),
            ("fr_CA", "Article FR", "fr"),
            ("pt_BR", "Artigo", "pt-BR"),
            ("no tag", "Article", None),
        ],
    )
    def test_takes_the_name_in_the_language(
        self, language: str | None, name: str, tag: str | None
    ) -> None:
        """`fr-CA` takes the French name and marks it; of any other the language is not known.

        Formats scenario 35.
        """
        names = {"fr": "Article FR", "pt_BR": "Artigo"}
        genre = {"qcode": "A", "name": "Article", "translations": {"name": names}}
        settings = FormatSettings(default_language="en_AU")
        root = g2(item_of("text", language=language, genre=[genre]), settings=settings)

        found = root.find(f".//{G2}genre/{G2}name")
        assert found is not None
        assert (name, tag) == (found.text, found.get(LANG))

    def test_a_package_starts_with_its_root(self) -> None:
        """Formats scenario 36: root first, groupRefs, itemRefs with class, status and headline."""
        root = g2(item_of("composite"))

        assert ["root", "main"] == [group.get("id") for group in root.iter(f"{G2}group")]
        assert ["main"] == [reference.get("idref") for reference in root.iter(f"{G2}groupRef")]
        first, second = root.iter(f"{G2}itemRef")
        assert ("urn:x:2", "urn:x:3", "2") == (
            first.get("residref"),
            second.get("residref"),
            second.get("version"),
        )
        assert "ninat:text" == attribute(first, f"{G2}itemClass", "qcode")
        assert "stat:canceled" == attribute(first, f"{G2}pubStatus", "qcode")
        assert "H" == first.findtext(f"{G2}headline")

    def test_groups_of_any_id(self) -> None:
        """Ids are XML names, no two of them the same; no member is lost on the way.

        Formats contract 3.7.
        """
        ids = ["1a", "a b", "a_b", "", None, "1a"]
        groups = [{"id": id_, "refs": [{"residRef": f"urn:{n}"}]} for n, id_ in enumerate(ids)]
        top = {"id": "root", "refs": [{"idRef": id_} for id_ in ids]}
        root = g2(item_of("composite", groups=[*groups, top]))

        assert [
            ("root", ["_1a", "a_b", "a_b_", "_1a"]),
            ("_1a", ["urn:0", "urn:5"]),
            ("a_b", ["urn:1"]),
            ("a_b_", ["urn:2"]),
            ("group", ["urn:3", "urn:4"]),
        ] == [
            (group.get("id"), [r.get("idref") or r.get("residref") for r in group])
            for group in root.iter(f"{G2}group")
        ]

    def test_subjects_stand_under_their_vocabulary(self) -> None:
        """An alias for each, of the IPTC catalog or declared; only IPTC codes under subj.

        Formats contract 3.7.
        """
        subjects = [
            {"qcode": "17000000", "name": "weather"},
            {"qcode": "medtop:20000763", "name": "forest fire"},
            {"qcode": "20000763", "name": "forest fire", "scheme": "medtop"},
            {"qcode": "17000000", "name": "own", "scheme": "my topics"},
            {"qcode": "x", "name": "other", "scheme": "my_topics"},
            {"qcode": "a", "name": "A", "scheme": "https://e.org/cv"},
            {"qcode": "b", "name": "B"},
            {"qcode": "c d", "name": "CD", "scheme": "my topics"},
            {"name": "nameless", "scheme": "my topics"},
        ]
        root = g2(item_of("text", subject=subjects))

        assert [
            *("subj:17000000", "medtop:20000763", "medtop:20000763", "cv-my_topics:17000000"),
            *("cv-my_topics_:x", "cv-https_e.org_cv:a", "cv:b", "c d", "nameless"),
        ] == [s.get("qcode") or s.get("literal") for s in root.iter(f"{G2}subject")]
        declared = {s.get("alias"): s.get("uri") for s in root.iter(f"{G2}scheme")}
        assert {
            "cv-my_topics": "http://localhost/cv/my%20topics/",
            "cv-my_topics_": "http://localhost/cv/my_topics/",
            "cv-https_e.org_cv": "https://e.org/cv/",
        }.items() <= declared.items()

    def test_a_member_that_is_gone_is_skipped(self) -> None:
        """Formats scenario 36: of members that are known, those that are gone are left out."""
        member = {"guid": "urn:x:3", "type": "picture", "headline": "P", "pubstatus": "usable"}
        root = g2(item_of("composite"), members={"urn:x:3": member})
        empty = g2(item_of("composite"), members={})

        [reference] = root.iter(f"{G2}itemRef")
        assert "P" == reference.findtext(f"{G2}headline")
        assert not list(empty.iter(f"{G2}itemRef"))

    def test_places(self) -> None:
        """A place is an area with what lies around it; its position is asserted.

        Formats contract 3.7.
        """
        state = {"qcode": "NSW", "state": "New South Wales", "country": "Australia"}
        geoname = {
            "scheme": "geonames",
            "code": "2147714",
            "name": "Sydney",
            "country": "Australia",
            "location": {"lat": -33.9, "lon": 151.2},
        }
        root = g2(item_of("text", place=[state, geoname]))

        areas = root.findall(f".//{G2}subject[@type='cpnat:geoArea']")
        assert ["NSW", None] == [area.get("literal") for area in areas]
        assert "geonames:2147714" == areas[1].get("qcode")
        assert "Australia" == areas[0].findtext(f"{G2}broader/{G2}name")
        position = f".//{G2}assert/{G2}geoAreaDetails/{G2}position"
        assert "151.200000" == attribute(root, position, "longitude")

    @pytest.mark.parametrize(
        ("place", "name"),
        [
            ({"qcode": "NSW", "name": "NSW", "state": "New South Wales"}, "New South Wales"),
            ({"qcode": "oslo", "name": "Oslo", "country": "Norway"}, "Oslo"),
            ({"name": "Oslo", "country": "Norway"}, "Oslo"),
            ({"qcode": "EU", "world_region": "Europe"}, "Europe"),
        ],
    )
    def test_a_place_keeps_its_name(self, place: dict[str, str], name: str) -> None:
        """Unless that is no more than its code."""
        found = g2(item_of("text", place=[place])).find(f".//{G2}subject/{G2}name")

        assert found is not None
        assert name == found.text

    def test_countries_of_places_have_their_codes(self) -> None:
        oslo = {"name": "Oslo", "country": "Norway", "country_code": "NO"}
        norway = {"name": "Norway", "qcode": "http://cvx.iptc.org/iso3166-1a3/NOR"}

        root = g2(item_of("text", place=[oslo, norway]))

        [around] = root.iter(f"{G2}broader")
        assert "iso3166-1a2:NO" == around.get("qcode")
        places = [e for e in root.iter(f"{G2}subject") if e.get("type") == "cpnat:geoArea"]
        assert "iso3166-1a3:NOR" == places[-1].get("qcode")

    def test_preformatted_text(self) -> None:
        """Preserved text is text/plain; any other is NITF, never an empty content set.

        Formats contract 3.7.
        """
        kept = g2(item_of("preformatted", format="preserved", body_html="a\nb"))
        other = g2(item_of("preformatted", body_html="<p>a</p>"))

        assert "text/plain" == attribute(kept, f".//{G2}inlineData", "contenttype")
        assert other.find(f".//{G2}inlineXML") is not None


def picture(number: int, **fields: Any) -> dict[str, Any]:
    """Return a picture as stories hold it."""
    files = {
        name: {"href": f"https://e.org/{number}/{name}.jpg", "mimetype": "image/jpeg", "width": 9}
        for name in ("original", "viewImage", "16-9")
    }
    files["original"] |= {"height": 6, "size": 4321}
    own = {"_id": f"urn:p:{number}", "guid": f"urn:p:{number}", "type": "picture"}
    said = {"headline": f"Picture {number}", "description_text": f"Caption {number}"}
    return {**own, **said, "_current_version": number, "renditions": files, **fields}


class TestMediaOfStories:
    """Formats contract 3.7: the media of a story go with it, as items of their own."""

    def items(self, **fields: Any) -> list[etree._Element]:
        return list(g2(item_of("text", **fields)).find(f"{G2}itemSet"))

    def test_each_is_an_item_that_the_story_links_to(self) -> None:
        """The feature first, then those of the text; which item is which, another reader tells."""
        held = {"editor_0": picture(1), "featuremedia": picture(2), "editor_1": picture(3)}
        items = self.items(associations=held)

        guids = ["urn:x:1", "urn:p:2", "urn:p:1", "urn:p:3"]
        assert guids == [item.get("guid") for item in items]
        read = [NewsMLG2Document(etree.tostring(item)).item for item in items]
        assert ["1", "2", "1", "3"] == [str(item.version) for item in read]
        assert [str(item.contentmeta.headline) for item in read[1:]] == [
            *("Picture 2", "Picture 1", "Picture 3")
        ]
        links = items[0].findall(f"{G2}itemMeta/{G2}link")
        assert [("irel:seeAlso", "urn:p:2", "2"), ("irel:seeAlso", "urn:p:1", "1")] == [
            (link.get("rel"), link.get("residref"), link.get("version")) for link in links[:2]
        ]
        assert {"application/vnd.iptc.g2.newsitem+xml"} == {e.get("contenttype") for e in links}
        related = qcode_to_uri(str(links[0].get("rel")))
        assert "http://cv.iptc.org/newscodes/itemrelation/seeAlso" == related

    def test_the_items_of_a_message_go_together(self) -> None:
        with_picture = g2(item_of("text", associations={"featuremedia": picture(1)}))

        signal = f"{G2}header/{G2}signal"
        assert "nmsig:atomic" == attribute(with_picture, signal, "qcode")
        assert g2(item_of("text")).find(signal) is None

    def test_a_picture_says_what_is_known_of_it(self) -> None:
        """Caption, alternative text, credit, rights, author; the language is the story's."""
        own = {
            "byline": "Eve Lens",
            "creditline": "Eve Lens/Agency",
            "alt_text": "A tram",
            "copyrightholder": "Agency",
            "usageterms": "No sales",
            "pubstatus": "usable",
        }
        _, item = self.items(language="de", associations={"editor_3": picture(1, **own)})

        assert "de" == item.get(LANG)
        assert "ninat:picture" == attribute(item, f".//{G2}itemClass", "qcode")
        assert "Eve Lens" == item.findtext(f".//{G2}creator/{G2}name")
        assert "Eve Lens/Agency" == item.findtext(f".//{G2}creditline")
        assert "Agency" == item.findtext(f".//{G2}copyrightHolder/{G2}name")
        assert "No sales" == item.findtext(f".//{G2}usageTerms")
        said = {e.get("role"): e.text for e in item.iter(f"{G2}description")}
        assert {"drol:caption": "Caption 1", "drol:altText": "A tram"} == said

    def test_renditions_have_the_codes_of_the_iptc(self) -> None:
        """Those that it has none for, such as crops, keep their name."""
        _, item = self.items(associations={"featuremedia": picture(1)})

        NewsMLG2Document(etree.tostring(item))
        files = list(item.iter(f"{G2}remoteContent"))
        names = ["rnd:highRes", "rnd:preview", "rendition:16-9"]
        assert names == [file.get("rendition") for file in files]
        rendition = qcode_to_uri(str(files[0].get("rendition")))
        assert "http://cv.iptc.org/newscodes/rendition/highRes" == rendition
        assert {
            "href": "https://e.org/1/original.jpg",
            "contenttype": "image/jpeg",
            "width": "9",
            "height": "6",
            "size": "4321",
        }.items() <= dict(files[0].attrib).items()

    @pytest.mark.parametrize(
        "withdrawn",
        [{"pubstatus": "canceled"}, {"state": "killed"}, {"state": "recalled"}, {"renditions": {}}],
    )
    def test_what_is_withdrawn_or_has_no_file_is_left_out(self, withdrawn: dict[str, Any]) -> None:
        held = {"featuremedia": picture(1, **withdrawn), "editor_0": picture(2)}
        items = self.items(associations=held)

        assert ["urn:x:1", "urn:p:2"] == [item.get("guid") for item in items]
        assert 1 == len(items[0].findall(f"{G2}itemMeta/{G2}link"))

    @pytest.mark.parametrize("state", ["killed", "recalled", "unpublished"])
    def test_a_withdrawn_story_has_none(self, state: str) -> None:
        fields = {"state": state, "pubstatus": "canceled", "_current_version": 2}

        [item] = self.items(associations={"featuremedia": picture(1)}, **fields)

        assert item.find(f"{G2}itemMeta/{G2}link") is None

    def test_is_under_the_embargo_of_its_story(self) -> None:
        """The later of its own and the story's counts, and none where both are over."""
        held = {"featuremedia": picture(1, embargoed=LATER), "editor_0": picture(2)}
        ends = [
            [item.findtext(f".//{G2}embargoed") for item in self.items(associations=held, **own)]
            for own in ({}, {"embargo": LATER.replace(day=7)}, {"embargo": NOW.replace(day=1)})
        ]

        fifth, seventh = "2026-03-05T06:07:08+00:00", "2026-03-07T06:07:08+00:00"
        assert [[None, fifth, None], [seventh] * 3, [None, fifth, None]] == ends

    @pytest.mark.parametrize(
        "held",
        [
            {"a": None, "b": [], "c": "x", "d": {}, "e": {"type": "text", "guid": "urn:t"}},
            {"featuremedia": {"type": "picture", "renditions": {"a": None, "b": {"href": 3}}}},
            {"featuremedia": {"type": "picture", "renditions": "none"}},
            {"featuremedia": {"type": ["picture"], "renditions": {"a": {"href": "https://e.org"}}}},
            {"featuremedia": {"type": "picture", "renditions": {"a": {"href": "no address: x"}}}},
            {"featuremedia": picture(1, guid="urn:x:1")},
        ],
    )
    def test_what_is_no_medium_gives_no_item(self, held: dict[str, Any]) -> None:
        assert 1 == len(self.items(associations=held))

    def test_every_item_has_an_id_once(self) -> None:
        """The same picture twice is one item; one without an id gets one that stays."""
        nameless = picture(3, guid=None, _id=None)
        held = {"featuremedia": picture(1), "editor_0": picture(1), "editor_1": nameless}

        guids = [item.get("guid") for item in self.items(associations=held)]

        assert ["urn:x:1", "urn:p:1", "urn:x:1#editor_1"] == guids

    def test_media_from_elsewhere_and_of_other_kinds(self) -> None:
        """A film goes along like a picture; what only has an address is one rendition."""
        film = {"type": "video", "guid": "urn:f", "url": "https://e.org/f.mp4", "width": 640}
        _, item = self.items(associations={"editor_0": {**film, "mimeType": "video/mp4"}})

        assert "ninat:video" == attribute(item, f".//{G2}itemClass", "qcode")
        said = {"href": "https://e.org/f.mp4", "contenttype": "video/mp4", "width": "640"}
        assert said.items() <= dict(item.find(f".//{G2}remoteContent").attrib).items()

    def test_says_the_same_whenever_it_is_sent(self) -> None:
        """A medium without a time of its own has the story's, not that of sending."""
        held = {"featuremedia": picture(1)}
        written = [
            g2(item_of("text", associations=held), now=now).findall(f".//{G2}versionCreated")
            for now in (NOW, LATER)
        ]

        assert [["2026-03-04T05:06:08+00:00"] * 2] * 2 == [[e.text for e in es] for es in written]

    def test_media_of_packages(self) -> None:
        root = g2(item_of("composite", associations={"featuremedia": picture(1)}))

        names = [etree.QName(item).localname for item in root.find(f"{G2}itemSet")]
        assert ["packageItem", "newsItem"] == names


class TestRightsInG2:
    """Formats contract 3.7: whose it is and what may be done with it, each item for itself."""

    def rights(self, **fields: Any) -> list[tuple[str, str]]:
        info = g2(item_of("text", **fields)).find(f".//{G2}rightsInfo")
        assert info is not None
        return [(etree.QName(part).localname, "".join(part.itertext())) for part in info]

    def test_of_the_item_or_of_its_source(self) -> None:
        """What the item does not say is the source's; what is somebody else's is theirs alone."""
        holder, notice = "Example News", "(c) 2026 Example News"
        source = [("copyrightHolder", holder), ("copyrightNotice", notice)]

        assert [*source, ("usageTerms", "Editorial use only")] == self.rights()
        assert [*source, ("usageTerms", "No sales")] == self.rights(usageterms="No sales")
        assert [("copyrightHolder", "Jo")] == self.rights(copyrightholder="Jo")
        assert [("copyrightNotice", "(c) Jo")] == self.rights(copyrightnotice="(c) Jo")

    @pytest.mark.parametrize("case", [str, str.lower])
    def test_expressed_in_odrl(self, case: Any) -> None:
        """A link and an expression, under the keys of ninjs 1 or 2."""
        policy = '{"@type": "Offer", "permission": "<print>"}'
        given = {
            case("linkedRights"): "https://e.org/rights",
            case("langId"): "http://www.w3.org/ns/odrl/2/odrl.jsonld",
            case("encodedRights"): policy,
        }
        root = g2(item_of("text", extra={"rightsinfo": given}))

        assert "https://e.org/rights" == attribute(root, f".//{G2}rightsInfo/{G2}link", "href")
        expression = root.find(f".//{G2}rightsExpressionData")
        assert expression is not None
        assert policy == expression.text
        assert {
            "langid": "http://www.w3.org/ns/odrl/2/odrl.jsonld",
            "enctype": "application/ld+json",
        } == dict(expression.attrib)

    @pytest.mark.parametrize(
        ("encoded", "kind"),
        [
            ("<o:Policy xmlns:o='http://www.w3.org/ns/odrl/2/'/>", "application/xml"),
            ("<Policy>broken & open", "application/xml"),
            ("@prefix odrl: <http://www.w3.org/ns/odrl/2/> .", "text/turtle"),
            ("Ask us\x00", "text/plain"),
        ],
    )
    def test_expressed_otherwise(self, encoded: str, kind: str) -> None:
        """Whatever was given goes out as it is; without a language it is ODRL."""
        root = g2(
            item_of("text", extra={"rightsinfo": {"encodedrights": encoded, "langid": "x y"}})
        )

        expression = root.find(f".//{G2}rightsExpressionData")
        assert expression is not None
        assert encoded.strip("\x00") == expression.text
        assert (kind, "http://www.w3.org/ns/odrl/2/") == (
            expression.get("enctype"),
            expression.get("langid"),
        )

    @pytest.mark.parametrize(
        "given", [None, "", [], "odrl", {}, {"linkedrights": 3}, {"linkedrights": "no link"}]
    )
    def test_what_cannot_be_read_is_left_out(self, given: Any) -> None:
        assert "link" not in dict(self.rights(extra={"rightsinfo": given}))

    def test_each_picture_has_its_own(self) -> None:
        """By its own fields, or those of its own source; never those of the story."""
        odrl = {"rightsinfo": {"linkedrights": "https://e.org/p"}}
        held = {
            "featuremedia": picture(1, copyrightholder="Eve", extra=odrl),
            "editor_0": picture(2, source="Agency"),
        }
        root = g2(item_of("text", copyrightholder="Desk", associations=held))

        infos = list(root.iter(f"{G2}rightsInfo"))
        holders = [info.findtext(f"{G2}copyrightHolder/{G2}name") for info in infos]
        assert ["Desk", "Eve", "Agency"] == holders
        assert [None, None, None] == [info.findtext(f"{G2}copyrightNotice") for info in infos]
        assert [0, 1, 0] == [len(info.findall(f"{G2}link")) for info in infos]

    def test_the_credit_is_the_items_own(self) -> None:
        fields = {"source": "Desk", "original_source": "Wire"}

        own = g2(item_of("text", creditline="Desk/Wire", **fields))
        other = g2(item_of("text", **fields))

        assert "Desk/Wire" == own.findtext(f".//{G2}creditline")
        assert "Wire" == other.findtext(f".//{G2}creditline")


class TestWhatG2SaysOfAnItem:
    """Formats contract 3.7: what an item replaces, how it came about, who made it, where."""

    @pytest.mark.parametrize(
        ("fields", "signals"),
        [
            ({"rewrite_of": "urn:x:0", "operation": "publish"}, ["sig:update"]),
            ({"rewrite_of": "urn:x:0", "state": "corrected"}, ["sig:correction"]),
            ({"flags": {"marked_for_legal": True}}, ["sig:cwarn"]),
            (
                {"state": "corrected", "flags": {"marked_for_legal": True}},
                ["sig:correction", "sig:cwarn"],
            ),
            ({"flags": None, "rewrite_of": ["x"]}, []),
        ],
    )
    def test_signals_of_updates_and_warnings(
        self, fields: dict[str, Any], signals: list[str]
    ) -> None:
        root = g2(item_of("text", **fields))

        assert signals == [s.get("qcode") for s in root.iterfind(f".//{G2}itemMeta/{G2}signal")]

    def test_an_update_links_to_the_story_that_it_replaces(self) -> None:
        """Before the pictures; that is read by another reader too."""
        held = {"featuremedia": picture(1)}
        root = g2(item_of("text", rewrite_of="urn:x:0", associations=held))

        [story, _] = root.find(f"{G2}itemSet")
        NewsMLG2Document(etree.tostring(story))
        links = story.findall(f"{G2}itemMeta/{G2}link")
        assert [("irel:previousVersion", "urn:x:0"), ("irel:seeAlso", "urn:p:1")] == [
            (link.get("rel"), link.get("residref")) for link in links
        ]
        uri = "http://cv.iptc.org/newscodes/itemrelation/previousVersion"
        assert uri == qcode_to_uri(str(links[0].get("rel")))

    @pytest.mark.parametrize(
        ("said", "identity"),
        [
            (
                "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
                {"qcode": "digsrctype:trainedAlgorithmicMedia"},
            ),
            ("digsrctype:digitalCapture", {"qcode": "digsrctype:digitalCapture"}),
            ("https://e.org/made-by-hand", {"uri": "https://e.org/made-by-hand"}),
            ("by hand", {"literal": "by hand"}),
            ({"name": "By hand"}, {"literal": "By hand"}),
            ({"name": "Camera", "uri": "https://e.org/c"}, {"uri": "https://e.org/c"}),
            ("http://cv.iptc.org/newscodes/digitalsourcetype/", {}),
            (3, {}),
            ({}, {}),
        ],
    )
    @pytest.mark.parametrize("held_in", ["item", "extra"])
    def test_how_it_came_about(self, said: Any, identity: dict[str, str], held_in: str) -> None:
        fields = {"digitalsourcetype": said}
        root = g2(item_of("text", **(fields if held_in == "item" else {"extra": fields})))

        found = root.find(f".//{G2}digitalSourceType")
        if identity:
            assert found is not None
            assert identity == dict(found.attrib)
        else:
            assert found is None or "uri" in found.attrib

    def test_who_it_comes_from(self) -> None:
        """Source and original source once each; all that came in where these say less."""
        sources = [{"name": "A", "uri": "https://e.org/a"}, {"literal": "B"}, {"role": "x"}, None]

        def read(**fields: Any) -> list[tuple[str | None, str | None]]:
            found = g2(item_of("text", **fields)).iter(f"{G2}infoSource")
            return [(e.findtext(f"{G2}name"), e.get("uri") or e.get("literal")) for e in found]

        assert [("Desk", "Desk"), ("Wire", "Wire")] == read(source="Desk", original_source="Wire")
        assert [("Desk", "Desk")] == read(source="Desk", original_source="Desk")
        assert [("A", "https://e.org/a"), ("B", "B")] == read(
            source="A, B", extra={"infosources": sources}
        )
        assert [] == read()

    @pytest.mark.parametrize(
        ("fields", "path", "words"),
        [
            ({"word_count": 3}, "inlineXML", "3"),
            ({"word_count": 2, "format": "preserved"}, "inlineData", "2"),
            ({"word_count": 0}, "inlineXML", "0"),
            *(({"word_count": value}, "inlineXML", None) for value in (None, -1, "many", [3])),
        ],
    )
    def test_says_how_many_words_there_are(
        self, fields: dict[str, Any], path: str, words: str | None
    ) -> None:
        """As the archive counts them whenever it saves a text."""
        assert words == attribute(g2(item_of("text", **fields)), f".//{G2}{path}", "wordcount")

    @pytest.mark.parametrize(
        ("kind", "fields", "role"),
        [
            ("text", {"abstract": "<p>Use &lt;b&gt; when 1 &lt; 2</p>"}, "drol:summary"),
            ("picture", {"description_text": "Use <b> when 1 < 2"}, "drol:caption"),
            ("picture", {"description": "<p>Use &lt;b&gt; when 1 &lt; 2</p>"}, "drol:caption"),
        ],
    )
    def test_a_description_is_read_once(self, kind: str, fields: dict[str, Any], role: str) -> None:
        found = g2(item_of(kind, **fields)).find(f".//{G2}description")

        assert found is not None
        assert (role, "Use <b> when 1 < 2") == (found.get("role"), found.text)

    def test_moments_of_the_content(self) -> None:
        """When it was made and until when it holds, never when the newsroom lets it go."""
        extra = {"expires": "2026-05-01T00:00:00Z", "contentcreated": "2019-01-02T03:04:05+01:00"}
        own = g2(item_of("text", firstcreated=NOW, expiry=NOW, extra=extra))
        other = g2(item_of("text", firstcreated=NOW, expiry=NOW, extra={"expires": "soon"}))

        assert "2026-05-01T00:00:00+00:00" == own.findtext(f".//{G2}expires")
        assert "2019-01-02T02:04:05+00:00" == own.findtext(f".//{G2}contentCreated")
        assert "2026-03-04T05:06:08+00:00" == own.findtext(f".//{G2}firstCreated")
        assert other.find(f".//{G2}expires") is None

    @pytest.mark.parametrize(
        ("located", "kind", "identities"),
        [
            (
                {
                    **{"city": "Sydney", "state": "New South Wales", "country": "Australia"},
                    **{"state_code": "NSW", "country_code": "AU"},
                    "place": {"scheme": "geonames", "code": "2147714", "name": "Sydney"},
                },
                "loctyp:City",
                ["geonames:2147714", "iso3166-2:AU-NSW", "iso3166-1a2:AU"],
            ),
            (
                {"city": "Oslo", "state": "Oslo", "state_code": "12", "country_code": "no"},
                "loctyp:City",
                ["Oslo", "Oslo"],
            ),
            (
                {"city": "Oslo", "country": "Norway", "country_code": "no", "place": "x"},
                "loctyp:City",
                ["Oslo", "iso3166-1a2:NO"],
            ),
            (
                {"state": "Bavaria", "state_code": "DE-BY", "country_code": "DE"},
                "loctyp:CountryArea",
                ["iso3166-2:DE-BY"],
            ),
            ({"country": "Norway", "country_code": "NOR"}, "loctyp:Country", ["Norway"]),
            ({"country_code": "NO"}, None, []),
        ],
    )
    def test_where_it_was_written(
        self, located: dict[str, Any], kind: str | None, identities: list[str]
    ) -> None:
        """The most exact place that is known, then those around it: by codes where there are."""
        found = g2(item_of("text", dateline={"located": located})).find(f".//{G2}located")

        if found is None:
            assert kind is None
            return
        assert kind == found.get("type")
        places = [found, *found.iterfind(f"{G2}broader")]
        assert identities == [place.get("qcode") or place.get("literal") for place in places]

    def test_where_a_city_lies(self) -> None:
        place = {"location": {"lat": 59.9, "lon": 10.7}}
        root = g2(item_of("text", dateline={"located": {"city": "Oslo", "place": place}}))

        path = f".//{G2}located/{G2}geoAreaDetails/{G2}position"
        assert "59.900000" == attribute(root, path, "latitude")

    def test_what_it_is_about_by_address(self) -> None:
        """What has an address is known by it; an address of the IPTC is one of its codes."""
        root = g2(
            item_of(
                "text",
                person=[
                    {"name": "Ada", "qcode": "ada", "uri": "https://e.org/ada", "relevance": 80},
                    {"name": "Eve", "qcode": "eve", "scheme": "staff", "confidence": 300},
                ],
                organisation=[{"name": "Rail", "qcode": "https://e.org/rail"}],
                event=[{"name": "Day", "qcode": "d", "uri": "no address"}],
                object=[{"name": "Moon", "uri": "http://www.wikidata.org/entity/Q405"}],
                subject=[
                    {
                        "name": "fire",
                        "qcode": "x",
                        "uri": "http://cv.iptc.org/newscodes/mediatopic/20000763",
                        "relevance": 100,
                    }
                ],
            )
        )

        found = {e.findtext(f"{G2}name"): dict(e.attrib) for e in root.iter(f"{G2}subject")}
        assert {
            "fire": {"type": "cpnat:abstract", "qcode": "medtop:20000763", "relevance": "100"},
            "Ada": {"type": "cpnat:person", "uri": "https://e.org/ada", "relevance": "80"},
            "Eve": {"type": "cpnat:person", "qcode": "cv-staff:eve"},
            "Rail": {"type": "cpnat:organisation", "uri": "https://e.org/rail"},
            "Day": {"type": "cpnat:event", "qcode": "cv:d"},
            "Moon": {"type": "cpnat:object", "qcode": "wikidata:Q405"},
        } == found

    def test_who_made_it(self) -> None:
        """Authors with role and address; the byline where none of them has a name."""
        authors = [
            {"name": "Joe Pen", "role": "writer", "uri": "https://e.org/joe"},
            {"parent": "user1", "role": "chief editor"},
            {"role": "writer"},
        ]

        def read(**fields: Any) -> list[tuple[Any, ...]]:
            found = g2(item_of("text", **fields)).iter(f"{G2}creator")
            return [
                (e.findtext(f"{G2}name"), e.get("uri") or e.get("literal"), e.get("role"))
                for e in found
            ]

        assert [
            ("Joe Pen", "https://e.org/joe", "role:Writer"),
            ("Jane Writer", "Jane Writer", "role:chief%20editor"),
        ] == read(authors=authors, byline="By them")
        assert [("By them", "By them", None)] == read(authors=authors[2:], byline="By them")

    def test_names_of_no_known_language_say_none(self) -> None:
        """Only a translation says what language it is in."""
        names = {"qcode": "A", "name": "Article", "translations": {"name": {"de": "Artikel"}}}
        fields = {"genre": [names], "person": [{"name": "Ada"}], "subject": [{"name": "x"}]}
        root = g2(item_of("text", language="de", **fields))

        found = [(e.text, e.get(LANG)) for e in root.find(f".//{G2}contentMeta").iter(f"{G2}name")]
        assert [("Artikel", "de"), ("x", None), ("Ada", None)] == found
