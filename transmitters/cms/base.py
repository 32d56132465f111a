"""The base class of CMS platforms, what they are handed and what they return.

A platform knows one kind of site: how to sign a request, how a story looks there, how a post is
found again. It stores nothing, decides nothing about retries, and knows no other site.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import wraps
from inspect import isgeneratorfunction
from typing import IO, Any, ClassVar

import structlog

from apps.core.errors import WiredeskError
from apps.core.registry import Field
from transmitters.cms.http import SiteClient

log = structlog.get_logger(__name__)

LONGEST_ID, LONGEST_ADDRESS, LONGEST_NAME = 255, 2048, 1000
"""Characters of what a site calls something, of an address and of a name."""
LARGEST_NUMBER = 2**53 - 1
"""That every JSON reader takes as it is."""


def count_or_none(value: Any) -> int | None:
    """Return a number that a site has told, None for what is none."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= LARGEST_NUMBER else None


def check_id(id: str) -> None:
    """Check what a site calls something.

    Raises:
        ValueError: nothing can be called so.
    """
    if not 0 < len(id) <= LONGEST_ID or "\x00" in id:
        raise ValueError("the site tells an id that is none")


class RemoteState(StrEnum):
    """What is known of a post at its site."""

    ABSENT = "absent"
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    LIVE = "live"
    TRASHED = "trashed"
    DELETED = "deleted"
    UNKNOWN = "unknown"


class RetractMode(StrEnum):
    """How a post is taken off its site."""

    TRASH = "trash"
    DRAFT = "draft"
    UNPUBLISH = "unpublish"
    DELETE = "delete"


