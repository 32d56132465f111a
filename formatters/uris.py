"""URIs (RFC 3986), and the ones that stand for identifiers which are none."""

import re
from urllib.parse import quote

from apps.core.codes import known_concept
from apps.core.text import strip_forbidden

# Runs of characters are taken whole: it is four times as fast, and none of them can end elsewhere.
_CHARACTER = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]++|%[0-9A-Fa-f]{2})"
_HOST = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=]++|%[0-9A-Fa-f]{2})*+"
_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.\-]*:"
    rf"(?://(?:{_HOST}(?::{_HOST})?@)?{_HOST}(?::[0-9]*)?(?:/{_CHARACTER}*)*"
    rf"|/(?:{_CHARACTER}+(?:/{_CHARACTER}*)*)?"
    rf"|{_CHARACTER}+(?:/{_CHARACTER}*)*)"
    rf"(?:\?(?:{_CHARACTER}|[/?])*)?(?:#(?:{_CHARACTER}|[/?])*)?"
)
_RELATIVE = re.compile(
    rf"/?(?!:|[^/?#]*:){_CHARACTER}+(?:/{_CHARACTER}*)*"
    rf"(?:\?(?:{_CHARACTER}|[/?])*)?(?:#(?:{_CHARACTER}|[/?])*)?"
)
_BARE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
SCRIPT_SCHEMES = ("javascript:", "vbscript:", "livescript:", "data:text/html", "data:image/svg")


def is_uri(text: str) -> bool:
    """Whether `text` is a URI with a scheme, without spaces and other forbidden characters."""
    return _URI.fullmatch(text) is not None


def runs_script(address: str) -> bool:
    """Whether following or showing `address` would run a script in the page that it stands in."""
    if address.startswith(("https://", "http://")):
        return False
    # Browsers skip white space and controls in front of the scheme and in it.
    start = "".join(c for c in address[:200] if c > " " and c != "\x7f").lower()
    return start.startswith(SCRIPT_SCHEMES)


def item_uri(guid: str, domain: str) -> str:
    """Return `guid` if it is a URI, else a URN that stands for it.

    Args:
        domain: setting URN_DOMAIN.
    """
    known = strip_forbidden(guid).strip()
    return known if is_uri(known) else f"urn:{domain}:item:{quote(known, safe='')}"


def web_address(address: str) -> str:
    """Return `address` as a URI, what a URI may not hold percent-encoded; empty where it is none.

    An address without a scheme is none: its reader could not follow it.
    """
    if is_uri(address):
        return address
    known = _quoted(address)
    return known if is_uri(known) else ""


def reference(address: str) -> str:
    """Return `address` as a URI or as a reference relative to one; empty where it is neither."""
    if is_uri(address):
        return address
    known = _quoted(address)
    return known if is_uri(known) or _RELATIVE.fullmatch(known) else ""


def _quoted(address: str) -> str:
    known = quote(strip_forbidden(address).strip(), safe="%/:?#@!$&'()*+,;=~")
    return _BARE_PERCENT.sub("%25", known)


def concept_uri(code: str, scheme: str = "", *, is_subject: bool = False) -> str:
    """Return the URI of a vocabulary entry, empty where none is known.

    Args:
        code: `qcode` of the entry: a URI, `medtop:20000763`, or a code within `scheme`.
        scheme: a vocabulary's id; one that is a URI makes a URI of each of its codes.
        is_subject: see `known_concept`.
    """
    if found := known_concept(code, scheme, is_subject=is_subject):
        return found.uri
    if is_uri(code):
        return code
    if code and is_uri(scheme):
        return scheme_uri(scheme) + quote(code, safe="")
    return ""


def scheme_uri(scheme: str) -> str:
    """Return what stands before the codes of a vocabulary whose id is a URI."""
    return scheme if scheme[-1] in "/#=:" else f"{scheme}/"
