"""Pictures and other media of a story as NITF 3.6: each once, where the text shows it."""

import re

from apps.core.documents import text_of
from formatters.base import Document, FormatContext
from formatters.conversions import authors_of, rights_of, source_of
from formatters.media import FEATURE, MEDIUMS, Rendition, media_of, renditions_of
from formatters.nodes import Embed, Picture
from formatters.xml import leaf, quoted

_MARK = re.compile(r'<!-- EMBED (?P<side>START|END) \w+ \{id: "(?P<key>[\w-]+)"\} -->', re.ASCII)
"""Comments around each medium that an editor has put into a text, with its key."""
_SHOWN = re.compile(r"<(?:img|video|audio|iframe|embed|object)\b", re.IGNORECASE)
_FIGURE = re.compile(r"<figure\b[^<>]*>", re.IGNORECASE)
KEY = "data-association"
"""Attribute by which an element of a text says which medium it shows."""


class StoryMedia:
    """The media that a story holds, and which of them have been written.

    Args:
        are_beside: what is around the story says all of them: it only has those that its text
            shows, each with its main file.
    """

    def __init__(self, item: Document, context: FormatContext, *, are_beside: bool = False) -> None:
        self._context = context
        self._are_beside = are_beside
        self._media = dict(media_of(item)) if item.get("associations") else {}
        self._files: dict[str, list[Rendition]] = {}
        self._written: set[tuple[str, str]] = set()

    def marked(self, html: str) -> str:
        """Return a text in which what an editor has put into it says which medium it is."""
        parts, end, start, key = [], 0, 0, ""
        for mark in _MARK.finditer(html) if self._media and "<!--" in html else ():
            if mark["side"] == "START":
                start, key = mark.end(), mark["key"]
            elif mark["key"] == key and key in self._media:
                parts += [html[end:start], _marked(html[start : mark.start()], key)]
                end, key = mark.start(), ""
        return "".join([*parts, html[end:]])

    def key_of(self, node: Picture | Embed) -> str:
        """Return the key of the medium that a node of the text shows, "" where it is none."""
        said = dict(node.attributes)
        for key in (said.get(KEY), said.get("id")):
            if key and key in self._media:
                return key
        addressed = (
            key
            for key in self._media
            if any(file.href == node.source for file in self._files_of(key))
        )
        # The main picture may stand in the text, too: there it is under a key of its own.
        return min(addressed, key=FEATURE.__eq__, default="")

    def caption_of(self, key: str) -> str:
        """Return what a medium says of itself."""
        medium = self._media[key]
        return text_of(medium, "description_text") or text_of(medium, "headline")

    def written(
        self, key: str, *, attributes: str = "", alternative: str = "", caption: str = ""
    ) -> str:
        """Return a medium.

        Args:
            attributes: of the element.
            alternative: what the text says for those who do not see it.
            caption: what the text has below it, as XML; else it is that of the medium.
        """
        medium = self._media[key]
        self._written.add(self._identity(key))
        if not caption and (said := self.caption_of(key)):
            caption = leaf("media-caption", said)
        common, files = _common(medium, alternative), self._files_of(key)
        metadata, producers = self._metadata(medium), self._producers(medium)
        if self._are_beside:
            files, metadata, producers = files[:1], "", ""
        references = "".join([f"{_reference(file)}{common}/>" for file in files])
        return (
            f'<media media-type="{MEDIUMS[medium["type"]]}"{attributes}>{metadata}'
            f"{references}{caption}{producers}</media>"
        )

    def lead(self) -> str:
        """Return the main picture of the story, "" where the text shows it."""
        if self._are_beside or FEATURE not in self._media:
            return ""
        return self._unwritten(FEATURE)

    def rest(self) -> str:
        """Return the media that stand nowhere else."""
        return "" if self._are_beside else "".join(map(self._unwritten, self._media))

    def _files_of(self, key: str) -> list[Rendition]:
        if key not in self._files:
            self._files[key] = _files(self._media[key])
        return self._files[key]

    def _unwritten(self, key: str) -> str:
        return "" if self._identity(key) in self._written else self.written(key)

    def _identity(self, key: str) -> tuple[str, str]:
        """Return what tells a medium from others: a picture may have more than one key."""
        return self._files_of(key)[0].href, text_of(self._media[key], "description_text")

    def _metadata(self, medium: Document) -> str:
        said = {"guid": text_of(medium, "guid"), "headline": text_of(medium, "headline")}
        said |= rights_of(medium, self._context)
        written = ""
        for name, value in said.items():
            if value:
                written += f'<media-metadata name="{name}" value={quoted(value)}/>'
        return written

    def _producers(self, medium: Document) -> str:
        """Return who made a medium, and the credit that is to be given."""
        byline = text_of(medium, "byline")
        makers = [byline] if byline else [name for name, _ in authors_of(medium, self._context)]
        credit = text_of(medium, "creditline") or source_of(medium)
        if credit and credit not in makers:
            makers.append(credit)
        return "".join([leaf("media-producer", maker) for maker in makers])


def _files(medium: Document) -> list[Rendition]:
    """Return the files of a medium, the original first: some readers take one file only."""
    files = renditions_of(medium)
    if files[0].name != "original":
        files.sort(key=lambda file: file.name != "original")
    return files


def _marked(block: str, key: str) -> str:
    """Return the markup between two comments of an editor, which shows the medium `key`."""
    mark = f" src=# {KEY}={key} "
    if shown := _SHOWN.search(block):
        # Of attributes with one name, the first counts: a player may have no address of its own.
        return f"{block[: shown.end()]}{mark}{block[shown.end() :]}"
    figure = _FIGURE.search(block)
    place = figure.end() if figure else 0
    return f"{block[:place]}<img{mark}>{block[place:]}"


def _common(medium: Document, alternative: str) -> str:
    """Return the attributes that the references to all files of a medium have."""
    written = ""
    for name, value in (
        ("source-credit", source_of(medium)),
        ("copyright", text_of(medium, "copyrightholder")),
        ("alternate-text", text_of(medium, "alt_text") or alternative),
    ):
        if value:
            written += f" {name}={quoted(value)}"
    return written


def _reference(file: Rendition) -> str:
    """Return the start of a reference to a file, without what all files of a medium have."""
    said = f"<media-reference source={quoted(file.href)} name={quoted(file.name)}"
    if file.mimetype:
        said += f" mime-type={quoted(file.mimetype)}"
    if file.width and file.width > 0:
        said += f' width="{file.width}"'
    if file.height and file.height > 0:
        said += f' height="{file.height}"'
    if file.seconds is not None:
        said += f' time="{file.seconds:g}" time-unit-of-measure="seconds"'
    return said
