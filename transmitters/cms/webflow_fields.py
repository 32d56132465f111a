"""A story as the fields of a Webflow collection."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html import escape
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

from apps.core.clock import moment_of
from apps.core.text import plain_text
from transmitters.cms.base import (
    ErrorClass,
    Payload,
    PlatformError,
    RemoteMedia,
    Story,
    StoryMedia,
)
from transmitters.cms.text import cut_at_word, webflow_rich_text
from transmitters.cms.webflow_api import READ_AGAIN_HELP

NAME, SLUG = "name", "slug"
NAME_LENGTH = 256
"""Characters of a name, where the collection sets no other limit."""
TERM_TYPES = frozenset({"Reference", "MultiReference", "Option"})
REF = "ref"
AUTHOR = "author"

USUAL_FIELDS: Mapping[str, Sequence[str]] = {
    "anpa_category": ("category", "categories", "section"),
    "subject": ("subject", "subjects", "topics"),
    "genre": ("genre", "genres"),
    "place": ("place", "places", "location"),
    "keywords": ("tags", "keywords"),
}
"""Slugs of fields that hold the terms of an item's field, unless `field_map` says otherwise."""


@dataclass(frozen=True)
class CollectionField:
    """A field of a collection, as the service describes it."""

    slug: str
    type: str
    name: str = ""
    is_required: bool = False
    validations: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> "CollectionField":
        limits = described.get("validations")
        return cls(
            slug=str(described.get("slug") or ""),
            type=str(described.get("type") or ""),
            name=str(described.get("displayName") or described.get("slug") or ""),
            is_required=bool(described.get("isRequired")),
            validations=limits if isinstance(limits, Mapping) else {},
        )

    @property
    def options(self) -> Sequence[Mapping[str, Any]]:
        """Values of an Option field, each with `id` and `name`."""
        options = self.validations.get("options")
        return [one for one in options if "id" in one] if isinstance(options, list) else ()

    @property
    def collection(self) -> str:
        """Id of the collection that a reference leads to."""
        return str(self.validations.get("collectionId") or "")

    @property
    def longest(self) -> int | None:
        """Characters that a text may have, None without a limit."""
        limit = self.validations.get("maxLength")
        if isinstance(limit, int):
            return limit
        return NAME_LENGTH if self.slug == NAME else None


@dataclass
class _Draft:
    """What has been put together of a payload so far."""

    fields: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    media: list[RemoteMedia] = field(default_factory=list)
    terms: dict[str, Sequence[str]] = field(default_factory=dict)

    def warn(self, codes: Iterable[str]) -> None:
        self.warnings += [code for code in codes if code not in self.warnings]

    def use(self, media: Iterable[RemoteMedia]) -> None:
        self.media += [one for one in media if one not in self.media]


