"""`users` and the change of their passwords (resources contract 5, 4.3)."""

from typing import Any

from apps.core.privileges import INTRINSIC
from apps.core.schemas import open_object, relation, text
from apps.core.vocabulary import UserType

PRIVATE = frozenset({"password", "security_stamp", "session_preferences"})
"""Fields that no answer holds."""


USER_SCHEMA: dict[str, Any] = {
    "username": {
        "type": "string",
        "required": True,
        "unique": True,
        "minlength": 1,
        "username_pattern": True,
    },
    "password": {"type": "string"},
    "password_changed_on": {"type": "datetime", "nullable": True},
    "first_name": {"type": "string"},
    "last_name": {"type": "string"},
    "display_name": {"type": "string"},
    "email": {"type": "email", "unique": True, "nullable": True, "email_is_required": True},
    **{
        field: text()
        for field in (
            "phone",
            "biography",
            "facebook",
            "instagram",
            "picture_url",
            "language",
            "slack_username",
            "slack_user_id",
            "byline",
        )
    },
    "twitter": {"type": "string", "nullable": True, "twitter": True},
    "job_title": {"type": "string"},
    "jid": {"type": "string", "unique": True},
    "user_info": open_object(),
    "workspace": open_object(),
    "avatar": {"type": "objectid", "nullable": True},
    "avatar_renditions": open_object(),
    "role": relation("roles", nullable=True),
    "privileges": open_object(),
    "user_type": {
        "type": "string",
        "allowed": [user_type.value for user_type in UserType],
        "default": UserType.USER.value,
        "email_is_required": True,
    },
    # Whose sites the user works with; set by administrators.
    "account": {"type": "string", "nullable": True, "minlength": 1, "maxlength": 100},
    "is_support": {"type": "boolean", "default": False},
    "is_author": {"type": "boolean", "default": True},
    "private": {"type": "boolean", "nullable": True, "default": False},
    "is_active": {"type": "boolean", "default": True},
    "is_enabled": {"type": "boolean", "default": True},
    "needs_activation": {"type": "boolean", "default": True},
    "desk": relation("desks", nullable=True),
    "sign_off": {"type": "string", "nullable": True, "regex": "^[a-zA-Z0-9]+$"},
    # Kept by the server; what clients send is dropped, whatever it is.
    "invisible_stages": {"nullable": True},
    "session_preferences": open_object(),
    "user_preferences": open_object(),
    "last_activity_at": {"type": "datetime", "nullable": True, "readonly": True},
}

USERS_SOURCE: dict[str, Any] = {
    "source": "users",
    "default_sort": [("username", 1)],
    "projection": dict.fromkeys(PRIVATE, 0),
}
"""Source of the fields that everybody may read of users."""

USERS_FILTERS = ["_id", "_created", "_updated", *(USER_SCHEMA.keys() - PRIVATE)]
"""Fields that lists may be filtered by. The private ones are not among them: a condition on a field
tells its value."""

RESOURCES: dict[str, dict[str, Any]] = {
    "users": {
        "schema": USER_SCHEMA,
        "datasource": USERS_SOURCE,
        "allowed_filters": USERS_FILTERS,
        "item_methods": ["GET", "PATCH", "DELETE"],
        "additional_lookup": {"url": r'regex("[\w]+")', "field": "username"},
        "etag_ignore_fields": ["session_preferences", "invisible_stages", "last_activity_at"],
        "privileges": {"POST": "users", "DELETE": "users", "PATCH": INTRINSIC},
    },
    "change_user_password": {
        "schema": {
            field: {"type": "string", "required": True}
            for field in ("username", "old_password", "new_password")
        },
        "datasource": {"projection": {"old_password": 0, "new_password": 0}},
        "resource_methods": ["POST"],
        "item_methods": [],
        "public_methods": ["POST"],
        "bulk_enabled": False,
    },
}
