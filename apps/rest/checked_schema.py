"""Schemas of resources, checked once for all requests."""

from copy import copy
from typing import Any

from cerberus.schema import DefinitionSchema


class CheckedSchema(DefinitionSchema):
    """A schema whose copies need no check: they hold rules that were checked when it was made.

    Cerberus copies the schema for every document, and hashes all of it, and each of its fields
    again, to find out whether it knows it. For an item that is a quarter of the cost of a save.
    """

    def __setitem__(self, field: str, rules: Any) -> None:
        self.schema[field] = rules

    def copy(self) -> "CheckedSchema":
        same = copy(self)
        same.schema = self.schema.copy()
        return same
