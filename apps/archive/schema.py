"""Schema of an item: of `archive`, its versions, and everything that stores items.

Tables follow the item document (lifecycle contract 1). What stands in lists and objects is checked
by type only: values of vocabularies have whatever other keys clients give them.
"""

from collections.abc import Mapping
from typing import Any

from apps.core.schemas import ID, code, open_object, reference, text
from apps.core.vocabulary import ItemType, PubStatus, State

Schema = dict[str, Any]

LOCK_FIELDS = ("lock_user", "lock_session", "lock_time", "lock_action")
UNLOCKED: Mapping[str, None] = dict.fromkeys(LOCK_FIELDS)
"""The lock fields of an item that nobody has locked."""

LARGEST = 2**31 - 1
"""Of whole numbers in items: receivers take them for plain integers."""

STAMPS = frozenset({"_type", "_created", "_updated", "_latest_version", "journal"})
"""What the server adds to an item besides the fields of its schema, without its version."""

SERVER_FIELDS = frozenset(
    {
        *STAMPS,
        *LOCK_FIELDS,
        *("_current_version", "original_creator", "version_creator"),
        *("revert_state", "firstpublished", "expiry", "expiry_status", "task_id"),
        *("used", "used_count", "used_updated", "correction_sequence", "sequence"),
        *("original_id", "processed_from", "broadcast"),
        *("rewrite_of", "rewritten_by", "rewrite_sequence"),
        *("translated_from", "translation_id", "translations"),
        *("linked_in_packages", "deleted_groups", "refs", "published_with"),
        *("highlights", "marked_desks", "previous_marked_user", "publisher"),
    }
)
"""Fields of an item that the server writes: sent by clients they are dropped, whatever they hold.
"""

FIXED_FIELDS = frozenset(
    {
        *("guid", "unique_id", "event_id", "type", "version"),
        *("ingest_id", "ingest_version", "ingest_provider", "ingest_provider_sequence"),
    }
)
"""Fields that a client may give a new item, and that are dropped from later writes."""


def _whole(**rules: Any) -> Schema:
    return {"type": "integer", "nullable": True, "min": -LARGEST, "max": LARGEST, **rules}


def _moment(**rules: Any) -> Schema:
    return {"type": "datetime", "nullable": True, **rules}


def _open(**rules: Any) -> Schema:
    return open_object(**{"nullable": True, "schema": {}, **rules})


def _texts(*names: str) -> Schema:
    return {name: text() for name in names}


def _codes(*names: str) -> Schema:
    return {name: code(nullable=True) for name in names}


def _list(entry: Schema, **rules: Any) -> Schema:
    """Return the rules of a list; no entry is null."""
    return {"type": "list", "nullable": True, "schema": entry, **rules}


def _objects(schema: Schema, **rules: Any) -> Schema:
    """Return the rules of a list of objects that may have other keys as well."""
    return _list(open_object(schema=schema), **rules)


def _named(values: Schema, **rules: Any) -> Schema:
    """Return the rules of an object with any keys, each with such a value."""
    return {"type": "dict", "nullable": True, "valuesrules": values, **rules}


NUMBER: Schema = {"type": ["number", "string"], "nullable": True}
POINT: Schema = _open(schema=dict.fromkeys(("x", "y"), NUMBER))

VALUE: Schema = {
    **_codes("qcode", "code", "parent"),
    **_texts("name", "scheme", "state", "country", "world_region", "group"),
}
"""What formats and filters read of a value of a vocabulary, such as a subject or a place."""

RENDITIONS: Schema = _named(
    open_object(
        nullable=True,
        schema={
            **_texts("href", "mimetype"),
            **_codes("media"),
            **dict.fromkeys(("width", "height"), NUMBER),
            "poi": POINT,
        },
    )
)

LOCATED: Schema = _open(
    schema={
        **_texts("city", "city_code", "state", "state_code", "country", "country_code"),
        **_texts("tz", "dateline", "alt_name", "code", "scheme"),
    }
)

REF: Schema = {
    **_texts("idRef", "residRef", "guid", "type", "headline", "slugline", "location", "itemClass"),
    "renditions": RENDITIONS,
}

