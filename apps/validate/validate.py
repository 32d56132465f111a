"""Choice of the rules that apply to an item, and their verdict (lifecycle contract 4)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.core import hooks
from apps.core.errors import BadRequest, ValidationFailed
from apps.core.ids import ById
from apps.core.service import Document
from apps.store.by_id import find_all_by_id
from apps.store.collections import CONTENT_TYPES, VALIDATORS, VOCABULARIES
from apps.validate.cerberus_rules import CompiledRules, ErrorTree, compile_rules, find_errors
from apps.validate.documents import (
    associations_of,
    checked_associations,
    is_marked_for_sms,
    metadata_errors,
    prepare,
)
from apps.validate.messages import Labels, build_messages, needs_vocabularies, without_skipped
from apps.validate.rules import (
    InvalidRules,
    Rules,
    RuleSet,
    Vocabularies,
    canonical,
    clean_all,
    default_rules,
    may_have_custom_fields,
    subject_schemes,
)

BAD_RULES = "Invalid validation schema in {origin}: {problem}"
COMPILED_RULES_KEPT = 256
"""Rule sets kept compiled: a newsroom has some dozens, each of about 25 kB."""

VOCABULARY_FIELDS = dict.fromkeys(
    ("display_name", "translations", "field_type", "schema_field", "selection_type"), 1
)

Key = tuple[str | None, str | None, bool]
Profiles = ById[Document]


@dataclass(frozen=True)
class ValidationResult:
    """Verdict on an item; both parts are empty for a valid one.

    Attributes:
        messages: texts for the editor, by field name ascending.
        fields: field to error text, to several texts, or to the errors of nested fields.
    """

    messages: list[str]
    fields: ErrorTree

    @property
    def is_valid(self) -> bool:
        return not self.fields and not self.messages


@dataclass(frozen=True)
class KnownRules:
    """Rules that have been read already.

    Attributes:
        profiles: content profiles by ids of any form.
        validators: the first validator for each `act` and type, embedded or not.
    """

    profiles: Profiles
    validators: Mapping[Key, Document]


class VocabularyReader:
    """The vocabularies as one validation sees them: read when first asked for, at most once."""

    def __init__(self, db: Database[Document]) -> None:
        self._db = db
        self._vocabularies: Vocabularies | None = None

    def __call__(self) -> Vocabularies:
        if self._vocabularies is None:
            alive = {"_deleted": {"$ne": True}}
            self._vocabularies = list(self._db[VOCABULARIES].find(alive, VOCABULARY_FIELDS))
        return self._vocabularies

    def subject_schemes(self) -> frozenset[str]:
        """Return the schemes whose entries count as subjects, see `subject_schemes`."""
        return subject_schemes(self())


class ValidateService:
    """Check items against content profiles, settings, validators or default rules.

    Documents are read for every item, so a change counts at once. Only compiled rules are kept,
    by their content. Threads may share one service.

    Args:
        db: database with `content_types`, `validators` and `vocabularies`.
        settings: `SCHEMA`, `AUTO_PUBLISH_CONTENT_PROFILE`, `VALIDATE_MEDIA_METADATA_ON_PUBLISH`,
            `DISALLOWED_CHARACTERS` and `LABELS_DIR`.
    """

    def __init__(self, db: Database[Document], settings: Mapping[str, Any]) -> None:
        self._db = db
        self._settings = settings
        self._rules: KnownRules | None = None
        self._compiled: Callable[[bytes], CompiledRules] = lru_cache(COMPILED_RULES_KEPT)(
            compile_rules
        )

    def with_rules_for(
        self, items: Iterable[Mapping[str, Any]], acts: Iterable[str]
    ) -> "ValidateService":
        """Return a service that has read the rules of `items`, in two commands for all of them.

        Args:
            items: the items that it will be asked about, with the media that they hold.
            acts: what it will be asked for.
        """
        known = list(items)
        ids = {name for item in known for name in self._profile_ids(item, _text(item.get("type")))}
        types = {_text(item.get("type")) for item in known} - {None}
        profiles = find_all_by_id(self._db[CONTENT_TYPES], sorted(ids), {"schema": 1})
        query = {"act": {"$in": sorted(acts)}, "type": {"$in": sorted(map(str, types))}}
        validators: dict[Key, Document] = {}
        for row in self._db[VALIDATORS].find(query):
            key = (row.get("act"), row.get("type"), row.get("embedded") is True)
            validators.setdefault(key, row)
        service = copy(self)
        service._rules = KnownRules(profiles, validators)
        return service

    def check(
        self,
        item: Mapping[str, Any],
        *,
        act: str,
        type: str | None = None,
        embedded: bool = False,
        language: str | None = None,
    ) -> None:
        """Refuse an item that breaks its rules; arguments as of `validate`.

        Raises:
            ValidationFailed: the item is not valid.
            BadRequest: the rules are malformed.
        """
        result = self.validate(item, act=act, type=type, embedded=embedded, language=language)
        if not result.is_valid:
            raise ValidationFailed(result.messages, result.fields)

    def errors_for(self, document: Mapping[str, Any], language: str | None = None) -> list[str]:
        """Return the messages for the body of a `POST /validate` (lifecycle contract 3.11).

        Args:
            document: `act`, `type`, `validate` and perhaps `embedded`.
            language: of the user.

        Raises:
            BadRequest: the rules are malformed.
        """
        return self.validate(
            document["validate"],
            act=document["act"],
            type=document["type"],
            embedded=bool(document.get("embedded")),
            language=language,
        ).messages

    def validate(
        self,
        item: Mapping[str, Any],
        *,
        act: str,
        type: str | None = None,
        embedded: bool = False,
        language: str | None = None,
    ) -> ValidationResult:
        """Return what is wrong with `item`, which is left as it is.

        Args:
            item: the item as it would be stored.
            act: `publish`, `correct`, `kill` or `auto_publish`.
            type: type that the rules are for; the item's own unless given.
            embedded: the item is an association of another one.
            language: of the user, for the names of fields in the messages.

        Raises:
            BadRequest: the rules are malformed; the message names their document.
        """
        result = self._judge(item, act, type, embedded, language)
        hooks.ask(
            hooks.item_validate,
            "validate",
            item=item,
            response=result.messages,
            error_fields=result.fields,
        )
        return result

    def _judge(
        self,
        item: Mapping[str, Any],
        act: str,
        type: str | None,
        embedded: bool,
        language: str | None,
    ) -> ValidationResult:
        item_type = _text(type or item.get("type"))
        profiles = self._profiles(item, item_type, act)
        rule_set = self._rule_set(item, item_type, act, embedded, profiles)
        if rule_set is None:
            return ValidationResult([], {})
        reader = VocabularyReader(self._db)
        errors = {
            **self._item_errors(item, rule_set, reader),
            **self._media_errors(item, profiles),
        }
        errors = without_skipped(errors, act, has_profile=bool(item.get("profile")))
        vocabularies = reader() if needs_vocabularies(errors) else ()
        fields = {field: errors[field] for field in sorted(errors)}
        labels = Labels(language, self._settings.get("LABELS_DIR"))
        return ValidationResult(build_messages(fields, vocabularies, labels), fields)

    def _profiles(self, item: Mapping[str, Any], item_type: str | None, act: str) -> Profiles:
        """Read the content profiles of the item and of the media whose metadata are checked."""
        if act == "auto_publish" and not self._settings.get("AUTO_PUBLISH_CONTENT_PROFILE", True):
            return ById()
        if self._rules:
            return self._rules.profiles
        ids = self._profile_ids(item, item_type)
        return find_all_by_id(self._db[CONTENT_TYPES], sorted(ids), {"schema": 1})

    def _profile_ids(self, item: Mapping[str, Any], item_type: str | None) -> set[str]:
        media = checked_associations(associations_of(item)) if self._checks_media else []
        ids = {_profile_id(item, item_type), *map(_profile_id, media)}
        return {profile_id for profile_id in ids if profile_id is not None}

    @property
    def _checks_media(self) -> bool:
        return bool(self._settings.get("VALIDATE_MEDIA_METADATA_ON_PUBLISH", True))

    def _rule_set(
        self,
        item: Mapping[str, Any],
        item_type: str | None,
        act: str,
        embedded: bool,
        profiles: Profiles,
    ) -> RuleSet | None:
        """Return the first rules that apply (lifecycle contract 4.2)."""
        return (
            self._configured_rules(_profile_id(item, item_type), item_type, profiles)
            or self._validator_rules(item_type, act, embedded)
            or default_rules(item_type)
        )

    def _configured_rules(
        self, profile_id: str | None, item_type: str | None, profiles: Profiles
    ) -> RuleSet | None:
        profile = profiles.get(profile_id)
        if profile is not None:
            origin = f"content_types {profile_id}"
            return _rule_set(origin, profile.get("schema"), is_profile=True)
        schemas = self._settings.get("SCHEMA") or {}
        if item_type and schemas.get(item_type):
            return _rule_set(f"setting SCHEMA {item_type}", schemas[item_type], is_profile=True)
        return None

    def _validator_rules(self, item_type: str | None, act: str, embedded: bool) -> RuleSet | None:
        if self._rules:
            validator = self._rules.validators.get((act, item_type, embedded))
        else:
            wanted = True if embedded else {"$ne": True}
            query = {"act": act, "type": item_type, "embedded": wanted}
            validator = self._db[VALIDATORS].find_one(query, {"schema": 1})
        if validator is None:
            return None
        origin = f"validators {validator['_id']}"
        return _rule_set(origin, validator.get("schema"), is_profile=False)

    def _item_errors(
        self, item: Mapping[str, Any], rule_set: RuleSet, reader: VocabularyReader
    ) -> ErrorTree:
        vocabularies = reader() if may_have_custom_fields(rule_set) else ()
        with _naming(rule_set):
            compiled = self._compiled(
                canonical(rule_set, vocabularies, marked_for_sms=is_marked_for_sms(item))
            )
            disallowed = self._settings.get("DISALLOWED_CHARACTERS") or ()
            document = prepare(item, compiled)
            return find_errors(compiled, document, reader.subject_schemes, disallowed)

    def _media_errors(self, item: Mapping[str, Any], profiles: Profiles) -> ErrorTree:
        associations = associations_of(item)
        if not associations or not self._checks_media:
            return {}

        def rules_of(media: Mapping[str, Any]) -> Mapping[str, Rules]:
            media_type = _text(media.get("type"))
            rule_set = self._configured_rules(_profile_id(media), media_type, profiles)
            if rule_set is None:
                return {}
            with _naming(rule_set):
                return clean_all(rule_set.schema)

        return metadata_errors(associations, rules_of)


def check_profile(profile_id: Any, schema: Any, vocabularies: Vocabularies) -> None:
    """Refuse the schema of a content profile that no item could be validated with.

    Args:
        profile_id: names the profile in the refusal.
        schema: field to rules.
        vocabularies: as stored.

    Raises:
        BadRequest: the rules are malformed.
    """
    rule_set = _rule_set(f"content_types {profile_id}", schema, is_profile=True)
    with _naming(rule_set):
        compile_rules(canonical(rule_set, vocabularies, marked_for_sms=True))


@contextmanager
def _naming(rule_set: RuleSet) -> Iterator[None]:
    """Tell in which document the rules are malformed."""
    try:
        yield
    except InvalidRules as error:
        raise BadRequest(BAD_RULES.format(origin=rule_set.origin, problem=error)) from error


def _profile_id(item: Mapping[str, Any], item_type: str | None = None) -> str | None:
    profile = item.get("profile")
    if isinstance(profile, ObjectId | int) and not isinstance(profile, bool):
        return str(profile)
    return _text(profile or item.get("type") or item_type)


def _text(value: Any) -> str | None:
    """Return `value` if it is a text. Anything else cannot be an id, but might be a query."""
    return value if isinstance(value, str) else None


def _rule_set(origin: str, schema: Any, *, is_profile: bool) -> RuleSet:
    if schema is None:
        schema = {}
    if not isinstance(schema, Mapping):
        raise BadRequest(BAD_RULES.format(origin=origin, problem="it must be an object"))
    return RuleSet(origin, schema, is_profile)
