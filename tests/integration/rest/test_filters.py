"""Filter conditions and content filters at the HTTP edge (routing contract 4, 5)."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from apps.graph.build import Graph
from tests.support.clients import log_in, make_user
from tests.support.rules import ERROR, Rules, issues, refusal

GONE = "6b0000000000000000000000"
MUST_EXIST = "value '{}' must exist in resource '{}', field '_id'."


@pytest.fixture
def rules(admin: Any) -> Rules:
    return Rules(admin)


def condition(field: str, operator: str, value: Any, name: str = "new") -> dict[str, Any]:
    return {"name": name, "field": field, "operator": operator, "value": value}


class TestConditions:
    @pytest.mark.parametrize(
        ("field", "value", "issue"),
        [
            ("name", None, "null value not allowed"),
            ("name", "", "empty values not allowed"),
            ("field", None, "null value not allowed"),
            ("field", "", "empty values not allowed"),
            ("field", "byline", "unallowed value byline"),
            ("operator", "near", "unallowed value near"),
            ("value", None, "null value not allowed"),
            ("value", "", "empty values not allowed"),
            ("value", 3, "must be of string type"),
            ("surprise", 1, "unknown field"),
        ],
    )
    def test_refuses_what_breaks_the_schema(
        self, rules: Rules, field: str, value: Any, issue: str
    ) -> None:
        """POST and PATCH answer bad values with an issue for the field."""
        stored = rules.condition("fine", "headline", "eq", "a")

        body = {**condition("headline", "eq", "b"), field: value}
        posted = rules.client.post("filter_conditions", body)
        patched = rules.client.patch(f"filter_conditions/{stored['_id']}", {field: value})

        assert issues(posted) == issues(patched) == {field: issue}

    def test_needs_every_part(self, rules: Rules) -> None:
        """A condition without a part could not be evaluated."""
        required = {"required": 1}

        found = issues(rules.client.post("filter_conditions", {}))

        assert found == dict.fromkeys(("name", "field", "operator", "value"), required)

    def test_needs_a_name_of_its_own(self, rules: Rules) -> None:
        """Names are unique whatever their case and outer blanks."""
        rules.condition("Sport", "headline", "eq", "a")

        answer = rules.client.post(
            "filter_conditions", condition("headline", "eq", "b", name=" sport")
        )

        assert issues(answer) == {"name": {"unique": 1}}

    @pytest.mark.parametrize(
        ("field", "operator", "value", "text"),
        [
            ("anpa_category", "like", "4", "has unidentified operator: like"),
            ("urgency", "startswith", "1", "has unidentified operator: startswith"),
            ("body_html", "eq", "a", "has unidentified operator: eq"),
            ("featuremedia", "in", "True", "has unidentified operator: in"),
            ("agendas", "in", "a", "has unidentified field: agendas"),
            ("urgency", "in", "1,abc", "has a value that is no number: abc"),
            ("headline", "in", " , ", "has no value"),
        ],
    )
    def test_what_cannot_be_evaluated_is_not_saved(
        self, rules: Rules, field: str, operator: str, value: str, text: str
    ) -> None:
        """Operators and values that make no sense for the field are refused on POST and PATCH.

        Routing scenario 12.
        """
        stored = rules.condition("old", "slugline", "eq", "a")

        posted = rules.client.post("filter_conditions", condition(field, operator, value))
        change = {"field": field, "operator": operator, "value": value}
        patched = rules.client.patch(f"filter_conditions/{stored['_id']}", change)

        assert refusal(posted) == f"Filter condition:new {text}"
        assert issues(patched) == {ERROR: f"400: Filter condition:old {text}"}

    @pytest.mark.parametrize(
        ("field", "operator", "value", "same"),
        [
            ("anpa_category", "in", "4,1", "1,4"),
            ("anpa_category", "in", "4,1", " 1 , 4"),
            ("anpa_category", "nin", "a,b", "B,A,b"),
            ("headline", "like", "Fire", "fire "),
            ("place", "match", "QLD,NSW", "nsw,qld"),
        ],
    )
    def test_the_same_condition_is_not_saved_twice(
        self, rules: Rules, field: str, operator: str, value: str, same: str
    ) -> None:
        """Values are the same when they have the same members, whatever case and order.

        Routing scenario 13.
        """
        rules.condition("first", field, operator, value)

        answer = rules.client.post("filter_conditions", condition(field, operator, same))

        assert refusal(answer) == "Filter condition:first has identical settings"

    @pytest.mark.parametrize(
        ("field", "operator", "value", "other"),
        [
            ("source", "in", "AAP", "PAA"),
            ("source", "in", "AB,C", "A,BC"),
            ("source", "in", "a,b", "a,b,c"),
            ("source", "eq", "a,b", "b,a"),
        ],
    )
    def test_what_only_looks_the_same_is_saved(
        self, rules: Rules, field: str, operator: str, value: str, other: str
    ) -> None:
        """Other members make another condition; `eq` takes no list, so order counts there.

        Routing scenario 13.
        """
        rules.condition("first", field, operator, value)

        rules.condition("second", field, operator, other)

    def test_finds_the_same_condition_twice_in_one_request(self, rules: Rules) -> None:
        """Conditions of one request are compared with each other."""
        bodies = [condition("source", "in", v, name=f"c {v}") for v in ("a,b", "b,a")]

        answer = rules.client.post("filter_conditions", bodies)

        assert refusal(answer) == "Filter condition:c a,b has identical settings"
        assert rules.client.get("filter_conditions").get_json()["_items"] == []

    def test_a_patch_is_compared_with_others_only(self, rules: Rules) -> None:
        """A condition may keep its settings, but not take those of another one."""
        rules.condition("first", "source", "in", "a,b")
        second = rules.condition("second", "source", "in", "c")
        path = f"filter_conditions/{second['_id']}"

        assert rules.client.patch(path, {"value": "C"}).status_code == 200
        assert issues(rules.client.patch(path, {"value": "b,a"})) == {
            ERROR: "400: Filter condition:first has identical settings"
        }

    def test_vocabularies_are_fields_while_they_are_there(self, rules: Rules, graph: Graph) -> None:
        """A manageable vocabulary can be named, and is read, until it is deleted.

        Routing scenario 14.
        """
        wanted = condition("mood", "in", "glad")
        before = rules.client.post("filter_conditions", wanted)
        field = {"_id": "mood", "display_name": "Mood", "type": "manageable", "field_type": "text"}
        rules.client.create("vocabularies", {**field, "items": []})
        while_there = rules.client.create("filter_conditions", wanted)
        reading = rules.filter("glad ones", {"fc": [while_there["_id"]]})
        for mood in ("glad", "sad"):
            graph.db["archive"].insert_one({"_id": mood, "extra": {"mood": mood}})
        matched = [
            rules.client.create(
                "content_filters/test", {"filter_id": reading["_id"], "article_id": item}
            )["match_results"]
            for item in ("glad", "sad")
        ]
        assert rules.client.delete("vocabularies/mood").status_code == 204
        after = rules.client.post("filter_conditions", condition("mood", "in", "sad", "more"))

        assert issues(before) == issues(after) == {"field": "unallowed value mood"}
        assert matched == [True, False]

    def test_an_excluded_vocabulary_is_no_field(self, rules: Rules, graph: Graph) -> None:
        """Vocabularies that the settings exclude have no operators."""
        graph.db["vocabularies"].insert_one({"_id": "crop_sizes", "type": "manageable"})

        answer = rules.client.post("filter_conditions", condition("crop_sizes", "in", "a"))

        assert refusal(answer) == "Filter condition:new has unidentified field: crop_sizes"

    def test_a_condition_in_use_stays(self, rules: Rules) -> None:
        """DELETE names the filters that use the condition; an unused one goes."""
        used, unused = (rules.condition(n, "source", "eq", n) for n in ("used", "unused"))
        for name in ("A", "B"):
            rules.filter(name, {"fc": [used["_id"]]})

        answer = rules.client.delete(f"filter_conditions/{used['_id']}")

        assert refusal(answer) == "Filter condition has been referenced in content filter: A,B"
        assert rules.client.delete(f"filter_conditions/{unused['_id']}").status_code == 204

    def test_is_found_by_name(self, rules: Rules) -> None:
        """A name stands in for the id in GET."""
        stored = rules.condition("Local news", "source", "eq", "a")

        assert rules.client.get("filter_conditions/Local news").get_json()["_id"] == stored["_id"]
        assert rules.client.get("filter_conditions/unknown").status_code == 404


class TestParameters:
    def rows(self, client: Any) -> dict[str, Any]:
        rows = client.get("filter_conditions/parameters").get_json()["_items"]
        return {row["field"]: row for row in rows}

    def test_lists_the_built_in_fields(self, editor: Any) -> None:
        """Fields come with their operators; without vocabularies there is nothing to choose."""
        rows = self.rows(editor)

        assert rows["urgency"]["operators"] == ["in", "nin", "eq", "ne", "lt", "lte", "gt", "gte"]
        assert rows["place"]["operators"] == ["match", "in", "nin"]
        assert rows["anpa_category"]["values"] == []
        assert "values" not in rows["headline"]
        assert "agendas" not in rows

    def test_offers_the_values_of_vocabularies_desks_and_stages(
        self, editor: Any, graph: Graph
    ) -> None:
        """Values are active items of the vocabulary, desks, and stages with their desk's name."""
        on, off = {"qcode": "a", "name": "Arts"}, {"qcode": "b", "is_active": False}
        graph.db["vocabularies"].insert_many(
            [
                {"_id": "categories", "type": "manageable", "items": [on, off]},
                {"_id": "kinds", "schema_field": "genre", "items": [on]},
                {"_id": "locators", "type": "manageable", "items": [on]},
            ]
        )
        desk, stage = ObjectId(), ObjectId()
        graph.db["desks"].insert_one({"_id": desk, "name": "Sport"})
        graph.db["stages"].insert_one({"_id": stage, "name": "In", "desk": desk})

        rows = self.rows(editor)

        for field in ("anpa_category", "genre", "place"):
            assert (rows[field]["values"], rows[field]["value_field"]) == ([on], "qcode")
        assert rows["desk"]["values"] == [{"_id": str(desk), "name": "Sport"}]
        assert rows["stage"]["values"] == [{"_id": str(stage), "name": "Sport: In"}]

    def test_lists_vocabularies(self, editor: Any, graph: Graph) -> None:
        """Manageable vocabularies are fields; text ones take text operators, excluded ones none."""
        graph.db["vocabularies"].insert_many(
            [
                {"_id": "x", "type": "manageable", "display_name": "X", "items": [{"qcode": "1"}]},
                {"_id": "t", "type": "manageable", "field_type": "text"},
                {"_id": "d", "type": "manageable", "field_type": "date"},
                {"_id": "u", "type": "unmanageable"},
                {"_id": "signal", "type": "manageable"},
                {"_id": "gone", "type": "manageable", "_deleted": True},
            ]
        )

        rows = self.rows(editor)

        assert (rows["x"]["label"], rows["x"]["operators"]) == ("X", ["in", "nin"])
        assert rows["x"]["values"] == [{"qcode": "1"}]
        assert "like" in rows["t"]["operators"]
        assert not {"d", "u", "signal", "gone"} & rows.keys()

    def test_every_combination_that_is_offered_can_be_saved(self, rules: Rules) -> None:
        """What the parameters offer, POST accepts."""
        numbers, flags = {"urgency", "priority"}, {"sms", "embargo", "featuremedia"}
        for field, row in self.rows(rules.client).items():
            value = "3" if field in numbers else "True" if field in flags else "a"
            for operator in row["operators"]:
                rules.condition(f"{field} {operator}", field, operator, value)


