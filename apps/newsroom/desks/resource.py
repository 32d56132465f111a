"""`desks`, and desks and users looked up through each other (resources contract 7)."""

from typing import Any

from apps.core.schemas import ID, minutes, open_object, reference, relation
from apps.newsroom.users.resource import USER_SCHEMA, USERS_FILTERS, USERS_SOURCE

ID_URL = "string"

MONITORING_TYPES = (
    "search",
    "stage",
    "scheduledDeskOutput",
    "deskOutput",
    "personal",
    "sentDeskOutput",
)


DESK_SCHEMA: dict[str, Any] = {
    "name": {"type": "string", "required": True, "iunique": True, "empty": False},
    "description": {"type": "string", "nullable": True},
    "source": {"type": "string", "nullable": True},
    "desk_language": {"type": "string", "nullable": True},
    "slack_channel_name": {"type": "string", "nullable": True},
    "email": {"type": "string", "nullable": True},
    "members": {"type": "list", "schema": {"type": "dict", "schema": {"user": relation("users")}}},
    "incoming_stage": relation("stages"),
    "working_stage": relation("stages"),
    "content_expiry": minutes(),
    "desk_type": {
        "type": "string",
        "allowed": ["authoring", "production"],
        "default": "authoring",
    },
    "preserve_published_content": {"type": "boolean", "default": False},
    "default_content_profile": relation("content_types", ["string", ID], nullable=True),
    "default_content_template": reference("content_templates", nullable=True),
    "monitoring_settings": {
        "type": "list",
        "schema": {
            "type": "dict",
            "allow_unknown": True,
            "schema": {
                "_id": {"type": "string", "required": True},
                "type": {"type": "string", "required": True, "allowed": list(MONITORING_TYPES)},
                "max_items": {"type": "integer", "required": True},
            },
        },
    },
    "monitoring_default_view": {
        "type": "string",
        "allowed": ["", "list", "swimlane", "photogrid"],
    },
    "send_to_desk_not_allowed": {"type": "boolean"},
    "desk_metadata": open_object(nullable=True),
    "content_profiles": open_object(nullable=True),
    "preferred_cv_items": open_object(nullable=True),
    "sams_settings": open_object(nullable=True),
}

RESOURCES: dict[str, dict[str, Any]] = {
    "desks": {
        "schema": DESK_SCHEMA,
        "datasource": {"default_sort": [("name", 1)]},
        "item_methods": ["GET", "PATCH", "DELETE"],
        "privileges": {"POST": "desks", "PATCH": "desks", "DELETE": "desks"},
    },
    "user_desks": {
        "url": f"users/<{ID_URL}:user_id>/desks",
        "schema": DESK_SCHEMA,
        "datasource": {"source": "desks", "default_sort": [("name", 1)]},
        "resource_methods": ["GET"],
        "item_methods": [],
    },
    "desk_users": {
        "url": f"desks/<{ID_URL}:desk_id>/users",
        "schema": USER_SCHEMA,
        "datasource": USERS_SOURCE,
        "allowed_filters": USERS_FILTERS,
        "resource_methods": ["GET"],
        "item_methods": [],
    },
}
