"""The privileges of this installation as a resource."""

from dataclasses import asdict
from operator import attrgetter

from apps.core.caller import Caller
from apps.core.privileges import PRIVILEGES
from apps.core.service import Document, ResourceService


class PrivilegesService(ResourceService):
    """Lists what can be granted. Nothing is stored."""

    resource = "privileges"

    def computed(self, caller: Caller) -> list[Document]:
        return [asdict(privilege) for privilege in sorted(PRIVILEGES, key=attrgetter("label"))]
