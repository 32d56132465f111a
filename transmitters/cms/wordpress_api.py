"""WordPress' REST API: addresses, signed requests, its documents, and what its errors mean."""

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from html import unescape
from typing import Any, NamedTuple
from urllib.parse import urlencode

from transmitters.cms.base import (
    ErrorClass,
    PlatformError,
    RemoteMedia,
    RemotePost,
    RemoteState,
    RemoteTerm,
    Site,
    Taxonomy,
    refs_in,
)
from transmitters.cms.failures import (
    foreign_answer,
    parts_of,
    seconds_asked,
    slowed_down,
    with_words,
    without_answer,
    without_secrets,
)
from transmitters.cms.http import MultipartBody, SiteAnswer, SiteClient
from transmitters.http_connections import NoAnswer

NAME = "WordPress"
NAMESPACE = "wp/v2"
ANY_LINKS = "/?rest_route=/"
"""Where the API of every site is, however its links look."""
DISCOVERED = re.compile(r'<([^>]+)>\s*;\s*rel="https://api\.w\.org/"')

CAPABILITIES: Mapping[tuple[str, str], str] = {
    ("rest_cannot_create", "media"): "upload_files",
    ("rest_cannot_create", "terms"): "manage_categories",
    ("rest_cannot_create", "posts"): "edit_posts",
    ("rest_cannot_publish", "posts"): "publish_posts",
    ("rest_cannot_edit", "posts"): "edit_others_posts",
    ("rest_cannot_edit_others", "posts"): "edit_others_posts",
    ("rest_cannot_edit", "media"): "edit_others_posts",
    ("rest_cannot_delete", "posts"): "delete_others_posts",
    ("rest_cannot_delete", "media"): "delete_others_posts",
    ("rest_cannot_assign_term", "posts"): "edit_posts",
    ("rest_forbidden_status", "posts"): "edit_posts",
    ("rest_forbidden_context", "posts"): "edit_posts",
    ("rest_forbidden_context", "terms"): "manage_categories",
}
"""What a user lacks, by code and what the request was about."""

LOGIN_HELP: Mapping[str, str] = {
    "incorrect_password": "Make a new application password in the user's profile and enter it here",
    "invalid_username": "Check the user name: the site knows no such user",
    "invalid_email": "Check the user name: the site knows no user with this e-mail address",
    "application_passwords_disabled": "Allow application passwords at the site; security plugins "
    "can switch them off, and without HTTPS there are none",
    "application_passwords_disabled_for_user": "Allow application passwords for this user",
    "rest_not_logged_in": "Check user name and application password (the user's normal password "
    "does not work); if both are right, the web server of the site drops the Authorization header",
}
UNKNOWN_UPLOAD_ERROR = "rest_upload_unknown_error"
"""What WordPress calls everything that PHP or the site's disk has against an upload."""
FILE_HELP: Mapping[str, str] = {
    "not allowed to upload this file type": "Check media library access: allow this type of file "
    "at the site, or use a picture of another type",
    "not permitted for security reasons": "Check media library access: allow this type of file "
    "at the site, or use a picture of another type",
    "upload_max_filesize": "Check media library access: raise upload_max_filesize and "
    "post_max_size of the site's PHP, or use a smaller file",
    "max_file_size": "Check media library access: raise the site's upload limit, or use a smaller "
    "file",
    "no content-disposition supplied": "Check media library access: the file is larger than "
    "post_max_size of the site's PHP, which drops it",
    "no data supplied": "Check media library access: the file is larger than post_max_size of the "
    "site's PHP, which drops it",
    "file is empty": "Check media library access: the file is empty, or larger than "
    "post_max_size of the site's PHP",
}
"""What to do about files that the site will never take, by parts of its words."""
SITE_TROUBLE = (
    "could not be moved",
    "unable to create directory",
    "failed to write file",
    "temporary folder",
    "only partially uploaded",
    "could not write file",
)
"""Parts of the words of a site that cannot store files just now."""


