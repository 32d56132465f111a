"""Checks feeds by the schemas of their standards."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import feedparser
from jsonschema import Draft4Validator
from lxml import etree
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from formatters.feed import Feed
from tests.support.format_items import DATA
from tests.support.schema_files import schema

ATOM = "http://www.w3.org/2005/Atom"
TOMBSTONES = "http://purl.org/atompub/tombstones/1.0"
NAMES = {"a": ATOM}
FEED = Feed(
    id="urn:example.com:feed:1",
    title="Example: Daily Planet",
    home="https://example.com",
    self_url="https://example.com/feeds/t/atom",
    first_url="https://example.com/feeds/t/atom",
    next_url="https://example.com/feeds/t/atom?before=1.x",
    author="Example",
    language="en",
    updated=datetime(2026, 3, 4, 5, 6, 8, tzinfo=UTC),
)


def assert_valid_feed(kind: str, data: bytes) -> None:
    """Fail unless `data` is a valid feed that a reader parses without complaint.

    Args:
        kind: `atom`, `rss` or `json`.
    """
    {"atom": _check_atom, "rss": _check_rss, "json": _check_json}[kind](data)


def _check_atom(data: bytes) -> None:
    root = _valid(data, schema("atom/atom.rng"))
    # The rules of RFC 4287 that stand in its schema only as Schematron.
    entries = root.findall("a:entry", NAMES)
    has_author = root.find("a:author", NAMES) is not None
    for entry in entries:
        assert has_author or entry.find("a:author", NAMES) is not None
        alternate = entry.xpath("a:link[not(@rel) or @rel='alternate']", namespaces=NAMES)
        assert alternate or entry.find("a:content", NAMES) is not None
    ids = [entry.findtext("a:id", namespaces=NAMES) for entry in entries]
    assert len(ids) == len(set(ids))
    _read(data)


def _check_rss(data: bytes) -> None:
    _valid(data, DATA / "rss-2.0.rng")
    _read(data)


def _read(data: bytes) -> None:
    parsed = feedparser.parse(data)
    assert not parsed.bozo, parsed.get("bozo_exception")


def _valid(data: bytes, grammar_file: Path) -> Any:
    grammar = etree.RelaxNG(etree.parse(str(grammar_file)))
    root = etree.fromstring(data)
    assert grammar.validate(root), grammar.error_log
    return root


def _check_json(data: bytes) -> None:
    schemas = {
        name: json.loads(schema(f"json-feed/{name}.json").read_text("utf-8"))
        for name in ("feed", "feed-1")
    }
    resource = Resource(schemas["feed-1"], DRAFT4)
    names = ("feed-1", "https://json.schemastore.org/feed-1")
    registry: Any = Registry().with_resources([(name, resource) for name in names])
    validator = Draft4Validator(schemas["feed"], registry=registry)
    errors = [error.message for error in validator.iter_errors(json.loads(data))]
    assert not errors, errors
