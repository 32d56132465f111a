"""What goes out, and what must not, in whichever format."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from apps.core.errors import FormatError
from formatters import BUILT_IN
from formatters.base import FormatSettings
from formatters.feed import feed_entry
from formatters.outgoing import outgoing
from tests.support.format_items import CONTEXT, LATER, NOW
from tests.support.format_schemas import idml_parts

FORMATS = {formatter.type: formatter for formatter in BUILT_IN}
COMPAT = [(name, {"compat": "superdesk"}) for name in ("nitf", "newsml12", "newsmlg2")]
OUTPUTS: list[tuple[str, dict[str, str]]] = [*((name, {}) for name in FORMATS), *COMPAT]
STORY = {
    "_id": "urn:x:1",
    "guid": "urn:x:1",
    "type": "text",
    "headline": "Trams stop",
    "body_html": "<p>All of them.</p>",
    "format": "HTML",
    "state": "published",
    "pubstatus": "usable",
    "versioncreated": NOW,
}
PICTURE = {
    "_id": "urn:x:2",
    "guid": "urn:x:2",
    "type": "picture",
    "headline": "Secret picture",
    "description_text": "Secret caption",
    "alt_text": "Secret text",
    "renditions": {"original": {"href": "https://e.org/secret.jpg", "mimetype": "image/jpeg"}},
}
OWN = {"embargo": LATER, "schedule_settings": {"utc_embargo": LATER}}
INGESTED = {"embargoed": LATER}


def said(name: str, config: Mapping[str, Any], item: Mapping[str, Any], **context: Any) -> str:
    """Return all that a format says of an item."""
    known = replace(CONTEXT, config=config, **context)
    parts = FORMATS[name]().format(item, known)
    return "\n".join(_text(name, part) for part in parts)


def _text(name: str, part: Any) -> str:
    if name != "idml":
        return part.data.decode()
    stories = (root for path, root in idml_parts(part).items() if path.startswith("Stories/"))
    return "\n".join("".join(e.text or "" for e in root.iter("Content")) for root in stories)


@pytest.mark.parametrize(("name", "config"), OUTPUTS)
@pytest.mark.parametrize("fields", [OWN, INGESTED, {**OWN, "embargoed": NOW - timedelta(days=1)}])
def test_an_embargo_is_told_until_it_is_over(
    name: str, config: dict[str, str], fields: dict[str, Any]
) -> None:
    """The newsroom's own and one that the item came in with; afterwards nothing is left of it."""
    item = {**STORY, **fields}
    if name == "jsonld":
        with pytest.raises(FormatError, match="embargoed until 2026-03-05T06:07:08"):
            said(name, config, item)
    elif name != "imatrics":
        told = said(name, config, item)
        assert "embargoed" in told.lower()
        assert any(day in told for day in ("2026-03-05", "20260305", "05 March 2026 06:07, UTC"))

    over = said(name, config, item, now=LATER)
    assert "embargo" not in over.lower()


@pytest.mark.parametrize(
    ("fields", "until"),
    [
        ({**OWN, "embargoed": LATER + timedelta(hours=1)}, "07:07"),
        ({**OWN, "embargoed": LATER - timedelta(hours=1)}, "06:07"),
        ({"embargoed": "2026-03-05T10:00:00+02:00"}, "08:00"),
    ],
)
def test_the_later_embargo_counts(fields: dict[str, Any], until: str) -> None:
    """Whoever set it, and in whichever zone it was given."""
    assert f"05 March 2026 {until}, UTC" in said("text", {}, {**STORY, **fields})


def test_the_zone_of_an_embargo() -> None:
    """That of the item, else that of the newsroom; one that nobody knows is passed over."""
    own = {"utc_embargo": LATER, "time_zone": "Australia/Sydney"}
    settings = FormatSettings(default_timezone="Europe/Prague")
    item = {**STORY, "embargo": LATER}

    def first_line(zone: str | None) -> str:
        held = {**item, "schedule_settings": {**own, "time_zone": zone}}
        return said("text", {}, held, settings=settings).splitlines()[0]

    zones = ("Australia/Sydney", None, "Mars/Base")
    assert [first_line(zone) for zone in zones] == [
        "EMBARGOED until 05 March 2026 17:07, Australia/Sydney",
        "EMBARGOED until 05 March 2026 07:07, Europe/Prague",
        "EMBARGOED until 05 March 2026 07:07, Europe/Prague",
    ]


