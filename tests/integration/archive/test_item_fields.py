"""Fields of an item, row by row (lifecycle contract 1)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import gridfs
import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client, log_in, make_user
from tests.support.newsroom import Newsroom

OSLO = {
    "city": "Oslo",
    "country": "Norway",
    "tz": "Europe/Oslo",
    "dateline": "city,country",
}


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    return newsroom


def save(client: Client, item: Document, **changes: Any) -> Document:
    answer = client.patch(f"archive/{item['_id']}", changes)
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def publish(client: Client, operation: str, item: Document, **changes: Any) -> Document:
    answer = client.patch(f"archive/{operation}/{item['_id']}", changes)
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


class TestSettings:
    """What an installation may set for new items."""

    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {
            **settings,
            "GENERATE_SHORT_GUID": True,
            "DEFAULT_CONTENT_TYPE": "story",
            "DEFAULT_LANGUAGE": "nb",
            "DEFAULT_PRIORITY_VALUE_FOR_MANUAL_ARTICLES": 2,
            "DEFAULT_URGENCY_VALUE_FOR_MANUAL_ARTICLES": 1,
            "DEFAULT_GENRE_VALUE_FOR_MANUAL_ARTICLES": [{"qcode": "Note"}],
            "FULL_SIGN_OFF": True,
            "CONTENT_EXPIRY_MINUTES": 30,
        }

    def test_of_new_items(self, admin: Client) -> None:
        """A bare UUID, profile, language, priority, urgency, genre.

        Lifecycle contract 1.1, 1.2, 1.7.
        """
        text = admin.create("archive", {})
        picture = admin.create("archive", {"type": "picture", "priority": 5})

        assert UUID(text["guid"])
        assert ("story", "nb", 2, 1, [{"qcode": "Note"}]) == (
            text["profile"],
            text["language"],
            text["priority"],
            text["urgency"],
            text["genre"],
        )
        assert ("picture", 5) == (picture["profile"], picture["priority"])

    def test_of_sign_offs(self, app: Any, admin: Client, graph: Graph) -> None:
        """Lifecycle contract 1.10: an earlier mark of the user stays; one in the request wins."""
        make_user(graph, "foo", user_type="administrator", sign_off="foo")
        item = admin.create("archive", {})
        foo = log_in(app, "foo")

        marks = [save(client, item, headline="x")["sign_off"] for client in (foo, admin, admin)]

        assert ["abc/foo", "abc/foo/abc", "abc/foo/abc"] == marks
        assert "me" == save(admin, item, sign_off="me")["sign_off"]

    def test_of_expiry(self, admin: Client, newsroom: Newsroom) -> None:
        """Stage before desk before setting, and only on a desk; 0 and -1 fall through.

        Lifecycle contract 1.6; resources scenario R34.
        """
        db, desk = newsroom.db, newsroom.desk

        def minutes(stage: Any, of_desk: Any) -> int:
            own = {"content_expiry": stage}
            db["stages"].update_one({"_id": desk["working_stage"]}, {"$set": own})
            db["desks"].update_one({"_id": desk["_id"]}, {"$set": {"content_expiry": of_desk}})
            item = admin.create("archive", newsroom.story())
            created = db["archive"].find_one({"_id": item["_id"]}) or {}
            save(admin, item, headline="x")
            saved = db["archive"].find_one({"_id": item["_id"]}) or {}
            lives = {
                round((row["expiry"] - row["versioncreated"]) / timedelta(minutes=1))
                for row in (created, saved)
            }
            (found,) = lives
            return found

        assert [10, 20, 20, 30] == [minutes(10, 20), minutes(0, 20), minutes(-1, 20), minutes(0, 0)]
        assert not admin.create("archive", {}).get("expiry")


class TestIdentity:
    def test_a_name_is_taken_once(self, admin: Client) -> None:
        """Lifecycle scenario 4: the second item that takes a name is refused."""
        first, second = admin.create("archive", {}), admin.create("archive", {})

        answer = admin.patch(f"archive/{second['_id']}", {"unique_name": first["unique_name"]})

        assert (400, {"unique_name": {"unique": 1}}) == (
            answer.status_code,
            answer.get_json()["_issues"],
        )

    def test_a_type_is_for_ever(self, admin: Client) -> None:
        """Lifecycle contract 1.2: a PATCH that brings another one drops it silently."""
        item = admin.create("archive", {})

        assert "text" == save(admin, item, type="picture")["type"]

    def test_what_was_stored_by_others_is_read_as_clients_know_it(
        self, admin: Client, newsroom: Newsroom
    ) -> None:
        """Lifecycle contract 1.2, 1.3: a missing profile is the type, `pubstatus` is lower case."""
        newsroom.db["archive"].insert_one(
            {"_id": "old", "type": "picture", "state": "fetched", "pubstatus": "Usable"}
        )

        item = admin.get("archive/old").get_json()

        assert ("picture", "usable") == (item["profile"], item["pubstatus"])

    def test_ids_in_tasks_are_stored_as_such(self, admin: Client, newsroom: Newsroom) -> None:
        """Lifecycle contract 1.5: texts of ids become ids, on create and on save."""
        item = admin.create("archive", newsroom.story())
        user = admin.session["user"]
        save(admin, item, task={**newsroom.task, "user": user})

        task = (newsroom.db["archive"].find_one({"_id": item["_id"]}) or {})["task"]

        assert {"desk", "stage", "user"} == set(task)
        assert {ObjectId} == {type(value) for value in task.values()}

    def test_an_unsaved_draft_shows_up_when_it_is_saved(self, admin: Client) -> None:
        """Version 0 is on no list; the first save gives it the number of its version.

        Lifecycle contract 1.4.
        """
        draft = admin.create("archive", {"version": 0, "headline": "x"})
        before = admin.get("archive").get_json()["_meta"]["total"]

        saved = save(admin, draft, headline="y")

        assert (0, 0, 1, 1) == (
            draft["_current_version"],
            before,
            saved["_current_version"],
            saved["version"],
        )
        assert 1 == admin.get("archive").get_json()["_meta"]["total"]


class TestWriter:
    """Byline, place and dateline come from the user's profile and preferences.

    Lifecycle contract 1.7.
    """

    @pytest.fixture
    def writer(self, app: Any, graph: Graph) -> Client:
        preferences = {
            "dateline:located": {"located": OSLO},
            "article:default:place": {"place": [{"qcode": "NO", "name": "Norway"}]},
        }
        make_user(
            graph,
            "writer",
            privileges=dict.fromkeys(("archive", "fetch", "move"), 1),
            byline="By Writer",
            user_preferences=preferences,
        )
        return log_in(app, "writer")

    def test_are_filled_in_on_create(self, writer: Client) -> None:
        """The dateline shows today in the zone of its place."""
        item = writer.create("archive", {})

        assert ("By Writer", ["NO"], OSLO) == (
            item["byline"],
            [place["qcode"] for place in item["place"]],
            item["dateline"]["located"],
        )
        assert item["dateline"]["text"].startswith("OSLO, NORWAY, ")
        assert item["dateline"]["date"] == item["firstcreated"]

    def test_stay_as_they_were_sent(self, writer: Client) -> None:
        """Only what is absent is filled in."""
        sent = {"byline": "By me", "place": [], "dateline": {"text": "HERE -"}}

        item = writer.create("archive", sent)

        assert ("By me", [], "HERE -") == (item["byline"], item["place"], item["dateline"]["text"])
        assert "located" not in item["dateline"]

    def test_are_not_put_on_fetched_items(self, writer: Client, newsroom: Newsroom) -> None:
        """What comes from elsewhere is by somebody else."""
        newsroom.db["ingest"].insert_one({"_id": "wire", "type": "text", "state": "ingested"})

        item = writer.create("ingest/wire/fetch", {"desk": newsroom.task["desk"]})

        assert not {"byline", "place", "dateline"} & set(item)


class TestContent:
    def test_a_dateline_is_written_on_save(self, admin: Client) -> None:
        """Place in upper case, month as agencies write it, in the zone of the place.

        Lifecycle contract 1.7.
        """
        item = admin.create("archive", {})
        dateline = {"located": OSLO, "date": "2030-09-01T22:30:00+0000", "source": "AAP"}

        saved = save(admin, item, dateline=dateline)

        assert "OSLO, NORWAY, Sept 2 AAP -" == saved["dateline"]["text"]

    @pytest.mark.parametrize("source", [None, "FOO"])
    def test_a_dateline_has_the_source_of_its_item(
        self, admin: Client, newsroom: Newsroom, source: str | None
    ) -> None:
        """On create, save and in copies; whatever the client or the original says."""
        newsroom.db["desks"].update_one({}, {"$set": {"source": source}})
        dateline = {"located": OSLO, "date": "2030-09-01T22:30:00+0000", "source": "other"}
        wanted = source or "AAP", f"OSLO, NORWAY, Sept 2 {source or 'AAP'} -"

        item = admin.create("archive", newsroom.story(dateline=dateline))
        saved = save(admin, item, dateline={**dateline, "source": None})
        newsroom.db["archive"].update_one({}, {"$set": {"dateline.source": "old"}})
        order = {"desk": newsroom.task["desk"], "type": "archive"}
        copy = admin.create(f"archive/{item['_id']}/duplicate", order)

        for each in (item, saved, copy):
            assert (each["dateline"]["source"], each["dateline"]["text"]) == wanted

    @pytest.mark.parametrize("dateline", [{"text": "HERE -"}, {"located": OSLO}, {}, None])
    def test_a_dateline_without_place_or_day_stays(self, admin: Client, dateline: Any) -> None:
        item = admin.create("archive", {"dateline": dateline})

        assert item["dateline"] == dateline
        assert save(admin, item, dateline=dateline)["dateline"] == dateline

    @pytest.mark.parametrize("id_", ["snap", 7, ObjectId("5f" * 12)])
    def test_profiles_have_defaults(self, admin: Client, graph: Graph, id_: Any) -> None:
        """For what a new item has not; those that no item can hold are left out."""
        schema: Document = {
            "headline": {"default": "Untitled"},
            "priority": {"default": 4},
            "place": {"default": [{"qcode": "NO", "name": "Norway"}]},
            "slugline": {"required": True, "default": None},
            "urgency": {"default": "much"},
            "keywords": {"default": {"a": 1}},
            "state": {"default": "published"},
            "abstract": None,
        }
        graph.db["content_types"].insert_one({"_id": id_, "label": "Snap", "schema": schema})

        bare = admin.create("archive", {"profile": str(id_)})
        empty = admin.create("archive", {"profile": str(id_), "headline": "", "priority": None})
        full = admin.create("archive", {"profile": str(id_), "headline": "Mine", "priority": 2})

        for item in (bare, empty):
            assert (item["headline"], item["priority"]) == ("Untitled", 4)
        assert (full["headline"], full["priority"]) == ("Mine", 2)
        for item in (bare, empty, full):
            assert [place["qcode"] for place in item["place"]] == ["NO"]
            assert (item["urgency"], item["state"]) == (3, "draft")
            assert not {"slugline", "abstract", "keywords"} & {n for n, v in item.items() if v}

    def test_empty_fields_get_the_defaults_of_the_settings(self, admin: Client) -> None:
        item = admin.create("archive", {"priority": None, "urgency": None, "genre": []})

        assert (item["priority"], item["urgency"]) == (6, 3)
        assert [genre["qcode"] for genre in item["genre"]] == ["Article"]

    def test_words_are_counted(self, admin: Client, newsroom: Newsroom) -> None:
        """Unless the client counts; an emptied body has none, after a correction neither.

        Lifecycle contract 1.4.
        """
        item = admin.create("archive", newsroom.story(body_html="<p>one two</p>"))
        counts = [
            save(admin, item, **changes)["word_count"]
            for changes in (
                {"body_html": "<p>one</p>"},
                {"body_html": "<p>one</p>", "word_count": 9},
                {"headline": "x"},
                {"body_html": None},
            )
        ]
        save(admin, item, body_html="<p>one</p>")
        publish(admin, "publish", item)

        corrected = publish(admin, "correct", item, body_html=None)

        assert (2, [1, 9, 9, 0], 0) == (item["word_count"], counts, corrected["word_count"])

    def test_the_editor_writes_fields(self, admin: Client, newsroom: Newsroom) -> None:
        """On save and on correct, in `extra` as well; the words are counted then. What the client
        wrote itself stays.

        Lifecycle contract 1.7.
        """

        def meta(**texts: str) -> Document:
            return {
                field.replace("__", ">"): {
                    "draftjsState": [{"blocks": [{"text": text, "type": "unstyled"}]}]
                }
                for field, text in texts.items()
            }

        item = admin.create("archive", newsroom.story())
        saved = save(
            admin,
            item,
            headline="Sent",
            fields_meta=meta(body_html="One two", headline="Typed", extra__note="Note"),
        )
        publish(admin, "publish", item)
        corrected = publish(admin, "correct", item, fields_meta=meta(body_html="One"))

        assert ("<p>One two</p>", "Sent", {"note": "<p>Note</p>"}, 2) == (
            saved["body_html"],
            saved["headline"],
            saved["extra"],
            saved["word_count"],
        )
        assert ("<p>One</p>", 1) == (corrected["body_html"], corrected["word_count"])

    def test_dates_of_custom_fields(self, admin: Client, newsroom: Newsroom) -> None:
        """Lifecycle contract 1.7: texts become dates where the profile says so, on every write."""
        schema = {"embargo_date": {"type": "date"}, "note": {"type": "text"}}
        newsroom.db["content_types"].insert_one({"_id": "dated", "schema": schema})
        day = "2030-05-01T10:00:00+0000"
        body = newsroom.story(profile="dated", extra={"embargo_date": "2030-05-01", "note": day})

        def stored(item: Document) -> Document:
            found = newsroom.db["archive"].find_one({"_id": item["_id"]}) or {}
            return dict(found["extra"])

        item = admin.create("archive", body)
        assert {"embargo_date": datetime(2030, 5, 1, tzinfo=UTC), "note": day} == stored(item)
        save(admin, item, extra={"embargo_date": "2030-05-01T12:00:00+02:00"})
        assert datetime(2030, 5, 1, 10, tzinfo=UTC) == stored(item)["embargo_date"]
        save(admin, item, extra={"embargo_date": "some day"})
        assert "some day" == stored(item)["embargo_date"]
        published = publish(admin, "publish", item, extra={"embargo_date": day})
        assert datetime(2030, 5, 1, 10, tzinfo=UTC) == stored(item)["embargo_date"]
        assert day == published["extra"]["embargo_date"]

    def test_a_source_from_elsewhere_stays(self, admin: Client, newsroom: Newsroom) -> None:
        """Ingested items keep their source, also when they are published.

        Lifecycle contract 1.7.
        """
        own = {"ingest_provider": str(ObjectId()), "source": "WIRE"}
        item = admin.create("archive", newsroom.story(**own))

        assert ("WIRE", "WIRE") == (item["source"], publish(admin, "publish", item)["source"])

    def test_packages_have_no_footer(self, admin: Client, newsroom: Newsroom) -> None:
        """Lifecycle contract 1.9: refused on create, too."""
        answer = admin.post("archive", newsroom.story(type="composite", body_footer="x"))

        assert (400, "Package doesn't support Public Service Announcements") == (
            answer.status_code,
            answer.get_json()["_message"],
        )

    def test_history_leaves_an_unchanged_message_out(self, admin: Client) -> None:
        """Lifecycle contract 3.13: an `sms_message` is on record when it changes."""
        item = admin.create("archive", {"sms_message": "hello"})
        save(admin, item, sms_message="hello", headline="x")
        save(admin, item, sms_message="bye")

        where = f'item_id=="{item["_id"]}"'
        rows = admin.get("archive_history", where=where).get_json()["_items"]

        assert [None, "bye"] == [row["update"].get("sms_message") for row in rows[1:]]


class TestRouted:
    def test_items_have_an_author_on_record(self, admin: Client, graph: Graph) -> None:
        """What a routing rule puts on a desk was created by its author first, where known.

        Lifecycle contract 3.13.
        """
        author = make_user(graph, "author")
        routed = {"state": "routed", "headline": "x"}
        known, unknown = graph.editing.archive.post(
            [
                {**routed, "original_creator": str(author["_id"])},
                {**routed, "original_creator": str(ObjectId())},
            ]
        )
        copied = {**routed, "original_creator": str(author["_id"]), "original_id": known}
        (copy,) = graph.editing.archive.post([copied])

        def users(item_id: Any) -> list[Any]:
            rows = graph.db["archive_history"].find({"item_id": item_id}).sort("_id", 1)
            return [(row["operation"], row["user_id"]) for row in rows]

        assert [("create", author["_id"]), ("create", None)] == users(known)
        assert [("create", None)] == users(unknown) == users(copy)


class TestAttachments:
    """Lifecycle contract 1.7: an attachment that a save drops is deleted, with its file."""

    @pytest.fixture
    def attached(self, graph: Graph) -> dict[str, ObjectId]:
        files = gridfs.GridFS(graph.db)
        media = {name: files.put(b"x") for name in ("kept", "dropped")}
        ids = {name: ObjectId() for name in media}
        graph.db["attachments"].insert_many(
            [{"_id": ids[name], "media": media[name], "title": name} for name in media]
        )
        return ids

    def left(self, graph: Graph) -> tuple[list[str], int]:
        titles = sorted(row["title"] for row in graph.db["attachments"].find())
        return titles, graph.db["fs.files"].count_documents({})

    def body(self, attached: dict[str, ObjectId], *names: str) -> list[Document]:
        return [{"attachment": str(attached[name])} for name in names]

    def test_go_when_they_are_dropped(
        self, admin: Client, graph: Graph, attached: dict[str, ObjectId]
    ) -> None:
        """Those that stay, stay; a save that does not speak of them drops none."""
        both = self.body(attached, "kept", "dropped")
        item = admin.create("archive", {"attachments": both})

        save(admin, item, headline="x")
        assert (["dropped", "kept"], 2) == self.left(graph)
        save(admin, item, attachments=self.body(attached, "kept"))

        assert (["kept"], 1) == self.left(graph)

    def test_stay_where_others_hold_them(
        self, admin: Client, newsroom: Newsroom, graph: Graph, attached: dict[str, ObjectId]
    ) -> None:
        """Another item, or a version that went out."""
        shared = self.body(attached, "kept")
        out = admin.create("archive", newsroom.story(attachments=self.body(attached, "dropped")))
        publish(admin, "publish", out)
        publish(admin, "unpublish", out)
        first = admin.create("archive", {"attachments": shared})
        admin.create("archive", {"attachments": shared})

        save(admin, out, attachments=[])
        save(admin, first, attachments=None)

        assert (["dropped", "kept"], 2) == self.left(graph)
