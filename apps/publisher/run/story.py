"""Items as they shall be at a site. Pure functions: they know no store and make no request."""

import json as stdlib_json
import re
import unicodedata
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from html import escape
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from apps.core import json
from apps.core.clock import moment_of
from apps.core.documents import object_of, objects_of, text_of, texts_of
from apps.core.embargo import embargo_of
from apps.core.text import plain_text as text_with_lines
from apps.core.vocabulary import MEDIA_TYPES, ItemType, State
from apps.publisher.records.content import schedule_of, why_no_post
from formatters.outgoing import is_withdrawn
from transmitters.cms.base import (
    ErrorClass,
    Payload,
    PlatformError,
    PostIdentity,
    Story,
    StoryMedia,
)
from transmitters.cms.text import media_in, plain_text

KEY_LENGTH = 16
SLUG_LENGTH = 60
SUFFIX_LENGTH = 8
FALLBACK_SLUG = "story"
FEATURE = "featuremedia"
NAMES = ("headline", "name", "slugline")
"""Fields that name an item, the one to take first first."""
SHOWN_STATES = frozenset({State.PUBLISHED, State.CORRECTED, State.BEING_CORRECTED})
"""States of items whose last published version readers may see."""
KILLED_STATES = frozenset({State.KILLED, State.RECALLED})
SCHEMES = ("anpa_category", "subject", "genre", "place", "keywords")
"""Fields that hold terms; the terms of `subject` may name a vocabulary of their own."""
STORED_MEDIA = re.compile(r"/upload-raw/([0-9a-f]{24})(?:\.\w+)?$")
"""Address of a binary of this system."""
_DRAWING = re.compile(r"\s*data:\s*image/svg", re.IGNORECASE)
"""Begins the address of a drawing that is written into the body; `svg` elements go, too."""


@dataclass(frozen=True)
class WantedMedia:
    """A file that a story shows.

    Attributes:
        key: of the association, or of the address in the body.
        candidates: media ids of its renditions, the one to try first first.
        source_urls: addresses by which the body shows it.
        problem: why it may not be shown, if it may not.
        content: its bytes, where they stand in the body itself.
        url: where it is to be fetched; empty for files of this system.
        is_of_others: its address may be one of another host. Where it is no picture, or none of
            ours, the body keeps the address.
        is_optional: where it cannot be shown the story goes without it, whatever the options say.
    """

    key: str
    candidates: tuple[str, ...] = ()
    mime: str = ""
    alt: str = ""
    caption: str = ""
    credit: str = ""
    title: str = ""
    source_urls: frozenset[str] = frozenset()
    problem: PlatformError | None = None
    content: bytes | None = field(default=None, repr=False)
    url: str = ""
    is_of_others: bool = False
    is_optional: bool = False


@dataclass(frozen=True)
class Link:
    """A post that another one leads to."""

    url: str
    headline: str


@dataclass(frozen=True)
class WantedTerm:
    """A term of an item.

    Attributes:
        scheme: the field that holds it, or the vocabulary that it names.
        parent: qcode of the term above it.
    """

    scheme: str
    qcode: str
    name: str
    parent: str | None = None


# Identity.


def slug_of(headline: str, ref: str, *, is_clean: bool = False) -> str:
    """Return the slug that is asked for at the first attempt.

    Args:
        headline: plain text.
        is_clean: without the part by which ours are told from others.
    """
    base = slugged(headline) or FALLBACK_SLUG
    return base if is_clean else f"{base}-{ref[:SUFFIX_LENGTH]}"


