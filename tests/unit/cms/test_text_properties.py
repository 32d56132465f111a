"""What holds of bodies for sites whatever markup the item has (cms contract 8)."""

import re
from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.support.markup import (
    assert_embed_is_bounded,
    assert_passive,
    assert_well_formed,
    editor_blocks,
    words,
)
from tests.unit.cms.test_text import MEDIA, embed_block, every_platform, marked, story
from transmitters.cms.text import (
    Body,
    block_json,
    cut_at_word,
    ghost_html,
    media_in,
    plain_text,
    webflow_rich_text,
    wordpress_blocks,
    wordpress_classic,
)

TAGS = (
    "p", "h1", "h3", "ul", "ol", "li", "blockquote", "cite", "figure", "figcaption", "table",
    "thead", "tbody", "tr", "td", "th", "caption", "pre", "code", "dl", "dt", "dd", "div",
    "section", "b", "i", "u", "a", "q", "span", "font", "mark", "small", "sub", "abbr", "center",
    "nobr", "form", "object", "math", "mtext", "details", "summary", "ruby", "rt",
)  # fmt: skip
"""Elements whose text is shown."""

HIDING = (
    "script", "style", "svg", "template", "select", "option", "textarea", "title", "noscript",
    "iframe", "xmp", "plaintext", "video", "button", "frameset", "head", "body", "html",
)  # fmt: skip

ATTRIBUTES = st.sampled_from([
    "", "", "", " class=x", " href=https://a.example/", " href=javascript:x", " onclick=x",
    " style=x", " colspan=2", " start=4", " src=https://a.example/b", " title='&quot;><x'",
    ' class="embed-block"', " class=twitter-tweet", " target=_blank href=//b.example",
])  # fmt: skip
LEAVES = st.sampled_from([
    "<br>", "<hr>", "<img src=https://a.example/1.jpg>", "<img src=x onerror=y>", " ", "\n",
    "&nbsp;", "<iframe src=https://www.youtube.com/embed/x></iframe>", "<!-- c -->", "&amp;lt;",
    "[x]", "<iframe src=https://a.example></iframe>", "<script>x()</script>", "<!-- wp:html -->",
    marked("editor_0", "Image", "<p></p>"), marked("editor_1", "Video"),
    marked("editor_3", "Image"),
])  # fmt: skip
SHOWN_LEAVES = st.sampled_from(["<br>", "<hr>", "<img src=https://a.example/1.jpg>", "\n", "<p>"])
WORD = "\N{BLACK SQUARE}"
"""Stands for a word of its own."""


def elements(leaves: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return markup in which every element is closed, wherever it stands."""
    return st.recursive(
        leaves | st.just(WORD),
        lambda inner: st.builds(
            lambda tag, attributes, parts: f"<{tag}{attributes}>{''.join(parts)}</{tag}>",
            st.sampled_from(TAGS),
            ATTRIBUTES,
            st.lists(inner, max_size=4),
        ),
        max_leaves=25,
    )


def pieces(tags: tuple[str, ...], leaves: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return markup in which elements are opened and closed at random."""
    names = st.sampled_from(tags)
    opened = st.builds(lambda tag, attributes: f"<{tag}{attributes}>", names, ATTRIBUTES)
    return st.lists(
        opened | names.map(lambda tag: f"</{tag}>") | leaves | st.just(WORD), max_size=40
    ).map("".join)


def with_words(markup: str) -> str:
    numbers = count()
    return "".join(f" word{next(numbers)} " if sign == WORD else sign for sign in markup)


SHOWN = (elements(SHOWN_LEAVES) | pieces(TAGS, SHOWN_LEAVES)).map(with_words)
ANY = (elements(LEAVES) | pieces(TAGS + HIDING, LEAVES) | st.text(max_size=60)).map(with_words)


@every_platform
@given(body=ANY)
def test_bodies_are_well_formed_and_passive(write: Callable[..., Body], body: str) -> None:
    written = write(story(body), embeds=False)
    assert_well_formed(written.html)
    assert_passive(written.html)
    assert written == write(story(body), embeds=False)
    assert set(written.used_media) <= set(media_in(body, MEDIA).keys)


@every_platform
@given(body=ANY)
def test_bodies_with_embeds_are_well_formed(write: Callable[..., Body], body: str) -> None:
    for markup in (body, embed_block(body)):
        html = write(story(markup)).html
        assert_well_formed(html)
        assert_embed_is_bounded(html)


@given(body=ANY, embeds=st.booleans())
def test_blocks_are_closed_and_stand_where_they_may(body: str, embeds: bool) -> None:
    html = wordpress_blocks(story(body), embeds=embeds).html
    for name, attributes, _ in editor_blocks(html):
        assert name != "heading" or attributes["level"] in range(2, 7)


@pytest.mark.parametrize(
    "write", [wordpress_classic, ghost_html, webflow_rich_text], ids=["classic", "ghost", "webflow"]
)
@given(body=ANY)
@example(body="<code><xmp>\n0\n")
@example(body="<b><pre><i>\n\n0</i>\n</pre>")
@example(body="<ul><pre> word0 </pre></ul>")
@example(body="<ul><pre> <b><i>word0 </i> </b> </pre></ul>")
@example(body="<ul><pre><b> word0</b>\n <i>  word1</i></pre></ul>")
def test_what_is_clean_stays_as_it_is(write: Callable[..., Body], body: str) -> None:
    # What platforms without preformatted text are sent of it has the blanks of other text.
    assume(write is wordpress_classic or not re.search("<(?:pre|xmp|plaintext)", body))
    once = write(story(body), embeds=False).html.replace(' class="wp-image-7"', "")
    assert write(story(once), embeds=False).html == once


@every_platform
@given(body=SHOWN)
def test_every_word_survives_once(write: Callable[..., Body], body: str) -> None:
    def found(html: str) -> list[str]:
        return [word for word in words(html) if word.startswith("word")]

    assert sorted(found(write(story(body), embeds=False).html)) == sorted(found(body))


@given(markup=ANY)
def test_plain_text_is_one_line(markup: str) -> None:
    text = plain_text(markup)
    assert text == " ".join(text.split())


@given(text=st.text(alphabet="ab ", max_size=30), limit=st.integers(1, 30))
def test_cut_texts_are_short_enough_and_begin_the_same(text: str, limit: int) -> None:
    cut = cut_at_word(text, limit)
    assert len(cut) <= limit
    assert text.startswith(cut.removesuffix("…"))


@given(value=st.text())
def test_attributes_of_blocks_are_json_that_ends_no_comment(value: str) -> None:
    html = f"<!-- wp:html {block_json({'a': value})} -->\n<!-- /wp:html -->"
    assert editor_blocks(html) == [("html", {"a": value}, None)]
