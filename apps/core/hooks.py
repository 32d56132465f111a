"""In-process hooks: what sites add to the lifecycle without changing it (lifecycle contract 6).

Each hook is a blinker signal. A receiver is a function of a module that the setting `HOOK_MODULES`
names, for instance::

    from apps.core.hooks import item_publish

    @item_publish.connect
    def stamp_channel(sender, item, updates, **rest):
        updates["extra"] = {**(item.get("extra") or {}), "channel": "wire"}

`sender` is the name of the resource. Receivers take `**rest`, so that hooks may get more arguments.

Before an item is stored, a receiver may change what will be stored, in place, or refuse it by
raising a `ServiceError`, which the client reads as any other refusal. Another exception refuses it
as `500: The hook <name> failed`. After the item is stored nothing can be refused: an exception is
logged, the other receivers are called all the same. A process that dies in between calls none.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

import structlog
from blinker import NamedSignal, Namespace

from apps.core.errors import ConfigurationError, ServerError, WiredeskError

log = structlog.get_logger(__name__)

signals = Namespace()

item_create = signals.signal("item:create", "Before a new item is stored: `item`.")
item_update = signals.signal("item:update", "Before a save is stored: `updates`, `original`.")
item_updated = signals.signal("item:updated", "After a save: `item`, `original`.")
item_publish = signals.signal(
    "item:publish",
    "Before a publish action of an item that is no package is stored: `item` as it would be, "
    "`updates` to change.",
)
item_published = signals.signal(
    "item:published",
    "After a publish action: `item`; `after_scheduled` is True when its scheduled hour has come.",
)
item_validate = signals.signal(
    "item:validate",
    "After publish validation: `item`; `response`, the messages, to append to; `error_fields`, "
    "field to error, to add to.",
)
item_rewrite = signals.signal(
    "item:rewrite", "Before an update is stored: the update as `item`, its story as `original`."
)
item_duplicate = signals.signal(
    "item:duplicate",
    "Before a copy is stored: the copy as `item`, its source as `original`, the `operation`.",
)
item_duplicated = signals.signal("item:duplicated", "After that, with the same arguments.")
item_move = signals.signal("item:move", "Before a move is stored: `item`, `updates`.")
item_moved = signals.signal("item:moved", "After a move: `item`, `original`.")
item_fetched = signals.signal(
    "item:fetched", "After an item was fetched: `item`, the ingested one as `original`."
)
item_routed = signals.signal("item:routed", "After an item of state `routed` was created: `item`.")
item_resend = signals.signal("item:resend", "Before a resend is asked for: `item`, `subscribers`.")
item_resent = signals.signal("item:resent", "After that, with the same arguments.")
archived_removed = signals.signal(
    "archived:removed", "After an archived item was killed or taken down: `item` as it was."
)


def load_receivers(modules: Iterable[str]) -> None:
    """Import the modules whose functions receive hooks; importing one again changes nothing.

    Args:
        modules: the setting HOOK_MODULES.

    Raises:
        ConfigurationError: one cannot be imported; names it.
    """
    for name in modules:
        try:
            import_module(name)
        except Exception as error:
            raise ConfigurationError(f"HOOK_MODULES: {name} cannot be imported: {error}") from error


def ask(signal: NamedSignal, sender: str, **arguments: Any) -> None:
    """Call the receivers of a hook before something is stored.

    Args:
        sender: name of the resource.
        arguments: as the hook documents.

    Raises:
        WiredeskError: a receiver refuses it.
        ServerError: a receiver failed.
    """
    for receiver in signal.receivers_for(sender):
        try:
            receiver(sender, **arguments)
        except WiredeskError:
            raise
        except Exception as error:
            log.error("hook.failed", hook=signal.name, receiver=_name(receiver), exc_info=error)
            raise ServerError(f"The hook {signal.name} failed") from error


def tell(signal: NamedSignal, sender: str, **arguments: Any) -> None:
    """Call the receivers of a hook after something was stored; what they raise is logged."""
    for receiver in signal.receivers_for(sender):
        try:
            receiver(sender, **arguments)
        except Exception as error:
            log.error("hook.failed", hook=signal.name, receiver=_name(receiver), exc_info=error)


def without_notes(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item as receivers see it: without what the server notes on it."""
    return {name: value for name, value in item.items() if name != "journal"}


def _name(receiver: Any) -> str:
    return f"{getattr(receiver, '__module__', '')}.{getattr(receiver, '__qualname__', receiver)}"
