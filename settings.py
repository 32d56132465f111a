"""Every setting of Wiredesk: name, default, meaning.

Each can be set by an environment variable of its name; a value that parses as JSON is JSON.
`python manage.py settings` prints what is in force. Reference: `docs/settings.md`.
"""

import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from apps.core.env import Environment, parse

SECRETS = (
    "SECRET_KEY",
    "ENCRYPTION_KEYS",
    "MONGO_URI",
    "CONTENTAPI_MONGO_URI",
    "LEGAL_ARCHIVE_URI",
    "REDIS_URL",
    "CELERY_BROKER_URL",
    "MAIL_PASSWORD",
)
"""Settings that are masked wherever settings are shown."""

DATABASES = (
    ("CONTENTAPI_MONGO_URI", "CONTENTAPI_MONGO_DBNAME", "contentapi"),
    ("LEGAL_ARCHIVE_URI", "LEGAL_ARCHIVE_DBNAME", "legal_archive"),
)
"""What may have a database of its own: settings of its server and its name, the default name."""

EXCLUDED_VOCABULARY_FIELDS = (
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
)

EMAIL_PREFIXES = {
    "corrected": "Correction: ",
    "killed": "Kill: ",
    "recalled": "Takedown: ",
    "unpublished": "Withdrawn: ",
}


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
    env = Environment(os.environ if environ is None else environ)
    settings: dict[str, Any] = {}
    readers = (
        *(_processes, _stores, _rest, _security, _newsroom),
        *(_lifecycle, _delivery, _content_api, _output, _mail),
    )
    for read in readers:
        settings.update(read(env))
    settings.update(overrides or {})
    env.check()
    return _derive(settings)


def _processes(env: Environment) -> dict[str, Any]:
    return {
        # Address and port on which the web process listens.
        "HOST": env.text("HOST", "127.0.0.1"),
        "PORT": env.number("PORT", 5000),
        # Address and port on which the websocket process listens.
        "WSHOST": env.text("WSHOST", "127.0.0.1"),
        "WSPORT": env.number("WSPORT", 5100),
        # Gunicorn: processes, and threads in each.
        "WEB_WORKERS": env.number("WEB_WORKERS", 2),
        "WEB_THREADS": env.number("WEB_THREADS", 8),
        # Celery worker processes.
        "WORKER_CONCURRENCY": env.number("WORKER_CONCURRENCY", 2),
        # Tasks run inside the request or command that starts them; no worker, no beat needed.
        "CELERY_TASK_ALWAYS_EAGER": env.flag("CELERY_TASK_ALWAYS_EAGER", False),
        # Prefix of the Celery queue names, for several installations on one broker.
        "CELERY_PREFIX": env.text("CELERY_PREFIX", ""),
        # DEBUG, INFO, WARNING or ERROR.
        "LOG_LEVEL": env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
    }


def _stores(env: Environment) -> dict[str, Any]:
    return {
        # Data of the embedded stores, their discovery file, logs.
        "DATA_DIR": env.text("DATA_DIR", "var"),
        # MongoDB; none starts the embedded store.
        "MONGO_URI": env.secret("MONGO_URI", None),
        # Database; the name in MONGO_URI counts when this is not set, then `wiredesk`.
        "MONGO_DBNAME": env.text("MONGO_DBNAME", None),
        # Server of the content API's database; none is the main one.
        "CONTENTAPI_MONGO_URI": env.secret("CONTENTAPI_MONGO_URI", None),
        # Its name; the one in CONTENTAPI_MONGO_URI counts when this is not set, then `contentapi`;
        # without either the database is the main one.
        "CONTENTAPI_MONGO_DBNAME": env.text("CONTENTAPI_MONGO_DBNAME", None),
        # Server of the long-term archive's database; none is the main one.
        "LEGAL_ARCHIVE_URI": env.secret("LEGAL_ARCHIVE_URI", None),
        # Its name; the one in LEGAL_ARCHIVE_URI counts when this is not set, then `legal_archive`;
        # without either the database is the main one.
        "LEGAL_ARCHIVE_DBNAME": env.text("LEGAL_ARCHIVE_DBNAME", None),
        # Redis; none starts the embedded store.
        "REDIS_URL": env.secret("REDIS_URL", None),
        # Celery's broker; REDIS_URL unless set.
        "CELERY_BROKER_URL": env.secret("CELERY_BROKER_URL", None),
        # Redis pub/sub channel of notifications.
        "NOTIFICATION_CHANNEL": env.text("NOTIFICATION_CHANNEL", "wiredesk_notifications"),
    }


