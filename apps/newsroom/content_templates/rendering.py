"""Templates become fields: their texts are Jinja templates over `item`, `user` and `now`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jinja2.exceptions import SecurityError, TemplateError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from apps.core.errors import BadRequest
from apps.core.service import Document

HTML_FIELDS = frozenset({"body_html", "abstract", "body_footer", "description_text"})
"""Fields that hold HTML: what is put into their text is escaped."""

OF_THE_USER = ("_id", "username", "first_name", "last_name", "display_name", "byline", "sign_off")
"""Fields of the user that templates may show."""


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """Templates are written by users: they reach nothing but what they are given.

    Operators that make much of little are left out.
    """

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        raise SecurityError(f"{operator} is not allowed in templates")


PLAIN = TemplateEnvironment(autoescape=False)
HTML = TemplateEnvironment(autoescape=True)


def rendered(
    template: Mapping[str, Any],
    item: Mapping[str, Any],
    user: Mapping[str, Any] | None,
    now: datetime,
) -> Document:
    """Return the fields that `template` gives an item.

    Args:
        template: as stored; its `data` are fields of an item.
        item: what the texts may refer to as `item`.
        user: who uses the template.
        now: time of its use.

    Raises:
        BadRequest: a text is no template, or refers to what it may not reach.
    """
    known = {name: user[name] for name in OF_THE_USER if name in user} if user else {}
    context = {"item": dict(item), "user": known, "now": now}
    try:
        return {
            name: _rendered(value, HTML if name in HTML_FIELDS else PLAIN, context)
            for name, value in (template.get("data") or {}).items()
        }
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        name = template.get("template_name")
        raise BadRequest(f"Template {name} cannot be rendered: {error}") from error


def _rendered(value: Any, environment: TemplateEnvironment, context: Document) -> Any:
    if isinstance(value, str):
        if "{" not in value:
            return value
        return environment.from_string(value).render(context)
    if isinstance(value, Mapping):
        return {name: _rendered(entry, environment, context) for name, entry in value.items()}
    if isinstance(value, list):
        return [_rendered(entry, environment, context) for entry in value]
    return value
