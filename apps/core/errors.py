"""Every error of the project.

    WiredeskError
    ├── ServiceError           a rule refused a request; carries the status that the service wants
    │   ├── BadRequest 400 · Unauthorized 401 · Forbidden 403 · NotFound 404 · Conflict 409 ·
    │   │   TransitionError 412 · PreconditionFailed 412 · ServerError 500
    │   ├── EtagMismatch 412       the document was written since it was read
    │   ├── TooManyRequests 429    come back later
    │   ├── CircularReference 400  a package would hold itself
    │   ├── IncompleteWrite 409    what belongs to the last write of an item cannot be written
    │   ├── SchemaIssues 400   the document breaks the schema of its resource
    │   └── PlainError             any status, told as errors of HTTP are; may name an address
    ├── MessagesError          several refusals of one request, as a list of messages
    ├── WarningsError          something that the user has to confirm first
    ├── ValidationFailed       publish validators refused the item; messages and fields
    ├── ReadOnlyStage          a write on a read-only stage
    ├── FormatError            an item could not be written in a format
    ├── DeliveryError          a delivery did not succeed
    │   ├── TemporaryFailure   worth repeating
    │   └── PermanentFailure   repeating cannot help
    └── PluginError            a formatter or transmitter that cannot be registered or found
    ConfigurationError         not a WiredeskError, so that no delivery loop can swallow it

Errors are data: they carry status, codes and ids; the edge that answers the client turns them into
the envelopes (`apps/rest/errors.py`; lifecycle contract 0.1).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cerberus import DocumentError


class WiredeskError(Exception):
    """Base of all errors that a request or a delivery may end in."""


class ServiceError(WiredeskError, DocumentError):
    """A rule refused the request.

    Derives from Cerberus' `DocumentError` because Eve folds exactly that class, raised inside a
    PATCH or PUT, into the `validator exception` issue that clients know (envelope V).

    Args:
        message: text for the client.
        payload: value of `_issues` where the answer has one.
    """

    status = 500

    def __init__(self, message: str = "", payload: Mapping[str, Any] | str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.payload = payload

    def __str__(self) -> str:
        return f"{self.status}: {self.message}"


class BadRequest(ServiceError):
    status = 400


class CircularReference(BadRequest):
    """A package would hold itself (envelope D).

    Args:
        item_id: the member that holds the package.
    """

    def __init__(self, item_id: str) -> None:
        super().__init__(f"Trying to create a circular reference to: {item_id}")

    def __str__(self) -> str:
        return self.message


class Unauthorized(ServiceError):
    status = 401


class Forbidden(ServiceError):
    status = 403


class NotFound(ServiceError):
    status = 404


class Conflict(ServiceError):
    status = 409


class IncompleteWrite(Conflict):
    """What belongs to the last write of an item cannot be written; its note stays.

    Args:
        item_id: the item.
        cause: why.
        left: the writes of other documents that could not be made, where all that is the item's
            own is there; None where some of that is missing, too.
    """

    def __init__(
        self, item_id: Any, cause: str, left: Sequence[Mapping[str, Any]] | None = None
    ) -> None:
        self.left = left
        super().__init__(
            f"The last write of item {item_id} cannot be completed: {cause}."
            " It is tried again; administrators have been notified."
        )


class PreconditionFailed(ServiceError):
    status = 412


class TooLarge(ServiceError):
    """The answer would hold more than an answer may."""

    status = 413


class TooManyRequests(ServiceError):
    """Somebody has tried too often.

    Args:
        seconds: to wait before the next attempt.
        payload: value of `_issues`.
    """

    status = 429

    def __init__(self, seconds: int, payload: Mapping[str, Any]) -> None:
        super().__init__(f"Too many attempts. Try again in {seconds} s.", payload)
        self.seconds = seconds


class EtagMismatch(PreconditionFailed):
    """The document was written since the caller has read it."""

    def __init__(self) -> None:
        super().__init__("Client and server etags don't match")


class TransitionError(PreconditionFailed):
    """The item's state does not allow the action."""


class ServerError(ServiceError):
    status = 500


class SchemaIssues(ServiceError):
    """A document breaks the schema of its resource.

    Args:
        issues: field to issue, as in `_issues`.
    """

    status = 400

    def __init__(self, issues: Mapping[str, Any]) -> None:
        super().__init__("schema", issues)


