"""Whom to tell, and how."""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from apps.core.service import Document
from apps.core.vocabulary import UserType
from apps.store.collections import USERS

CONTACT = dict.fromkeys(("display_name", "username", "email", "is_active", "user_preferences"), 1)
"""What has to be known of a user to tell him something."""
EMAIL_PREFERENCE = "email:notification"


def wants_mail(person: Mapping[str, Any]) -> bool:
    """Whether a user has an address and does not refuse mails."""
    preference = (person.get("user_preferences") or {}).get(EMAIL_PREFERENCE) or {}
    return bool(person.get("email")) and preference.get("enabled") is not False


def administrators(db: Database[Document]) -> list[Document]:
    """Return the administrators who are not switched off."""
    query = {"user_type": UserType.ADMINISTRATOR, "is_active": {"$ne": False}}
    return list(db[USERS].find(query, CONTACT).sort("_id", 1))
