"""Translate an item: a copy in another language, tied to its source (resources contract 12)."""

from collections.abc import Iterable, Mapping
from typing import Any

from apps.archive.actions.base import ActionContext, ItemCommand
from apps.archive.actions.item_copy import CopyOrder, ItemCopier
from apps.archive.events import tell_stage
from apps.archive.macro_changes import changes_of_macro, changes_of_translation
from apps.archive.places import check_may_send_to, task_with_ids
from apps.archive.translations import linked, settle_rows
from apps.core.caller import Caller
from apps.core.documents import object_of
from apps.core.service import Document
from apps.core.vocabulary import PUBLISH_STATES, Operation, State
from apps.core.workflow import Action, check_allowed


class TranslateService(ItemCommand):
    """POST `/archive/translate`.

    Args:
        copier: makes the copies.
    """

    resource = "translate"

    def __init__(self, context: ActionContext, copier: ItemCopier) -> None:
        super().__init__(context)
        self._copier = copier

    def act(self, item_id: str, request: Any, caller: Caller) -> Document:
        source, language = self.context.readable_item(request["guid"], caller), request["language"]
        self.context.check_members(source, caller)
        check_allowed(Action.DUPLICATE, source.get("state"))
        desk_task = self._desk_task(task_with_ids(request).get("desk"), caller)
        if source.get("language") == language:
            return source
        orders: dict[str, CopyOrder] = {}
        made: list[Document] = []
        sources = [source, *map(self.context.item, self._copier.members(source))]
        for item in (each for each in sources if each.get("language") != language):
            task = desk_task or {**object_of(item, "task"), "user": caller.user_id}
            orders[item["_id"]] = self._order(item, language, task, orders, made)
        copied = self._copier.copy(orders[source["_id"]], caller)
        for translation in made:
            settle_rows(self.db, self.context.journal, translation, linked)
        self.context.tell_update([*self._translated(sources, made), *made], caller)
        for translation in made:
            tell_stage(self.context.notifier, translation)
        return copied

    def _order(
        self,
        source: Document,
        language: str,
        task: Mapping[str, Any],
        orders: Mapping[str, CopyOrder],
        made: list[Document],
    ) -> CopyOrder:
        """Return the order for a translation.

        Args:
            source: what is translated.
            language: into this one.
            task: where the translation stands.
            orders: of the members of a package.
            made: gets the links and the place of each translation that is stored.
        """
        links = {
            "translated_from": source["_id"],
            "translation_id": source.get("translation_id") or source["_id"],
        }
        state = State.SUBMITTED if task.get("desk") else self._own_state(source)
        changes = self._changes(source, language)

        def ties(copy_id: str) -> list[Document]:
            translation = {"_id": copy_id, "state": state, "task": task, **links}
            made.append(translation)
            return linked(translation)

        return CopyOrder(
            source,
            source["_id"],
            task,
            state,
            Operation.TRANSLATE,
            Operation.TRANSLATE,
            {**changes, **links, "language": language},
            orders,
            ties,
        )

    def _changes(self, source: Document, language: str) -> Document:
        """Return what macros change: those for the two languages, then that of the setting."""
        macros, name = (
            self.context.macros,
            self.context.settings["UPDATE_TRANSLATION_METADATA_MACRO"],
        )
        changes = changes_of_translation(macros, source, language)
        if name:
            translated = {**source, **changes, "language": language}
            changes.update(changes_of_macro(macros, name, translated))
        return changes

    def _translated(self, sources: Iterable[Document], made: Iterable[Document]) -> list[Document]:
        ids = {translation["translated_from"] for translation in made}
        return [source for source in sources if source["_id"] in ids]

    def _own_state(self, source: Document) -> str:
        """Return the state of a translation without a desk: as its source is being worked on."""
        state = source.get("state") or State.DRAFT
        return State.IN_PROGRESS if state in PUBLISH_STATES else state

    def _desk_task(self, desk_id: Any, caller: Caller) -> Document | None:
        if not desk_id:
            return None
        working = self.context.working_task(desk_id, caller)
        check_may_send_to(self.db, desk_id, caller)
        return working
