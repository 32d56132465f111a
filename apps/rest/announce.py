"""Tells clients of every write made through the API: `resource:created` and so on."""

from collections.abc import Iterable, Mapping
from typing import Any

from apps.core.notifier import Notifier
from apps.core.service import Document

QUIET = frozenset(
    {
        "activity",
        "archive_autosave",
        "archive_history",
        "archive_versions",
        "media_references",
        "publish_queue",
        "product_test",
        "content_filter_test",
        "validate",
        "formatters",
        "export",
        "items",
        "subscriber_token",
    }
)
"""Resources that change too often, or interest nobody (resources contract 26), or whose ids are
secrets."""


class Announcer:
    """Announces the writes of one resource.

    Args:
        resource: name that clients know the documents under.
        notifier: tells clients.
    """

    def __init__(self, resource: str, notifier: Notifier) -> None:
        self._resource = resource
        self._notifier = notifier

    def created(self, documents: Iterable[Mapping[str, Any]]) -> None:
        for document in documents:
            self._push("created", document["_id"])

    def updated(self, updates: Mapping[str, Any], original: Mapping[str, Any]) -> None:
        self._push("updated", original["_id"], fields=changed_fields(updates, original))

    def deleted(self, document: Mapping[str, Any]) -> None:
        self._push("deleted", document["_id"])

    def _push(self, what: str, id: Any, **extra: Any) -> None:
        if self._resource not in QUIET:
            event = f"resource:{what}"
            self._notifier.push(event, resource=self._resource, _id=str(id), **extra)


def changed_fields(updates: Mapping[str, Any], original: Mapping[str, Any]) -> Document:
    """Return the fields of `updates` that differ, and the ones inside of them as dotted names."""
    changed = [field for field in updates if updates[field] != original.get(field)]
    fields: Document = dict.fromkeys(changed, 1)
    for field in changed:
        before, after = original.get(field), updates[field]
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            inner = before.keys() | after.keys()
            fields.update({f"{field}.{n}": 1 for n in inner if before.get(n) != after.get(n)})
    return fields
