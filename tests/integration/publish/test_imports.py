"""What providers send again: newer versions, embargoes, withdrawals (`items:import`)."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from apps.core.errors import BadRequest
from apps.graph.build import Graph
from apps.importing.importer import Imported, Importer
from formatters.base import FormatContext, FormatSettings, Formatter
from formatters.ninjs import NINJSFormatter
from formatters.ninjs3 import NINJS3Formatter
from tests.support.newsdesk import Newsdesk

URI = "urn:example:story:1"
STORY = {
    "uri": URI,
    "type": "text",
    "version": "1",
    "pubstatus": "usable",
    "headline": "Rivers rise",
    "body_html": "<p>Rivers rose.</p>",
    "versioncreated": "2026-03-02T06:10:00Z",
}
CAPTION_AND_MAKER = ("description_html", "original_source")
Import = Callable[..., Imported]


@pytest.fixture
def eager() -> bool:
    return False


@pytest.fixture
def imports(graph: Graph, desk: Newsdesk, tmp_path: Path) -> Import:
    """Import a document that differs from the story, published unless told otherwise."""
    file = tmp_path / "story.json"

    def run(publish: bool = True, **changes: Any) -> Imported:
        document = {k: v for k, v in {**STORY, **changes}.items() if v is not None}
        file.write_text(json.dumps(document))
        resources = {**graph.editing.services, **graph.publishing.operations.by_endpoint}
        return Importer(resources, desk.newsroom.task, publish=publish).add(file)

    return run


def stored(graph: Graph, id_: str = URI) -> dict[str, Any]:
    return graph.db["archive"].find_one({"_id": id_}) or {}


@pytest.mark.parametrize(("publish", "said"), [(True, "published"), (False, "imported")])
def test_a_new_story(imports: Import, graph: Graph, publish: bool, said: str) -> None:
    done = imports(publish)

    assert (done.item_id, done.type, done.outcome, done.reason) == (URI, "text", said, "")
    assert stored(graph)["state"] == done.state == ("published" if publish else "fetched")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"pubstatus": "withheld"}, "it is withheld"),
        ({"pubstatus": "http://cv.iptc.org/newscodes/pubstatusg2/withheld"}, "it is withheld"),
        ({"pubstatus": "embargoed"}, "it is embargoed"),
        ({"pubstatus": "on hold"}, "it is withheld"),
        ({"embargoed": "2030-03-06T09:00Z"}, "it is embargoed until 2030-03-06T09:00:00+00:00"),
        ({"embargoedUntil": "2030-03-06T09:00Z"}, "it is embargoed until 2030-03-06T09:00:00"),
    ],
)
def test_what_must_not_go_out_is_stored(
    imports: Import, graph: Graph, fields: dict[str, Any], reason: str
) -> None:
    """An editor decides about it; a later version that is free goes out."""
    done = imports(**fields)

    assert (done.outcome, done.state) == ("imported", "fetched")
    assert done.reason.startswith(reason)
    assert graph.db["published"].count_documents({}) == 0

    free = imports(version="2")

    assert (free.outcome, free.reason, stored(graph)["state"]) == ("published", "", "published")


@pytest.mark.parametrize(
    "fields", [{"pubstatus": "withheld"}, {"embargoed": "2030-03-06T09:00Z"}, {}]
)
def test_a_picture_that_must_not_go_out_keeps_its_story(
    imports: Import, graph: Graph, fields: dict[str, Any]
) -> None:
    picture = {
        "type": "picture",
        "uri": "urn:example:p",
        "renditions": {"main": {"href": "http://e/p"}},
    }

    done = imports(associations={"featuremedia": {**picture, **fields}})

    assert done.outcome == ("imported" if fields else "published")
    assert done.reason.startswith("what it holds is " if fields else "")


def test_an_embargo_that_is_over_holds_nothing_back(imports: Import) -> None:
    assert imports(embargoed="2020-03-06T09:00Z").outcome == "published"


@pytest.mark.parametrize("value", ["soon", "2026-13-01", 5, {"until": "2026-03-06"}])
def test_an_embargo_that_cannot_be_read_is_refused(
    imports: Import, graph: Graph, value: Any
) -> None:
    """Nobody would know until when the story must not be shown."""
    with pytest.raises(BadRequest, match=r"embargoed.* is no time"):
        imports(embargoed=value)

    assert stored(graph) == {}


@pytest.mark.parametrize("status", ["canceled", "Cancelled", "stat:canceled"])
def test_a_withdrawal_of_what_is_out_kills(imports: Import, graph: Graph, status: str) -> None:
    """With the provider's note, and nothing of the story."""
    imports()

    done = imports(pubstatus=status, version="2", ednote="Wrong <river>")
    again = imports(pubstatus=status, version="2")

    item = stored(graph)
    assert (done.outcome, item["state"], item["pubstatus"]) == ("killed", "killed", "canceled")
    assert "Wrong &lt;river&gt;" in item["body_html"]
    assert "Rivers rose" not in item["body_html"]
    assert (again.outcome, again.reason) == ("unchanged", "it is killed")


