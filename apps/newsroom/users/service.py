"""Rules of users."""

from collections.abc import Mapping
from secrets import token_hex
from typing import Any, Protocol

from pymongo.database import Database

from apps.core.caller import DEFAULT_ACCOUNT, SYSTEM, Caller, account_of
from apps.core.clock import Clock
from apps.core.errors import Forbidden
from apps.core.notifier import Notifier
from apps.core.privileges import NO_PRIVILEGE
from apps.core.schemas import fill_defaults
from apps.core.service import Document, ResourceService, new_etag
from apps.core.vocabulary import UserType
from apps.newsroom.auth.passwords import DEFAULT_MIN_LENGTH, Passwords
from apps.newsroom.roles.service import RolesService, revoked
from apps.newsroom.stages.visibility import StageVisibility
from apps.newsroom.users.resource import PRIVATE, USER_SCHEMA

NAME_FIELDS = frozenset({"first_name", "last_name", "username"})
STATUS_FIELDS = ("is_active", "is_enabled")
RIGHTS_FIELDS = ("role", "privileges", "user_type")

OWN_STATUS = "Not allowed to change your own status"
FOREIGN_STATUS = "Insufficient privileges to change user state"
RIGHTS_OF_LOGGED_IN = "Not allowed to change the role/user_type/privileges of a logged-in user"
RIGHTS = "Insufficient privileges to update role/user_type/privileges"
FOREIGN_ACCOUNT = "Only administrators move users to another account"
OLD_ONE_NEEDED = (
    "A change of your own password needs the old one: send both to change_user_password"
)
OWN_PROFILE = "Not allowed to disable your own profile."

SHOWN_ON_REQUEST = {"show_inactive": "is_active", "show_disabled": "is_enabled"}
"""Argument of a list to the flag whose absence it tolerates."""


class LoginSessions(Protocol):
    """The part of the authentication service that users need."""

    def is_logged_in(self, user_id: Any) -> bool:
        """Whether the user has a session."""
        ...

    def keep(self, session_id: Any, stamp: str) -> None:
        """Let one session stay when its user gets a new `security_stamp`; called before."""
        ...

    def end_older(self, user_id: Any) -> None:
        """End the sessions from before the user's `security_stamp`, and unlock their items."""
        ...


class UsersService(ResourceService):
    """Users of the newsroom.

    Args:
        roles: knows the default role.
        sessions: sessions of users.
        visibility: keeps what users may see.
        notifier: tells clients.
        passwords: rules of passwords.
        settings: SIGN_OFF_MAPPING, ORGANIZATION_NAME_ABBREVIATION.
    """

    resource = "users"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        roles: RolesService,
        sessions: LoginSessions,
        visibility: StageVisibility,
        notifier: Notifier,
        passwords: Passwords,
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__(db, clock)
        self._passwords = passwords
        self._roles = roles
        self._sessions = sessions
        self._visibility = visibility
        self._notifier = notifier
        self._settings = settings

    # Create.

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        fill_defaults(documents, USER_SCHEMA)
        default_role = self._roles.default_id()
        for document in documents:
            document.setdefault("display_name", display_name(document))
            mapping = self._settings["SIGN_OFF_MAPPING"]
            document.setdefault("sign_off", default_sign_off(document, mapping))
            document.setdefault("role", default_role)
            document["invisible_stages"] = []
            self._place(document, caller)
            self._normalise(document, caller)
            document.setdefault("password_changed_on", self.clock.now())

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        hidden = self._visibility.recompute([document["_id"] for document in documents])
        for document in documents:
            document["invisible_stages"] = hidden.get(document["_id"], [])
            self._notifier.push("user", updated=1, user_id=str(document["_id"]))
        self.on_fetched(documents, caller)

    def _place(self, document: Document, caller: Caller) -> None:
        """Put a new user into an account: that of who makes it, unless an administrator does.

        Raises:
            Forbidden: the account is another one.
        """
        if caller.user is None or caller.is_administrator:
            return
        if document.get("account") not in (None, caller.account):
            raise Forbidden(FOREIGN_ACCOUNT)
        if caller.account != DEFAULT_ACCOUNT:
            document["account"] = caller.account

    def _normalise(self, document: Document, caller: Caller) -> None:
        """Lower the case of the mail address; keep no clear password.

        Raises:
            SchemaIssues: the password cannot be one.
        """
        if document.get("email"):
            document["email"] = document["email"].lower()
        if caller.user is not None:
            # Otherwise writers could keep passwords from expiring.
            document.pop("password_changed_on", None)
        if "password" in document:
            document["password"] = self._passwords.hash_new(document["password"])
            document["password_changed_on"] = self.clock.now()

    # Change.

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        updates.pop("invisible_stages", None)
        if caller.user is not None:
            self._check_may_change(updates, original, caller)
        if updates.get("is_enabled"):
            updates["is_active"] = True
        if NAME_FIELDS & updates.keys():
            updates.setdefault("display_name", display_name({**original, **updates}))
        self._normalise(updates, caller)
        if ends_sessions(updates, original):
            updates["security_stamp"] = new_stamp()

    def _check_may_change(self, updates: Document, original: Document, caller: Caller) -> None:
        is_self = original["_id"] == caller.user_id
        if is_self and "password" in updates:
            raise Forbidden(OLD_ONE_NEEDED)
        if touches(updates, original, STATUS_FIELDS):
            if is_self:
                raise Forbidden(OWN_STATUS)
            if not caller.may("users"):
                raise Forbidden(FOREIGN_STATUS)
        if touches(updates, original, RIGHTS_FIELDS):
            if not is_self and self._sessions.is_logged_in(original["_id"]):
                raise Forbidden(RIGHTS_OF_LOGGED_IN)
            if not caller.may("users"):
                raise Forbidden(RIGHTS)
        if not is_self and not caller.may("users"):
            raise Forbidden(NO_PRIVILEGE)
        if not caller.is_administrator and account_of({**original, **updates}) != account_of(
            original
        ):
            raise Forbidden(FOREIGN_ACCOUNT)

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        if "security_stamp" in updates:
            self._sessions.end_older(original["_id"])
        event = event_of(updates, original)
        self._notifier.push(event, updated=1, user_id=str(original["_id"]))
        updates["dateline_source"] = self._settings["ORGANIZATION_NAME_ABBREVIATION"]

    def set_password(
        self,
        user_id: Any,
        password: str,
        caller: Caller = SYSTEM,
        *,
        field: str = "password",
        min_length: int = DEFAULT_MIN_LENGTH,
    ) -> Document:
        """Set the password of a user, whoever asks, and return the user as stored.

        Args:
            user_id: whose password it is.
            password: clear text.
            caller: their session stays where it is one of this user; all others of the user end.
            field: name of the field that an issue is reported under.
            min_length: characters that it needs where PASSWORD_MIN_LENGTH is not set.

        Raises:
            SchemaIssues: it cannot be a password.
            NotFound: no such user.
        """
        original = self.find(user_id)
        now, stamp = self.clock.now(), new_stamp()
        updates: Document = {
            "password": self._passwords.hash_new(password, field, min_length),
            "password_changed_on": now,
            "security_stamp": stamp,
            "_updated": now,
            "_etag": new_etag(),
        }
        if caller.user_id == user_id:
            self._sessions.keep(caller.session_id, stamp)
        self.collection.update_one({"_id": user_id}, {"$set": updates})
        self.on_updated(updates, original, caller)
        return {**original, **updates}

    # Delete: users are never removed, because items name them.

    def on_delete(self, document: Document, caller: Caller) -> None:
        if document["_id"] == caller.user_id:
            raise Forbidden(OWN_PROFILE)

    def delete(self, document: Document, caller: Caller) -> None:
        off = {"is_enabled": False, "is_active": False, "security_stamp": new_stamp()}
        self.collection.update_one(
            {"_id": document["_id"]}, {"$set": {**off, "_updated": self.clock.now()}}
        )
        self._sessions.end_older(document["_id"])

    def on_deleted(self, document: Document, caller: Caller) -> None:
        self._notifier.push("user_disabled", updated=1, user_id=str(document["_id"]))

    # Read.

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        """Leave out users who cannot log in, unless asked for them."""
        query = dict(lookup)
        for argument, flag in SHOWN_ON_REQUEST.items():
            if not is_true(caller.arguments.get(argument)):
                query[flag] = {"$ne": False}
        if "is_author" in caller.arguments:
            query["is_author"] = is_true(caller.arguments["is_author"])
        return query

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            document.setdefault("is_enabled", document.get("is_active"))
            document["dateline_source"] = self._settings["ORGANIZATION_NAME_ABBREVIATION"]
            for field in PRIVATE:
                document.pop(field, None)


