"""NITF against its official schema; numbers are the scenarios of the formats contract."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from lxml import etree

from apps.archive.ninjs_import import item_from_ninjs
from apps.core.text import plain_text, strip_forbidden
from formatters.body import Paragraph, Text, parse_body
from formatters.nitf import NITF_NAMESPACE, NITFFormatter, nitf_document
from tests.shared_files import shared, shared_names
from tests.support.reference_formats import CONTEXT, reference

INPUTS = "schemas/reference-output/inputs"
SAMPLES = "samples/ninjs"
NOW = datetime(2026, 3, 4, 5, 6, 8, tzinfo=UTC)
STORY = {"_id": "urn:x:1", "item_id": "urn:x:1", "guid": "urn:x:1", "type": "text"}
TAGS = (
    *("p", "b", "i", "u", "a", "ul", "ol", "li", "dl", "table", "tr", "td", "th", "caption"),
    *("h1", "h6", "blockquote", "pre", "div", "sup", "sub", "figure", "figcaption", "span"),
    *("em", "strong", "unknown", "s", "br"),
)


@cache
def schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(shared("schemas/nitf/nitf-3-6.xsd"))))


def check_valid(item: Mapping[str, Any]) -> None:
    """Fail unless the output is well-formed, and valid once it stands in the namespace."""
    [formatted] = NITFFormatter().format(item, CONTEXT)
    etree.fromstring(str(formatted.body).encode())
    root = nitf_document(item, CONTEXT, NITF_NAMESPACE)
    schema().assertValid(etree.fromstring(etree.tostring(root)))


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
    @pytest.mark.parametrize("name", shared_names(INPUTS, "*.json"))
    def test_reference_inputs(self, name: str) -> None:
        """26: every item type that the format takes."""
        item = reference(f"{INPUTS}/{name}")
        if NITFFormatter.can_format(item):
            check_valid(item)

    @pytest.mark.parametrize("name", shared_names(SAMPLES, "**/*.json"))
    def test_real_items(self, name: str) -> None:
        """Stories of agencies come out valid."""
        item = item_from_ninjs(json.loads(shared(f"{SAMPLES}/{name}").read_text("utf-8")))
        if NITFFormatter.can_format(item):
            check_valid({**item, "item_id": item["guid"]})

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"urgency": None, "priority": None, "keywords": None, "company_codes": None},
            {"urgency": 0},
            {"urgency": 99},
            {"keywords": ["a", None, ""], "company_codes": [{"name": "Yancoal", "qcode": "YAL"}]},
            {"subject": [{"qcode": "with space", "name": "x"}, {"qcode": None}, None]},
            {"embargo": NOW, "expiry": NOW},
            {"headline": "a\x00b\ud800", "body_html": "<p>\x07bell</p>", "guid": "a\x01b"},
            {"dateline": None, "abstract": None, "anpa_category": None, "place": None},
            {"format": "preserved", "body_html": "one\ntwo"},
            {"state": "killed", "pubstatus": "canceled", "ednote": "gone"},
            {"associations": {"featuremedia": {"type": "picture", "renditions": {"o": None}}}},
        ],
    )
    def test_odd_items(self, fields: dict[str, Any]) -> None:
        """26, 38, 50: null equals absent; what XML forbids is left out."""
        check_valid({**STORY, **fields})

    @hypothesis_settings(max_examples=200)
    @given(
        st.recursive(
            st.text(max_size=12).map(
                lambda t: t.replace("<", "&lt;").replace("&", "&amp;") if "<" in t else t
            ),
            lambda inner: st.builds(
                lambda tag, parts: f"<{tag}>{''.join(parts)}</{tag}>",
                st.sampled_from(TAGS),
                st.lists(inner, max_size=4),
            ),
            max_leaves=20,
        )
    )
    def test_any_body_keeps_its_text(self, html: str) -> None:
        """51: any markup gives a valid body that keeps all characters but white space, in order."""
        check_valid({**STORY, "body_html": html})
        content = written(body_html=html or "<p></p>").find(".//body.content")

        assert content is not None
        assert visible(plain_text(strip_forbidden(html))) == visible("".join(content.itertext()))


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
            ("<pre>a\n b</pre>", "<pre>a\n b</pre>"),
            ("<p>a</p><script>x</script><style>y</style>", "<p>a</p>"),
            (
                '<img src="a.jpg" alt="A">',
                '<media media-type="image"><media-reference source="a.jpg" '
                'alternate-text="A"/></media>',
            ),
        ],
    )
    def test_keeps_what_a_reader_sees(self, html: str, nitf: str) -> None:
        """27, 28: every element has its place; loose text stands in paragraphs."""
        assert nitf == body_of(html)

    def test_keeps_line_ends_of_preserved_text(self) -> None:
        """30: preformatted text stands in one `pre`."""
        root = written(type="preformatted", format="preserved", body_html="<pre>a\nb</pre>")

        assert ["a", "b"] == (root.findtext(".//body.content/pre") or "").split()


class TestHead:
    def test_an_embargo_is_a_release_date(self) -> None:
        """29: embargoed, with the time of release in basic form."""
        docdata = written(embargo=NOW).find(".//docdata")

        assert docdata is not None
        release = docdata.find("date.release")
        assert release is not None
        assert ("embargoed", "20260304T050608Z") == (
            docdata.get("management-status"),
            release.get("norm"),
        )

    def test_a_kill_is_canceled(self) -> None:
        """29: the status of a withdrawn story."""
        docdata = written(pubstatus="canceled", state="killed").find(".//docdata")

        assert docdata is not None
        assert "canceled" == docdata.get("management-status")


class TestParse:
    def test_deep_nesting_is_no_failure(self) -> None:
        """Markup nested beyond reason gives way to its text."""
        html = "<div>" * 1000 + "deep" + "</div>" * 1000

        assert (Paragraph((Text("deep"),)),) == parse_body(html)
