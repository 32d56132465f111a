"""New secrets for destinations that sign what they send (delivery contract 7.2)."""

from collections.abc import Mapping
from typing import Any

from apps.core.caller import Caller
from apps.core.documents import text_of
from apps.core.errors import Conflict, SchemaIssues
from apps.core.notifier import Notifier
from apps.core.registry import Registry
from apps.core.service import Document
from apps.publish.destinations.service import Action, Target
from apps.routing.subscribers.signing_secrets import KEY, Replaced, SigningSecrets
from transmitters.base import Transmitter

NOT_SIGNED = (
    "Deliveries of type {} are not signed: there is no secret to change. "
    "PATCH the subscriber to change credentials"
)
WRONG_WORD = "must be 'newest' or 'oldest'"
SHOWN_ONCE = (
    "Give the secret to the receiver: it is shown this once. "
    "Deliveries are signed with it within 30 seconds."
)
NEXT_STEP = "Until {:%Y-%m-%d %H:%M} UTC they are signed with the one before, too."


class SecretRotation:
    """Makes new secrets.

    Args:
        secrets: makes and stores them.
        registry: delivery types by name.
        notifier: tells clients.
    """

    def __init__(
        self, secrets: SigningSecrets, registry: Registry[Transmitter], notifier: Notifier
    ) -> None:
        self._secrets = secrets
        self._registry = registry
        self._notifier = notifier

    @property
    def actions(self) -> dict[str, Action]:
        """What can be done with a destination, by name."""
        return {"rotate_secret": Action(self.rotate, {"replace": str})}

    def rotate(self, target: Target, body: Mapping[str, Any], caller: Caller) -> Document:
        """Return a new secret, which nobody sees again.

        Args:
            body: `replace`, which of two valid secrets the new one takes the place of.

        Raises:
            Conflict: deliveries are not signed, or two secrets are valid and nobody says which one
                ends.
        """
        word = body.get("replace")
        if word not in (None, *Replaced):
            raise SchemaIssues({"replace": WRONG_WORD})
        type_ = text_of(target.destination, "delivery_type")
        cls = self._registry.find(type_)
        if cls is None or not is_signed(cls):
            raise Conflict(NOT_SIGNED.format(type_))
        replaced = Replaced(word) if word is not None else None
        made = self._secrets.rotate(target.subscriber["_id"], target.id, replaced)
        self._notifier.push("subscriber:update", _id=[target.subscriber["_id"]])
        message = SHOWN_ONCE
        if made.old_until is not None:
            message = f"{SHOWN_ONCE} {NEXT_STEP.format(made.old_until)}"
        return {
            "_id": target.id,
            "secret": made.secret,
            "old_valid_until": made.old_until,
            "message": message,
        }


def is_signed(cls: type[Transmitter]) -> bool:
    """Whether deliveries of a type are signed with a secret that can be changed."""
    return KEY in {field.name for field in cls.fields}
