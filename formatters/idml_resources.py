"""The parts of an IDML package that are the same in each: styles, colours, preferences, tags."""

from typing import Any

from lxml import etree

from formatters.xml import add

PACKAGING = "http://ns.adobe.com/AdobeInDesign/idml/1.0/packaging"
DOM_VERSION = "13.1"
PAGE_WIDTH, PAGE_HEIGHT = 595.2755905488, 841.8897637776
"""A4 in points."""
MARGIN = 50

HEADLINE, BYLINE = "Custom:Headline", "Custom:Byline"
NORMAL, QUOTE, PREFORMATTED = (
    "Paragraphs:NormalParagraph",
    "Paragraphs:Blockquote",
    "Paragraphs:Preformatted",
)
BULLETS, NUMBERS = "Lists:BulletList", "Lists:NumberedList"
SIZES = {
    HEADLINE: 24,
    BYLINE: 10,
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
    QUOTE: {"FontStyle": "Italic", "LeftIndent": "20", "RightIndent": "20"},
    PREFORMATTED: {"AppliedFont": "Courier New"},
    BULLETS: {"BulletsAndNumberingListType": "BulletList", "LeftIndent": "18"},
    NUMBERS: {"BulletsAndNumberingListType": "NumberedList", "LeftIndent": "18"},
    **{f"Headings:Heading{level}": {"FontStyle": "Bold"} for level in range(1, 7)},
}
TAGS = {"Root": "LightBlue", "Notice": "Red", "Headline": "Red", "Byline": "Green", "Body": "Blue"}


def package_part(kind: str) -> Any:
    """Return the root element of a part of the package."""
    root = etree.Element(f"{{{PACKAGING}}}{kind}", nsmap={"idPkg": PACKAGING})
    root.set("DOMVersion", DOM_VERSION)
    return root


def inside(part: Any, tag: str, **attributes: str) -> Any:
    """Append an element to a part; only the part itself is in the namespace of packaging."""
    element = etree.SubElement(part, tag)
    for name, value in attributes.items():
        element.set(name, value)
    return element


def style_id(name: str) -> str:
    """Return what a paragraph style is referred to by; a colon stands between group and name."""
    return "ParagraphStyle/" + name.replace(":", "%3a")


def style_size(name: str) -> int:
    """Return the type size of a paragraph style in points."""
    return SIZES.get(name, 11)


def styles() -> Any:
    """Return `Resources/Styles.xml`."""
    root = package_part("Styles")
    characters = inside(root, "RootCharacterStyleGroup", Self="characters")
    named = "$ID/[No character style]"
    add(characters, "CharacterStyle", Self=f"CharacterStyle/{named}", Name=named)
    paragraphs = inside(root, "RootParagraphStyleGroup", Self="paragraphs")
    for name in ("$ID/[No paragraph style]", "$ID/NormalParagraphStyle"):
        add(paragraphs, "ParagraphStyle", Self=f"ParagraphStyle/{name}", Name=name)
    groups: dict[str, Any] = {}
    for name, size in SIZES.items():
        group_name = name.split(":")[0]
        if group_name not in groups:
            identity = {"Self": f"ParagraphStyleGroup/{group_name}", "Name": group_name}
            groups[group_name] = add(paragraphs, "ParagraphStyleGroup", **identity)
        attributes = {"PointSize": str(size), **ATTRIBUTES.get(name, {})}
        font = attributes.pop("AppliedFont", "")
        style = add(
            groups[group_name], "ParagraphStyle", Self=style_id(name), Name=name, **attributes
        )
        properties = add(style, "Properties")
        add(properties, "BasedOn", "$ID/NormalParagraphStyle", type="string")
        if font:
            add(properties, "AppliedFont", font, type="string")
    for tag, element, names in (
        ("RootCellStyleGroup", "CellStyle", ("[None]",)),
        ("RootTableStyleGroup", "TableStyle", ("[No table style]", "[Basic Table]")),
        ("RootObjectStyleGroup", "ObjectStyle", ("[None]", "[Normal Text Frame]")),
    ):
        group = inside(root, tag, Self=tag)
        for name in names:
            add(group, element, Self=f"{element}/$ID/{name}", Name=f"$ID/{name}")
    return root


def graphic() -> Any:
    """Return `Resources/Graphic.xml`."""
    root = package_part("Graphic")
    for name, value in (("Black", "0 0 0 100"), ("Paper", "0 0 0 0")):
        colour = {"Self": f"Color/{name}", "Name": name, "ColorValue": value}
        inside(root, "Color", Model="Process", Space="CMYK", **colour)
    inside(root, "Swatch", Self="Swatch/None", Name="None")
    inside(root, "StrokeStyle", Self="StrokeStyle/$ID/Solid", Name="$ID/Solid")
    return root


def preferences() -> Any:
    """Return `Resources/Preferences.xml`."""
    root = package_part("Preferences")
    size = {"PageHeight": str(PAGE_HEIGHT), "PageWidth": str(PAGE_WIDTH)}
    inside(root, "DocumentPreference", PagesPerDocument="1", FacingPages="false", **size)
    sides = {side: str(MARGIN) for side in ("Top", "Bottom", "Left", "Right")}
    inside(root, "MarginPreference", ColumnCount="1", ColumnGutter="12", **sides)
    return root


def tags() -> Any:
    """Return `XML/Tags.xml`."""
    root = package_part("Tags")
    for name, colour in TAGS.items():
        properties = add(inside(root, "XMLTag", Self=f"XMLTag/{name}", Name=name), "Properties")
        add(properties, "TagColor", colour, type="enumeration")
    return root
