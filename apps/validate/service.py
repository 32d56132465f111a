"""The question behind POST `/validate`; nothing is stored."""

from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.service import Document, ResourceService
from apps.validate.validate import ValidateService


class ValidateResource(ResourceService):
    """Answers validation errors instead of storing the question.

    Args:
        validator: the publish validation.
    """

    resource = "validate"

    def __init__(self, db: Database[Document], clock: Clock, validator: ValidateService) -> None:
        super().__init__(db, clock)
        self._validator = validator

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        for document in documents:
            document["errors"] = self._validator.errors_for(document, caller.language)
        return [ObjectId() for _ in documents]