def test_a_withdrawal_without_a_note(imports: Import, graph: Graph) -> None:
    """A body that is the story's is no notice; another one is."""
    imports()
    imports(uri="urn:example:story:2")

    imports(pubstatus="canceled")
    imports(uri="urn:example:story:2", pubstatus="canceled", body_html="<p>Withdrawn.</p>")

    assert "Rivers rose" not in stored(graph)["body_html"]
    assert "Withdrawn" in stored(graph, "urn:example:story:2")["body_html"]


def test_a_withdrawal_of_what_was_never_here(imports: Import, graph: Graph) -> None:
    done = imports(pubstatus="canceled")

    assert (done.outcome, done.state) == ("unchanged", None)
    assert (done.reason, stored(graph)) == ("it is canceled, and was never here", {})


def test_a_withdrawal_of_what_is_not_out(imports: Import, graph: Graph) -> None:
    """It goes to the bin, so that nobody publishes it."""
    imports(publish=False)

    assert imports(pubstatus="canceled", publish=False).outcome == "spiked"
    assert stored(graph)["state"] == "spiked"
    assert imports(pubstatus="canceled").reason == "it is spiked"


def test_nothing_is_killed_unless_it_is_asked(imports: Import, graph: Graph) -> None:
    imports()

    done = imports(publish=False, pubstatus="canceled", version="2")

    assert (done.outcome, done.reason) == ("unchanged", "it is published: --publish kills it")
    assert stored(graph)["state"] == "published"


def test_a_newer_version_corrects_what_is_out(imports: Import, graph: Graph) -> None:
    """Also what it takes away: texts, pictures, an embargo."""
    picture = {
        "type": "picture",
        "uri": "urn:example:p",
        "renditions": {"main": {"href": "http://e/p"}},
    }
    imports(byline="Ada", associations={"featuremedia": picture})

    done = imports(version="2", headline="Rivers fall", body_html="<p>Rivers fell.</p>")

    item = stored(graph)
    assert (done.outcome, item["state"], item["headline"]) == (
        "corrected",
        "corrected",
        "Rivers fall",
    )
    assert (item["byline"], item["associations"]["featuremedia"]) == (None, None)
    assert (item["ingest_version"], item["_current_version"]) == ("2", 3)


def test_a_newer_version_updates_what_is_not_out(imports: Import, graph: Graph) -> None:
    imports(publish=False)

    done = imports(publish=False, version="2", headline="Rivers fall")

    assert (done.outcome, done.state) == ("updated", stored(graph)["state"])
    assert stored(graph)["headline"] == "Rivers fall"


def test_what_is_out_changes_only_when_it_is_asked(imports: Import, graph: Graph) -> None:
    imports()

    done = imports(publish=False, version="2", headline="Rivers fall")

    assert (done.outcome, done.reason) == ("unchanged", "it is published: --publish corrects it")
    assert stored(graph)["headline"] == "Rivers rise"


