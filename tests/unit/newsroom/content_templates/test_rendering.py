"""Fields that a template gives an item."""

from datetime import UTC, datetime
from typing import Any

import pytest

from apps.core.errors import BadRequest
from apps.newsroom.content_templates.language import Budget
from apps.newsroom.content_templates.rendering import check, context_of, rendered

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
USER = {"_id": "u", "username": "ed", "byline": "Ed", "password": "$2b$secret"}
ITEM = {
    "headline": "Fish & chips",
    "body_html": "<p>x</p>",
    "subject": [{"name": "Sport", "qcode": "1"}, {"name": "Arts", "qcode": "2"}],
    "firstcreated": datetime(2030, 1, 1, 11, tzinfo=UTC),
}
LARGE = {"texts": ["a" * 1000] * 1000, "body_html": "a" * 1_000_000}
"""An item as anybody may send it with the use of a template."""


def fields(item: Any = ITEM, user: Any = USER, **data: Any) -> dict[str, Any]:
    template = {"template_name": "t", "data": data}
    return rendered(template, context_of(item, user, NOW), Budget(), "Europe/Vienna")


def test_texts_are_templates() -> None:
    """At any depth, over the item, the user and the time; other values are as they are."""
    assert fields(
        headline="{{ item.headline }} by {{ user.byline }}",
        ednote="{{ now.year }}{% if item.missing %}!{% endif %}",
        genre=[{"name": "{{ user.username }}", "qcode": 5}],
        priority=3,
        slugline="{plain}\n",
    ) == {
        "headline": "Fish & chips by Ed",
        "ednote": "2030",
        "genre": [{"name": "ed", "qcode": 5}],
        "priority": 3,
        "slugline": "{plain}\n",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% for s in item.subject %}{{ loop.index }}{{ s.name }} {% endfor %}", "1Sport 2Arts "),
        ("{{ item.subject | map(attribute='name') | join(', ') | upper }}", "SPORT, ARTS"),
        ("{{ (item.subject | selectattr('qcode', 'eq', '2') | first).name }}", "Arts"),
        ("{% set name = item.headline.upper() %}{{ name ~ '!' + '?' }}", "FISH & CHIPS!?"),
        ("{{ item.headline[:4] | replace('F', 'D') }}{{ item.missing or '-' }}", "Dish-"),
        ("{{ item.missing | default('none') if 'x' not in item else 1 }}", "none"),
        ("{% for k, v in item.items() if k == 'headline' %}{{ v }}{% endfor %}", "Fish & chips"),
        ("{{ now | format_datetime }}", "Tue Jan  1 13:00:00 2030"),
        ("{{ now | format_datetime('America/New_York', '%H:%M') }}", "07:00"),
        ("{{ now.strftime('%d.%m.%Y') }}", "01.01.2030"),
        ("{{ (now - item.firstcreated).seconds // 60 }}", "60"),
        ("{{ item.firstcreated | iso_datetime }}", "2030-01-01T11:00:00+00:00"),
        ("{{ '<p>a <b>b</b></p><p>c</p>' | first_paragraph }}", "a b"),
        ("{{ '<b>a</b>\n&amp; b' | striptags }} {{ 2.567 | round(1) }}", "a & b 2.6"),
        ("{# a remark #}{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
    ],
)  # fmt: skip
def test_templates_have_a_language(text: str, expected: str) -> None:
    """Loops over what the item holds, conditions, filters of texts, lists and times."""
    assert fields(headline=text) == {"headline": expected}


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
        "{{ now.strftime('\ud800') }}",
        "{{ now | format_datetime('No/Where') }}",
        "{{ now | format_datetime('" + "a" * 5000 + "') }}",
        "{% for i in 5 %}{% endfor %}",
        "{{ item.headline | truncate(2, true, item.headline) }}",
        "{{ item.headline | truncate(-1) }}",
    ],
)
def test_refuses_what_is_no_template(text: str) -> None:
    """Broken texts, and those that go wrong on this item."""
    with pytest.raises(BadRequest, match="Template t cannot be rendered"):
        fields(headline=text)


UNREACHABLE = [
    "{{ item.__class__.__mro__ }}",
    "{{ ''.__class__.__subclasses__() }}",
    "{{ item['__class__'].a }}",
    "{{ item | attr('__class__') }}",
    "{{ item.update({'headline': 'x'}) }}",
    "{{ item.subject.append(1) }}",
    "{{ item.get }}",
    "{{ [item.get] }}",
    "{{ '{0.__class__}'.format(item) }}",
    "{{ '{0.__class__}'.format }}",
    "{{ self }}",
    "{{ _budget.spend(-9) }}",
    "{{ ''.join.__self__ }}",
    "{{ cycler('a').__init__.__globals__ }}",
    "{{ lipsum.__globals__['os'] }}",
    "{% include 't' %}",
    "{% import 't' as t %}",
    "{% extends 't' %}",
    "{{ [item] | map('attr', '__class__') | list }}",
    "{{ item | weighed }}",
    "{{ config }}{{ request.environ }}{{ namespace() }}",
]


@pytest.mark.parametrize("text", UNREACHABLE)
def test_reaches_nothing_but_what_it_is_given(text: str) -> None:
    """No attribute of a value's class, no method that changes it, no other template."""
    with pytest.raises(BadRequest, match="Template t cannot be rendered"):
        fields(headline=text)

    assert ITEM["headline"] == "Fish & chips"


