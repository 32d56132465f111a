"""Which integrations a request means (cms contract 2.1)."""

from collections.abc import Sequence
from typing import Any

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.errors import SchemaIssues
from apps.core.ids import same_id
from apps.core.service import Document
from apps.publisher.accounts import forms, found_by_id, is_of_caller, missing_value, of_account
from apps.store.collections import PUBLISHER_INTEGRATIONS, PUBLISHER_SITES

AMBIGUOUS = "more than one integration fits; name it"


class Targets:
    """Finds integrations of the caller's account."""

    def __init__(self, db: Database[Document]) -> None:
        self._db = db

    def the_one(
        self, caller: Caller, *, integration: Any = None, site: Any = None, destination: Any = None
    ) -> Document:
        """Return the only integration that fits.

        Raises:
            SchemaIssues: there is none, or more than one.
        """
        if integration is not None:
            found = self.named(caller, [integration], "integration", site, destination)
            return found[0]
        if site is None and destination is None:
            raise SchemaIssues({"integration": {"required": 1}})
        found = self.fitting(caller, site, destination)
        fitting = [each for each in found if each.get("active") is not False]
        if len(fitting) != 1:
            raise SchemaIssues({"integration": AMBIGUOUS if fitting else {"required": 1}})
        return fitting[0]

    def named(
        self, caller: Caller, ids: Sequence[Any], field: str, site: Any, destination: Any
    ) -> list[Document]:
        """Return the integrations of ids, those of other destinations than wanted left out.

        Args:
            field: that the ids were sent in.
            site: which they have to belong to; None for any.
            destination: None for any.

        Raises:
            SchemaIssues: one is not there, belongs to another site, or none is left.
        """
        found = of_account(self._db[PUBLISHER_INTEGRATIONS], ids, caller)
        site_id = self.site(caller, site)["_id"] if site is not None else None
        for id_ in ids:
            known = found.get(str(id_))
            if known is None or (site_id is not None and not same_id(known["site"], site_id)):
                raise SchemaIssues({field: missing_value(id_, PUBLISHER_INTEGRATIONS)})
        fitting = [found[str(id_)] for id_ in dict.fromkeys(map(str, ids))]
        if destination is not None:
            fitting = [each for each in fitting if each["destination"] == destination]
        if not fitting:
            raise SchemaIssues({"destination": "none of the integrations has it"})
        return fitting

    def fitting(self, caller: Caller, site: Any, destination: Any) -> list[Document]:
        """Return the integrations of a site, or of the account, by their names.

        Args:
            site: None for all sites.
            destination: None for any.

        Raises:
            SchemaIssues: there is no such site.
        """
        query: Document = {}
        if caller.user is not None:
            query["account"] = caller.account
        if site is not None:
            query["site"] = forms(self.site(caller, site)["_id"])
        if destination is not None:
            query["destination"] = destination
        return list(self._db[PUBLISHER_INTEGRATIONS].find(query).sort([("name", 1), ("_id", 1)]))

    def site(self, caller: Caller, id: Any) -> Document:
        """Return a site of the account.

        Raises:
            SchemaIssues: there is none with this id.
        """
        site = found_by_id(self._db[PUBLISHER_SITES], id)
        if site is None or not is_of_caller(site, caller):
            raise SchemaIssues({"site": missing_value(id, PUBLISHER_SITES)})
        return site

    def only_site(self, caller: Caller) -> Document | None:
        """Return the site of an account that has one only."""
        query: Document = {} if caller.user is None else {"account": caller.account}
        found = list(self._db[PUBLISHER_SITES].find(query).limit(2))
        return found[0] if len(found) == 1 else None
