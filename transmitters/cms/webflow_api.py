"""Requests of Webflow's Data API v2, and what its answers mean."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

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
from transmitters.cms.http import SiteAnswer, SiteClient
from transmitters.http_connections import NoAnswer

PAGE = 100
"""Most that a list holds."""

SLUG_TAKEN = "slug_taken"
COLLECTION_CHANGED = "collection_changed"
SITE_NOT_PUBLISHED = "site_not_published"
UNPUBLISHED = frozenset({COLLECTION_CHANGED, SITE_NOT_PUBLISHED})
"""Codes of what a publication of the whole site mends."""

PUBLISH_HELP = "Publish the site once in Webflow, then try again"
READ_AGAIN_HELP = "Test the integration's connection, so that its fields are read again"

Fields = Mapping[str, Any]
"""`fieldData` of an item."""


class WebflowAPI:
    """Send requests to the service; each method returns the JSON of a good answer.

    Args:
        site: with the token and the ids of site and collection.
        client: sends requests.
    """

    def __init__(self, site: Site, client: SiteClient) -> None:
        self._client = client
        self._site = site
        self._root = site.base_url
        self._headers = {"Authorization": f"Bearer {site.credentials.get('token', '')}"}

    def get(self, path: str, **query: Any) -> Any:
        """Return what is at `path`.

        Raises:
            PlatformError: whatever the service does instead of answering.
        """
        return self._request("GET", path, query=query).data

    def find(self, path: str) -> Mapping[str, Any] | None:
        """Return one item or asset, None when it is gone."""
        try:
            return entry_of(self.get(path), writes=False)
        except PlatformError as error:
            if error.error_class is ErrorClass.NOT_FOUND:
                return None
            raise

    def exchange(self, path: str) -> SiteAnswer:
        """Return the whole answer to a GET, for its headers."""
        return self._request("GET", path)

    def create(self, path: str, data: Any, **query: Any) -> Mapping[str, Any]:
        """Create an item or an asset, once; return it."""
        answer = self._request("POST", path, data=data, query=query, creates=True)
        return entry_of(answer.data, writes=True)

    def post(self, path: str, data: Any) -> Any:
        return self._request("POST", path, data=data).data

    def patch(self, path: str, data: Any, **query: Any) -> Mapping[str, Any]:
        """Change an item or an asset; return it as it is then."""
        answer = self._request("PATCH", path, data=data, query=query)
        return entry_of(answer.data, writes=True)

    def delete(self, path: str) -> bool:
        """Remove something; False when it was gone."""
        try:
            self._request("DELETE", path)
        except PlatformError as error:
            if error.error_class is ErrorClass.NOT_FOUND:
                return False
            raise
        return True

    def pages(self, path: str, key: str, **query: Any) -> Iterator[Mapping[str, Any]]:
        """Yield every entry of a list, page by page.

        Args:
            key: of the list in the answer.
        """
        offset = 0
        for _ in range(MOST_PAGES):
            found = self.get(path, offset=offset, limit=PAGE, **query)
            entries = entries_of(found, key)
            yield from entries
            offset += len(entries)
            page = found.get("pagination")
            total = page.get("total") if isinstance(page, dict) else None
            if not isinstance(total, int):
                total = offset + (len(entries) == PAGE)
            if not entries or offset >= total:
                return
        raise endless("Webflow", key)

    def _request(
        self,
        method: str,
        path: str,
        *,
        data: Any = None,
        query: Mapping[str, Any] | None = None,
        creates: bool = False,
    ) -> SiteAnswer:
        writes = method != "GET"
        address = f"{self._root}{path}"
        if query:
            address += "?" + urlencode(query)
        try:
            answer = self._client.request(method, address, headers=self._headers, data=data)
        except NoAnswer as error:
            raise without_answer(error, writes=writes) from error
        is_done = 200 <= answer.status < 300
        if is_done and (isinstance(answer.data, dict) or method == "DELETE"):
            return answer
        if answer.status in REDIRECTS:
            raise redirected(answer)
        is_known = isinstance(answer.data, dict) and "code" in answer.data
        raise without_secrets(
            failure(answer, method, path, creates=creates)
            if is_known
            else foreign_answer(answer, "Webflow", writes=writes),
            self._site.credentials,
        )


def entries_of(found: Any, key: str) -> Sequence[Mapping[str, Any]]:
    """Return the list that an answer holds under `key`.

    Raises:
        PlatformError: it holds none, so that nothing can be told from it.
    """
    entries = found.get(key) if isinstance(found, dict) else None
    if not isinstance(entries, list) or not all(_is_entry(one) for one in entries):
        message = f"Webflow's answer holds no list of {key}"
        raise PlatformError(ErrorClass.TRANSIENT, "foreign_answer", message)
    return entries


def entry_of(found: Any, *, writes: bool) -> Mapping[str, Any]:
    """Return an item or a file that an answer consists of.

    Args:
        writes: it is the answer to a write, which may have been carried out.

    Raises:
        PlatformError: it is none.
    """
    if not _is_entry(found):
        kind = ErrorClass.AMBIGUOUS if writes else ErrorClass.TRANSIENT
        raise PlatformError(kind, "foreign_answer", "Webflow's answer does not hold what it should")
    entry: Mapping[str, Any] = found
    return entry


def _is_entry(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("id"), str)


def failure(answer: SiteAnswer, method: str, path: str, *, creates: bool) -> PlatformError:
    """Return what an error of the service means.

    Args:
        path: of the request, without arguments.
        creates: another try may make a second one of what was to be created.
    """
    status, code = answer.status, str(answer.data.get("code"))
    words = said(answer.data.get("message"))
    match status:
        case 401:
            return PlatformError(
                ErrorClass.AUTH,
                code,
                "Webflow does not accept the token: it is wrong, or was revoked",
                status=status,
                help="Check the integration's credentials",
            )
        case 403:
            return _forbidden(code, words, method, path)
        case 404:
            return _missing(code, words, path)
        case 409:
            return _conflict(code, words)
        case 429:
            return slowed_down(answer, code)
        case 413:
            return PlatformError(
                ErrorClass.VALIDATION,
                code,
                with_words("Webflow takes nothing this large", words),
                status=status,
            )
        case _ if status >= 500:
            kind = ErrorClass.TRANSIENT
            if creates and status != 503:
                kind = ErrorClass.AMBIGUOUS
            return PlatformError(
                kind,
                code,
                f"Webflow has a problem of its own: {words}",
                status=status,
                retry_after=seconds_asked(answer) if status == 503 else None,
            )
    return _invalid(answer, code, words)


def needed_scope(method: str, path: str) -> str:
    """Return the scope that a request needs."""
    area = "cms"
    if "/assets" in path:
        area = "assets"
    elif path.startswith("/sites") and "/collections" not in path:
        area = "sites"
    return f"{area}:{'read' if method == 'GET' else 'write'}"


def _forbidden(code: str, words: str, method: str, path: str) -> PlatformError:
    if code != "missing_scopes":
        return PlatformError(
            ErrorClass.PERMISSION,
            code,
            f"Webflow does not allow this to the token: {words}",
            status=403,
            help="Make a token for this site in Webflow, under Site settings, Apps & integrations",
        )
    scope = needed_scope(method, path)
    return PlatformError(
        ErrorClass.PERMISSION,
        code,
        f"The token lacks the scope {scope}",
        status=403,
        help=f"Make a new token in Webflow with the scope {scope}, and enter it here",
    )


def _missing(code: str, words: str, path: str) -> PlatformError:
    """Tell an item or a file that is gone from a site or collection that the token cannot see."""
    whole = {"collection_not_found", "site_not_found"}
    is_whole = re.fullmatch(
        r"/(sites|collections)/[^/]+(/(items(/publish)?|assets|collections|publish))?|/sites"
        r"|/token/.*",
        path,
    )
    is_named = re.search(r"\b(site|collection) (cannot|could not|can't|not)\b", words)
    if not is_whole and code not in whole and not is_named:
        return PlatformError(
            ErrorClass.NOT_FOUND, code, "It is gone, or never was at this site", status=404
        )
    what = "collection" if path.startswith("/collections") else "site"
    return PlatformError(
        ErrorClass.CONFIG,
        f"{what}_not_found",
        f"Webflow knows no such {what}, or the token may not see it",
        status=404,
        help=f"Check the id of the {what}, and that the token belongs to this site",
    )


def _conflict(code: str, words: str) -> PlatformError:
    said = words.lower()
    if "structure" in said:
        return PlatformError(
            ErrorClass.CONFIG,
            COLLECTION_CHANGED,
            "The collection's fields were changed since the site was published",
            status=409,
            help=PUBLISH_HELP,
        )
    if "domain" in said:
        return PlatformError(
            ErrorClass.CONFIG,
            "several_domains",
            "The site's domains show different publications of it",
            status=409,
            help="Publish the site to all its domains in Webflow, then try again",
        )
    if "publish" in said and "item" not in said:
        return PlatformError(
            ErrorClass.CONFIG,
            SITE_NOT_PUBLISHED,
            "The site or the collection has never been published",
            status=409,
            help=PUBLISH_HELP,
        )
    return PlatformError(
        ErrorClass.CONFLICT, code, f"Webflow refuses this just now: {words}", status=409
    )


def _invalid(answer: SiteAnswer, code: str, words: str) -> PlatformError:
    """Return what is wrong with what was sent, by the first fault that the service names."""
    param, description = _fault(answer.data.get("details"))
    said = f"{description or words}".lower()
    kind, help = ErrorClass.VALIDATION, ""
    message = f"Webflow refuses {param}: {description}" if param else f"Webflow refuses it: {words}"
    if param == "slug" and re.search(r"unique|already|duplicate", said):
        return PlatformError(
            ErrorClass.CONFLICT,
            SLUG_TAKEN,
            "Another item of the collection has this slug",
            status=answer.status,
            field="slug",
        )
    if "not described in schema" in said:
        kind, code, help = ErrorClass.CONFIG, COLLECTION_CHANGED, READ_AGAIN_HELP
        message = f"The collection has no field {param}"
    elif re.search(r"\breferenc", said):
        kind, code, help = ErrorClass.TAXONOMY, "term_mismatch", "Verify taxonomy sync"
    elif re.search(r"\b(file|image|asset|import)", said):
        kind, code, help = ErrorClass.MEDIA, "media_not_attached", "Check media library access"
    return PlatformError(kind, code, message, status=answer.status, field=param or None, help=help)


def _fault(details: Any) -> tuple[str, str]:
    """Return field and description of the first fault; details are objects or plain texts."""
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            param = detail.get("param") or detail.get("field") or ""
            description = detail.get("description") or detail.get("message") or ""
            return str(param), said(description)
        param, colon, description = str(detail).partition(": ")
        if colon and re.fullmatch(r"[\w-]+", param):
            return param, said(description)
        return "", said(detail)
    return "", ""