class TestFilters:
    def test_statements_are_alternatives(self, rules: Rules, graph: Graph) -> None:
        """[A and B] or [C] matches when C matches alone, and not when only A does.

        Routing scenario 15.
        """
        a, b = (rules.condition(name, "headline", "like", name) for name in ("aaa", "bbb"))
        c = rules.simple_filter("ccc", "headline", "like", "ccc")
        wanted = rules.filter("f", {"fc": [a["_id"], b["_id"]]}, {"pf": [c["_id"]]})
        headlines = {"only a": "aaa", "a and b": "aaa bbb", "only c": "ccc"}
        graph.db["archive"].insert_many(
            {"_id": id_, "headline": headline} for id_, headline in headlines.items()
        )

        results = {
            id_: rules.client.create(
                "content_filters/test", {"filter_id": wanted["_id"], "article_id": id_}
            )["match_results"]
            for id_ in headlines
        }

        assert results == {"only a": False, "a and b": True, "only c": True}

    def test_circles_are_refused(self, rules: Rules) -> None:
        """A filter cannot come to include itself, directly or by way of others.

        Routing scenario 16.
        """
        inner = rules.simple_filter("inner", "source", "eq", "a")
        middle = rules.filter("middle", {"pf": [inner["_id"]]})
        outer = rules.filter("outer", {"pf": [middle["_id"]]})
        path = f"content_filters/{inner['_id']}"

        for part in (inner, middle, outer):
            change = {"content_filter": [{"expression": {"pf": [part["_id"]]}}]}
            assert issues(rules.client.patch(path, change)) == {
                ERROR: "400: Circular dependency error in content filters:inner"
            }
        assert rules.client.patch(path, {"name": "renamed"}).status_code == 200

    def test_a_filter_inside_another_stays(self, rules: Rules) -> None:
        """Routing scenario 16: DELETE names the filters that include it."""
        inner = rules.simple_filter("inner", "source", "eq", "a")
        rules.filter("outer", {"pf": [inner["_id"]]})

        answer = rules.client.delete(f"content_filters/{inner['_id']}")

        assert refusal(answer) == "Content filter has been referenced in outer)"

    def test_a_filter_of_a_product_stays(self, rules: Rules, graph: Graph) -> None:
        """DELETE names subscribers of its products, then routing schemes, then products."""
        wanted = rules.simple_filter("f", "source", "eq", "a")
        path = f"content_filters/{wanted['_id']}"
        refused = "Content filter has been referenced by"
        product = rules.product("P", content_filter={"filter_id": wanted["_id"]})
        assert refusal(rules.client.delete(path)) == f"{refused} product(s) P"
        scheme = {"name": "R", "rules": [{"filter": ObjectId(wanted["_id"])}]}
        graph.db["routing_schemes"].insert_one(scheme)
        assert refusal(rules.client.delete(path)) == f"{refused} routing scheme(s) R"
        rules.subscriber("S", api_products=[product["_id"]])
        assert refusal(rules.client.delete(path)) == f"{refused} subscriber(s) S"

    def test_an_unused_filter_goes(self, rules: Rules) -> None:
        """DELETE of a filter that nothing names answers 204."""
        wanted = rules.simple_filter("f", "source", "eq", "a")

        assert rules.client.delete(f"content_filters/{wanted['_id']}").status_code == 204

    @pytest.mark.parametrize("expression", [{}, {"fc": []}, {"fc": [None], "pf": []}])
    def test_a_statement_has_to_say_something(self, rules: Rules, expression: Any) -> None:
        """A statement without condition and filter is refused with its number."""
        a = rules.condition("a", "source", "eq", "a")
        statements = [{"expression": {"fc": [a["_id"]]}}, {"expression": expression}]
        stored = rules.filter("old", {"fc": [a["_id"]]})
        text = "Filter statement 2 does not have a filter condition"

        body = {"name": "new", "content_filter": statements}
        posted = rules.client.post("content_filters", body)
        path = f"content_filters/{stored['_id']}"
        patched = rules.client.patch(path, {"content_filter": statements})

        assert refusal(posted) == text
        assert issues(patched) == {ERROR: f"400: {text}"}

    @pytest.mark.parametrize(
        ("field", "value", "issue"),
        [
            ("name", None, "null value not allowed"),
            ("name", "", "empty values not allowed"),
            ("is_global", "maybe", "must be of boolean type"),
            ("api_block", None, "null value not allowed"),
            ("content_filter", "x", "must be of list type"),
            (
                "content_filter",
                [{"expression": {"fc": [GONE]}}],
                {"0": {"expression": {"fc": {"0": MUST_EXIST.format(GONE, "filter_conditions")}}}},
            ),
            (
                "content_filter",
                [{"expression": {"pf": [GONE]}}],
                {"0": {"expression": {"pf": {"0": MUST_EXIST.format(GONE, "content_filters")}}}},
            ),
            ("content_filter", [{"terms": 1}], {"0": {"terms": "unknown field"}}),
            ("surprise", 1, "unknown field"),
        ],
    )
    def test_refuses_what_breaks_the_schema(
        self, rules: Rules, field: str, value: Any, issue: Any
    ) -> None:
        """POST and PATCH answer bad values with an issue for the field."""
        stored = rules.filter("old")

        posted = rules.client.post("content_filters", {"name": "new", field: value})
        patched = rules.client.patch(f"content_filters/{stored['_id']}", {field: value})

        assert issues(posted) == issues(patched) == {field: issue}

    def test_has_its_defaults(self, rules: Rules) -> None:
        """A new filter is neither global nor for expiry nor for the content API."""
        stored = rules.filter("f")

        assert (stored["is_global"], stored["is_archived_filter"], stored["api_block"]) == (
            False,
            False,
            False,
        )

    def test_global_filters_can_be_listed(self, rules: Rules) -> None:
        """`is_global=1` limits the list, and its total, to global filters."""
        rules.filter("ordinary")
        rules.filter("everywhere", is_global=True)

        body = rules.client.get("content_filters", is_global="1").get_json()

        assert [row["name"] for row in body["_items"]] == ["everywhere"]
        assert body["_meta"]["total"] == 1
        assert rules.client.get("content_filters").get_json()["_meta"]["total"] == 2

    def test_is_found_by_name(self, rules: Rules) -> None:
        """A name stands in for the id in GET."""
        stored = rules.filter("Local news")

        assert rules.client.get("content_filters/Local news").get_json()["_id"] == stored["_id"]
        assert rules.client.get("content_filters/unknown").status_code == 404


