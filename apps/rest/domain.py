"""All resources of the REST API, collected from the rooms that declare them."""

from collections.abc import Mapping
from typing import Any

from apps.archive.actions.resource import RESOURCES as EDITING
from apps.archive.highlights.resource import RESOURCES as HIGHLIGHTS
from apps.archive.resource import RESOURCES as ARCHIVE
from apps.content_api.tokens.resource import RESOURCES as SUBSCRIBER_TOKEN
from apps.media.resource import RESOURCES as MEDIA
from apps.newsroom.activity.resource import RESOURCES as ACTIVITY
from apps.newsroom.auth.resource import RESOURCES as AUTH
from apps.newsroom.content_templates.resource import RESOURCES as CONTENT_TEMPLATES
from apps.newsroom.content_types.resource import RESOURCES as CONTENT_TYPES
from apps.newsroom.desks.resource import RESOURCES as DESKS
from apps.newsroom.privileges.resource import RESOURCES as PRIVILEGES
from apps.newsroom.roles.resource import RESOURCES as ROLES
from apps.newsroom.stages.resource import RESOURCES as STAGES
from apps.newsroom.users.resource import RESOURCES as USERS
from apps.newsroom.vocabularies.resource import RESOURCES as VOCABULARIES
from apps.output.formats.resource import RESOURCES as FORMATS
from apps.publish.explain.resource import RESOURCES as EXPLAIN
from apps.publish.resend.resource import RESOURCES as RESEND
from apps.publish.resource import RESOURCES as PUBLISH
from apps.retention.archived.resource import RESOURCES as ARCHIVED
from apps.retention.legal_archive.resource import resources as legal_archive
from apps.routing.filters.resource import RESOURCES as FILTERS
from apps.routing.internal_destinations.resource import RESOURCES as INTERNAL_DESTINATIONS
from apps.routing.products.resource import RESOURCES as PRODUCTS
from apps.routing.subscribers.resource import RESOURCES as SUBSCRIBERS
from apps.validate.resource import RESOURCES as VALIDATE
from apps.validate.validators_resource import RESOURCES as VALIDATORS

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
