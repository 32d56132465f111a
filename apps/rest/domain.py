"""All resources of the REST API: what the modules called `resource` declare."""

from collections.abc import Mapping
from typing import Any

from apps.core.errors import ConfigurationError
from apps.core.modules import modules_named


def domain(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the resources of an installation, for Eve's DOMAIN.

    A module `resource` has them in `RESOURCES`. Those of a module that names a setting in
    `ONLY_WITH` are there only where that setting is on.

    Args:
        settings: as `settings.load` returns them.

    Raises:
        ConfigurationError: two modules declare a resource of the same name.
    """
    resources: dict[str, dict[str, Any]] = {}
    for module in modules_named("resource"):
        if hasattr(module, "ONLY_WITH") and not settings[module.ONLY_WITH]:
            continue
        if taken := resources.keys() & module.RESOURCES.keys():
            raise ConfigurationError(f"{module.__name__}: {sorted(taken)} declared twice")
        resources.update(module.RESOURCES)
    return resources
