"""Pictures and other media of a story in NITF and NewsML 1.2."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from formatters import BUILT_IN
from tests.support.format_items import CONTEXT
from tests.support.format_schemas import CHECKS, parsed

FORMATS = {formatter.type: formatter for formatter in BUILT_IN}


def picture(number: int, **fields: Any) -> dict[str, Any]:
    """Return a picture that says everything of itself."""
    files = {
        "thumbnail": {"href": f"https://e.org/{number}-t.jpg", "mimetype": "image/jpeg"},
        "original": {
            "href": f"https://e.org/{number}.jpg",
            "mimetype": "image/jpeg",
            "width": 800,
            "height": 600,
        },
    }
    return {
        "guid": f"urn:p:{number}",
        "type": "picture",
        "headline": f"Head {number}",
        "description_text": f"Caption {number}, <2 m & more",
        "alt_text": f"Alt {number}",
        "byline": f"Lens {number}",
        "creditline": f"Credit {number}",
        "source": f"Agency {number}",
        "copyrightholder": f"Holder {number}",
        "copyrightnotice": f"(c) {number}",
        "usageterms": f"Terms {number}",
        "renditions": files,
        **fields,
    }


def embed(key: str, inner: str, kind: str = "Image") -> str:
    mark = f'{kind} {{id: "{key}"}}'
    return f"<!-- EMBED START {mark} -->{inner}<!-- EMBED END {mark} -->"


def story(html: str, held: Mapping[str, Any] | None, **fields: Any) -> dict[str, Any]:
    return {
        "_id": "1",
        "guid": "urn:x:1",
        "type": "text",
        "headline": "H",
        "body_html": html,
        "associations": held,
        **fields,
    }


def written(name: str, item: Mapping[str, Any]) -> etree._Element:
    [formatted] = FORMATS[name]().format(item, CONTEXT)
    CHECKS[name](formatted)
    return parsed(formatted)


def nitf(html: str, held: Mapping[str, Any] | None, **fields: Any) -> etree._Element:
    content = written("nitf", story(html, held, **fields)).find(".//body.content")
    assert content is not None
    return content


def places(content: etree._Element) -> list[str]:
    """Return what stands in a text: its paragraphs, and the first file of each medium."""
    found = [child if child.tag == "p" else child.find("media-reference") for child in content]
    return [str(e.get("source") or e.text) for e in found if e is not None]


FIGURE = '<figure><img src="{0}" alt="In text"><figcaption>Below</figcaption></figure>'
SHOWN = {
    "figure": embed("editor_0", FIGURE.format("https://e.org/0.jpg")),
    "other file of it": embed("editor_0", FIGURE.format("https://e.org/0-t.jpg")),
    "unknown file": embed("editor_0", FIGURE.format("https://elsewhere.org/x.jpg")),
    "no address": embed("editor_0", '<figure><img src="" alt=""></figure>'),
    "no element": embed("editor_0", "<figure></figure>"),
    "nothing": embed("editor_0", "\n"),
    "caption only": embed("editor_0", "<figure><figcaption></figcaption></figure>"),
    "without comments": FIGURE.format("https://e.org/0.jpg"),
    "bare": '<img src="https://e.org/0.jpg">',
    "by its id": '<img id="editor_0" src="https://elsewhere.org/x.jpg">',
    "script": embed("editor_0", '<img src="javascript:x()">'),
    "player": embed("editor_0", "<video controls></video>", "Video"),
}


class TestNITF:
    @pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN.keys())
    def test_stands_where_the_text_shows_it(self, shown: str) -> None:
        content = nitf(f"<p>One</p>{shown}<p>Two</p>", {"editor_0": picture(0)})

        assert ["One", "https://e.org/0.jpg", "Two"] == places(content)

    def test_says_all_that_is_known(self) -> None:
        """Every file, the original first; caption, maker, credit, alternative text, rights."""
        [medium] = nitf("<p>T</p>", {"featuremedia": picture(0)}).iter("media")

        assert "image" == medium.get("media-type")
        first, second = medium.findall("media-reference")
        assert {
            "source": "https://e.org/0.jpg",
            "name": "original",
            "mime-type": "image/jpeg",
            "width": "800",
            "height": "600",
            "source-credit": "Agency 0",
            "copyright": "Holder 0",
            "alternate-text": "Alt 0",
        } == dict(first.attrib)
        assert "https://e.org/0-t.jpg" == second.get("source")
        assert "Caption 0, <2 m & more" == medium.findtext("media-caption")
        assert ["Lens 0", "Credit 0"] == [e.text for e in medium.iter("media-producer")]
        assert {
            "guid": "urn:p:0",
            "headline": "Head 0",
            "copyrightholder": "Holder 0",
            "copyrightnotice": "(c) 0",
            "usageterms": "Terms 0",
        } == {e.get("name"): e.get("value") for e in medium.iter("media-metadata")}

    def test_the_text_says_what_stands_below(self) -> None:
        """What an editor changed there counts; what it does not say is that of the picture."""
        bare = picture(1, alt_text=None, description_text=None)
        html = SHOWN["figure"] + embed("editor_1", '<img src="x" alt="Other">')
        first, second = nitf(html, {"editor_0": picture(0), "editor_1": bare}).iter("media")

        assert ("Below", "Head 1") == (
            first.findtext("media-caption"),
            second.findtext("media-caption"),
        )
        assert ["Alt 0", "Other"] == [
            e.find("media-reference").get("alternate-text") for e in (first, second)
        ]

    def test_a_picture_that_leads_elsewhere(self) -> None:
        """The link stands around the caption of the picture."""
        html = '<a href="https://e.org/more"><img src="https://e.org/0.jpg" alt="In text"></a>'
        [medium] = nitf(html, {"editor_0": picture(0)}).iter("media")

        link = medium.find("media-caption/a")
        assert link is not None
        assert ("https://e.org/more", picture(0)["description_text"]) == (
            link.get("href"),
            link.text,
        )

    def test_main_picture_first_the_rest_last(self) -> None:
        held = {
            "gallery--1": picture(2),
            "editor_0": picture(0),
            "featuremedia": picture(1),
            "gallery--2": None,
        }
        content = nitf(f"<p>One</p>{SHOWN['figure']}<p>Two</p>", held)

        files = [f"https://e.org/{n}.jpg" for n in (1, 0, 2)]
        assert [files[0], "One", files[1], "Two", files[2]] == places(content)

    def test_the_main_picture_stands_once(self) -> None:
        """Also where the text shows it; with another caption it is another one."""
        held = {"featuremedia": picture(0), "editor_0": picture(0)}
        html = f"<p>One</p>{SHOWN['figure']}"
        assert ["One", "https://e.org/0.jpg"] == places(nitf(html, held))

        other = {**held, "featuremedia": picture(0, description_text="Other")}
        assert 2 == len(list(nitf(html, other).iter("media")))

    def test_preserved_text(self) -> None:
        held = {"featuremedia": picture(0), "gallery--1": picture(1)}
        content = nitf("one\ntwo", held, format="preserved")

        assert ["media", "pre", "media"] == [child.tag for child in content]

    def test_players(self) -> None:
        """A medium from elsewhere has an address only; what plays says for how long."""
        linked = {"type": "video", "url": "https://tube.org/v", "mimeType": "video/mp4"}
        clip = {
            "type": "audio",
            "renditions": {"original": {"href": "https://e.org/a.mp3"}},
            "filemeta": {"duration": "0:01:30"},
        }
        first, second = nitf("<p>T</p>", {"a": linked, "b": clip}).iter("media")

        linked_file = first.find("media-reference").attrib
        said = {"source": "https://tube.org/v", "name": "original", "mime-type": "video/mp4"}
        assert said == dict(linked_file)
        assert ("audio", "90", "seconds") == (
            second.get("media-type"),
            second.find("media-reference").get("time"),
            second.find("media-reference").get("time-unit-of-measure"),
        )

    @pytest.mark.parametrize(
        "html",
        [
            embed("editor_9", FIGURE.format("https://e.org/9.jpg")),
            '<!-- EMBED START Image {id: "editor_0"} --><p>Never ended.</p>',
            '<p>Ends</p><!-- EMBED END Image {id: "editor_0"} -->',
            '<!-- EMBED START Image {id: "editor_0"} -->' * 3000,
            "<p title='<!-- EMBED START Image {id: \"editor_0\"} -->'>x</p>",
            f"<p title='{embed('editor_0', 'x')}'>x</p>",
            embed("editor_0", '<p>Words <img src="a" title="&gt;"> more</p>'),
        ],
    )
    def test_marks_of_any_kind(self, html: str) -> None:
        """Nothing of the text is lost, and the picture is somewhere."""
        content = nitf(f"{html}<p>After</p>", {"editor_0": picture(0)})

        assert "After" in "".join(content.itertext())
        files = [e.get("source") for e in content.iter("media-reference")]
        assert 1 == files.count("https://e.org/0.jpg")


@pytest.mark.parametrize("name", ["nitf", "newsml12"])
@pytest.mark.parametrize(
    "gone", [{"pubstatus": "canceled"}, {"state": "killed"}, {"state": "recalled"}]
)
def test_withdrawn_pictures_are_gone(name: str, gone: dict[str, str]) -> None:
    held = {"featuremedia": picture(0, **gone), "gallery--1": picture(1)}
    said = etree.tostring(written(name, story("<p>T</p>", held)), encoding="unicode")

    assert "https://e.org/1.jpg" in said
    assert not any(word in said for word in ("https://e.org/0", "Caption 0", "Credit 0"))


VALUES = st.one_of(
    st.none(), st.integers(), st.text(max_size=5), st.lists(st.none()), st.just({"href": "x"})
)
MEDIA = st.fixed_dictionaries(
    {"type": st.sampled_from(["picture", "graphic", "video", "audio", "text", "", None])},
    optional={
        **dict.fromkeys(
            ("guid", "headline", "description_text", "alt_text", "byline", "creditline"), VALUES
        ),
        **dict.fromkeys(("source", "url", "authors", "firstcreated", "filemeta"), VALUES),
        "renditions": st.dictionaries(st.text(max_size=3), VALUES, max_size=3),
    },
)


@pytest.mark.parametrize("name", ["nitf", "newsml12"])
@given(st.dictionaries(st.sampled_from(["featuremedia", "editor_0", "b"]), MEDIA | VALUES))
def test_any_media(name: str, held: dict[str, Any]) -> None:
    """Whatever media say of themselves, the document is valid and the text is there."""
    root = written(name, story(f"<p>One</p>{SHOWN['figure']}<p>Two</p>", held))

    assert "Two" in "".join(root.itertext())


def test_newsml_g2_says_once_what_is_known_of_media() -> None:
    """Beside the items of the media, the story's text only names the files that it shows."""
    shown, feature = picture(1), picture(2)
    html = f"<p>a</p>{embed('editor_0', '<img src=https://e.org/1.jpg>')}<p>b</p>"
    item = story(html, {"editor_0": shown, "featuremedia": feature})

    [formatted] = FORMATS["newsmlg2"]().format(item, CONTEXT)

    root = etree.fromstring(formatted.data)
    [medium] = root.findall(".//{*}inlineXML//{*}media")
    [file] = medium.findall("{*}media-reference")
    assert file.get("source") == "https://e.org/1.jpg"
    assert medium.findtext("{*}media-caption") == shown["description_text"]
    assert medium.find("{*}media-producer") is None
    assert [each.get("guid") for each in root.iter("{*}newsItem")] == [
        "urn:x:1",
        feature["guid"],
        shown["guid"],
    ]


