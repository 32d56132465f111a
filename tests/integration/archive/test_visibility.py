"""Who may see an item: the predicate, the query of lists and the audience of events agree."""

from typing import Any

from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from apps.archive.visibility import (
    HiddenItems,
    audience,
    may_read,
    may_see,
    readable,
    visible,
)
from apps.core.caller import SYSTEM, Caller
from apps.core.vocabulary import State
from apps.graph.build import Graph
from apps.notifications.viewers import Viewer

USERS = [ObjectId() for _ in range(3)]
STAGES = [ObjectId() for _ in range(3)]

ids = st.sampled_from([None, "", *USERS, *map(str, USERS)])
tasks = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "desk": st.sampled_from([None, "", ObjectId(), str(ObjectId())]),
            "stage": st.sampled_from([None, *STAGES]),
            "user": ids,
        },
    ),
)
items = st.fixed_dictionaries(
    {},
    optional={
        "task": tasks,
        "state": st.sampled_from([None, *(state.value for state in State)]),
        "original_creator": ids,
        "version_creator": ids,
    },
)
callers = st.one_of(
    st.just(SYSTEM),
    st.builds(
        lambda user, hidden, kind: Caller(
            {"_id": user, "invisible_stages": hidden, "user_type": kind}
        ),
        st.sampled_from(USERS),
        st.one_of(st.none(), st.lists(st.sampled_from(STAGES), unique=True)),
        st.sampled_from(["user", "administrator"]),
    ),
)


def found(app: Any, db: Database[Any], query: Any, source: str = "archive") -> set[str]:
    """Return the ids that a query of a list finds, as the REST edge asks it."""
    with app.app_context():
        asked = app.data._mongotize(query, "archive_history" if source == "rows" else "archive")
    return {row["item_id"] for row in db[source].find(asked)}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(items, min_size=1, max_size=8), callers)
def test_all_forms_of_the_rule_agree(
    app: Any, graph: Graph, stored: list[Any], caller: Caller
) -> None:
    db = graph.db
    db["archive"].drop()
    # Some ids look like those of other documents.
    ids = [str(ObjectId()) if number % 2 else f"tag:{number}" for number in range(len(stored))]
    named = [{**item, "_id": id_, "item_id": id_} for id_, item in zip(ids, stored, strict=True)]
    db["archive"].insert_many(named)
    db["rows"].drop()
    db["rows"].insert_many({"item_id": item["_id"]} for item in named)

    seen = {item["_id"] for item in named if may_see(item, caller)}
    read = {item["_id"] for item in named if may_read(item, caller)}

    assert seen == found(app, db, visible({}, caller))
    assert seen == found(app, db, visible({"_id": {"$ne": None}}, caller))
    assert read == found(app, db, readable({}, caller))
    hidden = HiddenItems(db)
    assert seen == found(app, db, hidden.without_unseen({}, "item_id", caller), "rows")
    assert read == found(app, db, hidden.without_unreadable({}, "item_id", caller), "rows")
    if caller.user is not None:
        viewer = Viewer.of(caller.user)
        told = {item["_id"] for item in named if viewer.is_in(audience([item]))}
        assert seen == told


@given(st.lists(st.lists(items, min_size=1, max_size=3), max_size=3), callers)
def test_an_event_is_for_who_sees_each_of_its_items(stored: list[Any], caller: Caller) -> None:
    """Before or after the change that it tells of."""
    if caller.user is None:
        return
    expected = all(any(may_see(form, caller) for form in forms) for forms in stored)

    assert expected == Viewer.of(caller.user).is_in(audience(*stored))
