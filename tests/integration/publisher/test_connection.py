"""Connection tests: what is wrong, in plain words (cms contract 13.2)."""

from typing import Any

import pytest

from apps.graph.build import Graph
from tests.support.fake_sites import SITES, FakeSite
from tests.support.publisher_client import BASE_URL, CREDENTIALS, Publisher
from transmitters.cms.base import ErrorClass, PlatformError


def test_a_good_test_is_kept(publisher: Publisher, integration: Any, graph: Graph) -> None:
    path = f"integrations/{integration['_id']}"

    told = publisher.post(f"{path}/test/").get_json()

    assert told["ok"] is True
    assert [check["name"] for check in told["checks"]][:3] == ["reach", "auth offered", "login"]
    after = publisher.get(path).get_json()
    assert (after["state"], after["remote"]["version"]) == ("ok", "6.1.9")
    assert after["last_ok_at"]
    assert SITES[BASE_URL].seen == ["test"]


@pytest.mark.parametrize(
    ("check", "error_class", "state"),
    [
        ("reach", ErrorClass.CONFIG, "new"),
        ("auth offered", ErrorClass.CONFIG, "new"),
        ("login", ErrorClass.AUTH, "auth_failed"),
        ("rights", ErrorClass.PERMISSION, "new"),
        ("target", ErrorClass.CONFIG, "new"),
        ("clock", ErrorClass.CONFIG, "new"),
    ],
)
def test_each_failing_check_shows_its_class(
    publisher: Publisher, integration: Any, check: str, error_class: ErrorClass, state: str
) -> None:
    """(cms scenario 48) The answer is 200, whatever the site says."""
    error = PlatformError(error_class, "some_code", "What is wrong", help="What to do")
    SITES[BASE_URL] = FakeSite(failures={check: error})
    path = f"integrations/{integration['_id']}"

    answer = publisher.post(f"{path}/test")

    told = answer.get_json()
    assert (answer.status_code, told["ok"]) == (200, False)
    assert told["checks"][-1] == {
        "name": check,
        "ok": False,
        "class": error_class,
        "code": "some_code",
        "message": "What is wrong",
        "help": "What to do",
    }
    assert publisher.get(path).get_json()["state"] == state
    assert publisher.get(path).get_json()["state_message"] == "some_code: What is wrong"


def test_settings_are_tested_before_they_are_saved(
    publisher: Publisher, site: Any, graph: Graph
) -> None:
    body = {"site": site["_id"], "destination": "wordpress", "base_url": BASE_URL}
    wrong = {**CREDENTIALS, "application_password": "x" * 24}

    good = publisher.post("integrations/test/", {**body, "credentials": CREDENTIALS})
    bad = publisher.post("integrations/test/", {**body, "credentials": wrong, "write": True})
    none = publisher.post("integrations/test/", body)

    assert (good.status_code, good.get_json()["ok"]) == (200, True)
    assert bad.get_json()["checks"][-1]["class"] == "auth"
    assert none.get_json()["checks"][-1]["code"] == "no_credentials"
    assert SITES[BASE_URL].seen == ["test", "test with writes"]
    assert not graph.db["publisher_integrations"].count_documents({})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"destination": "typo3"}, "destination"),
        ({"destination": None}, "destination"),
        ({"site": None}, "site"),
        ({"base_url": "http://kestrel.example"}, "base_url"),
        ({"credentials": "secret"}, "credentials"),
        ({"options": {"nonsense": 1}}, "options"),
        ({"options": 1}, "options"),
        ({"write": "yes"}, "write"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_settings_with_faults_are_refused(
    publisher: Publisher, site: Any, body: Any, field: str
) -> None:
    good = {"site": site["_id"], "destination": "wordpress", "base_url": BASE_URL}

    answer = publisher.post("integrations/test", {**good, **body})

    assert answer.status_code == 400
    assert list(answer.get_json()["_issues"]) == [field]


def test_terms_are_shown_as_last_synced(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    stored = graph.db["publisher_integrations"].find_one({})
    term = {"integration": stored["_id"], "taxonomy": "categories", "remote_id": "1"}
    graph.db["publisher_terms"].insert_one({**term, "name": "News", "slug": "news"})
    path = f"integrations/{integration['_id']}/taxonomies"

    shown = publisher.get(f"{path}/").get_json()

    told = {"remote_id": "1", "name": "News", "slug": "news", "parent": None, "count": None}
    assert shown["_items"] == [{"taxonomy": "categories", "name": "categories", "terms": [told]}]
    assert publisher.post(f"{path}/sync/").status_code == 202
    assert publisher.get(f"integrations/{integration['_id']}").get_json()["sync_requested_at"]


def test_rows_of_the_map_say_what_a_term_stands_for(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    stored = graph.db["publisher_integrations"].find_one({})
    term = {"integration": stored["_id"], "taxonomy": "categories", "remote_id": "1"}
    graph.db["publisher_terms"].insert_one({**term, "name": "News", "slug": "news"})
    row = {"integration": integration["_id"], "scheme": "anpa_category", "qcode": "a"}

    assert publisher.post("taxonomy-map", row).get_json()["_issues"] == {
        "taxonomy": {"required": 1},
        "remote_id": {"required": 1},
    }
    mapped = publisher.post("taxonomy-map/", {**row, "taxonomy": "categories", "remote_id": "1"})
    assert mapped.status_code == 201
    assert mapped.get_json()["remote_name"] == "News"
    again = publisher.post("taxonomy-map", {**row, "mode": "ignore"})
    assert again.get_json()["_issues"] == {"qcode": {"unique": 1}}
    path = f"taxonomy-map/{mapped.get_json()['_id']}"
    assert publisher.patch(path, {"remote_id": "99"}).get_json()["remote_name"] is None
    assert publisher.patch(path, {"state": "stale"}).status_code == 400
    assert publisher.delete(path).status_code == 204
