"""Requests to Ghost's Admin API: signatures, addresses and what its errors mean."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import jwt

from apps.core.clock import Clock
from transmitters.cms.base import ErrorClass, PlatformError, Site
from transmitters.cms.failures import (
    MOST_PAGES,
    REDIRECTS,
    endless,
    foreign_answer,
    redirected,
    said,
    seconds_asked,
    slowed_down,
    with_words,
    without_answer,
    without_secrets,
)
from transmitters.cms.http import MultipartBody, SiteAnswer, SiteClient
from transmitters.http_connections import NoAnswer

VERSION = "v5.0"
TOKEN_LIFE = timedelta(minutes=5)
"""Ghost takes none that is older, whatever it says itself."""
PAGE = 100

NO_KEY = "Copy the Admin API key of a custom integration (Ghost Admin, Settings, Integrations) anew"
CLOCK_HELP = "Set the clock of this machine, or that of the site's server, by a time server"
STALE_TOKENS = ("jwt expired", "maxage exceeded")
"""Parts of the reasons that Ghost gives when clocks differ."""


class GhostAPI:
    """Send signed requests to the Admin API of one site.

    Args:
        site: whose credentials sign.
        client: sends them.
        clock: time at which they are signed.
    """

    def __init__(self, site: Site, client: SiteClient, clock: Clock) -> None:
        self._site = site
        self._client = client
        self._clock = clock
        self.root = f"{site.base_url}/ghost/api/admin/"

    def address(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """Return the address of a resource; Ghost redirects those without a final slash."""
        return f"{self.root}{path}/" + (f"?{urlencode(query)}" if query else "")

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of a resource."""
        return self._call("GET", path, query)

    def post(self, path: str, data: Any, **query: Any) -> Any:
        """Create what `data` says, once."""
        return self._call("POST", path, query, data=data)

    def put(self, path: str, data: Any, **query: Any) -> Any:
        """Change a resource; what `data` leaves out stays."""
        return self._call("PUT", path, query, data=data)

    def delete(self, path: str) -> None:
        """Remove a resource."""
        self._call("DELETE", path, {})

    def upload(self, path: str, form: MultipartBody) -> Any:
        """Upload a file, once."""
        return self._call("POST", path, {}, form=form)

    def pages(self, path: str, key: str, **query: Any) -> Iterator[Mapping[str, Any]]:
        """Yield all documents of a list, page by page.

        Args:
            key: of the list in the answer.
        """
        page = 1
        for _ in range(MOST_PAGES):
            answer = self.get(path, **query, limit=PAGE, page=page)
            yield from documents(answer, key)
            following = _next_page(answer)
            if following is None or following <= page:
                return
            page = following
        raise endless("Ghost", key)

    def send(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, **body: Any
    ) -> SiteAnswer:
        """Send a signed request and return what was answered, whatever its status.

        One that is refused because the clocks differ is signed once more, by the site's clock:
        Ghost has not looked at it.

        Raises:
            PlatformError: no whole answer came.
        """
        answer = self._send(method, path, query, self._clock.now(), body)
        moment = answer.date
        if moment and _is_stale(answer):
            answer = self._send(method, path, query, moment, body)
        return answer

    def _call(self, method: str, path: str, query: Mapping[str, Any], **body: Any) -> Any:
        answer = self.send(method, path, query, **body)
        if answer.status == 204:
            return None
        if 200 <= answer.status < 300 and isinstance(answer.data, dict):
            return answer.data
        error = failure(answer, writes=method != "GET", uploads="form" in body)
        raise without_secrets(error, self._site.credentials)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        moment: datetime,
        body: Mapping[str, Any],
    ) -> SiteAnswer:
        headers = {
            "Authorization": f"Ghost {signed_token(self._site.credentials, moment)}",
            "Accept-Version": VERSION,
        }
        try:
            return self._client.request(method, self.address(path, query), headers=headers, **body)
        except NoAnswer as error:
            raise without_answer(error, writes=method != "GET") from error


def signed_token(credentials: Mapping[str, str], moment: datetime) -> str:
    """Return a token that is issued at `moment`.

    Raises:
        PlatformError: the key has not the form of one.
    """
    key_id, _, secret = credentials.get("admin_api_key", "").partition(":")
    claims = {"iat": moment, "exp": moment + TOKEN_LIFE, "aud": "/admin/"}
    try:
        return jwt.encode(claims, bytes.fromhex(secret), "HS256", headers={"kid": key_id})
    except (ValueError, jwt.PyJWTError):
        raise PlatformError(
            ErrorClass.AUTH, "invalid_key", "This is no Admin API key", help=NO_KEY
        ) from None


