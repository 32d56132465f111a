"""Choice of rules, and verdicts on whole items, against a real database."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.monitoring import CommandListener, CommandStartedEvent

from apps.core.errors import BadRequest, ValidationFailed
from apps.store.mongo import connect
from apps.validate.validate import ValidateService

Service = Callable[..., ValidateService]

HEADLINE = {"headline": {"type": "string", "required": True}}
SLUGLINE = {"slugline": {"type": "string", "required": True}}
NO_HEADLINE = ["HEADLINE is a required field"]
NO_SLUGLINE = ["SLUGLINE is a required field"]
PROFILE = {"_id": "story", "schema": SLUGLINE}
VALIDATOR = {"_id": "publish_text", "act": "publish", "type": "text", "schema": HEADLINE}
TOWN = {"_id": "town", "field_type": "text", "display_name": "Home town"}


class Commands(CommandListener):
    """Remembers which collections are asked, in order."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "find":
            self.read.append(event.command["find"])

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def db(stores: Any, database_name: str, commands: Commands) -> Iterator[Database[dict[str, Any]]]:
    """A database of validation's own, empty."""
    settings = {"MONGO_URI": stores.mongo_uri, "MONGO_DBNAME": f"{database_name}_validate"}
    database = connect(settings, [commands])
    yield database
    database.client.drop_database(database.name)
    database.client.close()


@pytest.fixture
def service(db: Database[dict[str, Any]]) -> Service:
    """Builds a service on the database, with settings by name."""

    def build(**settings: Any) -> ValidateService:
        return ValidateService(db, settings)

    return build


def test_a_valid_item(db: Database[dict[str, Any]], service: Service) -> None:
    """Nothing wrong is said in both parts of the verdict."""
    db["validators"].insert_one(VALIDATOR)

    result = service().validate({"headline": "x", "type": "text"}, act="publish")

    assert result.is_valid
    assert (result.messages, result.fields) == ([], {})


def test_check_raises(db: Database[dict[str, Any]], service: Service) -> None:
    """A refusal carries the messages and the tree of fields (lifecycle scenario 13)."""
    db["validators"].insert_one(VALIDATOR)

    with pytest.raises(ValidationFailed) as refused:
        service().check({"type": "text"}, act="publish")

    assert refused.value.fields == {"headline": "required field"}
    assert str(refused.value) == "[['HEADLINE is a required field']]"


def test_check_lets_valid_items_pass(db: Database[dict[str, Any]], service: Service) -> None:
    """An item without errors is not refused."""
    db["validators"].insert_one(VALIDATOR)

    service().check({"type": "text", "headline": "x"}, act="publish")


def test_nested_fields(db: Database[dict[str, Any]], service: Service) -> None:
    """An empty dateline is told as missing, with its nested errors (lifecycle scenario 14)."""
    located = {"type": "dict", "required": True}
    dateline = {"type": "dict", "required": True, "schema": {"located": located}}
    db["validators"].insert_one({**VALIDATOR, "schema": {"dateline": dateline}})

    result = service().validate({"type": "text", "dateline": {}}, act="publish")

    assert result.messages == ["DATELINE is a required field"]
    assert result.fields == {"dateline": {"located": "required field"}}


@pytest.mark.parametrize(
    ("item", "act", "settings", "expected"),
    [
        pytest.param({"profile": "story"}, "publish", {}, NO_SLUGLINE, id="profile"),
        pytest.param({"profile": "gone"}, "publish", {}, NO_HEADLINE, id="profile that is gone"),
        pytest.param({"type": "story"}, "publish", {}, NO_SLUGLINE, id="type as profile"),
        pytest.param({"profile": None}, "publish", {}, NO_HEADLINE, id="validator"),
        pytest.param({"profile": "story"}, "auto_publish", {}, NO_SLUGLINE, id="auto publish"),
        pytest.param(
            {"profile": "story", "slugline": "x"},
            "auto_publish",
            {"AUTO_PUBLISH_CONTENT_PROFILE": False},
            NO_HEADLINE,
            id="auto publish without profile",
        ),
        pytest.param(
            {"profile": "story"},
            "publish",
            {"AUTO_PUBLISH_CONTENT_PROFILE": False},
            NO_SLUGLINE,
            id="profile for other acts",
        ),
        pytest.param(
            {}, "publish", {"SCHEMA": {"text": SLUGLINE}}, NO_SLUGLINE, id="setting SCHEMA"
        ),
        pytest.param(
            {"profile": "story", "slugline": "x"},
            "publish",
            {"SCHEMA": {"text": {"byline": {"required": True}}}},
            [],
            id="profile before SCHEMA",
        ),
        pytest.param(
            {}, "publish", {"SCHEMA": {"picture": SLUGLINE}}, NO_HEADLINE, id="SCHEMA of another"
        ),
        pytest.param({}, "unheard-of", {}, NO_HEADLINE, id="default rules"),
        pytest.param({"headline": "x"}, "unheard-of", {}, [], id="default rules met"),
        pytest.param({"profile": {"$gt": ""}}, "publish", {}, NO_HEADLINE, id="no query"),
        pytest.param({"type": {"$gt": ""}}, "publish", {}, NO_HEADLINE, id="no query of type"),
    ],
)
def test_which_rules_apply(
    db: Database[dict[str, Any]],
    service: Service,
    item: dict[str, Any],
    act: str,
    settings: dict[str, Any],
    expected: list[str],
) -> None:
    """Profile, setting, validator and default rules come in this order; the first counts."""
    db["content_types"].insert_one(PROFILE)
    db["validators"].insert_one(VALIDATOR)

    assert service(**settings).validate(item, act=act, type="text").messages == expected