@pytest.mark.parametrize("fields", [{"pubstatus": "withheld"}, {"embargoed": "2030-03-06T09:00Z"}])
def test_a_held_version_of_what_is_out(
    imports: Import, graph: Graph, fields: dict[str, Any]
) -> None:
    """What is out stays out as it is."""
    imports()

    done = imports(version="2", headline="Rivers fall", **fields)

    assert done.outcome == "unchanged"
    assert done.reason.startswith("the version that is out stays: it is ")
    assert stored(graph)["headline"] == "Rivers rise"


@pytest.mark.parametrize(
    ("first", "second", "newer"),
    [
        ("1", "1", False),
        ("2", "1", False),
        ("9", "10", True),
        ("1.9", "1.10", True),
        (9, 10, True),
        (10, "9", False),
        ("a", "b", False),
        ("2026-03-02T06:10:00Z", "2026-03-02T08:10:00+02:00", False),
        ("2026-03-02T06:10:00Z", "2026-03-02T08:11:00+01:00", True),
        ("1", "2026-03-02T06:10:00Z", False),
    ],
)
def test_versions(imports: Import, first: Any, second: Any, newer: bool) -> None:
    """Older and equal ones change nothing, and neither does what cannot be compared."""
    imports(publish=False, version=first)

    done = imports(publish=False, version=second, headline="other")

    assert (done.outcome == "updated") is newer
    assert newer or "is not newer than" in done.reason


@pytest.mark.parametrize(("created", "newer"), [("2026-03-02T06:11:00Z", True), (None, False)])
def test_documents_without_a_version(imports: Import, created: str | None, newer: bool) -> None:
    """When they were made tells."""
    imports(publish=False, version=None)

    done = imports(publish=False, version=None, versioncreated=created or STORY["versioncreated"])

    assert (done.outcome == "updated") is newer


@pytest.mark.parametrize(
    "evolved", [URI, {"uri": URI}, [{"uri": URI}], "urn:example:story:other", None]
)
def test_an_update_is_linked(imports: Import, graph: Graph, evolved: Any) -> None:
    """With the story that it evolved from, if that is here."""
    imports()

    done = imports(uri="urn:example:story:2", evolvedfrom=evolved, headline="Rivers flood")

    update = stored(graph, "urn:example:story:2")
    is_here = evolved not in (None, "urn:example:story:other")
    assert (done.outcome, done.reason, update["headline"]) == ("published", "", "Rivers flood")
    assert update.get("rewrite_of") == (URI if is_here else None)
    assert stored(graph).get("rewritten_by") == (update["_id"] if is_here else None)


def test_a_refused_publication_is_told(imports: Import, graph: Graph, desk: Newsdesk) -> None:
    """The item is there, and the outcome says that it is not out."""
    desk.db["validators"].update_one(
        {"_id": "publish_text"}, {"$set": {"schema.byline": {"type": "string", "required": True}}}
    )

    done = imports()

    assert (done.outcome, done.state, done.error) == ("imported", "fetched", True)
    assert "BYLINE" in done.reason
    assert stored(graph)["state"] == "fetched"


def test_a_newer_version_has_its_own_rights(imports: Import, graph: Graph) -> None:
    """What the older one said of itself goes with it; what editors have added stays."""
    rights = {"langId": "http://w3.org/ns/odrl/2/", "encodedRights": "<o/>"}
    imports(publish=False, rightsInfo=rights, altIds=[{"role": "itemid", "value": "7"}])
    graph.db["archive"].update_one({"_id": URI}, {"$set": {"extra.own": "field"}})

    imports(publish=False, version="2", altIds=[{"role": "itemid", "value": "8"}])

    assert {"own": "field", "altids": [{"role": "itemid", "value": "8"}]} == stored(graph)["extra"]


