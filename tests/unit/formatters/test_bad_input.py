"""What each format makes of bad input (formats contract 5)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from lxml import etree

from formatters import BUILT_IN, Formatter
from formatters.base import FormatContext, Formatted
from tests.support.format_items import CONTEXT, NOW, example_item
from tests.support.format_schemas import CHECKS, G2, loaded, parsed

FORMATS = {formatter.type: formatter for formatter in BUILT_IN}
NO_RIGHTS = replace(CONTEXT, vocabularies={})
NULL_EQUALS_ABSENT = (
    *("dateline", "subject", "company_codes", "anpa_category", "abstract", "firstcreated"),
    *("language", "urgency", "priority", "pubstatus", "state", "keywords", "genre", "place"),
    *(
        "renditions",
        "associations",
        "groups",
        "authors",
        "byline",
        "ednote",
        "slugline",
        "headline",
    ),
    *(
        "headline",
        "versioncreated",
        "body_html",
        "body_footer",
        "extra",
        "flags",
        "signal",
        "embargo",
    ),
    *("schedule_settings", "filemeta", "description_text", "profile", "expiry", "source"),
)
SKIPPED: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "keyword null": ({"keywords": ["a", None]}, {"keywords": ["a"]}),
    "subject null": ({"subject": [None]}, {"subject": []}),
    "place null": ({"place": [None]}, {"place": []}),
    "company null": ({"company_codes": [None]}, {"company_codes": []}),
    "association null": ({"associations": {"a": None}}, {"associations": {}}),
}
"""What is skipped within a list, and the fields that say the same without it."""


def formats(kind: str) -> list[type[Formatter]]:
    return [formatter for formatter in BUILT_IN if formatter.can_format({"type": kind})]


def written(
    formatter: type[Formatter], item: Mapping[str, Any], context: FormatContext = CONTEXT
) -> list[Formatted]:
    """Return the output, which is valid."""
    parts = formatter().format(item, context)
    for part in parts:
        CHECKS[formatter.type](part)
    return parts


@pytest.mark.parametrize("kind", ["text", "picture", "package"])
@pytest.mark.parametrize("field", NULL_EQUALS_ABSENT)
def test_null_equals_absent(kind: str, field: str) -> None:
    """Dateline, subject, company codes, category, abstract ... null: as if absent.

    Formats scenario 38.
    """
    item = example_item(kind)
    without = {name: value for name, value in item.items() if name != field}

    for formatter in formats(item["type"]):
        expected = written(formatter, without)
        assert expected == written(formatter, {**item, field: None}), formatter.type


@pytest.mark.parametrize("name", SKIPPED)
def test_nulls_in_lists_are_skipped(name: str) -> None:
    """Formats scenario 38: a null entry is none."""
    item = example_item("text")
    odd, plain = SKIPPED[name]

    for formatter in formats("text"):
        if formatter.type.endswith("ninjs") or formatter.type == "ninjs2":
            # The family sends an empty object of associations, as readers know it.
            assert written(formatter, {**item, **odd})
            continue
        assert written(formatter, {**item, **plain}) == written(formatter, {**item, **odd})


class TestMissing:
    """Rows of the table that say what stands in for what is missing."""

    @pytest.mark.parametrize(
        ("name", "read"),
        [
            ("nitf", lambda p: parsed(p).find(".//date.issue").get("norm")),
            ("newsml12", lambda p: parsed(p).findtext(".//FirstCreated")),
            ("newsmlg2", lambda p: parsed(p).findtext(f".//{G2}contentCreated")),
            ("ninjs3", lambda p: loaded(p)["firstCreated"]),
            ("imatrics", lambda p: loaded(p)["createdTimestamp"]),
            ("jsonld", lambda p: loaded(p)["dateCreated"]),
        ],
    )
    def test_first_created(self, name: str, read: Callable[[Formatted], str]) -> None:
        """Formats scenario 38: firstcreated missing: the time of the version."""
        [part] = written(FORMATS[name], {**STORY, "versioncreated": NOW})

        digits = "".join(filter(str.isdigit, read(part)))
        assert digits.startswith("20260304050608")

    @pytest.mark.parametrize(
        ("name", "read"),
        [
            ("newsml12", lambda p: parsed(p).find(".//Language").get("FormalName")),
            ("newsmlg2", lambda p: parsed(p).find(f".//{G2}contentMeta/{G2}language").get("tag")),
            ("imatrics", lambda p: loaded(p)["language"]),
            ("jsonld", lambda p: loaded(p)["inLanguage"]),
        ],
    )
    def test_language(self, name: str, read: Callable[[Formatted], str]) -> None:
        """Formats scenario 38: language null: the default language."""
        [part] = written(FORMATS[name], {**STORY, "language": None})

        assert "en" == read(part)

    @pytest.mark.parametrize(
        ("name", "urgency", "priority"),
        [
            ("nitf", ".//urgency", None),
            ("newsml12", ".//Urgency", ".//Priority"),
            ("newsmlg2", f".//{G2}urgency", f".//{G2}priority"),
        ],
    )
    def test_urgency_and_priority(self, name: str, urgency: str, priority: str | None) -> None:
        """Formats scenario 38: urgency null: left out; priority null: 5; nothing says `None`."""
        [part] = written(FORMATS[name], {**STORY, "urgency": None, "priority": None})

        root = parsed(part)
        assert root.find(urgency) is None
        if priority:
            found = root.find(priority)
            assert found is not None
            assert "5" == (found.get("FormalName") or found.text)
        assert "None" not in str(part.body)

    @pytest.mark.parametrize(
        ("name", "read"),
        [
            ("nitf", lambda p: parsed(p).find(".//docdata").get("management-status")),
            ("newsml12", lambda p: parsed(p).find(".//Status").get("FormalName")),
            ("newsmlg2", lambda p: parsed(p).find(f".//{G2}pubStatus").get("qcode")[5:]),
            ("ninjs3", lambda p: loaded(p)["pubStatus"]),
            ("jsonld", lambda p: loaded(p)["creativeWorkStatus"]),
        ],
    )
    def test_status(self, name: str, read: Callable[[Formatted], str]) -> None:
        """Formats scenario 38: pubstatus and state missing: usable, published."""
        [part] = written(FORMATS[name], STORY)

        assert "usable" == read(part)

    @pytest.mark.parametrize("name", FORMATS)
    def test_rights(self, name: str) -> None:
        """Formats scenario 38: no vocabulary of rights: they are left out."""
        for part in written(FORMATS[name], STORY, NO_RIGHTS):
            assert b"Example News" not in part.data

    @pytest.mark.parametrize("name", ["nitf", "newsml12", "newsmlg2", "ninjs3", "jsonld"])
    def test_subject_without_code(self, name: str) -> None:
        """Formats scenario 38: subject.qcode null: no code is made up, and nothing fails."""
        [part] = written(FORMATS[name], {**STORY, "subject": [{"qcode": None, "name": "n"}]})

        assert "None" not in str(part.body)

    @pytest.mark.parametrize("renditions", [None, {}, {"original": None}, {"original": {}}])
    @pytest.mark.parametrize(
        ("name", "content"),
        [("newsml12", ".//ContentItem[@Href]"), ("newsmlg2", f".//{G2}remoteContent")],
    )
    def test_no_rendition(self, name: str, content: str, renditions: Any) -> None:
        """Formats scenario 38: no rendition, a null one, or one without href: no content item."""
        [part] = written(FORMATS[name], {**STORY, "type": "picture", "renditions": renditions})

        assert parsed(part).find(content) is None

    @pytest.mark.parametrize("name", ["ninjs", "ninjs2", "newsroom ninjs", "ftp ninjs"])
    def test_signal_without_scheme(self, name: str) -> None:
        """A signal's code without a colon: it has no scheme, which readers otherwise expect.

        Formats scenario 38.
        """
        item = {**STORY, "signal": [{"qcode": "plain", "name": "P"}]}
        [part] = FORMATS[name]().format(item, CONTEXT)

        assert [{"name": "P", "code": "plain"}] == loaded(part)["signal"]

    @pytest.mark.parametrize(
        ("name", "read"),
        [
            ("newsml12", lambda p: parsed(p).findtext(".//RevisionId")),
            ("newsmlg2", lambda p: parsed(p).find(f".//{G2}newsItem").get("version")),
            ("ninjs", lambda p: loaded(p)["version"]),
            ("ninjs3", lambda p: loaded(p)["version"]),
            ("jsonld", lambda p: loaded(p)["version"]),
        ],
    )
    def test_version_of_a_kill(self, name: str, read: Callable[[Formatted], str]) -> None:
        """Formats scenario 38: the version missing on a kill: 1."""
        killed = {**STORY, "state": "killed", "pubstatus": "canceled", "headline": "KILL"}
        [part] = written(FORMATS[name], killed)

        assert "1" == read(part)


STORY = {"_id": "urn:x:1", "item_id": "urn:x:1", "guid": "urn:x:1", "type": "text"}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("character", ["\x00", "\x0b", "\x1f", "\ufffe", "\ud800"])
def test_characters_that_xml_forbids(name: str, character: str) -> None:
    """Controls and lone surrogates in headline and body: well-formed, with the rest kept.

    Formats scenario 50.
    """
    item = {**STORY, "headline": f"He{character}ad", "body_html": f"<p>Bo{character}dy</p>"}

    for part in written(FORMATS[name], item):
        text = part.data.decode("utf-8", "replace").lower()
        assert "head" in text
        assert "body" in text


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "html",
    [
        "<p>one<p>two</div></p><b>three",
        "<table><tr><td>one<tr><td>two<li>three",
        "one &lt; two &amp three",
        "<ul>one<li>two</ul></ul>three",
        "<a href='x'>one<a href=y>two</a></a><!-- -- > -->three",
        "<![CDATA[x]]>one<?php echo 'two'; ?>two<o:p>three</o:p>",
    ],
)
def test_broken_html(name: str, html: str) -> None:
    """Formats scenario 38: markup of any quality comes out valid, with its words."""
    for part in written(FORMATS[name], {**STORY, "headline": "h", "body_html": html}):
        text = part.data.decode("utf-8", "replace")
        assert all(word in text for word in ("one", "two", "three"))


@pytest.mark.parametrize(
    ("opened", "closed"),
    [
        ("<div>", "</div>"),
        ("<b>", "</b>"),
        ("<blockquote>", "</blockquote>"),
        ("<ul><li>", "</li></ul>"),
        ("<table><tr><td>", "</td></tr></table>"),
        ("<table><thead>", "</thead></table>"),
        ("<figure>", "</figure>"),
        ("<pre>", "</pre>"),
        ("<sup>", "</sup>"),
        ("<a href=x>", "</a>"),
    ],
)
@pytest.mark.parametrize("levels", [100, 700, 3000])
def test_deep_nesting(opened: str, closed: str, levels: int) -> None:
    """Markup nested beyond reason gives way to its text; nothing fails or is cut off.

    Formats scenario 38.
    """
    html = f"<p>before</p>{opened * levels}deep{closed * levels}<p>after</p>"

    for formatter in formats("text"):
        for part in written(formatter, {**STORY, "headline": "h", "body_html": html}):
            text = part.data.decode("utf-8", "replace")
            assert all(word in text for word in ("before", "deep", "after")), formatter.type


def test_entities_are_not_expanded() -> None:
    """A document type of its own in a body opens nothing."""
    html = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><p>a &e; b</p>'

    for formatter in formats("text"):
        for part in written(formatter, {**STORY, "headline": "h", "body_html": html}):
            assert b"root:" not in part.data


def test_the_output_of_xml_is_read_without_a_network() -> None:
    """Documents that name a DTD are well-formed without it."""
    settings = replace(CONTEXT.settings, newsml12_doctype="http://127.0.0.1:9/none.dtd")
    [part] = FORMATS["newsml12"]().format(STORY, replace(CONTEXT, settings=settings))

    assert '<!DOCTYPE NewsML SYSTEM "http://127.0.0.1:9/none.dtd">' in str(part.body)
    assert "NewsML" == etree.fromstring(part.data).tag
