"""Terms of items as terms of sites: by the map of the integration, by name, or made there.

`publisher_terms` holds what a site has, `publisher_taxonomy_map` which of them stands for a term
of ours. A row of the map that a person has made is never changed here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from time import monotonic
from typing import Any

from pymongo import ReturnDocument, UpdateOne
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from apps.core.clock import Clock
from apps.core.service import Document, new_etag
from apps.publisher.identity import INSTALLATION, installation_of
from apps.publisher.run.results import Task, Wait
from apps.publisher.run.story import SCHEMES, WantedTerm, slugged
from apps.publisher.schema import MapMode, MapState
from apps.store.collections import PUBLISHER_TAXONOMY_MAP, PUBLISHER_TERMS
from transmitters.cms.base import ErrorClass, Platform, PlatformError, RemotePost, RemoteTerm

BUSY = timedelta(seconds=2)
LOCK = timedelta(seconds=60)
CREATING = "creating:"
"""Starts `remote_id` of a row that is a lock: a term of that name is being made."""
BATCH = 500
MOST_TAXONOMIES, MOST_TERMS = 100, 100_000
LONGEST_SYNC = 900.0
"""Seconds for all terms of a site. Other sites wait for it."""
CREATE, SKIP = "create", "skip"
"""Values of the option `unmapped_terms`; the third is to fail."""


def terms_query(integration: Mapping[str, Any]) -> Document:
    """Return the query of the terms that an integration's site has, as it is now."""
    # Rows without a name are locks of terms that are being made.
    return {**_here(integration), "name": {"$type": "string"}}


def _here(integration: Mapping[str, Any]) -> Document:
    """Return the query of rows whose ids are those of the site as it is now."""
    return {"integration": integration["_id"], INSTALLATION: installation_of(integration)}


def folded(name: str) -> str:
    """Return a name as names are compared."""
    return " ".join(name.split()).casefold()


