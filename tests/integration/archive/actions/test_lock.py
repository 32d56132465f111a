"""Locks of items at the HTTP edge: lock, unlock, end of a session, the list of locked items."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from apps.core import json
from apps.core.vocabulary import State
from apps.graph.build import Graph
from tests.support.clients import Client, log_in, make_user
from tests.support.events import Events
from tests.support.newsroom import Newsroom

LOCK_FIELDS = ("lock_user", "lock_session", "lock_time", "lock_action")


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    return Newsroom(graph.db)


@pytest.fixture
def story(admin: Any, newsroom: Newsroom) -> dict[str, Any]:
    return dict(admin.create("archive", newsroom.story()))


def member(app: Any, graph: Graph, newsroom: Newsroom, name: str, *privileges: str) -> Client:
    """Return a member of the desk who holds `privileges`."""
    user = make_user(graph, name, privileges=dict.fromkeys(privileges, 1))
    newsroom.join(user)
    return log_in(app, name)


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["_message"]


class TestLock:
    def test_locks_for_user_and_session(self, admin: Any, story: Any) -> None:
        """The lock fields and `task.user` are set; the version stays, the etag does not.

        Resources scenario R38.
        """
        locked = admin.create(f"archive/{story['_id']}/lock", {"lock_action": "correct"})

        me = admin.session["user"]
        assert (me, admin.session["_id"], "correct", me, 1, f"/archive/{story['_id']}") == (
            locked["lock_user"],
            locked["lock_session"],
            locked["lock_action"],
            locked["task"]["user"],
            locked["_current_version"],
            locked["_links"]["self"]["href"],
        )
        assert locked["lock_time"]
        stored = admin.get(f"archive/{story['_id']}").get_json()
        assert stored["_etag"] == locked["_etag"] != story["_etag"]

    def test_tells_clients_and_history(
        self, admin: Any, story: Any, settings: Any, graph: Graph
    ) -> None:
        """`item:lock` has the version as a text; the history shows the lock.

        Resources scenario R38.
        """
        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            admin.create(f"archive/{story['_id']}/lock", {})
            (told,) = events.named("item:lock")

        assert ("1", story["_id"], admin.session["_id"]) == (
            told["item_version"],
            told["item"],
            told["lock_session"],
        )
        row = graph.db["archive_history"].find_one({"operation": "item_lock"})
        assert row is not None
        assert set(LOCK_FIELDS) == set(row["update"])

    def test_may_be_repeated_in_one_session(self, admin: Any, story: Any) -> None:
        """The holder may lock again."""
        admin.create(f"archive/{story['_id']}/lock", {})

        assert 201 == admin.post(f"archive/{story['_id']}/lock", {}).status_code

    def test_holds_against_others(
        self, app: Any, admin: Any, story: Any, graph: Graph, newsroom: Newsroom
    ) -> None:
        """Not another user, nor the same user in another session.

        Lifecycle scenario 68; resources scenario R39.
        """
        admin.create(f"archive/{story['_id']}/lock", {})
        other = member(app, graph, newsroom, "other", "archive")

        refused = [
            c.post(f"archive/{story['_id']}/lock", {}) for c in (other, log_in(app, "admin"))
        ]

        assert [
            (403, "Item is locked by another user."),
            (403, "Item is locked by you in another session."),
        ] == [refusal(answer) for answer in refused]

    def test_one_of_many_wins(self, app: Any, story: Any, graph: Graph, newsroom: Newsroom) -> None:
        """Two locks at once exclude each other, and nothing is left of the loser."""
        names = [f"rival{number}" for number in range(4)]
        rivals = [member(app, graph, newsroom, name, "archive") for name in names]

        with ThreadPoolExecutor(len(rivals)) as pool:
            path = f"archive/{story['_id']}/lock"
            statuses = list(pool.map(lambda rival: rival.post(path, {}).status_code, rivals))

        assert [201, 403, 403, 403] == sorted(statuses)
        assert 1 == graph.db["archive_history"].count_documents({"operation": "item_lock"})

    def test_is_for_members_and_owners(
        self, app: Any, admin: Any, story: Any, graph: Graph
    ) -> None:
        """A desk's items are for its members, personal items for their owner."""
        make_user(graph, "guest", privileges={"archive": 1})
        guest = log_in(app, "guest")
        task = {"user": admin.session["user"]}
        own = admin.create("archive", {"task": task})

        assert [
            (403, "User is not a member of the desk."),
            (403, "Item belongs to another user."),
        ] == [refusal(guest.post(f"archive/{i['_id']}/lock", {})) for i in (story, own)]

    @pytest.mark.parametrize("verb", ["lock", "unlock"])
    def test_refuses_what_it_cannot_do(self, admin: Any, story: Any, verb: str) -> None:
        """Unknown items are 404, unknown fields 400."""
        assert 404 == admin.post(f"archive/unknown/{verb}", {}).status_code
        answer = admin.post(f"archive/{story['_id']}/{verb}", {"nonsense": 1})
        assert (400, {"nonsense": "unknown field"}) == (
            answer.status_code,
            answer.get_json()["_issues"],
        )

    def test_needs_the_privilege(self, editor: Any, story: Any) -> None:
        """Without the privilege `archive` there is no lock."""
        assert 403 == editor.post(f"archive/{story['_id']}/lock", {}).status_code

    def test_completes_an_interrupted_save_first(
        self, admin: Any, story: Any, graph: Graph
    ) -> None:
        """A process that died in a save stops nobody from locking."""
        note = {"at": graph.clock.precise(), "version": 1}
        graph.db["archive"].update_one({"_id": story["_id"]}, {"$set": {"journal": note}})

        assert 201 == admin.post(f"archive/{story['_id']}/lock", {}).status_code
        assert "journal" not in (graph.db["archive"].find_one() or {})


