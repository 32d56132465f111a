"""Builders of what CMS platforms are handed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import md5, sha256
from io import BytesIO
from itertools import count
from typing import Any
from uuid import uuid4

from PIL import Image

from transmitters.cms.base import MediaUpload, PostIdentity, RemoteMedia, Story, StoryMedia

_number = count(1)


def build_identity(slug: str | None = None, **changes: Any) -> PostIdentity:
    """Return an identity that no other post has, with its mark in the slug unless that is given."""
    ref = uuid4().hex[:16]
    values: dict[str, Any] = {
        "ref": ref,
        "slug": slug or f"harbour-reopens-{ref[:8]}",
        "title": "Harbour reopens",
        "since": datetime.now(UTC),
    }
    return PostIdentity(**{**values, **changes})


def build_story(identity: PostIdentity | None = None, **changes: Any) -> Story:
    """Return a story of one paragraph."""
    identity = identity or build_identity()
    values: dict[str, Any] = {
        "headline": identity.title,
        "body": "<p>Ships are back in port.</p>",
        "abstract": "After the storm.",
    }
    return Story(identity, **{**values, **changes})


def build_picture(kind: str = "PNG", size: tuple[int, int] = (8, 6)) -> bytes:
    """Return a picture that no other call returns."""
    number = next(_number)
    made = BytesIO()
    color = (number % 256, number // 256 % 256, uuid4().bytes[0])
    image = Image.new("RGB", size, color)
    image.putpixel((0, 0), tuple(uuid4().bytes[:3]))
    image.save(made, kind)
    return made.getvalue()


def build_upload(content: bytes | None = None, **changes: Any) -> MediaUpload:
    """Return an upload of these bytes, or of a picture that no other has."""
    held = build_picture() if content is None else content
    values: dict[str, Any] = {
        "sha256": sha256(held).hexdigest(),
        "md5": md5(held).hexdigest(),
        "length": len(held),
        "mime": "image/png",
        "extension": "png",
        "open": lambda: BytesIO(held),
        "alt": "A ship",
        "caption": "The first ship & its crew",
        "title": "Ship",
    }
    return MediaUpload(**{**values, **changes})


def feature(media: RemoteMedia) -> Mapping[str, Any]:
    """Return what makes a file the featured picture of a story."""
    return {"media": {"featuremedia": StoryMedia("featuremedia", media)}, "feature": "featuremedia"}
