"""Subscribers at the HTTP edge (routing contract 1, 2)."""

from typing import Any

import pytest
from bson import ObjectId

from apps.core import json
from apps.core.service import Document
from apps.graph.build import Graph
from apps.secrets.vault import Vault, is_encrypted
from tests.support.clients import Client, log_in, make_user
from tests.support.events import Events
from tests.support.newsroom import Newsroom, file_in
from tests.support.rules import (
    ERROR,
    Rules,
    issues,
    push_destination,
    refusal,
    subscriber_body,
)

GONE = "6b0000000000000000000000"
REQUIRED = {"required": 1}
NOWHERE_TO_SEND = {"destinations": REQUIRED, "api_products": REQUIRED}
SECRETS = {
    "secret_token": "a",
    "password": "b",
    "apiKey": "c",
    "access_key_id": "d",
    "secret_access_key": "e",
    "signature_v1": "f",
}


@pytest.fixture
def rules(admin: Any) -> Rules:
    return Rules(admin)


def path_of(subscriber: Document) -> str:
    return f"subscribers/{subscriber['_id']}"


def config_of(graph: Graph, subscriber: Document, position: int = 0) -> Document:
    """Return the stored `config` of a destination, secrets decrypted."""
    stored = graph.db["subscribers"].find_one({"_id": ObjectId(subscriber["_id"])})
    config, vault = stored["destinations"][position]["config"], Vault.of(graph.settings)
    return {key: vault.decrypt(value) for key, value in config.items()}