def _rest(env: Environment) -> dict[str, Any]:
    return {
        # First part of every path.
        "URL_PREFIX": env.text("URL_PREFIX", "api"),
        # The API's own address in absolute links, without a trailing slash.
        "PUBLIC_URL": env.text("PUBLIC_URL", None),
        # Where receivers find media; their ids follow.
        "MEDIA_PREFIX": env.text("MEDIA_PREFIX", None),
        # Rows of a list: default and maximum.
        "PAGINATION_DEFAULT": env.number("PAGINATION_DEFAULT", 500),
        "PAGINATION_LIMIT": env.number("PAGINATION_LIMIT", 500),
    }


def _security(env: Environment) -> dict[str, Any]:
    return {
        # Signs cookies; random per process unless set, which is enough for token clients.
        "SECRET_KEY": env.secret("SECRET_KEY", None),
        # Encrypt the secrets of destinations: Fernet keys, newest first, as a JSON list or
        # separated by commas; none makes a key file in DATA_DIR.
        "ENCRYPTION_KEYS": env.secret("ENCRYPTION_KEYS", None),
        # Cost of password hashes; each step doubles it.
        "BCRYPT_GENSALT_WORK_FACTOR": env.number("BCRYPT_GENSALT_WORK_FACTOR", 12),
        # Age after which a password no longer logs in, days; 0 is never.
        "PASSWORD_EXPIRY_DAYS": env.number("PASSWORD_EXPIRY_DAYS", 0),
        # Minutes without a request after which a session ends.
        "SESSION_EXPIRY_MINUTES": env.number("SESSION_EXPIRY_MINUTES", 240),
        # Seconds after which a request refreshes its session.
        "SESSION_UPDATE_SECONDS": env.number("SESSION_UPDATE_SECONDS", 30),
        # Websocket clients must show a token; off equals Superdesk.
        "WEBSOCKET_REQUIRE_TOKEN": env.flag("WEBSOCKET_REQUIRE_TOKEN", True),
    }


def _newsroom(env: Environment) -> dict[str, Any]:
    article = [{"qcode": "Article", "name": "Article (news)"}]
    return {
        # Zone of times that are shown in texts.
        "DEFAULT_TIMEZONE": env.text("DEFAULT_TIMEZONE", "UTC"),
        # Language of items, unless they or their desk say otherwise.
        "DEFAULT_LANGUAGE": env.text("DEFAULT_LANGUAGE", "en"),
        # Profile of text items that name none.
        "DEFAULT_CONTENT_TYPE": env.text("DEFAULT_CONTENT_TYPE", None),
        # Metadata of items written by hand that do not bring their own.
        "DEFAULT_SOURCE_VALUE_FOR_MANUAL_ARTICLES": env.text(
            "DEFAULT_SOURCE_VALUE_FOR_MANUAL_ARTICLES", "Superdesk"
        ),
        "DEFAULT_PRIORITY_VALUE_FOR_MANUAL_ARTICLES": env.number(
            "DEFAULT_PRIORITY_VALUE_FOR_MANUAL_ARTICLES", 6
        ),
        "DEFAULT_URGENCY_VALUE_FOR_MANUAL_ARTICLES": env.number(
            "DEFAULT_URGENCY_VALUE_FOR_MANUAL_ARTICLES", 3
        ),
        "DEFAULT_GENRE_VALUE_FOR_MANUAL_ARTICLES": env.items(
            "DEFAULT_GENRE_VALUE_FOR_MANUAL_ARTICLES", article
        ),
        # Host part of generated item ids.
        "URN_DOMAIN": env.text("URN_DOMAIN", None),
        # Item ids are bare UUIDs.
        "GENERATE_SHORT_GUID": env.flag("GENERATE_SHORT_GUID", False),
        # User field that `sign_off` of a new user is taken from; initials unless set.
        "SIGN_OFF_MAPPING": env.text("SIGN_OFF_MAPPING", None),
        # Regular expression of user names.
        "USERNAME_PATTERN": env.text("USERNAME_PATTERN", r"^[\w.@+'-]+$"),
        # Source in the datelines that users write.
        "ORGANIZATION_NAME_ABBREVIATION": env.text("ORGANIZATION_NAME_ABBREVIATION", "WD"),
        # Keep every earlier mark of a user in `sign_off`.
        "FULL_SIGN_OFF": env.flag("FULL_SIGN_OFF", False),
        # Python modules with receivers of hooks.
        "HOOK_MODULES": env.items("HOOK_MODULES", []),
        # Let users copy items of desks to themselves, and duplicate items without a desk.
        "WORKFLOW_ALLOW_COPY_TO_PERSONAL": env.flag("WORKFLOW_ALLOW_COPY_TO_PERSONAL", True),
        # Fields that are nulled when the template `kill` is applied to an item.
        "KILL_TEMPLATE_NULL_FIELDS": env.items("KILL_TEMPLATE_NULL_FIELDS", ["byline", "place"]),
        # Directory of the macros, python modules that change items; none has no macros.
        "MACROS_DIR": env.text("MACROS_DIR", None),
        # Vocabularies that filter conditions cannot name, whatever their type.
        "EXCLUDED_VOCABULARY_FIELDS": env.items(
            "EXCLUDED_VOCABULARY_FIELDS", list(EXCLUDED_VOCABULARY_FIELDS)
        ),
    }


