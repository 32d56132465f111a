"""Add items to a package that is out: POST `/published_package_items` (lifecycle contract 3.12)."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from apps.archive.associations import stored_items
from apps.archive.packages import (
    ROOT,
    Packages,
    group,
    is_package,
    link_changes,
    member_ids,
    ref_to,
    root_group,
)
from apps.archive.visibility import audience_of_id, check_may_read
from apps.core.caller import Caller
from apps.core.documents import objects
from apps.core.errors import BadRequest
from apps.core.notifier import Audience
from apps.core.service import Document, ResourceService, new_etag
from apps.core.vocabulary import PUBLISH_STATES
from apps.publish.content.collaborators import Collaborators
from apps.publish.content.common import BasePublishService
from apps.store.collections import ARCHIVE


class PackageItemsService(ResourceService):
    """Puts items into published packages, and corrects these where that shows.

    Args:
        collaborators: of the publish services.
        correct: corrects the package.
    """

    resource = "published_package_items"

    def __init__(self, collaborators: Collaborators, correct: BasePublishService) -> None:
        super().__init__(collaborators.db, collaborators.clock)
        self._journal = collaborators.journal
        self._correct = correct
        self._packages = Packages(collaborators.db)

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        for document in documents:
            self._add(document["package_id"], document.get("new_items") or [], caller)
        return [document["package_id"] for document in documents]

    def audience(self, document: Document, original: Document | None = None) -> Audience:
        return audience_of_id(self.db, document["package_id"])

    def _add(self, package_id: str, entries: list[Mapping[str, Any]], caller: Caller) -> None:
        package = self.db[ARCHIVE].find_one({"_id": package_id})
        if package is None or not is_package(package):
            raise BadRequest("Invalid package identifier")
        check_may_read(package, caller)
        if package.get("state") not in PUBLISH_STATES:
            raise BadRequest("Package was not published")
        items = self._new_items(package, entries)
        for item in items.values():
            check_may_read(item, caller)
        groups = with_items(package.get("groups"), entries, items)
        if any(item.get("state") in PUBLISH_STATES for item in items.values()):
            self._correct.patch(package_id, {"groups": groups}, caller)
        else:
            self._store(package, groups)

    def _new_items(
        self, package: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]
    ) -> dict[str, Document]:
        """Return the items to add by id.

        Raises:
            BadRequest: an item does not exist, or holds the package.
        """
        ids = [str(entry.get("item_id")) for entry in entries]
        items = stored_items(self.db, ids)
        for item_id in ids:
            if item_id not in items:
                raise BadRequest(f"Invalid item identifier  {item_id}")
            below = self._packages.below([items[item_id]])
            if package["_id"] in {item_id, *below}:
                raise BadRequest(f"Circular reference in item {item_id}")
        return items

    def _store(self, package: Document, groups: list[Document]) -> None:
        updates = {"groups": groups, "_updated": self.clock.now(), "_etag": new_etag()}
        links = link_changes(package["_id"], package.get("groups"), groups)
        self._journal.write(updates, package, self._journal.action(links))


def with_items(
    groups: Any, entries: Iterable[Mapping[str, Any]], items: Mapping[str, Document]
) -> list[Document]:
    """Return package groups with further items; missing groups are made and put into the root.

    Args:
        groups: as stored.
        entries: `group` and `item_id` of each new item; those that are in the package stay.
        items: the new items by id.
    """
    result = [{**entry, "refs": objects(entry.get("refs"))} for entry in deepcopy(objects(groups))]
    by_id = {entry.get("id"): entry for entry in result}
    if ROOT not in by_id:
        names = [str(entry["id"]) for entry in result if entry.get("id")]
        by_id[ROOT] = root_group(names)
        result.insert(0, by_id[ROOT])
    known = set(member_ids(result))
    for entry in entries:
        name, item = str(entry.get("group")), items[str(entry.get("item_id"))]
        if name not in by_id:
            by_id[name] = group(name)
            result.append(by_id[name])
            by_id[ROOT]["refs"].append({"idRef": name})
        if item["_id"] not in known:
            known.add(item["_id"])
            by_id[name]["refs"].append(ref_to(item))
    return result
