"""Bodies of stories as WordPress, Ghost and Webflow take them (cms contract 8)."""

import json
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.markup import (
    assert_passive,
    assert_well_formed,
    editor_blocks,
    words,
)
from tests.support.schema_files import names_in, sample
from transmitters.cms.base import PostIdentity, RemoteMedia, Story, StoryMedia
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

IDENTITY = PostIdentity(ref="0123456789abcdef", slug="storm-01234567")
PLATFORMS: dict[str, Callable[..., Body]] = {
    "blocks": wordpress_blocks,
    "classic": wordpress_classic,
    "ghost": ghost_html,
    "webflow": webflow_rich_text,
}
every_platform = pytest.mark.parametrize("write", PLATFORMS.values(), ids=PLATFORMS)

PICTURE = StoryMedia(
    "editor_0",
    RemoteMedia("7", "https://site.example/7.jpg", "image/jpeg", 800, 600),
    alt='A "grey" sea',
    caption="Ostvik & Lunde",
    credit="Halvorsen",
    source_urls=frozenset({"https://desk.example/api/media/7", "data:image/png;base64,AAAA"}),
)
VIDEO = StoryMedia("editor_1", RemoteMedia("8", "https://site.example/8.mp4", "video/mp4"))
AUDIO = StoryMedia("editor_2", RemoteMedia("9", "https://site.example/9.mp3", "audio/mpeg"))
LEFT_OUT = StoryMedia("editor_3", None, source_urls=frozenset({"https://desk.example/gone"}))
MEDIA = {one.key: one for one in (PICTURE, VIDEO, AUDIO, LEFT_OUT)}

TWEET = '<blockquote class="twitter-tweet"><p>Waves <a href="https://t.example/1">pic</a></p></blockquote>'
TWEET_SCRIPT = '<script async="" src="https://platform.twitter.com/widgets.js"></script>'


def story(body: str, **fields: Any) -> Story:
    return Story(identity=IDENTITY, headline="Storm", body=body, media=MEDIA, **fields)


def classic(body: str, **options: Any) -> str:
    return wordpress_classic(story(body), **options).html


def marked(key: str, kind: str, inner: str = "") -> str:
    mark = f'{kind} {{id: "{key}"}}'
    return f"<!-- EMBED START {mark} -->\n{inner}\n<!-- EMBED END {mark} -->"


def embed_block(inner: str) -> str:
    return f'<div class="embed-block">{inner}</div>'


def card(html: str) -> str:
    return f"<!--kg-card-begin: html-->\n{html}\n<!--kg-card-end: html-->"


def block(name: str, html: str) -> str:
    return f"<!-- wp:{name} -->\n{html}\n<!-- /wp:{name.split(' ')[0]} -->"


FRAME = '<iframe src="https://www.youtube.com/embed/a--b" width="560" allowfullscreen></iframe>'
FRAME_FIGURE = (
    '<figure><iframe src="https://www.youtube.com/embed/a--b" width="560" allowfullscreen="">'
    "</iframe></figure>"
)