def slugged(text: str) -> str:
    """Return text in the form of addresses: whole words, as many as fit; empty for none."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    slug = ""
    for word in filter(None, re.split(r"[^a-z0-9]+", plain)):
        longer = f"{slug}-{word}" if slug else word[:SLUG_LENGTH]
        if len(longer) > SLUG_LENGTH:
            break
        slug = longer
    return slug


def headline_of(item: Mapping[str, Any]) -> str:
    """Return the headline as plain text; what else names the item where it has none."""
    for name in NAMES:
        if text := plain_text(text_of(item, name)):
            return text
    return ""


# Whether it can be shown.


def check_publishable(item: Mapping[str, Any] | None, options: Mapping[str, Any]) -> None:
    """Refuse what no site can show.

    Raises:
        PlatformError: `validation`/`not_publishable`, or `unsupported`.
    """
    if item is None:
        raise PlatformError(
            ErrorClass.VALIDATION, "not_publishable", "The item was never published, or is gone"
        )
    if item.get("archived_id"):
        message = "The item has expired: its posts can be retracted, and nothing else"
        raise PlatformError(ErrorClass.VALIDATION, "not_publishable", message)
    state = item.get("state")
    if state not in SHOWN_STATES and state != State.SCHEDULED:
        message = f"An item in state {state} cannot be published"
        raise PlatformError(ErrorClass.VALIDATION, "not_publishable", message)
    if reason := why_no_post(text_of(item, "type"), options):
        raise PlatformError(ErrorClass.UNSUPPORTED, "unsupported_type", reason)


def hidden_until(item: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return when an embargo or a schedule of the item ends, None where it may be shown now."""
    ends = [embargo_of(item, now)]
    if item.get("state") == State.SCHEDULED:
        ends.append(schedule_of(item))
    return max((end for end in ends if end is not None and end > now), default=None)


# What belongs to it.


def wanted_media(
    item: Mapping[str, Any], renditions: Sequence[str], now: datetime, *, rehost: bool = False
) -> Iterator[WantedMedia]:
    """Yield the files that the story shows: its associations, and those that its body names.

    Args:
        renditions: names, the one to take first first.
        rehost: also those of other hosts.
    """
    associations = {
        key: held
        for key, held in object_of(item, "associations").items()
        if isinstance(held, dict) and held.get("type") in MEDIA_TYPES
    }
    shown = media_in(body_of(item), associations)
    known = _Addresses(associations)
    sources: dict[str, list[str]] = {}
    for source in shown.sources:
        sources.setdefault(known.key_of(source), []).append(source)
    for key, held in associations.items():
        if key == FEATURE or key in shown.keys or key in sources:
            yield _association(key, held, sources.get(key, ()), renditions, now)
    for key, urls in sources.items():
        if key not in associations:
            yield from _named(key, urls, rehost=rehost)


def _association(
    key: str,
    held: Mapping[str, Any],
    sources: Iterable[str],
    renditions: Sequence[str],
    now: datetime,
) -> WantedMedia:
    files = _files_of(held)
    order = [*renditions, *(name for name in ("original",) if name not in renditions)]
    ids = [str(files[name]["media"]) for name in order if files.get(name, {}).get("media")]
    return WantedMedia(
        key=key,
        candidates=tuple(dict.fromkeys(ids)),
        mime=str(held.get("mimetype") or ""),
        alt=plain_text(text_of(held, "alt_text")),
        caption=plain_text(text_of(held, "description_text")),
        credit=plain_text(text_of(held, "byline") or text_of(held, "creditline")),
        title=headline_of(held),
        source_urls=frozenset(sources),
        problem=_problem(key, held, now),
    )


def _named(key: str, urls: Sequence[str], *, rehost: bool) -> Iterator[WantedMedia]:
    """Yield a file that only the body names, unless its address is to stay."""
    url, sources = urls[0].strip(), frozenset(urls)
    is_data = _is_data(url)
    stored = None if is_data else STORED_MEDIA.search(_path_of(url))
    is_web = url[:8].lower().startswith(("http://", "https://", "//"))
    fetched = (f"https:{url}" if url.startswith("//") else url) if is_web and rehost else ""
    if stored:
        yield WantedMedia(key, (stored[1],), source_urls=sources, url=fetched, is_of_others=is_web)
    elif is_data:
        content = _data_of(url)
        is_drawing = bool(_DRAWING.match(url))
        broken = PlatformError(ErrorClass.MEDIA, "media_unreadable", "The address holds no file")
        yield WantedMedia(
            key,
            source_urls=sources,
            content=content,
            problem=None if content else broken,
            is_optional=is_drawing,
        )
    elif fetched:
        yield WantedMedia(key, source_urls=sources, url=fetched, is_of_others=True)


