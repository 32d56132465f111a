"""The order of the refusals of a save, and those that a save shares with a correction."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client, log_in, make_user
from tests.support.newsroom import Newsroom

REFUSED = "validator exception"
PAST, FUTURE = "2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z"
CROP = {"CropLeft": 0, "CropTop": 0, "CropRight": 800, "CropBottom": 600}
READ_ONLY: Document = {"code": 403, "error": {"readonly": True}}

Step = tuple[Any, Mapping[str, Any], Mapping[str, Any]]


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    newsroom = Newsroom(graph.db)
    sizes = [{"name": "4-3", "width": 800, "height": 600, "is_active": True}]
    newsroom.db["vocabularies"].insert_one({"_id": "crop_sizes", "items": sizes})
    return newsroom


@pytest.fixture
def writer(app: Any, graph: Graph) -> Client:
    """A user who may save items and nothing else."""
    make_user(graph, "writer", privileges={"archive": 1})
    return log_in(app, "writer")


def message(answer: Any) -> Any:
    body = answer.get_json()
    if answer.status_code == 200:
        return None
    return body if "error" in body else body["_issues"].get(REFUSED, body["_issues"])


class TestOrder:
    """Lifecycle contract 3.3: of several broken rules the first one of the table answers."""

    def walk(
        self, client: Client, db: Any, item: Document, payload: Document, steps: list[Step]
    ) -> None:
        """Check each refusal in turn, then mend what it is about in the item or the payload."""
        for expected, stored, sent in steps:
            answer = client.patch(f"archive/{item['_id']}", payload)
            assert expected == message(answer), answer.text
            if stored:
                db["archive"].update_one({"_id": item["_id"]}, {"$set": dict(stored)})
            payload = {
                name: value for name, value in {**payload, **sent}.items() if value is not ...
            }

    def test_of_a_picture(self, writer: Client, newsroom: Newsroom) -> None:
        """Everything but what is about packages."""
        db = newsroom.db
        closed = newsroom._desk("Closed")
        db["stages"].update_one(
            {"_id": closed["working_stage"]}, {"$set": {"local_readonly": True}}
        )
        renditions = {"original": {"width": 2000, "height": 1500}}
        item = writer.create("archive", newsroom.story(type="picture", renditions=renditions))
        place = {"desk": closed["_id"], "stage": closed["working_stage"]}
        broken = {
            "task": {**item["task"], **place},
            "lock_user": ObjectId(),
            "state": "killed",
            "broadcast": {"status": ""},
            "linked_in_packages": [{"package": "p"}],
        }
        db["archive"].update_one({"_id": item["_id"]}, {"$set": broken})
        home = {name: ObjectId(value) for name, value in newsroom.task.items()}
        payload = {
            "headline": 5,
            "task": newsroom.task,
            "unique_name": "#mine",
            "genre": [{"qcode": "Feature"}],
            "publish_schedule": PAST,
            "schedule_settings": {"time_zone": "Mars/Olympus"},
            "renditions": {"5-4": CROP},
            "embargo": PAST,
            "anpa_category": [{"qcode": "a"}, {"qcode": "a"}],
        }
        self.walk(
            writer,
            db,
            item,
            payload,
            [
                ({"headline": "must be of string type"}, {}, {"headline": "fine"}),
                (READ_ONLY, {"task": home}, {}),
                ("403: The item was locked by another user", {"lock_user": None}, {}),
                (
                    "403: Item isn't in a valid state to be updated.",
                    {"state": "corrected"},
                    {},
                ),
                ("403: Unauthorized to modify Unique Name", {}, {"unique_name": ...}),
                ("400: Cannot change the genre for broadcast content.", {}, {"genre": ...}),
                (
                    "400: This item is in a package and it needs to be removed "
                    "before the item can be scheduled!",
                    {"linked_in_packages": None},
                    {},
                ),
                ("400: Unknown time zone Mars/Olympus", {}, {"schedule_settings": ...}),
                (
                    "400: Schedule cannot be earlier than now",
                    {},
                    {"publish_schedule": "1969-01-01T00:00:00Z"},
                ),
                (
                    "400: Schedule date is not recognized",
                    {},
                    {"publish_schedule": FUTURE},
                ),
                (
                    "400: Unknown crop name! (name=5-4)",
                    {},
                    {"renditions": {"4-3": {**CROP, "CropRight": 1600}}},
                ),
                ("400: Wrong aspect ratio!", {}, {"renditions": {"4-3": CROP}}),
                (
                    "400: An item can't have both Publish Schedule and Embargo",
                    {},
                    {"publish_schedule": ...},
                ),
                ("400: Embargo cannot be earlier than now", {}, {"embargo": FUTURE}),
                ("400: Duplicate category codes are not allowed", {}, {"anpa_category": ...}),
                ("412: Workflow transition is invalid.", {"state": "in_progress"}, {}),
                (None, {}, {}),
            ],
        )

    def test_of_a_package(self, writer: Client, newsroom: Newsroom) -> None:
        """The rules of packages stand between the others."""
        body = newsroom.story(type="composite")
        del body["body_html"]
        package = writer.create("archive", body)
        held = {"state": "killed", "lock_user": ObjectId()}
        newsroom.db["archive"].update_one({"_id": package["_id"]}, {"$set": held})
        payload = {
            "groups": [],
            "body_footer": "call us",
            "unique_name": "#mine",
            "publish_schedule": PAST,
            "embargo": FUTURE,
            "subject": [{"qcode": "1"}, {"qcode": "1"}],
        }
        self.walk(
            writer,
            newsroom.db,
            package,
            payload,
            [
                ({"groups": {"minlength": 1}}, {}, {"groups": [{"id": "main", "refs": []}]}),
                ("403: The item was locked by another user", {"lock_user": None}, {}),
                (
                    "403: Item isn't in a valid state to be updated.",
                    {"state": "published"},
                    {},
                ),
                (
                    "400: Package doesn't support Public Service Announcements",
                    {},
                    {"body_footer": ...},
                ),
                ("403: Unauthorized to modify Unique Name", {}, {"unique_name": ...}),
                (
                    "400: Schedule cannot be earlier than now",
                    {},
                    {"publish_schedule": ...},
                ),
                ("403: Root group is missing.", {}, {"groups": ...}),
                ("400: A Package doesn't support Embargo", {}, {"embargo": ...}),
                ("400: Duplicate subjects are not allowed", {}, {"subject": ...}),
                ("412: Workflow transition is invalid.", {"state": "in_progress"}, {}),
                (None, {}, {}),
            ],
        )


class TestStages:
    def test_a_read_only_stage_is_left_and_entered_by_nobody(
        self, admin: Client, newsroom: Newsroom
    ) -> None:
        """The stage where the item is counts, and the one it would go to.

        Lifecycle contract 3.3 row 2.
        """
        closed = str(newsroom.desk["incoming_stage"])
        item = admin.create("archive", newsroom.story())
        newsroom.db["stages"].update_one(
            {"_id": newsroom.desk["incoming_stage"]}, {"$set": {"local_readonly": True}}
        )
        target = {"task": {**newsroom.task, "stage": closed}}

        for changes in (target, {**target, "ingest_id": "claimed"}):
            answer = admin.patch(f"archive/{item['_id']}", changes)
            assert (403, READ_ONLY) == (answer.status_code, answer.get_json())


class TestForced:
    def test_passes_lock_name_times_and_crops(self, writer: Client, newsroom: Newsroom) -> None:
        """`force_unlock` is for the server's own saves of what was typed; the rest still holds."""
        item = writer.create("archive", newsroom.story(type="picture"))
        newsroom.db["archive"].update_one({"_id": item["_id"]}, {"$set": {"lock_user": ObjectId()}})
        payload = {
            "force_unlock": True,
            "unique_name": "#forced",
            "publish_schedule": PAST,
            "renditions": {"5-4": CROP},
        }

        saved = writer.patch(f"archive/{item['_id']}", payload)
        refused = writer.patch(
            f"archive/{item['_id']}",
            {"force_unlock": True, "subject": [{"qcode": "1"}, {"qcode": "1"}]},
        )

        assert 200 == saved.status_code, saved.text
        assert "400: Duplicate subjects are not allowed" == message(refused)


