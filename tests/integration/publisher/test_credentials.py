"""Credentials of integrations: where they are, and where they are not (cms contract 13.1)."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from cryptography.fernet import Fernet

from apps.core import json
from apps.graph.build import Graph
from apps.secrets.vault import Vault
from tests.support.events import Events
from tests.support.fake_sites import PASSWORD, SITES
from tests.support.publisher_client import BASE_URL, CREDENTIALS, Publisher, put_out
from transmitters.cms.base import PlatformError

OTHER_PASSWORD = "ZZZZ YYYY XXXX WWWW VVVV 1234"


def forms_of(secret: str) -> list[bytes]:
    """Return a secret as it may be written."""
    plain = [secret, secret.replace(" ", ""), f"wire:{secret}"]
    return [form for text in plain for form in (text.encode(), b64encode(text.encode()))]


def everything(graph: Graph) -> Iterator[bytes]:
    for name in graph.db.list_collection_names():
        for document in graph.db[name].find():
            yield repr(document).encode()


def test_credentials_appear_nowhere(
    publisher: Publisher,
    site: Any,
    graph: Graph,
    events: Events,
    capfd: Any,
    caplog: Any,
) -> None:
    """(cms scenario 20) In no answer, event, log line or document."""
    texts: list[bytes] = []

    def note(answer: Any) -> Any:
        texts.append(answer.data + repr(answer.headers).encode())
        return answer.get_json()

    body = {"site": site["_id"], "destination": "wordpress", "name": "a", "base_url": BASE_URL}
    created = note(publisher.post("integrations", {**body, "credentials": CREDENTIALS}))
    path = f"integrations/{created['_id']}"
    note(publisher.get(path))
    note(publisher.get("integrations"))
    for projection in ('{"credentials": 1}', '{"name": 1}', '{"credentials.values": 1}'):
        note(publisher.get("integrations", projection=projection))
        note(publisher.get(path, projection=projection))
    changed = {"application_password": OTHER_PASSWORD}
    note(publisher.patch(path, {"credentials": changed}))
    note(publisher.post(f"{path}/test"))
    note(publisher.post("integrations/test", {**body, "credentials": CREDENTIALS}))
    note(publisher.post("integrations", {**body, "credentials": {**CREDENTIALS, "x": PASSWORD}}))
    wrong = {"username": "wire", "application_password": f"{PASSWORD}!"}
    note(publisher.post("integrations", {**body, "credentials": wrong}))
    put_out(graph.db)
    note(publisher.publish("story"))
    texts += [json.dumps(message) for message in events.heard()]
    logged = capfd.readouterr()
    texts += [logged.out.encode(), logged.err.encode(), caplog.text.encode()]
    texts += list(everything(graph))

    whole = b"\n".join(texts)
    for secret in (PASSWORD, OTHER_PASSWORD):
        for form in forms_of(secret):
            assert form not in whole
    assert b"enc:v1:" not in b"\n".join(texts[:13])


def test_what_is_shown_is_a_mask(publisher: Publisher, integration: Any) -> None:
    shown = publisher.get(f"integrations/{integration['_id']}").get_json()["credentials"]

    assert shown.pop("updated_at")
    assert shown == {
        "set": True,
        "fields": ["application_password", "username"],
        "username": "wire",
        "hint": f"…{PASSWORD[-4:]}",
    }
    assert integration["credentials"].items() >= shown.items()


def test_the_mask_cannot_be_sent_back(publisher: Publisher, integration: Any) -> None:
    path = f"integrations/{integration['_id']}"
    mask = publisher.get(path).get_json()["credentials"]

    answer = publisher.patch(path, {"credentials": mask})

    assert answer.status_code == 400
    assert "credentials" in answer.get_json()["_issues"]


def test_a_patch_keeps_what_it_does_not_mention_and_null_removes(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    path = f"integrations/{integration['_id']}"

    def patched(credentials: Any) -> Any:
        return publisher.patch(path, {"credentials": credentials}).get_json()["credentials"]

    assert patched({"username": "other"})["username"] == "other"
    assert publisher.post(f"{path}/test").get_json()["ok"]
    assert patched({"username": None})["fields"] == ["application_password"]
    assert patched({"application_password": None}) == {"set": False, "fields": []}


@pytest.mark.parametrize("argument", ["where", "sort"])
def test_credentials_are_nothing_to_search_or_sort_by(
    publisher: Publisher, integration: Any, argument: str
) -> None:
    asked = {
        "where": ['{"credentials.hints.application_password": "x"}', '{"credentials": {"$ne": 1}}'],
        "sort": ["credentials", '[("credentials.values.username", 1)]'],
    }
    for text in asked[argument]:
        assert publisher.get("integrations", **{argument: text}).status_code == 400, text


@pytest.mark.parametrize("copied_to", ["integration", "field", "account"])
def test_a_ciphertext_opens_nothing_where_it_is_copied_to(
    publisher: Publisher, site: Any, integration: Any, graph: Graph, copied_to: str
) -> None:
    """(cms scenario 21)"""
    stored = graph.db["publisher_integrations"]
    values = stored.find_one({})["credentials"]["values"]
    other = publisher.integration(site, name="other", base_url="http://127.0.0.1:8")
    name = "username" if copied_to == "field" else "application_password"
    target = ObjectId(integration["_id"] if copied_to != "integration" else other["_id"])
    change = {f"credentials.values.{name}": values["application_password"]}
    if copied_to == "account":
        change = {"account": "other"}
    stored.update_one({"_id": target}, {"$set": change})

    with pytest.raises(PlatformError) as refused:
        graph.publisher.opened.open(stored.find_one({"_id": target}))

    assert (refused.value.error_class, refused.value.code) == ("config", "credentials_unreadable")
    if copied_to != "account":
        told = publisher.post(f"integrations/{target}/test").get_json()
        assert not told["ok"]
        assert told["checks"][0]["code"] == "credentials_unreadable"


def test_new_keys_keep_everything_working(
    publisher: Publisher, integration: Any, graph: Graph, settings: Any
) -> None:
    """(cms scenario 21)"""
    stored = graph.db["publisher_integrations"]
    before = stored.find_one({})
    service, old = graph.publisher.integrations, settings["ENCRYPTION_KEYS"]
    both = Vault([Fernet.generate_key().decode(), *old], Path("."))
    service._vault = both

    assert service.rotate_secrets().renewed == 2

    after = stored.find_one({})
    assert after["credentials"]["values"] != before["credentials"]["values"]
    assert {**after, "credentials": 0, "_etag": 0} == {**before, "credentials": 0, "_etag": 0}
    graph.publisher.opened._vault = both
    assert publisher.post(f"integrations/{integration['_id']}/test").get_json()["ok"]


def test_without_a_key_only_writes_of_credentials_are_refused(
    publisher: Publisher, site: Any, integration: Any, graph: Graph, tmp_path: Path
) -> None:
    """(cms scenario 21) Nothing can be written where the key would be."""
    (tmp_path / "file").write_text("no directory")
    graph.publisher.integrations._vault = Vault([], tmp_path / "file")
    path = f"integrations/{integration['_id']}"
    body = {"site": site["_id"], "destination": "wordpress", "name": "b"}
    body["base_url"] = "http://[::1]"

    for answer in (
        publisher.patch(path, {"credentials": {"username": "me"}}),
        publisher.post("integrations", {**body, "credentials": CREDENTIALS}),
    ):
        assert answer.status_code == 503
        assert answer.get_json()["_error"]["message"] == "Credential encryption is not configured"
    assert publisher.patch(path, {"name": "new"}).status_code == 200
    assert publisher.post("integrations", body).status_code == 201


def test_another_address_needs_the_credentials_again(
    publisher: Publisher, integration: Any
) -> None:
    """(cms scenario 46) Or else it could collect the stored ones."""
    path, moved = f"integrations/{integration['_id']}", "http://127.0.0.1:8"
    issue = {"credentials": "required when base_url changes"}

    for sent in ({}, {"credentials": {"username": "me"}}, {"credentials": {}}):
        answer = publisher.patch(path, {"base_url": moved, **sent})
        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == issue
    assert publisher.get(path).get_json()["base_url"] == BASE_URL
    whole = {"base_url": moved, "credentials": CREDENTIALS}
    assert publisher.patch(path, whole).get_json()["base_url"] == moved
    assert publisher.patch(path, {"base_url": f"{moved}/"}).status_code == 200


def test_new_credentials_release_what_waits(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    stored, lanes = graph.db["publisher_integrations"], graph.db["publisher_lanes"]
    stored.update_one({}, {"$set": {"state": "auth_failed", "state_message": "wrong"}})
    lane = {"_id": integration["_id"]}
    lanes.update_one(lane, {"$set": {"paused": {"until": None}}}, upsert=True)
    path = f"integrations/{integration['_id']}"

    changed = publisher.patch(path, {"credentials": CREDENTIALS}).get_json()

    assert (changed["state"], changed["state_message"]) == ("new", None)
    found = lanes.find_one(lane)
    assert "paused" not in found
    assert found["wake_at"] is not None
    assert SITES == {}
