"""Fields that a template gives an item."""

from datetime import UTC, datetime
from typing import Any

import pytest

from apps.core.errors import BadRequest
from apps.newsroom.content_templates.rendering import rendered

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
USER = {"_id": "u", "username": "ed", "byline": "Ed", "password": "$2b$secret"}
ITEM = {"headline": "Fish & chips", "body_html": "<p>x</p>"}


def fields(**data: Any) -> dict[str, Any]:
    return rendered({"template_name": "t", "data": data}, ITEM, USER, NOW)


def test_texts_are_templates() -> None:
    """At any depth, over the item, the user and the time; other values are as they are."""
    assert fields(
        headline="{{ item.headline }} by {{ user.byline }}",
        ednote="{{ now.year }}{% if item.missing %}!{% endif %}",
        genre=[{"name": "{{ user.username }}", "qcode": 5}],
        priority=3,
        slugline="plain",
    ) == {
        "headline": "Fish & chips by Ed",
        "ednote": "2030",
        "genre": [{"name": "ed", "qcode": 5}],
        "priority": 3,
        "slugline": "plain",
    }


def test_html_escapes_what_is_put_into_it() -> None:
    """Texts of an item are no HTML, unless the template says so."""
    html = fields(body_html="<p>{{ item.headline }}</p>{{ item.body_html | safe }}")

    assert html == {"body_html": "<p>Fish &amp; chips</p><p>x</p>"}


@pytest.mark.parametrize(
    "text",
    [
        "{{ unclosed",
        "{% nothing %}",
        "{{ item.a.b }}",
        "{{ 1 / 0 }}",
        "{{ 'a' * 1000000000 }}",
        "{{ 9 ** 9999999 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ item.__class__.__mro__ }}",
        "{{ ''.__class__.__subclasses__() }}",
        "{{ item.update({'headline': 'x'}) }}",
        "{% for i in range(10000000) %}x{% endfor %}",
    ],
)
def test_refuses_what_is_no_template(text: str) -> None:
    """Broken texts, and those that reach for more than they are given."""
    with pytest.raises(BadRequest, match="Template t cannot be rendered"):
        fields(headline=text)

    assert ITEM["headline"] == "Fish & chips"


def test_tells_no_secrets_of_the_user() -> None:
    """A template is handed what it may say of the user, nothing else."""
    assert fields(headline="[{{ user.password }}]") == {"headline": "[]"}
    assert rendered({"data": {"headline": "[{{ user.byline }}]"}}, {}, None, NOW) == {
        "headline": "[]"
    }
