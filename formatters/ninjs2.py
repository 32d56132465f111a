"""The format `ninjs2`: ninjs whose version counts corrections (formats contract 3.2)."""

from typing import Any

from formatters.base import Document, FormatContext
from formatters.ninjs import NINJSFormatter


class NINJS2Formatter(NINJSFormatter):
    """As ninjs; the version is the correction sequence, and updates say what they update."""

    type = "ninjs2"
    name = "NINJSv2"

    def version(self, item: Document) -> Any:
        sequence = item.get("correction_sequence")
        return 1 if sequence is None else sequence

    def additions(self, item: Document, context: FormatContext) -> dict[str, Any]:
        fields = ("rewrite_sequence", "rewrite_of")
        return {field: item[field] for field in fields if item.get(field) is not None}
