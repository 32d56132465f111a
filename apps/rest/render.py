"""JSON in and out of the REST edge."""

from typing import Any

from eve.render import Renderer
from flask.json.provider import JSONProvider

from apps.core import json


class JSONRenderer(Renderer):
    """Renders every answer. XML is not offered: no client asks for it."""

    mime = ("application/json",)

    def render(self, data: Any) -> bytes:
        return json.dumps(data)


class FlaskJSON(JSONProvider):
    """Parses request bodies."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return json.dumps(obj).decode("utf-8")

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return json.loads(s)
