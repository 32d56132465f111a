"""Ids and secrets of destinations, whatever clients send."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apps.routing.subscribers.destination_secrets import complete, secret_keys, without_secrets
from apps.routing.subscribers.stored_destinations import SECRET_KEYS
from transmitters import build_registry

SECRETS = frozenset({"password", "secret_token"})

configs = st.dictionaries(
    st.sampled_from(["password", "secret_token", "resource_url", "path"]),
    st.none() | st.text(max_size=3),
)
destinations = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("ab"), "format": st.just("ninjs"), "delivery_type": st.just("x")},
        optional={"_id": st.sampled_from(["", "1", "2"]), "config": configs},
    ),
    max_size=4,
)


def test_what_delivery_types_declare_is_secret() -> None:
    """Secret fields of every installed delivery type count, and so do the well-known keys."""
    registry = build_registry()
    declared = {field.name for cls in registry for field in cls.fields if field.secret}

    assert secret_keys(registry) == declared | SECRET_KEYS
    assert declared


@given(sent=destinations, stored=destinations)
def test_every_destination_ends_with_an_id_of_its_own(sent: Any, stored: Any) -> None:
    """No two destinations share an id, no config holds a null, and none is lost."""
    completed = complete(sent, stored, SECRETS)

    ids = [destination["_id"] for destination in completed]
    assert all(ids)
    assert len(ids) == len(set(ids)) == len(sent)
    assert all(None not in destination["config"].values() for destination in completed)


@given(stored=destinations)
def test_what_a_list_shows_can_be_sent_back(stored: Any) -> None:
    """Storing what a list shows changes nothing, secrets included."""
    before = complete(stored, (), SECRETS)

    shown = without_secrets(before, SECRETS)

    assert complete(shown, before, SECRETS) == before
    assert not any(SECRETS & destination["config"].keys() for destination in shown)


@given(stored=destinations)
def test_arguments_are_left_alone(stored: Any) -> None:
    """Stored documents are never changed in place."""
    before = repr(stored)

    complete(stored, stored, SECRETS)
    without_secrets(stored, SECRETS)

    assert repr(stored) == before
