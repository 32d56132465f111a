"""All resources of the REST API, collected from the rooms that declare them."""

from typing import Any

from apps.auth.resource import RESOURCES as AUTH
from apps.users.resource import RESOURCES as USERS

DOMAIN: dict[str, dict[str, Any]] = {**AUTH, **USERS}
