"""Items whose lists and objects hold what they cannot, at every way in.

Lifecycle contract 1.12.
"""

from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.newsroom import Newsroom

COLLECTIONS = ("archive", "archive_versions", "archive_history", "published", "archive_autosave")
BEYOND_64_BITS = 2**63

MALFORMED: dict[str, Document] = {
    "association is a text": {"associations": {"a": "x"}},
    "association is a list": {"associations": {"a": [{"_id": "x"}]}},
    "associations are a list": {"associations": [{"_id": "x"}]},
    "id and type of an association": {"associations": {"a": {"_id": 5, "type": [1]}}},
    "guid of an association": {"associations": {"a": {"type": "picture", "guid": {"x": 1}}}},
    "uri of an association": {"associations": {"a": {"uri": ["x"]}}},
    "state of an association": {"associations": {"a": {"_id": "x", "state": 1}}},
    "version of an association": {"associations": {"a": {"_id": "x", "_current_version": "new"}}},
    "urgency of an association": {"associations": {"a": {"urgency": "high"}}},
    "headline of an association": {"associations": {"a": {"headline": {"en": "x"}}}},
    "null subject of an association": {"associations": {"a": {"subject": [None]}}},
    "subscribers of an association": {"associations": {"a": {"subscribers": [None]}}},
    "renditions of an association": {"associations": {"a": {"renditions": {"original": 1}}}},
    "rendition without a text": {"associations": {"a": {"renditions": {"original": {"href": 1}}}}},
    "association in an association": {"associations": {"a": {"associations": {"b": {"_id": 5}}}}},
    "dateline of an association": {"associations": {"a": {"dateline": {"located": "Oslo"}}}},
    "null subject": {"subject": [None]},
    "text as a subject": {"subject": ["15000000"]},
    "subject that is no list": {"subject": {"qcode": "1"}},
    "number as the name of a subject": {"subject": [{"qcode": "1", "name": 1}]},
    "list as a code": {"subject": [{"qcode": ["1"]}]},
    "truth as a code": {"subject": [{"qcode": True}]},
    "list as a scheme": {"subject": [{"qcode": "1", "scheme": ["s"]}]},
    "object as a parent": {"subject": [{"qcode": "1", "parent": {"qcode": "2"}}]},
    "null category": {"anpa_category": [None]},
    "null genre": {"genre": [{"qcode": "Article"}, None]},
    "text as a place": {"place": ["Oslo"]},
    "object as the country of a place": {"place": [{"qcode": "NO", "country": {"en": "Norway"}}]},
    "null author": {"authors": [None]},
    "object as the name of an author": {"authors": [{"name": {"first": "A"}}]},
    "null keyword": {"keywords": ["a", None]},
    "number as a keyword": {"keywords": [1]},
    "text as keywords": {"keywords": "a, b"},
    "null company": {"company_codes": [None]},
    "null person": {"person": [None]},
    "text as an event": {"event": ["fair"]},
    "text as an organisation": {"organisation": ["UN"]},
    "null object": {"object": [None]},
    "null signal": {"signal": [None]},
    "null annotation": {"annotations": [None]},
    "object as the id of an annotation": {"annotations": [{"id": {"x": 1}}]},
    "text as an attachment": {"attachments": ["x"]},
    "object as the id of an attachment": {"attachments": [{"attachment": {"_id": "x"}}]},
    "text as contents": {"contents": ["x"]},
    "null region": {"target_regions": [None]},
    "text as a type of subscribers": {"target_types": ["wire"]},
    "text as a targeted subscriber": {"target_subscribers": ["x"]},
    "object as the id of a targeted subscriber": {"target_subscribers": [{"_id": {"$x": 1}}]},
    "rendition that is a text": {"renditions": {"original": "x"}},
    "object as the width of a rendition": {"renditions": {"original": {"width": {"px": 1}}}},
    "point that is a list": {"poi": [0.5, 0.5]},
    "point of objects": {"poi": {"x": {}, "y": 1}},
    "place of a dateline": {"dateline": {"located": {"city": ["Oslo"]}}},
    "time zone of a dateline": {"dateline": {"located": {"tz": 1}}},
    "text of a dateline": {"dateline": {"text": 1}},
    "zone of a schedule": {"schedule_settings": {"time_zone": 1}},
    "time of a schedule": {"schedule_settings": {"utc_embargo": {"x": 1}}},
    "flag that is a list": {"flags": {"marked_for_sms": [1]}},
    "desk that is a truth value": {"task": {"desk": True}},
    "stage that is an object": {"task": {"stage": {"_id": "x"}}},
    "desks that are null": {"task": {"desk_history": [None]}},
    "editor's state that is a text": {"fields_meta": {"headline": "x"}},
    "custom fields that are a list": {"extra": ["x"]},
    "urgency that is a word": {"urgency": "high"},
    "urgency beyond any": {"urgency": 2**31},
    "urgency beyond 64 bits": {"urgency": BEYOND_64_BITS},
    "priority below any": {"priority": -(2**31)},
    "number of words beyond 64 bits": {"word_count": BEYOND_64_BITS},
    "number beyond 64 bits in a custom field": {"extra": {"n": BEYOND_64_BITS}},
    "number beyond 64 bits in an association": {"associations": {"a": {"n": BEYOND_64_BITS}}},
    "group that is null": {"groups": [None]},
    "group without refs": {"groups": [{"id": "root"}]},
    "group with null refs": {"groups": [{"id": "root", "refs": None}]},
    "ref that is null": {"groups": [{"id": "root", "refs": [None]}]},
    "ref that is a text": {"groups": [{"id": "root", "refs": ["main"]}]},
    "number as the id of a member": {"groups": [{"id": "root", "refs": [{"residRef": 5}]}]},
    "object as the id of a group": {"groups": [{"id": {"x": 1}, "refs": []}]},
    "object as the headline of a ref": {
        "groups": [{"id": "root", "refs": [{"idRef": "main", "headline": {"en": "x"}}]}]
    },
}