ROWS = {
    "paragraph": (
        "<p>A <b>b</b> &amp; c</p>",
        block("paragraph", "<p>A <b>b</b> &amp; c</p>"),
        "<p>A <b>b</b> &amp; c</p>",
        "<p>A <b>b</b> &amp; c</p>",
        "<p>A <b>b</b> &amp; c</p>",
    ),
    "heading": (
        "<h3>Wind</h3>",
        block('heading {"level":3}', "<h3>Wind</h3>"),
        "<h3>Wind</h3>",
        "<h3>Wind</h3>",
        "<h3>Wind</h3>",
    ),
    "nested list": (
        "<ul><li>a<ol start=3><li>b</li></ol></li></ul>",
        block(
            "list",
            "<ul>"
            + block(
                "list-item",
                "<li>a"
                + block(
                    'list {"ordered":true,"start":3}',
                    f'<ol start="3">{block("list-item", "<li>b</li>")}</ol>',
                )
                + "</li>",
            )
            + "</ul>",
        ),
        *['<ul><li>a<ol start="3"><li>b</li></ol></li></ul>'] * 3,
    ),
    "quotation": (
        "<blockquote><p>a</p><p>b</p></blockquote>",
        block(
            "quote",
            '<blockquote class="wp-block-quote">'
            + block("paragraph", "<p>a</p>")
            + "\n\n"
            + block("paragraph", "<p>b</p>")
            + "</blockquote>",
        ),
        *["<blockquote><p>a</p><p>b</p></blockquote>"] * 3,
    ),
    "picture of somebody else": (
        '<figure><img src="https://h.example/1.jpg" alt="a" srcset="x 2x">'
        "<figcaption>c</figcaption></figure>",
        block(
            'image {"sizeSlug":"full"}',
            '<figure class="wp-block-image size-full"><img src="https://h.example/1.jpg" alt="a">'
            '<figcaption class="wp-element-caption">c</figcaption></figure>',
        ),
        *['<figure><img src="https://h.example/1.jpg" alt="a"><figcaption>c</figcaption></figure>']
        * 3,
    ),
    "several pictures in a figure": (
        '<figure><img src="https://h.example/1.jpg"><img src="https://h.example/2.jpg"></figure>',
        block(
            'gallery {"linkTo":"none"}',
            '<figure class="wp-block-gallery has-nested-images columns-default is-cropped">'
            + "\n\n".join(
                block(
                    'image {"sizeSlug":"full","linkDestination":"none"}',
                    '<figure class="wp-block-image size-full">'
                    f'<img src="https://h.example/{n}.jpg" alt=""></figure>',
                )
                for n in (1, 2)
            )
            + "</figure>",
        ),
        "\n".join(f'<figure><img src="https://h.example/{n}.jpg" alt=""></figure>' for n in (1, 2)),
        *["".join(f'<figure><img src="https://h.example/{n}.jpg" alt=""></figure>' for n in (1, 2))]
        * 2,
    ),
    "video": (
        marked("editor_1", "Video"),
        block(
            'video {"id":8}',
            '<figure class="wp-block-video"><video controls="" src="https://site.example/8.mp4">'
            "</video></figure>",
        ),
        '<figure><video controls="" src="https://site.example/8.mp4"></video></figure>',
        card('<figure><video controls="" src="https://site.example/8.mp4"></video></figure>'),
        '<p><a href="https://site.example/8.mp4">8.mp4</a></p>',
    ),
    "audio": (
        marked("editor_2", "Audio"),
        block(
            'audio {"id":9}',
            '<figure class="wp-block-audio"><audio controls="" src="https://site.example/9.mp3">'
            "</audio></figure>",
        ),
        '<figure><audio controls="" src="https://site.example/9.mp3"></audio></figure>',
        card('<figure><audio controls="" src="https://site.example/9.mp3"></audio></figure>'),
        '<p><a href="https://site.example/9.mp3">9.mp3</a></p>',
    ),
    "page of a known site in a frame": (
        FRAME,
        block(
            'embed {"url":"https://www.youtube.com/watch?v=a\\u002d\\u002db","type":"video",'
            '"providerNameSlug":"youtube","responsive":true,'
            '"className":"wp-embed-aspect-16-9 wp-has-aspect-ratio"}',
            '<figure class="wp-block-embed is-type-video is-provider-youtube wp-block-embed-youtube'
            ' wp-embed-aspect-16-9 wp-has-aspect-ratio"><div class="wp-block-embed__wrapper">\n'
            "https://www.youtube.com/watch?v=a--b\n</div></figure>",
        ),
        FRAME_FIGURE,
        FRAME_FIGURE,
        FRAME_FIGURE,
    ),
    "page of another site in a frame": (
        '<iframe src="https://polls.example/?a=1&amp;b=2"></iframe>',
        block(
            "html",
            '<figure><iframe src="https://polls.example/?a=1&amp;b=2"></iframe></figure>',
        ),
        *['<figure><iframe src="https://polls.example/?a=1&amp;b=2"></iframe></figure>'] * 3,
    ),
    "post of social media": (
        embed_block(TWEET + TWEET_SCRIPT),
        block("html", embed_block(TWEET + TWEET_SCRIPT)),
        embed_block(TWEET + TWEET_SCRIPT),
        card(embed_block(TWEET + TWEET_SCRIPT)),
        '<blockquote><p>Waves <a href="https://t.example/1">pic</a></p></blockquote>',
    ),
    "table": (
        "<table><thead><tr><th>a<th>b<tbody><tr><td>c<td>d</table>",
        block(
            "table",
            '<figure class="wp-block-table"><table><thead><tr><th>a</th><th>b</th></tr></thead>'
            "<tbody><tr><td>c</td><td>d</td></tr></tbody></table></figure>",
        ),
        "<table><thead><tr><th>a</th><th>b</th></tr></thead>"
        "<tbody><tr><td>c</td><td>d</td></tr></tbody></table>",
        card(
            "<table><thead><tr><th>a</th><th>b</th></tr></thead>"
            "<tbody><tr><td>c</td><td>d</td></tr></tbody></table>"
        ),
        "<p><strong>a</strong> | <strong>b</strong></p><p>c | d</p>",
    ),
    "preformatted": (
        "<pre>a\n  b</pre>",
        block("preformatted", '<pre class="wp-block-preformatted">a\n  b</pre>'),
        "<pre>a\n  b</pre>",
        "<pre><code>a\n  b</code></pre>",
        "<p>a<br>\u00a0\u00a0b</p>",
    ),
    "code": (
        "<pre><code>a &lt; b\nc</code></pre>",
        block("code", '<pre class="wp-block-code"><code>a &lt; b\nc</code></pre>'),
        "<pre><code>a &lt; b\nc</code></pre>",
        "<pre><code>a &lt; b\nc</code></pre>",
        "<p>a &lt; b<br>c</p>",
    ),
    "definitions": (
        "<dl><dt>Gale</dt><dd>Strong wind</dd></dl>",
        block("html", "<dl><dt>Gale</dt><dd>Strong wind</dd></dl>"),
        "<dl><dt>Gale</dt><dd>Strong wind</dd></dl>",
        *["<p><strong>Gale</strong></p><p>Strong wind</p>"] * 2,
    ),
    "rule": (
        "<hr>",
        block("separator", '<hr class="wp-block-separator has-alpha-channel-opacity"/>'),
        "<hr>",
        "<hr>",
        "<p>* * *</p>",
    ),
    "inline": (
        "<p>x<sup>2</sup> <sub>y</sub> <u>u</u> <s>s</s> <em>e</em> <strong>f</strong> "
        "<code>c</code> <mark>m</mark> <small>k</small></p>",
        block(
            "paragraph",
            "<p>x<sup>2</sup> <sub>y</sub> <u>u</u> <s>s</s> <em>e</em> <strong>f</strong> "
            "<code>c</code> <mark>m</mark> <small>k</small></p>",
        ),
        "<p>x<sup>2</sup> <sub>y</sub> <u>u</u> <s>s</s> <em>e</em> <strong>f</strong> "
        "<code>c</code> <mark>m</mark> <small>k</small></p>",
        *[
            "<p>x<sup>2</sup> <sub>y</sub> <u>u</u> <s>s</s> <em>e</em> <strong>f</strong> "
            "<code>c</code> m k</p>"
        ]
        * 2,
    ),
    "entities": (
        "<p>caf&eacute; &mdash; &nbsp;&lt;b&gt; &quot;q&quot;</p>",
        block("paragraph", '<p>café — \u00a0&lt;b&gt; "q"</p>'),
        *['<p>café — \u00a0&lt;b&gt; "q"</p>'] * 3,
    ),
}
"""By row of the table in cms contract 8.3: the body, and what each platform is sent of it."""


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("row", ROWS)
def test_each_element_has_the_form_of_the_platform(row: str, platform: str) -> None:
    body, *forms = ROWS[row]
    written = PLATFORMS[platform](story(body))
    assert written.html == dict(zip(PLATFORMS, forms, strict=True))[platform]
    assert_well_formed(written.html)