STATES: Mapping[str, RemoteState] = {
    "publish": RemoteState.LIVE,
    "future": RemoteState.SCHEDULED,
    "draft": RemoteState.DRAFT,
    "auto-draft": RemoteState.DRAFT,
    "pending": RemoteState.DRAFT,
    "private": RemoteState.DRAFT,
    "trash": RemoteState.TRASHED,
}


class About(NamedTuple):
    """What a request is about, for its errors: `posts`, `media` or `terms`; whether it writes."""

    kind: str
    writes: bool


class TermExists(PlatformError):
    """A term has this name already.

    Args:
        term_id: of the term that has it; None where the site does not tell.
    """

    def __init__(self, answer: SiteAnswer) -> None:
        super().__init__(
            ErrorClass.TAXONOMY,
            "term_exists",
            "The site has a term of this name already",
            status=answer.status,
            help="Verify taxonomy sync",
        )
        told = error_data(answer).get("term_id")
        self.term_id = str(told) if told else None


class WordPressAPI:
    """Send signed requests to one site.

    Raises, from every method that sends:
        PlatformError: the site did not do what was asked.
    """

    def __init__(self, site: Site, client: SiteClient) -> None:
        self._site = site
        self._client = client

    @property
    def root(self) -> str:
        """Address of the API, as the connection test has found it.

        One at another place than the site is not used: it would get the credentials.
        """
        found = str(self._site.remote.get("api_root") or "")
        return found if is_below(found, self._site.base_url) else self._site.base_url + ANY_LINKS

    def get(self, route: str, kind: str = "posts", **query: Any) -> SiteAnswer:
        return self._send("GET", route, About(kind, False), query)

    def post(self, route: str, data: Any, kind: str = "posts", **query: Any) -> SiteAnswer:
        return self._send("POST", route, About(kind, True), query, data=data)

    def delete(self, route: str, kind: str = "posts", **query: Any) -> SiteAnswer:
        return self._send("DELETE", route, About(kind, True), query)

    def upload(self, route: str, form: MultipartBody) -> SiteAnswer:
        """Send a form with a file.

        Without `Content-MD5`: where PHP has refused a file for its size, WordPress dies over it.
        """
        return self._send("POST", route, About("media", True), {}, form=form)

    def open(self, address: str, *, signed: bool = False) -> SiteAnswer:
        """Return the answer to a GET of any address, whatever its status.

        Args:
            signed: with the password; only an address of the site itself may get it.
        """
        headers = {"Authorization": self._authorization()} if signed else {}
        try:
            return self._client.request("GET", address, headers=headers)
        except NoAnswer as error:
            raise without_answer(error, writes=False) from error

    def _send(
        self,
        method: str,
        route: str,
        about: About,
        query: Mapping[str, Any],
        *,
        data: Any = None,
        form: MultipartBody | None = None,
    ) -> SiteAnswer:
        signed = {"Authorization": self._authorization()}
        address = address_of(self.root, route, query)
        try:
            answer = self._client.request(method, address, headers=signed, data=data, form=form)
        except NoAnswer as error:
            raise without_answer(error, writes=about.writes) from error
        if 200 <= answer.status < 300 and isinstance(answer.data, (dict, list)):
            return answer
        raise without_secrets(self.failure(answer, about), self._site.credentials)

    def _authorization(self) -> str:
        credentials = self._site.credentials
        password = "".join(credentials.get("application_password", "").split())
        pair = f"{credentials.get('username', '').strip()}:{password}"
        return "Basic " + b64encode(pair.encode()).decode()

    def failure(self, answer: SiteAnswer, about: About) -> PlatformError:
        """Return what an answer means that is no success."""
        code = code_of(answer)
        if code is None or 300 <= answer.status < 400:
            return _foreign(answer, about)
        inner = _inner_code(answer, "rest_forbidden_status")
        if inner is not None:
            code, status = "rest_forbidden_status", inner
        else:
            status = answer.status
        match status:
            case 401:
                return _no_login(code, answer)
            case 403:
                return self._not_allowed(code, answer, about)
            case 429:
                return slowed_down(answer, code)
            case 404:
                return _missing(code, answer)
            case 503 if (seconds := seconds_asked(answer)) is not None:
                return PlatformError(
                    ErrorClass.RATE_LIMITED,
                    code,
                    "The site asks us to come back later",
                    status=503,
                    retry_after=seconds,
                )
        return _refused(code, answer, about)

    def _not_allowed(self, code: str, answer: SiteAnswer, about: About) -> PlatformError:
        """Return what the user lacks, under the name that the type of the posts has for it."""
        lacks = CAPABILITIES.get((code, about.kind))
        if lacks is None:
            return PlatformError(
                ErrorClass.PERMISSION,
                code,
                with_words(
                    "The site does not allow this to the integration's user", words_in(answer)
                ),
                status=answer.status,
                help="Give the user a role that may do it, such as Editor; or a security plugin "
                "of the site closes its REST API",
            )
        post_type = self._site.remote.get("post_type") or {}
        own = post_type.get("capabilities") or {}
        if about.kind == "posts" and post_type and lacks not in own:
            return not_for(str(post_type.get("name")), code=code, status=answer.status)
        return lacking([str(own.get(lacks, lacks))], code=code, status=answer.status)


