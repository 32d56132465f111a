"""The parts of an IDML package that are the same in each: styles, fonts, preferences and so on."""

from collections.abc import Mapping
from functools import cache

from formatters.xml import document, element, leaf

PACKAGING = "http://ns.adobe.com/AdobeInDesign/idml/1.0/packaging"
CONTAINER = "urn:oasis:names:tc:opendocument:xmlns:container"
DECLARATION = 'version="1.0" encoding="UTF-8" standalone="yes"'
DOM_VERSION = "13.1"
PAGE_WIDTH, PAGE_HEIGHT = 595.2755905488, 841.8897637776
"""A4 in points."""
MARGIN = 50

HEADLINE, BYLINE, ABSTRACT = "Custom:Headline", "Custom:Byline", "Custom:Abstract"
NORMAL, QUOTE, PREFORMATTED = (
    "Paragraphs:NormalParagraph",
    "Paragraphs:Blockquote",
    "Paragraphs:Preformatted",
)
BULLETS, NUMBERS = "Lists:BulletList", "Lists:NumberedList"
SIZES = {
    HEADLINE: 24,
    BYLINE: 10,
    ABSTRACT: 12,
    NORMAL: 11,
    QUOTE: 11,
    PREFORMATTED: 10,
    BULLETS: 11,
    NUMBERS: 11,
    **{f"Headings:Heading{level}": 22 - 2 * level for level in range(1, 7)},
}
"""Paragraph styles and their type size in points."""
ATTRIBUTES = {
    HEADLINE: {"FontStyle": "Bold", "SpaceAfter": "6"},
    ABSTRACT: {"FontStyle": "Bold", "SpaceAfter": "6"},
    QUOTE: {"FontStyle": "Italic", "LeftIndent": "20", "RightIndent": "20"},
    PREFORMATTED: {"AppliedFont": "Courier New"},
    BULLETS: {"BulletsAndNumberingListType": "BulletList", "LeftIndent": "18"},
    NUMBERS: {"BulletsAndNumberingListType": "NumberedList", "LeftIndent": "18"},
    **{f"Headings:Heading{level}": {"FontStyle": "Bold"} for level in range(1, 7)},
}
TAGS = {
    "Root": "LightBlue",
    "Notice": "Red",
    "Headline": "Red",
    "Byline": "Green",
    "Abstract": "Yellow",
    "Body": "Blue",
}
FONTS = {
    "Minion Pro": ("Regular", "Bold", "Italic", "Bold Italic"),
    "Courier New": ("Regular", "Bold", "Italic", "Bold Italic"),
}
"""Font families with their faces: the one that InDesign takes by default, and that of
preformatted text."""


def package_part(kind: str, content: str) -> str:
    """Return a part of the package; only its root is in the namespace of packaging.

    Args:
        content: what stands in it, as XML.
    """
    root = f'idPkg:{kind} xmlns:idPkg="{PACKAGING}" DOMVersion="{DOM_VERSION}"'
    return document(f"<{root}>{content}</idPkg:{kind}>", declaration=DECLARATION)


def style_id(name: str) -> str:
    """Return what a paragraph style is referred to by; a colon stands between group and name."""
    return "ParagraphStyle/" + name.replace(":", "%3a")


def style_size(name: str) -> int:
    """Return the type size of a paragraph style in points."""
    return SIZES.get(name, 11)


@cache
def fixed_parts() -> Mapping[str, bytes]:
    """Return the parts that are the same in each package, by name."""
    parts = {
        "Resources/Styles.xml": _styles(),
        "Resources/Graphic.xml": _graphic(),
        "Resources/Preferences.xml": _preferences(),
        "Resources/Fonts.xml": _fonts(),
        "XML/Tags.xml": _tags(),
        "META-INF/container.xml": _container(),
    }
    return {name: text.encode() for name, text in parts.items()}