class CollectionFields:
    """The fields of one collection, and which of them takes what of an item.

    Args:
        described: fields as the service lists them.
        field_map: slug of a field by what of an item it takes; None switches off.
        embeds: foreign embeds are kept.
    """

    def __init__(
        self,
        described: Sequence[Mapping[str, Any]],
        field_map: Mapping[str, str | None],
        *,
        embeds: bool = True,
    ) -> None:
        self._fields = {one.slug: one for one in map(CollectionField.of, described)}
        self._chosen = field_map
        self._embeds = embeds
        self._map = {**self._defaults(), **field_map}

    def _defaults(self) -> dict[str, str | None]:
        summary = self._fields.get("post-summary")
        return {
            "headline": NAME,
            "body": self._first("RichText"),
            "abstract": summary.slug if summary else None,
            "featuremedia": self._first("Image"),
        }

    def _first(self, type_: str) -> str | None:
        return next((one.slug for one in self._fields.values() if one.type == type_), None)

    def field_for(self, key: str) -> CollectionField | None:
        """Return the field that takes something of an item, None where none does.

        Raises:
            PlatformError: the collection has not got it, or it is of a type that cannot take it.
        """
        slug = self._map.get(key)
        if not slug:
            return None
        if slug not in self._fields:
            raise PlatformError(
                ErrorClass.CONFIG,
                "field_unknown",
                f"The collection has no field {slug}, which is to take {key}",
                field=slug,
                help=f"Change the field map, or add the field in Webflow. {READ_AGAIN_HELP}",
            )
        target, allowed = self._fields[slug], _ALLOWED.get(key)
        if allowed and target.type not in allowed:
            wanted = " or ".join(sorted(allowed))
            message = f"{slug} is a field of type {target.type}; {key} needs {wanted}"
            raise _misfit("field_type", message, target)
        return target

    @property
    def term_fields(self) -> Sequence[CollectionField]:
        """Fields that hold terms; the one of authors is none."""
        author = self._map.get(AUTHOR)
        return [
            one for one in self._fields.values() if one.type in TERM_TYPES and one.slug != author
        ]

    def term_field(self, taxonomy: str) -> CollectionField:
        """Return the field of a taxonomy.

        Raises:
            PlatformError: the collection has not got it.
        """
        for one in self.term_fields:
            if one.slug == taxonomy:
                return one
        raise PlatformError(
            ErrorClass.TAXONOMY,
            "mapping_stale",
            f"The collection has no field {taxonomy} for terms",
            field=taxonomy,
            help="Verify taxonomy sync",
        )

    def taxonomy_for(self, scheme: str) -> str | None:
        """Return the slug of the field that holds the terms of an item's field."""
        if scheme in self._chosen:
            wanted: Sequence[str] = [self._chosen[scheme] or ""]
        else:
            wanted = [scheme.replace("_", "-").lower(), *USUAL_FIELDS.get(scheme, ())]
        known = {one.slug for one in self.term_fields}
        return next((slug for slug in wanted if slug in known), None)

    def title(self, headline: str) -> str:
        """Return a headline as the name of an item."""
        named = self._fields.get(self._map.get("headline") or NAME)
        limit = (named.longest if named else None) or NAME_LENGTH
        return cut_at_word(" ".join(headline.split()), limit)

    def problems(self) -> list[PlatformError]:
        """Return what is wrong between the map and the collection, for the connection test."""
        found = []
        for key in self._map:
            try:
                self.field_for(key)
            except PlatformError as error:
                found.append(error)
        filled = {slug for slug in self._map.values() if slug} | {NAME, SLUG}
        schemes = {*USUAL_FIELDS, *self._chosen}
        filled |= {slug for scheme in schemes if (slug := self.taxonomy_for(scheme))}
        for one in self._fields.values():
            if one.is_required and one.slug not in filled and one.type not in TERM_TYPES:
                message = f"The field {one.slug} is required, but nothing of an item goes there"
                found.append(_misfit("field_not_mapped", message, one))
        return found

    def samples(self, text: str, picture: RemoteMedia) -> dict[str, Any]:
        """Return values of all required fields that can be filled without knowing the site."""
        values: Mapping[str, Any] = {
            "PlainText": text,
            "RichText": f"<p>{text}</p>",
            "Image": {"fileId": picture.id, "url": picture.url},
            "Number": 1,
            "Switch": False,
            "DateTime": _iso(datetime.now(UTC)),
            "Link": picture.url,
            "Email": "test@example.com",
        }
        filled = {NAME: text}
        for one in self._fields.values():
            if one.is_required and one.type == "Option" and one.options:
                filled[one.slug] = one.options[0]["id"]
            elif one.is_required and one.type in values and one.slug != SLUG:
                filled[one.slug] = values[one.type]
        return filled

    # Stories.

    def payload(self, story: Story) -> Payload:
        """Return what of a story goes where.

        Raises:
            PlatformError: something is missing, or does not fit its field.
        """
        draft = _Draft()
        self._put_title(story, draft)
        for key in self._map:
            target = self.field_for(key)
            if key == "headline" or target is None:
                continue
            if self._takes_terms(key, target, story):
                continue
            if key == "firstpublished" and _first_published(story) is None:
                continue
            value = self._value(key, target, story, draft)
            if value in (None, "", []) and target.is_required:
                raise _required(target, key)
            draft.fields[target.slug] = value
        self._put_terms(story, draft)
        return Payload(draft.fields, tuple(draft.warnings), tuple(draft.media), draft.terms)

    @staticmethod
    def _takes_terms(key: str, target: CollectionField, story: Story) -> bool:
        """Whether a field is filled with terms; an option may also stand for any other value."""
        if target.type not in TERM_TYPES or key == AUTHOR:
            return False
        return target.type != "Option" or key in USUAL_FIELDS or target.slug in story.terms

    def _put_title(self, story: Story, draft: _Draft) -> None:
        title = self.title(story.headline)
        if not title:
            raise PlatformError(
                ErrorClass.VALIDATION,
                "no_title",
                "Webflow needs a name, and the item has no headline",
                field="headline",
            )
        draft.fields[self._map.get("headline") or NAME] = title
        draft.fields.setdefault(NAME, title)
        draft.warn(["title_cut"] if title != " ".join(story.headline.split()) else [])

    def _put_terms(self, story: Story, draft: _Draft) -> None:
        for taxonomy, ids in story.terms.items():
            target = self.term_field(taxonomy)
            unique = list(dict.fromkeys(ids))
            if not unique and target.is_required:
                raise _required(target, "term for it")
            if target.type == "MultiReference":
                draft.fields[taxonomy] = unique
            else:
                draft.warn(["terms_cut"] if len(unique) > 1 else [])
                unique = unique[:1]
                draft.fields[taxonomy] = unique[0] if unique else None
            draft.terms[taxonomy] = unique

    def _value(self, key: str, target: CollectionField, story: Story, draft: _Draft) -> Any:
        """Return what a field takes, in the form of its type; None clears it."""
        if target.type in ("Image", "File", "ExtFileRef", "MultiImage"):
            return self._files(key, target, story, draft)
        if target.type == "RichText":
            return self._rich_text(key, story, draft)
        value = _item_value(key, story)
        if value is None or value == "" or value == []:
            return None
        if target.type == "PlainText":
            return self._plain(value, target, draft, key)
        convert = _CONVERT.get(target.type)
        if convert is None:
            message = f"Fields of type {target.type}, as {target.slug} is, cannot be filled"
            raise _misfit("field_type", message, target)
        try:
            return convert(value, target)
        except ValueError as error:
            raise PlatformError(
                ErrorClass.VALIDATION,
                "field_value",
                f"{key} does not fit the field {target.slug}: {error}",
                field=target.slug,
            ) from error

    def _plain(self, value: Any, target: CollectionField, draft: _Draft, key: str) -> str | None:
        text = _text(value)
        if target.validations.get("singleLine", True):
            text = " ".join(text.split())
        if target.longest is not None:
            whole, text = text, cut_at_word(text, target.longest)
            draft.warn([f"{key}_cut"] if text != whole else [])
        return text or None

    def _rich_text(self, key: str, story: Story, draft: _Draft) -> str | None:
        """Return the body, or another text, in the HTML that fields of rich text keep."""
        shown = story
        if key != "body":
            shown = replace(story, body=_markup(key, story), feature=None)
        body = webflow_rich_text(shown, embeds=self._embeds)
        draft.warn(body.warnings)
        used = (shown.media[key].remote for key in body.used_media)
        draft.use(remote for remote in used if remote is not None)
        return body.html or None

    def _files(self, key: str, target: CollectionField, story: Story, draft: _Draft) -> Any:
        if target.type == "MultiImage":
            shown = [one for one in story.media.values() if one.remote is not None]
            if key != "media":
                shown = [one for name, one in story.media.items() if name.startswith(key)]
            files = [_file(one, one.remote) for one in shown if one.remote is not None]
            draft.use([one.remote for one in shown if one.remote is not None])
            return files
        found = story.media.get(story.feature or "" if key == "featuremedia" else key)
        if found is None or found.remote is None:
            return None
        draft.use([found.remote])
        return _file(found, found.remote)