def lacking(capabilities: list[str], *, code: str, status: int | None = None) -> PlatformError:
    """Return that the user lacks capabilities, by the names that the site has for them."""
    names = ", ".join(capabilities)
    return PlatformError(
        ErrorClass.PERMISSION,
        code,
        f"The integration's user lacks the capability {names}",
        status=status,
        help=f"Give the user a role with {names}, such as Editor",
    )


def not_for(post_type: str, *, code: str, status: int | None = None) -> PlatformError:
    """Return that the user may not write posts of a type, whose capabilities nobody has told."""
    return PlatformError(
        ErrorClass.PERMISSION,
        code,
        f"The integration's user may not write posts of the type {post_type}",
        status=status,
        help=f"Give the user a role that may edit, publish and delete {post_type}, such as Editor",
    )


def address_of(root: str, route: str, query: Mapping[str, Any]) -> str:
    """Return the address of a route.

    Args:
        root: of the API; one with `?rest_route=` takes the route and all arguments into its query.
    """
    arguments = urlencode({name: value for name, value in query.items() if value is not None})
    joint = "&" if "?" in root else "?"
    return root.rstrip("/") + "/" + route + (f"{joint}{arguments}" if arguments else "")


def is_below(address: str, base: str) -> bool:
    """Whether an address is at the same scheme, host and port as the site."""
    found, site = parts_of(address), parts_of(base)
    return bool(address) and (found.scheme, found.netloc) == (site.scheme, site.netloc)


def code_of(answer: SiteAnswer) -> str | None:
    """Return the code of an error of WordPress, None where the answer is not WordPress'."""
    code = answer.data.get("code") if isinstance(answer.data, dict) else None
    return str(code) if isinstance(code, (str, int)) and "message" in answer.data else None


def error_data(answer: SiteAnswer) -> Mapping[str, Any]:
    """Return what an error says beyond its code."""
    data = answer.data.get("data") if isinstance(answer.data, dict) else None
    return data if isinstance(data, dict) else {}


def _inner_code(answer: SiteAnswer, wanted: str) -> int | None:
    """Return the status that an argument was refused with for this reason; None for others."""
    details = error_data(answer).get("details")
    for detail in details.values() if isinstance(details, dict) else ():
        if isinstance(detail, dict) and detail.get("code") == wanted:
            inner = detail.get("data")
            status = inner.get("status") if isinstance(inner, dict) else None
            return status if isinstance(status, int) else 401
    return None


def _foreign(answer: SiteAnswer, about: About) -> PlatformError:
    """Return what an answer means that some proxy, or another program, gave."""
    seconds = seconds_asked(answer) if answer.status == 503 else None
    if seconds is not None and not about.writes:
        return PlatformError(
            ErrorClass.RATE_LIMITED,
            "http_503",
            "The site asks us to come back later",
            status=503,
            retry_after=seconds,
        )
    if answer.status == 413 and about.kind == "media":
        return PlatformError(
            ErrorClass.MEDIA,
            "too_large",
            "The site takes no file this large",
            status=413,
            help="Check media library access: raise the site's upload limit",
        )
    return foreign_answer(answer, NAME, writes=about.writes)


