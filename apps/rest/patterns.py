"""Regular expressions of clients: only those whose search takes time in proportion to the text.

Stores try every way in which a text may fit a pattern, and some hold up all others while they do.
So a pattern is taken by the number of ways that it leaves open: each alternative and each
repetition multiplies them. One without a limit is taken where nothing can be tried again: at the
end, and once behind `^`.
"""

import re
from dataclasses import dataclass, field

LENGTH = 200
"""Most characters of a pattern."""
WAYS = 100
"""Most ways in which a pattern may fit at one place of a text."""
OPTIONS = frozenset("imsu")
"""`i` whatever the case, `m` lines, `s` dots for line ends, `u` Unicode."""

_ANYTHING_BEFORE = re.compile(r"^(?:\.\*\??)+")
_ANYTHING_BEHIND = re.compile(r"(?<!\\)(?:\.\*\??)+$")
_REPEAT = re.compile(r"\*|\+|\?|\{(?=[\d,])([0-9]*)(,)?([0-9]*)\}")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]", re.DOTALL)
_GROUP = re.compile(r"\((?:\?:)?(?!\?)")
_ESCAPE = re.compile(r"\\(?:[^\w]|[AZbBdDsSwWntrfv]|x[0-9A-Fa-f]{2})", re.DOTALL)


class PatternRefused(Exception):
    """The regular expression is not taken; the text says why."""


@dataclass
class _Sequence:
    """What stands side by side in a group, and its alternatives.

    Attributes:
        earlier: ways of the alternatives before.
        ways: ways of the one that is read.
        atom: ways of what was read last; None where there is nothing to repeat.
    """

    earlier: int = 0
    ways: int = 1
    atom: int | None = None

    def add(self, ways: int) -> None:
        self.ways *= ways
        self.atom = ways

    def repeat(self, least: int, most: int) -> None:
        if self.atom is None:
            raise PatternRefused("repeats nothing")
        # The atom counts once already.
        per_time = self.atom ** max(most, 1)
        self.ways = self.ways // self.atom * per_time * (most - least + 1)
        self.atom = None

    @property
    def all_ways(self) -> int:
        return self.earlier + self.ways


@dataclass
class _Reader:
    pattern: str
    is_anchored: bool
    groups: list[_Sequence] = field(default_factory=lambda: [_Sequence()])
    unlimited: int = 0

    def read(self) -> None:
        position = 0
        while position < len(self.pattern):
            position = self._read_at(position)
            if self.groups[-1].all_ways > WAYS:
                raise PatternRefused("leaves too many ways to fit")
        if len(self.groups) > 1:
            raise PatternRefused("has a group that does not end")

    def _read_at(self, position: int) -> int:
        """Read what begins at a position; return where it ends."""
        character, group = self.pattern[position], self.groups[-1]
        if character == "(":
            match = _GROUP.match(self.pattern, position)
            self.groups.append(_Sequence())
        elif character == ")":
            return self._end_group(position)
        elif character == "|":
            group.earlier, group.ways, group.atom = group.all_ways, 1, None
            return position + 1
        elif character in "*+?{" and (match := _REPEAT.match(self.pattern, position)):
            self._repeat(match)
        elif character == "[":
            match = _CLASS.match(self.pattern, position)
            group.add(1)
        elif character == "\\":
            match = _ESCAPE.match(self.pattern, position)
            group.add(1)
        else:
            group.add(1)
            return position + 1
        if match is None:
            raise PatternRefused(f"has something at character {position + 1} that is not taken")
        return match.end()

    def _end_group(self, position: int) -> int:
        if len(self.groups) == 1:
            raise PatternRefused("ends a group that did not begin")
        ways = self.groups.pop().all_ways
        self.groups[-1].add(ways)
        return position + 1

    def _repeat(self, match: re.Match[str]) -> None:
        text, (least_text, comma, most_text) = match.group(), match.groups()
        if len(least_text or "") > 3 or len(most_text or "") > 3:
            raise PatternRefused("repeats something too often")
        least = {"*": 0, "?": 0, "+": 1}.get(text, int(least_text or 0))
        if text in "*+" or (comma and not most_text):
            self._check_unlimited(match.end())
            most = least
        else:
            most = 1 if text == "?" else int(most_text or least)
        if most < least:
            raise PatternRefused("repeats something less than never")
        self.groups[-1].repeat(least, most)

    def _check_unlimited(self, end: int) -> None:
        """Check that a repetition without a limit is the last thing, or the only one behind ^."""
        self.unlimited += 1
        is_last = end == len(self.pattern)
        is_simple = self.groups[-1].atom == 1 and len(self.groups) == 1
        has_choice = self.groups[-1].earlier > 0
        if not is_simple or has_choice or not (is_last or self.is_anchored) or self.unlimited > 1:
            raise PatternRefused(
                "may repeat without a limit (* or +) only at its end, or once behind ^; "
                "{0,100} has a limit"
            )


def linear_pattern(pattern: str, options: str) -> str:
    """Return a regular expression that finds the same, and whose search is known to be linear.

    Args:
        pattern: as MongoDB takes it in `$regex`.
        options: those of `$options`.

    Raises:
        PatternRefused: there is none; the text says why.
    """
    if len(pattern) > LENGTH or "\0" in pattern:
        raise PatternRefused(f"has more than {LENGTH} characters, or NUL")
    if not OPTIONS.issuperset(options):
        raise PatternRefused(f"has other options than {''.join(sorted(OPTIONS))}")
    # Anything at either end changes nothing of what is found.
    shortest = _ANYTHING_BEHIND.sub("", _ANYTHING_BEFORE.sub("", pattern)) or pattern
    _Reader(shortest, shortest.startswith("^") and "m" not in options).read()
    try:
        re.compile(shortest)
    except (re.error, OverflowError, RecursionError):
        raise PatternRefused("cannot be read") from None
    return shortest