def test_all_rows_together_are_blocks_of_the_editor() -> None:
    html = wordpress_blocks(story("".join(row[0] for row in ROWS.values()))).html
    names = [name for name, _, around in editor_blocks(html) if around is None]
    assert names == [
        "paragraph", "heading", "list", "quote", "image", "gallery", "video", "audio", "embed",
        "html", "html", "table", "preformatted", "code", "html", "separator", "paragraph",
        "paragraph",
    ]  # fmt: skip


def test_classic_bodies_have_no_blank_line_and_no_text_outside_of_blocks() -> None:
    html = classic("".join(row[0] for row in ROWS.values() if "<pre" not in row[0]))
    assert "\n\n" not in html
    assert all(line.startswith("<") and line.endswith(">") for line in html.split("\n"))


CLEAN = {
    "scripts and styles": ("<p>a<script>x()</script><style>p{}</style></p>", "<p>a</p>"),
    "forms": ("<form action=x><p>a</p><input><button>b</button></form>", "<p>a</p>"),
    "event attributes": ('<p onclick="x()">a</p>', "<p>a</p>"),
    "links to code": ('<p><a href="java&#10;script:x()">a</a></p>', "<p>a</p>"),
    "links to data": ('<p><a href="DATA:text/html,x">a</a></p>', "<p>a</p>"),
    "pictures of data": ('<p>a<img src="data:image/gif;base64,R0"></p>', "<p>a</p>"),
    "comments": ("<p>a<!-- b --></p><!--kg-card-begin: html-->", "<p>a</p>"),
    "blocks of the editor in comments": ("<!-- wp:html --><p>a</p><!-- /wp:html -->", "<p>a</p>"),
    "empty paragraphs": ("<p>a</p><p></p><p>&nbsp;<br><b> </b></p><p>\u200b</p>", "<p>a</p>"),
    "classes and styles": ('<p class="x" style="y" id="z" data-w="1">a</p>', "<p>a</p>"),
    "spans and fonts": ("<p><span lang=en>a</span> <font color=red>b</font></p>", "<p>a b</p>"),
    "first headings": ("<h1>a</h1>", "<h2>a</h2>"),
    "stray text": ("a <i>b</i><p>c</p>d", "<p>a <i>b</i></p>\n<p>c</p>\n<p>d</p>"),
    "blanks": ("<p>\n a\n\n b <b> c </b></p>\n\n", "<p>a b <b>c</b></p>"),
    "paragraphs in divisions": ("<div>a<div><p>b</p>c</div></div>", "<p>a</p>\n<p>b</p>\n<p>c</p>"),
    "formatting around blocks": (
        "<b>a<p>b</p><h2>c</h2></b>",
        "<p><b>a</b></p>\n<p><b>b</b></p>\n<h2><b>c</b></h2>",
    ),
    "crossed formatting": ("<p><b>a<i>b</b>c</i></p>", "<p><b>a<i>b</i></b><i>c</i></p>"),
    "links in links": (
        '<a href="https://a.example">a<table><tr><td><a href="https://b.example">b</a></table></a>',
        '<p><a href="https://a.example">a</a></p>\n<table><tbody><tr><td>'
        '<a href="https://a.example">b</a></td></tr></tbody></table>',
    ),
    "new windows": (
        '<p><a href="https://a.example" target="_blank" rel="opener nofollow">a</a></p>',
        '<p><a href="https://a.example" target="_blank" rel="nofollow noopener">a</a></p>',
    ),
    "other targets": (
        '<p><a href="https://a.example" target="top">a</a></p>',
        '<p><a href="https://a.example">a</a></p>',
    ),
    "addresses": (
        "<p><a href=' https://a.example/ä b?x=\"1\"&y=<2> '>a</a></p>",
        '<p><a href="https://a.example/ä%20b?x=%221%22&amp;y=%3C2%3E">a</a></p>',
    ),
    "addresses without scheme": (
        '<p><a href="//a.example/b">a</a></p>',
        '<p><a href="https://a.example/b">a</a></p>',
    ),
    "mail": ('<p><a href="mailto:a@b.example">a</a></p>',) * 2,
    "lists in lists": (
        "<ul><li>a</li><ul><li>b</li></ul>c</ul>",
        "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>",
    ),
    "pictures in lists": (
        '<ol><li>a<img src="https://h.example/1.jpg"></li><li>b</li></ol>',
        '<ol><li>a</li></ol>\n<figure><img src="https://h.example/1.jpg" alt=""></figure>\n'
        '<ol start="2"><li>b</li></ol>',
    ),
    "pictures in paragraphs": (
        '<p>a <b>b<img src="https://h.example/1.jpg"> c</b></p>',
        '<p>a <b>b</b></p>\n<figure><img src="https://h.example/1.jpg" alt=""></figure>\n'
        "<p><b>c</b></p>",
    ),
    "pictures in links": (
        '<a href="https://a.example"><img src="https://h.example/1.jpg"></a>',
        '<figure><a href="https://a.example"><img src="https://h.example/1.jpg" alt=""></a>'
        "</figure>",
    ),
    "pictures in tables": (
        '<table><tr><td><img src="https://h.example/1.jpg"><td>a</table>',
        "<table><tbody><tr><td></td><td>a</td></tr></tbody></table>\n"
        '<figure><img src="https://h.example/1.jpg" alt=""></figure>',
    ),
    "blocks in cells": (
        "<table><tr><td><p>a</p><ul><li>b<li>c</ul></table>",
        "<table><tbody><tr><td>a<br>• b<br>• c</td></tr></tbody></table>",
    ),
    "lists in quotations": (
        "<blockquote>a<ul><li>b</ul>c</blockquote>",
        "<blockquote><p>a</p></blockquote>\n<ul><li>b</li></ul>\n<blockquote><p>c</p></blockquote>",
    ),
    "who is quoted": (
        "<blockquote><p>a</p><cite>b</cite></blockquote>",
        "<blockquote><p>a</p><p><cite>b</cite></p></blockquote>",
    ),
    "text without its list": ("<li>a</li><dd>b</dd><td>c</td>", "<p>a</p>\n<p>b</p>\n<p>c</p>"),
    "captions without a figure": ("<figcaption>a</figcaption>", "<p>a</p>"),
    "drawings": ("<svg><text>x</text><script>y</script></svg><p>a</p>", "<p>a</p>"),
    "formulas": ("<math><mi>a</mi><mtext><p>b</p></mtext></math>", "<p>a</p>\n<p>b</p>"),
    "what stands for something that is not shown": (
        "<noscript><p>x</p></noscript><template><p>y</p></template><p>a</p><select><option>z",
        "<p>a</p>",
    ),
    "control characters": ("<p>a\x00\x08&#1;&#xD800;b\ud800</p>", "<p>a\ufffdb</p>"),
}