def _lifecycle(env: Environment) -> dict[str, Any]:
    return {
        # Minutes until an item expires; 0 is never. Stage and desk may say otherwise.
        "CONTENT_EXPIRY_MINUTES": env.number("CONTENT_EXPIRY_MINUTES", 0),
        # The same for published items; 0 uses the rule for unpublished ones.
        "PUBLISHED_CONTENT_EXPIRY_MINUTES": env.number("PUBLISHED_CONTENT_EXPIRY_MINUTES", 0),
        # The same for spiked items; none uses the rule for unpublished ones.
        "SPIKE_EXPIRY_MINUTES": env.number("SPIKE_EXPIRY_MINUTES", None),
        # Minutes that archived items are kept; 0 is for ever.
        "ARCHIVED_EXPIRY_MINUTES": env.number("ARCHIVED_EXPIRY_MINUTES", 0),
        # Minutes that finished deliveries and mails stay on record; 0 is for ever.
        "PUBLISH_QUEUE_EXPIRY_MINUTES": env.number("PUBLISH_QUEUE_EXPIRY_MINUTES", 20160),
        # Expired items looked at in one batch.
        "MAX_EXPIRY_QUERY_LIMIT": env.number("MAX_EXPIRY_QUERY_LIMIT", 100),
        # Batches of one expiry run.
        "MAX_EXPIRY_LOOPS": env.number("MAX_EXPIRY_LOOPS", 100),
        # Updates of updates that are not out yet.
        "WORKFLOW_ALLOW_MULTIPLE_UPDATES": env.flag("WORKFLOW_ALLOW_MULTIPLE_UPDATES", False),
        # Updates and corrections of stories that are only scheduled.
        "ALLOW_UPDATING_SCHEDULED_ITEMS": env.flag("ALLOW_UPDATING_SCHEDULED_ITEMS", False),
        # Updates start with the default priority instead of their story's.
        "RESET_PRIORITY_VALUE_FOR_UPDATE_ARTICLES": env.flag(
            "RESET_PRIORITY_VALUE_FOR_UPDATE_ARTICLES", False
        ),
        # Further fields that updates take from their story.
        "COPY_ON_REWRITE_FIELDS": env.items("COPY_ON_REWRITE_FIELDS", []),
        # Corrections are written in a state of their own before they are published.
        "CORRECTIONS_WORKFLOW": env.flag("CORRECTIONS_WORKFLOW", False),
        # Broadcast scripts have rules of their own.
        "BROADCAST_ENABLED": env.flag("BROADCAST_ENABLED", True),
        # There is a long-term archive; nothing is removed before it is there.
        "LEGAL_ARCHIVE": env.flag("LEGAL_ARCHIVE", False),
        # Validation schemas by item type, between content profiles and validators.
        "SCHEMA": env.table("SCHEMA", {}),
        # Content profiles also validate what routing rules publish.
        "AUTO_PUBLISH_CONTENT_PROFILE": env.flag("AUTO_PUBLISH_CONTENT_PROFILE", True),
        # Metadata of associated media is checked when the story is published.
        "VALIDATE_MEDIA_METADATA_ON_PUBLISH": env.flag("VALIDATE_MEDIA_METADATA_ON_PUBLISH", True),
        # Item field to the IPTC property that is written into the files of published pictures.
        "PICTURE_METADATA_MAPPING": env.table("PICTURE_METADATA_MAPPING", {}),
        # Associated items are published, corrected and killed with the story that holds them.
        "PUBLISH_ASSOCIATED_ITEMS": env.flag("PUBLISH_ASSOCIATED_ITEMS", False),
        # Associated media take metadata from the story that holds them.
        "COPY_METADATA_FROM_PARENT": env.flag("COPY_METADATA_FROM_PARENT", False),
        # Directory with `<language>.json`: names of fields in validation messages.
        "LABELS_DIR": env.text("LABELS_DIR", None),
        # Characters that fields with `validate_characters` refuse.
        "DISALLOWED_CHARACTERS": env.items("DISALLOWED_CHARACTERS", []),
    }


