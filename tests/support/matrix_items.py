"""A story with every field and a story with pictures; each text in them stands nowhere else."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.format_items import NOW

CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
LATER = NOW + timedelta(days=1)

PICTURE: dict[str, Any] = {
    "_id": "urn:example:picture-1",
    "guid": "urn:example:picture-1",
    "item_id": "urn:example:picture-1",
    "type": "picture",
    "state": "published",
    "pubstatus": "usable",
    "headline": "Pichead of a stop",
    "description_text": "Piccaption says who waits",
    "alt_text": "Picalt with a bench",
    "byline": "Picby Lens",
    "creditline": "Piccredit Agency",
    "source": "Picsource",
    "copyrightholder": "Picholder Ltd",
    "copyrightnotice": "Picnotice 2024",
    "usageterms": "Picterms for one day",
    "extra": {"digitalsourcetype": CAPTURE},
    "versioncreated": NOW,
    "firstcreated": datetime(2025, 2, 1, 8, 9, 10, tzinfo=UTC),
    "renditions": {
        "original": {
            "href": "https://example.com/picoriginal.jpg",
            "media": "picoriginal",
            "mimetype": "image/jpeg",
            "width": 3001,
            "height": 2001,
        },
        "viewImage": {
            "href": "https://example.com/picview.jpg",
            "media": "picview",
            "mimetype": "image/jpeg",
            "width": 601,
            "height": 401,
        },
        "thumbnail": {
            "href": "https://example.com/picthumb.jpg",
            "media": "picthumb",
            "mimetype": "image/jpeg",
            "width": 121,
            "height": 81,
        },
    },
    "filemeta": {"length": 4321},
}

STORY: dict[str, Any] = {
    "_id": "urn:example:story-1",
    "guid": "urn:example:story-1",
    "item_id": "urn:example:story-1",
    "type": "text",
    "format": "HTML",
    "_current_version": 3,
    "state": "published",
    "pubstatus": "usable",
    "operation": "publish",
    "language": "en-AU",
    "profile": "Profilename",
    "headline": "Headwords of it",
    "slugline": "slugwords",
    "anpa_take_key": "takewords",
    "abstract": "<p>Abstractwords first</p>",
    "byline": "By Linewords",
    "dateline": {
        "text": "PERTH, datewords -",
        "located": {
            "city": "Cityname",
            "state": "Statename",
            "country": "Countryname",
            "country_code": "AU",
        },
    },
    "body_html": "<p>Bodywords stand here.</p>",
    "body_footer": "<p>Footwords call.</p>",
    "ednote": "Notewords for editors",
    "sign_off": "signwords",
    "source": "Sourcewords",
    "original_source": "Firstsource",
    "creditline": "Creditwords Agency",
    "copyrightholder": "Holderwords Ltd",
    "copyrightnotice": "Noticewords 2024",
    "usageterms": "Termwords forbid",
    "keywords": ["Keyone", "Keytwo", "Keyone"],
    "urgency": 7,
    "priority": 5,
    "anpa_category": [{"qcode": "catcode", "name": "Catname"}],
    "subject": [{"qcode": "subjcode", "name": "Subjname", "scheme": "desks"}],
    "genre": [{"qcode": "genrecode", "name": "Genrename"}],
    "place": [{"qcode": "placecode", "name": "Placename", "country": "Placecountry"}],
    "person": [{"qcode": "personcode", "name": "Personname"}],
    "organisation": [{"qcode": "orgcode", "name": "Orgname"}],
    "event": [{"qcode": "eventcode", "name": "Eventname"}],
    "object": [{"qcode": "objectcode", "name": "Objectname"}],
    "company_codes": [{"qcode": "TICK", "name": "Companyname", "security_exchange": "XCHG"}],
    "authors": [{"name": "Authorname", "sub_label": "Authorname", "role": "rolewords"}],
    "firstcreated": datetime(2024, 12, 30, 10, 11, 12, tzinfo=UTC),
    "versioncreated": datetime(2026, 3, 3, 13, 14, 15, tzinfo=UTC),
    "firstpublished": datetime(2026, 3, 2, 16, 17, 18, tzinfo=UTC),
    "rewrite_of": "urn:example:earlier",
    "unique_name": "#uniquewords",
    "ingest_id": "ingestwords",
    "attachments": [{"attachment": "att1"}],
    "extra": {
        "digitalsourcetype": CAPTURE,
        "expires": "2027-05-01T19:20:21Z",
        "customwords": "Customvalue",
    },
}

PICTURE_STORY: dict[str, Any] = {
    **STORY,
    "associations": {
        "featuremedia": PICTURE,
        "editor_0": {
            "_id": "urn:example:picture-2",
            "guid": "urn:example:picture-2",
            "type": "picture",
            "headline": "Secondhead in the text",
            "description_text": "Secondcaption in the text",
            "byline": "Secondby Lens",
            "pubstatus": "usable",
            "renditions": {
                "original": {"href": "https://example.com/second.jpg", "mimetype": "image/jpeg"}
            },
        },
        "gallery--1": {
            "_id": "urn:example:picture-3",
            "guid": "urn:example:picture-3",
            "type": "picture",
            "headline": "Gonehead",
            "description_text": "Gonecaption",
            "state": "killed",
            "pubstatus": "canceled",
            "renditions": {
                "original": {"href": "https://example.com/gonefile.jpg", "mimetype": "image/jpeg"}
            },
        },
    },
    "body_html": (
        "<p>Bodywords stand here.</p>"
        '<!-- EMBED START Image {id: "editor_0"} --><figure>'
        '<img src="https://example.com/second.jpg" alt="">'
        "<figcaption>Secondcaption in the text</figcaption></figure>"
        '<!-- EMBED END Image {id: "editor_0"} -->'
        "<p>Endwords.</p>"
    ),
}

STATES: Mapping[str, dict[str, Any]] = {
    "usable": {},
    "corrected": {
        "state": "corrected",
        "operation": "correct",
        "correction_sequence": 2,
        "_current_version": 4,
    },
    "under embargo": {"embargo": LATER, "schedule_settings": {"utc_embargo": LATER}},
    "killed": {"state": "killed", "pubstatus": "canceled", "operation": "kill"},
    "taken down": {"state": "recalled", "pubstatus": "canceled", "operation": "takedown"},
    "unpublished": {"state": "unpublished", "pubstatus": "canceled", "operation": "unpublish"},
}
"""What is otherwise in an item by what became of it."""