@pytest.mark.parametrize("case", CLEAN)
def test_bodies_are_cleaned(case: str) -> None:
    body, clean = CLEAN[case]
    assert classic(body) == clean
    assert classic(clean) == clean


def test_relative_links_are_relative_to_the_page_of_the_story() -> None:
    body = '<p><a href="/more">a</a> <a href="#note">b</a></p>'
    known = wordpress_classic(story(body, canonical_url="https://news.example/2026/storm"))
    assert known.html == '<p><a href="https://news.example/more">a</a> b</p>'
    unknown = wordpress_classic(story(body))
    assert (unknown.html, unknown.warnings) == ("<p>a b</p>", ("links_dropped",))


@pytest.mark.parametrize(
    "body",
    [
        "<p>[gallery]</p>",
        "<p>[<span>gallery</span>]</p>",
        "<p>[<!-- x -->gallery] [[x]] [/y]</p>",
        '<p><a href="https://a.example/[x]" title="[z]">b</a></p>',
        '<figure><img src="https://a.example/[x]" alt="[y]" title="[z]"></figure>',
        '<iframe src="https://a.example/[x]" title="[y]"></iframe>',
        '<div class="embed-block"><p title="[x]" data-a="[1]">[y]</p></div>',
        "<table><tr><td>[x]</table><pre>[y]</pre><dl><dt>[z]</dl>",
    ],
)
def test_text_is_no_shortcode_of_wordpress(body: str) -> None:
    for write in (wordpress_blocks, wordpress_classic):
        html = write(story(body)).html
        assert "[" not in html
        assert "".join(words(html)) == "".join(words(body))
    assert ghost_html(story("<p>[sic]</p>")).html == "<p>[sic]</p>"


