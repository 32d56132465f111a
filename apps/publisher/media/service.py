"""`publisher_media`: the ledger of uploads, to read (cms contract 3.5)."""

from apps.publisher.integrations.rows import IntegrationRows


class MediaService(IntegrationRows):
    """What was uploaded where."""

    resource = "publisher_media"
