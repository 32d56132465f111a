"""Items as they shall be at a site. Pure functions: they know no store and make no request."""

import json as stdlib_json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from html import escape
from typing import Any
from urllib.parse import urlsplit

from apps.core import json
from apps.core.clock import moment_of
from apps.core.documents import object_of, objects_of, text_of, texts_of
from apps.core.text import parse_html, plain_text
from apps.core.vocabulary import MEDIA_TYPES, TEXT_TYPES, ItemType, State
from transmitters.cms.base import (
    ErrorClass,
    Payload,
    PlatformError,
    PostIdentity,
    Story,
    StoryMedia,
)

SLUG_LENGTH = 60
SUFFIX_LENGTH = 8
FALLBACK_SLUG = "story"
FEATURE = "featuremedia"
SHOWN_STATES = frozenset({State.PUBLISHED, State.CORRECTED, State.BEING_CORRECTED})
"""States of items whose last published version readers may see."""
KILLED_STATES = frozenset({State.KILLED, State.RECALLED})
SCHEMES = ("anpa_category", "subject", "genre", "place", "keywords")
"""Fields that hold terms; the terms of `subject` may name a vocabulary of their own."""
STORED_MEDIA = re.compile(r"/upload-raw/([0-9a-f]{24})(?:\.\w+)?$")
"""Address of a binary of this system."""


@dataclass(frozen=True)
class WantedMedia:
    """A file that a story shows.

    Attributes:
        key: of the association, or of the address in the body.
        candidates: media ids of its renditions, the one to try first first.
        source_urls: addresses by which the body may show it.
        problem: why it may not be shown, if it may not.
    """

    key: str
    candidates: tuple[str, ...]
    mime: str = ""
    alt: str = ""
    caption: str = ""
    credit: str = ""
    title: str = ""
    source_urls: frozenset[str] = frozenset()
    problem: PlatformError | None = None


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
    for name in ("headline", "name", "slugline"):
        if text := " ".join(plain_text(text_of(item, name)).split()):
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
            ErrorClass.VALIDATION, "not_publishable", "The item was never published"
        )
    state = item.get("state")
    if state not in SHOWN_STATES and state != State.SCHEDULED:
        message = f"An item in state {state} cannot be published"
        raise PlatformError(ErrorClass.VALIDATION, "not_publishable", message)
    kind = item.get("type")
    if kind in MEDIA_TYPES:
        message = f"An item of type {kind} goes to sites as part of a text"
        raise PlatformError(ErrorClass.UNSUPPORTED, "unsupported_type", message)
    is_package = kind == ItemType.COMPOSITE and options.get("packages", True)
    if kind not in TEXT_TYPES and not is_package:
        message = f"Items of type {kind} are not published at this site"
        raise PlatformError(ErrorClass.UNSUPPORTED, "unsupported_type", message)


def hidden_until(item: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return when an embargo or a schedule of the item ends, None where it may be shown now."""
    settings = object_of(item, "schedule_settings")
    ends = [moment_of(settings.get("utc_embargo") or item.get("embargo"))]
    if item.get("state") == State.SCHEDULED:
        ends.append(moment_of(settings.get("utc_publish_schedule") or item.get("publish_schedule")))
    return max((end for end in ends if end is not None and end > now), default=None)


# What belongs to it.


def wanted_media(
    item: Mapping[str, Any], renditions: Sequence[str], now: datetime
) -> Iterator[WantedMedia]:
    """Yield the files that the story shows: its associations, and its own addresses in the body."""
    body = body_of(item)
    known: set[str] = set()
    for key, held in object_of(item, "associations").items():
        if not isinstance(held, dict) or held.get("type") not in MEDIA_TYPES:
            continue
        if key != FEATURE and not _is_in(body, key, held):
            continue
        own = object_of(held, "renditions")
        files = {name: file for name, file in own.items() if isinstance(file, dict)}
        order = [*renditions, *(name for name in ("original",) if name not in renditions)]
        ids = [str(files[name]["media"]) for name in order if files.get(name, {}).get("media")]
        known.update(str(file["media"]) for file in files.values() if file.get("media"))
        yield WantedMedia(
            key=key,
            candidates=tuple(dict.fromkeys(ids)),
            mime=str(held.get("mimetype") or ""),
            alt=plain_text(text_of(held, "alt_text")),
            caption=plain_text(text_of(held, "description_text")),
            credit=plain_text(text_of(held, "byline") or text_of(held, "creditline")),
            title=headline_of(held),
            source_urls=frozenset(str(file["href"]) for file in files.values() if file.get("href")),
            problem=_problem(key, held, now),
        )
    for url, alt in _pictures(body):
        found = STORED_MEDIA.search(urlsplit(url).path)
        if found and found[1] not in known:
            known.add(found[1])
            yield WantedMedia(
                key=f"media_{found[1]}",
                candidates=(found[1],),
                alt=alt,
                source_urls=frozenset({url}),
            )


def _is_in(body: str, key: str, held: Mapping[str, Any]) -> bool:
    """Whether the body shows an association: by its mark, or by the address of a rendition."""
    if f'"{key}"' in body:
        return True
    files = object_of(held, "renditions").values()
    return any(isinstance(f, dict) and f.get("href") and str(f["href"]) in body for f in files)


def _pictures(body: str) -> Iterator[tuple[str, str]]:
    if "<img" not in body:
        return
    for image in parse_html(body).iter("img"):
        yield str(image.get("src") or ""), str(image.get("alt") or "")


def _problem(key: str, held: Mapping[str, Any], now: datetime) -> PlatformError | None:
    """Return why a file may not be shown: it was withdrawn, or is under an embargo."""
    embargo = moment_of(held.get("embargo"))
    if held.get("state") in (*KILLED_STATES, State.UNPUBLISHED) or (embargo and embargo > now):
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
        return f"<pre>{escape(plain_text(text_of(item, 'body_html')))}</pre>"
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
    update: tuple[str, str] | None = None,
) -> Story:
    """Return an item as it shall be at a site, without the times of its publication.

    Args:
        media: what is at the site of its files, by key.
        terms: by taxonomy, the complete list.
        links: of a package, addresses of its members that are published there.
        update: address and headline of the story's update, where the post is to lead to it.
    """
    media = media or {}
    extra = object_of(item, "extra")
    canonical = text_of(extra, "canonical_url")
    author = options.get("author")
    return Story(
        identity=identity,
        headline=headline_of(item),
        body="".join(_body(item, options, links or {}, update)),
        abstract=" ".join(plain_text(text_of(item, "abstract")).split()),
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
    update: tuple[str, str] | None,
) -> Iterator[str]:
    byline = " ".join(plain_text(text_of(item, "byline")).split())
    if byline and options.get("byline") == "prepend":
        yield f"<p>{escape(byline)}</p>"
    yield body_of(item)
    if item.get("type") == ItemType.COMPOSITE:
        yield from _members(item, links)
    note = " ".join(plain_text(text_of(item, "ednote")).split())
    if note and options.get("corrections") == "show":
        yield f"<p>{escape(note)}</p>"
    if update is not None:
        url, headline = update
        yield f'<p><a href="{escape(url)}">{escape(headline or url)}</a></p>'


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