# Media


PICTURE_OF_ITEM = (
    '<figure><img src="https://site.example/7.jpg" alt="A &quot;grey&quot; sea" width="800" '
    'height="600"><figcaption>Ostvik &amp; Lunde (Halvorsen)</figcaption></figure>'
)


def test_media_of_the_item_are_written_anew() -> None:
    old = '<figure><img src="/old.jpg" onerror="x()"><figcaption>Old</figcaption></figure>'
    body = ghost_html(story(f"<p>a</p>{marked('editor_0', 'Image', old)}<p>b</p>"))
    assert body == Body(f"<p>a</p>{PICTURE_OF_ITEM}<p>b</p>", used_media=("editor_0",))


def test_wordpress_knows_pictures_of_the_item_by_their_ids() -> None:
    html = wordpress_blocks(story(marked("editor_0", "Image"))).html
    assert html == block(
        'image {"id":7,"sizeSlug":"full"}',
        '<figure class="wp-block-image size-full"><img src="https://site.example/7.jpg" '
        'alt="A &quot;grey&quot; sea" class="wp-image-7">'
        '<figcaption class="wp-element-caption">Ostvik &amp; Lunde (Halvorsen)</figcaption>'
        "</figure>",
    )


@pytest.mark.parametrize(
    "body",
    [
        f"<p>a{marked('editor_0', 'Image', '<figure>old</figure>')}b</p>",
        '<div>a<!-- EMBED START Image {id: "editor_0"} --></div><p>old'
        '<!-- EMBED END Image {id: "editor_0"} -->b</p>',
        f"a<ul><li>{marked('editor_0', 'Image', 'old')}</li></ul>b",
        f"a<table><tr><td>{marked('editor_0', 'Image', 'old')}</td></tr></table>b",
        f"a{embed_block(marked('editor_0', 'Image', 'old'))}b",
        "<div>" * 300 + f"a{marked('editor_0', 'Image', '<p>old</p>')}b",
    ],
)
def test_media_are_found_wherever_their_marks_are(body: str) -> None:
    written = ghost_html(story(body))
    assert written.html == f"<p>a</p>{PICTURE_OF_ITEM}<p>b</p>"
    assert written.used_media == ("editor_0",)
    assert media_in(body, MEDIA).keys == ("editor_0",)


@pytest.mark.parametrize(
    "body",
    [
        marked("editor_99", "Image", "<p>kept</p>"),
        '<!-- EMBED START Image {id: "editor_0"} --><p>kept</p>',
        '<p>kept</p><!-- EMBED END Image {id: "editor_0"} -->',
        '<!-- EMBED START Image {id: "editor_0"} --><p>kept</p>'
        '<!-- EMBED END Image {id: "editor_1"} -->',
        f"<p>kept</p><script>{marked('editor_0', 'Image')}</script>",
        f"<p>kept</p><svg>{marked('editor_0', 'Image')}</svg>",
    ],
)
def test_marks_that_delimit_no_medium_of_the_item_mean_nothing(body: str) -> None:
    assert ghost_html(story(body)) == Body("<p>kept</p>")
    assert media_in(body, MEDIA).keys == ()


def test_media_that_were_left_out_leave_nothing() -> None:
    old = "<figure><img src=x><figcaption>Old</figcaption></figure>"
    by_address = (
        '<figure><img src="https://desk.example/gone"><figcaption>Gone</figcaption></figure>'
    )
    body = f"<p>a</p>{marked('editor_3', 'Image', old)}{by_address}"
    assert ghost_html(story(body)) == Body("<p>a</p>")


@pytest.mark.parametrize("source", sorted(PICTURE.source_urls))
def test_pictures_are_known_by_their_addresses(source: str) -> None:
    body = f'<figure><img src="{source}"><figcaption>As <i>written</i></figcaption></figure>'
    written = ghost_html(story(body))
    assert written.html == (
        '<figure><img src="https://site.example/7.jpg" alt="A &quot;grey&quot; sea" width="800" '
        'height="600"><figcaption>As <i>written</i></figcaption></figure>'
    )
    assert written.used_media == ("editor_0",)
    assert media_in(body, MEDIA).sources == (source,)


def test_embeds_show_uploaded_files() -> None:
    body = embed_block(
        '<p>a</p><img src="https://desk.example/api/media/7"><img src="https://desk.example/gone">'
    )
    written = ghost_html(story(body))
    assert written.html == card(embed_block('<p>a</p><img src="https://site.example/7.jpg">'))
    assert written.used_media == ("editor_0",)


def test_media_in_a_body_are_listed_once_and_in_order() -> None:
    body = (
        f'<img src="b&amp;c">{marked("editor_1", "Video")}<video><source src=" v "></video>'
        f"{marked('editor_0', 'Image', '<img src=inner>')}{marked('editor_1', 'Video')}"
        '<img src="b&amp;c"><img><svg><img src="hidden"></svg>'
    )
    found = media_in(body, {"editor_0", "editor_1"})
    assert found.keys == ("editor_1", "editor_0")
    assert found.sources[:2] == ("b&c", "v")
    assert "inner" not in found.sources


