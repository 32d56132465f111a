"""Every setting of Wiredesk: name, default, meaning.

Each can be set by an environment variable of its name; a value that parses as JSON is JSON.
`python3 manage.py settings` prints what is in force. Reference: `docs/settings.md`.
"""

import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from apps.core.env import (
    Setting,
    choice,
    flag,
    items,
    networks,
    number,
    parse,
    read_all,
    secret,
    table,
    text,
)

SECTIONS: dict[str, tuple[Setting, ...]] = {
    "Processes": (
        text("HOST", "127.0.0.1", "Address on which the web process listens."),
        number("PORT", 5000, "Port on which the web process listens."),
        text("WSHOST", "127.0.0.1", "Address on which the websocket process listens."),
        number("WSPORT", 5100, "Port on which the websocket process listens."),
        number("WEB_WORKERS", 2, "Processes of the web server.", least=1),
        number("WEB_THREADS", 8, "Threads in each of them.", least=1),
        number("WORKER_CONCURRENCY", 2, "Celery worker processes of the wire.", least=1),
        flag(
            "HIGH_PRIORITY_QUEUE_ENABLED",
            False,
            "Withdrawals and rows with priority are delivered by a task in the Celery queue "
            "`publish_priority`, for which a worker may be kept free.",
        ),
        number(
            "PRIORITY_CONCURRENCY",
            1,
            "Celery worker processes that are kept free for that queue.",
            least=1,
        ),
        number(
            "GRACEFUL_STOP_SECONDS",
            30,
            "Seconds that processes have, once they are asked to end, to finish what they have "
            "begun.",
            least=1,
        ),
        flag(
            "CELERY_TASK_ALWAYS_EAGER",
            False,
            "Tasks run inside the request or command that starts them; no worker, no beat needed.",
        ),
        text(
            "CELERY_PREFIX",
            "",
            "Prefix of the Celery queue names, for several installations on one broker.",
        ),
        secret(
            "METRICS_TOKEN",
            "Token with which `/metrics` is read, as `Authorization: Bearer`; none closes it.",
        ),
        choice(
            "LOG_LEVEL",
            "INFO",
            ("DEBUG", "INFO", "WARNING", "ERROR"),
            "The least important log lines that are written: `DEBUG`, `INFO`, `WARNING` or "
            "`ERROR`.",
        ),
    ),
    "Stores": (
        text("DATA_DIR", "var", "Data of the embedded stores, their discovery file, logs."),
        secret("MONGO_URI", "MongoDB; none starts the embedded store."),
        text("MONGO_DBNAME", None, "Database.", derived="the name in MONGO_URI, else `wiredesk`"),
        secret(
            "CONTENTAPI_MONGO_URI", "Server of the content API's database; none is the main one."
        ),
        text(
            "CONTENTAPI_MONGO_DBNAME",
            None,
            "Its database. Without it and the server's address it is the main database.",
            derived="with CONTENTAPI_MONGO_URI: the name in it, else `contentapi`",
        ),
        secret(
            "LEGAL_ARCHIVE_URI", "Server of the long-term archive's database; none is the main one."
        ),
        text(
            "LEGAL_ARCHIVE_DBNAME",
            None,
            "Its database. Without it and the server's address it is the main database.",
            derived="with LEGAL_ARCHIVE_URI: the name in it, else `legal_archive`",
        ),
        secret("REDIS_URL", "Redis; none starts the embedded store."),
        secret("CELERY_BROKER_URL", "Celery's broker.", derived="REDIS_URL"),
        text(
            "NOTIFICATION_CHANNEL",
            "wiredesk_notifications",
            "Redis pub/sub channel of notifications.",
        ),
    ),
    "REST": (
        text("URL_PREFIX", "api", "First part of every path."),
        text(
            "PUBLIC_URL",
            None,
            "The API's own address in absolute links, without a trailing slash.",
            derived="`http://HOST:PORT/URL_PREFIX`",
        ),
        text(
            "MEDIA_PREFIX",
            None,
            "Where receivers find media; their ids follow. Set, it is what feeds link to as "
            "well; otherwise feeds serve media themselves.",
            derived="`PUBLIC_URL/upload-raw`",
        ),
        number(
            "PAGINATION_DEFAULT", 500, "Rows of a list where the client names no number.", least=1
        ),
        number("PAGINATION_LIMIT", 500, "Most rows of a list.", least=1),
        number(
            "TRUSTED_PROXIES",
            0,
            "Proxies in front of the web process, each of which adds the address of its client to "
            "`X-Forwarded-For`; 0 takes the address of the connection.",
        ),
        number(
            "QUERY_TIMEOUT_SECONDS", 10, "Seconds that a query may take that a client has written."
        ),
        number(
            "STORE_TIMEOUT_SECONDS",
            5,
            "Seconds that a request waits for any other answer of the database; then it is "
            "answered with 503, and may be made again.",
            least=1,
        ),
        number(
            "MAX_CONTENT_LENGTH",
            15 * 2**20,
            "Bytes of the largest request body. The database stores documents of 16 MiB.",
        ),
    ),
    "Security": (
        secret(
            "SECRET_KEY",
            "Signs cookies. A random one for each process is enough for clients with tokens.",
            derived="random",
        ),
        secret(
            "ENCRYPTION_KEYS",
            "Encrypt the secrets of destinations: Fernet keys, newest first, as a JSON list or "
            "separated by commas.",
            derived="a key file in DATA_DIR",
        ),
        number("BCRYPT_GENSALT_WORK_FACTOR", 12, "Cost of password hashes; each step doubles it."),
        number(
            "PASSWORD_MIN_LENGTH",
            None,
            "Least characters of a new password. Only where it is set, it holds in "
            "`/change_user_password` as well.",
            derived="5",
        ),
        number(
            "PASSWORD_EXPIRY_DAYS", 0, "Age after which a password no longer logs in; 0 is never."
        ),
        number(
            "LOGIN_FAILURES_PER_NAME",
            10,
            "Failed log-ins under one name after which it has to wait; 0 is without a limit.",
        ),
        number(
            "LOGIN_FAILURES_PER_ADDRESS",
            100,
            "The same from one address, of IPv6 from one /64 network; it does not hold up who "
            "knows the password.",
        ),
        number("LOGIN_FAILURES_MINUTES", 10, "Minutes in which these failures are counted."),
        number(
            "SESSION_EXPIRY_MINUTES", 240, "Minutes without a request after which a session ends."
        ),
        number(
            "SESSION_UPDATE_SECONDS", 30, "Seconds after which a request refreshes its session."
        ),
        flag(
            "WEBSOCKET_REQUIRE_TOKEN",
            True,
            "Websocket clients must show a token; off equals Superdesk.",
        ),
    ),
    "Newsroom": (
        text("DEFAULT_TIMEZONE", "UTC", "Zone of times that are shown in texts."),
        text(
            "DEFAULT_LANGUAGE", "en", "Language of items, unless they or their desk say otherwise."
        ),
        text("DEFAULT_CONTENT_TYPE", None, "Profile of text items that name none."),
        text(
            "DEFAULT_SOURCE_VALUE_FOR_MANUAL_ARTICLES",
            "Superdesk",
            "Source of items written by hand that bring none.",
        ),
        number("DEFAULT_PRIORITY_VALUE_FOR_MANUAL_ARTICLES", 6, "Their priority."),
        number("DEFAULT_URGENCY_VALUE_FOR_MANUAL_ARTICLES", 3, "Their urgency."),
        items(
            "DEFAULT_GENRE_VALUE_FOR_MANUAL_ARTICLES",
            [{"qcode": "Article", "name": "Article (news)"}],
            "Their genre.",
        ),
        text("URN_DOMAIN", None, "Host part of generated item ids.", derived="host of PUBLIC_URL"),
        flag("GENERATE_SHORT_GUID", False, "Item ids are bare UUIDs."),
        text(
            "SIGN_OFF_MAPPING",
            None,
            "User field that `sign_off` of a new user is taken from; none takes the initials.",
        ),
        text("USERNAME_PATTERN", r"^[\w.@+'-]+$", "Regular expression of user names."),
        text("ORGANIZATION_NAME_ABBREVIATION", "WD", "Source in the datelines that users write."),
        flag("FULL_SIGN_OFF", False, "Keep every earlier mark of a user in `sign_off`."),
        items("HOOK_MODULES", [], "Python modules with [receivers of hooks](hooks.md)."),
        flag(
            "WORKFLOW_ALLOW_COPY_TO_PERSONAL",
            True,
            "Let users copy items of desks to themselves, and duplicate items without a desk.",
        ),
        items(
            "KILL_TEMPLATE_NULL_FIELDS",
            ["byline", "place"],
            "Fields that are nulled when the template `kill` is applied to an item.",
        ),
        text(
            "MACROS_DIR",
            None,
            "Directory of the macros, python modules that change items; none has no macros.",
        ),
        text(
            "UPDATE_TRANSLATION_METADATA_MACRO",
            None,
            "Macro that is run on each translation, after those for its languages.",
        ),
        items(
            "EXCLUDED_VOCABULARY_FIELDS",
            [
                "default_categories",
                "signal",
                "rightsinfo",
                "subscriber_types",
                "crop_sizes",
                "desk_types",
                "replace_words",
                "locators",
                "product_types",
                "author_roles",
                "job_titles",
            ],
            "Vocabularies that filter conditions cannot name, whatever their type.",
        ),
    ),
    "Lifecycle": (
        number(
            "CONTENT_EXPIRY_MINUTES",
            0,
            "Minutes until an item expires; 0 is never. Stage and desk may say otherwise.",
        ),
        number(
            "PUBLISHED_CONTENT_EXPIRY_MINUTES",
            0,
            "The same for published items; 0 uses the rule for unpublished ones.",
        ),
        number(
            "SPIKE_EXPIRY_MINUTES",
            None,
            "The same for spiked items; none uses the rule for unpublished ones.",
        ),
        number(
            "ARCHIVED_EXPIRY_MINUTES", 0, "Minutes that archived items are kept; 0 is for ever."
        ),
        number(
            "PUBLISH_QUEUE_EXPIRY_MINUTES",
            20160,
            "Minutes that finished deliveries and mails stay on record; 0 is for ever. Below 0 "
            "every run of the expiry removes all deliveries, finished or not.",
        ),
        number("MAX_EXPIRY_QUERY_LIMIT", 100, "Expired items looked at in one batch."),
        number("MAX_EXPIRY_LOOPS", 100, "Batches of one expiry run."),
        flag(
            "WORKFLOW_ALLOW_MULTIPLE_UPDATES",
            False,
            "Updates may be made of updates that are not out yet.",
        ),
        flag(
            "ALLOW_UPDATING_SCHEDULED_ITEMS",
            False,
            "Updates and corrections of stories that are only scheduled.",
        ),
        flag(
            "RESET_PRIORITY_VALUE_FOR_UPDATE_ARTICLES",
            False,
            "Updates start with the default priority instead of their story's.",
        ),
        items("COPY_ON_REWRITE_FIELDS", [], "Further fields that updates take from their story."),
        flag(
            "CORRECTIONS_WORKFLOW",
            False,
            "Corrections are written in a state of their own before they are published.",
        ),
        flag(
            "BROADCAST_ENABLED",
            True,
            "Broadcast scripts have rules of their own: they follow what becomes of their masters, "
            "keep their genre, are no updates, go to wire subscribers only when they are sent "
            "again, and are not killed in the archive.",
        ),
        flag(
            "LEGAL_ARCHIVE",
            False,
            "There is a long-term archive; nothing is removed before it is there.",
        ),
        table(
            "SCHEMA",
            {},
            "Validation schemas by item type, between content profiles and validators.",
        ),
        flag(
            "AUTO_PUBLISH_CONTENT_PROFILE",
            True,
            "Content profiles also validate what routing rules publish.",
        ),
        flag(
            "VALIDATE_MEDIA_METADATA_ON_PUBLISH",
            True,
            "Metadata of associated media is checked when the story is published.",
        ),
        table(
            "PICTURE_METADATA_MAPPING",
            {},
            "Item field to the IPTC property that is written into the files of published "
            "pictures, see [below](#picture-metadata).",
        ),
        flag(
            "PUBLISH_ASSOCIATED_ITEMS",
            False,
            "Associated items are published, corrected and killed with the story that holds them.",
        ),
        flag(
            "COPY_METADATA_FROM_PARENT",
            False,
            "Associated media take metadata from the story that holds them.",
        ),
        text(
            "LABELS_DIR",
            None,
            "Directory with `<language>.json`: names of fields in validation messages.",
        ),
        items(
            "DISALLOWED_CHARACTERS", [], "Characters that fields with `validate_characters` refuse."
        ),
    ),
    "Delivery": (
        number(
            "LEASE_SECONDS",
            60,
            "Seconds that a claim on items or rows is good for; renewed at a third of it.",
            least=1,
        ),
        number("ENQUEUE_BATCH_SIZE", 200, "Published rows taken by one enqueue batch.", least=1),
        number(
            "RULES_MAX_AGE_SECONDS",
            10,
            "Seconds until an enqueue run sees changes of the routing rules that were made past "
            "the API, straight in the database. Those made through it count at once.",
        ),
        number(
            "ENQUEUE_MAX_ATTEMPTS",
            3,
            "Attempts at routing an item whose failure may pass, before it ends in `error`.",
        ),
        flag(
            "UNPUBLISH_TO_MATCHING_SUBSCRIBERS",
            True,
            "Kill, takedown and unpublish go to matching subscribers when nobody is on record.",
        ),
        choice(
            "PUBLISH_ASSOCIATIONS_RESEND",
            "new",
            ("new", "updates", "corrections", False),
            'Associated media that are out are sent again with stories: "new", with "updates" '
            'of these too, or with all "corrections" too; false never.',
        ),
        flag(
            "STRICT_TARGETING",
            False,
            "Items cannot target subscribers whose is_targetable is false.",
        ),
        flag(
            "STRICT_DESTINATIONS",
            False,
            "Active subscribers need known formats and delivery types, completely configured.",
        ),
        number(
            "MAX_VALUE_OF_PUBLISH_SEQUENCE",
            9999,
            "Highest `published_seq_num` where a subscriber sets none.",
        ),
        flag(
            "ERROR_NOTIFICATIONS",
            True,
            "Administrators are told of failing deliveries, by activities and mails.",
        ),
        number(
            "EMAIL_NOTIFICATION_RESEND",
            24,
            "Hours after which a mail about the same failure of a destination is sent again.",
        ),
        flag(
            "TRANSMIT_IMMEDIATELY",
            True,
            "Deliveries are attempted as soon as they are routed, and what is wanted at CMS sites "
            "(records, deployments, reading a site) as soon as it is. Off, all of it waits for the "
            "beat's next tick, `publish:transmit` or `publisher:dispatch`, with "
            "`CELERY_TASK_ALWAYS_EAGER`, too.",
        ),
        number("MAX_TRANSMIT_RETRY_ATTEMPT", 10, "Tries after the first.", least=0),
        number("MAX_TRANSMIT_QUERY_LIMIT", 100, "Rows of one lane taken by one claim.", least=1),
        number(
            "TRANSMIT_THREADS",
            8,
            "Threads that deliver, in each worker process; those that a receiver lets wait do not "
            "count, and there are five times as many at most.",
            least=1,
        ),
        number(
            "DELIVERY_COUNTERS_DAYS",
            8,
            "Days that counts of deliveries per destination and hour are kept.",
        ),
        number("RETRY_JITTER", 0.1, "Share of a retry delay that is added at random.", least=0),
        number(
            "HOLD_OLDER_THAN_HOURS",
            24,
            "Hours after which a delivery that waited for its destination or its subscriber to go "
            "on is sent only once somebody has said so; 0 never asks.",
        ),
        number(
            "DISABLE_FAILING_AFTER_DAYS",
            5,
            "Days without a single success after which a destination is disabled; 0 for never.",
        ),
        number(
            "DISABLE_FAILING_AFTER_ATTEMPTS",
            10,
            "Attempts that must have failed in that time.",
        ),
        flag(
            "DISABLE_GONE",
            True,
            "Disable a destination at once that answers 410: it says that it is gone.",
        ),
        flag(
            "TRANSMIT_ALLOW_PRIVATE_ADDRESSES",
            True,
            "Deliver to private, loopback and link-local addresses, whatever the delivery type.",
        ),
        networks(
            "TRANSMIT_ALLOWED_NETWORKS",
            [],
            "Networks (CIDR) that stay allowed when private addresses are not.",
        ),
        number(
            "TRANSMIT_CONNECTIONS_PER_HOST",
            8,
            "Connections of a process to one port of a host, of all delivery types and "
            "destinations.",
            least=1,
        ),
        items("HTTP_PUSH_TIMEOUT", [5, 30], "Seconds: connect, read."),
        number("HTTP_PUSH_TOTAL_TIMEOUT", 60, "Seconds for one whole HTTP attempt.", least=1),
        number("HTTP_PUSH_KEPT_BYTES", 20_000, "Bytes of an HTTP response that are kept.", least=0),
        number(
            "HTTP_PUSH_DRAINED_BYTES",
            1 << 20,
            "Bytes of an HTTP response that are read; a longer one costs the connection.",
            least=0,
        ),
        number("FTP_TIMEOUT", 300, "Seconds for one whole attempt by FTP or SFTP.", least=1),
        number(
            "FTP_REPLY_TIMEOUT",
            30,
            "Seconds to connect to a server of FTP or SFTP, and to wait for each of its replies.",
            least=1,
        ),
        text(
            "FILE_ROOT",
            None,
            "Directory outside which `File` destinations are refused; none allows every directory.",
        ),
        number(
            "FILE_TIMEOUT",
            60,
            "Seconds for one whole attempt to write a file: a share that is gone may never answer.",
            least=1,
        ),
        flag(
            "ODBC_PUBLISH",
            False,
            "Items are delivered by ODBC. Who may edit subscribers then reaches every database "
            "that an installed driver reaches.",
        ),
        number("ODBC_TIMEOUT", 60, "Seconds for one whole attempt by ODBC.", least=1),
        text(
            "IMATRICS_BASE_URL",
            None,
            "Address of iMatrics, for `imatrics` destinations: articles go to "
            "`IMATRICS_BASE_URL/article/store`.",
        ),
        text("IMATRICS_USER", None, "User there."),
        secret("IMATRICS_KEY", "Password of that user."),
    ),
    "CMS sites": (
        flag("PUBLISHER_ALLOW_HTTP", False, "Sites may be reached without TLS, for tests."),
        flag(
            "PUBLISHER_ALLOW_PRIVATE",
            False,
            "Sites may have private and link-local addresses.",
        ),
        number("PUBLISHER_CONCURRENCY", 2, "Celery worker processes of CMS sites.", least=1),
        number("PUBLISHER_THREADS", 4, "Sites that each worker process serves at a time.", least=1),
        number(
            "PUBLISHER_MAX_PIXELS",
            40_000_000,
            "Pixels of a picture that is made smaller because a site does not take it as it is.",
        ),
    ),
    "Content API": (
        flag(
            "CONTENTAPI_ENABLED", True, "Subscribers may read what is published in the content API."
        ),
        text(
            "CONTENTAPI_URL",
            None,
            "Its address in absolute links; where its path is another than that of PUBLIC_URL, it "
            "is served there, too.",
            derived="PUBLIC_URL",
        ),
        number(
            "CONTENT_API_EXPIRY_DAYS",
            0,
            "Days after its last change that an item can be read there; 0 is for ever.",
        ),
        number(
            "CONTENT_API_AUDIT_EXPIRY_DAYS",
            0,
            "Days that it is on record in api_audit who read what there; 0 is for ever.",
        ),
    ),
    "Output": (
        text("NEWSML_PROVIDER_ID", "wiredesk", "Who sends, in formats that name it."),
        text(
            "NEWSML12_DOCTYPE",
            None,
            "Address of the DTD that NewsML 1.2 documents name; none names no DTD.",
        ),
        text(
            "EMAIL_TEMPLATES",
            None,
            "Directory with templates of the format `email`; those it lacks are the built-in ones.",
        ),
        table(
            "EMAIL_PREFIXES",
            {
                "corrected": "Correction: ",
                "killed": "Kill: ",
                "recalled": "Takedown: ",
                "unpublished": "Withdrawn: ",
            },
            "What subjects of mails begin with, by state of the item.",
        ),
        items(
            "NINJS_COMMON_RENDITIONS",
            ["thumbnail", "viewImage", "baseImage"],
            "Renditions of a picture that ninjs sends besides the original and the active crops.",
        ),
        flag("NINJS_PLACE_EXTENDED", False, "ninjs sends all that is known of a place."),
        flag(
            "EMBED_PRODUCT_FILTERING",
            False,
            "`ftp ninjs` leaves out media in the text that none of the subscriber's products "
            "takes.",
        ),
        items(
            "NINJS_TRUST_INDICATORS",
            [],
            "Trust indicators in ninjs 3: objects with role, title and href (URIs).",
        ),
        table(
            "NINJS_RIGHTS_INFO",
            {},
            "Rights in ninjs 3: an object with langId and linkedRights (URIs) or encodedRights.",
        ),
        number("FEED_PAGE_SIZE", 50, "Entries of a page of a feed."),
        number("FEED_PAGE_LIMIT", 200, "Most entries of a page that its reader may ask for."),
        number("JAPANESE_CHARACTERS_PER_MINUTE", 600, "Reading speed for Japanese text."),
    ),
    "Mail": (
        text("MAIL_SERVER", None, "Server for outgoing mail; none sends no mail."),
        number("MAIL_PORT", 25, "Its port."),
        text("MAIL_USERNAME", None, "User to log in as; none does not log in."),
        secret("MAIL_PASSWORD", "Password of that user."),
        flag("MAIL_USE_TLS", False, "Turn to TLS before anything is said (STARTTLS)."),
        flag("MAIL_USE_SSL", False, "Speak TLS from the first byte, usually on port 465."),
        items(
            "ADMINS",
            [],
            "Addresses of those who run the installation; the first one is the sender of mails.",
        ),
        number(
            "EMAIL_TIMEOUT",
            10,
            "Seconds for each answer of the server; a mail takes ten times as long at most.",
            least=1,
        ),
        text(
            "WATERMARK_IMAGE",
            None,
            "Picture file that is laid over pictures of destinations with `watermark`; best a PNG "
            "with transparent parts.",
        ),
    ),
}
"""All settings by section of the reference."""