class TestRules:
    def test_is_inactive_unless_it_says_otherwise(self, rules: Rules, events: Events) -> None:
        """Routing scenario 1: defaults are filled, and clients are told of the new subscriber."""
        stored = rules.subscriber()

        assert (stored["is_active"], stored["is_targetable"]) == (False, True)
        assert [extra["_id"] for extra in events.named("subscriber:create")] == [[stored["_id"]]]

    def test_tells_clients_of_a_change(self, rules: Rules, events: Events) -> None:
        """PATCH sends `subscriber:update` with the id in a list."""
        stored = rules.subscriber()

        rules.client.patch(path_of(stored), {"codes": "a"})

        assert [extra["_id"] for extra in events.named("subscriber:update")] == [[stored["_id"]]]

    def test_an_active_one_needs_somewhere_to_send(self, rules: Rules) -> None:
        """Products without destination and API product are refused with both issues.

        Routing scenario 2.
        """
        product = rules.product()
        body = subscriber_body(is_active=True, destinations=[], products=[product["_id"]])

        answer = rules.client.post("subscribers", body)

        assert issues(answer) == NOWHERE_TO_SEND
        assert refusal(answer) == "At least one destination or one API Product should be specified"

    def test_an_active_one_keeps_somewhere_to_send(self, rules: Rules) -> None:
        """PATCH is checked on the merged document; the refusal is a validator exception.

        Routing scenario 3.
        """
        stored = rules.subscriber(is_active=True, api_products=[rules.product()["_id"]])

        answer = rules.client.patch(path_of(stored), {"api_products": []})

        assert issues(answer) == {
            ERROR: "400: At least one destination or one API Product should be specified"
        }

    def test_an_incomplete_one_cannot_become_active(self, rules: Rules) -> None:
        """Activation is checked with what is stored; an inactive subscriber may be incomplete."""
        stored = rules.subscriber(products=[rules.product()["_id"]])
        text = "400: At least one destination or one API Product should be specified"

        assert issues(rules.client.patch(path_of(stored), {"is_active": True})) == {ERROR: text}

    def test_direct_products_need_a_destination(self, rules: Rules) -> None:
        """An API product does not make up for destinations of direct products."""
        product = rules.product()["_id"]
        body = subscriber_body(is_active=True, products=[product], api_products=[product])

        answer = rules.client.post("subscribers", body)

        assert (refusal(answer), issues(answer)) == (
            "Destinations not specified.",
            {"destinations": REQUIRED},
        )

    @pytest.mark.parametrize(
        ("wanted", "text"),
        [
            ({"min": 0, "max": 10}, "should be greater than 0"),
            ({"min": -1}, "should be greater than 0"),
            ({"min": 10, "max": 10}, "should be less than the value of Maximum"),
            ({"min": 9999}, "should be less than the value of Maximum"),
            ({"max": 1}, "should be less than the value of Maximum"),
        ],
    )
    def test_sequence_numbers_need_a_range(self, rules: Rules, wanted: Any, text: str) -> None:
        """Minimum and maximum, given or by default, span a range, of inactive subscribers too.

        Routing scenario 4.
        """
        stored = rules.subscriber()
        text = f"Value of Minimum in Sequence Number Settings {text}"

        body = subscriber_body("Other", sequence_num_settings=wanted)
        posted = rules.client.post("subscribers", body)
        patched = rules.client.patch(path_of(stored), {"sequence_num_settings": wanted})

        assert (refusal(posted), issues(posted)) == (text, {"sequence_num_settings.min": 1})
        assert issues(patched) == {ERROR: f"400: {text}"}

    def test_sequence_numbers_may_be_left_open(self, rules: Rules) -> None:
        """An empty range is allowed."""
        assert rules.subscriber(sequence_num_settings={})["sequence_num_settings"] == {}

    def test_sequence_numbers_are_checked_first(self, rules: Rules) -> None:
        """The order of the checks decides which refusal clients see."""
        body = subscriber_body(is_active=True, sequence_num_settings={"min": 0})

        assert "greater than 0" in refusal(rules.client.post("subscribers", body))

    def test_destinations_are_checked_by_position(self, rules: Rules) -> None:
        """Routing scenario 5: issues of a destination are nested under its position."""
        answer = rules.client.post("subscribers", subscriber_body(destinations=[{"name": ""}]))

        assert issues(answer) == {
            "destinations": {
                "0": {
                    "name": "empty values not allowed",
                    "format": REQUIRED,
                    "delivery_type": REQUIRED,
                }
            }
        }

    def test_a_patch_cannot_store_half_a_destination(self, rules: Rules) -> None:
        """PATCH replaces destinations, so each has to be whole there too."""
        stored = rules.subscriber()
        change = {"destinations": [push_destination(), {"name": "half", "format": "ninjs"}]}

        answer = rules.client.patch(path_of(stored), change)

        assert issues(answer) == {"destinations": {"1": {"delivery_type": REQUIRED}}}

    def test_names_and_addresses(self, rules: Rules) -> None:
        """Names are unique whatever their case; every address in a list needs its at sign.

        Routing scenario 6.
        """
        rules.subscriber("News")

        name = rules.client.post("subscribers", subscriber_body(" NEWS"))
        for bad in ("foo", "a@b.c, foo", "@"):
            email = rules.client.post("subscribers", subscriber_body("Other", email=bad))
            assert issues(email) == {"email": {"pattern": 1}}

        assert issues(name) == {"name": {"unique": 1}}
        rules.subscriber("Several", email="a@example.com, b@example.com")

    def test_names_are_unique_in_one_request(self, rules: Rules) -> None:
        """Of two documents of one request with the same name none is stored."""
        bodies = [subscriber_body("News"), subscriber_body("news ")]

        answer = rules.client.post("subscribers", bodies)

        assert issues(answer) == {"name": {"unique": 1}}
        assert rules.client.get("subscribers").get_json()["_items"] == []

    @pytest.mark.parametrize(
        ("field", "value", "issue"),
        [
            ("name", None, "null value not allowed"),
            ("name", "", "empty values not allowed"),
            ("name", "x" * 256, "max length is 255"),
            ("email", "", [{"pattern": 1}, "empty values not allowed"]),
            ("subscriber_type", "paper", "unallowed value paper"),
            ("sequence_num_settings", {"min": "x"}, {"min": "must be of integer type"}),
            ("sequence_num_settings", None, "null value not allowed"),
            ("sequence_num_settings", {"max": 2**31}, {"max": "max value is 2147483647"}),
            ("sequence_num_settings", {"max": 2**80}, {"max": "must be of integer type"}),
            ("is_active", "maybe", "must be of boolean type"),
            ("global_filters", {"a": "x"}, {"a": "must be of boolean type"}),
            ("critical_errors", {"10000": "x"}, {"10000": "must be of boolean type"}),
            ("codes", 5, "must be of string type"),
            ("destinations", {}, "must be of list type"),
            ("destinations", None, "null value not allowed"),
            ("destinations", ["x"], {"0": "must be of dict type"}),
            (
                "destinations",
                [{**push_destination(), "config": "x"}],
                {"0": {"config": "must be of dict type"}},
            ),
            (
                "destinations",
                [{**push_destination(), "surprise": 1}],
                {"0": {"surprise": "unknown field"}},
            ),
            (
                "products",
                [GONE],
                {"0": f"value '{GONE}' must exist in resource 'products', field '_id'."},
            ),
            ("surprise", 1, "unknown field"),
        ],
    )
    def test_refuses_what_breaks_the_schema(
        self, rules: Rules, field: str, value: Any, issue: Any
    ) -> None:
        """POST and PATCH answer bad values with an issue for the field."""
        stored = rules.subscriber("Fine")

        posted = rules.client.post("subscribers", {**subscriber_body("Other"), field: value})
        patched = rules.client.patch(path_of(stored), {field: value})

        assert issues(posted) == issues(patched) == {field: issue}

    def test_lists_of_products_may_hold_nulls(self, rules: Rules) -> None:
        """As stock data does; they stand for nothing."""
        product = rules.product()["_id"]
        lists = {"products": [None, product], "api_products": [None]}

        stored = rules.subscriber(is_active=True, destinations=[push_destination()], **lists)

        assert stored["products"] == [None, product]

    def test_needs_its_basics(self, rules: Rules) -> None:
        """Name, type, address and sequence numbers are required."""
        wanted = ("name", "subscriber_type", "email", "sequence_num_settings")

        assert issues(rules.client.post("subscribers", {})) == dict.fromkeys(wanted, REQUIRED)

    def test_is_never_deleted(self, rules: Rules) -> None:
        """Routing scenario 7: DELETE and PUT are not offered."""
        stored = rules.subscriber()

        assert rules.client.delete(path_of(stored)).status_code == 405
        assert rules.client.delete("subscribers", etag="x").status_code == 405
        answer = rules.client.request("PUT", path_of(stored), json=subscriber_body())
        assert answer.status_code == 405

    @pytest.mark.parametrize(
        ("field", "product_type", "text"),
        [
            ("products", "api", "Invalid Product Type. Products P."),
            ("api_products", "direct", "Invalid Product Type. API Products P."),
        ],
    )
    def test_products_fit_their_list(
        self, rules: Rules, field: str, product_type: str, text: str
    ) -> None:
        """An active subscriber cannot list a product of the other type; an inactive one may.

        Routing scenario 9.
        """
        product = rules.product("P", product_type=product_type)
        lists = {field: [product["_id"]], "destinations": [push_destination()]}

        answer = rules.client.post("subscribers", subscriber_body("A", is_active=True, **lists))
        stored = rules.subscriber("B", **lists)
        activated = rules.client.patch(path_of(stored), {"is_active": True})

        assert (refusal(answer), issues(answer)) == (text, {"products": 1})
        assert issues(activated) == {ERROR: f"400: {text}"}

    def test_needs_the_privilege(self, rules: Rules, editor: Any, anonymous: Any) -> None:
        """Everybody who is logged in reads subscribers; `subscribers` is needed to write them."""
        stored = rules.subscriber()

        assert editor.get(path_of(stored)).status_code == 200
        assert editor.post("subscribers", subscriber_body("Other")).status_code == 403
        assert editor.patch(path_of(stored), {"codes": "a"}).status_code == 403
        assert anonymous.get("subscribers").status_code == 401

    def test_a_stale_etag_is_refused(self, rules: Rules) -> None:
        """Two clients cannot overwrite each other unseen."""
        stored = rules.subscriber()
        rules.client.patch(path_of(stored), {"codes": "a"})

        answer = rules.client.patch(path_of(stored), {"codes": "b"}, etag=stored["_etag"])

        assert answer.status_code == 412