_ALLOWED: Mapping[str, frozenset[str]] = {
    "headline": frozenset({"PlainText"}),
    "body": frozenset({"RichText"}),
    "abstract": frozenset({"PlainText", "RichText"}),
    "featuremedia": frozenset({"Image"}),
    REF: frozenset({"PlainText"}),
    AUTHOR: frozenset({"Reference", "PlainText"}),
    "firstpublished": frozenset({"DateTime", "Date", "PlainText"}),
    "canonical_url": frozenset({"Link", "PlainText"}),
}
"""Types of fields that can take what is at home in an item."""


def _required(target: CollectionField, what: str) -> PlatformError:
    return PlatformError(
        ErrorClass.VALIDATION,
        "field_required",
        f"The field {target.slug} is required, but the item has no {what}",
        field=target.slug,
    )


def _misfit(code: str, message: str, target: CollectionField) -> PlatformError:
    return PlatformError(
        ErrorClass.CONFIG,
        code,
        message,
        field=target.slug,
        help=f"Change the field map, or the collection in Webflow. {READ_AGAIN_HELP}",
    )


def _file(shown: StoryMedia, remote: RemoteMedia) -> dict[str, str]:
    """Return a file as a value of its field."""
    value = {"fileId": remote.id, "url": remote.url}
    return {**value, "alt": shown.alt} if shown.alt else value