@pytest.mark.parametrize("type", ["event", None])
def test_items_without_rules_are_valid(service: Service, type: str | None) -> None:
    """An unknown type is not refused, even with associated media."""
    item = {"associations": {"featuremedia": {"type": "picture"}}}
    schema = {"picture": {"headline": {"required": True}}}

    assert service(SCHEMA=schema).validate(item, act="publish", type=type).is_valid


def test_an_empty_validator_accepts_everything(
    db: Database[dict[str, Any]], service: Service
) -> None:
    """Without rules in the validator the default ones do not apply."""
    db["validators"].insert_one({**VALIDATOR, "schema": {}})

    assert service().validate({"headline": 7, "type": "text"}, act="publish").is_valid


@pytest.mark.parametrize(("embedded", "expected"), [(True, NO_SLUGLINE), (False, NO_HEADLINE)])
@pytest.mark.parametrize("absent", [{}, {"embedded": False}, {"embedded": None}])
def test_embedded_items_have_validators_of_their_own(
    db: Database[dict[str, Any]],
    service: Service,
    embedded: bool,
    expected: list[str],
    absent: dict[str, Any],
) -> None:
    """Associations use validators marked as embedded, other items the others."""
    own = {"_id": "publish_embedded_text", "embedded": True, "schema": SLUGLINE}
    db["validators"].insert_many([{**VALIDATOR, **own}, {**VALIDATOR, **absent}])

    result = service().validate({"type": "text"}, act="publish", embedded=embedded)

    assert result.messages == expected


@pytest.mark.parametrize(
    ("schema", "item", "expected"),
    [
        (HEADLINE, {"headline": True}, ["HEADLINE must be of string type"]),
        (HEADLINE, {"headline": "budget"}, []),
        ({"headline": {"minlength": 2}}, {"headline": "<p>1</p>"}, ["HEADLINE is too short"]),
        ({"headline": {"maxlength": 3}}, {"headline": "1234"}, ["HEADLINE is too long"]),
        ({"headline": {"maxlength": 3}}, {"headline": "<p>123</p>"}, []),
        ({"type": {"allowed": ["X"]}}, {"type": "B"}, ["TYPE unallowed value B"]),
        ({}, {"unknown": "B"}, []),
    ],
)
def test_validate_request(
    db: Database[dict[str, Any]],
    service: Service,
    schema: dict[str, Any],
    item: dict[str, Any],
    expected: list[str],
) -> None:
    """The body of `POST /validate` is answered by messages (lifecycle scenario 78)."""
    db["validators"].insert_one({**VALIDATOR, "schema": schema})
    body = {"act": "publish", "type": "text", "validate": item}

    assert service().errors_for(body) == expected


def test_validate_request_for_an_embedded_item(
    db: Database[dict[str, Any]], service: Service
) -> None:
    """The body may ask for the rules of associations."""
    db["validators"].insert_one({**VALIDATOR, "embedded": True, "schema": SLUGLINE})
    body = {"act": "publish", "type": "text", "validate": {}, "embedded": True}

    assert service().errors_for(body) == NO_SLUGLINE


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({}, ["Home town is a required field"]),
        ({"extra": None}, ["Home town is a required field"]),
        ({"extra": {"town": "<p></p>"}}, ["Home town is a required field"]),
        ({"extra": {"town": "Kristiansand"}}, ["Home town max length is 9"]),
        ({"extra": {"town": 7}}, ["Home town must be of string type"]),
        ({"extra": {"town": "<p>Stavanger</p>"}}, []),
        ({"subject": [{"scheme": "town", "qcode": "Oslo"}]}, []),
    ],
)
def test_custom_fields(
    db: Database[dict[str, Any]], service: Service, item: dict[str, Any], expected: list[str]
) -> None:
    """A custom text field of the profile is checked in `extra` (lifecycle scenario 79)."""
    town = {"required": True, "type": "text", "maxlength": 9}
    db["content_types"].insert_one({"_id": "story", "schema": {"town": town}})
    db["vocabularies"].insert_one(TOWN)

    result = service().validate({"profile": "story", **item}, act="publish", type="text")

    assert result.messages == expected


