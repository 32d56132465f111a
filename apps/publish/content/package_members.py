"""Members of packages on the publish operations (lifecycle contract 5.7).

Each member goes through the publish service, with a journalled write of its own, before the package
that holds it.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from apps.archive.packages import is_package, member_ids, member_refs
from apps.core.documents import objects
from apps.core.service import Document
from apps.core.vocabulary import PUBLISH_STATES, Operation, State
from apps.publish.content.publication import NestedPublishing, Outgoing, Publication

COPIED_TO_REFS = ("headline", "slugline")


def members_to_publish(publication: Publication) -> list[str]:
    """Return the ids of direct members that go out with the package.

    A correction takes only those along that are new in the package.
    """
    item, original = publication.item, publication.original
    if not _takes_members(publication):
        return []
    known = set(member_ids(original.get("groups"))) if publication.is_correction else set()
    wanted = dict.fromkeys(m for m in member_ids(item.get("groups")) if m not in known)
    return [m for m in wanted if not is_out(publication.request.items.get(m))]


def publish_members(publication: Publication, nested: NestedPublishing) -> None:
    """Publish the members that are not out, then write their versions into the refs.

    Members that are out are left alone, so a repeated request completes what one that died began.
    """
    if not _takes_members(publication):
        return
    updates, request = publication.updates, publication.request
    row = {"published_in_package": publication.original["_id"]}
    for member_id in members_to_publish(publication):
        member = request.items.get(member_id)
        if member and member_id not in request.started:
            request.items[member_id] = nested.publish_nested(
                Operation.PUBLISH, schedule_of(updates), member, request, row
            )
    updates["groups"] = with_versions(publication.item.get("groups"), request.items)


def _takes_members(publication: Publication) -> bool:
    has_groups = "groups" in publication.updates or not publication.is_correction
    return is_package(publication.item) and has_groups


def is_out(item: Mapping[str, Any] | None) -> bool:
    """Whether the item has left the newsroom."""
    return (item or {}).get("state") in PUBLISH_STATES


def is_live(package: Mapping[str, Any]) -> bool:
    """Whether the package is out and has not been withdrawn."""
    return package.get("state") in (State.PUBLISHED, State.CORRECTED)


def schedule_of(updates: Mapping[str, Any]) -> Document:
    """Return the updates that give what goes out with an item the item's schedule."""
    if updates.get("state") != State.SCHEDULED:
        return {}
    return {field: deepcopy(updates[field]) for field in ("publish_schedule", "schedule_settings")}


def with_versions(groups: Any, items: Mapping[str, Document]) -> list[Document]:
    """Return groups whose refs say which version of the members they hold."""
    result: list[Document] = deepcopy(objects(groups))
    for ref in member_refs(result):
        member = items.get(ref["residRef"])
        if member:
            ref["_current_version"] = member.get("_current_version")
            if member.get("associations"):
                ref["associations"] = member["associations"]
    return result


def is_behind(package: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Whether the package holds an older version of the item."""
    versions = [
        ref.get("_current_version")
        for ref in member_refs(package.get("groups"))
        if ref["residRef"] == item["_id"]
    ]
    return any((version or 0) < (item.get("_current_version") or 0) for version in versions)


def with_members(groups: Any, gone: Iterable[Outgoing]) -> list[Document]:
    """Return package groups with what changed at some members."""
    result: list[Document] = deepcopy(objects(groups))
    by_id = {outgoing.item["_id"]: outgoing for outgoing in gone}
    for ref in member_refs(result):
        if outgoing := by_id.get(ref["residRef"]):
            changes = outgoing.changes
            ref.update({f: changes[f] for f in COPIED_TO_REFS if changes.get(f) is not None})
            ref["_current_version"] = outgoing.item.get("_current_version")
    return result