class PlainError(ServiceError):
    """A refusal that clients are told of as of errors of HTTP (envelope E), inside a PATCH, too.

    Args:
        status: of the answer.
        message: text for the client.
        location: resource and id of the document that is in the way.
        retry_after: seconds to wait before the next attempt.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        location: tuple[str, str] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.location = location
        self.retry_after = retry_after


class MessagesError(WiredeskError, DocumentError):
    """Several refusals collected by one check (envelope L).

    Args:
        messages: texts for the client, in the order they were found.
    """

    def __init__(self, messages: Sequence[str]) -> None:
        self.messages = list(messages)
        super().__init__(self.messages)

    def __str__(self) -> str:
        return repr(self.messages)


class WarningsError(WiredeskError, DocumentError):
    """Something that the user has to confirm first.

    Args:
        warnings: texts for the client.
    """

    def __init__(self, warnings: Sequence[str]) -> None:
        self.warnings = list(warnings)
        super().__init__(self.warnings)

    def __str__(self) -> str:
        return json.dumps({"warnings": self.warnings})


class ValidationFailed(WiredeskError):
    """The publish validators refused the item (envelope S).

    Args:
        messages: texts for the client, by field name ascending.
        fields: field to the validator's text, nested for nested fields.
    """

    def __init__(self, messages: Sequence[str], fields: Mapping[str, Any]) -> None:
        super().__init__(list(messages))
        self.messages = list(messages)
        self.fields = dict(fields)

    def __str__(self) -> str:
        return repr([self.messages])


class ReadOnlyStage(WiredeskError):
    """A user tried to write an item on a read-only stage (envelope R)."""


class FormatError(WiredeskError):
    """An item could not be written in a format.

    Args:
        code: numeric code of the format (delivery contract 4: 7001 to 7012).
        text: what went wrong, without the cause.
        item_id: the item.
        field: the field that could not be written, where one is to blame.
        cause: text of the underlying failure.
    """

    def __init__(
        self, code: int, text: str, *, item_id: str, field: str | None = None, cause: str = ""
    ) -> None:
        self.code = code
        self.text = text
        self.item_id = item_id
        self.field = field
        self.cause = cause
        super().__init__(f"FormatterError Error {code} - {text}:{cause}" if cause else text)


class DeliveryError(WiredeskError):
    """A delivery did not succeed.

    Args:
        code: numeric code (delivery contract 4: 13000 File, 14000 HTTP push ...).
        name: class name that clients see in the message, as Superdesk has it.
        text: text of the code.
        cause: what happened, for people; never holds a secret.
        response_status: status the receiver answered with, where there was one.
        retry_after: seconds the receiver asked to wait.
        progress: what the next attempt has to know of those so far, as JSON holds it, at most 4 KB;
            None leaves what an earlier attempt has said.
        is_receiver_up: the receiver did not take all, and works all the same.
        is_replaceable: from this attempt on, what is left to deliver is pointless once there is a
            newer version of the item, which then does not wait for it.
        is_ours: it failed for what this installation lacks, such as a picture; the receiver has not
            said no.
        is_gone: the receiver says that it is gone, and takes no deliveries any more.
    """

    def __init__(
        self,
        code: int,
        name: str,
        text: str,
        cause: str,
        *,
        response_status: int | None = None,
        retry_after: float | None = None,
        progress: Mapping[str, Any] | None = None,
        is_receiver_up: bool = False,
        is_replaceable: bool = False,
        is_ours: bool = False,
        is_gone: bool = False,
    ) -> None:
        self.code = code
        self.cause = cause
        self.response_status = response_status
        self.retry_after = retry_after
        self.progress = progress
        self.is_receiver_up = is_receiver_up
        self.is_replaceable = is_replaceable
        self.is_ours = is_ours
        self.is_gone = is_gone
        super().__init__(f"{name} Error {code} - {text}:{cause}")


class TemporaryFailure(DeliveryError):
    """Worth repeating, not before `retry_after` seconds where that is set."""


class PermanentFailure(DeliveryError):
    """Repeating cannot help."""


class PluginError(WiredeskError):
    """A formatter or transmitter cannot be registered or found."""


class ConfigurationError(Exception):
    """Settings are wrong. Names every wrong setting, its value and the accepted form."""