class TestRequestForSave:
    @pytest.mark.parametrize("value", ["false", False, "no"])
    def test_saves_whatever_the_state_is(
        self, admin: Client, newsroom: Newsroom, value: Any
    ) -> None:
        """The state is neither asked nor changed, and the key is not stored.

        Lifecycle contract 3.3 row 14.
        """
        item = admin.create("archive", newsroom.story(state="published"))

        saved = admin.patch(
            f"archive/{item['_id']}", {"headline": "x", "req_for_save": value}
        ).get_json()

        assert ("published", "x", 2) == (
            saved["state"],
            saved["headline"],
            saved["_current_version"],
        )
        assert "req_for_save" not in admin.get(f"archive/{item['_id']}").get_json()

    def test_true_is_the_usual_save(self, admin: Client, newsroom: Newsroom) -> None:
        """Only another value than `true` makes a difference."""
        item = admin.create("archive", newsroom.story(state="published"))

        answer = admin.patch(f"archive/{item['_id']}", {"req_for_save": "true"})

        assert "412: Workflow transition is invalid." == message(answer)


Picture = Callable[..., Document]


class TestCrops:
    """Lifecycle contract 3.3 row 11, 5.6, on the item itself and on the pictures that it holds."""

    @pytest.fixture
    def picture(self, admin: Client, newsroom: Newsroom) -> Document:
        newsroom.validators()
        newsroom.validators(item_type="picture")
        renditions = {"original": {"width": 2000, "height": 1500}}
        return admin.create("archive", newsroom.story(type="picture", renditions=renditions))

    def test_of_an_associated_picture(
        self, admin: Client, newsroom: Newsroom, picture: Document
    ) -> None:
        """What a story asks of its picture is checked against the picture."""
        story = admin.create("archive", newsroom.story())

        def saved(right: int) -> Any:
            crop = {"4-3": {**CROP, "CropRight": right}}
            media = {"_id": picture["_id"], "type": "picture", "renditions": crop}
            body = {"associations": {"featuremedia": media}}
            return message(admin.patch(f"archive/{story['_id']}", body))

        assert "400: Wrong crop size. Minimum crop size is 800x600." == saved(700)
        assert saved(800) is None

    def test_are_checked_before_anything_else_of_a_correction(
        self, admin: Client, newsroom: Newsroom, picture: Document
    ) -> None:
        """A bad crop answers even where the state would refuse the correction, too."""
        path = f"archive/correct/{picture['_id']}"
        bad = {"renditions": {"5-4": CROP}}

        while_in_progress = message(admin.patch(path, bad))
        assert 200 == admin.patch(f"archive/publish/{picture['_id']}", {}).status_code
        when_out = message(admin.patch(path, bad))
        good = {"renditions": {**picture["renditions"], "4-3": CROP}}

        assert "400: Unknown crop name! (name=5-4)" == while_in_progress == when_out
        assert message(admin.patch(path, good)) is None

    def test_of_an_associated_picture_in_a_correction(
        self, admin: Client, newsroom: Newsroom, picture: Document
    ) -> None:
        """A story's correction may crop its picture anew."""
        media = {"_id": picture["_id"], "type": "picture"}
        story = admin.create("archive", newsroom.story(associations={"featuremedia": media}))
        assert 200 == admin.patch(f"archive/publish/{story['_id']}", {}).status_code
        crop = {"4-3": {**CROP, "CropRight": 700}}

        answer = admin.patch(
            f"archive/correct/{story['_id']}",
            {"associations": {"featuremedia": {**media, "renditions": crop}}},
        )

        assert "400: Wrong crop size. Minimum crop size is 800x600." == message(answer)

    def test_of_another_file_go_with_a_correction(
        self, admin: Client, newsroom: Newsroom, picture: Document
    ) -> None:
        """Lifecycle contract 5.6: what was cropped from a file that was replaced does not stay."""
        old = {"original": {"href": "a"}, "4-3": {"href": "a-crop"}}
        media = {"_id": picture["_id"], "type": "picture", "renditions": old}
        story = admin.create("archive", newsroom.story(associations={"featuremedia": media}))
        assert 200 == admin.patch(f"archive/publish/{story['_id']}", {}).status_code
        new = {**media, "renditions": {"original": {"href": "b"}}}

        corrected = admin.patch(
            f"archive/correct/{story['_id']}", {"associations": {"featuremedia": new}}
        )

        renditions = corrected.get_json()["associations"]["featuremedia"]["renditions"]
        assert {"original": {"href": "b"}, "4-3": None} == renditions


def test_an_item_that_would_become_too_large_is_refused(admin: Client) -> None:
    """413, though each request is smaller: what the store would refuse is told as such."""
    path = f"archive/{admin.create('archive', {'type': 'text'})['_id']}"
    half = "x" * (9 * 2**20)
    assert admin.patch(path, {"ednote": half}).status_code == 200

    answer = admin.patch(path, {"body_footer": half})

    assert answer.status_code == 413
    assert not admin.get(path).get_json().get("body_footer")
