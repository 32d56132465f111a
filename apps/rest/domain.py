"""All resources of the REST API, collected from the rooms that declare them."""

from collections.abc import Mapping
from typing import Any

from apps.activity.resource import RESOURCES as ACTIVITY
from apps.archive.editing_resource import RESOURCES as EDITING
from apps.archive.resource import RESOURCES as ARCHIVE
from apps.archived.resource import RESOURCES as ARCHIVED
from apps.auth.resource import RESOURCES as AUTH
from apps.content_templates.resource import RESOURCES as CONTENT_TEMPLATES
from apps.content_types.resource import RESOURCES as CONTENT_TYPES
from apps.desks.resource import RESOURCES as DESKS
from apps.explain.resource import RESOURCES as EXPLAIN
from apps.filters.resource import RESOURCES as FILTERS
from apps.formats.resource import RESOURCES as FORMATS
from apps.highlights.resource import RESOURCES as HIGHLIGHTS
from apps.internal_destinations.resource import RESOURCES as INTERNAL_DESTINATIONS
from apps.legal_archive.resource import resources as legal_archive
from apps.media.resource import RESOURCES as MEDIA
from apps.privileges.resource import RESOURCES as PRIVILEGES
from apps.products.resource import RESOURCES as PRODUCTS
from apps.publish.resend.resource import RESOURCES as RESEND
from apps.publish.resource import RESOURCES as PUBLISH
from apps.roles.resource import RESOURCES as ROLES
from apps.stages.resource import RESOURCES as STAGES
from apps.subscriber_token.resource import RESOURCES as SUBSCRIBER_TOKEN
from apps.subscribers.resource import RESOURCES as SUBSCRIBERS
from apps.users.resource import RESOURCES as USERS
from apps.validate.resource import RESOURCES as VALIDATE
from apps.validators.resource import RESOURCES as VALIDATORS
from apps.vocabularies.resource import RESOURCES as VOCABULARIES

DOMAIN: dict[str, dict[str, Any]] = {
    **AUTH,
    **USERS,
    **ROLES,
    **PRIVILEGES,
    **DESKS,
    **STAGES,
    **VOCABULARIES,
    **CONTENT_TYPES,
    **CONTENT_TEMPLATES,
    **VALIDATORS,
    **ACTIVITY,
    **MEDIA,
    **ARCHIVE,
    **EDITING,
    **HIGHLIGHTS,
    **ARCHIVED,
    **PUBLISH,
    **RESEND,
    **EXPLAIN,
    **FILTERS,
    **PRODUCTS,
    **INTERNAL_DESTINATIONS,
    **SUBSCRIBERS,
    **SUBSCRIBER_TOKEN,
    **FORMATS,
    **VALIDATE,
}


def domain(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the resources of an installation: some are there only where a setting asks for them.

    Args:
        settings: as `settings.load` returns them.
    """
    return {**DOMAIN, **legal_archive(settings)}