@pytest.mark.parametrize("name", ["text", "markdown", "email", "idml"])
def test_texts_for_people_begin_with_the_embargo(name: str) -> None:
    """Nobody reads the story before the notice."""
    told = said(name, {}, {**STORY, **INGESTED})
    if name != "email":
        assert told.startswith("EMBARGOED until 05 March 2026 06:07, UTC")
        return
    mail = json.loads(told)
    assert mail["message_text"].startswith("EMBARGOED until 05 March 2026 06:07, UTC\n\n")
    assert "<body><p><strong>EMBARGOED until 05 March 2026 06:07, UTC" in mail["message_html"]


@pytest.mark.parametrize(("name", "config"), OUTPUTS)
@pytest.mark.parametrize("state", ["killed", "recalled"])
def test_a_withdrawal_carries_its_notice_only(
    name: str, config: dict[str, str], state: str
) -> None:
    """Nothing of the version that it withdraws: pictures, related items, other bodies, fields."""
    withdrawn = {
        **STORY,
        **INGESTED,
        "state": state,
        "pubstatus": "canceled",
        "body_html": "<p>Do not use</p>",
        "body_text": "Secret text",
        "sms_message": "Secret text",
        "associations": {
            "featuremedia": PICTURE,
            "related--1": {**STORY, "guid": "urn:x:3", "headline": "Secret story"},
        },
        "renditions": PICTURE["renditions"],
        "attachments": [{"attachment": "att1"}],
        "annotations": [{"msg": "Secret"}],
        "refs": [{"headline": "Secret"}],
        "extra": {
            "body_html5": "<p>Secret body</p>",
            "headline_web": "Secret headline",
            "subtitle": "Secret subtitle",
            "link": {"embed": "<iframe src='https://e.org/secret'></iframe>"},
            "altids": {"own": "17"},
        },
    }

    told = said(name, config, withdrawn).lower()

    assert "secret" not in told
    assert "spreadsheet" not in told
    assert "embargo" not in told


LINES = [
    ("AT&amp;T <b>wins</b>", "AT&T wins"),
    ("AT&T wins", "AT&T wins"),
    ("Firm ends <Free> plan", "Firm ends <Free> plan"),
    ("Firm ends <Code> plan", "Firm ends <Code> plan"),
    ("Profit <£1m, loss >£2m", "Profit <£1m, loss >£2m"),
    ("Why 2 < 3 and 5 > 4", "Why 2 < 3 and 5 > 4"),
    ("If a <b and c> d", "If a <b and c> d"),
    ("<p>First</p><p>second</p>", "First second"),
    ('<span style="color: red">Red</span>&nbsp;alert', "Red\xa0alert"),
    ("Safe<script>alert(1)</script> text", "Safe text"),
    ("Copy&copy2 &unknown; &#8364;5", "Copy&copy2 &unknown; €5"),
    ("a<br/>b", "a b"),
    ("&lt;b&gt; is bold", "<b> is bold"),
]


@pytest.mark.parametrize(("stored", "meant"), LINES)
@pytest.mark.parametrize("field", ["headline", "byline", "ednote"])
def test_a_line_says_the_same_everywhere(field: str, stored: str, meant: str) -> None:
    """It is read once, as the markup or the text that it is."""
    item = outgoing({**STORY, field: stored, "associations": {"featuremedia": {field: stored}}})

    assert item[field].replace("\n", " ") == meant
    assert item["associations"]["featuremedia"][field].replace("\n", " ") == meant


@pytest.mark.parametrize(("stored", "meant"), LINES)
def test_subjects_keep_the_facts(stored: str, meant: str) -> None:
    """A mail's subject and its text name what the headline says."""
    mail = json.loads(said("email", {}, {**STORY, "headline": stored}))

    assert mail["message_subject"] == " ".join(meant.split())
    assert meant in mail["message_text"]


