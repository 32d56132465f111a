"""Items per second that each output format writes, on one core.

    python benchmarks/formats.py [--seconds 2] [--pictures 2] [--format ninjs nitf ...]

The items are stories of 500 words in paragraphs, with a heading, emphasis, a link and a list, with
subjects, an author and associated pictures; validation and database are not in it. Beside each
rate stands that of Superdesk, measured without its database calls, and the ratio to the upper end
of its range.
Of formats that Superdesk lacks, the rate stands alone.
"""

import argparse
import gc
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from formatters import FormatContext, FormatSettings, Formatter, build_registry
from formatters.atom import atom_feed
from formatters.feed import Feed, feed_entry
from formatters.json_feed import json_feed
from formatters.rss import rss_feed

NOW = datetime(2026, 3, 4, 5, 6, 8, tzinfo=UTC)
REFERENCE = {
    "ninjs": (230, 380),
    "nitf": (2200, 3200),
    "newsml12": (460, 720),
    "newsmlg2": (410, 490),
}
"""Items per second of Superdesk on the same kind of item, lowest and highest."""

WANTED = 2.0
VARIANTS = 10
"""Different items, so that nothing profits from having just been read."""
SENTENCE = "The harbour stayed closed on Friday, as the storm went on &amp; water rose. "
PARAGRAPHS = 14
"""Together 505 words."""


def body(number: int) -> str:
    """Return HTML of some 500 words in paragraphs, with a heading, emphasis, a link and a list."""
    paragraphs = [f"<p>{SENTENCE * 3}</p>" for _ in range(PARAGRAPHS)]
    paragraphs[0] = f"<p><b>Day {number}:</b> {SENTENCE * 3}</p>"
    paragraphs[3] = (
        f'<h2>Further on</h2><p>{SENTENCE * 2}<a href="https://example.com/a">More</a></p>'
    )
    paragraphs[6] = "<ul><li>Bridges closed</li><li>Trains late</li><li>Schools open</li></ul>"
    return "".join(paragraphs)


def picture(number: int) -> dict[str, Any]:
    """Return an associated picture with five renditions."""
    renditions = {
        name: {
            "href": f"https://media.example.com/{name}-{number}.jpg",
            "media": f"{name}-{number}",
            "mimetype": "image/jpeg",
            "width": 800,
            "height": 600,
            "poi": {"x": 10, "y": 20},
        }
        for name in ("original", "baseImage", "viewImage", "thumbnail", "16-9")
    }
    return {
        "_id": f"urn:picture:{number}",
        "guid": f"urn:picture:{number}",
        "type": "picture",
        "headline": "Harbour",
        "description_text": "The harbour on Friday.",
        "alt_text": "Waves",
        "byline": "Jo Photo",
        "versioncreated": NOW,
        "pubstatus": "usable",
        "renditions": renditions,
    }


def story(number: int, pictures: int = 2) -> dict[str, Any]:
    """Return a published story with up to two pictures, as routing hands it to formatters."""
    held = {"featuremedia": picture(number), "editor_0": picture(-number)}
    guid = f"urn:newsml:example.com:2026:{number}"
    return {
        "_id": guid,
        "guid": guid,
        "item_id": guid,
        "type": "text",
        "state": "published",
        "pubstatus": "usable",
        "language": "en",
        "_current_version": 2,
        "profile": "story",
        "headline": f"Harbour closed, day {number}",
        "slugline": "harbour",
        "abstract": "<p>The harbour stays closed.</p>",
        "byline": "By Jane Writer",
        "dateline": {"text": "OSLO, March 4 -", "located": {"city": "Oslo", "country": "Norway"}},
        "body_html": body(number),
        "source": "AAP",
        "urgency": 3,
        "priority": 2,
        "firstcreated": NOW,
        "versioncreated": NOW,
        "firstpublished": NOW,
        "keywords": ["storm", "harbour"],
        "anpa_category": [{"qcode": "a", "name": "National"}],
        "subject": [
            {"qcode": "17000000", "name": "weather"},
            {"qcode": "03000000", "name": "disaster"},
        ],
        "genre": [{"qcode": "Article", "name": "Article"}],
        "place": [{"qcode": "NSW", "name": "NSW", "state": "New South Wales"}],
        "authors": [{"parent": "user1", "name": "Jane Writer", "role": "writer"}],
        "ednote": "Pictures follow",
        "associations": dict([*held.items()][:pictures]),
    }