class TestNewsML12:
    def test_a_component_for_each_picture(self) -> None:
        """The main one first, each with lines, rights, caption and its files."""
        held = {"editor_0": picture(0), "featuremedia": picture(1), "c": {"type": "text"}}
        root = written("newsml12", story(f"<p>T</p>{SHOWN['figure']}", held))

        photos = root.findall(".//Role[@FormalName='Photo']/..")
        assert ["urn:p:1", "urn:p:0"] == [e.findtext(".//SystemIdentifier") for e in photos]
        photo = photos[1]
        assert "Main" == photo.getparent().find("Role").get("FormalName")
        for path, text in (
            ("NewsLines/HeadLine", "Head 0"),
            ("NewsLines/ByLine", "Lens 0"),
            ("NewsLines/CreditLine", "Credit 0"),
            ("RightsMetadata/Copyright/CopyrightHolder", "Holder 0"),
            ("RightsMetadata/UsageRights/UsageType", "(c) 0"),
            ("RightsMetadata/UsageRights/RightsHolder", "Agency 0"),
            ("RightsMetadata/UsageRights/Limitations", "Terms 0"),
            ("NewsComponent/Role[@FormalName='Caption']/..//DataContent", picture(0)[
                "description_text"]),
        ):  # fmt: skip
            assert text == photo.findtext(path), path
        said = {p.get("FormalName"): p.get("Value") for p in photo.iterfind(
            "DescriptiveMetadata/Property")}  # fmt: skip
        assert {"AlternativeText": "Alt 0", "Association": "editor_0"} == said
        assert {
            "thumbnail": "https://e.org/0-t.jpg",
            "original": "https://e.org/0.jpg",
        } == {
            e.find("Role").get("FormalName"): e.find("ContentItem").get("Href")
            for e in photo.findall("NewsComponent")
            if e.find("ContentItem").get("Href")
        }

    def test_a_picture_of_its_own(self) -> None:
        root = written("newsml12", {"_id": "1", **picture(0)})

        assert "Credit 0" == root.findtext(".//CreditLine")
        assert "Alt 0" == root.find(".//Property[@FormalName='AlternativeText']").get("Value")
        assert picture(0)["description_text"] == root.findtext(
            ".//Role[@FormalName='Caption']/..//DataContent"
        )

    def test_superdesk_sends_none(self) -> None:
        """The layout of Superdesk has no pictures of stories, and the source as credit."""
        item = story("<p>T</p>", {"featuremedia": picture(1)}, creditline="C", source="S")
        item |= {"place": [{"name": "Oslo"}], "subject": [{"name": "Free"}], "alt_text": "A"}
        context = replace(CONTEXT, config={"compat": "superdesk"})
        [formatted] = FORMATS["newsml12"]().format(item, context)
        root = parsed(formatted)

        assert "S" == root.findtext(".//CreditLine")
        for path in (".//Role[@FormalName='Photo']", ".//Location", ".//Property"):
            assert root.find(path) is None

    def test_places_and_subjects_without_a_code(self) -> None:
        places = [{"name": "Oslo"}, {"name": "Norway", "country": "Norway"}, {}]
        root = written("newsml12", story("", {}, place=places, subject=[{"name": "Free"}, {}]))

        assert [[("Name", "Oslo")], [("Country", "Norway")]] == [
            [(e.get("FormalName"), e.get("Value")) for e in location]
            for location in root.iter("Location")
        ]
        assert "Free" == root.find(".//Property[@FormalName='Subject']").get("Value")