class _Addresses:
    """Tells by its address which file a body shows.

    The address of a body may differ from that of the rendition: other hosts serve the same file,
    and editors write relative ones.
    """

    def __init__(self, associations: Mapping[str, Mapping[str, Any]]) -> None:
        self._hrefs: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        for key, held in associations.items():
            for file in _files_of(held).values():
                href = str(file.get("href") or "")
                for form in (href, _place_of(href), _place_of(href, with_host=False)):
                    self._hrefs.setdefault(form, key)
                self._ids.setdefault(str(file.get("media") or ""), key)
        self._hrefs.pop("", None)

    def key_of(self, source: str) -> str:
        """Return the key of the association, or one made of the address."""
        if _is_data(source):
            return _named_by(source)
        is_relative = not re.match("(?:[a-z][a-z0-9+.-]*:)?//", source.strip(), re.I)
        found = self._hrefs.get(source) or self._hrefs.get(_place_of(source))
        if found is None and is_relative:
            found = self._hrefs.get(_place_of(source, with_host=False))
        if found is not None:
            return found
        if stored := STORED_MEDIA.search(_path_of(source)):
            return self._ids.get(stored[1]) or f"media_{stored[1]}"
        return _named_by(source)


def _named_by(source: str) -> str:
    """Return the key of a file that nothing but its address names."""
    return f"address_{sha256(source.strip().encode(errors='replace')).hexdigest()[:KEY_LENGTH]}"


def _is_data(url: str) -> bool:
    return url.lstrip()[:5].lower() == "data:"


