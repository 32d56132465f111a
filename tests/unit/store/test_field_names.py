"""Ids as names of fields (store contract 3.1)."""

from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from apps.store.field_names import by_id, field_of

IDS = st.one_of(st.text(), st.integers(-(2**63), 2**63 - 1), st.binary(min_size=12, max_size=12))


@given(IDS)
def test_any_id_comes_back_from_a_name_that_is_no_path(id: Any) -> None:
    """Whatever the id, its name can be addressed by a path, and stands for it alone."""
    whole = ObjectId(id) if isinstance(id, bytes) else id
    name = field_of(whole)
    assert name
    assert name[0] != "$"
    assert not {".", "\0"} & set(name)
    assert by_id({name: 1}) == {whole: 1}


def test_an_object_id_is_named_by_its_digits() -> None:
    """So are those that are stored; a text of the same digits is another id."""
    id_ = ObjectId()
    assert field_of(id_) == str(id_)
    assert field_of(str(id_)) != str(id_)


@pytest.mark.parametrize("field", ["", "a", "=", "={", '={"a": 1}', "=[1]", "0123"])
def test_what_stands_for_no_id_is_left_out(field: str) -> None:
    """A field that somebody else wrote stops nobody."""
    assert by_id({field: 1}) == {}
