"""Schema of an item: of `archive`, its versions, and everything that stores items.

Tables follow the item document (lifecycle contract 1).
"""

from collections.abc import Mapping
from typing import Any

from apps.core.schemas import open_object, text
from apps.core.vocabulary import ItemType, PubStatus, State

Schema = dict[str, Any]

LOCK_FIELDS = ("lock_user", "lock_session", "lock_time", "lock_action")
UNLOCKED: Mapping[str, None] = dict.fromkeys(LOCK_FIELDS)
"""The lock fields of an item that nobody has locked."""


def _whole(**rules: Any) -> Schema:
    return {"type": "integer", "nullable": True, **rules}


def _moment(**rules: Any) -> Schema:
    return {"type": "datetime", "nullable": True, **rules}


def _things(**rules: Any) -> Schema:
    """A list of documents, such as subjects."""
    return {"type": "list", "nullable": True, **rules}


def _open(**rules: Any) -> Schema:
    return open_object(**{"nullable": True, "schema": {}, **rules})


IDENTITY: Schema = {
    "_id": {"type": "string", "unique": True},
    "guid": {"type": "string", "unique": True},
    "uri": text(),
    "unique_id": {"type": "integer", "unique": True},
    "unique_name": {"type": "string", "unique": True},
    "version": _whole(),
    "ingest_id": text(),
    "ingest_version": text(),
    "ingest_provider": {"type": "objectid", "nullable": True},
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
    "template": {"type": "objectid", "nullable": True},
    "package_type": text(),
    "highlight": {"type": "objectid", "nullable": True},
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
        name: _things()
        for name in (
            "anpa_category",
            "genre",
            "place",
            "authors",
            "event",
            "person",
            "object",
            "organisation",
            "subject",
            "company_codes",
            "keywords",
            "signal",
            "attachments",
            "annotations",
            "highlights",
            "marked_desks",
            "contents",
            "translations",
        )
    },
    "urgency": _whole(),
    "priority": _whole(),
    "dateline": _open(
        schema={"located": _open(), "date": _moment(), "source": text(), "text": text()}
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
    "target_regions": _things(),
    "target_types": _things(),
    "target_subscribers": _things(),
    "extra": _open(),
    "fields_meta": _open(),
    "broadcast": _open(),
    "translated_from": text(),
    "translation_id": text(),
}

WORK: Schema = {
    "task": _open(),
    "expiry": _moment(),
    "expiry_status": text(),
    "lock_user": {"type": "objectid", "nullable": True, "versioned": False},
    "lock_session": {"type": "objectid", "nullable": True, "versioned": False},
    "lock_time": _moment(versioned=False),
    "lock_action": text(),
    "task_id": text(versioned=False),
    "force_unlock": {"type": "boolean", "nullable": True},
    "marked_for_user": {"type": "objectid", "nullable": True},
    "marked_for_sign_off": text(),
    "previous_marked_user": {"type": "objectid", "nullable": True},
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
    "groups": _things(minlength=1),
    "deleted_groups": _things(),
    "linked_in_packages": _things(readonly=True),
    "associations": _open(),
    "refs": _things(readonly=True),
    "renditions": _open(),
    "filemeta": _open(),
    "poi": _open(),
}

RESTORE: Schema = {"old_version": _whole(), "last_version": _whole()}
"""Fields of a PUT that brings an earlier version back."""

REQUEST_ONLY: Schema = {**RESTORE, "req_for_save": {"nullable": True}, "macro": text()}
"""Fields of requests besides those of an item; never stored."""

ITEM_SCHEMA: Schema = {
    **IDENTITY,
    **KIND,
    **AUDIT,
    **CONTENT,
    **METADATA,
    **WORK,
    **TIMING,
    **RELATIONS,
}
"""Every field of an item. Nothing is required: an empty POST is a text draft."""

LOCK_FIELDS = ("lock_user", "lock_session", "lock_time", "lock_action")
UNLOCKED = dict.fromkeys(LOCK_FIELDS)
"""The lock fields of an item that nobody has locked."""

NOT_VERSIONED = frozenset(
    name for name, rules in ITEM_SCHEMA.items() if rules.get("versioned") is False
)
"""Fields that version rows leave out."""
