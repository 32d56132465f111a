"""Rules of `internal_destinations`."""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import BadRequest
from apps.core.ids import same_id
from apps.core.schemas import fill_defaults
from apps.core.service import Document
from apps.newsroom.macros.macros import Macros
from apps.routing.filters.rule_service import RuleService
from apps.routing.internal_destinations.resource import DESTINATION_SCHEMA
from apps.store.by_id import find_by_id
from apps.store.collections import STAGES

OTHER_DESK = "The stage of an internal destination has to be one of its desk."


class InternalDestinationsService(RuleService):
    """Internal destinations are saved only if copies can be made for them.

    Args:
        macros: of the installation.
    """

    resource = "internal_destinations"

    def __init__(self, db: Database[Document], clock: Clock, *, macros: Macros) -> None:
        super().__init__(db, clock)
        self._macros = macros

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        super().on_create(documents, caller)
        fill_defaults(documents, DESTINATION_SCHEMA)
        for document in documents:
            self._check(document, document)

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        self._check(updates, {**original, **updates})

    def _check(self, changes: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Check what is changed: what has gone wrong since must not keep one from being mended.

        Raises:
            BadRequest: the stage is on another desk, or there is no such macro.
        """
        is_moved = not changes.keys().isdisjoint({"desk", "stage"})
        if is_moved and after.get("stage") and after.get("desk"):
            stage = find_by_id(self.db[STAGES], after["stage"], {"desk": 1})
            if stage is None or not same_id(stage.get("desk"), after["desk"]):
                raise BadRequest(OTHER_DESK)
        if changes.get("macro"):
            self._macros.find(changes["macro"])