class TestSecrets:
    @pytest.fixture
    def stored(self, rules: Rules) -> Document:
        """A subscriber with every kind of secret."""
        return rules.subscriber(destinations=[push_destination(**SECRETS)])

    @pytest.fixture
    def seller(self, app: Any, graph: Graph) -> Client:
        """A user with the privilege `subscribers`."""
        make_user(graph, "seller", privileges={"subscribers": 1})
        return log_in(app, "seller")

    def test_lists_hide_secrets(self, stored: Document, admin: Any, editor: Any) -> None:
        """Routing scenario 8: a list never holds a secret; every destination in it has an `_id`."""
        for client in (admin, editor):
            shown = client.get("subscribers").get_json()["_items"][0]["destinations"][0]

            assert shown["config"] == {"resource_url": "http://127.0.0.1:9"}
            assert shown["_id"] == stored["destinations"][0]["_id"]

    def test_an_item_shows_secrets_to_those_who_may_write_them(
        self, stored: Document, admin: Any, seller: Any, editor: Any
    ) -> None:
        """GET of one subscriber and answers to writes hold them with the privilege, encrypted."""
        whole = stored["destinations"][0]["config"]
        assert {"resource_url", *SECRETS} == set(whole)
        assert all(is_encrypted(whole[key]) for key in SECRETS)

        def shown(answer: Any) -> Any:
            return answer.get_json()["destinations"][0]["config"]

        for client in (admin, seller):
            assert shown(client.get(path_of(stored))) == whole
        assert shown(editor.get(path_of(stored))) == {"resource_url": "http://127.0.0.1:9"}
        assert shown(seller.patch(path_of(stored), {"codes": "a"})) == whole

    @pytest.mark.parametrize(
        "where",
        [
            '{"destinations.config.password": {"$regex": "^b"}}',
            '{"destinations": {"$elemMatch": {"config.password": "b"}}}',
            '{"$or": [{"destinations.0.config.password": "b"}]}',
            '{"$and": [{"$nor": [{"destinations.config": {"$exists": 1}}]}]}',
            'destinations.config.password=="b"',
        ],
    )
    def test_secrets_cannot_be_searched_for(
        self, stored: Document, editor: Any, where: str
    ) -> None:
        """A search would give a secret away letter by letter."""
        assert editor.get("subscribers", where=where).status_code == 400

    def test_other_fields_can_be_searched_for(self, stored: Document, editor: Any) -> None:
        """Names, states and what else is no secret stay searchable."""
        where = '{"$and": [{"name": "News"}, {"destinations.delivery_type": "http_push"}]}'

        assert editor.get("subscribers", where=where).get_json()["_meta"]["total"] == 1

    def test_a_projection_shows_no_secret(self, stored: Document, editor: Any) -> None:
        """Asking for the configuration by name does not show more of it."""
        for path in ("subscribers", path_of(stored)):
            body = editor.get(path, projection='{"destinations": 1}').get_data(as_text=True)

            assert "secret_token" not in body
            assert "resource_url" in body

    def test_secrets_survive_a_round_trip(
        self, stored: Document, rules: Rules, graph: Graph
    ) -> None:
        """What a list shows can be sent back: the secrets stay, other keys are replaced.

        Routing scenario 8.
        """
        shown = rules.client.get("subscribers").get_json()["_items"][0]["destinations"]
        shown[0]["config"] = {"resource_url": "http://127.0.0.1:10"}

        answer = rules.client.patch(path_of(stored), {"destinations": shown})

        assert answer.status_code == 200
        assert config_of(graph, stored) == {"resource_url": "http://127.0.0.1:10", **SECRETS}

    def test_secrets_can_be_changed_and_removed(
        self, stored: Document, rules: Rules, graph: Graph
    ) -> None:
        """A new value replaces a secret, a null removes any key."""
        own = stored["destinations"][0]
        config = {"password": "new", "apiKey": None, "resource_url": None}

        rules.client.patch(path_of(stored), {"destinations": [{**own, "config": config}]})

        kept = {key: value for key, value in SECRETS.items() if key != "apiKey"}
        assert config_of(graph, stored) == {**kept, "password": "new"}

    def test_secrets_belong_to_their_destination(
        self, stored: Document, rules: Rules, graph: Graph
    ) -> None:
        """A destination with another `_id`, or none, gets nobody's secrets."""
        others = [{**push_destination(), "_id": "other"}, push_destination()]

        rules.client.patch(path_of(stored), {"destinations": others})

        for position in (0, 1):
            assert config_of(graph, stored, position) == {"resource_url": "http://127.0.0.1:9"}

    def test_every_destination_gets_an_id_of_its_own(self, rules: Rules) -> None:
        """Ids are given where none is, and never twice: deliveries are told apart by them."""
        named = {**push_destination(), "_id": "mine"}

        stored = rules.subscriber(
            destinations=[push_destination(), push_destination(), named, named]
        )

        ids = [destination["_id"] for destination in stored["destinations"]]
        assert len(set(ids)) == 4
        assert all(ids)
        assert ids[2] == "mine"

    def test_destinations_stored_without_id_and_config_are_fine(
        self, graph: Graph, rules: Rules
    ) -> None:
        """Data from elsewhere: the id in the list is stable, and secrets survive under it."""
        bare = {"name": "odd", "format": "ninjs", "delivery_type": "File"}
        secret = {**push_destination(secret_token="x")}
        id_ = Newsroom(graph.db).subscriber("Old", bare, secret)
        shown = rules.client.get("subscribers").get_json()["_items"][0]["destinations"]

        assert shown[0]["config"] == {}
        answer = rules.client.patch(f"subscribers/{id_}", {"destinations": shown[::-1]})

        assert answer.status_code == 200
        stored = graph.db["subscribers"].find_one({"_id": id_})["destinations"]
        assert [entry["_id"] for entry in stored] == [shown[1]["_id"], shown[0]["_id"]]
        kept = stored[0]["config"]["secret_token"]
        assert Vault.of(graph.settings).decrypt(kept) == "x"

    @pytest.mark.parametrize("odd", [None, "x", ["x"], [{"config": "x"}], [{"config": None}]])
    def test_unreadable_destinations_do_no_harm(
        self, graph: Graph, rules: Rules, editor: Any, odd: Any
    ) -> None:
        """Data from elsewhere that is no destination neither breaks lists nor later writes."""
        id_ = Newsroom(graph.db).subscriber("Old")
        graph.db["subscribers"].update_one({"_id": id_}, {"$set": {"destinations": odd}})

        assert editor.get("subscribers").status_code == 200
        assert editor.get(f"subscribers/{id_}").status_code == 200
        change = {"destinations": [push_destination()]}
        assert rules.client.patch(f"subscribers/{id_}", change).status_code == 200


