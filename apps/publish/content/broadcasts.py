"""Broadcast scripts of a story that is withdrawn (lifecycle contract 5.15)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog

from apps.archive.actions.base import try_with_script
from apps.archive.broadcasts import is_out, scripts_of
from apps.archive.packages import member_ids, package_ids, without_member
from apps.archive.service import FROM_TEMPLATES, TEMPLATE_RULES
from apps.core.errors import BadRequest
from apps.core.schemas import keeps
from apps.core.service import Document
from apps.core.vocabulary import GONE_STATES, Operation
from apps.newsroom.content_templates.language import Budget
from apps.newsroom.content_templates.rendering import context_of, rendered
from apps.publish.content.collaborators import Collaborators
from apps.publish.content.package_members import is_live
from apps.publish.content.publication import NestedPublishing, Publication
from apps.store.collections import ARCHIVE, CONTENT_TEMPLATES

log = structlog.get_logger(__name__)

FROM_TEMPLATE = FROM_TEMPLATES - {"body_html", "dateline", "genre", "profile", "associations"}
"""Fields that the template of the operation gives a script that is withdrawn with its master."""


class BroadcastScripts:
    """Withdraws scripts with their masters: those that are out likewise, others are spiked.

    They leave the packages that hold them first. One that cannot be withdrawn keeps neither the
    others nor the master.

    Args:
        collaborators: of the publish services.
        nested: publishes the withdrawals.
    """

    def __init__(self, collaborators: Collaborators, nested: NestedPublishing) -> None:
        self._collaborators = collaborators
        self._db = collaborators.db
        self._nested = nested
        self._spike = collaborators.spike

    def withdraw(self, publication: Publication) -> None:
        """Withdraw the scripts of an item that is about to be.

        Args:
            publication: of the master.
        """
        for script in scripts_of(self._db, publication.original):
            attempt = partial(self._withdraw_one, script["_id"], publication)
            try_with_script(attempt, script["_id"], "broadcast.not_withdrawn")

    def _withdraw_one(self, script_id: str, publication: Publication) -> None:
        script = self._db[ARCHIVE].find_one({"_id": script_id})
        if script is None or script.get("state") in GONE_STATES:
            return
        for package in self._db[ARCHIVE].find({"_id": {"$in": package_ids(script)}}):
            if is_live(package):
                self._leave(package, script_id, publication)
        if not is_out(script):
            self._spike.spike_script(script, publication.caller)
            return
        self._spike.take_out(script, publication.caller)
        script = self._db[ARCHIVE].find_one({"_id": script_id}) or script
        updates: Document = {}
        if publication.operation != Operation.UNPUBLISH:
            updates = {**self._from_template(script, publication), "body_html": publication.body}
        self._nested.publish_nested(publication.operation, updates, script, publication.request)

    def _leave(self, package: Document, script_id: str, publication: Publication) -> None:
        """Take a script out of a package that is out: it goes out again, an empty one withdrawn."""
        groups = without_member(package.get("groups"), script_id)
        updates: Document = {"groups": groups}
        operation = Operation.CORRECT
        if not any(member_ids(groups)):
            operation = publication.operation
            if operation != Operation.UNPUBLISH:
                updates["body_html"] = publication.body
        self._nested.publish_nested(operation, updates, package, publication.request)

    def _from_template(self, script: Mapping[str, Any], publication: Publication) -> Document:
        """Return what the public template that is named like the operation says of a script."""
        named = {"template_name": publication.operation, "is_public": {"$ne": False}}
        template = self._db[CONTENT_TEMPLATES].find_one(named, sort=[("_id", 1)])
        if template is None:
            return {}
        context = context_of(script, publication.caller.user, self._collaborators.clock.now())
        timezone = self._collaborators.settings["DEFAULT_TIMEZONE"]
        try:
            fields = rendered(template, context, Budget(), timezone)
        except BadRequest:
            # The script goes out of use all the same.
            log.exception("broadcast.template_not_rendered", item=script["_id"])
            return {}
        return {
            name: value
            for name, value in fields.items()
            if name in FROM_TEMPLATE and value is not None and keeps(TEMPLATE_RULES[name], value)
        }