def _no_login(code: str, answer: SiteAnswer) -> PlatformError:
    return PlatformError(
        ErrorClass.AUTH,
        code,
        "The site does not accept the integration's credentials",
        status=answer.status,
        help=LOGIN_HELP.get(code, ""),
    )


def _missing(code: str, answer: SiteAnswer) -> PlatformError:
    if code == "rest_no_route":
        return PlatformError(
            ErrorClass.CONFIG,
            code,
            "The site has no such part of the REST API",
            status=404,
            help="Run the connection test: the post type or the address may be wrong, or a plugin "
            "switches the REST API off",
        )
    return PlatformError(ErrorClass.NOT_FOUND, code, "It is not there any more", status=404)


def _refused(code: str, answer: SiteAnswer, about: About) -> PlatformError:
    """Return what an error means that WordPress itself tells about what was sent."""
    status = answer.status
    named = error_data(answer).get("params")
    field = next(iter(named), None) if isinstance(named, dict) else None
    said: dict[str, Any] = {"status": status, "field": field}
    words = words_in(answer)
    if code == "rest_upload_hash_mismatch":
        return PlatformError(ErrorClass.TRANSIENT, code, "The file arrived damaged", **said)
    if about.kind == "media" and (code.startswith("rest_upload") or status in (400, 413)):
        return _refused_file(code, words, said)
    if code == "term_exists":
        return TermExists(answer)
    if about.kind == "terms" and (status < 500 or code in ("empty_term_name", "db_insert_error")):
        return PlatformError(
            ErrorClass.TAXONOMY,
            code,
            with_words("The site refuses the term", words),
            help="Verify taxonomy sync",
            **said,
        )
    if code == "rest_invalid_author":
        said["field"] = "author"
    if status < 500:
        message = with_words(f"The site refuses the {about.kind}", words)
        return PlatformError(ErrorClass.VALIDATION, code, message, **said)
    error_class = ErrorClass.AMBIGUOUS if about.writes else ErrorClass.TRANSIENT
    return PlatformError(error_class, code, with_words("The site failed", words), **said)


def _refused_file(code: str, words: str, said: Mapping[str, Any]) -> PlatformError:
    """Return what it means that WordPress did not take a file: for its sake, or the site's.

    WordPress answers 500 to both; only its words tell.
    """
    folded = words.lower()
    help = next((help for part, help in FILE_HELP.items() if part in folded), "")
    is_of_site = code == UNKNOWN_UPLOAD_ERROR and said["status"] >= 500
    if not help and (is_of_site or any(part in folded for part in SITE_TROUBLE)):
        return PlatformError(
            ErrorClass.TRANSIENT,
            code,
            with_words("The site could not store the file", words),
            help="Check media library access: free space, and whether the web server may write "
            "into the site's folder of uploads",
            **said,
        )
    return PlatformError(
        ErrorClass.MEDIA,
        code,
        with_words("The site refuses the file", words),
        help=help
        or "Check media library access: type and size of the file, free space of the site",
        **said,
    )


def words_in(answer: SiteAnswer) -> str:
    """Return what WordPress says is wrong, with what it says of each argument."""
    named = error_data(answer).get("params")
    parts = [str(answer.data.get("message") or "")]
    if isinstance(named, dict):
        parts += [text for text in named.values() if isinstance(text, str)]
    return " ".join(part for part in parts if part)


# Documents.


def one_of(answer: SiteAnswer, *, writes: bool) -> dict[str, Any]:
    """Return the one object of an answer.

    Raises:
        PlatformError: it is something else.
    """
    if isinstance(answer.data, dict):
        return answer.data
    raise foreign_answer(answer, NAME, writes=writes)