USUAL: dict[str, Document] = {
    "an association that is taken away": {"associations": {"a": None}},
    "no associations": {"associations": None},
    "unknown keys of an association": {"associations": {"a": {"_id": "x", "color": {"r": [1]}}}},
    "numbers as texts in an association": {"associations": {"a": {"urgency": "4"}}},
    "times as texts in an association": {"associations": {"a": {"versioncreated": "2030-01-01"}}},
    "ids of subscribers that are numbers": {"associations": {"a": {"subscribers": [1, "x"]}}},
    "an empty rendition": {"renditions": {"original": {}}},
    "a rendition that is taken away": {"renditions": {"original": {}, "16-9": None}},
    "sizes as texts": {"renditions": {"original": {"width": "100", "height": 50.5}}},
    "a number as a text": {"urgency": "4"},
    "codes that are numbers": {"subject": [{"qcode": 4, "name": "x", "parent": None}]},
    "values with other keys": {"place": [{"qcode": "NO", "location": {"lat": 59.9, "lon": 10.7}}]},
    "values of a scheme": {"subject": [{"qcode": "a", "scheme": None, "translations": {}}]},
    "an author of the newsroom": {
        "authors": [{"_id": ["u", "writer"], "parent": "u", "role": "w"}]
    },
    "an annotation of the editor": {"annotations": [{"id": 0, "type": "regular", "body": "{}"}]},
    "lists that are null": {"genre": None, "place": None, "keywords": None, "authors": None},
    "nothing of a dateline": {"dateline": {"located": None, "date": None, "text": None}},
    "a schedule without a zone": {"schedule_settings": {"time_zone": None}},
    "custom fields": {"extra": {"price": 5, "list": [None, {"a": 1}]}},
    "no editor's state": {"fields_meta": None},
    "an empty editor's state": {"fields_meta": {"headline": None, "body_html": {}}},
    "targets": {"target_regions": [{"qcode": "ACT", "name": "Act", "allow": False}]},
    "targeted subscribers": {"target_subscribers": [{"_id": 5}, {"_id": "x", "name": "X"}]},
}


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    newsroom.validators(item_type="composite")
    return newsroom


@pytest.fixture
def item(admin: Client, newsroom: Newsroom) -> Document:
    return admin.create("archive", newsroom.story())


def stored(graph: Graph) -> dict[str, list[Document]]:
    return {name: list(graph.db[name].find({}).sort("_id", 1)) for name in COLLECTIONS}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=list(MALFORMED))
