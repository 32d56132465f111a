"""Plain text and figures of HTML fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.text import (
    char_count,
    plain_text,
    read_time,
    strip_forbidden,
    text_figures,
    word_count,
)

JAPANESE_RATE = 600

TOKENS = (
    "<p>", "</p>", "<br>", "<b>", "</div>", "</body>", "<table><td>", "<script>", "<!--", "-->",
    "<", "&", "&amp;", "&#1;", "&#xd800;", "word", "1 000", " ", "\r\n", "\x00", "\ud800", "é",
)  # fmt: skip
MARKUP = st.lists(st.sampled_from(TOKENS)).map("".join)


class TestPlainText:
    @pytest.mark.parametrize(
        ("html", "text"),
        [
            ("", ""),
            (None, ""),
            ("The story body", "The story body"),
            ("a <b>b</b> c", "a b c"),
            ("<p>a</p><p>b</p>", "ab"),
            ("&lt;p&gt; &amp; &eacute;", "<p> & é"),
            ("a &lt b", "a < b"),
            ("a<br>b", "ab"),
            ("<p>open <b>never closed", "open never closed"),
            ("</div>outside", "outside"),
            ("<!-- only a comment -->", ""),
            ("a\x00b\x01c\ud800d\ufffee", "abcde"),
            ("<i>a\x00b\ud800c</i>", "abc"),
            ("<p>a\r\nb</p>", "a\r\nb"),
            ("<p>a&#13;&#10;b</p>", "a\r\nb"),
            ("<?xml version='1.0' encoding='utf-16'?><p>é</p>", "é"),
            ("<frameset><frame></frameset>", ""),
            ("<div>" * 1000 + "deep", "deep"),
        ],
    )
    def test_text_content(self, html: str | None, text: str) -> None:
        """All text is kept, bare text included, and elements are joined without a separator."""
        assert plain_text(html) == text

    @pytest.mark.parametrize(
        ("html", "text"),
        [
            ("", ""),
            ("bare", "bare"),
            ("<p>a</p><p>b</p>", "a\nb\n"),
            ("<p>a</p>b", "a\nb"),
            ("a<br>b<br/>c", "a\nb\nc"),
            ("<ul><li>a</li><li>b</li></ul>c", "a\nb\n\nc"),
            ("<p>a <i>b</i> c</p>", "a b c\n"),
        ],
    )
    def test_line_feeds(self, html: str, text: str) -> None:
        """On request a line feed follows every block element and stands for every `br`."""
        assert plain_text(html, line_feeds=True) == text


class TestCounts:
    @pytest.mark.parametrize(
        ("html", "words"),
        [
            ("", 0),
            (None, 0),
            ("<p> </p>", 0),
            ("***", 1),
            ("one two", 2),
            ("<p>one</p><p>two</p>", 2),
            ("one<br>two", 2),
            ("<b>on</b>e", 1),
            ("<table><tr><td>a</td><td>b</td></tr></table>", 2),
            ("1 000 000 people", 2),
            ("1 2 3", 1),
            ("1\n 000", 1),
            ("route 66 1 – 2", 3),
            ("don't – well-known", 2),
            ("one&nbsp;two", 2),
            ("one\ntwo\tthree", 3),
            ("é ü ßx", 3),
        ],
    )
    def test_words(self, html: str | None, words: int) -> None:
        """Words are what is left between spaces once signs are dropped and digits joined."""
        assert word_count(html) == words

    def test_bare_text_counts(self) -> None:
        """Text outside any element counts, whatever the version of the parser."""
        assert word_count("word " * 125) == 125
        assert read_time("word " * 125, "en", JAPANESE_RATE) == 1

    @pytest.mark.parametrize(("html", "characters"), [("", 0), ("<p>ab</p><p>c d</p>", 5)])
    def test_characters(self, html: str, characters: int) -> None:
        """Characters are those of the text without line feeds between blocks."""
        assert char_count(html) == characters

    @pytest.mark.parametrize(
        ("words", "minutes"), [(0, 0), (124, 0), (125, 1), (374, 1), (375, 2), (1460, 6)]
    )
    def test_reading_time(self, words: int, minutes: int) -> None:
        """250 words take a minute; half a minute is rounded up."""
        assert read_time("<p>" + "word " * words + "</p>", "en", JAPANESE_RATE) == minutes

    @pytest.mark.parametrize("language", ["ja", "ja-JP"])
    def test_japanese_reading_time(self, language: str) -> None:
        """Japanese is read by characters, spaces not counted."""
        assert read_time("<p>" + "新 聞\n" * 2500 + "</p>", language, JAPANESE_RATE) == 8


class TestAnyInput:
    @given(MARKUP)
    def test_never_raises(self, html: str) -> None:
        """Markup of any quality has figures, and they agree with the single functions."""
        figures = text_figures(html, "en", JAPANESE_RATE)

        assert figures.characters == char_count(html)
        assert figures.words == word_count(html)
        assert figures.minutes == read_time(html, "en", JAPANESE_RATE)

    @given(st.text(st.sampled_from("aZ059 \n-.'_")))
    def test_words_after_any_text(self, text: str) -> None:
        """Signs and groups of digits leave the words after them alone."""
        assert word_count(f"a {text} \xe9") == word_count(f"a {text}") + 1

    @given(st.text(st.characters(exclude_characters="<&\r")))
    def test_text_without_markup_is_kept(self, text: str) -> None:
        """Text without markup comes out as it is, but for the characters XML forbids."""
        assert plain_text(text) == strip_forbidden(text)

    @given(MARKUP)
    def test_fit_for_xml(self, html: str) -> None:
        """Plain text never holds a character that XML 1.0 forbids."""
        text = plain_text(html, line_feeds=True)

        assert text == strip_forbidden(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\u5317\u4eac\u4eca\u5929\u4e0b\u96e8\u4e86\u3002", 7),
        ("\u6771\u4eac\u3067\u96e8\u304c\u964d\u3063\u305f", 8),
        ("\u30b3\u30fc\u30d2\u30fc\u30fb\u30d6\u30ec\u30a4\u30af", 8),
        ("\U00020000\u3400", 2),
        ("\ud55c\uad6d\uc5b4 \ub274\uc2a4 \uae30\uc0ac", 3),
        ("\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01", 3),
        ("\u0e9e\u0eb2\u0eaa\u0eb2\u0ea5\u0eb2\u0ea7", 2),
        ("\u179f\u17bd\u179f\u17d2\u178f\u17b8\u1796\u17b7\u1797\u1796\u179b\u17c4\u1780", 2),
        ("\u1000\u1019\u1039\u1018\u102c\u101c\u1031\u102c\u1000", 2),
        ("<p>\u4f60\u597d</p><p>big world 1 000</p>", 5),
        ("iPhone 17\u304c\u767a\u58f2", 5),
        ("\u3002\u3002", 1),
        ("", 0),
    ],
)
def test_words_of_scripts_without_blanks(text: str, words: int) -> None:
    """Characters of Chinese and Japanese, words of a dictionary for others; Korean has blanks."""
    assert word_count(text) == words