@pytest.mark.parametrize("name", ["ninjs", "ninjs3", "jsonld", "text", "idml"])
@pytest.mark.parametrize(("stored", "meant"), LINES[:6])
def test_headlines_in_formats(name: str, stored: str, meant: str) -> None:
    told = said(name, {}, {**STORY, "headline": stored})
    if name not in ("text", "idml"):
        told = "\n".join(_strings(json.loads(told)))
    assert meant.casefold() in told.casefold()


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _strings(entry)


def test_what_is_plain_stays_the_same_object() -> None:
    """Nothing is copied where there is nothing to read."""
    item = {**STORY, "associations": {"featuremedia": PICTURE}}
    assert outgoing(item) is item


SCRIPTS = [
    "<script>secret()</script>",
    "<SCRIPT SRC=//e.org/secret.js></SCRIPT>",
    '<img src="x.jpg" onerror="secret()">',
    '<a href="javascript:secret()">a</a>',
    '<a href=" \tjava\nscript:secret()">a</a>',
    '<a href="JaVaScRiPt:secret()">a</a>',
    '<a href="data:text/html,<script>secret()</script>">a</a>',
    '<a href="vbscript:secret">a</a>',
    '<iframe src="javascript:secret()"></iframe>',
    '<iframe srcdoc="<script>secret()</script>"></iframe>',
    '<svg onload="secret()"><script>secret()</script></svg>',
    '<object data="javascript:secret()"></object>',
    "<style>p { background: url(secret) }</style>",
    '<p style="background: url(javascript:secret())">p</p>',
    '<form action="javascript:secret()"><input onfocus="secret()"></form>',
    '<math><mtext><img src=x onerror="secret()"></mtext></math>',
    '<noscript><img src="x" onerror="secret()"></noscript>',
    '<video src="https://e.org/a.mp4" onplay="secret()"></video>',
    '<base href="javascript:secret()//">',
    '<meta http-equiv="refresh" content="0;url=javascript:secret()">',
]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("output", ["feed", "markdown", "email", "jsonld"])
def test_no_script_goes_out(output: str, script: str) -> None:
    """What pages, mails and readers show runs nothing; the text around it stays."""
    item = {**STORY, "body_html": f"<p>before</p>{script}<p>after</p>", "abstract": script}

    entry = feed_entry(item, CONTEXT)
    told = entry.content_html + entry.summary if output == "feed" else said(output, {}, item)

    assert "secret" not in told
    assert "onerror" not in told
    assert "before" in told
    assert "after" in told


@pytest.mark.parametrize(
    ("embed", "shown"),
    [
        (
            '<iframe src="https://www.youtube.com/embed/x" onload="y" width="9"></iframe>',
            '<iframe src="https://www.youtube.com/embed/x" width="9"></iframe>',
        ),
        ('<iframe src="//player.vimeo.com/1"></iframe>',) * 2,
        (
            '<iframe src="https://youtube.com.evil.example/x" title="T & t"></iframe>',
            '<p><a href="https://youtube.com.evil.example/x">T &amp; t</a></p>',
        ),
        (
            '<object data="https://e.org/a.swf"><p>old</p></object>',
            '<p><a href="https://e.org/a.swf">https://e.org/a.swf</a></p>',
        ),
        ('<video src="https://e.org/a.mp4"></video>',) * 2,
        (
            '<blockquote class="twitter-tweet x"><p>t</p></blockquote><script src="y"></script>',
            '<blockquote class="twitter-tweet"><p>t</p></blockquote>',
        ),
    ],
)
def test_embeds_in_feeds(embed: str, shown: str) -> None:
    """Known players stay, others give way to links."""
    assert feed_entry({**STORY, "body_html": embed}, CONTEXT).content_html == shown


def test_embeds_in_mails() -> None:
    """Whatever plays is a link; what is for readers without scripts is no text."""
    body = (
        '<p>a</p><iframe src="https://www.youtube.com/embed/x"></iframe>'
        '<video controls><source src="https://e.org/a.mp4">old</video>'
        '<noscript><img src="https://e.org/pixel.gif"></noscript><p>b</p>'
    )

    mail = json.loads(said("email", {}, {**STORY, "body_html": body}))

    for part in (mail["message_html"], mail["message_text"]):
        assert "https://www.youtube.com/embed/x" in part
        assert "https://e.org/a.mp4" in part
        assert "pixel" not in part