ONCE, TWICE = "{% for a in item.texts %}", "{% for a in item.texts %}{% for b in item.texts %}"
END, ENDS = "{% endfor %}", "{% endfor %}{% endfor %}"
HOSTILE = {
    "range": "{% for i in range(10000000) %}x{% endfor %}",
    "nested ranges": "{% for a in range(9999) %}{% for b in range(9999) %}x" + ENDS,
    "nested loops": TWICE * 3 + "{{ a }}" + ENDS * 3,
    "loops without output": TWICE + ENDS,
    "loops over characters": "{% for a in item.body_html %}{{ 1 }}{% endfor %}",
    "length of a loop": TWICE + "{{ loop.length }}" + ENDS,
    "recursive loop": "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "macro": "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "caller": "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{% endcall %}",
    "filter block": "{% filter upper %}x{% endfilter %}",
    "block": "{% block a %}{{ self.a() }}{% endblock %}",
    "set block": "{% set a %}xx{% endset %}{% set a %}{{ a }}{{ a }}{% endset %}",
    "with": "{% with a = 1 %}{{ a }}{% endwith %}",
    "repeated text": "{{ 'a' * 1000000000 }}",
    "repeated list": "{{ ([0] * 1000000000) | length }}",
    "power": "{{ 9 ** 9 ** 9 }}",
    "format sign": "{{ '%999999999d' % 1 }}",
    "format filter": "{{ '%999999999d' | format(1) }}",
    "format method": "{{ '{:>999999999}'.format(1) }}",
    "center": "{{ 'a' | center(1000000000) }}",
    "center method": "{{ 'a'.center(1000000000) }}",
    "ljust": "{{ 'a'.ljust(1000000000) }}",
    "zfill": "{{ 'a'.zfill(1000000000) }}",
    "expandtabs": "{{ '\t'.expandtabs(1000000000) }}",
    "indent": "{{ 'a' | indent(1000000000, true) }}",
    "wordwrap": "{{ item.body_html | wordwrap(1) }}",
    "lipsum": "{{ lipsum(1000000) }}",
    "cycler": "{{ cycler(1, 2).next() }}",
    "namespace": "{% set n = namespace(a='x') %}{% set n.a = n.a ~ n.a %}",
    "batch": "{{ [1] | batch(1000000000, 'x') | list }}",
    "slices": "{{ [1] | slice(1000000000) | list }}",
    "precision": "{{ 1.5 | round(1000000000, 'ceil') }}",
    "doubled text": "{% set a = 'xx' %}" + "{% set a = a ~ a %}" * 60 + "{{ a | length }}",
    "doubled sum": "{% set a = 'xx' %}" + "{% set a = a + a %}" * 60,
    "doubled list": "{% set a = [1] %}" + "{% set a = a + a %}" * 60,
    "list of lists": "{% set a = [1] %}" + "{% set a = [a, a] %}" * 60 + "{{ a }}",
    "dict of dicts": "{% set a = {1: 1} %}" + "{% set a = {1: a, 2: a} %}" * 60 + "{{ a == a }}",
    "replacing": "{% set a = 'aaaaaaaa' %}" + "{% set a = a | replace('a', a) %}" * 9,
    "joining": "{{ item.body_html | join(item.body_html) }}",
    "mapped joining": "{{ item.texts | map('join', item.body_html) | list }}",
    "mapped cutting": "{{ item.texts | map('truncate', 1, true, item.body_html) | list }}",
    "large output": ONCE + "{{ item.body_html }}" + END,
    "large comparison": ONCE + "{{ 'b' in item.body_html }}" + END,
    "large slices": ONCE + "{% set b = item.body_html[1:] %}" + END,
    "large methods": ONCE + "{% set b = item.body_html.upper() %}" + END,
    "large tests": ONCE + "{{ item.body_html is lower }}" + END,
    "large filters": ONCE + "{% set b = item.body_html | title %}" + END,
    "characters to strip": "{{ item.body_html.strip(item.body_html) }}",
    "characters to trim": "{{ item.body_html | trim(item.body_html) }}",
    "lists as arguments": "{{ item.get(*item.texts) }}",
    "many parts": "{{ 1 }}" * 20_000,
    "parentheses": "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}",
    "lists within lists": "{{ " + "[" * 500 + "]" * 500 + " }}",
    "attributes of attributes": "{{ item" + ".a" * 20_000 + " }}",
    "many operators": "{{ " + "not " * 20_000 + "1 }}",
    "loops within loops": "{% for a in [1] %}" * 40 + "{% endfor %}" * 40,
    "conditions within conditions": "{% if 1 %}" * 5_000 + "{% endif %}" * 5_000,
    "long constant": "{{ " + "1" * 5_000 + " }}",
}  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_bounds_the_work_of_templates(text: str) -> None:
    """What would make much of little is not in the language; the rest runs out of steps."""
    with pytest.raises(BadRequest, match="Template t cannot be rendered"):
        fields(LARGE, body_html=text)


def test_bounds_the_work_of_all_texts_of_a_request() -> None:
    """However many texts a template has, and however many items the request."""
    with pytest.raises(BadRequest, match="it makes too much work"):
        fields(LARGE, extra=["{{ item.body_html }}"] * 1000)


@pytest.mark.parametrize(
    "text",
    [
        "{{ unclosed",
        "{% for i in range(9) %}{% endfor %}",
        "{{ 9 ** 9 }}",
        "{{ item.__class__ }}",
        "{{ 'a' | center(9) }}",
        "{{ 'a' is callable }}",
        "{{ 1 }}" * 20_000,
    ],
)
def test_is_checked_before_it_is_used(text: str) -> None:
    """What no item could make right is known from the text alone."""
    with pytest.raises(BadRequest, match="Template t cannot be rendered"):
        check({"template_name": "t", "data": {"extra": [{"a": text}]}})


def test_tells_no_secrets_of_the_user() -> None:
    """A template is handed what it may say of the user, nothing else."""
    assert fields(headline="[{{ user.password }}]") == {"headline": "[]"}
    assert fields(user=None, headline="[{{ user.byline }}]") == {"headline": "[]"}
