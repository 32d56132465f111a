"""Authentication and permission of every request (resources contract 4.1)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from eve.auth import TokenAuth
from flask import g, request

from apps.core.caller import SYSTEM, Caller
from apps.core.errors import Forbidden, Unauthorized
from apps.core.privileges import INTRINSIC, NO_PRIVILEGE
from apps.core.tokens import token_of


class Authentication(Protocol):
    """What the edge asks of the authentication service."""

    def caller_of(self, token: str, arguments: Mapping[str, str]) -> Caller | None:
        """Return the caller that `token` stands for, or None when it stands for nobody."""
        ...

    def touch(self, caller: Caller) -> None:
        """Keep the session of `caller` from expiring."""
        ...


def current_caller() -> Caller:
    """Return who made the current request; the system outside of one."""
    return g.get("caller", SYSTEM) if g else SYSTEM


def request_token() -> str:
    """Return the token of the only `Authorization` header, or an empty text."""
    headers = request.headers.getlist("Authorization")
    return token_of(headers[0]) if len(headers) == 1 else ""


class PrivilegeAuth(TokenAuth):
    """Finds the caller by token, then looks the method up in the resource's `privileges`.

    What has no entry is refused to everybody, administrators included.

    Args:
        authentication: the authentication service.
        privileges: resource to method to the privilege that it needs.
    """

    def __init__(
        self, authentication: Authentication, privileges: Mapping[str, Mapping[str, str]]
    ) -> None:
        self._authentication = authentication
        self._privileges = privileges

    def __deepcopy__(self, memo: dict[int, Any]) -> "PrivilegeAuth":
        # Eve copies the settings of versioned resources, and with them the authentication.
        return self

    def authorized(self, allowed_roles: Any, resource: str | None, method: str) -> bool:
        caller = self.identify()
        if method in ("POST", "PUT", "PATCH") or "auto" not in request.args:
            self._authentication.touch(caller)
        if resource is not None:
            self.check(caller, resource, method)
        return True

    def identify(self) -> Caller:
        """Return the caller of this request.

        Raises:
            Unauthorized: no token, or one that stands for nobody.
        """
        token = request_token()
        caller = self._authentication.caller_of(token, request.args.to_dict()) if token else None
        if caller is None:
            raise Unauthorized("", {"auth": 1})
        g.caller = caller
        return caller

    def welcome(self, *details: Any) -> None:
        """Note who makes a request that is public: where from, and with which session if any.

        Args:
            details: what Eve tells its hooks.
        """
        token = request_token()
        caller = self._authentication.caller_of(token, request.args.to_dict()) if token else None
        g.caller = replace(caller or SYSTEM, address=request.remote_addr or "")

    def check(self, caller: Caller, resource: str, method: str) -> None:
        """Check that `caller` may call `method` on `resource`.

        Raises:
            Forbidden: not granted, or granted to nobody.
        """
        needed = "GET" if method == "HEAD" else method
        wanted = self._privileges.get(resource, {}).get(needed)
        if wanted is None and needed == "GET":
            return
        if wanted is None or (wanted != INTRINSIC and not caller.may(wanted)):
            raise Forbidden(NO_PRIVILEGE)