def context() -> FormatContext:
    """Return what formats are handed besides the item."""
    rights = {"copyrightHolder": "Example", "copyrightNotice": "(c) Example", "usageTerms": "Press"}
    return FormatContext(
        settings=FormatSettings(),
        now=NOW,
        sequence_number=7,
        vocabularies={
            "rightsinfo": [{"name": "default", **rights}],
            "locators": [{"qcode": "NSW", "name": "NSW", "state": "New South Wales"}],
            "job_titles": [{"qcode": "writer", "name": "Writer"}],
            "crop_sizes": [{"name": "16-9"}],
        },
        users={"user1": {"_id": "user1", "display_name": "Jane Writer", "job_title": "writer"}},
        products=[{"code": "p1", "name": "Everything"}],
    )


def rate(write: Any, items: Sequence[Any], seconds: float) -> float:
    """Return how many items per second of CPU time `write` writes: of many short runs the best.

    What else runs on the machine slows a run down, so the best one says most about the code.
    """
    gc.collect()
    best, ends = 0.0, time.process_time() + seconds
    while time.process_time() < ends:
        started = time.process_time()
        for item in items:
            write(item)
        best = max(best, len(items) / (time.process_time() - started))
    return best


def feeds(
    items: Sequence[dict[str, Any]], known: FormatContext, seconds: float
) -> Iterator[tuple[str, float]]:
    """Yield how many entries per second each kind of feed writes, in pages of 50."""
    address = "https://example.com/feed"
    page = Feed("urn:x", "Feed", address, address, address, None, "Example", "en", NOW)
    for name, write in (("atom", atom_feed), ("rss", rss_feed), ("json feed", json_feed)):
        entries = rate(
            lambda some, write=write: write(page, [feed_entry(item, known) for item in some]),
            [items],
            seconds,
        )
        yield name, entries * len(items)


def measure(formatter: type[Formatter], items: Sequence[dict[str, Any]], seconds: float) -> float:
    """Return the rate of a format."""
    known = context()
    if formatter.numbered:
        known = replace(known, sequence_number=7)
    instance = formatter()
    return rate(lambda item: instance.format(item, known), items, seconds)


def main() -> int:
    """Print a table; return 1 where a format is less than twice as fast as Superdesk's."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="CPU time for each format")
    parser.add_argument("--format", nargs="*", default=[], help="formats; all unless given")
    parser.add_argument("--pictures", type=int, default=2, choices=(0, 1, 2), help="of each story")
    arguments = parser.parse_args()
    items = [story(number, arguments.pictures) for number in range(1, VARIANTS + 1)]
    slow = []
    rows: list[tuple[str | float, ...]] = []
    for formatter in build_registry():
        if arguments.format and formatter.type not in arguments.format:
            continue
        if not formatter.can_format(items[0]):
            continue
        found = measure(formatter, items, arguments.seconds)
        row: tuple[str | float, ...] = (formatter.type, found)
        if formatter.type in REFERENCE:
            lowest, highest = REFERENCE[formatter.type]
            row += (f"{lowest}-{highest}", found / highest)
            if found < WANTED * highest:
                slow.append(formatter.type)
        rows.append(row)
    if not arguments.format:
        rows += feeds(items, context(), arguments.seconds)
    heads = ("format", "items/s", "superdesk", "ratio")
    print(tabulate(rows, heads, floatfmt=("", ".0f", "", ".1f")))
    if slow:
        print(f"less than {WANTED:.0f} times as fast: {', '.join(slow)}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