def test_is_refused_everywhere(
    admin: Client, graph: Graph, newsroom: Newsroom, item: Document, fields: Document
) -> None:
    """400 with the name of the field; nothing is stored."""
    before = stored(graph)
    kind = "composite" if "groups" in fields else "text"
    body = newsroom.story(type=kind, **fields)

    answers = [
        admin.post("archive", body),
        admin.post("archive", [newsroom.story(), body]),
        *(
            admin.patch(f"archive/{path}{item['_id']}", fields)
            for path in ("", "publish/", "correct/", "kill/", "unpublish/")
        ),
        admin.request(
            "PUT", f"archive/{item['_id']}", json=fields, headers={"If-Match": item["_etag"]}
        ),
        admin.post("archive_autosave", {"_id": item["_id"], **fields}),
    ]

    assert [answer.status_code for answer in answers] == [400] * len(answers)
    for answer in answers:
        assert str(BEYOND_64_BITS) in str(fields) or next(iter(fields)) in answer.text
    assert stored(graph) == before


@pytest.mark.parametrize("fields", USUAL.values(), ids=list(USUAL))
def test_takes_what_clients_send(
    admin: Client, newsroom: Newsroom, item: Document, fields: Document
) -> None:
    """What is open stays open, and null is absent."""
    created = admin.post("archive", newsroom.story(**fields))
    saved = admin.patch(f"archive/{item['_id']}", fields)
    published = admin.patch(f"archive/publish/{item['_id']}", fields)

    statuses = [answer.status_code for answer in (created, saved, published)]
    assert statuses == [201, 200, 200], [answer.text for answer in (created, saved, published)]


def test_media_of_the_editor_are_items(admin: Client, item: Document, graph: Graph) -> None:
    """What the state of an editor embeds becomes an association, so it is checked like one."""
    before = stored(graph)
    media = {"_id": 5, "type": [1]}
    entity = {"type": "MEDIA", "data": {"media": media}}
    state = {"blocks": [], "entityMap": {"0": entity}}

    answer = admin.patch(
        f"archive/{item['_id']}", {"fields_meta": {"body_html": {"draftjsState": [state]}}}
    )

    text = "400: fields_meta of body_html holds media that is no item"
    assert (400, text) == (answer.status_code, answer.get_json()["_issues"]["validator exception"])
    assert stored(graph) == before


@pytest.mark.parametrize(
    "data", [{"subject": [None]}, {"associations": {"a": {"_id": 5}}}, {"keywords": "x"}]
)
def test_templates_give_items_what_these_can_hold(
    admin: Client, graph: Graph, newsroom: Newsroom, data: Document
) -> None:
    """A template is open; the item that it makes is not."""
    template = {"template_name": "odd", "template_type": "create", "data": data, "is_public": True}
    made = admin.create("content_templates", template)

    answer = admin.post("archive", newsroom.story(template=made["_id"]))

    assert (400, f"The template has no valid {next(iter(data))}") == (
        answer.status_code,
        answer.get_json()["_message"],
    )
    assert not graph.db["archive"].count_documents({})


def test_a_fetch_checks_what_it_changes(admin: Client, graph: Graph, newsroom: Newsroom) -> None:
    """Fields of the request win over those of the source, so they are checked as well."""
    graph.db["ingest"].insert_one({"_id": "wire", "type": "text", "state": "ingested"})

    answer = admin.post("ingest/wire/fetch", {"desk": newsroom.task["desk"], "subject": [None]})

    assert (400, {"subject": {"0": "null value not allowed"}}) == (
        answer.status_code,
        answer.get_json()["_issues"],
    )


