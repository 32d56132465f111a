"""Products and their test at the HTTP edge (routing contract 3)."""

from typing import Any

import pytest
from bson import ObjectId

from apps.core.errors import SchemaIssues
from apps.graph.build import Graph
from tests.support.clients import log_in, make_user
from tests.support.newsroom import Newsroom, file_in
from tests.support.rules import ERROR, Rules, issues, refusal

GONE = "6b0000000000000000000000"


@pytest.fixture
def rules(admin: Any) -> Rules:
    return Rules(admin)


def test_a_product_is_for_both_ways_unless_it_says_otherwise(rules: Rules) -> None:
    """`product_type` is `both` by default."""
    assert rules.product("Sport")["product_type"] == "both"


def test_a_filter_blocks_unless_it_says_otherwise(rules: Rules) -> None:
    """`filter_type` is `blocking` by default."""
    wanted = rules.simple_filter("A", "headline", "eq", "a")

    product = rules.product("Sport", content_filter={"filter_id": wanted["_id"]})

    assert product["content_filter"] == {"filter_id": wanted["_id"], "filter_type": "blocking"}


@pytest.mark.parametrize(
    ("field", "value", "issue"),
    [
        ("name", None, "null value not allowed"),
        ("name", "", "empty values not allowed"),
        ("name", 3, "must be of string type"),
        ("codes", ["a"], "must be of string type"),
        ("product_type", "wire", "unallowed value wire"),
        ("product_type", None, "null value not allowed"),
        ("geo_restrictions", 1, "must be of string type"),
        ("content_filter", {"filter_type": "x"}, {"filter_type": "unallowed value x"}),
        (
            "content_filter",
            {"filter_id": GONE},
            {"filter_id": f"value '{GONE}' must exist in resource 'content_filters', field '_id'."},
        ),
        ("surprise", 1, "unknown field"),
    ],
)
def test_refuses_what_breaks_the_schema(rules: Rules, field: str, value: Any, issue: Any) -> None:
    """POST and PATCH answer bad values with an issue for the field."""
    product = rules.product("Fine")

    posted = rules.client.post("products", {"name": "Other", field: value})
    patched = rules.client.patch(f"products/{product['_id']}", {field: value})

    assert issues(posted) == issues(patched) == {field: issue}


def test_needs_a_name_of_its_own(rules: Rules) -> None:
    """Names are unique whatever their case and outer blanks, in storage and in one request."""
    rules.product("Sport")

    assert issues(rules.client.post("products", {})) == {"name": {"required": 1}}
    assert issues(rules.client.post("products", {"name": " SPORT "})) == {"name": {"unique": 1}}
    twice = rules.client.post("products", [{"name": "Arts"}, {"name": "ARTS"}])
    assert issues(twice) == {"name": {"unique": 1}}
    assert rules.client.get("products").get_json()["_meta"]["total"] == 1


def test_a_name_is_taken_once_by_requests_at_once(rules: Rules, graph: Graph) -> None:
    """The store has the last word where two requests have both found the name free."""
    first, second = rules.product("Sport"), rules.product("Arts")

    # The service is called as it is once the schema has been checked.
    with pytest.raises(SchemaIssues) as created:
        graph.routing.products.post([{"name": "Sport"}])
    with pytest.raises(SchemaIssues) as updated:
        graph.routing.products.patch(ObjectId(second["_id"]), {"name": first["name"]})

    assert created.value.payload == updated.value.payload == {"name": {"unique": 1}}


def test_a_product_in_use_stays(rules: Rules) -> None:
    """DELETE of a product that a subscriber lists is refused with its name; an unused one goes.

    Routing scenario 10.
    """
    api, direct, unused = (rules.product(name) for name in ("api", "direct", "unused"))
    rules.subscriber("News2", api_products=[api["_id"]], products=[direct["_id"]])

    for used in (api, direct):
        answer = rules.client.delete(f"products/{used['_id']}")
        assert refusal(answer) == "Product is used by the subscriber(s): News2"
    assert rules.client.delete(f"products/{unused['_id']}").status_code == 204
    assert rules.client.get(f"products/{unused['_id']}").status_code == 404


@pytest.mark.parametrize(
    ("field", "product_type", "text"),
    [
        ("products", "api", "400: Product is used for direct publishing for the subscriber(s): S"),
        (
            "api_products",
            "direct",
            "400: Product is used for API publishing for the subscriber(s): S",
        ),
    ],
)
def test_the_type_stays_as_subscribers_need_it(
    rules: Rules, field: str, product_type: str, text: str
) -> None:
    """PATCH of `product_type` is refused while a subscriber's list would not fit any more.

    Routing scenario 11.
    """
    product = rules.product("P")
    rules.subscriber("S", **{field: [product["_id"]]})
    path = f"products/{product['_id']}"

    assert issues(rules.client.patch(path, {"product_type": product_type})) == {ERROR: text}
    other = {"api": "direct", "direct": "api"}[product_type]
    assert rules.client.patch(path, {"product_type": other}).status_code == 200
    assert rules.client.patch(path, {"product_type": "both"}).status_code == 200


def test_needs_the_privilege(rules: Rules, editor: Any, anonymous: Any) -> None:
    """Everybody who is logged in reads products; `products` is needed to write them."""
    product = rules.product("P")
    path = f"products/{product['_id']}"

    assert editor.get(path).get_json()["name"] == "P"
    answers = [
        editor.post("products", {"name": "Q"}),
        editor.patch(path, {"name": "Q"}),
        editor.delete(path),
        editor.post("products/test", {"article_id": "a"}),
    ]
    assert {answer.status_code for answer in answers} == {403}
    assert anonymous.get("products").status_code == 401
    assert rules.client.request("PUT", path, json={"name": "Q"}).status_code == 405


