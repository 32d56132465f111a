"""CMS platforms. `BUILT_IN` is the one place to register one."""

from apps.core.registry import Registry
from transmitters.cms.base import Platform
from transmitters.cms.ghost import Ghost
from transmitters.cms.webflow import Webflow
from transmitters.cms.wordpress import WordPress

BUILT_IN: tuple[type[Platform], ...] = (WordPress, Ghost, Webflow)


def build_registry() -> Registry[Platform]:
    """Return the built-in platforms and those of installed packages (`wiredesk.platforms`).

    Raises:
        PluginError: a platform cannot be loaded or its name is taken.
    """
    return Registry.of("platform", Platform, BUILT_IN, name="destination")