@pytest.mark.parametrize(
    ("embed", "shown"),
    [
        ("<math><mi>x</mi><mo>=</mo><mn>2</mn></math>", "x=2"),
        ("<math><mrow><mi>x", "x"),
        ("<svg viewBox='0 0 1 1'><g><text>Chart</text></g></svg>", "Chart"),
        ("<svg><foreignObject>Chart", "Chart"),
        ("<SVG><desc>Chart<p>", "Chart"),
    ],
)
@pytest.mark.parametrize("output", ["feed", "email"])
def test_formulas_and_drawings_take_no_text_with_them(output: str, embed: str, shown: str) -> None:
    """Their own stays, and what follows where nobody closes them."""
    mark = 'Youtube {id: "editor_0"}'
    marked = f"<!-- EMBED START {mark} -->{embed}<!-- EMBED END {mark} -->"
    item = {**STORY, "body_html": f"<p>before</p>{marked}<p>after</p>"}

    html = feed_entry(item, CONTEXT).content_html
    if output == "email":
        html = json.loads(said("email", {}, item))["message_html"]

    assert shown in html
    assert "<p>after</p>" in html


def test_json_ld_may_stand_in_a_page() -> None:
    """No `<` of a story ends or opens anything of the page around it."""
    item = {**STORY, "headline": "a <!--</x> b < c"}

    told = said("jsonld", {}, item)

    assert "<" not in told
    assert json.loads(told)["headline"] == "a <!--</x> b < c"


@pytest.mark.parametrize("name", ["text", "markdown", "idml"])
@pytest.mark.parametrize(
    ("fields", "notice"),
    [
        (
            {"state": "corrected", "ednote": "Corrects the *route*"},
            "CORRECTION: Corrects the *route*",
        ),
        ({"state": "killed", "pubstatus": "canceled"}, "WITHDRAWN"),
        ({"state": "recalled", "pubstatus": "canceled"}, "WITHDRAWN"),
        ({"state": "unpublished", "pubstatus": "canceled"}, "WITHDRAWN"),
        ({"state": "published", "ednote": "Map attached"}, ""),
    ],
)
def test_texts_for_people_begin_with_what_has_changed(
    name: str, fields: dict[str, Any], notice: str
) -> None:
    """A withdrawal and a correction say so before anything else."""
    told = said(name, {}, {**STORY, **fields}).replace("\\", "")

    assert told.startswith(notice)
    assert ("CORRECTION" in told) is notice.startswith("CORRECTION")


BLOCK = (
    '<!-- EMBED START Image {id: "editor_0"} --><figure><img src="https://e.org/secret.jpg">'
    '<figcaption>Secret caption</figcaption></figure><!-- EMBED END Image {id: "editor_0"} -->'
)


@pytest.mark.parametrize(("name", "config"), OUTPUTS)
@pytest.mark.parametrize(
    "fields", [{"pubstatus": "canceled"}, {"state": "recalled"}, {"state": "unpublished"}]
)
def test_a_withdrawn_picture_of_a_story(
    name: str, config: dict[str, str], fields: dict[str, Any]
) -> None:
    """It is in no format, under whatever key the story holds it, and not in its text."""
    picture = {**PICTURE, **fields}
    shown = {**PICTURE, "headline": "Shown picture", "description_text": "c", "alt_text": "a"}
    del shown["renditions"]
    story = {
        **STORY,
        "body_html": f"<p>All of them.</p>{BLOCK}<p>The end.</p>",
        "refs": [{"key": "editor_0", "guid": "urn:x:2"}],
        "associations": {
            **dict.fromkeys(("featuremedia", "editor_0", "gallery--1"), picture),
            "related--1": {**shown, "associations": {"featuremedia": picture}},
        },
    }

    told = said(name, config, story)

    assert "secret" not in told.lower()
    assert "The end." in told


def test_a_withdrawn_picture_is_in_no_feed() -> None:
    picture = {**PICTURE, "state": "killed"}
    body = f"<p>All of them.</p>{BLOCK}<p>The end.</p>"
    entry = feed_entry({**STORY, "body_html": body, "associations": {"editor_0": picture}}, CONTEXT)

    assert not entry.media
    assert entry.content_html == "<p>All of them.</p><p>The end.</p>"