def _files_of(held: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    renditions = object_of(held, "renditions")
    return {name: file for name, file in renditions.items() if isinstance(file, dict)}


def _place_of(url: str, *, with_host: bool = True) -> str:
    """Return an address without its scheme and fragment, and without its escapes; empty for none.

    Args:
        with_host: leave the host in.
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return ""
    if not parts.path or parts.scheme not in ("", "http", "https"):
        return ""
    query = f"?{parts.query}" if parts.query else ""
    host = f"//{parts.netloc.lower()}" if with_host and parts.netloc else ""
    return f"{host}{unquote(parts.path)}{query}"


def _path_of(url: str) -> str:
    try:
        return urlsplit(url.strip()).path
    except ValueError:
        return ""


def _data_of(url: str) -> bytes:
    """Return the bytes of a `data:` address, none where it is broken."""
    head, _, body = url[5:].partition(",")
    content = unquote_to_bytes(body)
    if not head.strip().lower().endswith(";base64"):
        return content
    try:
        return b64decode(re.sub(rb"\s", b"", content), validate=True)
    except ValueError:
        return b""


def _problem(key: str, held: Mapping[str, Any], now: datetime) -> PlatformError | None:
    """Return why a file may not be shown: it was withdrawn, or is under an embargo."""
    if is_withdrawn(held) or embargo_of(held, now) is not None:
        message = f"The media {key} may not be shown"
        return PlatformError(ErrorClass.VALIDATION, "media_not_usable", message, field=key)
    return None


def wanted_terms(item: Mapping[str, Any]) -> Iterator[WantedTerm]:
    """Yield the terms of the item, each once."""
    seen: set[tuple[str, str]] = set()
    for name in SCHEMES:
        for term in _terms_of(item, name):
            if (term.scheme, term.qcode) not in seen:
                seen.add((term.scheme, term.qcode))
                yield term


def _terms_of(item: Mapping[str, Any], name: str) -> Iterator[WantedTerm]:
    if name == "keywords":
        for text in texts_of(item, name):
            yield WantedTerm(name, text.strip(), text.strip())
        return
    for entry in objects_of(item, name):
        called = plain_text(text_of(entry, "name")).strip()
        qcode = str(entry.get("qcode") or called)
        if qcode:
            parent = entry.get("parent")
            scheme = str(entry.get("scheme") or name)
            yield WantedTerm(scheme, qcode, called or qcode, str(parent) if parent else None)


def body_of(item: Mapping[str, Any]) -> str:
    """Return the HTML of the item: body and footer; not trusted."""
    if item.get("type") == ItemType.PREFORMATTED:
        return f"<pre>{escape(text_with_lines(text_of(item, 'body_html')))}</pre>"
    return text_of(item, "body_html") + text_of(item, "body_footer")


# The story.


def story_of(
    item: Mapping[str, Any],
    identity: PostIdentity,
    options: Mapping[str, Any],
    *,
    media: Mapping[str, StoryMedia] | None = None,
    terms: Mapping[str, Sequence[str]] | None = None,
    links: Mapping[str, str] | None = None,
    newer: Link | None = None,
) -> Story:
    """Return an item as it shall be at a site, without the times of its publication.

    Args:
        media: what is at the site of its files, by key.
        terms: by taxonomy, the complete list.
        links: of a package, addresses of its members that are published there.
        newer: post of the rewrite, that this one is to lead to.
    """
    media = media or {}
    extra = object_of(item, "extra")
    canonical = text_of(extra, "canonical_url")
    author = options.get("author")
    return Story(
        identity=identity,
        headline=headline_of(item),
        body="".join(_body(item, options, links or {}, newer)),
        abstract=plain_text(text_of(item, "abstract")),
        media=media,
        feature=FEATURE if FEATURE in media else None,
        terms=terms or {},
        author=str(author) if author is not None else None,
        canonical_url=canonical or None,
        language=text_of(item, "language") or None,
        item=item,
    )


def with_times(
    story: Story, *, published_at: datetime | None, schedule_at: datetime | None
) -> Story:
    """Return a story with the times that are sent along, but do not count as a change."""
    return replace(story, published_at=published_at, schedule_at=schedule_at)


def first_published(item: Mapping[str, Any]) -> datetime | None:
    """Return when the item was first published, None where it does not say."""
    return moment_of(item.get("firstpublished"))


def withdrawal_story(item: Mapping[str, Any], identity: PostIdentity) -> Story:
    """Return what takes the place of a killed story until it is gone."""
    return Story(identity=identity, headline=headline_of(item), body=body_of(item), item=item)


def _body(
    item: Mapping[str, Any],
    options: Mapping[str, Any],
    links: Mapping[str, str],
    newer: Link | None,
) -> Iterator[str]:
    byline = plain_text(text_of(item, "byline"))
    if byline and options.get("byline") == "prepend":
        yield f"<p>{escape(byline)}</p>"
    yield body_of(item)
    if item.get("type") == ItemType.COMPOSITE:
        yield from _members(item, links)
    note = plain_text(text_of(item, "ednote"))
    if note and options.get("corrections") == "show":
        yield f"<p>{escape(note)}</p>"
    if newer is not None:
        yield f'<p><a href="{escape(newer.url)}">{escape(newer.headline or newer.url)}</a></p>'


def member_refs(item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the members of a package, in the order of its groups."""
    for group in objects_of(item, "groups"):
        for ref in objects_of(group, "refs"):
            if ref.get("residRef"):
                yield ref


def _members(item: Mapping[str, Any], links: Mapping[str, str]) -> Iterator[str]:
    rows = []
    for ref in member_refs(item):
        headline = escape(headline_of(ref) or str(ref["residRef"]))
        url = links.get(str(ref["residRef"]))
        rows.append(f'<a href="{escape(url)}">{headline}</a>' if url else headline)
    if rows:
        yield f"<ul>{''.join(f'<li>{row}</li>' for row in rows)}</ul>"


def payload_hash(payload: Payload) -> str:
    """Return what tells whether a payload differs from another."""
    # What JSON makes of the values, by sorted names: the order of a platform's keys says nothing.
    plain = json.loads(json.dumps(payload.fields))
    return sha256(stdlib_json.dumps(plain, sort_keys=True).encode()).hexdigest()
