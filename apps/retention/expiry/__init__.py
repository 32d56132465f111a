"""Items whose time is over leave the newsroom; finished work is forgotten."""

from apps.retention.expiry.content import ContentExpiry
from apps.retention.expiry.tasks import content_expiry

__all__ = ["ContentExpiry", "content_expiry"]
