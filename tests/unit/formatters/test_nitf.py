"""NITF against its official schema (formats contract 3.5)."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from lxml import etree

from apps.core.text import parse_html, strip_forbidden
from formatters.body import HIDDEN, parse_body
from formatters.nitf import NITFFormatter
from formatters.nodes import Paragraph, Text
from tests.support.format_items import CONTEXT, LATER
from tests.support.format_schemas import check_nitf
from tests.support.generated_items import html as any_html

PLAYERS = ("iframe", "video", "audio")
STORY = {"_id": "urn:x:1", "item_id": "urn:x:1", "guid": "urn:x:1", "type": "text"}


def check_valid(item: Mapping[str, Any]) -> None:
    """Fail unless the output is well-formed, and valid once it stands in the namespace."""
    [formatted] = NITFFormatter().format(item, CONTEXT)
    check_nitf(formatted)


def written(**fields: Any) -> etree._Element:
    [formatted] = NITFFormatter().format({**STORY, **fields}, CONTEXT)
    return etree.fromstring(str(formatted.body).encode())


def body_of(html: str) -> str:
    """Return the content of `body.content` as markup."""
    content = written(body_html=html).find(".//body.content")
    assert content is not None
    inner = "".join(etree.tostring(e, encoding="unicode") for e in content)
    return inner.replace(' xmlns:ns0=""', "")


class TestValid:
    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"urgency": None, "priority": None, "keywords": None, "company_codes": None},
            {"urgency": 0},
            {"urgency": 99},
            {"keywords": ["a", None, ""], "company_codes": [{"name": "Yancoal", "qcode": "YAL"}]},
            {"subject": [{"qcode": "with space", "name": "x"}, {"qcode": None}, None]},
            {"embargo": LATER, "extra": {"expires": "2026-03-04T05:06:08Z"}},
            {"headline": "a\x00b\ud800", "body_html": "<p>\x07bell</p>", "guid": "a\x01b"},
            {"dateline": None, "abstract": None, "anpa_category": None, "place": None},
            {"format": "preserved", "body_html": "one\ntwo"},
            {"state": "killed", "pubstatus": "canceled", "ednote": "gone"},
            {"associations": {"featuremedia": {"type": "picture", "renditions": {"o": None}}}},
        ],
    )
    def test_odd_items(self, fields: dict[str, Any]) -> None:
        """Formats scenario 26, 38, 50: null equals absent; what XML forbids is left out."""
        check_valid({**STORY, **fields})

    @hypothesis_settings(suppress_health_check=list(HealthCheck))
    @given(any_html)
    def test_any_body_keeps_its_text(self, html: str) -> None:
        """Any markup gives a valid body that keeps all characters but white space, in order.

        Formats scenario 51.
        """
        check_valid({**STORY, "body_html": html})
        content = written(body_html=html or "<p></p>").find(".//body.content")

        assert content is not None
        wanted, found = visible(shown(html)), visible("".join(content.itertext()))
        if "<tfoot" in html:
            # The standard has the foot of a table before its body.
            wanted, found = "".join(sorted(wanted)), "".join(sorted(found))
        assert wanted == found


def shown(html: str) -> str:
    """Return the text of markup but for what no reader sees: scripts, what a player stands for."""
    root = parse_html(strip_forbidden(html))
    players = [
        e for e in root.iter(*PLAYERS) if e.get("src") or e.find(".//source[@src]") is not None
    ]
    for element in [*root.iter(*HIDDEN), *players]:
        element.text = None
        for inner in list(element):
            element.remove(inner)
    for image in root.iter("img"):
        # A picture without a source is what is said of it.
        image.text = None if image.get("src") else image.get("alt")
    return strip_forbidden("".join(root.itertext(etree.Element)))


def visible(text: str) -> str:
    """Return the characters of `text` that a reader sees."""
    return re.sub(r"\s", "", text)


class TestBody:
    @pytest.mark.parametrize(
        ("html", "nitf"),
        [
            ("The story body", "<p>The story body</p>"),
            ("a <b>b</b> c", '<p>a <em class="bold">b</em> c</p>'),
            ("<p>one<br>two<br></p>", "<p>one<br/>two</p>"),
            ("<h2>Sub</h2>", "<hl2>Sub</hl2>"),
            ("<ul><li>a</li></ul>", "<ul><li>a</li></ul>"),
            ("<p>H<sub>2</sub>O</p>", "<p>H<num><sub>2</sub></num>O</p>"),
            ("<blockquote>q</blockquote>", "<bq><block><p>q</p></block></bq>"),
            ('<a href="https://e.org">l</a>', '<p><a href="https://e.org">l</a></p>'),
            ("<table><tr><td>c</td></tr></table>", "<table><tr><td>c</td></tr></table>"),
            ("<pre>a\n b<br>c</pre>", "<pre>a\n b\nc</pre>"),
            (
                "<table><thead><tr><th>h</th></tr></thead><tr><td>c</td></tr></table>",
                "<table><thead><tr><th>h</th></tr></thead><tbody><tr><td>c</td></tr></tbody></table>",
            ),
            (
                "<table><tfoot><tr><td>f</td></tr></tfoot><tr><td>c</td></tr></table>",
                "<table><tfoot><tr><td>f</td></tr></tfoot><tbody><tr><td>c</td></tr></tbody></table>",
            ),
            (
                "<table><thead><tr><th>h</th></tr></thead><tbody><tr><td>c</td></tr></tbody>"
                "<tfoot><tr><td>f</td></tr></tfoot></table>",
                "<table><thead><tr><th>h</th></tr></thead><tfoot><tr><td>f</td></tr></tfoot>"
                "<tbody><tr><td>c</td></tr></tbody></table>",
            ),
            (
                "<table><tfoot><tr><td>f</td></tr></tfoot></table>",
                "<table><tr><td>f</td></tr></table>",
            ),
            (
                "<table>loose<caption>C</caption><tr>x<td>c</td></tr></table>",
                "<p>loose</p><table><caption>C</caption><tr><td>x</td><td>c</td></tr></table>",
            ),
            (
                '<figure><img src="a.jpg"><figcaption>c</figcaption></figure>',
                '<media media-type="image"><media-reference source="a.jpg"/>'
                "<media-caption>c</media-caption></media>",
            ),
            ("<figure><figcaption>1</figcaption>0</figure>", "<p>1</p><p>0</p>"),
            ("<p>a</p><script>x</script><style>y</style>", "<p>a</p>"),
            (
                "<dl><dt>t<p>u</p></dt><dd>d</dd></dl>",
                "<dl><dt>t u</dt><dd><p>d</p></dd></dl>",
            ),
            (
                "<ol start=3><li>a</li><li value=9>b</li><li>c</li></ol>",
                '<ol seqnum="3"><li>a</li></ol><ol seqnum="9"><li>b</li><li>c</li></ol>',
            ),
            (
                '<p>x<sup>1<a href="h">2</a></sup></p>',
                '<p>x<num><sup>1</sup></num><a href="h"><num><sup>2</sup></num></a></p>',
            ),
            (
                '<a href="h"><h2>a</h2><p>b</p></a>',
                '<hl2><a href="h">a</a></hl2><p><a href="h">b</a></p>',
            ),
            (
                '<a href="h"><img src="a.jpg" alt="A"></a>',
                '<media media-type="image"><media-reference source="a.jpg" alternate-text="A"/>'
                '<media-caption><a href="h">A</a></media-caption></media>',
            ),
            ("<p><q>a</q></p>", "<p>\u201ca\u201d</p>"),
            (
                '<img src="a.jpg" alt="A">',
                '<media media-type="image"><media-reference source="a.jpg" '
                'alternate-text="A"/></media>',
            ),
        ],
    )
    def test_keeps_what_a_reader_sees(self, html: str, nitf: str) -> None:
        """Formats scenario 27, 28: every element has its place; loose text stands in paragraphs."""
        assert nitf == body_of(html)

    @pytest.mark.parametrize(
        ("html", "nitf"),
        [
            (
                '<p id="a" class="b c" style="d: e">t</p>',
                '<p id="a" class="b c" style="d: e">t</p>',
            ),
            ('<p onclick="x()" data-x="1" lang="en">t</p>', "<p>t</p>"),
            ('<p class="&quot;&lt;">t</p>', '<p class="&quot;&lt;">t</p>'),
            ('<div id="a">one<p id="b">two</p></div>', '<p id="a">one</p><p id="b">two</p>'),
            ('<h2 id="a">t</h2>', '<hl2 id="a">t</hl2>'),
            ('<p><b class="x">t</b></p>', '<p><em class="bold x">t</em></p>'),
            ('<p><s class="x">t</s></p>', '<p><em class="x">t</em></p>'),
            ('<p>t<br id="a" class="x">u</p>', '<p>t<br id="a"/>u</p>'),
            ('<p>2<sup id="a">3</sup></p>', '<p>2<num><sup id="a">3</sup></num></p>'),
            (
                '<p><a href="h" rel="nofollow" rev="a b" id="i" title="t" target="_top">l</a></p>',
                '<p><a href="h" title="t" rel="nofollow" id="i">l</a></p>',
            ),
            (
                '<ul class="u"><li id="i">t</li></ul>',
                '<ul class="u"><li id="i">t</li></ul>',
            ),
            (
                '<table class="t"><caption id="c">C</caption><thead class="h"><tr id="r"><th '
                'class="x" colspan="2">h</th></tr></thead><tfoot id="f"><tr><td>f</td></tr></tfoot>'
                '<tbody style="s"><tr><td>c</td></tr></tbody></table>',
                '<table class="t"><caption id="c">C</caption><thead class="h"><tr id="r"><th '
                'colspan="2" class="x">h</th></tr></thead><tfoot id="f"><tr><td>f</td></tr></tfoot>'
                '<tbody style="s"><tr><td>c</td></tr></tbody></table>',
            ),
            (
                '<table><tbody id="b"><tr><td>c</td></tr></tbody></table>',
                '<table><tbody id="b"><tr><td>c</td></tr></tbody></table>',
            ),
            (
                '<blockquote id="q"><p>t</p></blockquote>',
                '<bq id="q"><block><p>t</p></block></bq>',
            ),
            ('<pre class="code">t</pre><hr id="h">', '<pre class="code">t</pre><hr id="h"/>'),
            (
                '<figure class="wide"><img src="a.jpg" id="i"><figcaption class="c">t</figcaption>'
                "</figure>",
                '<media media-type="image" id="i" class="wide"><media-reference source="a.jpg"/>'
                '<media-caption class="c">t</media-caption></media>',
            ),
        ],
    )
    def test_keeps_id_class_and_style(self, html: str, nitf: str) -> None:
        """Formats contract 2: what the standard permits is kept, all else is dropped."""
        assert nitf == body_of(html)
        check_valid({**STORY, "body_html": html})

    @pytest.mark.parametrize(
        ("html", "ids"),
        [
            ('<p id="a">1</p><p id="a">2</p>', ["a"]),
            ('<p id="1a">1</p><p id="a b">2</p><p id="ü">3</p><p id="">4</p>', []),
            ('<div id="a">1<ul><li>2</li></ul>3</div>', ["a"]),
            ('<p id="&#1;x">1</p>', ["x"]),
        ],
    )
    def test_ids_are_names_and_unique(self, html: str, ids: list[str]) -> None:
        """What would make the document invalid is left out; the first of several counts.

        Formats contract 2.
        """
        assert ids == [e.get("id") for e in written(body_html=html).iterfind(".//*[@id]")]
        check_valid({**STORY, "body_html": html, "abstract": html})

    def test_keeps_line_ends_of_preserved_text(self) -> None:
        """Formats scenario 30: preformatted text stands in one `pre`."""
        root = written(type="preformatted", format="preserved", body_html="<pre>a\nb</pre>")

        [kept] = root.iterfind(".//body.content/*")
        assert ("pre", ["a", "b"]) == (kept.tag, (kept.text or "").strip("\r\n").split("\r\n"))

    def test_everything_at_once(self) -> None:
        """List, heading, table, link, bold, break, quote and formula keep text and order.

        Formats scenario 27.
        """
        html = (
            "<ul><li>a</li></ul><h2>b</h2><table><tr><td>c</td></tr></table>"
            '<p>d <a href="https://e.org">e</a> <b>f</b><br>g</p>'
            "<blockquote>h</blockquote><p>H<sub>2</sub>O</p>"
        )
        check_valid({**STORY, "body_html": html})
        content = written(body_html=html).find(".//body.content")

        assert content is not None
        assert "abcdefghH2O" == visible("".join(content.itertext()))

    def test_loose_text_comes_out_whole(self) -> None:
        """Formats scenario 28: text outside of any element is a paragraph."""
        assert "<p>The story body</p>" == body_of("The story body")
        assert '<p>a <em class="bold">b</em> c</p>' == body_of("a <b>b</b> c")


class TestHead:
    def test_expiry_stands_beside_an_embargo(self) -> None:
        """Formats scenario 29: both times, each in its element; nothing where there is none."""
        item = {"embargo": LATER, "expiry": LATER, "extra": {"expires": "2026-03-04T05:06:08Z"}}
        docdata = written(**item).find(".//docdata")

        assert docdata is not None
        for name, time in (
            ("date.release", "20260305T060708Z"),
            ("date.expire", "20260304T050608Z"),
        ):
            moment = docdata.find(name)
            assert moment is not None
            assert time == moment.get("norm")
        assert written().find(".//date.expire") is None

    @pytest.mark.parametrize(
        ("place", "said"),
        [
            (
                {"name": "NSW", "state": "New South Wales", "country_code": "AU"},
                {"state-prov": "New South Wales", "iso-cc": "AU"},
            ),
            ({"name": "Prague"}, {"city": "Prague"}),
            (
                {"name": "Brno", "state": "Moravia", "feature_class": "P"},
                {"city": "Brno", "state-prov": "Moravia"},
            ),
        ],
    )
    def test_places(self, place: dict[str, str], said: dict[str, str]) -> None:
        """Formats contract 3.5: where it happened, as far as it is known."""
        evloc = written(place=[place]).find(".//evloc")

        assert evloc is not None
        assert said == dict(evloc.attrib)

    @pytest.mark.parametrize(
        ("place", "said"),
        [
            (
                {"name": "Norway", "country": "Norway", "country_code": "NO"},
                '<location><country iso-cc="NO">Norway</country></location>',
            ),
            (
                {"name": "Norway", "qcode": "NO", "scheme": "iso3166-1a2"},
                '<location location-code="NO" code-source="iso3166-1a2">'
                '<country iso-cc="NO">Norway</country></location>',
            ),
            (
                {"name": "Norge", "feature_class": "A", "country_code": "NO", "qcode": 7},
                '<location location-code="7"><country iso-cc="NO">Norge</country></location>',
            ),
            (
                {"name": "Bayern", "feature_class": "a", "state_code": "BY", "country": "Germany"},
                '<location><state state-code="BY">Bayern</state><country>Germany</country>'
                "</location>",
            ),
            (
                {"name": "Norge", "qcode": "http://cvx.iptc.org/iso3166-1a3/NOR"},
                '<location location-code="NOR" code-source="iso3166-1a3">'
                '<country iso-cc="NOR">Norge</country></location>',
            ),
            (
                {"name": "Oslo", "code": "https://sws.geonames.org/3143244/"},
                '<location location-code="3143244" code-source="geonames">'
                "<city>Oslo</city></location>",
            ),
            ({"name": "Prague"}, "<location><city>Prague</city></location>"),
            (
                {"name": "Brno", "state": "Moravia", "feature_class": "P", "country_code": "CZ"},
                "<location><city>Brno</city><state>Moravia</state>"
                '<country iso-cc="CZ"/></location>',
            ),
            (
                {"name": "NSW", "qcode": "NSW"},
                '<location location-code="NSW">NSW<state>New South Wales</state></location>',
            ),
            (
                {"name": "Asia", "world_region": "Asia"},
                "<location><region>Asia</region></location>",
            ),
            ({"name": "A & <B>"}, "<location><city>A &amp; &lt;B&gt;</city></location>"),
            ({"name": None, "country": 7}, None),
        ],
    )
    def test_places_by_what_they_are(self, place: dict[str, Any], said: str | None) -> None:
        """Countries are countries, also by a code; the vocabulary `locators` knows more.

        Formats contract 3.5.
        """
        check_valid({**STORY, "place": [place]})
        found = written(place=[place]).find(".//identified-content/location")

        assert said == (None if found is None else etree.tostring(found, encoding="unicode"))
        is_country = said and "<city>" not in said
        evloc = written(place=[place]).find(".//evloc")
        assert not (is_country and evloc is not None and evloc.get("city"))

    def test_the_dateline_without_a_text(self) -> None:
        """Where the story was written, with its codes; a text says it otherwise.

        Formats contract 3.5.
        """
        located = {"city": "Oslo", "country": "Norway", "country_code": "NO", "state": ""}
        check_valid({**STORY, "dateline": {"located": located}})
        dateline = written(dateline={"located": located}).find(".//dateline")

        assert dateline is not None
        assert (
            '<dateline><location><city>Oslo</city><country iso-cc="NO">Norway</country>'
            "</location></dateline>" == etree.tostring(dateline, encoding="unicode")
        )
        both = {"located": located, "text": "OSLO, May 1 -"}
        assert "OSLO, May 1 -" == written(dateline=both).findtext(".//dateline")
        for empty in ({}, {"located": None}, {"located": {"city": 7}}):
            assert written(dateline=empty).find(".//dateline") is None

    def test_subjects_without_a_code_of_theirs(self) -> None:
        """What no `refnum` can hold is a classifier.

        Formats contract 3.5.
        """
        subjects = [
            {"name": "Free"},
            {"name": "Spaced", "qcode": "a b", "scheme": "desks"},
            {"qcode": "https://e.org/x"},
            {"name": "Trade", "qcode": "04000000"},
            {},
        ]
        check_valid({**STORY, "subject": subjects})
        root = written(subject=subjects)

        assert ["04000000"] == [
            e.get("tobject.subject.refnum") for e in root.iter("tobject.subject")
        ]
        assert [
            ({"type": "subject"}, "Free"),
            ({"type": "subject", "idsrc": "desks", "value": "a b"}, "Spaced"),
            ({"type": "subject", "value": "https://e.org/x"}, None),
        ] == [(dict(e.attrib), e.text) for e in root.iter("classifier")]

    def test_what_the_reference_does_not_send(self) -> None:
        """Media, category, slugline and version, copyright, corrections, language.

        Formats contract 3.5.
        """
        picture = {"type": "picture", "renditions": {"o": {"href": "https://e.org/a.jpg"}}}
        root = written(
            associations={"featuremedia": picture},
            anpa_category=[{"qcode": "a"}],
            slugline="s",
            _current_version=3,
            copyrightholder="Own",
            state="corrected",
            ednote="Fixed",
            language="fr",
            keywords=["k"],
            creditline="Credit",
            company_codes=[{"name": "Yancoal", "qcode": "YAL"}],
        )

        for path, name, value in (
            (".//media-reference", "source", "https://e.org/a.jpg"),
            (".//meta[@name='anpa-category']", "content", "a"),
            (".//meta[@name='creditline']", "content", "Credit"),
            (".//du-key", "key", "s"),
            (".//du-key", "version", "3"),
            (".//doc.copyright", "holder", "Own"),
            (".//correction", "info", "Fixed"),
            ("body", "{http://www.w3.org/XML/1998/namespace}lang", "fr"),
            (".//docdata/key-list/keyword", "key", "k"),
            (".//docdata/identified-content/org", "value", "YAL"),
            (".//tagline", "type", "npa"),
        ):
            found = root.find(path)
            assert found is not None, path
            assert value == found.get(name)

    @pytest.mark.parametrize(
        ("language", "tag"), [("fr_CA", "fr-CA"), ("no tag", "en"), (None, None)]
    )
    def test_languages(self, language: str | None, tag: str | None) -> None:
        """Formats contract 3.5: what is no language tag would make the document invalid."""
        body = written(language=language).find("body")

        assert body is not None
        assert tag == body.get("{http://www.w3.org/XML/1998/namespace}lang")

    def test_an_embargo_is_a_release_date(self) -> None:
        """Formats scenario 29: embargoed, with the time of release in basic form."""
        docdata = written(embargo=LATER).find(".//docdata")

        assert docdata is not None
        release = docdata.find("date.release")
        assert release is not None
        assert ("embargoed", "20260305T060708Z") == (
            docdata.get("management-status"),
            release.get("norm"),
        )

    @pytest.mark.parametrize("embargo", [None, LATER])
    def test_a_kill_is_canceled(self, embargo: datetime | None) -> None:
        """Formats scenario 29: the status of a withdrawn story, whatever it was before."""
        fields = {"pubstatus": "canceled", "state": "killed", "embargo": embargo}
        docdata = written(**fields).find(".//docdata")

        assert docdata is not None
        assert "canceled" == docdata.get("management-status")


class TestParse:
    def test_deep_nesting_is_no_failure(self) -> None:
        """Markup nested beyond reason gives way to its text."""
        html = "<div>" * 1000 + "deep" + "</div>" * 1000

        assert (Paragraph((Text("deep"),)),) == parse_body(html)
