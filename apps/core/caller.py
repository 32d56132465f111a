"""Who asks for something: the user, the session and the arguments of the call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId

from apps.core.vocabulary import UserType

Document = dict[str, Any]

DEFAULT_ACCOUNT = "default"
"""Account of users who have no other, and of what the system makes for nobody in particular."""


def account_of(user: Mapping[str, Any]) -> str:
    """Return the account of a stored user."""
    account = user.get("account")
    return account if isinstance(account, str) and account else DEFAULT_ACCOUNT


@dataclass(frozen=True)
class Caller:
    """A logged-in user, or the system when `user` is None.

    Attributes:
        user: the user document.
        session: the session document of `auth`.
        privileges: names that are granted; administrators hold every one.
        arguments: query arguments of the request.
        address: network address that the request came from; empty for the system.
    """

    user: Mapping[str, Any] | None = None
    session: Mapping[str, Any] | None = None
    privileges: frozenset[str] = frozenset()
    arguments: Mapping[str, str] = field(default_factory=dict)
    address: str = ""

    @property
    def user_id(self) -> ObjectId | None:
        """Id of the user, or None for the system."""
        return self.user["_id"] if self.user else None

    @property
    def session_id(self) -> ObjectId | None:
        """Id of the login session, or None for the system."""
        return self.session["_id"] if self.session else None

    @property
    def language(self) -> str | None:
        """Language that the user reads messages in, as the user has set it."""
        language = (self.user or {}).get("language")
        return language if isinstance(language, str) else None

    @property
    def account(self) -> str:
        """The account whose sites the caller works with."""
        return account_of(self.user or {})

    @property
    def is_administrator(self) -> bool:
        return bool(self.user and self.user.get("user_type") == UserType.ADMINISTRATOR)

    def may(self, privilege: str) -> bool:
        """Whether the caller holds `privilege`. The system may do everything."""
        return self.user is None or self.is_administrator or privilege in self.privileges


SYSTEM = Caller()
"""The system itself, without a user: the caller of tasks, commands and data loading."""