def _first_published(story: Story) -> datetime | None:
    """Return when an item was published first: the same with every version of it."""
    return moment_of(story.item.get("firstpublished")) or story.published_at


def _item_value(key: str, story: Story) -> Any:
    """Return what an item has under a key of the field map, dots leading into objects."""
    own: Mapping[str, Any] = {
        "headline": story.headline,
        "abstract": story.abstract,
        "canonical_url": story.canonical_url,
        "firstpublished": _first_published(story),
        "language": story.language or story.item.get("language"),
        REF: story.identity.ref,
        AUTHOR: story.author,
    }
    if key in own:
        return own[key]
    value: Any = story.item
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _text(value: Any) -> str:
    """Return any value of an item as plain text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, Mapping):
        return _text(value.get("name") or value.get("qcode") or "")
    if isinstance(value, list | tuple):
        return ", ".join(text for one in value if (text := _text(one)))
    return plain_text(str(value), line_feeds=True).strip()


def _markup(key: str, story: Story) -> str:
    """Return a value of an item as HTML; what is at home in an item is plain text."""
    value = _item_value(key, story)
    if isinstance(value, str):
        return escape(value) if key in _ALLOWED else value
    return "" if value is None else escape(_text(value))


def _iso(moment: datetime) -> str:
    whole = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return whole.replace("+00:00", "Z")


def _number(value: Any, target: CollectionField) -> int | float:
    if isinstance(value, bool):
        raise ValueError("it is no number")
    try:
        number = value if isinstance(value, int | float) else float(str(value))
    except ValueError as error:
        raise ValueError("it is no number") from error
    if not isfinite(number):
        raise ValueError("it is no number")
    return int(number) if number == int(number) else number


def _switch(value: Any, target: CollectionField) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    found = words.get(str(value).strip().lower())
    if found is None:
        raise ValueError("it is neither yes nor no")
    return found


def _moment(value: Any, target: CollectionField) -> str:
    moment = moment_of(value)
    if moment is None:
        raise ValueError("it is no date")
    return _iso(moment)


def _address(value: Any, target: CollectionField) -> str:
    address = str(value).strip()
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it is no http or https address")
    return address


def _option(value: Any, target: CollectionField) -> str:
    wanted = _text(value).casefold()
    for option in target.options:
        if wanted in (str(option.get("id")), str(option.get("name")).strip().casefold()):
            return str(option["id"])
    raise ValueError("it is none of the options")


def _words(value: Any, target: CollectionField) -> str:
    return _text(value)


def _references(value: Any, target: CollectionField) -> list[str]:
    return [_text(one) for one in (value if isinstance(value, list | tuple) else [value])]


_CONVERT: Mapping[str, Callable[[Any, CollectionField], Any]] = {
    "Number": _number,
    "Switch": _switch,
    "DateTime": _moment,
    "Date": _moment,
    "Link": _address,
    "VideoLink": _address,
    "Email": _words,
    "Phone": _words,
    "Color": _words,
    "Option": _option,
    "Reference": _words,
    "MultiReference": _references,
}
"""How a value becomes one of its field's type."""