class TestTryingFilters:
    @pytest.mark.parametrize(
        ("field", "operator", "value", "item", "matches"),
        [
            ("urgency", "in", "1,3", {"urgency": 3}, True),
            ("urgency", "in", "1,3", {}, False),
            ("urgency", "nin", "1,3", {}, True),
            ("featuremedia", "exists", "False", {}, True),
            ("source", "eq", "AT&T", {"source": "AT&T"}, True),
            ("sms", "in", "false", {"flags": {"marked_for_sms": False}}, True),
            ("sms", "in", "false", {"flags": {"marked_for_sms": True}}, False),
            ("headline", "like", "est", {"headline": "<b>TEST</b>"}, True),
            ("headline", "startswith", "foo", {"headline": "  Foo bar"}, True),
        ],
    )
    def test_conditions_read_items(
        self,
        rules: Rules,
        graph: Graph,
        field: str,
        operator: str,
        value: str,
        item: Any,
        matches: bool,
    ) -> None:
        """Conditions compare as the table of operators says, through a stored filter.

        Routing scenario 17, 18.
        """
        wanted = rules.simple_filter("f", field, operator, value)
        graph.db["archive"].insert_one({"_id": "a", **item})

        answer = rules.client.create(
            "content_filters/test", {"filter_id": wanted["_id"], "article_id": "a"}
        )

        assert answer["match_results"] is matches

    def test_a_filter_can_be_tried_before_it_is_saved(self, rules: Rules, graph: Graph) -> None:
        """The definition may stand in the request; nothing is stored."""
        a = rules.condition("a", "headline", "like", "fire")
        graph.db["ingest"].insert_one({"_id": "i", "headline": "Bushfire"})
        statements = [{"expression": {"fc": [a["_id"]]}}]

        answer = rules.client.create(
            "content_filters/test",
            {"filter": {"name": "draft", "content_filter": statements}, "article_id": "i"},
        )

        assert answer["match_results"] is True
        assert graph.db["content_filters"].count_documents({}) == 0
        assert graph.db["content_filter_test"].count_documents({}) == 0

    @pytest.mark.parametrize("collection", ["archive", "ingest"])
    @pytest.mark.parametrize("id_", [1, "1", -7, ObjectId("5f" * 12), "5f" * 12])
    def test_finds_an_item_by_an_id_of_any_form(
        self, rules: Rules, graph: Graph, collection: str, id_: Any
    ) -> None:
        """Others store items with numbers; the request has a text."""
        wanted = rules.simple_filter("f", "source", "eq", "a")
        graph.db[collection].insert_one({"_id": id_, "source": "a"})
        body = {"filter_id": wanted["_id"], "article_id": str(id_)}

        assert rules.client.create("content_filters/test", body)["match_results"] is True
        answer = rules.client.post("products/test", {"article_id": str(id_)})
        assert answer.status_code == (201 if collection == "archive" else 400)

    @pytest.mark.parametrize(
        "id_", [1, "urn:newsml:a.b:2030-01-01T00:00:00:c", ObjectId("5f" * 12)]
    )
    @pytest.mark.parametrize("is_stored", [True, False])
    @pytest.mark.parametrize("source", ["a", "b"])
    def test_tries_an_ingested_item_on_a_filter_of_either_form(
        self, rules: Rules, graph: Graph, id_: Any, is_stored: bool, source: str
    ) -> None:
        """`return_matching` changes nothing about the answer for one item."""
        a = rules.condition("a", "source", "eq", "a")
        statements = [{"expression": {"fc": [a["_id"]]}}]
        stored = rules.filter("f", {"fc": [a["_id"]]}) if is_stored else {}
        wanted = {"filter": {"name": "draft", "content_filter": statements}}
        if is_stored:
            wanted = {"filter_id": stored["_id"]}
        graph.db["ingest"].insert_one({"_id": id_, "source": source})

        for more in ({}, {"return_matching": True}, {"return_matching": False}):
            body = {**wanted, **more, "article_id": str(id_)}
            answer = rules.client.create("content_filters/test", body)
            assert answer["match_results"] is (source == "a")

    def test_tries_the_item_of_the_archive_before_the_ingested_one(
        self, rules: Rules, graph: Graph
    ) -> None:
        wanted = rules.simple_filter("f", "source", "eq", "a")
        graph.db["ingest"].insert_one({"_id": 1, "source": "b"})
        graph.db["archive"].insert_one({"_id": "1", "source": "a"})
        body = {"filter_id": wanted["_id"], "article_id": "1"}

        assert rules.client.create("content_filters/test", body)["match_results"] is True

    def test_lists_the_items_of_the_archive(self, rules: Rules, graph: Graph) -> None:
        """Without an item the answer is those that match or do not, newest first.

        Spiked items count only among those that do not match.
        """
        wanted = rules.simple_filter("f", "headline", "like", "fire")
        items = {"a": "fire 1", "b": "flood 1", "c": "fire 2", "d": "fire 3", "e": "flood 2"}
        for hour, (id_, headline) in enumerate(items.items()):
            state = "spiked" if id_ in "de" else "in_progress"
            created = datetime(2030, 1, 1, hour, tzinfo=UTC)
            graph.db["archive"].insert_one(
                {"_id": id_, "headline": headline, "state": state, "versioncreated": created}
            )

        def found(**arguments: Any) -> list[str]:
            body = {"filter_id": wanted["_id"], **arguments}
            results = rules.client.create("content_filters/test", body)["match_results"]
            return [item["_id"] for item in results]

        assert found() == found(return_matching=True) == ["c", "a"]
        assert found(return_matching=False) == ["e", "b"]

    def test_lists_at_most_200_items(self, rules: Rules, graph: Graph) -> None:
        """A filter that matches everything does not return the archive."""
        wanted = rules.simple_filter("f", "headline", "like", "fire")
        graph.db["archive"].insert_many({"_id": f"{n}", "headline": "fire"} for n in range(201))

        answer = rules.client.create("content_filters/test", {"filter_id": wanted["_id"]})

        assert len(answer["match_results"]) == 200

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            ({}, "Content filter not found"),
            ({"filter_id": GONE}, "Content filter not found"),
            ({"filter": {}}, "Content filter not found"),
            (
                {"filter": {"content_filter": [{"expression": {}}]}},
                "Filter statement 1 does not have a filter condition",
            ),
        ],
    )
    def test_refuses_what_cannot_be_tried(self, admin: Any, body: Any, text: str) -> None:
        """Missing filters and items, and filters that say nothing, are refused in words."""
        assert refusal(admin.post("content_filters/test", body)) == text

    @pytest.mark.parametrize("id_", ["x", "1", "5f" * 12, "", "1.0", " 1", "-"])
    def test_needs_an_item_that_is_there(self, rules: Rules, graph: Graph, id_: str) -> None:
        """An unknown item is refused, for products too."""
        wanted = rules.simple_filter("f", "source", "eq", "a")
        graph.db["ingest"].insert_one({"_id": 2, "source": "a"})
        body = {"filter_id": wanted["_id"], "article_id": id_}

        answer = rules.client.post("content_filters/test", body)

        assert refusal(answer) == "Article not found!"
        text = "Article not found!" if id_ else "Article id cannot be empty!"
        assert refusal(rules.client.post("products/test", {"article_id": id_})) == text

    @pytest.mark.parametrize(
        ("expression", "issue"),
        [
            ({"fc": {"a": 1}}, {"fc": "must be of list type"}),
            ({"fc": [GONE]}, {"fc": {"0": MUST_EXIST.format(GONE, "filter_conditions")}}),
        ],
    )
    def test_checks_an_unsaved_filter_as_one_to_save(
        self, admin: Any, expression: Any, issue: Any
    ) -> None:
        """Statements in the request are checked like those of a POST."""
        body = {"filter": {"content_filter": [{"expression": expression}]}}

        answer = admin.post("content_filters/test", body)

        statements = {"0": {"expression": issue}}
        assert issues(answer) == {"filter": {"content_filter": statements}}

    def test_reports_a_filter_that_cannot_be_evaluated(self, rules: Rules, graph: Graph) -> None:
        """A stored condition that went bad is reported for one item and for the archive."""
        wanted = rules.simple_filter("f", "urgency", "in", "1")
        bad = {"$set": {"value": "abc"}}
        graph.db["filter_conditions"].update_one({"name": "f"}, bad)
        graph.db["archive"].insert_one({"_id": "a", "urgency": 1})
        reason = "Filter condition:f has a value that is no number: abc"
        body = {"filter_id": wanted["_id"]}

        one = rules.client.post("content_filters/test", {**body, "article_id": "a"})
        whole = rules.client.post("content_filters/test", body)

        assert refusal(one) == f"Error in testing article: {reason}"
        assert refusal(whole) == f"Error in testing archive: {reason}"

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            *((f, ["x"]) for f in ("filter_id", "filter", "return_matching", "article_id")),
            *(("article_id", value) for value in (1, 1.5, True, {"a": 1})),
            ("filter", "x"),
        ],
    )
    def test_refuses_values_of_other_types(self, admin: Any, field: str, value: Any) -> None:
        """The body is checked before anything is tried; ids of items are texts."""
        answer = admin.post("content_filters/test", {field: value})

        assert list(issues(answer)) == [field]


