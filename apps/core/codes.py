"""Codes of concepts in vocabularies that everybody knows, whatever way they are spelled.

`20000763` alone, within the scheme `medtop` or `mediatopics`, as `medtop:20000763` and as
`http://cv.iptc.org/newscodes/mediatopic/20000763` are one concept of the IPTC's media topics.
Importing and all formats ask this module, so that one concept stays one.
"""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

_NEWSCODES = "http://cv.iptc.org/newscodes/"
_TOPIC = r"(?:0[1-9]\d{6}|1[0-7]\d{6}|(?!2000000[01])2\d{7})"


class _Vocabulary(NamedTuple):
    """A vocabulary that is known.

    Attributes:
        base: what stands before a code in the address of a concept, `after` follows it.
        code: pattern of its codes.
        schemes: names by which documents call it, lower case, without what parts their words.
    """

    base: str
    code: str
    schemes: tuple[str, ...] = ()
    after: str = ""


VOCABULARIES = {
    "medtop": _Vocabulary(
        f"{_NEWSCODES}mediatopic/", _TOPIC, ("mediatopic", "mediatopics", "mediatopiccode")
    ),
    "subj": _Vocabulary(
        f"{_NEWSCODES}subjectcode/", _TOPIC, ("subjectcode", "subjectcodes", "subjectreference")
    ),
    "genre": _Vocabulary(f"{_NEWSCODES}genre/", r"[A-Za-z][\w-]*"),
    "scn": _Vocabulary(f"{_NEWSCODES}scene/", r"\d{6}", ("scene",)),
    "geonames": _Vocabulary("https://sws.geonames.org/", r"\d+", ("geoname",), "/"),
    "wikidata": _Vocabulary("http://www.wikidata.org/entity/", r"Q\d+"),
    "iso3166-1a2": _Vocabulary("http://cvx.iptc.org/iso3166-1a2/", "[A-Z]{2}"),
    "iso3166-1a3": _Vocabulary("http://cvx.iptc.org/iso3166-1a3/", "[A-Z]{3}"),
    "iso3166-2": _Vocabulary("http://cvx.iptc.org/iso3166-2/", r"[A-Z]{2}-\w{1,3}"),
}
"""Vocabularies by the alias that the catalog of the IPTC gives them."""

_PARTS_WORDS = re.compile(r"[\s_./:-]+")
_BARE_TOPIC = re.compile(_TOPIC, re.ASCII)
_FIRST_MEDIA_TOPIC = "20000002"
_LONGEST = 200
"""Characters of what may be the spelling of a known concept."""


class Concept(NamedTuple):
    """A concept of a vocabulary that everybody knows.

    Attributes:
        vocabulary: its alias, a key of `VOCABULARIES`.
        code: within the vocabulary.
    """

    vocabulary: str
    code: str

    @property
    def qcode(self) -> str:
        """The concept as NewsML-G2 has it: `medtop:20000763`."""
        return f"{self.vocabulary}:{self.code}"

    @property
    def scheme_uri(self) -> str:
        """The address of the vocabulary."""
        return VOCABULARIES[self.vocabulary].base

    @property
    def uri(self) -> str:
        """The address of the concept."""
        known = VOCABULARIES[self.vocabulary]
        return f"{known.base}{quote(self.code)}{known.after}"


@lru_cache(maxsize=2048)
def known_concept(code: str, scheme: str = "", *, is_subject: bool = False) -> Concept | None:
    """Return the concept that a code stands for, None where its vocabulary is not known here.

    What the code says of itself counts before its scheme.

    Args:
        code: a code within `scheme`, one with its alias in front, or an address.
        scheme: name or address of a vocabulary, "" for none.
        is_subject: whether the code stands among subjects: there, eight digits without a scheme are
            a code of the IPTC.
    """
    code, scheme = code.strip(), scheme.strip()
    if not code or len(code) + len(scheme) > _LONGEST:
        return None
    if found := _at(code):
        return found
    alias, _, rest = code.partition(":")
    if rest and (found := _within(alias, rest)):
        return found
    if scheme:
        address = f"{scheme.rstrip('/')}/{code}"
        return _at(address) if "://" in scheme else _within(scheme, code)
    return _topic(code) if is_subject and _BARE_TOPIC.fullmatch(code) else None


def stored_code(code: str, scheme: str = "", *, is_subject: bool = False) -> tuple[str, str]:
    """Return code and scheme under which items hold a concept, however a document spells it.

    Subjects of the IPTC stand without a scheme, as those of the newsroom do, where their digits
    alone say which they are. What is not known stays exactly as it is.

    Args:
        code, scheme, is_subject: see `known_concept`.
    """
    found = known_concept(code, scheme, is_subject=is_subject)
    own = scheme.strip()
    if found is None or (own and "://" not in own and _vocabulary(own) is None):
        # A vocabulary of the newsroom stays what it is, also with codes that others know.
        return code, scheme
    if is_subject and known_concept(found.code, is_subject=True) == found:
        return found.code, ""
    return found.code, found.vocabulary


def _topic(code: str) -> Concept:
    """Return the concept of eight digits: media topics come after all subject codes."""
    return Concept("medtop" if code >= _FIRST_MEDIA_TOPIC else "subj", code)


def _within(scheme: str, code: str) -> Concept | None:
    """Return the concept of a code in a vocabulary by its name."""
    alias = _vocabulary(scheme)
    if alias is None:
        return None
    _, colon, rest = code.rpartition(":")
    return _checked(alias, rest if colon else code)


def _vocabulary(scheme: str) -> str | None:
    name = scheme.lower()
    return name if name in VOCABULARIES else _NAMES.get(_PARTS_WORDS.sub("", name))


def _at(address: str) -> Concept | None:
    """Return the concept that an address of the web stands for."""
    host = _HOST.match(address)
    if host is None:
        return None
    rest = address[host.end() :]
    for place, alias in _PLACES.items():
        if rest.lower().startswith(place):
            # What else there is says how it is shown: `3143244/oslo.html`, `20000763?lang=en`.
            code = _ENDS_CODE.split(rest[len(place) :], maxsplit=1)[0]
            return _checked(alias, unquote(code).rpartition(":")[2])
    return None


def _checked(alias: str, code: str) -> Concept | None:
    if not _CODES[alias].fullmatch(code):
        return None
    if alias == "subj" and code >= _FIRST_MEDIA_TOPIC:
        # Superdesk's own NewsML-G2 has all subjects under this alias.
        alias = "medtop"
    return Concept(alias, code)


def _names() -> dict[str, str]:
    names = {}
    for alias, vocabulary in VOCABULARIES.items():
        for name in (_PARTS_WORDS.sub("", alias), *vocabulary.schemes):
            names[name] = names[f"iptc{name}"] = alias
            names[f"newscodes{name}"] = names[f"iptcnewscodes{name}"] = alias
    return names


_NAMES = _names()
_CODES = {alias: re.compile(known.code, re.ASCII) for alias, known in VOCABULARIES.items()}
_HOST = re.compile(r"https?://(?:www\.|sws\.)?", re.IGNORECASE)
_ENDS_CODE = re.compile("[/?#]")
_PLACES = {_HOST.sub("", known.base): alias for alias, known in VOCABULARIES.items()}
"""Aliases by what stands before the codes in addresses."""
