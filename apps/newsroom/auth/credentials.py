"""Who somebody is, by name and password (resources contract 4.4)."""

from collections.abc import Mapping
from threading import BoundedSemaphore
from typing import Any

import structlog
from pymongo.database import Database

from apps.core.errors import TooManyRequests, Unauthorized
from apps.core.service import Document
from apps.newsroom.auth.attempts import LoginAttempts
from apps.newsroom.auth.passwords import Passwords
from apps.store.collections import USERS

log = structlog.get_logger(__name__)

WRONG = {"credentials": 1}

FIRST_WAIT = 1
"""Seconds to wait after the first failure beyond a limit; each further one doubles them."""


class Credentials:
    """Checks names and passwords, as often as somebody may try.

    Args:
        db: the database.
        passwords: rules of passwords.
        attempts: counts failures.
        settings: WEB_THREADS.
    """

    def __init__(
        self,
        db: Database[Document],
        passwords: Passwords,
        attempts: LoginAttempts,
        settings: Mapping[str, Any],
    ) -> None:
        self._db = db
        self._passwords = passwords
        self._attempts = attempts
        # An address that fails all the time may still know a password, so each of its attempts is
        # checked. It gets half of the threads at most, and the process has others for everybody.
        self._doubtful = BoundedSemaphore(max(1, int(settings["WEB_THREADS"]) // 2))

    def user_of(self, username: str, password: str, address: str) -> Document:
        """Return the user of that name, whose password it is.

        Whether the user may log in is not asked. A hash with another work factor than that of the
        settings is renewed.

        Args:
            username: the name.
            password: clear text.
            address: where the request comes from.

        Raises:
            Unauthorized: no such user, or another password.
            TooManyRequests: the same, after too many failures.
        """
        if not self._attempts.is_beyond(address):
            return self._checked(username, password, address)
        if not self._doubtful.acquire(blocking=False):
            raise TooManyRequests(1, WRONG)
        try:
            return self._checked(username, password, address)
        finally:
            self._doubtful.release()

    def _checked(self, username: str, password: str, address: str) -> Document:
        wait, is_early = self._attempts.begin(username)
        user = None if is_early else self._find(username, password)
        if user is None:
            waits = (wait, self._attempts.fail(address))
            wait = max(waits)
            if FIRST_WAIT in waits:
                # Once for each, however many attempts follow.
                log.warning("login.too_many_failures", address=address)
            raise TooManyRequests(wait, WRONG) if wait else Unauthorized("", WRONG)
        self._attempts.forget(username)
        return user

    def _find(self, username: str, password: str) -> Document | None:
        """Return the user where the password is right; takes as long for names that nobody has."""
        user = self._db[USERS].find_one({"username": username})
        stored = user.get("password") if user else None
        if not self._passwords.matches(password, stored) or user is None:
            return None
        renewed = self._passwords.renewed(password, str(stored))
        if renewed:
            # Unless it was changed meanwhile.
            same = {"_id": user["_id"], "password": stored}
            self._db[USERS].update_one(same, {"$set": {"password": renewed}})
        return user