def test_deleted_custom_fields_are_ordinary_ones(
    db: Database[dict[str, Any]], service: Service
) -> None:
    """A vocabulary that is deleted makes no custom field any more."""
    db["content_types"].insert_one({"_id": "story", "schema": {"town": {"required": True}}})
    db["vocabularies"].insert_one({**TOWN, "_deleted": True})

    result = service().validate({"profile": "story"}, act="publish", type="text")

    assert result.fields == {"town": "required field"}


def test_subject_vocabularies(db: Database[dict[str, Any]], service: Service) -> None:
    """Values of a vocabulary that fills `subject` count as subjects, and it gives the label."""
    subject = {"type": "list", "required": True}
    db["validators"].insert_one({**VALIDATOR, "schema": {"subject": subject}})
    db["vocabularies"].insert_one(
        {"_id": "topics", "schema_field": "subject", "display_name": "Topic"}
    )

    def messages(scheme: str) -> list[str]:
        item = {"type": "text", "subject": [{"qcode": "a", "scheme": scheme}]}
        return service().validate(item, act="publish").messages

    assert messages("topics") == []
    assert messages("other") == ["TOPIC is a required field"]


PICTURE = {"type": "picture", "alt_text": "x"}


@pytest.mark.parametrize(
    ("association", "settings", "expected"),
    [
        (PICTURE, {}, ["MEDIA'S HEADLINE is a required field"]),
        ({**PICTURE, "headline": "x"}, {}, []),
        ({**PICTURE, "headline": "long"}, {}, ["MEDIA'S HEADLINE is too long"]),
        ({**PICTURE, "profile": "portrait"}, {}, ["MEDIA'S BYLINE is a required field"]),
        ({"type": "text"}, {}, []),
        (None, {}, []),
        (PICTURE, {"VALIDATE_MEDIA_METADATA_ON_PUBLISH": False}, []),
        (
            {"type": "video"},
            {"VALIDATE_MEDIA_METADATA_ON_PUBLISH": False, "SCHEMA": {"video": HEADLINE}},
            [],
        ),
        (
            {"type": "video"},
            {"SCHEMA": {"video": {"alt_text": {"required": True}}}},
            ["MEDIA'S ALT_TEXT is a required field"],
        ),
        ({"type": "audio", "slugline": "x" * 99}, {}, []),
    ],
)
def test_media_metadata(
    db: Database[dict[str, Any]],
    service: Service,
    association: Any,
    settings: dict[str, Any],
    expected: list[str],
) -> None:
    """Associated media satisfy the profile of their own (lifecycle scenario 58)."""
    db["validators"].insert_one({**VALIDATOR, "schema": {}})
    db["content_types"].insert_many(
        [
            {"_id": "picture", "schema": {"headline": {"required": True, "maxlength": 3}}},
            {"_id": "portrait", "schema": {"byline": {"required": True}}},
        ]
    )
    item = {"type": "text", "associations": {"featuremedia": association}}

    assert service(**settings).validate(item, act="publish").messages == expected


def test_errors_of_item_and_media_are_sorted(
    db: Database[dict[str, Any]], service: Service
) -> None:
    """All messages of one item come by field name."""
    schema = {"byline": {"required": True}, "slugline": {"required": True}}
    db["validators"].insert_one({**VALIDATOR, "schema": schema})
    db["content_types"].insert_one({"_id": "picture", "schema": HEADLINE})
    item = {"type": "text", "associations": {"featuremedia": {"type": "picture"}}}

    result = service().validate(item, act="publish")

    assert list(result.fields) == ["byline", "media's headline", "slugline"]
    assert [message.split(" is ")[0] for message in result.messages] == [
        "BYLINE",
        "MEDIA'S HEADLINE",
        "SLUGLINE",
    ]


def test_skipped_fields_do_not_refuse(db: Database[dict[str, Any]], service: Service) -> None:
    """A kill of an item with a profile needs no headline."""
    db["validators"].insert_one({**VALIDATOR, "act": "kill"})

    killed = service().validate({"type": "text", "profile": "text"}, act="kill")

    assert killed.is_valid
    assert service().validate({"type": "text"}, act="kill").messages == NO_HEADLINE


