"""Forms of an id."""

from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from apps.core.ids import ById, id_forms, id_key, same_id

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


def test_a_decimal_number_without_a_fraction_is_a_whole_one() -> None:
    assert id_forms(7.0) == [7, "7"]
    assert same_id(7.0, "7")


@given(INTEGERS | st.binary(min_size=12, max_size=12).map(ObjectId) | st.text())
def test_an_id_is_the_same_in_each_of_its_forms(id_: object) -> None:
    for form in id_forms(id_):
        assert same_id(form, id_)
        assert ById([(id_, "found")]).get(form) == "found"


def test_a_number_that_cannot_be_stored_has_its_text_only() -> None:
    assert id_forms(2**63) == [str(2**63)]


def test_different_ids_are_not_the_same() -> None:
    assert not same_id(7, "07")
    assert not same_id(None, None)
    assert id_key(ObjectId(HEX)) != id_key(f"{HEX}0")


def test_an_id_of_the_given_form_is_preferred() -> None:
    found = ById([(ObjectId(HEX), "an ObjectId"), (HEX, "text"), (7, "a number")])
    assert [found.get(id_) for id_ in (ObjectId(HEX), HEX, HEX.upper(), 7, "7")] == [
        "an ObjectId",
        "text",
        "text",
        "a number",
        "a number",
    ]
    assert [found.get(id_) for id_ in (None, [], {}, "8")] == [None] * 4