def quoted(text: str) -> str:
    """Return a text as a string of Ghost's filters."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"') + "'"


def documents(answer: Any, key: str) -> list[Mapping[str, Any]]:
    """Return the documents of an answer.

    Raises:
        PlatformError: it holds none; not one that is empty.
    """
    found = answer.get(key) if isinstance(answer, dict) else None
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):
        return found
    raise PlatformError(
        ErrorClass.CONFIG,
        "foreign_answer",
        f"The answer has no list {key!r}, so it is not Ghost's",
        help="Check the address of the site: there is no Ghost behind it",
    )


def _next_page(answer: Mapping[str, Any]) -> int | None:
    """Return the number of the page that follows, None after the last."""
    found: Any = answer
    for name in ("meta", "pagination", "next"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, int) else None


def failure(answer: SiteAnswer, *, writes: bool, uploads: bool = False) -> PlatformError:
    """Return what an answer means that is no success (cms contract G9).

    Args:
        writes: the request would have changed something at the site.
        uploads: it sent a file.
    """
    if answer.status in REDIRECTS:
        return redirected(answer)
    error = _first_error(answer)
    if error is None:
        found = foreign_answer(answer, "Ghost", writes=writes)
        if uploads and found.code == "too_large":
            found.error_class = ErrorClass.MEDIA
        return found
    status = answer.status
    code = str(error.get("code") or error.get("type") or f"http_{status}")
    if status in (400, 401, 403) and (known := _refused(status, error, code)):
        return known
    match status:
        case 429:
            return slowed_down(answer, code)
        case 503:
            return PlatformError(
                ErrorClass.TRANSIENT,
                code,
                with_words("Ghost is being maintained, or is just starting", _reason(error)),
                status=status,
                retry_after=seconds_asked(answer),
            )
        case _ if status >= 500 and status != 501:
            kind = ErrorClass.AMBIGUOUS if writes else ErrorClass.TRANSIENT
            message = with_words("Ghost met an error of its own", _reason(error))
            return PlatformError(kind, code, message, status=status)
    kind = _CLASSES.get(status, ErrorClass.VALIDATION)
    if uploads and status in (400, 413, 415, 422):
        kind = ErrorClass.MEDIA
    elif status == 422 and "[tags." in _reason(error):
        kind = ErrorClass.TAXONOMY
    return PlatformError(
        kind,
        code,
        f"Ghost refused the request: {_reason(error)}",
        status=status,
        field=_field(error),
        help=_HELP.get(kind, ""),
    )


_CLASSES = {
    403: ErrorClass.PERMISSION,
    404: ErrorClass.NOT_FOUND,
    406: ErrorClass.CONFIG,
    409: ErrorClass.CONFLICT,
    415: ErrorClass.MEDIA,
    501: ErrorClass.PERMISSION,
}
_HELP = {
    ErrorClass.CONFIG: "Ghost 5 or newer is needed",
    ErrorClass.CONFLICT: "Somebody edits the post at the site; see the option on_remote_edit",
    ErrorClass.PERMISSION: "Use the key of a custom integration, and check whether the site's plan "
    "allows integrations",
}

_REFUSED = {
    "INVALID_JWT": ("The secret of the Admin API key is wrong", NO_KEY),
    "UNKNOWN_ADMIN_API_KEY": (
        "The site does not know this Admin API key: it was removed, or belongs to another site",
        NO_KEY,
    ),
    "INVALID_API_KEY_TYPE": (
        "This is a Content API key; posts need the Admin API key of the same integration",
        NO_KEY,
    ),
    "MISSING_ADMIN_API_KID": ("The Admin API key has no id", NO_KEY),
    "INVALID_AUTH_HEADER": (
        "Something between here and Ghost replaces the Authorization header",
        "Let the web server of the site pass the Authorization header on to Ghost",
    ),
}
_NO_HEADER = (
    "The Authorization header does not reach Ghost",
    "Let the web server of the site pass the Authorization header on to Ghost",
)


def _refused(status: int, error: Mapping[str, Any], code: str) -> PlatformError | None:
    """Return what is wrong with the credentials; None if the answer is about something else."""
    if _is_about_clocks(error):
        return PlatformError(
            ErrorClass.CONFIG,
            "clock_skew",
            "The clock of this machine and that of the site differ by more than five minutes",
            status=status,
            help=CLOCK_HELP,
        )
    told = _REFUSED.get(code)
    if status == 403 and "authorization failed" in str(error.get("message")).lower():
        told = _NO_HEADER
    if status == 401 and told is None:
        told = ("Ghost does not accept the credentials", "")
    if told is None:
        return None
    return PlatformError(ErrorClass.AUTH, code, told[0], status=status, help=told[1])


def _is_stale(answer: SiteAnswer) -> bool:
    error = _first_error(answer)
    return answer.status == 401 and error is not None and _is_about_clocks(error)


def _is_about_clocks(error: Mapping[str, Any]) -> bool:
    message = str(error.get("message")).lower()
    return error.get("code") == "INVALID_JWT" and any(part in message for part in STALE_TOKENS)


def _first_error(answer: SiteAnswer) -> Mapping[str, Any] | None:
    errors = answer.data.get("errors") if isinstance(answer.data, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    return first if isinstance(first, dict) else None


def _reason(error: Mapping[str, Any]) -> str:
    """Return what Ghost says; `message` alone is the same for most errors."""
    return said(error.get("context") or error.get("message")) or "no reason given"


def _field(error: Mapping[str, Any]) -> str | None:
    details = error.get("details")
    if isinstance(details, list) and details and isinstance(details[0], dict):
        path = str(details[0].get("instancePath") or details[0].get("dataPath") or "")
        if path:
            return path.rpartition("/")[2].rpartition(".")[2]
    name = error.get("property")
    return str(name) if name else None