def test_a_whole_story(imports: Import, graph: Graph) -> None:
    """What the archive knows of people, places and rights is stored as it came."""
    done = imports(
        bodies=[{"role": "html5", "contentType": "Text/HTML; charset=utf-8", "value": "<p>B</p>"}],
        body_html=None,
        people=[{"name": "Jane", "rel": "author", "uri": "http://e.org/j"}, {"name": "Joe"}],
        places=[{"name": "P", "geoJSON": {"geometry": {"coordinates": [10, 50.5]}}}],
        subjects=[{"name": "S", "uri": "http://e.org/s", "relevance": 80, "rel": "about"}],
        infoSources=[{"name": "A"}, {"name": "B", "role": "enhancer"}],
        renditions=[{"name": "16-9", "href": "http://e.org/a.mp4", "duration": 7.25}],
        trustIndicators=[{"role": "http://e.org/r", "href": "http://e.org/e"}],
    )

    item = stored(graph)
    assert ("published", "<p>B</p>") == (done.outcome, item["body_html"])
    assert [{"name": "Jane", "uri": "http://e.org/j"}] == item["authors"]
    assert [{"qcode": "Joe", "name": "Joe"}] == item["person"]
    assert {"lat": 50.5, "lon": 10} == item["place"][0]["location"]
    assert (80, "about") == (item["subject"][0]["relevance"], item["subject"][0]["rel"])
    assert ("A", 2) == (item["source"], len(item["extra"]["infosources"]))
    assert 7.25 == item["renditions"]["16-9"]["duration"]


@pytest.mark.parametrize("formatter", [NINJSFormatter(), NINJS3Formatter()])
def test_what_our_own_formats_wrote(imports: Import, graph: Graph, formatter: Formatter) -> None:
    """Another newsroom takes in all that a story of ours says, and publishes it."""
    picture = {
        "guid": "urn:example:picture:1",
        "type": "picture",
        "headline": "P",
        "description_text": "Caption",
        "order": 2,
        "renditions": {"original": {"href": "http://e.org/a.jpg", "mimetype": "image/jpeg"}},
    }
    item = {
        "guid": "20260302 ö/1",
        "type": "text",
        "headline": "Rivers rise",
        "body_html": "<p>Rivers rose.</p>",
        "subject": [{"qcode": "20000763", "name": "IT"}, {"qcode": "x", "scheme": "desks"}],
        "anpa_category": [{"qcode": "a", "name": "National"}],
        "place": [{"qcode": "264371", "code": "264371", "scheme": "geonames", "name": "Athens"}],
        "company_codes": [{"name": "Y", "qcode": "YAL", "security_exchange": "ASX"}],
        "signal": [{"qcode": "sig:update", "name": "Update"}],
        "annotations": [{"id": 1, "msg": "Note", "type": "regular"}],
        "flags": {"marked_for_legal": True},
        "authors": [{"name": "Jane", "role": "desk 1"}],
        "extra": {"rightsinfo": {"encodedrights": "<o/>"}},
        "associations": {"featuremedia": picture},
        "pubstatus": "usable",
    }
    context = FormatContext(settings=FormatSettings(), now=datetime(2026, 3, 2, tzinfo=UTC))
    [formatted] = formatter.format(item, context)

    absent = dict.fromkeys(STORY)
    done = imports(**absent | json.loads(formatted.body))

    found = stored(graph, done.item_id)
    assert ("published", "", "20260302 ö/1") == (done.outcome, done.reason, found["guid"])
    assert "Caption" == found["associations"]["featuremedia"]["description_text"]
    for field in ("headline", "body_html", "anpa_category", "company_codes", "authors", "extra"):
        assert item[field] == found[field]


def test_a_correction_has_no_caption_of_the_version_before(imports: Import, graph: Graph) -> None:
    """Neither its markup nor its makers."""
    marked = {"role": "caption", "contentType": "text/html", "value": "<p>Old <b>one</b></p>"}
    picture = {"type": "picture", "body_html": None}
    imports(**picture, descriptions=[marked], infoSources=[{"name": "R", "role": "original"}])
    assert (marked["value"], "R") == tuple(map(stored(graph).get, CAPTION_AND_MAKER))

    done = imports(**picture, version="2", descriptions=[{"role": "caption", "value": "New"}])

    assert ("corrected", "New") == (done.outcome, stored(graph)["description_text"])
    assert (None, None) == tuple(map(stored(graph).get, CAPTION_AND_MAKER))