class TestWhoMayLock:
    """Both verbs ask the same: the privilege, the desk, or the task of an item without one.

    Lifecycle contract 3.7.
    """

    @pytest.fixture
    def desk(self, newsroom: Newsroom) -> dict[str, Any]:
        """The `task` of items on a desk without members."""
        desk = newsroom._desk("Closed", members=[])
        return {"desk": desk["_id"], "stage": desk["working_stage"]}

    @staticmethod
    def join(graph: Graph, task: dict[str, Any], client: Client) -> Any:
        """Make the client the only member of the desk; return the id of the user."""
        user = ObjectId(client.session["user"])
        graph.db["desks"].update_one({"_id": task["desk"]}, {"$set": {"members": [{"user": user}]}})
        return user

    @staticmethod
    def store(graph: Graph, **fields: Any) -> str:
        """Store an item as a migration does."""
        item = {"_id": "held", "guid": "held", "type": "text", "_current_version": 1, **fields}
        graph.db["archive"].insert_one(item)
        return "archive/held"

    @pytest.mark.parametrize("state", ["fetched", "published", "spiked", "killed"])
    def test_administrators_are_no_members(
        self, admin: Any, graph: Graph, desk: Any, state: str
    ) -> None:
        """Whatever they hold, nobody unlocks on a desk that does not know them."""
        path = self.store(graph, state=state, task=desk, lock_user=ObjectId(), lock_session=1)

        refused = admin.post(f"{path}/unlock", {})
        self.join(graph, desk, admin)

        assert (403, "User is not a member of the desk.") == refusal(refused)
        assert 201 == admin.post(f"{path}/unlock", {}).status_code

    def test_nor_do_they_lock_there(self, admin: Any, graph: Graph, desk: Any) -> None:
        """The same check on the way in."""
        path = self.store(graph, state="fetched", task=desk)

        assert (403, "User is not a member of the desk.") == refusal(admin.post(f"{path}/lock", {}))
        assert "lock_user" not in (graph.db["archive"].find_one() or {})

    def test_who_has_left_the_desk_leaves_the_lock(
        self, app: Any, admin: Any, graph: Graph, desk: Any
    ) -> None:
        """One's own lock, too, is for members to remove."""
        make_user(graph, "leaver", privileges={"archive": 1, "unlock": 1})
        leaver = log_in(app, "leaver")
        path = self.store(graph, state="fetched", task=desk)
        self.join(graph, desk, leaver)
        leaver.create(f"{path}/lock", {})
        self.join(graph, desk, admin)

        refused = leaver.post(f"{path}/unlock", {})

        assert (403, "User is not a member of the desk.") == refusal(refused)
        assert 201 == admin.post(f"{path}/unlock", {}).status_code

    @pytest.mark.parametrize("as_text", [False, True])
    def test_members_by_ids_of_any_form(
        self, admin: Any, graph: Graph, desk: Any, as_text: bool
    ) -> None:
        """Others name desks and their members by text."""
        form: Any = str if as_text else ObjectId
        graph.db["desks"].update_one(
            {"_id": desk["desk"]}, {"$set": {"members": [{"user": form(admin.session["user"])}]}}
        )
        path = self.store(graph, state="fetched", task={"desk": form(desk["desk"])})

        assert 201 == admin.post(f"{path}/lock", {}).status_code
        assert 201 == admin.post(f"{path}/unlock", {}).status_code

    @pytest.mark.parametrize("state", ["draft", "in_progress", "published"])
    def test_without_a_desk_only_its_user_does(
        self, app: Any, admin: Any, graph: Graph, state: str
    ) -> None:
        """No privilege opens the personal space of somebody else."""
        owner = make_user(graph, "owner", privileges={"archive": 1})
        path = self.store(graph, state=state, task={"user": owner["_id"]})
        client = log_in(app, "owner")
        client.create(f"{path}/lock", {})

        refused = admin.post(f"{path}/unlock", {})

        assert (403, "Item belongs to another user.") == refusal(refused)
        assert 201 == client.post(f"{path}/unlock", {}).status_code

    @pytest.mark.parametrize("task", [None, {}, {"user": None}, {"desk": None, "stage": None}])
    def test_without_a_task_the_lock_says_whose_it_is(
        self, app: Any, admin: Any, graph: Graph, task: Any
    ) -> None:
        """An item that others stored locked, without saying who works on it."""
        user, session = ObjectId(admin.session["user"]), admin.session_id
        lock = {"lock_user": user, "lock_session": session}
        path = self.store(graph, state="in_progress", task=task, original_creator="x", **lock)
        make_user(graph, "chief", user_type="administrator")

        refused = log_in(app, "chief").post(f"{path}/unlock", {})

        assert (403, "Item belongs to another user.") == refusal(refused)
        assert 201 == admin.post(f"{path}/unlock", {}).status_code

    def test_unlocking_needs_the_privilege_archive(self, app: Any, graph: Graph, desk: Any) -> None:
        """`unlock` alone is not enough, nor is holding the lock."""
        user = make_user(graph, "reader", privileges={"unlock": 1})
        reader = log_in(app, "reader")
        self.join(graph, desk, reader)
        path = self.store(graph, state="fetched", task=desk, lock_user=user["_id"])

        refused = reader.post(f"{path}/unlock", {})

        assert (403, "User does not have sufficient permissions.") == refusal(refused)


