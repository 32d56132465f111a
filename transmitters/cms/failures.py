"""Failures that mean the same at every platform: no answer, a foreign answer, a busy site."""

from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit

from transmitters.cms.base import ErrorClass, PlatformError
from transmitters.cms.http import SiteAnswer
from transmitters.http_connections import NoAnswer
from transmitters.http_push import retry_after

SECONDS_TO_WAIT = 60.0
"""Of a site that asks us to slow down and does not say for how long."""

MOST_PAGES = 1000
"""Of a list; a site that has more to say of it than that says it for ever."""

REDIRECTS = frozenset({301, 302, 307, 308})
"""Of these the request itself was not carried out."""


def without_answer(error: NoAnswer, *, writes: bool) -> PlatformError:
    """Return what it means that no whole answer came.

    Args:
        writes: the request would have changed something at the site.
    """
    if error.permanent:
        return PlatformError(
            ErrorClass.CONFIG, "no_connection", str(error), help="Check the address of the site"
        )
    if writes and error.may_have_arrived:
        return PlatformError(ErrorClass.AMBIGUOUS, "no_answer", str(error))
    return PlatformError(ErrorClass.TRANSIENT, "no_answer", str(error))


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
    place = f"{target.scheme}://{target.hostname}" if target.hostname else "another address"
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
                f"Something in front of {platform} refuses the request",
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
        help=f"Check the address of the site: there is no {platform} behind it",
    )


def _busy(answer: SiteAnswer) -> float | None:
    return seconds_asked(answer) if answer.status == 503 else None