def remote_post(data: Any, answer: SiteAnswer, *, writes: bool = False) -> RemotePost:
    """Return a post of an answer, which `data` is or is in.

    Raises:
        PlatformError: it is something else.
    """
    if not isinstance(data, dict) or not isinstance(data.get("id"), int):
        raise foreign_answer(answer, NAME, writes=writes)
    state = STATES.get(str(data.get("status")), RemoteState.UNKNOWN)
    is_dated = state in (RemoteState.LIVE, RemoteState.SCHEDULED)
    return RemotePost(
        id=str(data["id"]),
        state=state,
        url=public_address(data.get("link")),
        slug=str(data.get("slug") or ""),
        modified=str(data.get("modified_gmt") or ""),
        published_at=moment_in(data.get("date_gmt")) if is_dated else None,
        refs=refs_in(raw_text(data, "content")),
        fields={
            "date_gmt": data.get("date_gmt"),
            "seen_at": answer.date,
            "author": data.get("author"),
            "title": unescape(raw_text(data, "title")),
        },
    )


def remote_media(data: Mapping[str, Any], answer: SiteAnswer, *, writes: bool) -> RemoteMedia:
    url, details = public_address(data.get("source_url")), data.get("media_details")
    if not isinstance(data.get("id"), int) or not url:
        raise foreign_answer(answer, NAME, writes=writes)
    size = details if isinstance(details, dict) else {}
    return RemoteMedia(
        id=str(data["id"]),
        url=url,
        mime=str(data.get("mime_type") or ""),
        width=size.get("width"),
        height=size.get("height"),
    )


def remote_term(data: Any, answer: SiteAnswer, *, writes: bool = False) -> RemoteTerm:
    """Return a term of an answer, which `data` is or is in; raises as `remote_post`."""
    if not isinstance(data, dict) or not isinstance(data.get("id"), int):
        raise foreign_answer(answer, NAME, writes=writes)
    parent = data.get("parent")
    return RemoteTerm(
        id=str(data["id"]),
        name=unescape(str(data.get("name") or "")),
        slug=str(data.get("slug") or ""),
        parent=str(parent) if parent else None,
        count=data.get("count"),
    )


def taxonomies_in(answer: SiteAnswer) -> list[Taxonomy]:
    """Return the taxonomies of an answer; where there are none it is an empty list."""
    found = answer.data.values() if isinstance(answer.data, dict) else ()
    return [
        Taxonomy(
            id=str(one.get("rest_base") or one.get("slug")),
            name=unescape(str(one.get("name") or "")),
            is_hierarchical=bool(one.get("hierarchical")),
        )
        for one in found
        if isinstance(one, dict)
    ]


def writable_types(types: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the types of posts that hold stories: no files, menus or parts of the site's look."""
    return [
        one
        for name, one in types.items()
        if isinstance(one, dict)
        and not name.startswith("wp_")
        and name not in ("attachment", "nav_menu_item")
    ]


def type_named(types: Mapping[str, Any], rest_base: str) -> Mapping[str, Any]:
    """Return the type of posts with this REST base.

    Raises:
        PlatformError: there is none.
    """
    known = writable_types(types)
    for one in known:
        if one.get("rest_base") == rest_base:
            return one
    named = [one for one in known if one.get("slug") == rest_base]
    wanted = str(named[0].get("rest_base")) if named else ""
    offered = ", ".join(sorted(str(one.get("rest_base")) for one in known))
    raise PlatformError(
        ErrorClass.CONFIG,
        "no_post_type",
        f"The site offers no post type {rest_base} in its REST API",
        field="post_type",
        help=f"Enter its REST base, {wanted}" if wanted else f"Enter one of: {offered}",
    )


def raw_text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return str(value.get("raw") or "") if isinstance(value, dict) else ""


def number_of(text: str, field: str) -> int:
    """Return the number that an id is.

    Raises:
        PlatformError: it is none.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    raise PlatformError(
        ErrorClass.VALIDATION, "invalid_id", f"{text!r} is no id of WordPress", field=field
    )


def public_address(address: Any) -> str:
    text = str(address or "")
    return text if parts_of(text).scheme in ("http", "https") else ""


def moment_in(text: Any) -> datetime | None:
    """Return the moment that a date of the API names: UTC, without a zone."""
    try:
        return datetime.fromisoformat(str(text)).replace(tzinfo=UTC)
    except ValueError:
        return None


def wire_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
