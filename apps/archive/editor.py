"""Fields written from the editor's state (lifecycle contract 1.7).

The state of a field is in `fields_meta.<field>.draftjsState`.

The state is the raw content of Draft.js with the entities of Superdesk's editor: links, media,
embedded HTML, tables, annotations.
"""

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import structlog
from draftjs_exporter.constants import BLOCK_TYPES, ENTITY_TYPES, INLINE_STYLES
from draftjs_exporter.defaults import BLOCK_MAP, STYLE_MAP, render_children
from draftjs_exporter.dom import DOM
from draftjs_exporter.error import ExporterException
from draftjs_exporter.html import HTML

from apps.core import json
from apps.core.documents import object_of, text_of
from apps.core.errors import BadRequest
from apps.core.html import balanced
from apps.core.service import Document

log = structlog.get_logger(__name__)

PLAIN_FIELDS = frozenset({"headline", "slugline"})
"""Fields that hold text, not HTML."""

CUSTOM = "extra>"
"""Prefix of custom fields in `fields_meta`."""

LINE_FEED = "\0"
"""Stands for a line feed in a block while it is written as HTML, which has a `br` for it."""

UNREADABLE = (
    *(AttributeError, LookupError, RecursionError, TypeError, ValueError),
    ExporterException,
)
"""What it ends with to write a state that is none."""

MEDIA_TAGS = {"picture": ("img", "Image"), "video": ("video", "Video"), "audio": ("audio", "Audio")}


def complete_from_editor(
    updates: Document, original: Mapping[str, Any], *, state_wins: bool = False
) -> None:
    """Write the fields whose editor state a write brings, in place.

    What the client wrote itself stays as it is, so that nothing which an editor sees is lost.

    Args:
        state_wins: write fields anew that the write brings, too.

    Raises:
        BadRequest: a state is none, and the write does not bring its field.
    """
    sent_extra = object_of(updates, "extra")
    for field, state in _states(updates.get("fields_meta")):
        name = field.removeprefix(CUSTOM)
        sent = (sent_extra if field.startswith(CUSTOM) else updates).get(name)
        try:
            value = _text(state) if field in PLAIN_FIELDS else _html(field, state)
        except BadRequest as error:
            if not isinstance(sent, str):
                raise
            log.warning("editor.no_state", item=str(original.get("_id")), error=error.message)
            continue
        if isinstance(sent, str) and not state_wins:
            if not _says_the_same(sent, value):
                log.warning("editor.html_differs", item=str(original.get("_id")), field=field)
        elif field.startswith(CUSTOM):
            extra = updates["extra"] if "extra" in updates else original.get("extra")
            updates["extra"] = {**(extra or {}), name: value}
        else:
            updates[name] = value


def _says_the_same(sent: str, written: str) -> bool:
    """Whether two texts differ in their white space at most."""
    return "".join(sent.split()) == "".join(written.split())