class TestHeldRows:
    """Rows wait in the lanes of a subscriber; its lanes have to be woken for them to go out."""

    @pytest.fixture
    def publish(self, admin: Any, graph: Graph) -> Any:
        """Publish a story; tasks run within the requests."""
        newsroom = Newsroom(graph.db)
        newsroom.validators()

        def run() -> None:
            item = admin.create("archive", newsroom.story())
            assert admin.patch(f"archive/publish/{item['_id']}", {}).status_code == 200

        return run

    def test_rows_go_out_when_a_subscriber_is_active_again(
        self, rules: Rules, graph: Graph, publish: Any, tmp_path: Any
    ) -> None:
        """What was queued before a subscriber was switched off is delivered when it is back."""
        to = {"destinations": [file_in(tmp_path / "later")], "products": [rules.product()["_id"]]}
        subscriber = rules.subscriber(is_active=True, **to)
        publish()
        assert graph.db["publish_queue"].find_one()["state"] == "retrying"
        rules.client.patch(path_of(subscriber), {"is_active": False})
        (tmp_path / "later").mkdir()
        due = {"$set": {"state": "pending", "next_retry_attempt_at": None}}
        graph.db["publish_queue"].update_many({}, due)
        graph.db["publish_lanes"].update_many({}, {"$set": {"wake_at": graph.clock.precise()}})
        graph.transmit.run()
        assert graph.db["publish_queue"].find_one()["state"] == "pending"

        rules.client.patch(path_of(subscriber), {"is_active": True})
        graph.transmit.run()

        assert graph.db["publish_queue"].find_one()["state"] == "success"

    @pytest.mark.parametrize(
        ("before", "change", "woken"),
        [
            ({"is_active": True}, {"codes": "a"}, False),
            ({"is_active": True}, {"is_active": True}, False),
            ({"is_active": True}, {"destinations": [file_in("/elsewhere")]}, True),
            ({"is_active": True}, {"destinations": [file_in("/nowhere")]}, False),
            ({"is_active": False}, {"is_active": True}, True),
            ({"is_active": False}, {"destinations": [file_in("/elsewhere")]}, False),
            ({"is_active": True}, {"is_active": False}, False),
        ],
    )
    def test_lanes_are_woken_by_what_may_help_them(
        self, rules: Rules, graph: Graph, before: Any, change: Any, woken: bool
    ) -> None:
        """Activation and other destinations wake the lanes of an active subscriber; no more."""
        subscriber = rules.subscriber(destinations=[file_in("/nowhere")], **before)

        assert rules.client.patch(path_of(subscriber), change).status_code == 200

        lanes = [lane["_id"] for lane in graph.db["publish_lanes"].find()]
        assert lanes == ([f"{subscriber['_id']}:file"] if woken else [])