GROUPS: Schema = _objects(
    {
        **_texts("id", "role"),
        "refs": {"type": "list", "required": True, "schema": open_object(schema=REF)},
    }
)


IDENTITY: Schema = {
    "_id": {"type": "string", "unique": True},
    "guid": {"type": "string", "unique": True},
    "uri": text(),
    "unique_id": {"type": "integer", "unique": True},
    "unique_name": {"type": "string", "unique": True},
    "version": _whole(),
    "ingest_id": text(),
    "ingest_version": text(),
    "ingest_provider": {"type": ID, "nullable": True},
    "ingest_provider_sequence": text(),
    "family_id": text(),
    "event_id": text(),
    "original_id": text(),
    "related_to": text(),
    "processed_from": text(),
    "assignment_id": text(),
}

KIND: Schema = {
    "type": {"type": "string", "allowed": [t.value for t in ItemType], "default": "text"},
    "profile": text(),
    "language": text(),
    "format": text(default="HTML"),
    "state": {"type": "string", "allowed": [s.value for s in State], "default": "draft"},
    "revert_state": text(allowed=[s.value for s in State]),
    "operation": text(),
    "pubstatus": text(allowed=[s.value for s in PubStatus], default="usable"),
    "auto_publish": {"type": "boolean", "nullable": True},
    "template": reference("content_templates", nullable=True),
    "package_type": text(),
    "highlight": reference("highlights", nullable=True),
    "scope": text(),
}

AUDIT: Schema = {
    "original_creator": text(),
    "version_creator": text(),
    "firstcreated": _moment(),
    "versioncreated": _moment(),
    "firstpublished": _moment(),
    "sign_off": text(),
    "correction_sequence": _whole(),
    "sequence": _whole(),
    "word_count": _whole(),
    "used": {"type": "boolean"},
    "used_count": _whole(),
    "used_updated": _moment(),
}

CONTENT: Schema = {
    name: text()
    for name in (
        "headline",
        "slugline",
        "abstract",
        "body_html",
        "body_text",
        "body_footer",
        "byline",
        "ednote",
        "anpa_take_key",
        "description_text",
        "archive_description",
        "alt_text",
        "sms_message",
        "usageterms",
        "copyrightnotice",
        "copyrightholder",
        "creditline",
        "source",
        "original_source",
        "embargoed_text",
        "mimetype",
        "media_file",
        "filemeta_json",
    )
}

METADATA: Schema = {
    **{
        name: _objects(VALUE)
        for name in (
            "anpa_category",
            "genre",
            "place",
            "event",
            "person",
            "object",
            "organisation",
            "subject",
            "company_codes",
            "signal",
        )
    },
    "authors": _objects(
        {
            **_codes("code", "parent"),
            **_texts("name", "role", "uri", "scheme", "sub_label", "biography", "avatar_url"),
        }
    ),
    "keywords": _list({"type": "string"}),
    "attachments": _objects(_codes("attachment")),
    "annotations": _objects({**_codes("id"), **_texts("type", "msg")}),
    "contents": _objects({}),
    **{
        name: {"type": "list", "nullable": True}
        for name in ("highlights", "marked_desks", "publisher", "translations")
    },
    "urgency": _whole(),
    "priority": _whole(),
    "dateline": _open(
        schema={
            "located": LOCATED,
            "date": _moment(),
            **_texts("source", "text"),
        }
    ),
    "flags": {
        "type": "dict",
        "allow_unknown": True,
        "schema": {
            name: {"type": "boolean", "default": False, "nullable": True}
            for name in (
                "marked_for_not_publication",
                "marked_for_legal",
                "marked_archived_only",
                "marked_for_sms",
            )
        },
        "default": {
            "marked_for_not_publication": False,
            "marked_for_legal": False,
            "marked_archived_only": False,
            "marked_for_sms": False,
        },
    },
    "target_regions": _objects(VALUE),
    "target_types": _objects(VALUE),
    "target_subscribers": _objects(_codes("_id")),
    "extra": _open(),
    "fields_meta": _named(open_object(nullable=True)),
    "broadcast": _open(),
    "translated_from": text(),
    "translation_id": text(),
}

