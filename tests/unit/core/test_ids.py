"""Forms of an id."""

from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from apps.core.ids import id_forms

HEX = "5f" * 12
INTEGERS = st.integers(-(2**63), 2**63 - 1)


@given(INTEGERS | st.binary(min_size=12, max_size=12).map(ObjectId))
def test_an_id_and_its_text_have_the_same_forms(id_: object) -> None:
    assert id_forms(id_) == [id_, str(id_)]
    assert id_forms(str(id_)) == [str(id_), id_]


def test_an_object_id_has_a_text() -> None:
    assert id_forms(ObjectId(HEX)) == [ObjectId(HEX), HEX]


@given(st.text() | st.sampled_from(["01", "-0", "+1", "1.0", " 1", "²", "-", str(2**63)]))
def test_the_given_text_comes_first(text: str) -> None:
    first, *others = id_forms(text)
    assert first == text
    assert all(str(other) == text.lower() for other in others)


def test_other_values_have_one_form() -> None:
    assert [id_forms(value) for value in (None, True, 1.5)] == [[None], [True], [1.5]]