def new_stamp() -> str:
    """Return a `security_stamp`: sessions that do not know it are not in force."""
    return token_hex(16)


def ends_sessions(updates: Mapping[str, Any], original: Mapping[str, Any]) -> bool:
    """Whether a change ends the sessions of its user (resources contract 5).

    A new password, a changed status or account, and the end of the right to log in.
    """
    user = {**original, **updates}
    is_switched = any(user.get(flag, True) != original.get(flag, True) for flag in STATUS_FIELDS)
    became_external = UserType.EXTERNAL == user.get("user_type") != original.get("user_type")
    is_moved = account_of(user) != account_of(original)
    return "password" in updates or is_switched or is_moved or became_external


def touches(
    updates: Mapping[str, Any], original: Mapping[str, Any], fields: tuple[str, ...]
) -> bool:
    """Whether `updates` set one of `fields`.

    A field that the stored user lacks counts only with a value that is not its default, because
    validation adds defaults to updates.
    """
    return any(
        field in updates
        and (field in original or updates[field] != USER_SCHEMA[field].get("default"))
        for field in fields
    )


def event_of(updates: Mapping[str, Any], original: Mapping[str, Any]) -> str:
    """Return the name of the notification about a change (resources contract 5)."""

    def is_switched_off(flag: str) -> bool:
        return updates.get(flag) is False and original.get(flag) is not False

    if is_switched_off("is_enabled"):
        return "user_disabled"
    if is_switched_off("is_active"):
        return "user_inactivated"
    if updates.get("role", original.get("role")) != original.get("role"):
        return "user_role_changed"
    if revoked(updates, original):
        return "user_privileges_revoked"
    user_type = updates.get("user_type", original.get("user_type"))
    if user_type not in (original.get("user_type"), UserType.ADMINISTRATOR):
        return "user_type_changed"
    return "user"


def is_true(argument: str | None) -> bool:
    """Whether a query argument means yes."""
    return (argument or "").lower() in ("1", "true")


def display_name(user: Mapping[str, Any]) -> str:
    """Return first and last name, or the user name where there is neither."""
    names = (user.get("first_name"), user.get("last_name"))
    return " ".join(name for name in names if name) or str(user.get("username") or "")


def default_sign_off(user: Mapping[str, Any], mapping: str | None) -> str:
    """Return the mark that a new user leaves on items (resources contract 5).

    Args:
        user: the new user.
        mapping: field to take the mark from, if the installation has one (`SIGN_OFF_MAPPING`).
    """
    if mapping and user.get(mapping):
        return str(user[mapping])
    first, last = user.get("first_name"), user.get("last_name")
    if first and last:
        return f"{first[0]}{last[0]}".upper()
    return str(user["username"])[:3].upper()
