"""The fields of items that readers may ask for (routing contract 9)."""

ITEM_FIELDS = frozenset(
    {
        *("_id", "uri", "type", "pubstatus", "profile", "language"),
        *("headline", "slugline", "byline", "ednote", "source", "located"),
        *("body_html", "body_text", "description_html", "description_text"),
        *("copyrightholder", "copyrightnotice", "usageterms", "mimetype"),
        *("anpa_category", "keywords", "authors", "organization", "person", "annotations"),
        *("attachments", "refs", "evolvedfrom", "nextversion", "original_id"),
        *("event_id", "planning_id", "coverage_id", "agenda_id", "agenda_href"),
        *("version", "versioncreated", "firstcreated", "firstpublished", "embargoed", "expiry"),
        *("urgency", "priority", "wordcount", "charcount", "readtime"),
        *("service", "subject", "genre", "signal", "place"),
        *("renditions", "extra", "extra_items", "associations"),
        *("ancestors", "subscribers", "bookmarks", "downloads", "shares", "prints", "copies"),
        # What ninjs sends beside them.
        *("organisation", "order", "publish_schedule"),
    }
)

DATE_FIELDS = frozenset(
    {"versioncreated", "firstcreated", "firstpublished", "embargoed", "expiry", "_updated"}
)

HIDDEN = (
    *("_etag", "_created", "_updated", "subscribers", "_current_version", "_latest_version"),
    *("ancestors", "refs", "_item_id", "_canceled_version", "_stage", "_words"),
)
"""What subscribers never see of an item."""

UNSEARCHABLE = frozenset({*HIDDEN, "associations", "extra_items", "bookmarks"}) | {
    *("downloads", "shares", "prints", "copies")
}
"""What subscribers cannot search by: answers would tell what is hidden from them."""

TEXT_FIELDS = (
    *("headline", "slugline", "byline", "description_text", "body_html", "body_text"),
    *("keywords", "ednote", "source"),
)
"""Where words are looked for."""

WORDS = "_words"
"""Field with the texts of an item as searches compare them, by the field that has them."""