def _delivery(env: Environment) -> dict[str, Any]:
    return {
        # Seconds that a claim on items or rows is good for; renewed at a third of it.
        "LEASE_SECONDS": env.number("LEASE_SECONDS", 60),
        # Published rows taken by one enqueue batch.
        "ENQUEUE_BATCH_SIZE": env.number("ENQUEUE_BATCH_SIZE", 200),
        # Seconds until enqueue runs see changes of the routing rules that were made past the API.
        "RULES_MAX_AGE_SECONDS": env.number("RULES_MAX_AGE_SECONDS", 10),
        # Attempts at routing an item whose failure may pass, before it ends in `error`.
        "ENQUEUE_MAX_ATTEMPTS": env.number("ENQUEUE_MAX_ATTEMPTS", 5),
        # Kill, takedown and unpublish go to matching subscribers when nobody is on record.
        "UNPUBLISH_TO_MATCHING_SUBSCRIBERS": env.flag("UNPUBLISH_TO_MATCHING_SUBSCRIBERS", True),
        # Associated media that are out are sent again with stories: "new", with "updates" of these
        # too, or with all "corrections" too; false never.
        "PUBLISH_ASSOCIATIONS_RESEND": env.choice(
            "PUBLISH_ASSOCIATIONS_RESEND", "new", ("new", "updates", "corrections", False)
        ),
        # Items cannot target subscribers whose is_targetable is false.
        "STRICT_TARGETING": env.flag("STRICT_TARGETING", False),
        # Active subscribers need known formats and delivery types, completely configured.
        "STRICT_DESTINATIONS": env.flag("STRICT_DESTINATIONS", False),
        # Highest `published_seq_num` where a subscriber sets none.
        "MAX_VALUE_OF_PUBLISH_SEQUENCE": env.number("MAX_VALUE_OF_PUBLISH_SEQUENCE", 9999),
        # Administrators are told of failing deliveries, by activities and mails.
        "ERROR_NOTIFICATIONS": env.flag("ERROR_NOTIFICATIONS", True),
        # Hours after which a mail about the same failure of a destination is sent again.
        "EMAIL_NOTIFICATION_RESEND": env.number("EMAIL_NOTIFICATION_RESEND", 24),
        # Tries after the first.
        "MAX_TRANSMIT_RETRY_ATTEMPT": env.number("MAX_TRANSMIT_RETRY_ATTEMPT", 10),
        # Rows of one lane taken by one claim.
        "MAX_TRANSMIT_QUERY_LIMIT": env.number("MAX_TRANSMIT_QUERY_LIMIT", 100),
        # Threads that deliver, in each worker process.
        "TRANSMIT_THREADS": env.number("TRANSMIT_THREADS", 8),
        # Share of a retry delay that is added at random.
        "RETRY_JITTER": env.number("RETRY_JITTER", 0.1),
        # Seconds: connect, read.
        "HTTP_PUSH_TIMEOUT": env.items("HTTP_PUSH_TIMEOUT", [5, 30]),
        # Seconds for one whole HTTP attempt.
        "HTTP_PUSH_TOTAL_TIMEOUT": env.number("HTTP_PUSH_TOTAL_TIMEOUT", 60),
        # Deliver to private, loopback and link-local addresses.
        "HTTP_PUSH_ALLOW_PRIVATE_ADDRESSES": env.flag("HTTP_PUSH_ALLOW_PRIVATE_ADDRESSES", True),
        # Networks (CIDR) that stay allowed when private addresses are not.
        "HTTP_PUSH_ALLOWED_NETWORKS": env.items("HTTP_PUSH_ALLOWED_NETWORKS", []),
        # Directory outside which `File` destinations are refused; none allows every directory.
        "FILE_ROOT": env.text("FILE_ROOT", None),
    }


