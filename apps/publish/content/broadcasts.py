"""Broadcast scripts of a story that is killed or taken down (lifecycle contract 5.15)."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import structlog

from apps.archive.broadcasts import scripts_of
from apps.archive.journal.follow_ups import record
from apps.archive.packages import link_changes, member_ids, package_ids
from apps.core.documents import objects
from apps.core.service import Document, new_etag
from apps.core.vocabulary import PUBLISH_STATES, Operation, State
from apps.newsroom.content_templates.language import Budget
from apps.newsroom.content_templates.rendering import context_of, rendered
from apps.publish.content.collaborators import Collaborators
from apps.publish.content.publication import NestedPublishing, Publication
from apps.store.collections import ARCHIVE, CONTENT_TEMPLATES
from apps.store.mongo import is_outage

log = structlog.get_logger(__name__)

LIVE = (State.PUBLISHED, State.CORRECTED)
TEMPLATE = {"template_name": "kill", "template_type": "kill"}
FROM_TEMPLATE = ("headline", "abstract", "anpa_take_key", "urgency", "priority")
"""Fields that the template of kills gives a script that is killed with its master."""


class BroadcastScripts:
    """Withdraws scripts with their masters: those that are out are killed, others are spiked.

    They leave the packages that hold them first. One that cannot be withdrawn keeps neither the
    others nor the master.

    Args:
        collaborators: of the publish services.
        nested: publishes the kills.
    """

    def __init__(self, collaborators: Collaborators, nested: NestedPublishing) -> None:
        self._collaborators = collaborators
        self._db = collaborators.db
        self._nested = nested
        self._is_on = bool(collaborators.settings["BROADCAST_ENABLED"])

    def withdraw(self, publication: Publication, body: str) -> None:
        """Withdraw the scripts of an item that is about to be.

        Args:
            publication: of the master.
            body: what the request says instead of the story.
        """
        if not self._is_on:
            return
        for script in scripts_of(self._db, publication.original):
            try:
                self._withdraw_one(script, publication, body)
            except Exception as error:
                if is_outage(error):
                    raise
                log.exception("broadcast.not_withdrawn", item=script["_id"])

    def _withdraw_one(self, script: Document, publication: Publication, body: str) -> None:
        state = script.get("state")
        if state in (State.SPIKED, State.KILLED, State.RECALLED):
            return
        for package in self._db[ARCHIVE].find({"_id": {"$in": package_ids(script)}}):
            self._leave(package, script["_id"], publication)
        script = self._db[ARCHIVE].find_one({"_id": script["_id"]}) or script
        if state not in PUBLISH_STATES:
            self._collaborators.spike.patch(script["_id"], {}, publication.caller)
            return
        updates = {**self._from_template(script, publication), "body_html": body}
        self._nested.publish_nested(publication.operation, updates, script, publication.request)

    def _leave(self, package: Document, script_id: str, publication: Publication) -> None:
        """Take a script out of a package; one that is out goes out again, empty it is killed."""
        groups = without_member(package.get("groups"), script_id)
        updates: Document = {"groups": groups}
        if package.get("state") in LIVE:
            is_empty = not any(member_ids(groups))
            operation = publication.operation if is_empty else Operation.CORRECT
            self._nested.publish_nested(operation, updates, package, publication.request)
        elif package.get("state") not in PUBLISH_STATES:
            self._save(package, updates, publication)

    def _save(self, package: Document, updates: Document, publication: Publication) -> None:
        now, caller = self._collaborators.clock.now(), publication.caller
        version = (package.get("_current_version") or 0) + 1
        user = str(caller.user_id or "")
        updates |= {"operation": Operation.UPDATE, "versioncreated": now, "version_creator": user}
        updates |= {"_current_version": version, "_updated": now, "_etag": new_etag()}
        if package.get("state") != State.DRAFT:
            updates["state"] = State.IN_PROGRESS
        after = {**package, **updates}
        links = link_changes(package["_id"], package.get("groups"), updates["groups"])
        history = record(
            Operation.UPDATE, after, {"groups": updates["groups"]}, caller.user_id, now
        )
        note = self._collaborators.journal.action([*links, history], version)
        self._collaborators.journal.write(updates, package, note)

    def _from_template(self, script: Mapping[str, Any], publication: Publication) -> Document:
        template = self._db[CONTENT_TEMPLATES].find_one({**TEMPLATE, "is_public": {"$ne": False}})
        if template is None:
            return {}
        now = self._collaborators.clock.now()
        context = context_of(script, publication.caller.user, now)
        timezone = self._collaborators.settings["DEFAULT_TIMEZONE"]
        fields = rendered(template, context, Budget(), timezone)
        return {name: fields[name] for name in FROM_TEMPLATE if fields.get(name) is not None}


def without_member(groups: Any, item_id: str) -> list[Document]:
    """Return the groups of a package without the refs to an item."""
    result: list[Document] = deepcopy(objects(groups))
    for group in result:
        refs: Sequence[Document] = objects(group.get("refs"))
        group["refs"] = [ref for ref in refs if ref.get("residRef") != item_id]
    return result