@dataclass(frozen=True)
class Site:
    """One integration, with its secrets resolved; `repr` leaves the credentials out.

    Attributes:
        id: of the integration.
        base_url: address of the site, without a final slash.
        options: all options, defaults filled in.
        remote: what the last connection test has found; empty before the first.
    """

    id: str
    base_url: str
    credentials: Mapping[str, str] = field(repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    remote: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PostIdentity:
    """What a post of ours is found by, the same for every attempt.

    Attributes:
        ref: 16 hex digits, kept in the post where the platform has a place for a marker.
        slug: the slug that was asked for first; a new headline never changes it.
        title, since: of posts that can hold no marker, one is ours if it has this title and was
            made by our user after `since`, when the first attempt began.
    """

    ref: str
    slug: str
    title: str = ""
    since: datetime | None = None

    @property
    def marker(self) -> str:
        """The HTML comment that marks a post as ours."""
        return f"<!-- publisher-ref:{self.ref} -->"


MARKER = re.compile(r"<!-- publisher-ref:([0-9a-f]+) -->")


def refs_in(text: str) -> tuple[str, ...]:
    """Return the references of the markers in a text."""
    return tuple(MARKER.findall(text))


@dataclass(frozen=True)
class MediaUpload:
    """A file to upload; nothing of its content is held in memory.

    Attributes:
        sha256, md5: of its bytes, as hex digits.
        length: bytes.
        mime: media type, told by the bytes.
        extension: that goes with the type, without a dot.
        open: opens it for reading, from the start, as often as it is called.
        alt, caption, title: texts that go along.
    """

    sha256: str
    md5: str
    length: int
    mime: str
    extension: str
    open: Callable[[], AbstractContextManager[IO[bytes]]] = field(repr=False)
    alt: str = ""
    caption: str = ""
    title: str = ""

    @property
    def filename(self) -> str:
        """Its name at the site: ASCII, and the same for the same bytes."""
        return f"{self.sha256[:16]}.{self.extension}"


@dataclass(frozen=True)
class RemoteMedia:
    """A file that is at the site.

    Attributes:
        id: what the site calls it; its address where it has no other name.
    """

    id: str
    url: str
    mime: str = ""
    width: int | None = None
    height: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", count_or_none(self.width))
        object.__setattr__(self, "height", count_or_none(self.height))


@dataclass(frozen=True)
class MediaLimits:
    """What files a platform takes.

    Attributes:
        mimes: media types.
        max_bytes: by first part of the type (`image`), or None where the site decides.
    """

    mimes: frozenset[str]
    max_bytes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class StoryMedia:
    """A picture, video or audio of a story.

    Attributes:
        key: of the association.
        remote: the file at the site; None when it was left out.
        source_urls: addresses by which the body may show it.
    """

    key: str
    remote: RemoteMedia | None
    alt: str = ""
    caption: str = ""
    credit: str = ""
    width: int | None = None
    height: int | None = None
    source_urls: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Story:
    """An item as it shall be at a site, before it takes the platform's form.

    Attributes:
        headline, abstract: plain text.
        body: HTML as the item holds it, footer and notices appended; not trusted.
        media: by key of the association, in the order of the body.
        feature: key of the featured picture in `media`, if there is one.
        terms: by taxonomy of the site, the complete list of remote ids. A taxonomy that is absent
            is not ours to change.
        author: as the options of the site name authors.
        published_at: of the first publication; sent with it only.
        schedule_at: when the site shall publish it by itself; None for now.
        canonical_url: where the story is at home.
        item: the whole item, for fields that `field_map` names.
    """

    identity: PostIdentity
    headline: str
    body: str
    abstract: str = ""
    media: Mapping[str, StoryMedia] = field(default_factory=dict)
    feature: str | None = None
    terms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    author: str | None = None
    published_at: datetime | None = None
    schedule_at: datetime | None = None
    canonical_url: str | None = None
    language: str | None = None
    item: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Payload:
    """A story in the form of a platform: what is sent, and by whose hash changes are told.

    Attributes:
        fields: JSON values, all that the site is to hold; no time of now in it.
        warnings: codes of what the reader will miss (`embeds_stripped`, `title_cut`).
        media, terms: what the answer has to show again, see `Mismatch`.
    """

    fields: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    media: tuple[RemoteMedia, ...] = ()
    terms: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Mismatch(StrEnum):
    """In what an answer differs from what was sent."""

    SLUG = "slug"
    MEDIA = "media"
    TERMS = "terms"
    STATE = "state"


@dataclass(frozen=True)
class RemotePost:
    """A post as the site shows it.

    Attributes:
        modified: the site's token for its last change, for comparison only.
        refs: of the markers that it carries, of whomever they are.
        is_ours: of a look-up, whether it is the post that was looked for, see `recognises`.
        mismatches: in what it differs from the payload that it answers, each with the names of
            what is missing.
        fields: what an update needs to know of it.
    """

    id: str
    state: RemoteState
    url: str = ""
    slug: str = ""
    modified: str = ""
    published_at: datetime | None = None
    refs: tuple[str, ...] = ()
    is_ours: bool = True
    created_at: datetime | None = None
    mismatches: Mapping[Mismatch, Sequence[str]] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Check what records keep.

        Raises:
            ValueError: no record can hold it.
        """
        check_id(self.id)
        if len(self.url) > LONGEST_ADDRESS:
            raise ValueError("the site tells an address that is too long")
        if max(len(self.slug), len(self.modified)) > LONGEST_NAME:
            raise ValueError("the site tells a slug or a date that is too long")


@dataclass(frozen=True)
class Taxonomy:
    """A list of terms at a site, or of options of a field."""

    id: str
    name: str
    is_hierarchical: bool = False
    can_create: bool = True


@dataclass(frozen=True)
class RemoteTerm:
    """A term of a taxonomy at a site; `name` is decoded."""

    id: str
    name: str
    slug: str = ""
    parent: str | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        """Check the id; cut what is too long.

        Raises:
            ValueError: nothing can be called so.
        """
        check_id(self.id)
        object.__setattr__(self, "name", self.name[:LONGEST_NAME])
        object.__setattr__(self, "slug", self.slug[:LONGEST_NAME])
        object.__setattr__(self, "count", count_or_none(self.count))


class ErrorClass(StrEnum):
    """Kinds of failures of a platform; what follows from each is the same for all platforms."""

    AUTH = "auth"
    PERMISSION = "permission"
    CONFIG = "config"
    VALIDATION = "validation"
    MEDIA = "media"
    TAXONOMY = "taxonomy"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    TRANSIENT = "transient"
    AMBIGUOUS = "ambiguous"
    UNSUPPORTED = "unsupported"
    NOT_FOUND = "not_found"


RETRYABLE = frozenset({ErrorClass.RATE_LIMITED, ErrorClass.TRANSIENT, ErrorClass.AMBIGUOUS})


HELP: Mapping[ErrorClass, str] = {
    ErrorClass.AUTH: "Check the integration's credentials",
    ErrorClass.PERMISSION: "Give the integration's user, key or token the right to do this",
    ErrorClass.CONFIG: "Check address and options of the integration, and test its connection",
    ErrorClass.VALIDATION: "Correct the item, or the options of the integration, then retry",
    ErrorClass.MEDIA: "Check media library access",
    ErrorClass.TAXONOMY: "Verify taxonomy sync",
    ErrorClass.CONFLICT: "Look at the post at the site, then publish or retract the record again",
    ErrorClass.RATE_LIMITED: "Nothing: the site is asked again when it allows it",
    ErrorClass.TRANSIENT: "Check that the site is up. It is tried again by itself; if it stays so, "
    "ask the people who run the site",
    ErrorClass.AMBIGUOUS: "Nothing: the site is asked what it has done before anything is sent "
    "again",
    ErrorClass.UNSUPPORTED: "Publish it in another way: the site cannot do this",
    ErrorClass.NOT_FOUND: "Publish or retract the record again",
}
"""What a person can do, where nothing more is known."""


class PlatformError(WiredeskError):
    """A request to a site did not do what it should.

    Args:
        error_class: what kind of failure.
        code: the platform's own code, or ours.
        message: in our words; holds no header, body or secret.
        status: of the answer, where there was one.
        retry_after: seconds that the site asked us to wait.
        field: of the payload, where the site named one.
        help: what a person can do; by its class unless given.
    """

    def __init__(
        self,
        error_class: ErrorClass,
        code: str,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        field: str | None = None,
        help: str = "",
    ) -> None:
        super().__init__(f"{error_class}/{code}: {message}")
        self.error_class = error_class
        self.code = code
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.field = field
        self._help = help

    @property
    def help(self) -> str:
        """What a person can do."""
        return self._help or HELP[self.error_class]


@dataclass(frozen=True)
class Check:
    """One step of a connection test."""

    name: str
    ok: bool
    error: PlatformError | None = None
    message: str = ""


@dataclass
class ConnectionTest:
    """What a connection test has found.

    Attributes:
        checks: in the order in which they were made; those after a failure that they depend on
            are left out.
        remote: what is stored of the site (`version`, `api_root`, `user`, `capabilities`, ...).
    """

    checks: list[Check] = field(default_factory=list)
    remote: dict[str, Any] = field(default_factory=dict)

    def make(self, platform: "Platform", name: str, step: Callable[[], str]) -> bool:
        """Make one check, and keep what came of it; return whether it was good.

        Args:
            step: returns what it has found in words, or raises.
        """
        try:
            with understood(platform, name, writes=False):
                self.checks.append(Check(name, True, message=step()))
        except PlatformError as error:
            self.checks.append(Check(name, False, error, error.message))
            return False
        return True

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)


READS = (
    "look_up", "read", "find_media", "has_media", "taxonomies", "terms", "terms_of",
)  # fmt: skip
WRITES = (
    "create", "update", "retract", "unschedule", "discard", "upload", "delete_media", "create_term",
)  # fmt: skip
"""Methods of platforms that ask something of the site."""

NOT_UNDERSTOOD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError)
"""What comes of an answer in which something is not what it should be; and `ValueError`."""


@contextmanager
def understood(platform: "Platform", method: str, *, writes: bool) -> Iterator[None]:
    """Tell as a failure of the site that an answer is not of the form that it should have.

    Args:
        writes: what was asked for may have been done.
    """
    try:
        yield
    except (*NOT_UNDERSTOOD, ValueError) as error:
        log.warning("platform.answer_not_understood", method=method, site=platform.site.id,
                    exc_info=True)  # fmt: skip
        raise PlatformError(
            ErrorClass.AMBIGUOUS if writes else ErrorClass.TRANSIENT,
            "foreign_answer",
            f"The site's answer is not of the form that {platform.name} gives it",
            help="Ask the people who run the site which plugin or proxy changes the answers of "
            "its API",
        ) from error


def _telling(method: Callable[..., Any], *, writes: bool) -> Callable[..., Any]:
    """Return a method of a platform that raises nothing but `PlatformError` for what sites do."""
    name = method.__name__

    @wraps(method)
    def call(*args: Any, **named: Any) -> Any:
        with understood(args[0], name, writes=writes):
            return method(*args, **named)

    @wraps(method)
    def iterate(*args: Any, **named: Any) -> Any:
        with understood(args[0], name, writes=writes):
            yield from method(*args, **named)

    return iterate if isgeneratorfunction(method) else call


class Platform(ABC):
    """Speak with one site of a platform.

    An instance belongs to one integration. Threads may share it: it keeps no state between calls.
    Every method raises `PlatformError`, and nothing else, for what the site does; a write whose
    request may have arrived, but whose answer did not, raises the class `ambiguous`. An answer in
    which something is not of the type that it should be may be met with whatever Python raises
    over it: the methods of every platform turn that into a `PlatformError`.

    Attributes:
        destination: value of `integration.destination`.
        name: display name.
        default_base_url: where the platform is a service; None where every site has an address.
        credentials: keys of `integration.credentials`.
        options: Cerberus rules of the platform's own options, with defaults.
        errors: error codes of deliveries (`/io_errors`): connection, client error, server error.
        retract_modes: how posts can be taken off; the first is the default.
        kill_mode: the default after a kill.
        can_schedule: the site can publish at a time by itself.
        can_delete_media: uploaded files can be removed.
        parallel: requests at once to one site, unless an option says otherwise.
        rate_per_minute: requests that the service allows, None without a limit.
    """

    destination: ClassVar[str]
    name: ClassVar[str]
    default_base_url: ClassVar[str | None] = None
    credentials: ClassVar[tuple[Field, ...]]
    options: ClassVar[Mapping[str, Any]]
    errors: ClassVar[Mapping[int, str]]
    retract_modes: ClassVar[tuple[RetractMode, ...]]
    kill_mode: ClassVar[RetractMode]
    can_schedule: ClassVar[bool] = False
    can_delete_media: ClassVar[bool] = True
    parallel: ClassVar[int] = 2
    rate_per_minute: ClassVar[int | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in (*READS, *WRITES):
            if name in vars(cls):
                setattr(cls, name, _telling(vars(cls)[name], writes=name in WRITES))

    def __init__(self, site: Site, client: SiteClient) -> None:
        self.site = site
        self.client = client

    @classmethod
    @abstractmethod
    def check_credentials(cls, credentials: Mapping[str, str]) -> Mapping[str, str]:
        """Return what is wrong with the form of credentials, by key; empty when nothing is."""

    @abstractmethod
    def test(self, *, write: bool = False) -> ConnectionTest:
        """Check the connection; raises nothing for what the site does.

        Args:
            write: also create a draft and a picture of one pixel, and delete both.
        """

    @abstractmethod
    def payload(self, story: Story) -> Payload:
        """Return the story in the platform's form; makes no request.

        Raises:
            PlatformError: the site cannot show it (class `validation`).
        """

    @abstractmethod
    def look_up(self, identity: PostIdentity) -> Sequence[RemotePost]:
        """Return every post that may be ours, in any state, the one to keep first.

        `is_ours` tells a foreign post that merely holds the slug. An empty answer is a clear "there
        is none": anything less raises.
        """

    @abstractmethod
    def read(self, post_id: str) -> RemotePost | None:
        """Return a post as it is now, None when it is gone."""

    def recognises(self, post: RemotePost, identity: PostIdentity) -> bool:
        """Whether a post is the one with this identity, or somebody else's; makes no request.

        Its marker tells. Platforms whose posts may carry none go by author, time and content then.
        """
        return identity.ref in post.refs if post.refs else post.is_ours

    @abstractmethod
    def create(self, payload: Payload, identity: PostIdentity) -> RemotePost:
        """Create the post, once."""

    @abstractmethod
    def update(self, post: RemotePost, payload: Payload, identity: PostIdentity) -> RemotePost:
        """Write the post, and make it live if it is not (unless the payload is scheduled).

        Args:
            post: as it was just read.

        Raises:
            PlatformError: `conflict` where somebody wrote it since; `not_found` when it is gone.
        """

    def overwrite(
        self, post: RemotePost, payload: Payload, identity: PostIdentity, mode: RetractMode
    ) -> RemotePost:
        """Replace what is left of a killed post by `payload`, before it is taken off by `mode`.

        Readers may see that for a moment; what they do not see must not become live.
        """
        return self.update(post, payload, identity) if post.state is RemoteState.LIVE else post

    @abstractmethod
    def retract(self, post: RemotePost, mode: RetractMode) -> RemoteState:
        """Take a post off the site; one that is off already is a success.

        Returns:
            The state that it is in now. Where a mode is not possible the next best is used.
        """

    @abstractmethod
    def unschedule(self, post: RemotePost) -> RemotePost:
        """Take back a schedule that the site holds: the post becomes a draft."""

    @abstractmethod
    def discard(self, post: RemotePost) -> None:
        """Remove a duplicate of ours."""

    @property
    @abstractmethod
    def media_limits(self) -> MediaLimits:
        """What files the site takes."""

    @abstractmethod
    def find_media(self, upload: MediaUpload) -> RemoteMedia | None:
        """Return the file if an earlier upload of it has arrived; None also where none can tell."""

    @abstractmethod
    def upload(self, upload: MediaUpload) -> RemoteMedia:
        """Upload a file, once."""

    @abstractmethod
    def has_media(self, media: RemoteMedia) -> bool:
        """Whether an uploaded file is still there; not where its id is that of another file."""

    @abstractmethod
    def delete_media(self, media: RemoteMedia, *, is_sure: bool = False) -> bool:
        """Remove a file; False where there is no way.

        Args:
            is_sure: its id was just seen to be its; else one that is another file's is left alone.
        """

    @abstractmethod
    def taxonomies(self) -> Sequence[Taxonomy]:
        """Return the taxonomies that posts of this site can have."""

    @abstractmethod
    def terms(self, taxonomy: str) -> Iterator[RemoteTerm]:
        """Yield all terms of a taxonomy, page by page."""

    @abstractmethod
    def terms_of(self, post: RemotePost, taxonomies: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the ids of the terms that a post has now, by taxonomy; empty when it is gone."""

    @abstractmethod
    def create_term(
        self, taxonomy: str, name: str, slug: str, parent: str | None = None
    ) -> RemoteTerm:
        """Create a term, or return the one that the site says exists under this name."""

    @abstractmethod
    def default_taxonomy(self, scheme: str) -> str | None:
        """Return the taxonomy for terms of a field of items, unless the map says otherwise.

        Args:
            scheme: `anpa_category`, `subject`, `genre`, `place`, `keywords`, or a vocabulary's id.
        """