def test_pictures_that_no_site_can_show_are_warned_about() -> None:
    body = '<p>a</p><img src="file:///etc/passwd"><img src="data:image/svg+xml,x">'
    assert ghost_html(story(body)) == Body("<p>a</p>", warnings=("media_dropped",))


# Embeds


@every_platform
def test_embeds_that_may_not_stand_are_links(write: Callable[..., Body]) -> None:
    body = f"<p>a</p>{embed_block(FRAME)}{embed_block(TWEET + TWEET_SCRIPT)}"
    written = write(story(body), embeds=False)
    assert written.warnings == ("embeds_stripped",)
    assert "https://www.youtube.com/watch?v=a--b" in written.html
    assert "https://t.example/1" in written.html
    assert "Waves" in written.html
    assert_passive(written.html)
    assert "<iframe" not in written.html


def test_posts_that_hold_no_link_are_linked_to() -> None:
    post = '<div class="fb-post" data-href="https://f.example/1"></div><script>x()</script>'
    quoted = '<blockquote cite="https://f.example/2">Waves</blockquote>'
    written = webflow_rich_text(story(embed_block(post) + embed_block(quoted)))
    assert written.html == (
        '<p><a href="https://f.example/1">https://f.example/1</a></p>'
        '<blockquote><p>Waves</p></blockquote><p><a href="https://f.example/2">https://f.example/2</a></p>'
    )


def test_posts_outside_of_embed_blocks_get_their_own_script_only() -> None:
    body = f'{TWEET}<script src="https://evil.example/x.js"></script>'
    assert ghost_html(story(body)).html == card(
        embed_block(f'{TWEET}<script async src="https://platform.twitter.com/widgets.js"></script>')
    )


def test_the_description_of_an_embed_is_its_caption() -> None:
    note = '<p class="embed-block__description">Waves at <b>noon</b></p>'
    html = wordpress_blocks(story(embed_block(FRAME + note))).html
    assert '<figcaption class="wp-element-caption">Waves at <b>noon</b></figcaption>' in html
    [(name, attributes, _)] = editor_blocks(html)
    assert (name, attributes["url"]) == ("embed", "https://www.youtube.com/watch?v=a--b")


@pytest.mark.parametrize(
    ("source", "page"),
    [
        ("https://www.youtube-nocookie.com/embed/x?start=3", "https://www.youtube.com/watch?v=x"),
        ("//player.vimeo.com/video/12", "https://vimeo.com/12"),
        ("https://www.dailymotion.com/embed/video/x1", "https://www.dailymotion.com/video/x1"),
        ("https://open.spotify.com/embed/track/1a", "https://open.spotify.com/track/1a"),
        ("https://embed.ted.com/talks/lang/en/waves", "https://www.ted.com/talks/lang/en/waves"),
        (
            "https://w.soundcloud.com/player/?url=https%3A//api.soundcloud.com/tracks/1&a=b",
            "https://api.soundcloud.com/tracks/1",
        ),
    ],
)
def test_wordpress_embeds_pages_of_known_sites_by_address(source: str, page: str) -> None:
    html = wordpress_blocks(story(f'<iframe src="{source}"></iframe>')).html
    [(name, attributes, _)] = editor_blocks(html)
    assert (name, attributes["url"]) == ("embed", page)


@pytest.mark.parametrize(
    "source",
    [
        "https://www.youtube.com.evil.example/embed/x",
        "https://evil.example/www.youtube.com/embed/x",
        "https://www.youtube.com@evil.example/embed/x",
        'https://www.youtube.com/embed/x"--><script>',
        "https://w.soundcloud.com/player/?url=javascript:x()",
    ],
)
def test_other_pages_are_not_taken_for_known_ones(source: str) -> None:
    html = wordpress_blocks(story(f"<iframe src='{source}'></iframe>")).html
    assert [name for name, _, _ in editor_blocks(html)] == ["html"]


def test_frames_ask_for_nothing_that_an_embed_needs_not() -> None:
    body = (
        '<iframe src="https://a.example" srcdoc="<script>x()</script>" onload="x()" name="y" '
        'allow="camera *; autoplay; fullscreen *" width="100%" height="1e9" style="z"></iframe>'
    )
    assert classic(body) == (
        '<figure><iframe src="https://a.example" width="100%" allow="autoplay; fullscreen">'
        "</iframe></figure>"
    )
    assert wordpress_classic(story("<iframe srcdoc='<p>x'></iframe><p>a")) == Body(
        "<p>a</p>", warnings=("embeds_stripped",)
    )