def test_disallowed_characters(db: Database[dict[str, Any]], service: Service) -> None:
    """The setting names the characters that a field may refuse."""
    schema = {"headline": {"validate_characters": True}}
    db["validators"].insert_one({**VALIDATOR, "schema": schema})
    item = {"type": "text", "headline": "a$b"}

    refusing = service(DISALLOWED_CHARACTERS=["!", "$"])

    assert refusing.validate(item, act="publish").messages == [
        "HEADLINE contains invalid characters"
    ]
    assert service().validate(item, act="publish").is_valid


@pytest.mark.parametrize(
    ("collection", "document", "name"),
    [
        ("content_types", {"_id": "text"}, "content_types text"),
        ("validators", {"_id": "v", "act": "publish", "type": "text"}, "validators v"),
        ("content_types", {"_id": "picture"}, "content_types picture"),
    ],
)
@pytest.mark.parametrize("schema", ["odd", [HEADLINE], {"headline": "odd"}, {"headline": 7}])
def test_malformed_rules_are_named(
    db: Database[dict[str, Any]],
    service: Service,
    collection: str,
    document: dict[str, Any],
    name: str,
    schema: Any,
) -> None:
    """The operator is told which document holds rules that cannot be understood."""
    db[collection].insert_one({**document, "schema": schema})
    item = {"type": "text", "headline": "x", "associations": {"a": {"type": "picture"}}}

    with pytest.raises(BadRequest, match=f"Invalid validation schema in {name}: "):
        service().validate(item, act="publish")


@pytest.mark.parametrize(
    "schema", [{"headline": {"type": "odd"}}, {"headline": {"forbidden": [["a"]]}}]
)
def test_rules_that_cannot_be_applied_are_named(service: Service, schema: dict[str, Any]) -> None:
    """The same holds for settings, and for faults that only a value shows."""
    item = {"type": "text", "headline": [{"a": 1}]}

    with pytest.raises(BadRequest, match="Invalid validation schema in setting SCHEMA text: "):
        service(SCHEMA={"text": schema}).validate(item, act="publish")


@pytest.mark.parametrize("schema", [None, {}])
@pytest.mark.parametrize("extra", [{}, {"extra": {"a": 1}}])
def test_a_profile_without_rules_accepts_everything(
    db: Database[dict[str, Any]], service: Service, schema: Any, extra: dict[str, Any]
) -> None:
    """Content types without a schema have no demands."""
    db["content_types"].insert_one({"_id": "text", "schema": schema})

    assert service().validate({"type": "text", **extra}, act="publish").is_valid


def test_changed_rules_count_at_once(db: Database[dict[str, Any]], service: Service) -> None:
    """Rules, vocabularies included, are read for every item."""
    db["content_types"].insert_one(PROFILE)
    validator = service()
    item = {"type": "text", "profile": "story"}

    before = validator.validate(item, act="publish").messages
    schema = {"town": {"required": True}}
    db["content_types"].update_one({"_id": "story"}, {"$set": {"schema": schema}})
    db["vocabularies"].insert_one(TOWN)
    after = validator.validate(item, act="publish").messages

    assert before == NO_SLUGLINE
    assert after == ["Home town is a required field"]


@pytest.mark.parametrize(
    ("item", "read"),
    [
        ({"type": "text", "headline": "x"}, ["content_types", "validators"]),
        ({"type": "text", "profile": "story", "slugline": "x"}, ["content_types"]),
        ({"type": "text"}, ["content_types", "validators", "vocabularies"]),
        (
            {"type": "text", "profile": "local", "extra": {"town": "Oslo"}},
            ["content_types", "vocabularies"],
        ),
        (
            {"type": "text", "headline": "x", "associations": {"a": PICTURE, "b": PICTURE}},
            ["content_types", "validators"],
        ),
        ({"type": "text", "profile": "local"}, ["content_types", "vocabularies"]),
    ],
)
def test_reads(
    db: Database[dict[str, Any]],
    service: Service,
    commands: Commands,
    item: dict[str, Any],
    read: list[str],
) -> None:
    """A valid item costs two reads at most; vocabularies are read once, and only when needed."""
    local = {"_id": "local", "schema": {"town": {"required": True}}}
    db["content_types"].insert_many([PROFILE, local])
    db["validators"].insert_one(VALIDATOR)
    db["vocabularies"].insert_one(TOWN)
    commands.read.clear()

    service().validate(item, act="publish")

    assert commands.read == read


def test_the_item_is_not_changed(db: Database[dict[str, Any]], service: Service) -> None:
    """Validation looks at an item and leaves it as it is."""
    db["content_types"].insert_one(PROFILE)
    item = {"type": "text", "profile": "story", "slugline": "x", "subject": [{"qcode": "a"}]}
    before = {**item, "subject": [{"qcode": "a"}]}

    service().check(item, act="publish")

    assert item == before