class TestUploads:
    """Destinations of FTP and SFTP."""

    @pytest.mark.parametrize("config", [{"passive": True}, {"host": "", "port": None}])
    def test_may_be_filled_in_later(self, rules: Rules, config: Any) -> None:
        destination = push_destination() | {"delivery_type": "ftp", "config": config}
        body = subscriber_body("A", destinations=[destination])

        assert 201 == rules.client.post("subscribers", body).status_code

    @pytest.mark.parametrize(
        ("kind", "config", "issue"),
        [
            ("ftp", {"host": "ftp.example.com", "port": "ftp"}, "port"),
            ("ftp", {"host": "ftp://ftp.example.com"}, "host"),
            ("ftp", {"host": "ftp.example.com", "certificate": "x"}, "certificate"),
            ("sftp", {"host": "sftp.example.com", "host_key": "x"}, "host_key"),
        ],
    )
    def test_values_that_cannot_be_used(
        self, rules: Rules, kind: str, config: Any, issue: str
    ) -> None:
        destination = push_destination() | {"delivery_type": kind, "config": config}
        body = subscriber_body("A", destinations=[push_destination(), destination])

        found = issues(rules.client.post("subscribers", body))
        assert [issue] == list(found["destinations"]["1"]["config"])

    def test_secrets_are_not_shown(self, rules: Rules) -> None:
        secrets = {"password": "pass-w0rd", "private_key": "k3y", "passphrase": "phr4se"}
        config = {"host": "sftp.example.com", "username": "desk", **secrets}
        destination = push_destination() | {"delivery_type": "sftp", "config": config}
        rules.subscriber(destinations=[destination])

        shown = rules.client.get("subscribers").get_data(as_text=True)
        assert "sftp.example.com" in shown
        assert [secret for secret in secrets.values() if secret in shown] == []


