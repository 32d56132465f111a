"""The format `email` (formats contract 3.8)."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from markupsafe import escape

from apps.core.errors import FormatError
from apps.core.text import plain_text
from formatters.base import FormatSettings
from formatters.email import EmailFormatter
from formatters.fragment import sanitized
from tests.support.format_items import CONTEXT, EXAMPLES, example_item, expected

STORIES = [name for name in EXAMPLES if name.startswith("text")]
STORY = {"_id": "urn:x:1", "guid": "urn:x:1", "type": "text", "headline": "h", "format": "HTML"}

ED_NOTE = '<br><font color="red">Map attached</font><br>\n'


def written(
    item: Mapping[str, Any], config: Mapping[str, Any] | None = None, **settings: Any
) -> dict[str, Any]:
    context = replace(CONTEXT, settings=FormatSettings(**settings), config=config or {})
    [formatted] = EmailFormatter().format(item, context)
    parts: dict[str, Any] = json.loads(formatted.data)
    return parts


@pytest.mark.parametrize("name", STORIES)
def test_parts(name: str) -> None:
    """Subject, text, HTML and renditions of stories, by Superdesk's templates.

    Formats scenario 39.
    """
    parts = expected("email", name)
    for part in ("message_html", "message_text"):
        parts[part] = parts[part] and "\n".join(parts[part])
    if notice := parts.pop("notice", ""):
        marked = f"<body><p><strong>{notice}</strong></p>"
        parts["message_html"] = parts["message_html"].replace("<body>", marked)
        parts["message_text"] = f"{notice}\n\n{parts['message_text']}"
    if name == "text-corrected":
        # The notice says it.
        parts["message_html"] = parts["message_html"].replace(ED_NOTE, "")
        parts["message_text"] = parts["message_text"].replace("lead\nMap attached", "lead\n")

    assert parts == written(example_item(name))


def test_html_text_and_subject() -> None:
    """Formats scenario 39: an HTML item has all three; what follows a br stays in its paragraph."""
    parts = written({**STORY, "body_html": "<p>one<br>two</p><p>three</p>"})

    assert "<p>one<br>two</p>\r<p>three</p>" in parts["message_html"]
    assert "one\ntwo\n\nthree" in parts["message_text"]
    assert "h" == parts["message_subject"]


def test_preserved_text_has_no_html() -> None:
    """Formats scenario 39: preserved text goes out as text alone, with its lines."""
    parts = written({**STORY, "format": "preserved", "body_html": "<pre>a\n b</pre>"})

    assert parts["message_html"] is None
    assert "a\n b" in parts["message_text"]


@pytest.mark.parametrize(
    ("html", "clean"),
    [
        ("<p>a<script>alert(1)</script></p>", "<p>a</p>"),
        ('<p onclick="x()" style="color:red">a</p>', "<p>a</p>"),
        ('<a href="javascript:x()">a</a>', "<a>a</a>"),
        ('<a href="https://e.org/" target="_blank">a</a>', '<a href="https://e.org/">a</a>'),
        ('<iframe src="/frame"></iframe><p>b</p>', "<p>b</p>"),
        ("<style>p {}</style>text", "text"),
        ("<section><p>a</p></section>", "<div><p>a</p></div>"),
        ("<center>a</center><address>b</address>", "<div>a</div><div>b</div>"),
        ("<details><summary>S</summary>T</details>", "<div><div>S</div>T</div>"),
        ('<ol start="3" reversed=""><li value="7">a</li></ol>',) * 2,
        ('<p dir="rtl" lang="ar">a <mark>b</mark></p>',) * 2,
        ("a < b & c", "a &lt; b &amp; c"),
    ],
)
def test_markup_is_cleaned_by_an_allow_list(html: str, clean: str) -> None:
    """Formats scenario 39: nothing that runs gets into the HTML part."""
    assert clean == sanitized(html)


def test_markup_that_is_nested_by_thousands() -> None:
    """The text is kept, in no more elements than browsers nest."""
    clean = sanitized("<div>" * 50_000 + "<p>end" * 3)
    assert plain_text(clean).strip() == "endendend"
    assert clean.count("<div>") <= 520


@pytest.mark.parametrize(
    ("html", "left"),
    [
        ("<p>a</p>START x <p>b</p>END y --><p>c</p>", "<p>a</p><p>c</p>"),
        ("a START START x END -->b END -->c", "a b c"),
        ("a START x END -->bSTART y END z -->c", "a bc"),
        ("a START x END no end", "a"),
        ("a END x -->b START -->c", "a b c"),
        ("START" * 20_000 + "-->z", "z"),
    ],
)
def test_embedded_media_are_left_out(html: str, left: str) -> None:
    """What stands between two comments goes with them; one without the other is a comment."""
    marked = html.replace("START", "<!-- EMBED START ").replace("END", "<!-- EMBED END ")
    told, wanted = (written({**STORY, "body_html": body}) for body in (marked, left))
    assert told["message_text"].split() == wanted["message_text"].split()


def test_script_in_the_body_is_gone() -> None:
    """Formats scenario 39: a script is in no part, from no field."""
    script = "<script>alert(1)</script>"
    item = {**STORY, **dict.fromkeys(("abstract", "byline", "ednote", "body_footer"), script)}

    parts = written({**item, "body_html": f"<p>a</p>{script}", "headline": f"h {script}"})

    assert "<script" not in parts["message_html"]
    assert "alert" not in parts["message_text"].replace("h alert(1)", "")


@pytest.mark.parametrize(
    ("state", "subject"),
    [("killed", "KILL: h"), ("corrected", "CORR: h"), ("published", "h"), (None, "h")],
)
def test_a_withdrawn_or_corrected_story_has_a_prefix(state: str | None, subject: str) -> None:
    """Formats scenario 39: the configured prefix stands in all three parts."""
    prefixes = {"killed": "KILL: ", "corrected": "CORR: "}

    parts = written({**STORY, "state": state}, email_prefixes=prefixes)

    assert subject == parts["message_subject"]
    assert parts["message_text"].startswith(subject + "\n")
    assert f"<h1>{subject}</h1>" in parts["message_html"]


def test_renditions_of_the_feature_media() -> None:
    """Formats scenario 40: datetimes and ids in renditions have a JSON form."""
    original = {"href": "o", "created": datetime(2026, 3, 4, tzinfo=UTC), "id": ObjectId("1" * 24)}
    media = {"type": "picture", "renditions": {"original": original}}

    parts = written({**STORY, "associations": {"featuremedia": media}})

    assert {
        "original": {"href": "o", "created": "2026-03-04T00:00:00+0000", "id": "1" * 24}
    } == parts["renditions"]


def test_embedded_media_stay_out() -> None:
    """Blocks that the editor embeds are no part of a mail."""
    block = '<!-- EMBED START Image {id: "editor_0"} --><figure><img src="a.jpg"></figure>'
    body = f'<p>a</p>{block}<!-- EMBED END Image {{id: "editor_0"}} --><p>b</p>'

    parts = written({**STORY, "body_html": body})

    assert "a.jpg" not in parts["message_html"]
    assert "<p>a</p>\r<p>b</p>" in parts["message_html"]


def test_a_subject_is_one_line() -> None:
    """A headline cannot add a header to the mail."""
    assert (
        "a Bcc: x@e.org" == written({**STORY, "headline": "a\r\nBcc: x@e.org"})["message_subject"]
    )


def test_an_installation_replaces_templates(tmp_path: Path) -> None:
    """A directory holds templates of its own; those it lacks are the built-in ones."""
    template = "{{ article.slugline }} | {{ article.headline }}"
    (tmp_path / "email_article_subject.txt").write_text(template, "utf-8")

    parts = written({**STORY, "slugline": "s"}, email_templates=str(tmp_path))

    assert "s | h" == parts["message_subject"]
    assert parts["message_text"].startswith("h\n")


def test_templates_have_filters(tmp_path: Path) -> None:
    """Times in any zone and form, and the text of markup."""
    template = (
        "{{ article.versioncreated | format_datetime('Australia/Sydney', '%H:%M') }} "
        "{{ article.abstract | get_text(lf_on_block=False) }} {{ article.headline | striptags }}"
    )
    (tmp_path / "email_article_subject.txt").write_text(template, "utf-8")
    item = {**STORY, "versioncreated": datetime(2026, 3, 4, 5, tzinfo=UTC), "headline": "<b>h</b>"}

    parts = written({**item, "abstract": "<p>a</p><p>b</p>"}, email_templates=str(tmp_path))

    assert "16:00 ab h" == parts["message_subject"]


def test_a_broken_template_is_a_format_error(tmp_path: Path) -> None:
    """Formats scenario 39: a failure has the code of the format."""
    (tmp_path / "email_article_body.txt").write_text("{% if %}", "utf-8")

    with pytest.raises(FormatError) as caught:
        written(STORY, email_templates=str(tmp_path))

    assert (7010, "template") == (caught.value.code, caught.value.field)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (
            '<p>See <a href="https://e.org/a?b=1&amp;c">the map</a>.</p>',
            "See the map (https://e.org/a?b=1&c).",
        ),
        ('<p><a href="https://e.org/">https://e.org/</a></p>', "https://e.org/"),
        ('<p><a name="x">here</a> <a href="#x">there</a></p>', "here there"),
        ('<p><a href="mailto:a@e.org"><b>Ada</b></a></p>', "Ada (mailto:a@e.org)"),
        ('<p><a href="javascript:x()">bad</a></p>', "bad"),
    ],
)
def test_the_text_says_where_links_lead(html: str, text: str) -> None:
    assert text in written({**STORY, "body_html": html})["message_text"]


@pytest.mark.parametrize(
    "before",
    [
        "<table><tr><td><p>cell</p></td></tr></table>",
        "<figure><img src='https://e.org/a.jpg'><figcaption><p>caption</p></figcaption></figure>",
        "<ul><li><p>entry</p></li></ul>",
        "<blockquote><p>quoted</p></blockquote>",
    ],
)
def test_the_dateline_begins_the_story(before: str) -> None:
    """Not a cell, a caption, a list or a quotation that stands before it."""
    item = {**STORY, "body_html": f"{before}<p>Trams stop.</p>", "dateline": {"text": "PERTH -"}}

    assert "<p>PERTH - Trams stop.</p>" in written(item)["message_html"]


@pytest.mark.parametrize(
    ("body", "html", "text"),
    [
        ("<table><tr><td>9:30</td></tr></table>", "<p>PERTH -</p><table>", "PERTH -\n\n9:30"),
        ("<table><caption>C</caption></table>", "<p>PERTH -</p><table>", "PERTH -\n\nC"),
        ("<ul><li>entry</li></ul>", "<p>PERTH -</p>", "PERTH -\n\n- entry"),
        ("<h2>Later</h2><p>On.</p>", "</h2><p>PERTH - On.</p>", "Later\n\nPERTH - On."),
        ("<p> </p><p>On.</p>", "<p>PERTH - On.</p>", "PERTH - On."),
        ("<div>On.</div><p>Off.</p>", "PERTH - On.", "PERTH - On.\n\nOff."),
        ("<p><b>Day</b> one</p>", "<p>PERTH - <b>Day</b> one</p>", "PERTH - Day one"),
        ("<p><a href='https://e.org'>Day</a> one", "<p>PERTH - <a ", "PERTH - Day (https://e.org)"),
        ("On <i>and</i> on.", "PERTH - On <i>and</i>", "PERTH - On and on."),
        (
            "<figure><img src='https://e.org/a.jpg'><figcaption>C</figcaption></figure>On.",
            "</figure>PERTH - On.",
            "[C]\n\nPERTH - On.",
        ),
        ("<!-- note --><p>On.</p>", "<p>PERTH - On.</p>", "PERTH - On."),
        ("<p>&amp; on</p>", "<p>PERTH - &amp; on</p>", "PERTH - & on"),
        ("", "", ""),
    ],
)
def test_the_dateline_is_where_the_text_begins(body: str, html: str, text: str) -> None:
    """In both parts, never in a cell, a caption, a list or a heading."""
    parts = written({**STORY, "body_html": body, "dateline": {"text": "PERTH -"}})

    assert html in parts["message_html"].replace("\r", "")
    assert text in parts["message_text"]


@pytest.mark.parametrize(
    ("embedded", "left", "gone"),
    [
        (
            '<blockquote class="twitter-tweet"><p>Wait</p><a href="https://x.com/1">1 May</a>'
            '</blockquote><script src="https://platform.twitter.com/widgets.js"></script>',
            "1 May (https://x.com/1)",
            "widgets",
        ),
        ('<iframe src="https://e.org/map" title="Map"></iframe>', "Map (https://e.org/map)", "if"),
        ('<iframe src="//e.org/map"></iframe>', "https://e.org/map", "iframe"),
        ('<iframe data-src="https://e.org/map"></iframe>', "https://e.org/map", "iframe"),
        ('<div data-href="https://e.org/1?a=1&amp;b"></div>', "https://e.org/1?a=1&b", "div"),
        ("<blockquote cite='https://e.org/1'> </blockquote>", "https://e.org/1", "quote"),
        ('<div data-href="javascript:x()"></div>', "", "javascript"),
        ('<video src="https://e.org/v.mp4">No video</video>', "https://e.org/v.mp4", "No video"),
        ('<noscript><img src="https://e.org/pixel.gif"></noscript>', "", "pixel"),
        ("<noscript>&lt;b&gt;switch it on</noscript>", "", "switch"),
    ],
)
@pytest.mark.parametrize("mark", ["", "Twitter", 'Video {id: "editor_1"}'])
def test_players_posts_and_frames_are_links(embedded: str, left: str, gone: str, mark: str) -> None:
    """Also where the editor has put comments around them; nothing else of them is text."""
    if mark:
        embedded = f"<!-- EMBED START {mark} -->{embedded}<!-- EMBED END {mark} -->"
    text = written({**STORY, "body_html": f"<p>a</p>{embedded}<p>b</p>"})["message_text"]

    assert left in text
    assert gone not in text.replace("lines", "")


PHOTO = {
    "type": "picture",
    "description_text": "Who <waits>",
    "byline": "Eve Lens",
    "creditline": "Example/Agency",
    "copyrightnotice": "(c) Eve",
    "usageterms": "For one day",
    "renditions": {"viewImage": {"href": "https://e.org/p.jpg"}},
}


def test_an_attached_picture_has_caption_and_credits() -> None:
    """In both parts, where the destination has it attached."""
    item = {**STORY, "associations": {"featuremedia": PHOTO}}
    said = "Who <waits> (Eve Lens, Example/Agency; (c) Eve; For one day)"

    attached, other = written(item, {"attach_media": True}), written(item)

    assert said in attached["message_text"]
    assert str(escape(said)) in attached["message_html"]
    assert "Eve" not in other["message_text"]


def test_links_of_abstract_and_footer() -> None:
    """The text says where they lead."""
    link = '<p><a href="https://e.org/{}">more</a></p>'
    item = {**STORY, "abstract": link.format("a"), "body_footer": link.format("f")}

    text = written(item)["message_text"]

    assert "more (https://e.org/a)" in text
    assert "more (https://e.org/f)" in text


def test_whose_it_is() -> None:
    """Credit line, notice, holder and terms of use; those of the newsroom where it has none."""
    rights = {"copyrightnotice": "(c) Desk", "copyrightholder": "Desk", "usageterms": "One day"}

    own = written({**STORY, **rights, "creditline": "Agency"})["message_text"]

    assert own.endswith("Agency; (c) Desk; One day")
    assert written(STORY)["message_text"].endswith("(c) 2026 Example News; Editorial use only")


@pytest.mark.parametrize(
    "body",
    ["</div>On.", "</body>On.", "<p></p></body>On.", "</div><b>On.</b>", "<b></b></div>On.", "On."],
)
def test_a_dateline_before_text_that_nothing_holds(body: str) -> None:
    """Text outside of all elements begins a story as well."""
    text = written({**STORY, "body_html": body, "dateline": {"text": "PERTH -"}})["message_text"]

    assert "PERTH - On." in text