def _styles() -> str:
    named = "$ID/[No character style]"
    none = element("CharacterStyle", Self=f"CharacterStyle/{named}", Name=named)
    groups: dict[str, list[str]] = {}
    for name, size in SIZES.items():
        groups.setdefault(name.split(":")[0], []).append(_paragraph_style(name, size))
    basic = "".join(
        element("ParagraphStyle", Self=f"ParagraphStyle/{name}", Name=name)
        for name in ("$ID/[No paragraph style]", "$ID/NormalParagraphStyle")
    )
    grouped = "".join(
        element(
            "ParagraphStyleGroup", "".join(written), Self=f"ParagraphStyleGroup/{name}", Name=name
        )
        for name, written in groups.items()
    )
    others = "".join(
        element(
            tag,
            "".join(element(kind, Self=f"{kind}/$ID/{name}", Name=f"$ID/{name}") for name in names),
            Self=tag,
        )
        for tag, kind, names in (
            ("RootCellStyleGroup", "CellStyle", ("[None]",)),
            ("RootTableStyleGroup", "TableStyle", ("[No table style]", "[Basic Table]")),
            ("RootObjectStyleGroup", "ObjectStyle", ("[None]", "[Normal Text Frame]")),
        )
    )
    characters = element("RootCharacterStyleGroup", none, Self="characters")
    paragraphs = element("RootParagraphStyleGroup", basic + grouped, Self="paragraphs")
    return package_part("Styles", characters + paragraphs + others)


def _paragraph_style(name: str, size: int) -> str:
    attributes = {"PointSize": str(size), **ATTRIBUTES.get(name, {})}
    font = attributes.pop("AppliedFont", "")
    properties = leaf("BasedOn", "$ID/NormalParagraphStyle", type="string")
    if font:
        properties += leaf("AppliedFont", font, type="string")
    identity = {"Self": style_id(name), "Name": name}
    return element("ParagraphStyle", element("Properties", properties), **identity, **attributes)


def _graphic() -> str:
    colours = [
        element(
            "Color",
            Self=f"Color/{name}",
            Name=name,
            ColorValue=value,
            Model="Process",
            Space="CMYK",
        )
        for name, value in (("Black", "0 0 0 100"), ("Paper", "0 0 0 0"))
    ]
    swatch = element("Swatch", Self="Swatch/None", Name="None")
    stroke = element("StrokeStyle", Self="StrokeStyle/$ID/Solid", Name="$ID/Solid")
    return package_part("Graphic", "".join([*colours, swatch, stroke]))


def _preferences() -> str:
    size = {"PageHeight": str(PAGE_HEIGHT), "PageWidth": str(PAGE_WIDTH)}
    sides = {side: str(MARGIN) for side in ("Top", "Bottom", "Left", "Right")}
    written = element("DocumentPreference", PagesPerDocument="1", FacingPages="false", **size)
    written += element("MarginPreference", ColumnCount="1", ColumnGutter="12", **sides)
    return package_part("Preferences", written)


def _fonts() -> str:
    families = []
    for number, (family, faces) in enumerate(FONTS.items(), start=1):
        fonts = [
            element(
                "Font",
                Self=f"font_family_{number}_{face.replace(' ', '')}",
                FontFamily=family,
                Name=f"{family} {face}",
                FontStyleName=face,
                Status="Installed",
            )
            for face in faces
        ]
        identity = {"Self": f"font_family_{number}", "Name": family}
        families.append(element("FontFamily", "".join(fonts), **identity))
    return package_part("Fonts", "".join(families))


def _tags() -> str:
    return package_part(
        "Tags",
        "".join(
            element(
                "XMLTag",
                element("Properties", leaf("TagColor", colour, type="enumeration")),
                Self=f"XMLTag/{name}",
                Name=name,
            )
            for name, colour in TAGS.items()
        ),
    )


def _container() -> str:
    """Return where the package begins, as its container format (UCF) asks."""
    named = {"full-path": "designmap.xml", "media-type": "text/xml"}
    file = element("rootfiles", element("rootfile", **named))
    container = element("container", file, version="1.0", xmlns=CONTAINER)
    return document(container, declaration=DECLARATION)
