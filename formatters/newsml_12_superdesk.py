"""NewsML 1.2 as Superdesk lays it out, for subscribers whose readers expect that.

Formats contract 3.6.

Superdesk sends less: this takes away what it does not send, and adds what it sends empty.
"""

from lxml import etree

from apps.core.documents import objects_of, text_of
from apps.core.embargo import embargo_of
from apps.core.text import strip_forbidden
from apps.core.vocabulary import State
from formatters.base import Document, FormatContext
from formatters.conversions import TAGGED, iso_time, source_of
from formatters.xml import XML_LANG, as_lxml

DOCTYPE = "http://www.provider.com/dtd/NewsML_1.2.dtd"
"""The address that Superdesk writes; nothing lies there."""

UNSENT = (
    ".//NewsManagement/DerivedFrom",
    ".//NewsLines/SlugLine",
    ".//DescriptiveMetadata/Language",
    ".//DescriptiveMetadata/Genre",
    ".//NewsComponent/AdministrativeMetadata",
    *(
        f".//DescriptiveMetadata/Property[@FormalName='{name}']"
        for name in (
            "Keyword",
            "AlternativeText",
            "Subject",
            *(kind.capitalize() for kind in TAGGED),
        )
    ),
    ".//NewsComponent/Role[@FormalName='Caption']/..",
    ".//Location/Property[@FormalName='Name']",
)


def superdesk_newsml(written: str, item: Document, context: FormatContext) -> str:
    """Return a NewsML document in Superdesk's layout.

    Args:
        written: its root element, in the layout of the standard.
    """
    root = as_lxml(written)
    root.attrib.pop("Version", "")
    for news_item in root.iter("NewsItem"):
        news_item.attrib.pop(XML_LANG, "")
    for path in UNSENT:
        for element in root.findall(path):
            parent = element.getparent()
            if parent is not None:
                parent.remove(element)
    for location in root.findall(".//Location[@HowPresent='RelatesTo']"):
        parent = location.getparent()
        if parent is not None and not len(location):
            parent.remove(location)
    _empty_elements(root)
    _group_roles(root, item)
    codes = [str(s["qcode"]) for s in objects_of(item, "subject") if s.get("qcode")]
    for subject, code in zip(root.iter("Subject"), codes, strict=False):
        subject.set("FormalName", strip_forbidden(code))
    for credit in root.iter("CreditLine"):
        credit.text = strip_forbidden(source_of(item)) or None
    for moment in root.iterfind(".//StatusWillChange/DateAndTime"):
        moment.text = str(iso_time(embargo_of(item, context.now)))
    if item.get("state") == State.UNPUBLISHED:
        for revision in root.iter("RevisionId"):
            revision.set("PreviousRevision", "0")
    return etree.tostring(root, encoding="unicode")


def _empty_elements(root: etree._Element) -> None:
    for lines in root.iter("NewsLines"):
        if lines.find("CreditLine") is None:
            before = [lines.find(tag) for tag in ("HeadLine", "ByLine", "DateLine")]
            place = sum(1 for line in before if line is not None)
            lines.insert(place, etree.Element("CreditLine"))
    for metadata in root.iter("DescriptiveMetadata"):
        if metadata.find("SubjectCode") is None:
            metadata.insert(0, etree.Element("SubjectCode"))


def _group_roles(root: etree._Element, item: Document) -> None:
    """Groups without a role have an empty one, not their id."""
    groups = [group for group in objects_of(item, "groups") if group.get("id") != "root"]
    roles = root.iterfind(".//Role[@FormalName='root']/../NewsComponent/Role")
    for group, role in zip(groups, roles, strict=False):
        role.set("FormalName", strip_forbidden(text_of(group, "role")))
