"""The lists of output formats, and items in them on request (formats contract 1.4)."""

from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.archive.visibility import check_may_see
from apps.core import json
from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import BadRequest, ValidationFailed
from apps.core.registry import Registry
from apps.core.service import Document, ResourceService
from apps.output.formats.preview import NOT_FORMATTED, ItemPreview
from apps.store.collections import ARCHIVE
from apps.validate.validate import ValidateService
from formatters.base import Formatted, Formatter

CRITERIA = ("can_preview", "can_export")
ACT = "publish"
"""Items are validated as if they were published."""


def listed(formatters: Registry[Formatter], caller: Caller) -> list[type[Formatter]]:
    """Return the formats that `caller` asks for, in registration order.

    Lists are those of Superdesk's clients; the argument `extra` adds what goes beyond them.
    """
    with_extra = caller.arguments.get("extra", "").lower() in ("true", "1")
    return [cls for cls in formatters if with_extra or not cls.is_extra]


class OutputFormatsService(ResourceService):
    """Formats with a display name, sorted by it; nothing is stored.

    Args:
        formatters: output formats by name.
    """

    resource = "output_formats"

    def __init__(
        self, db: Database[Document], clock: Clock, *, formatters: Registry[Formatter]
    ) -> None:
        super().__init__(db, clock)
        self._formatters = formatters

    def computed(self, caller: Caller) -> list[Document]:
        names = [(cls.name, cls.type) for cls in listed(self._formatters, caller) if cls.name]
        return [
            {"type": type, "name": name}
            for name, type in sorted(names, key=lambda pair: pair[0].lower())
        ]


class FormattersService(ResourceService):
    """Formatter classes by name, and POST to see an item in one of them.

    Args:
        formatters: output formats by name.
        preview: formats items.
        validator: the publish validation.
    """

    resource = "formatters"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        formatters: Registry[Formatter],
        preview: ItemPreview,
        validator: ValidateService,
    ) -> None:
        super().__init__(db, clock)
        self._formatters = formatters
        self._preview = preview
        self._validator = validator

    def computed(self, caller: Caller) -> list[Document]:
        """Return the class names.

        Raises:
            BadRequest: the argument `criteria` names nothing that can be asked for.
        """
        criteria = caller.arguments.get("criteria")
        if criteria is not None and criteria not in CRITERIA:
            raise BadRequest(f"Unknown criteria {criteria}; known: {', '.join(CRITERIA)}")
        return [
            {"name": cls.public_name()}
            for cls in listed(self._formatters, caller)
            if criteria is None or getattr(cls, criteria) is True
        ]

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        for document in documents:
            document["formatted_doc"] = self._formatted(
                document["article_id"], document["formatter_name"], caller
            )
        return [ObjectId() for _ in documents]

    def _formatted(self, item_id: str, name: str, caller: Caller) -> str:
        formatter = self._preview.by_class(name)
        if formatter is None:
            raise BadRequest("Formatter not found")
        item = self.db[ARCHIVE].find_one({"_id": item_id})
        if item is None:
            raise BadRequest("Article not found!")
        check_may_see(item, caller)
        try:
            self._validator.check(item, act=ACT, type=item.get("type"))
        except ValidationFailed as error:
            raise BadRequest(NOT_FORMATTED.format(error)) from error
        text = text_of(self._preview.format(item, formatter, self._preview.references([item])))
        if formatter.output_field:
            return str(json.loads(text).get(formatter.output_field, ""))
        return text


def text_of(formatted: Formatted) -> str:
    """Return a formatted item as text.

    Raises:
        BadRequest: the format is binary.
    """
    if isinstance(formatted.body, bytes):
        raise BadRequest(NOT_FORMATTED.format("the output is not text"))
    return formatted.body