WORK: Schema = {
    "task": _open(
        schema={
            **_codes("desk", "stage", "user", "last_desk"),
            **_codes("last_authoring_desk", "last_production_desk"),
            **_texts("status"),
            "desk_history": _list(code()),
        }
    ),
    "expiry": _moment(),
    "expiry_status": text(),
    "lock_user": {"type": ID, "nullable": True, "versioned": False},
    "lock_session": {"type": ID, "nullable": True, "versioned": False},
    "lock_time": _moment(versioned=False),
    "lock_action": text(),
    "task_id": text(versioned=False),
    "force_unlock": {"type": "boolean", "nullable": True},
    "marked_for_user": reference("users", nullable=True),
    "marked_for_sign_off": text(),
    "previous_marked_user": {"type": ID, "nullable": True},
}

TIMING: Schema = {
    "publish_schedule": _moment(),
    "embargo": _moment(),
    "embargoed": _moment(),
    "schedule_settings": _open(
        schema={
            "time_zone": text(),
            "utc_publish_schedule": _moment(),
            "utc_embargo": _moment(),
        }
    ),
}

RELATIONS: Schema = {
    "rewrite_of": text(),
    "rewritten_by": text(),
    "rewrite_sequence": _whole(),
    "groups": {**GROUPS, "minlength": 1},
    **{
        name: {"type": "list", "nullable": True}
        for name in ("deleted_groups", "linked_in_packages", "refs")
    },
    "renditions": RENDITIONS,
    "filemeta": _open(),
    "poi": POINT,
}

RESTORE: Schema = {"old_version": _whole(), "last_version": _whole()}
"""Fields of a PUT that brings an earlier version back."""

REQUEST_ONLY: Schema = {**RESTORE, "req_for_save": {"nullable": True}, "macro": text()}
"""Fields of requests besides those of an item; never stored."""

WHOLE_NUMBER: Schema = {
    "type": "code",
    "nullable": True,
    "regex": r"\s*[+-]?\d{1,10}\s*",
    "min": -LARGEST,
    "max": LARGEST,
}

AS_SENT: Mapping[str, Schema] = {
    "integer": WHOLE_NUMBER,
    "datetime": text(),
    "objectid": code(nullable=True),
}
"""Rules of values inside of other documents, where nothing converts what JSON has."""

CONTENT_RULES = ("type", "schema", "valuesrules", "allow_unknown")


def _as_content(rules: Schema) -> Schema:
    """Return the rules of a field of an item where it stands inside of another document."""
    kept = {name: value for name, value in rules.items() if name in CONTENT_RULES}
    if "schema" in kept and kept["type"] == "dict":
        kept["schema"] = {name: _as_content(inner) for name, inner in kept["schema"].items()}
    kind = rules["type"]
    return (
        AS_SENT[kind] if isinstance(kind, str) and kind in AS_SENT else {**kept, "nullable": True}
    )


HELD: Schema = {
    name: _as_content(rules)
    for table in (IDENTITY, KIND, AUDIT, CONTENT, METADATA, WORK, TIMING, RELATIONS)
    for name, rules in table.items()
    if name not in SERVER_FIELDS
} | {
    "ingest_version": code(nullable=True),
    "_current_version": WHOLE_NUMBER,
    "_fetchable": {"type": "boolean", "nullable": True},
    "subscribers": _list({"type": "code"}),
}
"""What is checked of an item that stands inside of another document, without what it holds itself.
"""

ASSOCIATION: Schema = open_object(
    nullable=True,
    schema={**HELD, "associations": _named(open_object(nullable=True, schema=HELD))},
)
"""Null is an association that is taken away."""

ASSOCIATIONS: Schema = _named(ASSOCIATION)

ITEM_SCHEMA: Schema = {
    **IDENTITY,
    **KIND,
    **AUDIT,
    **CONTENT,
    **METADATA,
    **WORK,
    **TIMING,
    **RELATIONS,
    "associations": ASSOCIATIONS,
}
"""Every field of an item. Nothing is required: an empty POST is a text draft."""

NOT_VERSIONED = frozenset(
    name for name, rules in ITEM_SCHEMA.items() if rules.get("versioned") is False
)
"""Fields that version rows leave out."""
