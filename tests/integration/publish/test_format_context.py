"""What formatters are handed when items are routed (formats contract 1.5, 3)."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from lxml import etree
from pymongo.monitoring import CommandListener

from app import create_app
from apps.core.service import Document
from apps.graph.build import Graph
from formatters import build_registry
from formatters.base import FormatContext, FormatSettings, Formatted
from tests.support.clients import make_user
from tests.support.format_schemas import G2, check_g2
from tests.support.newsdesk import START, Newsdesk
from tests.support.newsroom import Newsroom, file_in
from tests.support.services import empty_services


@pytest.fixture
def eager() -> bool:
    """Tasks run at once."""
    return True


@pytest.fixture(autouse=True)
def package_validators(desk: Newsdesk) -> None:
    desk.newsroom.validators(item_type="composite")


def to_file(directory: Path, format: str = "ninjs", **config: Any) -> Document:
    """Return a destination of its own for a format."""
    directory.mkdir(exist_ok=True)
    return {**file_in(directory, **config), "_id": directory.name, "format": format}


def sent(directory: Path) -> Any:
    """Return the one document that was written into `directory`."""
    (file,) = directory.iterdir()
    return json.loads(file.read_text("utf-8"))


def test_fields_that_the_profile_disables_stay_at_home(desk: Newsdesk, tmp_path: Path) -> None:
    """Formats contract 1.5 step 1: disabled standard fields are dropped, all others are kept."""
    schema = {"headline": {"type": "string"}, "ednote": None, "body_html": {"type": "string"}}
    desk.db["content_types"].insert_one({"_id": "plain", "label": "Plain", "schema": schema})
    desk.newsroom.subscriber("Files", to_file(tmp_path / "out"))

    desk.published(profile="plain", ednote="For your eyes", source="AAP", language="de")

    document = sent(tmp_path / "out")
    assert not {"ednote", "slugline"} & document.keys()
    assert ("Rivers rise", "AAP", "de") == tuple(
        document[field] for field in ("headline", "source", "language")
    )


def test_null_renditions_of_associations_are_dropped(desk: Newsdesk, tmp_path: Path) -> None:
    """Formats contract 1.5 step 1: what has no file is no rendition."""
    desk.newsroom.subscriber("Files", to_file(tmp_path / "out"))
    renditions = {"original": {"href": "https://example.com/a.jpg"}, "16-9": None}

    desk.published(
        associations={"featuremedia": {"_id": "a", "type": "video", "renditions": renditions}}
    )

    assert ["original"] == [*sent(tmp_path / "out")["associations"]["featuremedia"]["renditions"]]


def test_attachments_are_read_unless_they_are_internal(desk: Newsdesk, tmp_path: Path) -> None:
    """A public attachment has its address, an internal one stays at home.

    Formats scenario 20, whole.
    """
    attachment = {"media": "m1", "title": "Figures", "filename": "f.csv", "mimetype": "text/csv"}
    public, internal = ObjectId(), ObjectId()
    desk.db["attachments"].insert_many(
        [
            {"_id": public, **attachment, "internal": False},
            {"_id": internal, **attachment, "internal": True},
        ]
    )
    desk.newsroom.subscriber("Files", to_file(tmp_path / "out"))
    story = desk.story()
    references = [{"attachment": public}, {"attachment": internal}]
    desk.db["archive"].update_one({"_id": story["_id"]}, {"$set": {"attachments": references}})

    desk.act("publish", story)

    (written,) = sent(tmp_path / "out")["attachments"]
    assert (str(public), "http://127.0.0.1:5000/api/upload-raw/m1") == (
        written["id"],
        written["href"],
    )


def test_related_content_is_read_from_the_archive(desk: Newsdesk, tmp_path: Path) -> None:
    """A related-content field names an item only; the document shows the item.

    Formats contract 3.1.2.
    """
    desk.db["vocabularies"].insert_one({"_id": "related", "field_type": "related_content"})
    other = desk.published(headline="Earlier floods")
    desk.newsroom.subscriber("Files", to_file(tmp_path / "out"))

    desk.published(associations={"related--1": {"_id": other["_id"], "order": 1}})

    written = sent(tmp_path / "out")
    assert "Earlier floods" == written["associations"]["related--1"]["headline"]
    assert ["Earlier floods"] == [e["headline"] for e in written["extra_items"]["related"]["items"]]


def test_related_content_that_is_not_out_is_not_sent(desk: Newsdesk, tmp_path: Path) -> None:
    """The editor was told that unpublished related items will not be sent.

    Lifecycle contract 5.1 b.
    """
    desk.db["vocabularies"].insert_one({"_id": "related", "field_type": "related_content"})
    desk.newsroom.subscriber("Files", to_file(tmp_path / "out"))
    secret = desk.story(headline="Not yet")
    story = desk.story(associations={"related--1": {"_id": secret["_id"], "order": 1}})

    path = f"archive/publish/{story['_id']}"
    answer = desk.client.patch(path, {}, publishing_warnings_confirmed="true")

    assert 200 == answer.status_code, answer.text
    (file,) = (tmp_path / "out").iterdir()
    assert "Not yet" not in file.read_text("utf-8")
    assert "associations" not in sent(tmp_path / "out")


def test_authors_are_looked_up(desk: Newsdesk, graph: Graph, tmp_path: Path) -> None:
    """By user where there is one, else by display name; unknown ones as they stand.

    Formats contract 3.1.4.
    """
    jane = make_user(graph, "jane", display_name="Jane Writer", biography="Knows rivers")
    desk.newsroom.subscriber("Files", to_file(tmp_path / "out"))

    desk.published(
        authors=[
            {"parent": str(jane["_id"]), "role": "writer"},
            {"name": "Jane Writer"},
            {"name": "Stringer"},
        ]
    )

    authors = sent(tmp_path / "out")["authors"]
    assert ["Knows rivers", "Knows rivers", ""] == [author["biography"] for author in authors]
    assert ["Jane Writer", "Jane Writer", "Stringer"] == [author["name"] for author in authors]


def package_of(desk: Newsdesk, *members: Document) -> Document:
    groups = [
        {"id": "root", "refs": [{"idRef": "main"}]},
        {"id": "main", "refs": [{"residRef": member["_id"]} for member in members]},
    ]
    return desk.story(type="composite", groups=groups)


class TestPackaged:
    def test_members_travel_inside(self, desk: Newsdesk, tmp_path: Path) -> None:
        """Only where the destination wants packages whole.

        Formats contract 1.5 step 4; routing contract 8.7 row 6.
        """
        desk.newsroom.subscriber("Whole", to_file(tmp_path / "whole", packaged=True))
        desk.newsroom.subscriber("Parts", to_file(tmp_path / "parts"))
        package = package_of(desk, desk.story(headline="Inside"))

        desk.act("publish", package)

        def member(directory: Path) -> Any:
            (document,) = (
                json.loads(file.read_text("utf-8"))
                for file in directory.iterdir()
                if package["_id"].replace(":", "-") in file.name
            )
            return document["associations"]["main"]

        assert "Inside" == member(tmp_path / "whole")["headline"]
        assert "headline" not in member(tmp_path / "parts")

    def test_a_member_that_is_missing_fails_the_destination(
        self, desk: Newsdesk, tmp_path: Path
    ) -> None:
        """The row says what is missing.

        Routing contract 8.7 row 6; formats contract 1.5 step 10.
        """
        whole, parts = to_file(tmp_path / "whole", packaged=True), to_file(tmp_path / "parts")
        desk.newsroom.subscriber("Files", whole, parts)
        story = desk.published()
        package = package_of(desk, story)
        desk.db["published"].delete_many({"item_id": story["_id"]})

        desk.act("publish", package)

        failed = desk.row(item_id=package["_id"], state="failed")
        assert "whole" == failed["destination"]["_id"]
        missing = f"Can not find package {package['_id']} published item {story['_id']}"
        assert failed["error_message"].endswith(missing)
        assert desk.row(item_id=package["_id"], state="success")["destination"]["_id"] == "parts"


class TestListed:
    def test_a_member_that_is_gone_is_not_listed(self, desk: Newsdesk, tmp_path: Path) -> None:
        """NewsML-G2 says what is published of the members; one that is gone is not.

        Formats scenario 36.
        """
        desk.newsroom.subscriber("Messages", to_file(tmp_path / "g2", "newsmlg2"))
        story, other = desk.published(headline="Inside"), desk.published(headline="Gone")
        package = package_of(desk, story, other)
        desk.db["published"].delete_many({"item_id": other["_id"]})

        desk.act("publish", package)

        name = f"{package['_id']}-*".replace(":", "-")
        (file,) = (tmp_path / "g2").glob(name)
        check_g2(Formatted(file.read_bytes()))
        [member] = etree.fromstring(file.read_bytes()).iter(f"{G2}itemRef")
        assert story["_id"] == member.get("residref")
        assert "Inside" == member.findtext(f"{G2}headline")


class TestNewsroom:
    def test_says_what_planning_knows(self, desk: Newsdesk, tmp_path: Path) -> None:
        """Formats contract 3.3: ids of coverage and planning item come from the assignment."""
        assignment = ObjectId()
        desk.db["assignments"].insert_one(
            {"_id": assignment, "coverage_item": "coverage-1", "planning_item": "planning-1"}
        )
        desk.newsroom.subscriber("Files", to_file(tmp_path / "out", "newsroom ninjs"))
        story = desk.story()
        change = {"$set": {"assignment_id": str(assignment)}}
        desk.db["archive"].update_one({"_id": story["_id"]}, change)

        desk.act("publish", story)

        document = sent(tmp_path / "out")
        assert ("coverage-1", "planning-1") == (document["coverage_id"], document["planning_id"])

    def test_associated_items_name_their_own_products(self, desk: Newsdesk, tmp_path: Path) -> None:
        """In associations, too: a picture's products are those that take the picture.

        Formats contract 3.3.
        """
        everything = desk.newsroom.product("Everything")
        pictures = product_of_type(desk.newsroom, "picture")
        destination = to_file(tmp_path / "out", "newsroom ninjs")
        desk.newsroom.subscriber("Files", destination, products=[everything])

        desk.published(associations={"featuremedia": {"_id": "pic", "type": "picture"}})

        document = sent(tmp_path / "out")
        assert [str(everything)] == [p["code"] for p in document["products"]]
        assert {str(everything), str(pictures)} == {
            p["code"] for p in document["associations"]["featuremedia"]["products"]
        }


def product_of_type(newsroom: Newsroom, item_type: str) -> ObjectId:
    """Store a product that takes items of one type only."""
    condition, content_filter = ObjectId(), ObjectId()
    newsroom.db["filter_conditions"].insert_one(
        {
            "_id": condition,
            "name": item_type,
            "field": "type",
            "operator": "in",
            "value": item_type,
        }
    )
    newsroom.db["content_filters"].insert_one(
        {
            "_id": content_filter,
            "name": item_type,
            "content_filter": [{"expression": {"fc": [condition]}}],
        }
    )
    wanted = {"filter_id": content_filter, "filter_type": "permitting"}
    return newsroom.product(f"{item_type} only", content_filter=wanted)


def embedded(key: str) -> str:
    mark = f'{{id: "{key}"}}'
    return f"<!-- EMBED START Image {mark} --><figure></figure><!-- EMBED END Image {mark} -->"


class TestEmbedFiltering:
    @pytest.fixture
    def settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {**settings, "EMBED_PRODUCT_FILTERING": True}

    def test_embeds_that_no_product_takes_are_left_out(
        self, desk: Newsdesk, tmp_path: Path
    ) -> None:
        """Per subscriber, from associations, refs and text; what stays is written anew.

        Formats contract 3.4.
        """
        videos, everything = product_of_type(desk.newsroom, "video"), desk.newsroom.product()
        texts = product_of_type(desk.newsroom, "text")
        some = to_file(tmp_path / "some", "ftp ninjs", associated_path="/media")
        whole = to_file(tmp_path / "whole", "ftp ninjs", include_original=True)
        desk.newsroom.subscriber("Some", some, products=[videos, texts])
        desk.newsroom.subscriber("All", whole, products=[everything])
        file = {"media": "m1", "mimetype": "image/jpeg", "width": 800, "height": 600}
        picture = {"_id": "p", "type": "picture", "description_text": "A & B", "alt_text": "Flood"}
        video = {"_id": "v", "type": "video", "headline": "Moving"}
        renditions = {"original": {"href": "https://example.com/x", **file}}

        desk.published(
            body_html=f"<p>One</p>{embedded('editor_0')}{embedded('editor_1')}<p>Two</p>",
            associations={
                "editor_0": {**picture, "renditions": renditions},
                "editor_1": {**video, "renditions": renditions},
            },
        )

        filtered, complete = sent(tmp_path / "some"), sent(tmp_path / "whole")
        assert ["editor_1"] == [*filtered["associations"]]
        mark = '{id: "editor_1"}'
        assert filtered["body_html"] == (
            f"<p>One</p><!-- EMBED START Video {mark} --><figure>"
            '<video controls="" src="media/m1.jpg" title="Moving" id="editor_1"></video>'
            f"<figcaption></figcaption></figure><!-- EMBED END Video {mark} --><p>Two</p>"
        )
        assert {"editor_0", "editor_1"} == complete["associations"].keys()
        assert (
            '<figure><img src="m1.jpg" srcset="m1.jpg 800w" sizes="80vw" alt="Flood" '
            'id="editor_0"><figcaption>A &amp; B</figcaption></figure>'
        ) in complete["body_html"]


def test_formats_leave_the_item_as_it_was(desk: Newsdesk) -> None:
    """Formats scenario 9, by format: built-in formats change nothing they are handed."""
    item = dict(desk.published(extra={"a": {"embed": "x"}}, keywords=["b"]))
    item["associations"] = {"featuremedia": {"_id": "p", "type": "picture", "renditions": {}}}
    before = deepcopy(item)
    context = FormatContext(settings=FormatSettings(), now=START)

    for cls in build_registry():
        if cls.can_format(item):
            cls().format(item, replace(context, sequence_number=1))

    assert before == item


class Commands(CommandListener):
    """Counts reads by collection."""

    def __init__(self) -> None:
        self.reads: list[str] = []

    def started(self, event: Any) -> None:
        if event.command_name == "find":
            self.reads.append(event.command["find"])

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


class TestCost:
    @pytest.fixture
    def commands(self) -> Commands:
        return Commands()

    @pytest.fixture
    def graph(self, settings: Mapping[str, Any], commands: Commands) -> Iterator[Graph]:
        wanted = {**settings, "CELERY_TASK_ALWAYS_EAGER": False}
        with empty_services(wanted, listeners=[commands]) as built:
            create_app(graph=built)
            yield built

    def test_look_ups_do_not_grow_with_the_batch(
        self, desk: Newsdesk, graph: Graph, commands: Commands, tmp_path: Path
    ) -> None:
        """Ten items cost as many reads of each kind as two, whatever they refer to."""
        desk.db["vocabularies"].insert_one({"_id": "related", "field_type": "related_content"})
        desk.newsroom.subscriber(
            "Files",
            to_file(tmp_path / "a", "newsroom ninjs", packaged=True),
            to_file(tmp_path / "b", packaged=True),
        )

        def publish(number: int) -> None:
            jane = make_user(graph, f"writer{number}")
            attachment = desk.db["attachments"].insert_one({"media": "m", "title": "t"}).inserted_id
            other = desk.published()
            held = {"_id": other["_id"], "authors": [{"parent": str(jane["_id"])}]}
            story = desk.story(
                authors=[{"parent": str(jane["_id"])}], associations={"related--1": held}
            )
            change = {
                "attachments": [{"attachment": attachment}],
                "profile": f"profile{number}",
                "assignment_id": str(ObjectId()),
            }
            desk.db["archive"].update_one({"_id": story["_id"]}, {"$set": change})
            desk.act("publish", package_of(desk, story) if number % 2 else story)

        numbers = count(1)

        def reads(items: int) -> Counter[str]:
            for _ in range(items):
                publish(next(numbers))
            commands.reads.clear()
            graph.enqueue.run()
            looked_up = {"attachments", "users", "content_types", "assignments"}
            return Counter(name for name in commands.reads if name in looked_up)

        assert {1} == {*reads(2).values()}
        assert {1} == {*reads(10).values()}
