"""Whatever rules and items hold, validation ends in a verdict or says that rules are malformed."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apps.validate.cerberus_rules import RuleValidator, compile_rules, find_errors
from apps.validate.documents import prepare
from apps.validate.messages import build_messages
from apps.validate.rules import InvalidRules, RuleSet, canonical

NAMES = ("headline", "subject", "extra", "sms", "feature_media", "associations", "town")
TOWN = {"_id": "town", "field_type": "text", "display_name": "Home town"}
SCHEMES = (None, "", "town", "topics", ["a"], 7)

scalars = (
    st.none() | st.booleans() | st.integers(-3, 9) | st.sampled_from(["", "a", "<p></p>", "<b>x"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*NAMES, "scheme", "qcode", "type"]), inner, max_size=3)
    ),
    max_leaves=8,
)
subjects = st.lists(st.fixed_dictionaries({"scheme": st.sampled_from(SCHEMES)}) | values)
items = st.dictionaries(
    st.sampled_from([*NAMES, "flags", "type", "profile"]), values | subjects, max_size=6
)
# Callables cannot be stored, and registries are empty: what is left are all rules there are.
rule_names = st.sampled_from(sorted({*RuleValidator.rules, "required"} - {"meta"}))
types = st.sampled_from(sorted(RuleValidator.types_mapping))
arguments = values | types | st.dictionaries(rule_names, values, max_size=2)
rules = st.dictionaries(rule_names, arguments, max_size=3) | values
schemas = st.dictionaries(st.sampled_from(NAMES), rules, max_size=4)

sensible_rules = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["string", "list", "dict", "text", "date", "any"]),
        "required": st.booleans(),
        "nullable": st.booleans(),
        "minlength": st.integers(0, 3),
        "maxlength": st.integers(0, 3),
        "validate_characters": st.booleans(),
        "mandatory_in_dictionary": st.just(["qcode"]),
        "mandatory_in_list": st.just({"scheme": {"topics": {"required": True}}}),
    },
)


def messages_of(schema: Any, item: dict[str, Any], is_profile: bool) -> list[str]:
    rule_set = RuleSet("test", schema, is_profile)
    compiled = compile_rules(canonical(rule_set, [TOWN], marked_for_sms=False))
    document = prepare(item, compiled)
    errors = find_errors(compiled, document, lambda: frozenset({"topics"}), "$")
    return build_messages(errors, [TOWN])


@given(schema=schemas, item=items, is_profile=st.booleans())
def test_any_rules_and_items(schema: Any, item: dict[str, Any], is_profile: bool) -> None:
    """Rules of any shape are applied, or refused as malformed; nothing else is raised."""
    try:
        messages = messages_of(schema, item, is_profile)
    except InvalidRules:
        return
    assert all(isinstance(message, str) for message in messages)


@given(
    schema=st.dictionaries(st.sampled_from(NAMES), sensible_rules, max_size=4),
    item=items,
    is_profile=st.booleans(),
)
def test_sensible_rules_and_any_items(schema: Any, item: dict[str, Any], is_profile: bool) -> None:
    """Well-formed rules reach a verdict on every item, each time the same."""
    first = messages_of(schema, item, is_profile)

    assert messages_of(schema, item, is_profile) == first
