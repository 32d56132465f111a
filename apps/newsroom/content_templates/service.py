"""Rules of content templates, and their use on an item (resources contract 17)."""

import re
from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import BadRequest, NotFound, SchemaIssues
from apps.core.ids import same_id
from apps.core.notifier import Notifier
from apps.core.schemas import as_stored, fill_defaults
from apps.core.service import Document, ResourceService
from apps.newsroom.content_templates.language import Budget
from apps.newsroom.content_templates.rendering import check, context_of, rendered
from apps.newsroom.content_templates.resource import CREATE, KILL, TEMPLATE_SCHEMA
from apps.store.collections import CONTENT_TEMPLATES

NOT_UNIQUE = "Template Name is not unique"
BAD_KILL = (
    "Invalid kill template. schedule, dateline, template_desks, schedule_desk, schedule_stage "
    "are not allowed"
)
PUBLIC_KILL = "Kill templates must be public"
KILL_STAYS = "Kill templates can not be deleted."
ONE_DESK = "Templates that are not create type can only be assigned to one desk!"
OF_OTHERS = "You dont have the privilege to {action} {whose} template"
PUBLIC, PERSONAL = "the public", "another user personal"


class ContentTemplatesService(ResourceService):
    """Templates of a newsroom and of its users.

    Args:
        notifier: tells clients.
    """

    resource = "content_templates"

    def __init__(self, db: Database[Document], clock: Clock, notifier: Notifier) -> None:
        super().__init__(db, clock)
        self._notifier = notifier

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        fill_defaults(documents, TEMPLATE_SCHEMA)
        names: set[tuple[str, str]] = set()
        for document in documents:
            if caller.user is not None:
                document.setdefault("user", caller.user_id)
            self._complete(document, {}, caller, "create")
            owner = "" if document.get("is_public") else str(document.get("user"))
            name = (owner, str(document.get("template_name")))
            if name in names:
                raise SchemaIssues(_taken(document))
            names.add(name)

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            self._tell(document, caller)

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        self._check_may(original, caller, "update")
        self._complete(updates, original, caller, "update")

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        self._tell({**original, **updates}, caller)

    def on_delete(self, document: Document, caller: Caller) -> None:
        self._check_may(document, caller, "delete")
        if document.get("template_type") == KILL:
            raise BadRequest(KILL_STAYS)

    def on_deleted(self, document: Document, caller: Caller) -> None:
        self._tell(document, caller)

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        """Leave out what other users keep for themselves."""
        if caller.may("personal_template"):
            return lookup
        return {**lookup, "$or": [{"is_public": True}, {"user": caller.user_id}]}

    def item_filter(self, lookup: Document) -> Document:
        """By name a public template is found: everybody may have a personal one of that name."""
        name = lookup.get("template_name")
        if not isinstance(name, str):
            return lookup
        return {**lookup, "template_name": name.lower(), "is_public": True}

    def on_found(self, document: Document, caller: Caller) -> None:
        is_own = self._is_own(document, caller)
        if not document.get("is_public") and not is_own and not caller.may("personal_template"):
            raise NotFound("Template not found")

    def _complete(
        self, updates: Document, original: Mapping[str, Any], caller: Caller, action: str
    ) -> None:
        if isinstance(updates.get("template_name"), str):
            updates["template_name"] = updates["template_name"].strip().lower()
        template = {**original, **updates}
        if template.get("template_type") == KILL:
            self._complete_kill(updates, template, original)
        elif (
            template.get("template_type") not in (None, CREATE)
            and len(template.get("template_desks") or ()) > 1
        ):
            raise BadRequest(ONE_DESK)
        template = {**template, **updates}
        self._check_may(template, caller, action)
        self._check_name(template, original.get("_id"))
        if "data" in updates:
            check(template)

    def _complete_kill(
        self, updates: Document, template: Mapping[str, Any], original: Mapping[str, Any]
    ) -> None:
        if template.get("template_desks") or "dateline" in (template.get("data") or {}):
            raise BadRequest(BAD_KILL)
        # Where it is not stored, an update brings the default along.
        if updates.get("is_public") is False and "is_public" in original:
            raise BadRequest(PUBLIC_KILL)
        updates["is_public"] = True

    def _check_may(self, template: Mapping[str, Any], caller: Caller, action: str) -> None:
        """Public templates are for those who may manage them, personal ones for their owner.

        Raises:
            BadRequest: the caller may not.
        """
        if template.get("is_public"):
            if not caller.may("content_templates"):
                raise BadRequest(OF_OTHERS.format(action=action, whose=PUBLIC))
        elif not self._is_own(template, caller) and not caller.may("personal_template"):
            raise BadRequest(OF_OTHERS.format(action=action, whose=PERSONAL))

    def _is_own(self, template: Mapping[str, Any], caller: Caller) -> bool:
        """Whether a template is the caller's; those of nobody are the system's."""
        owner = template.get("user")
        return same_id(owner, caller.user_id) or owner is caller.user_id is None

    def _check_name(self, template: Mapping[str, Any], own_id: Any) -> None:
        """The name is the only one of its user, or of the public ones.

        Raises:
            SchemaIssues: it is not.
        """
        is_public = bool(template.get("is_public"))
        # Whatever its case, for others may have stored it.
        name = re.compile(f"^{re.escape(str(template.get('template_name')))}$", re.IGNORECASE)
        taken: Document = {"template_name": name, "_id": {"$ne": own_id}}
        if is_public:
            taken["is_public"] = True
        else:
            taken.update({"is_public": {"$ne": True}, "user": as_stored(template.get("user"))})
        if self.collection.find_one(taken, {"_id": 1}):
            raise SchemaIssues(_taken(template))

    def _tell(self, template: Mapping[str, Any], caller: Caller) -> None:
        desks = [str(desk) for desk in template.get("template_desks") or ()]
        self._notifier.push("template:update", user=str(caller.user_id or ""), desks=desks)


class ApplyTemplateService(ResourceService):
    """POST `/content_templates_apply`: the item that a template makes of another one.

    Args:
        null_fields: fields that are nulled for the template named `kill`.
        timezone: of times that templates show.
    """

    resource = "content_templates_apply"

    def __init__(
        self, db: Database[Document], clock: Clock, null_fields: list[str], timezone: str
    ) -> None:
        super().__init__(db, clock)
        self._null_fields = null_fields
        self._timezone = timezone

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        budget = Budget()
        for document in documents:
            item, name = dict(document["item"]), str(document["template_name"]).strip().lower()
            template = self.db[CONTENT_TEMPLATES].find_one(
                {
                    "template_name": name,
                    "$or": [{"is_public": True}, {"user": as_stored(caller.user_id)}],
                },
                sort=[("is_public", -1)],
            )
            if template is None:
                raise NotFound(f"Template not found: {document['template_name']}")
            context = context_of(item, caller.user, self.clock.now())
            fields = rendered(template, context, budget, self._timezone)
            if name == KILL:
                item.update(dict.fromkeys(self._null_fields))
            document.clear()
            document.update({**item, **fields})
            document.setdefault("_id", None)
        return [document["_id"] for document in documents]


def _taken(template: Mapping[str, Any]) -> Document:
    """Return the issues of a template whose name another one has."""
    issues: Document = {"template_name": NOT_UNIQUE}
    return {**issues, "is_public": NOT_UNIQUE} if template.get("is_public") else issues