def _content_api(env: Environment) -> dict[str, Any]:
    return {
        # Subscribers may read what is published in the content API.
        "CONTENTAPI_ENABLED": env.flag("CONTENTAPI_ENABLED", True),
        # Its address in absolute links, without a trailing slash; where its path is another than
        # that of PUBLIC_URL, it is served there, too.
        "CONTENTAPI_URL": env.text("CONTENTAPI_URL", None),
        # Days after its last change that an item can be read there; 0 is for ever.
        "CONTENT_API_EXPIRY_DAYS": env.number("CONTENT_API_EXPIRY_DAYS", 0),
        # Days that it is on record in api_audit who read what there; 0 is for ever.
        "CONTENT_API_AUDIT_EXPIRY_DAYS": env.number("CONTENT_API_AUDIT_EXPIRY_DAYS", 0),
    }


def _output(env: Environment) -> dict[str, Any]:
    return {
        # Who sends, in formats that name it.
        "NEWSML_PROVIDER_ID": env.text("NEWSML_PROVIDER_ID", "wiredesk"),
        # Address of the DTD that NewsML 1.2 documents name; none names no DTD.
        "NEWSML12_DOCTYPE": env.text("NEWSML12_DOCTYPE", None),
        # Directory with templates of the format `email`; those it lacks are the built-in ones.
        "EMAIL_TEMPLATES": env.text("EMAIL_TEMPLATES", None),
        # What subjects of mails begin with, by state of the item.
        "EMAIL_PREFIXES": env.table("EMAIL_PREFIXES", dict(EMAIL_PREFIXES)),
        # Renditions of a picture that ninjs sends besides the original and the active crops.
        "NINJS_COMMON_RENDITIONS": env.items(
            "NINJS_COMMON_RENDITIONS", ["thumbnail", "viewImage", "baseImage"]
        ),
        # ninjs sends all that is known of a place.
        "NINJS_PLACE_EXTENDED": env.flag("NINJS_PLACE_EXTENDED", False),
        # `ftp ninjs` leaves out media in the text that none of the subscriber's products takes.
        "EMBED_PRODUCT_FILTERING": env.flag("EMBED_PRODUCT_FILTERING", False),
        # Trust indicators in ninjs 3: objects with role, title and href (URIs).
        "NINJS_TRUST_INDICATORS": env.items("NINJS_TRUST_INDICATORS", []),
        # Rights in ninjs 3: an object with langId and linkedRights (URIs) or encodedRights.
        "NINJS_RIGHTS_INFO": env.table("NINJS_RIGHTS_INFO", {}),
        # Entries of a page of a feed, and the most that its reader may ask for.
        "FEED_PAGE_SIZE": env.number("FEED_PAGE_SIZE", 50),
        "FEED_PAGE_LIMIT": env.number("FEED_PAGE_LIMIT", 200),
        # Reading speed for Japanese text.
        "JAPANESE_CHARACTERS_PER_MINUTE": env.number("JAPANESE_CHARACTERS_PER_MINUTE", 600),
    }


def _mail(env: Environment) -> dict[str, Any]:
    return {
        # Server for outgoing mail; none sends no mail.
        "MAIL_SERVER": env.text("MAIL_SERVER", None),
        # Its port.
        "MAIL_PORT": env.number("MAIL_PORT", 25),
        # User to log in as; none does not log in.
        "MAIL_USERNAME": env.text("MAIL_USERNAME", None),
        # Password of that user.
        "MAIL_PASSWORD": env.secret("MAIL_PASSWORD", None),
        # Turn to TLS before anything is said.
        "MAIL_USE_TLS": env.flag("MAIL_USE_TLS", False),
        # Addresses of those who run the installation; the first one is the sender of mails.
        "ADMINS": env.items("ADMINS", []),
        # Seconds for each answer of the server.
        "EMAIL_TIMEOUT": env.number("EMAIL_TIMEOUT", 10),
    }


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
