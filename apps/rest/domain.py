"""All resources of the REST API, collected from the rooms that declare them."""

from typing import Any

from apps.archive.resource import RESOURCES as ARCHIVE
from apps.auth.resource import RESOURCES as AUTH
from apps.publish.resource import RESOURCES as PUBLISH
from apps.users.resource import RESOURCES as USERS

DOMAIN: dict[str, dict[str, Any]] = {**AUTH, **USERS, **ARCHIVE, **PUBLISH}
