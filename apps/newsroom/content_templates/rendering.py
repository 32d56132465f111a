"""Templates become fields: their texts are templates over `item`, `user` and `now`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

from jinja2.exceptions import TemplateError

from apps.core.documents import object_of
from apps.core.errors import BadRequest
from apps.core.service import Document
from apps.newsroom.content_templates.language import Budget, check_text, render

HTML_FIELDS = frozenset({"body_html", "abstract", "body_footer", "description_text"})
"""Fields that hold HTML: what is put into their text is escaped."""

OF_THE_USER = ("_id", "username", "first_name", "last_name", "display_name", "byline", "sign_off")
"""Fields of the user that templates may show."""


def check(template: Mapping[str, Any]) -> None:
    """Refuse a template whose texts cannot be rendered, whatever the item.

    Raises:
        BadRequest: a text is no template.
    """
    budget = Budget()
    with _refusing(template):
        _each_text(template.get("data"), lambda text: check_text(text, budget))


def rendered(
    template: Mapping[str, Any],
    context: Mapping[str, Any],
    budget: Budget,
    timezone: str,
) -> Document:
    """Return the fields that `template` gives an item.

    Args:
        template: as stored; its `data` are fields of an item.
        context: what the texts may refer to; see `context_of`.
        budget: the steps that the request has left.
        timezone: of times that are shown without one of their own.

    Raises:
        BadRequest: a text is no template, refers to what it may not reach, or makes too much work.
    """
    with _refusing(template):
        return {
            name: _each_text(
                value,
                partial(
                    render,
                    context=context,
                    budget=budget,
                    is_html=name in HTML_FIELDS,
                    timezone=timezone,
                ),
            )
            for name, value in object_of(template, "data").items()
        }


def context_of(item: Mapping[str, Any], user: Mapping[str, Any] | None, now: datetime) -> Document:
    """Return what templates may refer to.

    Args:
        item: what a template is used on.
        user: who uses it.
        now: time of its use.
    """
    known = {name: user[name] for name in OF_THE_USER if name in user} if user else {}
    return {"item": dict(item), "user": known, "now": now}


@contextmanager
def _refusing(template: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except TemplateError as error:
        name = template.get("template_name")
        raise BadRequest(f"Template {name} cannot be rendered: {error}") from error


def _each_text(value: Any, of_text: Callable[[str], Any]) -> Any:
    """Return `value` with what `of_text` makes of each text in it, at any depth."""
    if isinstance(value, str):
        return of_text(value)
    if isinstance(value, Mapping):
        return {name: _each_text(entry, of_text) for name, entry in value.items()}
    if isinstance(value, list):
        return [_each_text(entry, of_text) for entry in value]
    return value
