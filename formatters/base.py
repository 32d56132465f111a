"""The base class of output formats, what they are handed and what they return."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar

from apps.core.errors import FormatError
from apps.core.text import strip_forbidden
from formatters.outgoing import outgoing

Document = Mapping[str, Any]

COMPAT = ("", "superdesk")
"""Values of a destination's `config.compat`: valid by the standard, or in Superdesk's layout."""


@dataclass(frozen=True)
class FormatSettings:
    """The settings that output formats depend on."""

    default_language: str = "en"
    default_timezone: str = "UTC"
    urn_domain: str = "localhost"
    provider_id: str = "wiredesk"
    common_renditions: tuple[str, ...] = ("thumbnail", "viewImage", "baseImage")
    place_extended: bool = False
    newsml12_doctype: str = ""
    email_templates: str = ""
    email_prefixes: Mapping[str, str] = field(default_factory=dict)
    trust_indicators: Sequence[Document] = ()
    rights_info: Document = field(default_factory=dict)
    japanese_characters_per_minute: int = 600
    media_prefix: str = "http://localhost:5000/upload-raw"
    filter_embeds: bool = False


@dataclass(frozen=True)
class FormatContext:
    """All that a formatter may know besides the item: formatters are pure.

    Attributes:
        settings: see `FormatSettings`.
        now: time of formatting, UTC.
        sequence_number: number of the queue row; 0 in previews and for formats that do not show it.
        config: the destination's `config`, without secrets.
        vocabularies: active items of the vocabularies that formats read, by vocabulary id
            (`rightsinfo`, `locators`, `job_titles`, `crop_sizes`).
        vocabulary_fields: custom-field vocabularies by id, as stored (`field_type` and so on).
        profiles: content types by id as text.
        users: users that the item's authors refer to, by id as text.
        attachments: attachment documents by id as text. Their address is `href`, else the media id
            under `settings.media_prefix`.
        related: archive items that related-content fields refer to, by id.
        package_items: published members of a package by id, when the destination wants them inside.
        members: published members of a package by id, for formats that list them; None where it is
            not known which are published.
        products: products the item matches, `{code, name}`.
        association_products: the same for associated items, by their id.
        assignments: planning assignments that items refer to, by id as text.
        unwanted_embeds: keys of associations embedded in the text (`editor_0`) that none of the
            recipient's products takes; None where embedded media are not filtered.
    """

    settings: FormatSettings
    now: datetime
    sequence_number: int = 0
    config: Document = field(default_factory=dict)
    vocabularies: Mapping[str, Sequence[Document]] = field(default_factory=dict)
    vocabulary_fields: Mapping[str, Document] = field(default_factory=dict)
    profiles: Mapping[str, Document] = field(default_factory=dict)
    users: Mapping[str, Document] = field(default_factory=dict)
    attachments: Mapping[str, Document] = field(default_factory=dict)
    related: Mapping[str, Document] = field(default_factory=dict)
    package_items: Mapping[str, Document] = field(default_factory=dict)
    members: Mapping[str, Document] | None = None
    products: Sequence[Document] = ()
    association_products: Mapping[str, Sequence[Document]] = field(default_factory=dict)
    assignments: Mapping[str, Document] = field(default_factory=dict)
    unwanted_embeds: frozenset[str] | None = None

    def outgoing(self) -> "FormatContext":
        """Return the context with its items as formats write them."""
        if not (self.related or self.package_items):
            return self
        related, inside = (
            {id_: outgoing(item) for id_, item in items.items()}
            for items in (self.related, self.package_items)
        )
        return replace(self, related=related, package_items=inside)


@dataclass(frozen=True)
class Formatted:
    """One formatted part of an item; each part becomes one delivery per destination.

    Attributes:
        body: the text, or bytes for binary formats.
        encoding: character encoding in which text is sent.
    """

    body: str | bytes
    encoding: str = "utf-8"

    @property
    def data(self) -> bytes:
        """The bytes that are signed and sent. Characters the encoding lacks are replaced."""
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode(self.encoding, errors="replace")


class Formatter(ABC):
    """Write an item in one format.

    Subclasses declare the class attributes and implement `write`. They keep no state and touch
    nothing but their arguments, which they do not change.

    Attributes:
        type: value of `destination.format`.
        name: display name in `/output_formats`; None keeps the format out of that list.
        media_type: MIME type of the output.
        file_extension: extension of file names, without a dot.
        error_code: code of `FormatError` (delivery contract 4: 7001 to 7012).
        error_text: text of that code.
        item_types: item types the format takes.
        options: keys of `destination.config` that change the output. Destinations that agree on
            them share one formatted body.
        numbered: the output shows the sequence number, so every destination gets its own body.
        shows_products: the output names the products that the item matches.
        lists_members: the output says more of a package's members than that they belong to it.
        filters_embeds: the output leaves out `unwanted_embeds`, so it depends on the recipient.
        can_preview, can_export: offered by `/formatters?criteria=`.
        is_extra: not among the formats that clients have always known; listed when they ask.
        output_field: the one key of the JSON output that POST `/formatters` answers.
        class_name: name in `/formatters` and `/export`, where it is not that of the class.
    """

    type: ClassVar[str]
    name: ClassVar[str | None]
    media_type: ClassVar[str]
    file_extension: ClassVar[str]
    error_code: ClassVar[int]
    error_text: ClassVar[str]
    item_types: ClassVar[frozenset[str]]
    options: ClassVar[tuple[str, ...]] = ()
    numbered: ClassVar[bool] = False
    shows_products: ClassVar[bool] = False
    lists_members: ClassVar[bool] = False
    can_preview: ClassVar[bool] = False
    can_export: ClassVar[bool] = False
    filters_embeds: ClassVar[bool] = False
    is_extra: ClassVar[bool] = False
    output_field: ClassVar[str] = ""
    class_name: ClassVar[str] = ""

    @classmethod
    def public_name(cls) -> str:
        """Return the name by which clients ask for the class; it is not inherited."""
        return str(vars(cls).get("class_name") or cls.__name__)

    @classmethod
    def can_format(cls, item: Document) -> bool:
        """Whether the format takes this item. Decided by the item's type alone."""
        return item.get("type") in cls.item_types

    def refusal(self, item: Document, field: str, cause: str) -> FormatError:
        """Return the error that says why `item` cannot be written.

        Args:
            field: what is to blame.
            cause: what is wrong with it.
        """
        item_id = str(item.get("_id") or item.get("guid") or "")
        return FormatError(
            self.error_code, self.error_text, item_id=item_id, field=field, cause=cause
        )

    def require(self, item: Document, **fields: object) -> None:
        """Refuse an item that lacks what no format does without.

        Args:
            fields: name to value; by default `guid` and `type` of the item.

        Raises:
            FormatError: one of them is empty.
        """
        needed = fields or {name: item.get(name) for name in ("guid", "type")}
        for name, value in needed.items():
            if not (isinstance(value, str) and strip_forbidden(value).strip()):
                raise self.refusal(item, name, f"{name} is missing")

    def choice(
        self, item: Document, context: FormatContext, option: str, known: Sequence[str]
    ) -> str:
        """Return what the destination's config says of `option`.

        Args:
            known: the values there are; the first one where nothing is said.

        Raises:
            FormatError: the value is none of them.
        """
        value = str(context.config.get(option) or known[0])
        if value not in known:
            raise self.refusal(item, f"config.{option}", f"{option} {value!r} is unknown")
        return value

    def format(self, item: Document, context: FormatContext) -> list[Formatted]:
        """Return the parts of `item`, usually one.

        Args:
            item: the published document, trimmed to its content profile.
            context: see `FormatContext`.

        Raises:
            FormatError: the item cannot be written in this format.
        """
        return self.write(outgoing(item), context.outgoing())

    @abstractmethod
    def write(self, item: Document, context: FormatContext) -> list[Formatted]:
        """Write an item that is as `formatters.outgoing` has it.

        Raises:
            FormatError: the item cannot be written in this format.
        """