class TestStored:
    """What others have written is read as far as it can be."""

    ODD: tuple[Document, ...] = (
        {"subject": [None, "x", {"qcode": ["a"]}], "genre": [None], "anpa_category": [None]},
        {"place": [None], "authors": [None], "keywords": [None, 5], "annotations": [None]},
        {"associations": {"a": "x", "b": None, "c": {"_id": 5, "type": [1]}, "d": [1]}},
        {"associations": [1], "refs": [None]},
        {"task": None, "flags": None, "extra": None, "fields_meta": [1]},
        {"attachments": [None, {"attachment": {"x": 1}}], "target_subscribers": [None]},
        {"dateline": {"located": "x"}, "schedule_settings": None, "linked_in_packages": [None]},
    )
    GROUPS: tuple[Any, ...] = (
        [{"id": "root", "role": "grpRole:NEP"}, {"id": "main"}],
        [{"id": "root", "refs": None}],
        [None, "x", {"id": "root", "refs": [None, "x", {"residRef": 5}, {}]}],
        "x",
        None,
    )

    @pytest.mark.parametrize("odd", ODD)
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("PATCH", "archive/{id}", {"headline": "x"}),
            ("POST", "archive/{id}/rewrite", {}),
            ("POST", "archive/{id}/duplicate", {"desk": None, "type": "archive"}),
            ("POST", "archive/{id}/copy", {}),
            ("POST", "archive/translate", {"guid": "{id}", "language": "de"}),
            ("POST", "archive/{id}/lock", {}),
            ("PATCH", "archive/publish/{id}", {}),
            ("PATCH", "archive/spike/{id}", {}),
            ("POST", "archive_autosave", {"_id": "{id}", "headline": "y"}),
        ],
    )
    def test_items_of_any_shape(
        self,
        admin: Client,
        graph: Graph,
        item: Document,
        odd: Document,
        method: str,
        path: str,
        body: Document,
    ) -> None:
        """An action on it is done, or refused with a reason; a list shows it."""
        graph.db["archive"].update_one({"_id": item["_id"]}, {"$set": odd})
        sent = {k: v.format(id=item["_id"]) if isinstance(v, str) else v for k, v in body.items()}
        url = path.format(id=item["_id"])

        answer = (
            admin.patch(url, sent) if method == "PATCH" else admin.request(method, url, json=sent)
        )

        assert answer.status_code in (200, 201), answer.text
        assert admin.get("archive").status_code == 200

    @pytest.mark.parametrize("groups", GROUPS)
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("PATCH", "archive/{id}", {"headline": "x"}),
            ("POST", "archive/{id}/duplicate", {"desk": "{desk}", "type": "archive"}),
            ("PATCH", "archive/spike/{id}", {}),
            ("PATCH", "archive/publish/{id}", {}),
            ("POST", "archive/{id}/move", {"task": {"desk": "{desk}", "stage": "{stage}"}}),
        ],
    )
    def test_groups_without_refs_count_as_empty(
        self,
        admin: Client,
        graph: Graph,
        newsroom: Newsroom,
        groups: Any,
        method: str,
        path: str,
        body: Document,
    ) -> None:
        """Packages of any shape are worked on; an empty one is not published."""
        package = admin.create("archive", newsroom.story(type="composite", body_html=None))
        graph.db["archive"].update_one({"_id": package["_id"]}, {"$set": {"groups": groups}})
        stage = str(newsroom.desk["incoming_stage"])
        names = {"{desk}": newsroom.task["desk"], "{stage}": stage}
        task = {name: names.get(value, value) for name, value in body.get("task", {}).items()}
        sent = {k: names.get(v, v) if isinstance(v, str) else v for k, v in body.items()}
        sent |= {"task": task} if task else {}
        url = path.format(id=package["_id"])

        answer = (
            admin.patch(url, sent) if method == "PATCH" else admin.request(method, url, json=sent)
        )

        if "publish" in path:
            assert answer.status_code == 400, answer.text
        else:
            assert answer.status_code in (200, 201), answer.text

    def test_two_stories_of_any_shape_become_one(
        self, admin: Client, graph: Graph, newsroom: Newsroom, item: Document
    ) -> None:
        """A story with odd subjects takes one with odd subjects as its update."""
        update = admin.create("archive", newsroom.story())
        odd = {"subject": [None, {"qcode": ["a"]}, "x"], "genre": [None, "x"], "flags": None}
        graph.db["archive"].update_many({}, {"$set": odd})

        answer = admin.post(f"archive/{item['_id']}/rewrite", {"update": {"_id": update["_id"]}})

        assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("name", ["id and type of an association", "null subject", "null place"])
def test_rows_of_the_outbox_are_checked_alike(
    admin: Client, graph: Graph, item: Document, name: str
) -> None:
    """Whoever writes rows cannot write what routing would stumble over."""
    fields = MALFORMED.get(name, {"place": [None]})
    assert admin.patch(f"archive/publish/{item['_id']}", {}).status_code == 200
    before = stored(graph)
    row = graph.db["published"].find_one({}) or {}
    path = f"published/{row['_id']}"
    etag = admin.get(path, published_id="1").get_json()["_etag"]

    posted = admin.post("published", {"item_id": "x", "state": "published", **fields})
    saved = admin.patch(path, fields, etag=etag)

    assert (400, 400) == (posted.status_code, saved.status_code)
    assert stored(graph) == before
