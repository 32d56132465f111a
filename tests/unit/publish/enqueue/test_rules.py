"""Which subscribers an item goes to, and why."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.vocabulary import SubscriberType
from apps.publish.enqueue.decisions import Eligibility, Match, Targets
from apps.publish.enqueue.rules import RoutingRules
from apps.publish.enqueue.subscribers import compile_subscriber
from apps.routing.filters.content_filters import compile_filters
from apps.routing.filters.fields import ItemView
from apps.routing.products.matching import ProductOutcome, compile_product, product_matches

NOW = datetime(2025, 1, 15, 12, tzinfo=UTC)
Document = dict[str, Any]


@dataclass
class Documents:
    """Stored documents of one set of rules."""

    subscribers: list[Document] = field(default_factory=list)
    products: list[Document] = field(default_factory=list)
    filters: list[Document] = field(default_factory=list)
    conditions: list[Document] = field(default_factory=list)

    def rules(self, **options: bool) -> RoutingRules:
        return RoutingRules.build(
            self.subscribers, self.products, self.filters, self.conditions, [], **options
        )


def subscriber(id_: str, products: Any = (), api_products: Any = (), **fields: Any) -> Document:
    return {
        "_id": id_,
        "name": id_,
        "subscriber_type": "digital",
        "is_active": True,
        "products": list(products),
        "api_products": list(api_products),
        **fields,
    }


def product(id_: str, filter_id: str | None = None, **fields: Any) -> Document:
    chosen = {"filter_id": filter_id, "filter_type": "permitting"}
    return {"_id": id_, "name": id_, "codes": f"c-{id_}", "content_filter": chosen, **fields}


def keyword_filter(id_: str, **fields: Any) -> Document:
    """A filter that matches items with the keyword `id_`."""
    return {"_id": id_, "name": id_, "content_filter": [{"expression": {"fc": [id_]}}], **fields}


def keyword_condition(id_: str) -> Document:
    return {"_id": id_, "name": id_, "field": "keywords", "operator": "in", "value": id_}


def item(*keywords: str, **fields: Any) -> Document:
    return {"_id": "i", "type": "text", "keywords": list(keywords), **fields}


def ids(matches: list[Match]) -> list[str]:
    return [match.subscriber.id for match in matches]


def newsroom() -> Documents:
    """Products for sport, business, everything and two regions, and who lists them."""
    return Documents(
        [
            subscriber("s1", ["sport"], codes="x, ,y"),
            subscriber("s2", ["business", "all"], subscriber_type="wire"),
            subscriber("s3", [], ["sport"], subscriber_type="all"),
            subscriber("s4", ["qld"]),
            subscriber("s5", codes="own"),
            subscriber("s6", ["all"], is_active=False),
        ],
        [
            product("sport", "sport"),
            product("business", "business"),
            product("all"),
            product("qld", geo_restrictions="QLD"),
            product("nsw", geo_restrictions="NSW"),
        ],
        [keyword_filter("sport"), keyword_filter("business")],
        [keyword_condition("sport"), keyword_condition("business")],
    )


def targets(*subscribers: str) -> list[Document]:
    return [{"_id": id_} for id_ in subscribers]


def region(qcode: str, allow: bool) -> list[Document]:
    return [{"qcode": qcode, "name": qcode, "allow": allow}]


@pytest.mark.parametrize(
    ("routed", "expected"),
    [
        (item(), ["s2"]),
        (item("sport"), ["s1", "s2", "s3"]),
        (item("business"), ["s2"]),
        (item("sport", target_types=region("digital", True)), ["s1", "s3"]),
        (item("sport", target_types=region("wire", False)), ["s1", "s3"]),
        (item(target_regions=region("QLD", True)), ["s4"]),
        (item(target_regions=region("NSW", False)), ["s4"]),
        (item(target_regions=region("QLD", False)), []),
        (item(target_subscribers=targets("s1", "s4", "s5")), ["s1", "s4", "s5"]),
        (item(target_subscribers=targets("s3"), target_regions=region("QLD", True)), ["s3", "s4"]),
        (item(target_subscribers=targets("s6", "nobody")), []),
        (item(target_subscribers=None, target_types=None, target_regions=None), ["s2"]),
    ],
)
def test_matches(routed: Document, expected: list[str]) -> None:
    """Products, targeting and activity decide together (routing scenario 19, 22 to 24)."""
    assert expected == ids(newsroom().rules().matches(routed, NOW))


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (None, ["s1", "s2", "s3"]),
        (SubscriberType.DIGITAL, ["s1", "s3"]),
        (SubscriberType.WIRE, ["s2", "s3"]),
    ],
)
def test_target_media(media: SubscriberType | None, expected: list[str]) -> None:
    """A target media keeps one type and `all` (routing contract 8.4 step 1)."""
    rules = newsroom().rules()

    assert expected == ids(rules.matches(item("sport"), NOW, target_media=media))


@pytest.mark.parametrize(
    ("among", "expected"), [([], []), (["s3", "s1", "s4", "nobody"], ["s1", "s3"])]
)
def test_among(among: list[str], expected: list[str]) -> None:
    """Only the subscribers asked for are considered, in their usual order."""
    assert expected == ids(newsroom().rules().matches(item("sport"), NOW, among=among))


@pytest.mark.parametrize(
    ("own", "api_products", "expected"),
    [
        ("x, ,y", [], ("x", "y", "c-sport")),
        ("x", ["sport", "all"], ("x", "c-sport", "c-all")),
        ("c-sport,x", [], ("c-sport", "x")),
        (None, [], ("c-sport",)),
    ],
)
def test_codes(own: Any, api_products: list[str], expected: tuple[str, ...]) -> None:
    """Codes are the subscriber's own and the matching products', each once.

    Routing scenario 25.
    """
    documents = newsroom()
    documents.subscribers = [subscriber("s", ["sport", "business"], api_products, codes=own)]

    (match,) = documents.rules().matches(item("sport"), NOW)

    assert expected == match.codes


def test_match_of_direct_and_api_products() -> None:
    """A subscriber with both kinds gets both and lists each product once (routing scenario 27)."""
    documents = newsroom()
    documents.subscribers = [subscriber("s", ["sport", "all"], ["all", "business"])]

    (match,) = documents.rules().matches(item("sport"), NOW)

    assert (match.api_enabled, match.direct, match.products) == (True, False, ("sport", "all"))


@pytest.mark.parametrize(
    ("products", "api_products", "api_enabled"),
    [
        ([], [], False),
        ([], ["business"], True),
        (["business"], ["business"], True),
        (["sport"], ["business"], False),
        (["sport"], ["sport"], True),
        ([], ["gone"], True),
    ],
)
def test_api_of_a_named_subscriber(
    products: list[str], api_products: list[str], api_enabled: bool
) -> None:
    """A named subscriber that nothing matches is API-enabled if it lists API products.

    Routing contract 7.3.
    """
    documents = newsroom()
    documents.subscribers = [subscriber("s", products, api_products)]
    routed = item("sport", target_subscribers=targets("s"))

    (match,) = documents.rules().matches(routed, NOW)

    assert (True, api_enabled) == (match.direct, match.api_enabled)


def test_without_content_api() -> None:
    """With the content API off, API products neither add nor enable anybody.

    Routing contract 8.4 step 5.
    """
    documents = newsroom()
    documents.subscribers = [subscriber("s1", [], ["all"]), subscriber("s2", ["all"], ["all"])]
    routed = item(target_subscribers=targets("s3", "s2"), target_regions=None)
    rules = documents.rules(content_api=False)

    assert [(m.subscriber.id, m.api_enabled) for m in rules.matches(item(), NOW)] == [("s2", False)]
    assert [m.api_enabled for m in rules.matches(routed, NOW)] == [False]


@pytest.mark.parametrize(
    ("global_filters", "expected"),
    [
        ({}, []),
        (None, []),
        ({"sport": True}, []),
        ({"sport": None}, []),
        ({"other": False}, []),
        ({"sport": False}, ["s", "api"]),
        (["sport"], []),
    ],
)
@pytest.mark.parametrize("target", [None, targets("s", "api")])
def test_global_filter(global_filters: Any, expected: list[str], target: Any) -> None:
    """A matching global filter blocks all that do not override it (routing scenario 20, 21)."""
    documents = newsroom()
    documents.filters[0]["is_global"] = True
    documents.subscribers = [
        subscriber("s", ["all"], global_filters=global_filters),
        subscriber("api", [], ["all"], global_filters=global_filters),
    ]
    rules = documents.rules()

    assert expected == ids(rules.matches(item("sport", target_subscribers=target), NOW))
    assert ids(rules.matches(item(target_subscribers=target), NOW)) == ["s", "api"]


def test_global_embargo() -> None:
    """A global filter on the embargo holds items back while it is in force.

    Routing scenario 33.
    """
    condition = {"_id": "e", "name": "e", "field": "embargo", "operator": "eq", "value": "True"}
    documents = newsroom()
    documents.filters.append(
        {"_id": "e", "is_global": True, "content_filter": [{"expression": {"fc": ["e"]}}]}
    )
    documents.conditions.append(condition)
    end = NOW + timedelta(hours=1)
    routed = item(embargo=end, schedule_settings={"utc_embargo": end})
    rules = documents.rules()

    assert ids(rules.matches(routed, NOW)) == []
    assert ids(rules.matches(routed, end)) == ["s2"]


def test_malformed_target_is_raised() -> None:
    """An item that names nobody it could be meant for is not routed (routing scenario 38)."""
    rules = newsroom().rules()

    with pytest.raises(KeyError, match="qcode"):
        rules.matches(item(target_regions=[{"a": "b"}]), NOW)


@pytest.mark.parametrize(
    "bad",
    [
        {"products": None, "api_products": None, "codes": None, "destinations": None},
        {"products": [None, "gone"], "api_products": "all", "codes": 5, "destinations": ["x"]},
        {"global_filters": [], "sequence_num_settings": None, "email": None, "name": None},
        {"is_active": "yes"},
        {"destinations": [{"name": "d", "config": {"key": b"\x00"}}, {"config": ["x"]}]},
    ],
)
def test_bad_subscribers_harm_nobody_else(bad: Document) -> None:
    """A malformed subscriber gets nothing and leaves the others as they are.

    Routing contract R15.
    """
    documents = newsroom()
    documents.subscribers.append({**subscriber("bad"), **bad})

    assert ids(documents.rules().matches(item(), NOW)) == ["s2"]


def test_bad_filters_harm_nobody_else() -> None:
    """Products with a broken filter take nothing; all else is routed (routing contract R15)."""
    documents = newsroom()
    documents.filters[0]["content_filter"] = [{"expression": {}}]
    rules = documents.rules()

    assert ids(rules.matches(item("sport"), NOW)) == ["s2"]
    assert {"sport"} == set(rules.filters.broken)


def test_the_snapshot_is_its_own() -> None:
    """Changing a document after the build changes no rule (routing contract R9)."""
    documents = newsroom()
    documents.subscribers[1]["destinations"] = [{"name": "d", "config": {"url": "old"}}]
    rules = documents.rules()
    documents.subscribers[1]["destinations"][0]["config"]["url"] = "new"
    documents.subscribers[1]["destinations"].append({"name": "content api"})
    documents.subscribers[1]["products"].clear()

    (match,) = rules.matches(item(), NOW)

    (destination,) = match.subscriber.destinations
    assert (destination.name, destination.shown["config"]) == ("d", {"url": "old"})


def test_matching_products_are_those_of_nobody_too() -> None:
    """Formats that show products name all that take an item, in their order, listed or not."""
    rules = newsroom().rules()
    own = item("sport", target_regions=region("NSW", True))

    assert ["sport", "all"] == [
        product.id for product in rules.matching_products(item("sport"), NOW)
    ]
    assert ["nsw"] == [product.id for product in rules.matching_products(own, NOW)]


def test_active_subscribers_by_id() -> None:
    """The rules hand out active subscribers by their id."""
    rules = newsroom().rules()

    assert list(rules.subscribers) == ["s1", "s2", "s3", "s4", "s5"]


def test_compiled_subscriber() -> None:
    """A subscriber keeps what delivery needs of its document."""
    compiled = compile_subscriber(
        subscriber("s", ["p"], ["q"], priority=True, sequence_num_settings={"min": 1, "max": 9})
    )

    assert (compiled.id, compiled.type, compiled.is_active) == ("s", "digital", True)
    assert (compiled.products, compiled.api_products) == (("p",), ("q",))
    assert compiled.priority
    assert compiled.sequence_num_settings == {"min": 1, "max": 9}


@pytest.mark.parametrize(
    ("routed", "media", "expected"),
    [
        (item("sport"), None, "matched product sport"),
        (
            item("sport", target_subscribers=targets("s")),
            None,
            "matched product sport, targeted directly",
        ),
        (item(target_subscribers=targets("s")), None, "targeted directly"),
        (item("sport"), SubscriberType.WIRE, "media type"),
        (item("sport", target_types=region("wire", True)), None, "targeting"),
        (item("sport", "legal"), None, "global filter legal"),
    ],
)
def test_reasons(routed: Document, media: SubscriberType | None, expected: str) -> None:
    """Every decision names what it rests on."""
    documents = newsroom()
    documents.subscribers = [subscriber("s", ["sport", "missing"], ["qld"])]
    documents.filters.append(keyword_filter("legal", is_global=True))
    documents.conditions.append(keyword_condition("legal"))

    decisions = documents.rules().decide(routed, NOW, target_media=media).of_subscribers

    assert [("s", expected)] == [(each.subscriber.id, each.reason) for each in decisions]


def test_who_is_not_decided_about_is_on_record() -> None:
    """Nothing speaks for them: what their products say is put on record once for all items."""
    documents = newsroom()
    documents.subscribers[0]["products"] = ["sport", "qld", "missing"]
    rules = documents.rules()

    decisions = rules.decide(item("business"), NOW)

    assert ["s2"] == [each.subscriber.id for each in decisions.of_subscribers]
    assert {"qld": ProductOutcome.REGION} == {
        key: outcome for key, outcome in decisions.refused.items() if key == "qld"
    }
    assert ["s6"] == [subscriber.id for subscriber in rules.inactive]
    products, subscribers = (rules.refusals.document[key] for key in ("products", "subscribers"))
    assert ["s1", "s2", "s3", "s4", "s5"] == [each["_id"] for each in subscribers]
    assert (["sport", "qld"], ["missing"]) == (subscribers[0]["products"], subscribers[0]["gone"])
    texts = {each["_id"]: each for each in products}
    assert "sport: filter sport does not match" == texts["sport"]["filter"]
    assert "qld: region" == texts["qld"]["region"]


# Who gets an item is found through an index. These tests compare with asking everybody.

LETTERS = "abc"
FIELD_VALUES: dict[str, st.SearchStrategy[str]] = {
    "keywords": st.lists(st.sampled_from(LETTERS), min_size=1, max_size=2).map(",".join),
    "subject": st.lists(st.sampled_from(LETTERS), min_size=1, max_size=2).map(",".join),
    "headline": st.sampled_from(LETTERS),
    "urgency": st.sampled_from(["1", "2", "x"]),
    "sms": st.sampled_from(["true", "false"]),
}
OPERATORS = ["in", "nin", "eq", "ne", "like", "lt", "exists"]


@st.composite
def conditions(draw: Callable[..., Any]) -> list[Document]:
    drawn = []
    for id_ in range(draw(st.integers(1, 6))):
        name = draw(st.sampled_from(sorted(FIELD_VALUES)))
        value = draw(FIELD_VALUES[name])
        operator = draw(st.sampled_from(OPERATORS))
        drawn.append({"_id": id_, "field": name, "operator": operator, "value": value})
    return drawn


# The last condition and filter ids do not exist.
PARTS = st.fixed_dictionaries(
    {
        "fc": st.lists(st.integers(0, 6), max_size=2),
        "pf": st.lists(st.sampled_from(["f0", "f1", "f2", "f3", "f4"]), max_size=1),
    }
)
FILTER = st.fixed_dictionaries(
    {
        "content_filter": st.lists(PARTS.map(lambda parts: {"expression": parts}), max_size=3),
        "is_global": st.sampled_from([False, False, False, True]),
    }
)
PRODUCT = st.fixed_dictionaries(
    {
        "codes": st.sampled_from(["", "k", "l,m"]),
        "geo_restrictions": st.sampled_from([None, None, "QLD", "NSW"]),
        "content_filter": st.fixed_dictionaries(
            {
                "filter_id": st.sampled_from([None, "f0", "f1", "f2", "f3", "f4"]),
                "filter_type": st.sampled_from(["permitting", "permitting", "blocking"]),
            }
        ),
    }
)
PRODUCT_IDS = st.lists(st.sampled_from(["p0", "p1", "p2", "p3", "p4"]), max_size=3)
SUBSCRIBER = st.fixed_dictionaries(
    {
        "subscriber_type": st.sampled_from(list(SubscriberType)),
        "is_active": st.sampled_from([True, True, True, False]),
        "codes": st.sampled_from(["", "k", "n"]),
        "products": PRODUCT_IDS,
        "api_products": PRODUCT_IDS,
        "global_filters": st.dictionaries(st.sampled_from(["f0", "f1"]), st.booleans()),
    }
)
ALLOWS = st.lists(
    st.fixed_dictionaries(
        {"qcode": st.sampled_from(["digital", "wire", "QLD", "NSW"]), "allow": st.booleans()}
    ),
    max_size=2,
)
CODES = st.lists(st.sampled_from(LETTERS), max_size=2)
ITEM = st.fixed_dictionaries(
    {},
    optional={
        "keywords": CODES,
        "subject": CODES.map(lambda codes: [{"qcode": code} for code in codes]),
        "headline": st.sampled_from(["a", "ab", "c"]),
        "urgency": st.integers(1, 3),
        "flags": st.fixed_dictionaries({"marked_for_sms": st.booleans()}),
        "target_subscribers": st.lists(st.sampled_from(["s0", "s1"]), max_size=1).map(
            lambda named: targets(*named)
        ),
        "target_types": ALLOWS,
        "target_regions": ALLOWS,
    },
)


def numbered(prefix: str, documents: st.SearchStrategy[Document]) -> st.SearchStrategy[Any]:
    return st.lists(documents, min_size=1, max_size=4).map(
        lambda drawn: [{**d, "_id": f"{prefix}{n}"} for n, d in enumerate(drawn)]
    )


DOCUMENTS = st.builds(
    Documents,
    numbered("s", SUBSCRIBER),
    numbered("p", PRODUCT),
    numbered("f", FILTER),
    conditions(),
)


def plain_matches(
    documents: Documents, routed: Document, media: SubscriberType | None
) -> list[tuple[str, set[str], bool, bool]]:
    """The steps of 8.4 for each subscriber and each of its products, without an index."""
    filters = compile_filters(documents.filters, documents.conditions, [])
    view = ItemView(routed, NOW)
    blocking = [f.id for f in filters.global_filters if f.matches(view)]
    matching = {
        p.id: p
        for p in map(compile_product, documents.products)
        if product_matches(p, view, filters)
    }
    found = []
    for document in documents.subscribers:
        type_ = document["subscriber_type"]
        eligibility = Targets.of(routed).eligibility(document["_id"], type_)
        blocked = any(document["global_filters"].get(id_) is not False for id_ in blocking)
        wrong_media = media and type_ not in (media, SubscriberType.ALL)
        if (
            not document["is_active"]
            or wrong_media
            or blocked
            or eligibility is Eligibility.DROPPED
        ):
            continue
        direct = [matching[id_] for id_ in document["products"] if id_ in matching]
        api = [matching[id_] for id_ in document["api_products"] if id_ in matching]
        named = eligibility is Eligibility.DIRECT
        if not (direct or api or named):
            continue
        codes = {document["codes"], *(code for p in direct + api for code in p.codes)} - {""}
        api_enabled = bool(api) or (not direct and bool(document["api_products"]))
        found.append((document["_id"], codes, api_enabled, named))
    return found


@given(DOCUMENTS, ITEM, st.sampled_from([None, SubscriberType.DIGITAL, SubscriberType.WIRE]))
def test_index_equals_plain_evaluation(
    documents: Documents, routed: Document, media: SubscriberType | None
) -> None:
    """The index leaves nobody out and adds nobody, whatever the rules and the item."""
    rules = documents.rules()
    matches = rules.matches(routed, NOW, target_media=media)

    assert plain_matches(documents, routed, media) == [
        (m.subscriber.id, set(m.codes), m.api_enabled, m.direct) for m in matches
    ]