def _states(meta: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield field and state of what the editor holds."""
    for field, held in meta.items() if isinstance(meta, Mapping) else ():
        content = held.get("draftjsState") if isinstance(held, Mapping) else None
        state = content[0] if isinstance(content, list) and content else content
        if isinstance(state, Mapping) and isinstance(state.get("blocks"), list):
            yield field, state


def _text(state: Mapping[str, Any]) -> str:
    blocks = (block for block in state["blocks"] if isinstance(block, Mapping))
    return "\n".join(str(block.get("text") or "") for block in blocks).strip()


def _html(field: str, state: Mapping[str, Any]) -> str:
    """Return the HTML of a state; empty blocks at both ends are the editor's own."""
    try:
        return _Exporter(state).html
    except UNREADABLE as error:
        raise BadRequest(f"fields_meta of {field} is no state of an editor") from error


def _is_empty(block: Mapping[str, Any]) -> bool:
    return not block["text"].strip() and not block.get("entityRanges")


def _without_comments(block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the block without styles that leave no trace, which would cut others in two."""
    styles = block.get("inlineStyleRanges")
    if not styles:
        return block
    kept = [style for style in styles if not str(style.get("style")).startswith("COMMENT")]
    return {**block, "inlineStyleRanges": kept}


def _with_breaks(block: Mapping[str, Any]) -> Mapping[str, Any]:
    text = block["text"].replace(LINE_FEED, " ")
    is_code = block.get("type") == BLOCK_TYPES.CODE
    return {**block, "text": text if is_code else text.replace("\n", LINE_FEED)}


def _with_known_entities(
    block: Mapping[str, Any], entities: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the block without ranges that nothing can be made of: their text stays.

    These are ranges of entities that are not there, and those that overlap another one.
    """
    ranges = block.get("entityRanges")
    if not ranges:
        return block
    kept: list[Mapping[str, Any]] = []
    for each in sorted(ranges, key=lambda each: int(each["offset"])):
        is_apart = not kept or each["offset"] >= kept[-1]["offset"] + kept[-1]["length"]
        if is_apart and str(each.get("key")) in entities:
            kept.append(each)
    return {**block, "entityRanges": kept}


def _in_characters(block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the block with its ranges in characters.

    Browsers count in UTF-16, where an emoji is two.
    """
    text = block["text"]
    if not text or max(text) <= "\uffff":
        return block
    places = [place for place, char in enumerate(text) for _ in range(1 + (char > "\uffff"))]

    def place(offset: int) -> int:
        return places[offset] if 0 <= offset < len(places) else len(text)

    def counted(each: Mapping[str, Any]) -> Mapping[str, Any]:
        start, end = place(each["offset"]), place(each["offset"] + each["length"])
        return {**each, "offset": start, "length": end - start}

    names = ("inlineStyleRanges", "entityRanges")
    return {**block, **{name: [counted(each) for each in block.get(name) or ()] for name in names}}


def _entities_of(state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the entities of a state by key, with the newest data; what is none is left out."""
    given = state.get("entityMap") or {}
    pairs = enumerate(given) if isinstance(given, list) else given.items()
    entities = {
        str(key): {**entity, "data": object_of(entity, "data")}
        for key, entity in pairs
        if isinstance(entity, Mapping) and "type" in entity
    }
    for key, data in _cells_of(state):
        if key in entities:
            entities[key]["data"] = {**entities[key]["data"], "data": data}
    return entities


def _cells_of(state: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the keys of tables and their like, with the data that the editor has on their block.

    It is newer than that of the entity.
    """
    for block in state.get("blocks") or ():
        held = block.get("data")
        data = held.get("data") if isinstance(held, Mapping) else None
        if isinstance(data, str) and (ranges := block.get("entityRanges")):
            try:
                read = json.loads(data)
            except ValueError:
                continue
            if isinstance(read, Mapping) and "cells" in read:
                yield str(ranges[0]["key"]), read


class _Exporter:
    """Writes one state as HTML.

    Args:
        state: blocks and entity map. Empty blocks at both ends are the editor's own.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        entities = self._entities = _entities_of(state)
        blocks = [block for block in state.get("blocks") or () if "text" in block]
        for end in (0, -1):
            if blocks and _is_empty(blocks[end]):
                del blocks[end]
        self._blocks = [
            _with_breaks(_in_characters(_with_known_entities(_without_comments(block), entities)))
            for block in blocks
        ]
        self._html = HTML(
            {
                "block_map": {**BLOCK_MAP, BLOCK_TYPES.FALLBACK: "p"},
                "style_map": {
                    **STYLE_MAP,
                    INLINE_STYLES.BOLD: "b",
                    INLINE_STYLES.ITALIC: "i",
                    INLINE_STYLES.FALLBACK: _other_style,
                },
                "entity_decorators": {
                    ENTITY_TYPES.LINK: _link,
                    ENTITY_TYPES.HORIZONTAL_RULE: lambda props: DOM.create_element("hr"),
                    ENTITY_TYPES.EMBED: _embed,
                    ENTITY_TYPES.IMAGE: _image,
                    "MEDIA": self._media,
                    "TABLE": self._table,
                    "MULTI-LINE_QUOTE": _multi_line_quote,
                    "CUSTOM_BLOCK": _custom_block,
                    "ARTICLE_EMBED": _article,
                    ENTITY_TYPES.FALLBACK: render_children,
                },
            }
        )

    @property
    def html(self) -> str:
        """The state as HTML."""
        content: Any = {"blocks": self._blocks, "entityMap": self._entities}
        return str(self._html.render(content)).replace(LINE_FEED, "<br>")

    def _media(self, props: Mapping[str, Any]) -> Any:
        """Write media between the comments by which formats find its association."""
        media = object_of(props, "media")
        tag, kind = MEDIA_TAGS.get(media.get("type") or "picture", MEDIA_TAGS["picture"])
        renditions = media.get("renditions") or {}
        file = renditions.get("original") or renditions.get("viewImage") or {}
        attributes = {"src": file.get("href") or "", "alt": media.get("alt_text") or ""}
        shown = "".join(f' {name}="{escape(str(value))}"' for name, value in attributes.items())
        element = f"<img{shown}>" if tag == "img" else f"<{tag} controls{shown}></{tag}>"
        caption = media.get("description_text")
        if caption:
            element += f"<figcaption>{escape(str(caption), quote=False)}</figcaption>"
        key = props["entity"]["entity_range"]["key"]
        mark = f'{kind} {{id: "editor_{re.sub(r"[^0-9A-Za-z_-]", "", key)}"}}'
        return DOM.parse_html(
            f"<!-- EMBED START {mark} -->\n<figure>{element}</figure>\n<!-- EMBED END {mark} -->"
        )

    def _table(self, props: Mapping[str, Any]) -> Any:
        data = props["data"]
        columns, rows = range(int(data["numCols"])), range(int(data["numRows"]))
        has_header = bool(data.get("withHeader"))
        written = [
            "".join(
                self._cell(data, row, column, is_head=has_header and not row) for column in columns
            )
            for row in rows
        ]
        lines = [f"<tr>{cells}</tr>" for cells in written]
        head = f"<thead>{lines[0]}</thead>" if has_header and lines else ""
        body = "".join(lines[1:] if head else lines)
        return DOM.parse_html(f"<table>{head}{f'<tbody>{body}</tbody>' if body else ''}</table>")

    def _cell(self, data: Mapping[str, Any], row: int, column: int, *, is_head: bool) -> str:
        tag = "th" if is_head else "td"
        return f"<{tag}>{_cell_html(data, row, column)}</{tag}>"


def _cell_html(data: Mapping[str, Any], row: int, column: int) -> str:
    """Return the HTML of what a cell holds: a state of its own."""
    state = _at(_at(data.get("cells"), row), column)
    return _Exporter(state).html if isinstance(state, Mapping) else ""


def _at(values: Any, index: int) -> Any:
    """Return what a list, or a document with numbers for names, holds at `index`."""
    if isinstance(values, Mapping):
        return values.get(str(index), values.get(index))
    if isinstance(values, list) and index < len(values):
        return values[index]
    return None


def _multi_line_quote(props: Mapping[str, Any]) -> Any:
    return _single_cell(props, 'class="multi-line-quote"')


def _custom_block(props: Mapping[str, Any]) -> Any:
    kind = escape(str(object_of(props, "data").get("vocabularyId") or ""))
    return _single_cell(props, f'data-custom-block-type="{kind}"')


def _single_cell(props: Mapping[str, Any], attribute: str) -> Any:
    content = _cell_html(object_of(props, "data"), 0, 0)
    return DOM.parse_html(f"<div {attribute}>{content}</div>")


def _article(props: Mapping[str, Any]) -> Any:
    """Write a story that stands in another one; it ends where its block ends."""
    item = object_of(props, "item")
    key, text = escape(str(item.get("_id") or "")), balanced(text_of(item, "body_html"))
    return DOM.parse_html(f'<div data-association-key="{key}">{text}</div>')


def _image(props: Mapping[str, Any]) -> Any:
    named = {name: props.get(name) for name in ("src", "alt", "title", "width", "height")}
    present = {name: str(value) for name, value in named.items() if value not in (None, "")}
    return DOM.create_element("figure", {}, DOM.create_element("img", {"alt": "", **present}))


def _link(props: Mapping[str, Any]) -> Any:
    link = props.get("link") or {}
    if "url" in props:
        attributes = {"href": props["url"]}
    elif link.get("attachment"):
        attributes = {"data-attachment": str(link["attachment"])}
    else:
        attributes = {"href": link.get("href"), "target": link.get("target")}
    present = {name: str(value) for name, value in attributes.items() if value}
    return DOM.create_element("a", present, props["children"])


def _embed(props: Mapping[str, Any]) -> Any:
    """Write embedded HTML as it is: it is what the editor meant. It ends where its block ends."""
    text = balanced(str((props.get("data") or {}).get("html") or ""))
    description = props.get("description")
    if description:
        note = escape(str(description), quote=False)
        text += f'<p class="embed-block__description">{note}</p>'
    return DOM.parse_html(f'<div class="embed-block">{text}</div>')


def _other_style(props: Mapping[str, Any]) -> Any:
    """Write annotated text; styles that nobody knows leave no trace."""
    style = str(props["inline_style_range"]["style"])
    if style.startswith("ANNOTATION-"):
        attributes = {"annotation-id": style.removeprefix("ANNOTATION-")}
        return DOM.create_element("span", attributes, props["children"])
    return props["children"]