def test_needs_the_privilege(rules: Rules, editor: Any, anonymous: Any) -> None:
    """Everybody who is logged in reads rules; `content_filters` is needed to write them."""
    a = rules.condition("a", "source", "eq", "a")
    f = rules.filter("f", {"fc": [a["_id"]]})
    for path, body in (
        (f"filter_conditions/{a['_id']}", condition("source", "eq", "b")),
        (f"content_filters/{f['_id']}", {"name": "g"}),
    ):
        resource = path.partition("/")[0]
        assert editor.get(path).status_code == editor.get(resource).status_code == 200
        refused = [editor.post(resource, body), editor.patch(path, {}), editor.delete(path)]
        assert {answer.status_code for answer in refused} == {403}
        assert anonymous.get(path).status_code == 401
        assert rules.client.request("PUT", path, json=body).status_code == 405
    assert editor.post("content_filters/test", {"filter_id": f["_id"]}).status_code == 403
    assert anonymous.get("filter_conditions/parameters").status_code == 401
    assert rules.client.post("filter_conditions/parameters", {}).status_code == 405


def test_a_user_with_the_privilege_may_write(app: Any, graph: Graph) -> None:
    """One privilege covers conditions and filters."""
    make_user(graph, "seller", privileges={"content_filters": 1})
    client = log_in(app, "seller")

    Rules(client).simple_filter("f", "source", "eq", "a")
