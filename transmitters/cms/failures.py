"""Failures that mean the same at every platform: no answer, a foreign answer, a busy site."""

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit

from apps.core.text import plain_text
from transmitters.cms.base import ErrorClass, PlatformError
from transmitters.cms.http import SiteAnswer
from transmitters.http_connections import NoAnswer
from transmitters.http_push import retry_after

SECONDS_TO_WAIT = 60.0
"""Of a site that asks us to slow down and does not say for how long."""

SAID_LENGTH = 300
"""Characters of a site's own words that go into a message."""
SHORTEST_SECRET = 6
HIDDEN = "…"
_UNSEEN = re.compile(r"<(script|style|head|title)\b.*?(</\1>|\Z)", re.S | re.I)
_TITLE = re.compile(r"<title[^>]*>(.*?)(</title>|\Z)", re.S | re.I)
_QUERY = re.compile(r"(https?://[^\s?#\"'<>]*)[?#][^\s\"'<>]*", re.I)
_LOGIN = re.compile(r"(https?://)[^\s/@]+@", re.I)
_TOKEN = re.compile(r"\b(basic|bearer|ghost)\s+[\w.+/=~-]{8,}|\beyJ[\w-]+\.[\w-]+\.[\w-]+", re.I)
MOST_PAGES = 1000
"""Of a list; a site that has more to say of it than that says it for ever."""

REDIRECTS = frozenset({301, 302, 307, 308})
"""Of these the request itself was not carried out."""


def said(text: object) -> str:
    """Return what a site says in plain text, on one line, and not too long.

    Addresses lose their arguments, and what looks like a token is left out.
    """
    source = str(text or "")
    title = _TITLE.search(source)
    shown = f"{title[1] if title else ''} {_UNSEEN.sub(' ', source)}"
    plain = " ".join(plain_text(shown, line_feeds=True).split())
    for pattern, kept in ((_QUERY, r"\1"), (_LOGIN, r"\1"), (_TOKEN, HIDDEN)):
        plain = pattern.sub(kept, plain)
    return plain if len(plain) <= SAID_LENGTH else plain[: SAID_LENGTH - 1].rstrip() + "…"


def with_words(message: str, text: object) -> str:
    """Return a message of ours, followed by what the site itself says."""
    words = said(text)
    return f"{message}: {words}" if words else message


def without_secrets(error: PlatformError, credentials: Mapping[str, str]) -> PlatformError:
    """Take credentials out of what an error tells: sites repeat what they were sent."""
    values = [value for value in credentials.values() if value]
    secrets = {form for value in values for form in (value, "".join(value.split()))}
    pairs = {f"{a}:{''.join(b.split())}" for a in values for b in values}
    secrets |= {b64encode(pair.encode()).decode() for pair in (*pairs, *secrets)}
    # A name is no secret, and may be a word of the message.
    name = credentials.get("username")
    for secret in sorted(secrets - {name}, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            error.message = _without(error.message, secret)
    error.args = (f"{error.error_class}/{error.code}: {error.message}",)
    return error


def _without(message: str, secret: str) -> str:
    """Return a message without a secret, and without the start of one at which it was cut."""
    message = message.replace(secret, HIDDEN)
    for length in range(len(secret) - 1, SHORTEST_SECRET - 3, -1):
        if message.endswith(secret[:length].rstrip() + "…"):
            return message[: -len(secret[:length].rstrip()) - 1] + "…"
    return message


def without_answer(error: NoAnswer, *, writes: bool) -> PlatformError:
    """Return what it means that no whole answer came.

    Args:
        writes: the request would have changed something at the site.
    """
    if error.permanent:
        return PlatformError(
            ErrorClass.CONFIG,
            "no_connection",
            str(error),
            help="Check the address of the site: it has to be public, with a certificate that is "
            "valid for it",
        )
    if writes and error.may_have_arrived:
        return PlatformError(ErrorClass.AMBIGUOUS, "no_answer", str(error))
    return PlatformError(
        ErrorClass.TRANSIENT,
        "no_answer",
        str(error),
        help="Check that the address is right, http or https included, and that the site is up; it "
        "is tried again by itself",
    )


def slowed_down(answer: SiteAnswer, code: str = "too_many_requests") -> PlatformError:
    """Return what an answer with status 429 means."""
    return PlatformError(
        ErrorClass.RATE_LIMITED,
        code,
        "The site asks us to slow down",
        status=answer.status,
        retry_after=seconds_asked(answer) or SECONDS_TO_WAIT,
    )


def seconds_asked(answer: SiteAnswer) -> float | None:
    """Return how long the site asks us to wait, for an answer with status 429 or 503."""
    return retry_after(answer.headers.get("Retry-After"), datetime.now(UTC))


def redirected(answer: SiteAnswer) -> PlatformError:
    """Return what a redirect means: another address has to be entered."""
    target = parts_of(answer.headers.get("Location", ""))
    place = f"{target.scheme}://{target.hostname}" if target.hostname else target.path[:200]
    place = place or "another address"
    return PlatformError(
        ErrorClass.CONFIG,
        "redirect",
        f"The site redirects to {place}; credentials are not sent there",
        status=answer.status,
        help=f"Enter the address that the site itself uses ({place})",
    )


def parts_of(address: str) -> SplitResult:
    """Return the parts of an address that a site has told; none of one that is broken."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def name_of(address: str) -> str:
    """Return the name of the file that an address of a site leads to."""
    return parts_of(address).path.rpartition("/")[2]


def endless(platform: str, what: str) -> PlatformError:
    """Return what it means that a list has more pages than any should.

    Args:
        platform: display name.
        what: is listed.
    """
    return PlatformError(
        ErrorClass.CONFIG,
        "endless_list",
        f"{platform}'s list of {what} has no end",
        help="Ask the people who run the site why its API tells of ever more pages",
    )


def foreign_answer(answer: SiteAnswer, platform: str, *, writes: bool) -> PlatformError:
    """Return what an answer means that is not the platform's: of a proxy, or of another site.

    Args:
        platform: display name.
        writes: the request would have changed something at the site, and may have done so.
    """
    status, code = answer.status, f"http_{answer.status}"
    match status:
        case 429:
            return slowed_down(answer)
        case 401:
            return PlatformError(
                ErrorClass.AUTH,
                code,
                f"Something in front of {platform} asks for a password",
                status=status,
                help="Check the integration's credentials, and whether the web server of the site "
                "asks for a password of its own",
            )
        case 403:
            return PlatformError(
                ErrorClass.PERMISSION,
                code,
                with_words(f"Something in front of {platform} refuses the request", answer.text),
                status=status,
                help="Ask the people who run the site whether a firewall blocks its API",
            )
        case 413:
            return PlatformError(
                ErrorClass.VALIDATION, "too_large", "The site takes nothing this large", status=413
            )
        case _ if status in REDIRECTS:
            return redirected(answer)
    message = f"The answer with status {status} is not {platform}'s"
    if status >= 400:
        message = with_words(message, answer.text)
    if writes and status != 404:
        return PlatformError(ErrorClass.AMBIGUOUS, "foreign_answer", message, status=status)
    if status >= 500:
        return PlatformError(
            ErrorClass.TRANSIENT, code, message, status=status, retry_after=_busy(answer)
        )
    return PlatformError(
        ErrorClass.CONFIG,
        "foreign_answer",
        message,
        status=status,
        help=f"Check the address of the site: there is no {platform} behind it, or a firewall or "
        "a plugin answers in its place",
    )


def _busy(answer: SiteAnswer) -> float | None:
    return seconds_asked(answer) if answer.status == 503 else None
