"""Whose post it is that has an id, and where ids mean what they meant when they were learned.

Ids of posts, files and terms name what they named only in the installation of a site where they
were learned. An integration that is pointed elsewhere, or whose site turns out to be another one
under the same address, leads to another installation; what is stored with an id keeps along where
that was.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from apps.core.service import Document
from apps.publisher.schema import ref_of
from transmitters.cms.base import Platform, PostIdentity, RemotePost

INSTALLATION = "installation"
"""Field of integrations and of rows of their ledgers; never shown."""
SEEN = "seen"
"""Field of records: where and when their post was seen to be theirs; never shown."""
SEEN_JUST_NOW = timedelta(seconds=60)
"""For this long after it was seen what is ours is taken off by its id alone."""
SKEW = timedelta(seconds=60)
"""By which the clock of a site may differ."""
TRASHED_SLUG = "__trashed"


def installation_of(integration: Mapping[str, Any]) -> str | None:
    """Return which installation of a site an integration leads to; None for its first one."""
    found: str | None = integration.get(INSTALLATION)
    return found


def new_installation() -> str:
    """Return what tells an installation of a site from all others."""
    return str(ObjectId())


def seen_at(
    integration: Mapping[str, Any], at: datetime, adopted: Sequence[str] | None = None
) -> Document:
    """Return what is kept of when, and in which installation, a post was seen to be ours.

    Args:
        adopted: references of the markers that it had when it was adopted, if it was.
    """
    kept = {} if adopted is None else {"adopted": list(adopted)}
    return {INSTALLATION: installation_of(integration), "at": at, **kept}


def seen_again(
    record: Mapping[str, Any], integration: Mapping[str, Any], post: RemotePost, at: datetime
) -> Document:
    """Return the same for a post of a record that the site has just shown.

    Without our marker nothing but its adoption may tell that it is ours.
    """
    ref = ref_of(record["integration"], record["content_key"])
    before = record.get(SEEN) or {}
    is_adopted = before.get("adopted") is not None and ref not in post.refs
    return seen_at(integration, at, post.refs if is_adopted else None)


def is_elsewhere(record: Mapping[str, Any], integration: Mapping[str, Any]) -> bool:
    """Whether a record knows its post in another installation of the site only."""
    seen = record.get(SEEN) or {}
    return bool(seen.get(INSTALLATION) != installation_of(integration))


def is_of_record(
    platform: Platform,
    record: Mapping[str, Any],
    integration: Mapping[str, Any],
    post: RemotePost,
    identity: PostIdentity,
) -> bool:
    """Whether the post that has the id of a record is the record's, or somebody else's.

    Its marker tells. Editors lose markers: one without any is ours that has the slug which the
    record knows, and our part in it, or the time of publication, or was made since the record was.
    One that was adopted is ours with the markers that it had then, as long as the site is the one
    where that was.
    """
    adopted = (record.get(SEEN) or {}).get("adopted")
    if adopted == list(post.refs) and not is_elsewhere(record, integration):
        return True
    if platform.recognises(post, identity):
        return True
    if post.refs or post.slug.removesuffix(TRASHED_SLUG) != record.get("slug"):
        return False
    published_at, since = record.get("published_at"), identity.since
    return (
        identity.ref[:8] in post.slug
        or (published_at is not None and post.published_at == published_at)
        or bool(since and post.created_at and post.created_at >= since - SKEW)
    )