def test_embeds_are_kept_whole_but_for_what_reaches_beyond_them() -> None:
    inner = (
        '<div id="chart" class="c" style="height:1px" data-id="1"><h1>T</h1>'
        '<a href="https://a.example" target="_blank" rel="noopener">b</a></div>'
        '<style>.c{color:red}</style><script>draw("#chart")</script>'
    )
    active = (
        '<base href="https://evil.example"><meta http-equiv="refresh" content="0;url=x">'
        '<form action="x"></form><object data="x"></object><embed src="x"><svg onload="x"></svg>'
        '<a href="javascript:x()" onclick="x()"></a><iframe srcdoc="x"></iframe><link href=x>'
        "<script>a <!-- b</script><!-- /wp:html -->"
    )
    html = wordpress_blocks(story(embed_block(active + inner))).html
    assert html == block("html", embed_block(f"<a></a>{inner}"))


def test_an_embed_ends_no_block_and_no_card() -> None:
    body = embed_block('<script>"<!-- /wp:html -->"</script><p title="<!-- /wp:html -->">a</p>')
    html = wordpress_blocks(story(body)).html
    assert [name for name, _, _ in editor_blocks(html)] == ["html"]
    body = embed_block('<script>"<!--kg-card-end: html-->"</script><p>a</p>')
    assert ghost_html(story(body)).html == card(embed_block("<p>a</p>"))


# What platforms make of it


def test_attributes_of_blocks_cannot_end_their_comment() -> None:
    value = '--> <b> & "q" \\ é'
    written = block_json({"a": value})
    assert written == (
        '{"a":"\\u002d\\u002d\\u003e \\u003cb\\u003e \\u0026 \\u0022q\\u0022 \\u005c é"}'
    )


def test_tables_that_the_editor_has_no_cells_for_are_html() -> None:
    html = wordpress_blocks(story("<table><tr><td colspan=2 rowspan=x>a</table>")).html
    assert html == block("html", '<table><tbody><tr><td colspan="2">a</td></tr></tbody></table>')


def test_the_editor_is_told_where_pictures_lead() -> None:
    body = '<a href="https://a.example"><img src="https://h.example/1.jpg" title="t"></a>'
    html = wordpress_blocks(story(body)).html
    assert '{"sizeSlug":"full","linkDestination":"custom"}' in html
    assert (
        '<a href="https://a.example"><img src="https://h.example/1.jpg" alt="" title="t"></a>'
        in html
    )


@every_platform
@pytest.mark.parametrize(
    "body", ["", " \n", "<p></p>", "<p>&nbsp;</p>", "<!-- a -->", "<table></table>"]
)
def test_bodies_that_show_nothing_are_empty(write: Callable[..., Body], body: str) -> None:
    assert write(story(body)) == Body("")


@every_platform
def test_any_script_and_direction_stays(write: Callable[..., Body]) -> None:
    text = "עברית العربية 日本語 🏴‍☠️ e\u0301"
    assert words(write(story(f"<p>{text}</p>")).html) == text.split()


# Markup that means harm

HARM = [
    "<script>alert(1)</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<img src=`x` onerror=alert(1)//",
    "<svg onload=alert(1)><svg/onload=alert(1)>",
    "<svg><script>alert(1)</script><style><img src=x onerror=alert(1)></style></svg>",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
    "<svg></p><style><a id='</style><img src=1 onerror=alert(1)>'>",
    "<math><mtext><table><mglyph><style><!--</style>"
    "<img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<xmp><p title='</xmp><img src=x onerror=alert(1)>'></xmp>",
    "<noembed><img src='</noembed><script>alert(1)</script>'>",
    "<textarea><img title='</textarea><img src=x onerror=alert(1)>'></textarea>",
    "<template><script>alert(1)</script></template>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<iframe src='javascript:alert(1)'></iframe>",
    "<iframe src='data:text/html,<script>alert(1)</script>'></iframe>",
    "<object data='javascript:alert(1)'></object><embed src='data:text/html,x'>",
    "<base href='javascript:alert(1)//'><a href='/x'>x</a>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<link rel=stylesheet href='https://evil.example/x.css'>",
    "<a href='jav&#x09;ascript:alert(1)'>x</a><a href='\x01javascript:alert(1)'>x</a>",
    "<a href=' &#14; javascript:alert(1)'>x</a><a href='vbscript:x'>x</a>",
    "<a href='JaVaScRiPt&colon;alert(1)'>x</a><a href='https:\\\\evil'>x</a>",
    "<a href='https://x.example\" onmouseover=\"alert(1)'>x</a>",
    "<a href='https://['>x</a><img src='https://[::1'>",
    "<p style='background:url(javascript:alert(1))'>x</p>",
    "<!--[if IE]><script>alert(1)</script><![endif]--><!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]><?php echo 1 ?>",
    "<video poster='javascript:x' onloadstart=x src=https://a.example/v><source onerror=y></video>",
    "<input autofocus onfocus=alert(1)><details open ontoggle=alert(1)>x</details>",
    "<form action='javascript:alert(1)'><button formaction='javascript:x'>x</button></form>",
    "<table background='javascript:alert(1)'><td background=x><script>alert(1)</script>",
    "<p id=x name=y is=z slot=a part=b>x</p><slot name=x><x-y onclick=z>x</x-y>",
    "<a href=https://a.example><p><a href=https://b.example><div><b><p><a>x",
    "<select><iframe></select><img src=x onerror=alert(1)>",
    "<title><a title='</title><img src=x onerror=alert(1)>'></title>",
    "<plaintext><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<p title='<!-- EMBED START Image {id: \"editor_0\"} -->'>x</p>",
    '<blockquote class="twitter-tweet instagram-media"><p onclick=x>x</p><script>y</script>',
]


