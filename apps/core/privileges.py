"""What users may be allowed to do, and how resources say who may call them."""

from dataclasses import dataclass

INTRINSIC = "*"
"""Privilege of methods that any logged-in user may call; the service checks the rest."""

NO_PRIVILEGE = "Insufficient privileges for the requested operation."
"""Message of a refusal for lack of a privilege."""


@dataclass(frozen=True)
class Privilege:
    """Something that a role or a user may be granted.

    Attributes:
        name: key in the `privileges` of roles and users.
        label: for people who grant it.
        description: one sentence.
        category: heading under which clients list it.
    """

    name: str
    label: str
    description: str
    category: str


def _of(category: str, *rows: tuple[str, str, str]) -> tuple[Privilege, ...]:
    return tuple(Privilege(*row, category=category) for row in rows)


PRIVILEGES: tuple[Privilege, ...] = (
    *_of(
        "Articles",
        ("archive", "Create content", "Create, save and lock items."),
        ("unlock", "Unlock content", "Unlock items that others have locked."),
        ("spike", "Spike", "Take items out of production."),
        ("unspike", "Unspike", "Bring spiked items back."),
        ("spike_read", "Spike view", "See spiked items."),
        ("restore", "Restore", "Restore earlier versions."),
        ("fetch", "Fetch", "Fetch ingested items to a desk."),
        ("move", "Move", "Send items to desks one is not a member of."),
        ("duplicate", "Duplicate", "Duplicate items."),
        ("translate", "Translate", "Translate items."),
        ("rewrite", "Update", "Write updates of items."),
        ("hold", "Hold", "Hold items."),
        ("embargo", "Embargo", "Set embargoes."),
        ("mark_for_highlights", "Mark for highlights", "Mark items for highlights."),
        ("mark_for_desks", "Mark for desks", "Mark items for other desks."),
        ("metadata_uniquename", "Edit unique name", "Change the unique name of items."),
        ("archive_broadcast", "Broadcast", "Create broadcast content."),
        ("send_to_personal", "Send to personal", "Send items to the personal space."),
        ("tasks", "Tasks", "Manage tasks."),
    ),
    *_of(
        "Publishing",
        ("publish", "Publish", "Publish items."),
        ("correct", "Correct", "Correct published items."),
        ("kill", "Kill", "Kill published items."),
        ("takedown", "Takedown", "Take published items down."),
        ("unpublish", "Unpublish", "Unpublish items."),
        ("resend", "Resend", "Send published items again."),
        ("publish_queue", "Publish queue", "Manage the delivery queue."),
        ("subscribers", "Subscribers", "Manage subscribers."),
        ("products", "Products", "Manage products."),
        ("content_filters", "Content filters", "Manage filters and filter conditions."),
        (
            "internal_destinations",
            "Internal destinations",
            "Manage the desks that published items are copied to.",
        ),
        ("publisher_read", "CMS sites view", "See CMS sites, and what is published there."),
        ("publisher_publish", "CMS publishing", "Publish to CMS sites, and retract from them."),
        ("publisher_admin", "CMS sites", "Manage CMS sites, their access and their maps."),
        ("search_capi", "Content API", "Search what subscribers can read."),
        ("archived", "Archived", "Manage archived items."),
        ("legal_archive", "Legal archive", "Read the legal archive."),
    ),
    *_of(
        "Newsroom",
        ("users", "User management", "Manage users."),
        ("roles", "Roles management", "Manage roles."),
        ("desks", "Desk management", "Manage desks and stages."),
        ("masterdesk", "Master desk", "Use the master desk."),
        ("dashboard", "Dashboard", "Use the dashboard."),
        ("monitoring_view", "Monitoring", "Use the monitoring view."),
        (
            "use_global_saved_searches",
            "Global searches",
            "See content of desks one is not a member of.",
        ),
    ),
    *_of(
        "Settings",
        ("content_type", "Content profiles", "Manage content profiles."),
        ("vocabularies", "Vocabularies", "Manage vocabularies."),
        ("content_templates", "Templates", "Manage public templates."),
        ("personal_template", "Personal templates", "Manage the templates of other users."),
        ("highlights", "Highlights", "Manage highlights."),
        ("highlights_read", "Highlights view", "See highlights."),
        ("routing_rules", "Routing rules", "Manage routing rules of ingest."),
        ("ingest_providers", "Ingest sources", "Manage sources of ingest."),
    ),
)
"""Every privilege that can be granted (resources contract 6)."""