class TestUnlock:
    def test_frees_the_item(self, admin: Any, story: Any, graph: Graph, settings: Any) -> None:
        """The lock is gone, the version stays, clients and history know."""
        admin.create(f"archive/{story['_id']}/lock", {})

        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            free = admin.create(f"archive/{story['_id']}/unlock", {})
            (told,) = events.named("item:unlock")

        assert [None] * 4 == [free[name] for name in LOCK_FIELDS]
        assert (1, "1", "fetched") == (
            free["_current_version"],
            told["item_version"],
            told["state"],
        )
        assert 1 == graph.db["archive_history"].count_documents({"operation": "item_unlock"})

    def test_refuses_a_free_item(self, admin: Any, story: Any, newsroom: Newsroom) -> None:
        """Lifecycle scenario 30: publishing frees the item, so there is nothing left to unlock."""
        newsroom.validators()
        admin.create(f"archive/{story['_id']}/lock", {})
        admin.patch(f"archive/publish/{story['_id']}", {})

        answer = admin.post(f"archive/{story['_id']}/unlock", {})

        assert (400, "Item is not locked.") == refusal(answer)

    def test_of_others_needs_the_privilege(
        self, app: Any, admin: Any, story: Any, graph: Graph, newsroom: Newsroom
    ) -> None:
        """403 without the privilege `unlock`, 201 with it.

        Lifecycle scenario 68; resources scenario R39.
        """
        admin.create(f"archive/{story['_id']}/lock", {})
        plain = member(app, graph, newsroom, "plain", "archive")
        chief = member(app, graph, newsroom, "chief", "archive", "unlock")
        path = f"archive/{story['_id']}/unlock"

        refused = plain.post(path, {})

        assert (403, "You don't have permissions to unlock an item.") == refusal(refused)
        assert 201 == chief.post(path, {}).status_code

    def test_of_an_unsaved_draft_deletes_it(self, admin: Any, graph: Graph) -> None:
        """Nothing is left of a draft that was never saved.

        Lifecycle scenario 69; resources scenario R40.
        """
        draft = admin.create("archive", {"version": 0})
        admin.create(f"archive/{draft['_id']}/lock", {})

        answer = admin.post(f"archive/{draft['_id']}/unlock", {})

        assert (201, 0) == (answer.status_code, answer.get_json()["_id"])
        assert 404 == admin.get(f"archive/{draft['_id']}").status_code
        assert 0 == graph.db["archive_history"].count_documents({"item_id": draft["_id"]})

    def test_of_an_unsaved_package_frees_its_members(
        self, admin: Any, story: Any, graph: Graph, newsroom: Newsroom
    ) -> None:
        """Lifecycle scenario 69: links of members to the deleted package are gone."""
        groups = [
            {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": "main"}]},
            {"id": "main", "role": "grpRole:main", "refs": [{"residRef": story["_id"]}]},
        ]
        body = {"type": "composite", "version": 0, "groups": groups, "task": newsroom.task}
        package = admin.create("archive", body)
        admin.create(f"archive/{package['_id']}/lock", {})

        admin.create(f"archive/{package['_id']}/unlock", {})

        stored = graph.db["archive"].find_one({"_id": story["_id"]}) or {}
        assert [] == stored.get("linked_in_packages", [])

    def test_saves_what_was_autosaved(self, admin: Any, story: Any) -> None:
        """Autosaved content becomes the next version.

        Lifecycle scenario 70; resources scenario R41.
        """
        admin.create(f"archive/{story['_id']}/lock", {})
        admin.create("archive_autosave", {"_id": story["_id"], "headline": "typed"})

        saved = admin.create(f"archive/{story['_id']}/unlock", {})

        assert ("typed", 2, None) == (
            saved["headline"],
            saved["_current_version"],
            saved["lock_user"],
        )
        assert 404 == admin.get(f"archive_autosave/{story['_id']}").status_code

    def test_saves_a_schedule_that_has_passed(self, admin: Any, story: Any, graph: Graph) -> None:
        """Lifecycle scenario 70: what was typed is kept, even if it could not be saved any more."""
        admin.create(f"archive/{story['_id']}/lock", {})
        past = "2001-01-01T00:00:00+0000"
        admin.create("archive_autosave", {"_id": story["_id"], "publish_schedule": past})

        saved = admin.create(f"archive/{story['_id']}/unlock", {})

        assert (past, 2) == (saved["publish_schedule"], saved["_current_version"])


class TestSessionEnd:
    def test_frees_the_items_of_the_session(self, app: Any, admin: Any, story: Any) -> None:
        """A logout unlocks what the session has locked; autosaved content is kept.

        Resources scenario R07.
        """
        leaver = log_in(app, "admin")
        leaver.create(f"archive/{story['_id']}/lock", {})
        leaver.create("archive_autosave", {"_id": story["_id"], "headline": "typed"})

        etag = leaver.get(f"auth_db/{leaver.session['_id']}").get_json()["_etag"]
        assert 204 == leaver.delete(f"auth_db/{leaver.session['_id']}", etag).status_code

        item = admin.get(f"archive/{story['_id']}").get_json()
        assert (None, "typed", 2) == (
            item["lock_user"],
            item["headline"],
            item["_current_version"],
        )

    def test_leaves_locks_of_other_sessions(self, app: Any, admin: Any, story: Any) -> None:
        """What the same user has locked elsewhere stays locked."""
        admin.create(f"archive/{story['_id']}/lock", {})
        leaver = log_in(app, "admin")

        etag = leaver.get(f"auth_db/{leaver.session['_id']}").get_json()["_etag"]
        leaver.delete(f"auth_db/{leaver.session['_id']}", etag)

        assert admin.get(f"archive/{story['_id']}").get_json()["lock_user"]

    @pytest.mark.parametrize("end", ["logout", "administrator", "expiry"])
    def test_asks_nobody(
        self, app: Any, admin: Any, story: Any, graph: Graph, newsroom: Newsroom, end: str
    ) -> None:
        """However a session ends, it frees what it holds, also on a desk that was left.

        Without the privilege `archive`, and with autosaved content that may not be saved: that
        stays where it is.
        """
        leaver = member(app, graph, newsroom, "leaver", "archive")
        leaver.create(f"archive/{story['_id']}/lock", {})
        leaver.create("archive_autosave", {"_id": story["_id"], "headline": "typed"})
        stage = ObjectId(story["task"]["stage"])
        graph.db["stages"].update_one({"_id": stage}, {"$set": {"local_readonly": True}})
        graph.db["desks"].update_many({}, {"$set": {"members": []}})
        graph.db["users"].update_one({"username": "leaver"}, {"$set": {"privileges": {}}})

        session = leaver.session["_id"]
        if end == "expiry":
            long_ago = {"_updated": datetime(2001, 1, 1, tzinfo=UTC)}
            graph.db["auth"].update_one({"_id": leaver.session_id}, {"$set": long_ago})
            graph.newsroom.auth.end_expired()
        else:
            client, path = (leaver, "auth_db") if end == "logout" else (admin, "auth")
            etag = leaver.session["_etag"]
            assert 204 == client.delete(f"{path}/{session}", etag).status_code

        item = graph.db["archive"].find_one({"_id": story["_id"]}) or {}
        assert [None] * 4 == [item[name] for name in LOCK_FIELDS]
        assert ("Rivers rise", 1) == (item["headline"], item["_current_version"])
        autosave = graph.db["archive_autosave"].find_one({"_id": story["_id"]}) or {}
        assert "typed" == autosave["headline"]

    def test_frees_locks_that_others_stored(self, app: Any, admin: Any, graph: Graph) -> None:
        """Users and sessions may be named by text."""
        lock = {"lock_user": admin.session["user"], "lock_session": admin.session["_id"]}
        graph.db["archive"].insert_one({"_id": "held", "state": "fetched", **lock})

        admin.delete(f"auth_db/{admin.session['_id']}", admin.session["_etag"])

        assert (graph.db["archive"].find_one({"_id": "held"}) or {})["lock_user"] is None


class TestWorkqueue:
    def test_lists_what_a_user_has_locked(self, admin: Any, story: Any, newsroom: Newsroom) -> None:
        """Resources scenario R42: `source` narrows the list down to a holder of locks."""
        admin.create("archive", newsroom.story())
        admin.create(f"archive/{story['_id']}/lock", {})
        source = json.dumps({"filter": {"term": {"lock_user": admin.session["user"]}}}).decode()

        listed = admin.get("workqueue", source=source).get_json()["_items"]

        assert [story["_id"]] == [item["_id"] for item in listed]

    @pytest.mark.parametrize(
        "source",
        [
            *("{", "[]", '{"filter": 1}', '{"filter":{"term":{"$or":1}}}', '{"filter":{"x":1}}'),
            *('{"filter":{"term":{"lock_user":{"$regex":"a"}}}}', "[" * 3000),
        ],
        ids=lambda source: source[:50],
    )
    def test_refuses_other_queries(self, admin: Any, source: str) -> None:
        """What is no filter is refused, not ignored."""
        assert 400 == admin.get("workqueue", source=source).status_code


class TestRelated:
    def test_lists_the_family(self, admin: Any, story: Any, newsroom: Newsroom) -> None:
        """Other items with the same `family_id`; 404 for an unknown item."""
        other = admin.create("archive", newsroom.story(family_id=story["family_id"]))
        admin.create("archive", newsroom.story())

        listed = admin.get(f"archive/{story['_id']}/related").get_json()["_items"]

        assert [other["_id"]] == [item["_id"] for item in listed]
        assert 404 == admin.get(f"archive/{ObjectId()}/related").status_code

    def test_lists_what_is_out(self, admin: Any, story: Any, graph: Graph) -> None:
        """Of the family, what is worked on or has been published; no drafts, nothing spiked."""
        family = {"family_id": story["family_id"], "type": "text", "task": {}}
        graph.db["archive"].insert_many({"_id": state, "state": state, **family} for state in State)

        listed = admin.get(f"archive/{story['_id']}/related").get_json()["_items"]

        assert {item["_id"] for item in listed} == {
            *("ingested", "routed", "fetched", "submitted", "in_progress"),
            *("published", "corrected", "scheduled", "killed", "recalled", "unpublished"),
        }