def test_a_user_with_the_privilege_may_write(app: Any, graph: Graph) -> None:
    """The privilege is enough; one need not be an administrator."""
    make_user(graph, "seller", privileges={"products": 1})

    assert log_in(app, "seller").post("products", {"name": "Q"}).status_code == 201


class TestTryingProducts:
    @pytest.mark.parametrize("body", [{}, {"article_id": ""}, {"article_id": None}])
    def test_needs_an_item(self, admin: Any, body: Any) -> None:
        """Without an id there is nothing to try."""
        assert refusal(admin.post("products/test", body)) == "Article id cannot be empty!"

    def test_needs_an_item_that_is_there(self, admin: Any) -> None:
        """An unknown id is refused."""
        assert refusal(admin.post("products/test", {"article_id": "x"})) == "Article not found!"

    def test_says_why_not(self, rules: Rules, graph: Graph) -> None:
        """Every product is listed with whether the item belongs to it and why not."""
        wanted = rules.simple_filter("Fires", "headline", "like", "fire")
        permitting = {"filter_id": wanted["_id"], "filter_type": "permitting"}
        rules.product("all")
        rules.product("fires", content_filter=permitting)
        rules.product("no fires", content_filter={**permitting, "filter_type": "blocking"})
        rules.product("Queensland", geo_restrictions="QLD")
        graph.db["archive"].insert_one({"_id": "flood", "headline": "Flood"})

        answer = rules.client.post("products/test", {"article_id": "flood"})

        assert answer.status_code == 201
        assert {r["name"]: (r["matched"], r["reason"]) for r in answer.get_json()["_items"]} == {
            "all": (True, ""),
            "fires": (False, "Story does not match the filter: Fires"),
            "no fires": (True, ""),
            "Queensland": (False, "Product has target_region"),
        }

    def test_says_whose_regions_differ(self, rules: Rules, graph: Graph) -> None:
        """The reason names the side that has a target region, or both."""
        rules.product("all")
        rules.product("Queensland", geo_restrictions="QLD")
        region = {"qcode": "NSW", "name": "NSW", "allow": True}
        graph.db["archive"].insert_one({"_id": "a", "target_regions": [region]})

        rows = rules.client.post("products/test", {"article_id": "a"}).get_json()["_items"]

        assert {row["name"]: row["reason"] for row in rows} == {
            "all": "Story has target_region",
            "Queensland": "Story has target_region Product has target_region",
        }

    def test_reports_an_item_that_cannot_be_decided(self, rules: Rules, graph: Graph) -> None:
        """A target without its key is reported, not guessed."""
        rules.product("all")
        graph.db["archive"].insert_one({"_id": "a", "target_regions": [{"a": "b"}]})

        answer = rules.client.post("products/test", {"article_id": "a"})

        assert refusal(answer) == "Error in testing article: 'qcode'"


@pytest.fixture
def publish(admin: Any, graph: Graph) -> Any:
    """Publish a text; return the names of subscribers that a row was queued for."""
    newsroom = Newsroom(graph.db)
    newsroom.validators()

    def run(**fields: Any) -> list[str]:
        item = admin.create("archive", newsroom.story(**fields))
        assert admin.patch(f"archive/publish/{item['_id']}", {}).status_code == 200
        names = {s["_id"]: s["name"] for s in graph.db["subscribers"].find()}
        rows = graph.db["publish_queue"].find({"item_id": item["_id"]})
        return sorted(names[row["subscriber_id"]] for row in rows)

    return run


def test_filters_decide_what_a_product_gets(rules: Rules, publish: Any, tmp_path: Any) -> None:
    """A permitting product gets what matches, a blocking one the rest, one without filter all.

    Routing scenario 19.
    """
    wanted = rules.simple_filter("Fires", "headline", "like", "fire")["_id"]
    kinds = {
        "permitting": {"filter_id": wanted, "filter_type": "permitting"},
        "blocking": {"filter_id": wanted, "filter_type": "blocking"},
        "none": None,
    }
    for name, content_filter in kinds.items():
        product = rules.product(name, content_filter=content_filter)
        to = {"destinations": [file_in(tmp_path)], "products": [product["_id"]]}
        rules.subscriber(name, is_active=True, **to)

    assert publish(headline="Bushfire spreads") == ["none", "permitting"]
    assert publish(headline="Rivers rise") == ["blocking", "none"]


def test_a_global_filter_blocks_all_but_those_who_override_it(
    rules: Rules, publish: Any, tmp_path: Any
) -> None:
    """A matching global filter drops a subscriber unless its `global_filters` say false.

    Routing scenario 20.
    """
    blocking = rules.simple_filter("Fires", "headline", "like", "fire", is_global=True)
    product = rules.product()
    to = {"destinations": [file_in(tmp_path)], "products": [product["_id"]], "is_active": True}
    rules.subscriber("blocked", **to)
    overriding = rules.subscriber("overriding", **to)

    assert publish(headline="Bushfire spreads") == []

    setting = {"global_filters": {blocking["_id"]: False}}
    answer = rules.client.patch(f"subscribers/{overriding['_id']}", setting)
    assert answer.status_code == 200
    assert publish(headline="Bushfire spreads") == ["overriding"]


def test_a_stale_etag_is_refused(rules: Rules) -> None:
    """Two clients cannot overwrite each other unseen."""
    product = rules.product("P")
    path = f"products/{product['_id']}"
    rules.client.patch(path, {"description": "first"})

    assert rules.client.patch(path, {"name": "Q"}, etag=product["_etag"]).status_code == 412
    assert rules.client.request("PATCH", path, json={"name": "Q"}).status_code == 428
