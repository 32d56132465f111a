"""Pictures and other media of a story as NITF 3.6: each once, where the text shows it."""

import re
from collections.abc import Iterator

from apps.core.documents import object_of, text_of
from formatters.base import Document, FormatContext
from formatters.conversions import authors_of, rights_of, source_of
from formatters.media import MEDIUMS, Rendition, held_media, renditions_of
from formatters.nodes import Embed, Picture
from formatters.xml import element, leaf, quoted

_MARK = re.compile(r'<!-- EMBED (?P<side>START|END) \w+ \{id: "(?P<key>[\w-]+)"\} -->', re.ASCII)
"""Comments around each medium that an editor has put into a text, with its key."""
_SHOWN = re.compile(r"<(?:img|video|audio|iframe|embed|object)\b", re.IGNORECASE)
_FIGURE = re.compile(r"<figure\b[^<>]*>", re.IGNORECASE)
KEY = "data-association"
"""Attribute by which an element of a text says which medium it shows."""


class StoryMedia:
    """The media that a story holds, and which of them have been written."""

    def __init__(self, item: Document, context: FormatContext) -> None:
        self._context = context
        self._media = {
            key: medium for key, medium in held_media(item) if any(_references(medium, ""))
        }
        self._keys = {
            file.href: key
            for key, medium in reversed(self._media.items())
            for file in renditions_of(medium)
        }
        self._written: set[tuple[str, str]] = set()

    def marked(self, html: str) -> str:
        """Return a text in which what an editor has put into it says which medium it is."""
        parts, end, start, key = [], 0, 0, ""
        for mark in _MARK.finditer(html) if self._media else ():
            if mark["side"] == "START":
                start, key = mark.end(), mark["key"]
            elif mark["key"] == key and key in self._media:
                parts += [html[end:start], _marked(html[start : mark.start()], key)]
                end, key = mark.start(), ""
        return "".join([*parts, html[end:]])

    def key_of(self, node: Picture | Embed) -> str:
        """Return the key of the medium that a node of the text shows, "" where it is none."""
        said = dict(node.attributes)
        known = (said.get(KEY), said.get("id"), self._keys.get(node.source))
        return next((key for key in known if key and key in self._media), "")

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
        self._written.add(_identity(medium))
        alternative = text_of(medium, "alt_text") or alternative
        known = text_of(medium, "description_text")
        if not caption and (said := known or text_of(medium, "headline")):
            caption = leaf("media-caption", said)
        parts = [*self._metadata(medium), *_references(medium, alternative)]
        producers = "".join(self._producers(medium))
        kind = MEDIUMS[medium["type"]]
        return (
            f'<media media-type="{kind}"{attributes}>{"".join(parts)}{caption}{producers}</media>'
        )

    def lead(self) -> str:
        """Return the main picture of the story, "" where the text shows it."""
        return self._unwritten("featuremedia") if "featuremedia" in self._media else ""

    def rest(self) -> str:
        """Return the media that stand nowhere else."""
        return "".join(map(self._unwritten, self._media))

    def _unwritten(self, key: str) -> str:
        return "" if _identity(self._media[key]) in self._written else self.written(key)

    def _metadata(self, medium: Document) -> Iterator[str]:
        said = {"guid": text_of(medium, "guid"), "headline": text_of(medium, "headline")}
        for name, value in {**said, **rights_of(medium, self._context)}.items():
            if value:
                yield f"<media-metadata name={quoted(name)} value={quoted(value)}/>"

    def _producers(self, medium: Document) -> Iterator[str]:
        """Yield who made a medium, and the credit that is to be given."""
        byline = text_of(medium, "byline")
        makers = [byline] if byline else [name for name, _ in authors_of(medium, self._context)]
        for maker in makers:
            yield leaf("media-producer", maker)
        credit = text_of(medium, "creditline") or source_of(medium)
        if credit and credit not in makers:
            yield leaf("media-producer", credit)


def _identity(medium: Document) -> tuple[str, str]:
    """Return what tells a medium from others; a picture may lead the story and stand in it, too."""
    files = renditions_of(medium)
    main = next((file.href for file in files if file.name == "original"), "")
    return main or next((file.href for file in files), ""), text_of(medium, "description_text")


def _marked(block: str, key: str) -> str:
    """Return the markup between two comments of an editor, which shows the medium `key`."""
    mark = f" src=# {KEY}={key} "
    if shown := _SHOWN.search(block):
        # Of attributes with one name, the first counts: a player may have no address of its own.
        return f"{block[: shown.end()]}{mark}{block[shown.end() :]}"
    figure = _FIGURE.search(block)
    place = figure.end() if figure else 0
    return f"{block[:place]}<img{mark}>{block[place:]}"


def _references(medium: Document, alternative: str) -> Iterator[str]:
    """Yield the references to the files of a medium, the original first."""
    said = {"source-credit": source_of(medium), "copyright": text_of(medium, "copyrightholder")}
    common = {**said, "alternate-text": alternative}
    files = sorted(renditions_of(medium), key=lambda file: file.name != "original")
    for file in files or _linked(medium):
        measures = {"width": file.width, "height": file.height}
        own = {
            "source": file.href,
            "name": file.name,
            "mime-type": file.mimetype,
            **{side: str(value) for side, value in measures.items() if value and value > 0},
        }
        if file.seconds is not None:
            own |= {"time": f"{file.seconds:g}", "time-unit-of-measure": "seconds"}
        known = {name: value for name, value in {**own, **common}.items() if value}
        yield element("media-reference", **known)


def _linked(medium: Document) -> list[Rendition]:
    """Return the file of a medium from elsewhere, which only has a `url`."""
    href = "" if object_of(medium, "renditions") else text_of(medium, "url")
    return [Rendition("", href, text_of(medium, "mimeType"))] if href else []