class TermLedger:
    """Find and make terms at sites.

    Args:
        db: the database.
        clock: source of the current time.
        owner: name of the process, by which its locks are told from those of others.
    """

    def __init__(self, db: Database[Document], clock: Clock, owner: str) -> None:
        self._terms = db[PUBLISHER_TERMS]
        self._map = db[PUBLISHER_TAXONOMY_MAP]
        self._clock = clock
        self._owner = owner

    # What a site has.

    def sync(
        self, integration: Mapping[str, Any], platform: Platform, only: Iterable[str] = ()
    ) -> int:
        """Read the terms of a site; return how many there are.

        Rows of the map whose term is gone are marked, and found again by name where that is
        certain. A term that was renamed keeps its id, and so its place in the map, as long as the
        site is the same: elsewhere the id has to be that of a term with the same name or slug.

        Args:
            only: these taxonomies; all of them when empty.

        Raises:
            PlatformError: the site does not tell them, or there is no end of them.
        """
        wanted = list(only) or [taxonomy.id for taxonomy in platform.taxonomies()]
        if len(wanted) > MOST_TAXONOMIES:
            raise _too_much(f"more than {MOST_TAXONOMIES} taxonomies")
        ends = monotonic() + LONGEST_SYNC
        return sum(self._sync_one(integration, platform, taxonomy, ends) for taxonomy in wanted)

    def _sync_one(
        self, integration: Mapping[str, Any], platform: Platform, taxonomy: str, ends: float
    ) -> int:
        started_at = self._clock.precise()
        seen: dict[str, str] = {}
        batch: list[UpdateOne] = []
        for term in platform.terms(taxonomy):
            if len(seen) >= MOST_TERMS:
                raise _too_much(f"more than {MOST_TERMS} terms in {taxonomy}")
            if monotonic() > ends:
                raise _too_much("so many terms, or so slowly, that reading them takes too long")
            seen[term.id] = term.name
            batch.append(self._stored(integration, taxonomy, term))
            if len(batch) == BATCH:
                self._terms.bulk_write(batch, ordered=False)
                batch = []
        if batch:
            self._terms.bulk_write(batch, ordered=False)
        here = {
            "integration": integration["_id"],
            "taxonomy": taxonomy,
            "name": {"$type": "string"},
        }
        stored = {row["remote_id"] for row in self._terms.find(here, {"remote_id": 1})}
        for gone in sorted(stored - seen.keys()):
            # Not one that somebody has made since.
            old = {**here, "remote_id": gone, "synced_at": {"$lte": started_at}}
            self._terms.delete_one(old)
        self._mark(integration, taxonomy, seen)
        left = {"integration": integration["_id"], "taxonomy": taxonomy, "name": None}
        self._terms.delete_many({**left, "lease_until": {"$lte": started_at}})
        return len(seen)

    def _mark(
        self, integration: Mapping[str, Any], taxonomy: str, there: Mapping[str, str]
    ) -> None:
        """Tell the rows of the map whether their term is there, and what it is called.

        Args:
            there: names of the terms that are there, by id.
        """
        query = {"integration": integration["_id"], "taxonomy": taxonomy}
        here = installation_of(integration)
        for row in list(self._map.find(query)):
            if row.get("mode") == MapMode.IGNORE or not row.get("remote_id"):
                continue
            is_here = row.get(INSTALLATION) == here
            changes: Document = {"state": MapState.MISSING}
            name = there.get(row["remote_id"])
            if name is not None and (is_here or self._is_same(integration, row)):
                changes = {"state": MapState.OK, "remote_name": name, INSTALLATION: here}
            if any(row.get(field) != value for field, value in changes.items()):
                same = {"_id": row["_id"], "remote_id": row["remote_id"]}
                self._map.update_one(same, {"$set": changes})

    def _is_same(self, integration: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
        """Whether the id of a row of the map, learned elsewhere, is that of the same term here."""
        named = {name: row[name] for name in ("taxonomy", "remote_id")}
        term = self._terms.find_one({**terms_query(integration), **named})
        if term is None:
            return False
        slug, name = row.get("remote_slug"), row.get("remote_name")
        has_name = bool(name) and folded(str(name)) == folded(term["name"])
        return has_name or (bool(slug) and slug == term.get("slug"))

    def _stored(self, integration: Mapping[str, Any], taxonomy: str, term: RemoteTerm) -> UpdateOne:
        changes = {
            **_fields(term),
            INSTALLATION: installation_of(integration),
            "synced_at": self._clock.precise(),
        }
        key = {"integration": integration["_id"], "taxonomy": taxonomy, "remote_id": term.id}
        return UpdateOne(key, {"$set": changes}, upsert=True)

    # Terms of a story.

    def resolve(
        self, task: Task, wanted: Sequence[WantedTerm], *, resync: bool = False
    ) -> dict[str, list[str]]:
        """Return by taxonomy the complete list of a story's terms, making those that are missing.

        Args:
            resync: ask the site what it has, whatever is known.

        Raises:
            PlatformError: a term has no counterpart, and the story must not go without it.
            Wait: somebody else is making one of them.
        """
        integration, platform = task.integration, task.platform
        rows = self._rows(integration["_id"], wanted)
        owned: dict[str, list[str]] = {}
        for scheme in SCHEMES:
            if (taxonomy := platform.default_taxonomy(scheme)) is not None:
                owned.setdefault(taxonomy, [])
        places: list[tuple[WantedTerm, str]] = []
        for term in wanted:
            row = rows.get((term.scheme, term.qcode), {})
            taxonomy = row.get("taxonomy") or platform.default_taxonomy(term.scheme)
            if taxonomy is not None and row.get("mode") != MapMode.IGNORE:
                owned.setdefault(taxonomy, [])
                places.append((term, taxonomy))
        used = list(dict.fromkeys(taxonomy for _, taxonomy in places))
        if resync and used:
            self.sync(integration, platform, used)
            rows = self._rows(integration["_id"], wanted)
        found = self._mapped(integration, places, rows)
        found.update(self._matched(task.integration, _without(places, found), rows))
        # One taxonomy after the other: what is found in one stays found if the next one fails.
        for taxonomy in used:
            if missing := [p for p in _without(places, found) if p[1] == taxonomy]:
                found.update(self._searched(task, missing, rows, wanted))
        task.written["terms"] = []
        for term, taxonomy in places:
            if (id_ := found.get(term)) is not None and id_ not in owned[taxonomy]:
                owned[taxonomy].append(id_)
                task.written["terms"].append({
                    "scheme": term.scheme,
                    "qcode": term.qcode,
                    "taxonomy": taxonomy,
                    "remote_id": id_,
                })  # fmt: skip
        return owned

    def with_those_of_others(
        self, task: Task, post: RemotePost, terms: Mapping[str, Sequence[str]]
    ) -> dict[str, list[str]]:
        """Return the terms of a story with those that editors of the site have given its post.

        Terms that stand for one of ours in the map, and those that we gave the post, are not among
        these: a story that has lost one loses it at the site.
        """
        there = task.platform.terms_of(post, list(terms))
        if not any(there.values()):
            return {taxonomy: list(ids) for taxonomy, ids in terms.items()}
        query = {**_here(task.integration), "taxonomy": {"$in": list(there)}}
        given = () if task.is_elsewhere else task.record.get("terms") or ()
        rows = [*self._map.find(query), *given]
        ours = {(row.get("taxonomy"), row.get("remote_id")) for row in rows}
        return {
            taxonomy: list(
                dict.fromkeys(
                    [*ids, *(one for one in there.get(taxonomy, ()) if (taxonomy, one) not in ours)]
                )
            )
            for taxonomy, ids in terms.items()
        }

    def _rows(
        self, integration: Any, wanted: Sequence[WantedTerm]
    ) -> dict[tuple[str, str], Document]:
        if not wanted:
            return {}
        qcodes = sorted({term.qcode for term in wanted})
        query = {"integration": integration, "qcode": {"$in": qcodes}}
        return {(row["scheme"], row["qcode"]): row for row in self._map.find(query)}

    def _known(self, integration: Mapping[str, Any], taxonomies: Sequence[str]) -> "_Known":
        known = _Known({taxonomy: set() for taxonomy in taxonomies}, {}, {})
        if taxonomies:
            query = {**terms_query(integration), "taxonomy": {"$in": list(taxonomies)}}
            for row in self._terms.find(query):
                known.add(row)
        return known

    def _mapped(
        self,
        integration: Mapping[str, Any],
        places: Sequence[tuple[WantedTerm, str]],
        rows: Mapping[tuple[str, str], Mapping[str, Any]],
    ) -> dict[WantedTerm, str]:
        """Return the terms whose place in the map leads to a term that the site has."""
        here = installation_of(integration)
        mapped = {
            term: (taxonomy, str(row["remote_id"]))
            for term, taxonomy in places
            if (row := rows.get((term.scheme, term.qcode), {})).get("remote_id")
            and row.get(INSTALLATION) == here
        }
        if not mapped:
            return {}
        query = {
            **_here(integration),
            "taxonomy": {"$in": sorted({taxonomy for taxonomy, _ in mapped.values()})},
            "remote_id": {"$in": sorted({id_ for _, id_ in mapped.values()})},
        }
        there = {
            (row["taxonomy"], row["remote_id"])
            for row in self._terms.find(query, {"taxonomy": 1, "remote_id": 1})
        }
        return {term: place[1] for term, place in mapped.items() if place in there}

    def _matched(
        self,
        owner: Mapping[str, Any],
        places: Sequence[tuple[WantedTerm, str]],
        rows: Mapping[tuple[str, str], Mapping[str, Any]],
    ) -> dict[WantedTerm, str]:
        """Return the terms that the site has under their name; not those that a person mapped."""
        free = [place for place in places if not _is_manual(place[0], rows)]
        if not free:
            return {}
        known = self._known(owner, list({taxonomy for _, taxonomy in free}))
        found: dict[WantedTerm, str] = {}
        for term, taxonomy in free:
            if (match := known.match(term, taxonomy)) is not None:
                found[term] = match["remote_id"]
                self._remember(owner, term, taxonomy, match)
        return found

    def _searched(
        self,
        task: Task,
        places: Sequence[tuple[WantedTerm, str]],
        rows: Mapping[tuple[str, str], Mapping[str, Any]],
        wanted: Sequence[WantedTerm],
    ) -> dict[WantedTerm, str]:
        """Ask the site for terms that nobody knows here, and do what the option says with the rest.

        Raises:
            PlatformError: a term has no counterpart, or nobody can tell which it is.
            Wait: somebody else is making one of them.
        """
        integration, platform = task.integration, task.platform
        creates = task.options.get("unmapped_terms", CREATE) == CREATE
        with self._locks(task, places) if creates else nullcontext():
            # Under the locks: what is not there now is made by nobody else.
            taxonomies = list(dict.fromkeys(taxonomy for _, taxonomy in places))
            self.sync(integration, platform, taxonomies)
            rows = self._rows(integration["_id"], wanted)
            found = self._mapped(integration, places, rows)
            for term, taxonomy in _without(places, found):
                if _is_manual(term, rows):
                    raise _not_there(term, taxonomy, rows[term.scheme, term.qcode])
            found.update(self._matched(task.integration, _without(places, found), rows))
            missing = _without(places, found)
            if creates:
                self._create(task, missing, wanted, found)
            else:
                self._do_without(task, missing)
        return found

    def _do_without(self, task: Task, missing: Sequence[tuple[WantedTerm, str]]) -> None:
        for term, taxonomy in missing:
            self._miss(task.integration, term, taxonomy)
        if not missing:
            return
        if task.options["unmapped_terms"] == SKIP:
            task.warn("term_skipped")
            return
        names = ", ".join(f"{term.name} ({term.scheme})" for term, _ in missing)
        message = f"No term at the site stands for {names}"
        raise PlatformError(ErrorClass.TAXONOMY, "unmapped", message)

    def _create(
        self,
        task: Task,
        missing: Sequence[tuple[WantedTerm, str]],
        wanted: Sequence[WantedTerm],
        found: dict[WantedTerm, str],
    ) -> None:
        """Make terms at the site, parents first, and add them to `found`."""
        if not missing:
            return
        integration, platform = task.integration, task.platform
        by_qcode = {(term.scheme, term.qcode): term for term in wanted}
        known = self._known(integration, list({taxonomy for _, taxonomy in missing}))
        for term, taxonomy in sorted(missing, key=lambda place: _depth(place[0], by_qcode)):
            if known.is_doubtful(term, taxonomy):
                self._miss(task.integration, term, taxonomy)
                message = f"Several terms at the site are called {term.name} ({term.scheme})"
                raise PlatformError(ErrorClass.TAXONOMY, "term_ambiguous", message, field=taxonomy)
            row = known.match(term, taxonomy)
            if row is None:
                parent = self._parent(integration, term, by_qcode, found)
                made = platform.create_term(taxonomy, term.name, slugged(term.name), parent)
                row = {"taxonomy": taxonomy, "remote_id": made.id, **_fields(made)}
                self._terms.bulk_write([self._stored(integration, taxonomy, made)])
                known.add(row)
            found[term] = row["remote_id"]
            self._remember(task.integration, term, taxonomy, row)

    def _parent(
        self,
        integration: Mapping[str, Any],
        term: WantedTerm,
        by_qcode: Mapping[tuple[str, str], WantedTerm],
        found: Mapping[WantedTerm, str],
    ) -> str | None:
        if term.parent is None:
            return None
        above = by_qcode.get((term.scheme, term.parent))
        if above is not None and above in found:
            return found[above]
        row = self._map.find_one(
            {**_here(integration), "scheme": term.scheme, "qcode": term.parent}
        )
        return row.get("remote_id") if row else None

    # The map.

    def _remember(
        self,
        integration: Mapping[str, Any],
        term: WantedTerm,
        taxonomy: str,
        row: Mapping[str, Any],
    ) -> None:
        self._write(
            integration,
            term,
            {
                "taxonomy": taxonomy,
                "remote_id": row["remote_id"],
                "remote_slug": row.get("slug"),
                "remote_name": row.get("name"),
                INSTALLATION: installation_of(integration),
                "state": MapState.OK,
            },
        )

    def _miss(self, integration: Mapping[str, Any], term: WantedTerm, taxonomy: str) -> None:
        """List a term for a person to map."""
        self._write(integration, term, {"taxonomy": taxonomy, "state": MapState.MISSING})

    def _write(self, integration: Mapping[str, Any], term: WantedTerm, fields: Document) -> None:
        key = {"integration": integration["_id"], "scheme": term.scheme, "qcode": term.qcode}
        automatic = {**key, "mode": MapMode.AUTO}
        now = self._clock.now()
        change = {"$set": {**fields, "_updated": now}}
        if self._map.update_one(automatic, change).matched_count:
            return
        try:
            own = {"account": integration.get("account"), "_created": now, "_updated": now}
            self._map.insert_one({**automatic, **fields, **own, "_etag": new_etag()})
        except DuplicateKeyError:
            # A person, or another worker, has mapped it meanwhile.
            return

    # Locks.

    @contextmanager
    def _locks(self, task: Task, places: Sequence[tuple[WantedTerm, str]]) -> Iterator[None]:
        """Hold the names of terms that are about to be made.

        Raises:
            Wait: another worker holds one of them.
        """
        keys = sorted({(taxonomy, folded(term.name)) for term, taxonomy in places})
        held: list[tuple[str, str]] = []
        try:
            for key in keys:
                if not self._lock(task, *key):
                    raise Wait(self._clock.precise() + BUSY)
                held.append(key)
            yield
        finally:
            if held:
                names = [CREATING + name for _, name in held]
                mine = {"integration": task.integration["_id"], "lease_owner": self._holder(task)}
                self._terms.delete_many({**mine, "remote_id": {"$in": names}})

    def _lock(self, task: Task, taxonomy: str, name: str) -> bool:
        now = self._clock.precise()
        key = {
            "integration": task.integration["_id"],
            "taxonomy": taxonomy,
            "remote_id": CREATING + name,
        }
        lease = {"lease_owner": self._holder(task), "lease_until": now + LOCK}
        free: list[Document] = [{"lease_until": {"$lte": now}}]
        if task.holds_lane:
            # Whoever served the lane before is gone.
            free.append({"lease_process": {"$ne": self._owner}})
        lease["lease_process"] = self._owner
        if self._terms.find_one_and_update(
            {**key, "$or": free}, {"$set": lease}, return_document=ReturnDocument.AFTER
        ):
            return True
        try:
            self._terms.insert_one({**key, **lease})
        except DuplicateKeyError:
            return False
        return True

    def _holder(self, task: Task) -> str:
        return f"{self._owner}:{task.claim.id}:{task.claim.token}"


class _Known:
    """Terms that a site has, by what they are found by."""

    def __init__(
        self,
        ids: dict[str, set[str]],
        names: dict[tuple[str, str], list[Mapping[str, Any]]],
        slugs: dict[tuple[str, str], list[Mapping[str, Any]]],
    ) -> None:
        self.ids = ids
        self._names = names
        self._slugs = slugs

    def add(self, row: Mapping[str, Any]) -> None:
        taxonomy = row["taxonomy"]
        self.ids.setdefault(taxonomy, set()).add(row["remote_id"])
        self._names.setdefault((taxonomy, folded(row["name"])), []).append(row)
        self._slugs.setdefault((taxonomy, row.get("slug") or ""), []).append(row)

    def _candidates(self, term: WantedTerm, taxonomy: str) -> list[Mapping[str, Any]]:
        by_name = self._names.get((taxonomy, folded(term.name)), [])
        slug = slugged(term.name)
        return by_name or (self._slugs.get((taxonomy, slug), []) if slug else [])

    def match(self, term: WantedTerm, taxonomy: str) -> Mapping[str, Any] | None:
        """Return the one term that it is; None for none, and where several could be meant."""
        found = self._candidates(term, taxonomy)
        return found[0] if len(found) == 1 else None

    def is_doubtful(self, term: WantedTerm, taxonomy: str) -> bool:
        return len(self._candidates(term, taxonomy)) > 1


def _too_much(what: str) -> PlatformError:
    return PlatformError(
        ErrorClass.CONFIG,
        "too_many_terms",
        f"The site has {what}",
        help="Map the terms that are needed by hand, and set `unmapped_terms` to `skip`",
    )


def _without(
    places: Sequence[tuple[WantedTerm, str]], found: Mapping[WantedTerm, str]
) -> list[tuple[WantedTerm, str]]:
    return [place for place in places if place[0] not in found]


def _is_manual(term: WantedTerm, rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> bool:
    """Whether a person has said what stands for a term."""
    row = rows.get((term.scheme, term.qcode), {})
    return row.get("mode") == MapMode.MANUAL and bool(row.get("remote_id"))


def _not_there(term: WantedTerm, taxonomy: str, row: Mapping[str, Any]) -> PlatformError:
    """Return the error of a row of a person's whose term the site does not have."""
    if row.get("remote_name"):
        message = f"The term that stands for {term.name} ({term.scheme}) is gone"
        return PlatformError(ErrorClass.TAXONOMY, "mapping_stale", message, field=taxonomy)
    id_ = row["remote_id"]
    message = f"The site has no term {id_}, which is to stand for {term.name} ({term.scheme})"
    return PlatformError(ErrorClass.TAXONOMY, "term_mismatch", message, field=taxonomy)


def _fields(term: RemoteTerm) -> Document:
    return {"name": term.name, "slug": term.slug, "parent": term.parent, "count": term.count}


def _depth(term: WantedTerm, by_qcode: Mapping[tuple[str, str], WantedTerm]) -> int:
    """Return how many of the terms above it are among those of the item: parents come first."""
    depth, seen, above = 0, {term}, term
    while above.parent is not None:
        found = by_qcode.get((above.scheme, above.parent))
        if found is None or found in seen:
            break
        depth, above = depth + 1, found
        seen.add(above)
    return depth