@every_platform
@pytest.mark.parametrize("harm", HARM)
def test_nothing_active_comes_out(write: Callable[..., Body], harm: str) -> None:
    body = f"<p>before</p>{harm}<p>after</p>"
    written = write(story(body), embeds=False)
    assert_passive(written.html)
    assert_well_formed(written.html)
    assert words(written.html)[0] == "before"
    inner = embed_block(harm)
    assert_passive(write(story(inner), embeds=False).html)


DEEP = {
    "divisions": ("<div>", "</div>"),
    "formatting": ("<b><i>", "</i></b>"),
    "paragraphs": ("<p><b>", ""),
    "lists": ("<ul><li>", "</li></ul>"),
    "quotations": ("<blockquote>", "</blockquote>"),
    "tables": ("<table><tr><td>", "</table>"),
    "figures": ("<figure><figcaption>", "</figure>"),
    "embeds": ('<div class="embed-block">', "</div>"),
    "definitions": ("<dl><dd>", "</dl>"),
    "preformatted": ("<pre>", "</pre>"),
    "links": ('<span><a href="https://a.example"><object>', ""),
    "drawings that are none": ("<math><mtext>", ""),
}


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("kind", DEEP)
def test_text_survives_any_depth(kind: str, closed: bool) -> None:
    start, end = DEEP[kind]
    body = f"<p>first</p>{start * 10_000}deepest{end * 10_000 if closed else ''}<p>last</p>"
    for write in PLATFORMS.values():
        html = write(story(body), embeds=False).html
        assert words(html.replace("•", "")) == ["first", "deepest", "last"]
        assert_well_formed(html)


def test_deep_bodies_need_less_than_half_of_the_stack() -> None:
    def called_within(frames: int, body: str) -> None:
        if frames:
            called_within(frames - 1, body)
            return
        for write in PLATFORMS.values():
            assert "deepest" in write(story(body)).html

    for start, _ in DEEP.values():
        called_within(sys.getrecursionlimit() // 2 - 50, start * 200 + "deepest")


LARGE = {
    "paragraphs": "<p>a <b>b</b> &amp; <a href='https://a.example'>c</a></p>" * 3_000,
    "formatting that nobody closes": "".join(f"<b class={n}>" for n in range(8_000))
    + "</p><p>x" * 8_000,
    "items": "<ul>" + "<ul><li>a</li></ul>" * 6_000,
    "pictures in one list": "<ul>" + "<li>x<img src='https://a.example/b.png'>" * 4_000,
    "cells": "<table><tr>" + "<td>x" * 20_000,
    "marks": marked("editor_0", "Image", "x") * 2_000,
    "starts": '<!-- EMBED START Image {id: "editor_0"} -->' * 4_000,
    "attributes": "<p " + " ".join(f"a{n}=1" for n in range(30_000)) + ">x",
    "signs": "<" * 150_000 + "[" * 150_000,
    "comments": "<!--" * 40_000,
}


@pytest.mark.parametrize("kind", LARGE)
def test_large_bodies_are_written(kind: str) -> None:
    for write in PLATFORMS.values():
        written = write(story(LARGE[kind]))
        assert written == write(story(LARGE[kind]))


# Texts


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("Storm", "Storm"),
        ("Storm &amp; <b>rain</b>", "Storm & rain"),
        ("R&D < 5 > 3", "R&D < 5 > 3"),
        ("<p>One</p><p>Two<br>three</p>", "One Two three"),
        (" a\n\u00a0 b ", "a b"),
        ("a<script>x</script><style>y</style><!-- z -->", "a"),
        ("&lt;b&gt;bold&lt;/b&gt;", "<b>bold</b>"),
        ("a\x00\x1b[31mb", "a[31mb"),
        ("", ""),
    ],
)
def test_headlines_are_text(html: str, text: str) -> None:
    assert plain_text(html) == text


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [
        ("one two", 7, "one two"),
        ("one two three", 8, "one two…"),
        ("one two three", 7, "one…"),
        ("one two three", 9, "one two…"),
        ("onetwothree", 5, "onet…"),
        ("one two", 1, "…"),
        ("", 5, ""),
    ],
)
def test_long_texts_end_after_a_word(text: str, limit: int, cut: str) -> None:
    assert cut_at_word(text, limit) == cut
    assert len(cut) <= limit


@pytest.mark.parametrize("path", names_in("samples/ninjs"))
def test_bodies_of_agencies_keep_their_text(path: str) -> None:
    item = json.loads(sample(f"ninjs/{path}").read_text("utf-8"))
    for body in (one.get("value", "") for one in item.get("bodies", [])):
        for write in PLATFORMS.values():
            html = write(story(body)).html
            assert_well_formed(html)
            written, held = ("".join(words(text)) for text in (html, body))
            assert re.sub("[•|]", "", written) == re.sub("[•|]", "", held)
