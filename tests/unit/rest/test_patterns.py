"""Regular expressions of clients."""

import re

import pytest

from apps.rest.patterns import LENGTH, PatternRefused, linear_pattern


@pytest.mark.parametrize(
    ("pattern", "sent"),
    [
        ("Budget", "Budget"),
        ("", ""),
        ("^adm", "^adm"),
        ("100%$", "100%$"),
        ("a.b", "a.b"),
        (r"\bkill\b", r"\bkill\b"),
        (r"C\+\+", r"C\+\+"),
        ("colou?r", "colou?r"),
        ("[A-Z]{2}[0-9]{1,4}", "[A-Z]{2}[0-9]{1,4}"),
        ("(fire|flood) (east|west)", "(fire|flood) (east|west)"),
        ("fire.{0,50}east", "fire.{0,50}east"),
        (".*fire.*", "fire"),
        (".*?fire", "fire"),
        ("fire.*", "fire"),
        (r"fire\.*", r"fire\.*"),
        (".*", ".*"),
        (r"\d+", r"\d+"),
        (r"^\s*fire", r"^\s*fire"),
        ("^.*fire", "^.*fire"),
        ("a{", "a{"),
        ("[]a]", "[]a]"),
        ("(?:a|b)c", "(?:a|b)c"),
        ("straße", "straße"),
    ],
)
def test_are_taken(pattern: str, sent: str) -> None:
    """What people search for goes to the store, without what changes nothing."""
    assert linear_pattern(pattern, "i") == sent


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a*)*",
        "(a|a)*b",
        "(a|aa)+$",
        "([a-z]+)*x",
        "(.*)*x",
        "(.*a){20}",
        "x.*y",
        r"\s+$",
        r"\s*,",
        "^a*b*c",
        "a.*b.*c",
        "a?a?a?a?a?a?a?aaaaaaa",
        "(a|b|c)(a|b|c)(a|b|c)(a|b|c)(a|b|c)",
        "a{1,1000}",
        "(a{1,10}){1,10}b",
        "((a?){3}){9}",
        "a{99999}",
        "(a|b){9}",
        "(a|b){,9}",
        "a{,}b",
        "a{2,}b",
        "a{2,1}",
        r"(a)\1",
        "(?=a)b",
        "(?<!a)b",
        "(?P<n>a)",
        "(?i)a",
        "(?#x)",
        r"\p{L}",
        "(",
        ")",
        "[",
        "\\",
        "*a",
        "a**",
        "a\0b",
        "x" * (LENGTH + 1),
    ],
    ids=lambda pattern: pattern[:30],
)
def test_are_refused(pattern: str) -> None:
    """What may take longer than in proportion to the text, or cannot be read, is not searched."""
    with pytest.raises(PatternRefused):
        linear_pattern(pattern, "")


@pytest.mark.parametrize("options", ["x", "g", "im!", "mx"])
def test_unknown_options_are_refused(options: str) -> None:
    """Some change how a pattern is read."""
    with pytest.raises(PatternRefused):
        linear_pattern("a", options)


def test_lines_make_more_than_one_beginning() -> None:
    """Where ^ stands for every line, what follows is tried again for each."""
    assert linear_pattern("^a*b", "i") == "^a*b"
    with pytest.raises(PatternRefused):
        linear_pattern("^a*b", "m")


@pytest.mark.parametrize(
    "pattern", ["fire.{0,90}east", "^.*east", "(a|b|c|d)(a|b|c|d)z", "a{1,99}b", ".*z.*", r"\w+$"]
)
def test_find_the_same(pattern: str) -> None:
    """A pattern that was made shorter finds what the one that was asked for finds."""
    try:
        sent = linear_pattern(pattern, "")
    except PatternRefused:
        return
    for text in ("", "z", "fire in the east", "aaab", "abz\nz", "east", "\n east"):
        assert bool(re.search(sent, text)) == bool(re.search(pattern, text))
