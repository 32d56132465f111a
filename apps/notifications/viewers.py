"""Who a connection belongs to, and what may be told to whom (resources contract 26)."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from apps.core.caller import account_of

VISIBILITY_EVENT = "users:invisible_stages"
"""Event that is for the websocket process alone: which stages are hidden from whom.

`users` has the hidden stages of those for whom they have changed, by id; `stages` all stages that
are hidden from anybody.
"""


@dataclass(frozen=True)
class Viewer:
    """Whose a connection is.

    Attributes:
        user: id of the user, as text; empty where nobody has said who it is.
        hidden: ids of the stages that are hidden from the user, as texts.
        account: that the user belongs to.
    """

    user: str
    hidden: frozenset[str] = frozenset()
    account: str = ""

    @classmethod
    def of(cls, user: Mapping[str, Any]) -> Self:
        """Return the viewer that a stored user is."""
        hidden = frozenset(map(str, user.get("invisible_stages") or ()))
        return cls(str(user["_id"]), hidden, account_of(user))

    @classmethod
    def nobody(cls, hidden: Iterable[Any]) -> Self:
        """Return the viewer of a connection that shows no token.

        Args:
            hidden: ids of the stages that are hidden from anybody.
        """
        return cls("", frozenset(map(str, hidden)))

    @property
    def is_nobody(self) -> bool:
        return not self.user

    def is_in(self, audience: Any) -> bool:
        """Whether the viewer may be told of an event for this `Audience`.

        An audience that cannot be read is nobody, because it was meant to be narrow.
        """
        if not isinstance(audience, Collection):
            return False
        return all(
            isinstance(viewpoints, Collection) and any(map(self._sees, viewpoints))
            for viewpoints in audience
        )

    def _sees(self, viewpoint: Any) -> bool:
        if not isinstance(viewpoint, Mapping):
            return False
        users, account = viewpoint.get("users"), viewpoint.get("account")
        return (
            viewpoint.get("stage") not in self.hidden
            and (users is None or self.user in users)
            and (account is None or self.account == account)
        )