SETTINGS = tuple(chain.from_iterable(SECTIONS.values()))
SECRETS = tuple(setting.name for setting in SETTINGS if setting.is_secret)
"""Settings that are masked wherever settings are shown."""
RENAMED = {
    "HTTP_PUSH_ALLOW_PRIVATE_ADDRESSES": "TRANSMIT_ALLOW_PRIVATE_ADDRESSES",
    "HTTP_PUSH_ALLOWED_NETWORKS": "TRANSMIT_ALLOWED_NETWORKS",
}
"""Names of earlier releases: who sets one of them would be less safe if it were passed over."""

DATABASES = (
    ("CONTENTAPI_MONGO_URI", "CONTENTAPI_MONGO_DBNAME", "contentapi"),
    ("LEGAL_ARCHIVE_URI", "LEGAL_ARCHIVE_DBNAME", "legal_archive"),
)
"""What may have a database of its own: settings of its server and its name, the default name."""


def load(
    overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return all settings.

    Args:
        overrides: values that win over the environment, for tests and embedding programs.
        environ: the environment; `os.environ` unless given.

    Raises:
        ConfigurationError: names every bad setting.
    """
    read = read_all(SETTINGS, os.environ if environ is None else environ, RENAMED)
    return _derive({**read, **(overrides or {})})


def _derive(settings: dict[str, Any]) -> dict[str, Any]:
    """Fill the settings whose default depends on others."""
    prefix = settings["URL_PREFIX"].strip("/")
    settings["URL_PREFIX"] = prefix
    if not settings["PUBLIC_URL"]:
        settings["PUBLIC_URL"] = f"http://{settings['HOST']}:{settings['PORT']}/{prefix}"
    settings["PUBLIC_URL"] = settings["PUBLIC_URL"].rstrip("/")
    settings["CONTENTAPI_URL"] = (settings["CONTENTAPI_URL"] or settings["PUBLIC_URL"]).rstrip("/")
    if not settings["MEDIA_PREFIX"]:
        settings["MEDIA_PREFIX"] = f"{settings['PUBLIC_URL']}/upload-raw"
    settings["MEDIA_PREFIX"] = settings["MEDIA_PREFIX"].rstrip("/")
    if not settings["URN_DOMAIN"]:
        settings["URN_DOMAIN"] = urlsplit(settings["PUBLIC_URL"]).hostname or socket.gethostname()
    settings["MONGO_DBNAME"] = settings["MONGO_DBNAME"] or _named_in(settings["MONGO_URI"])
    settings["MONGO_DBNAME"] = settings["MONGO_DBNAME"] or "wiredesk"
    for uri, name, fallback in DATABASES:
        if settings[uri] and not settings[name]:
            settings[name] = _named_in(settings[uri]) or fallback
    settings["CELERY_BROKER_URL"] = settings["CELERY_BROKER_URL"] or settings["REDIS_URL"]
    settings["ENCRYPTION_KEYS"] = key_list(settings["ENCRYPTION_KEYS"])
    settings["SECRET_KEY"] = settings["SECRET_KEY"] or secrets.token_urlsafe(32)
    return settings


def _named_in(uri: str | None) -> str:
    """Return the name of the database that the address of a server holds; empty for none."""
    return urlsplit(uri or "").path.strip("/")


def key_list(value: str | Sequence[str] | None) -> list[str]:
    """Return keys that are given as a list, as the JSON of one, or separated by commas."""
    if not isinstance(value, str):
        return list(value or ())
    parsed = parse(value)
    if isinstance(parsed, list):
        return [str(key) for key in parsed]
    return [key.strip() for key in value.split(",") if key.strip()]