class TestStrictDestinations:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Destinations of active subscribers are checked against what is installed."""
        return {**settings, "STRICT_DESTINATIONS": True}

    @pytest.mark.parametrize(
        ("change", "issue"),
        [
            ({"delivery_type": "pigeon"}, {"delivery_type": "unallowed value pigeon"}),
            ({"format": "morse"}, {"format": "unallowed value morse"}),
            ({"config": {}}, {"config": {"resource_url": REQUIRED}}),
            ({"config": {"resource_url": ""}}, {"config": {"resource_url": REQUIRED}}),
            (
                {"delivery_type": "File", "format": "morse"},
                {"format": "unallowed value morse", "config": {"file_path": REQUIRED}},
            ),
        ],
    )
    def test_an_active_one_needs_destinations_that_work(
        self, rules: Rules, change: Any, issue: Any
    ) -> None:
        """Unknown formats and delivery types and missing configuration are refused by position."""
        destinations = [push_destination(), {**push_destination(), **change}]
        wanted = {"destinations": {"1": issue}}

        body = subscriber_body("A", is_active=True, destinations=destinations)
        posted = rules.client.post("subscribers", body)
        stored = rules.subscriber("B", destinations=destinations)
        activated = rules.client.patch(path_of(stored), {"is_active": True})

        assert issues(posted) == issues(activated) == wanted

    def test_a_secret_need_not_be_sent_again(self, rules: Rules) -> None:
        """The check looks at the destination as it will be stored."""
        stored = rules.subscriber(is_active=True, destinations=[push_destination(password="x")])
        shown = rules.client.get("subscribers").get_json()["_items"][0]["destinations"]

        answer = rules.client.patch(path_of(stored), {"destinations": shown})

        assert answer.status_code == 200


def test_unknown_destinations_are_stored_unless_strict(rules: Rules) -> None:
    """Stock data loads: without the setting nothing is checked against what is installed."""
    odd = {"name": "odd", "format": "morse", "delivery_type": "pigeon"}

    assert rules.subscriber(is_active=True, destinations=[odd])["is_active"] is True


class TestSearchByCondition:
    """What depends on a filter condition (routing contract 1.3, 4.6)."""

    @pytest.fixture(autouse=True)
    def _rules(self, rules: Rules) -> None:
        """Conditions on categories; filters, products and subscribers that depend on them."""
        one = rules.condition("in 1,2", "anpa_category", "in", "1,2")
        rules.condition("in 3", "anpa_category", "in", "3")
        other = rules.condition("nin 3", "anpa_category", "nin", "3")
        inner = rules.filter("inner", {"fc": [one["_id"]]})
        outer = rules.filter("outer", {"pf": [inner["_id"]]})
        everywhere = rules.filter("everywhere", {"fc": [other["_id"]]}, is_global=True)
        rules.filter("unrelated", {"fc": [rules.condition("s", "source", "eq", "1")["_id"]]})
        product = rules.product("P", content_filter={"filter_id": outer["_id"]})
        rules.product("Q")
        secret = {"destinations": [push_destination(secret_token="x")]}
        override = {"global_filters": {everywhere["_id"]: False}}
        rules.subscriber("direct", products=[product["_id"]], **override, **secret)
        rules.subscriber("api", api_products=[product["_id"]], **override)
        rules.subscriber("overriding", **override)
        rules.subscriber("global only")

    def search(self, client: Client, **condition: Any) -> Any:
        wanted = {"field": "anpa_category", "operator": "in", "value": "1", **condition}
        text = json.dumps(wanted).decode()
        return client.get("subscribers", filter_condition=text)

    def test_follows_the_condition_to_subscribers(self, admin: Any) -> None:
        """The answer is one item with the names on every step of the way."""
        body = self.search(admin).get_json()

        (found,) = body["_items"]
        assert body["_meta"]["total"] == 1
        assert {key: [row["name"] for row in found[key]] for key in found if key[0] != "_"} == {
            "filter_conditions": ["in 1,2", "nin 3"],
            "content_filters": ["inner", "outer", "everywhere"],
            "products": ["P"],
            "selected_subscribers": ["direct", "api", "global only"],
        }

    def test_links_the_subscribers_and_hides_their_secrets(self, admin: Any) -> None:
        """Each subscriber has a link to itself and no secret."""
        answer = self.search(admin)

        direct = answer.get_json()["_items"][0]["selected_subscribers"][0]
        href = f"/subscribers/{direct['_id']}"
        assert direct["_links"] == {"self": {"title": "subscribers", "href": href}}
        assert "secret_token" not in answer.get_data(as_text=True)

    def test_fields_without_lists_are_compared_by_their_text(
        self, admin: Any, rules: Rules
    ) -> None:
        """Operators other than the given one count for fields with lists only."""
        rules.condition("yes", "embargo", "eq", "True")
        rules.condition("no", "embargo", "ne", "False")

        body = self.search(admin, field="embargo", operator="eq", value="true").get_json()

        names = [row["name"] for row in body["_items"][0]["filter_conditions"]]
        assert names == ["yes"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "filter_condition is not JSON"),
            ("[]", "filter_condition needs field, operator and value as text"),
            ('{"field": "source"}', "filter_condition needs field, operator and value as text"),
            (
                '{"field": "x", "operator": "in", "value": "1"}',
                "Filter condition has unidentified field: x",
            ),
            (
                '{"field": "source", "operator": "lt", "value": "1"}',
                "Filter condition has unidentified operator: lt",
            ),
        ],
    )
    def test_refuses_conditions_that_cannot_be(self, admin: Any, text: str, message: str) -> None:
        """Bad searches are answered with 400 and a reason."""
        assert refusal(admin.get("subscribers", filter_condition=text)).startswith(message)
