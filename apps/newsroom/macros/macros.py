"""Find and run macros.

A macro is a module `<MACROS_DIR>/<name>.py` with a function `callback(item, **context)`; `name` and
`label` may say how clients call it. It changes the item that it gets, or returns another one. It
runs with all rights of the server: who may write into `MACROS_DIR` may do anything.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import structlog

from apps.core.errors import BadRequest, ServiceError
from apps.core.service import Document

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Macro:
    """A macro, as its module is at this moment.

    Attributes:
        name: what items, requests and stages call it.
        label: what people call it.
        callback: changes an item.
        from_languages: of the items that it helps to translate; none for all.
        to_languages: that it helps to translate into; none for a macro that does nothing then.
    """

    name: str
    label: str
    callback: Callable[..., Any]
    from_languages: Sequence[str] = ()
    to_languages: Sequence[str] = ()


class MacroFailed(BadRequest):
    """A macro raised.

    Args:
        macro: the macro.
        text: what it said.
    """

    def __init__(self, macro: Macro, text: str) -> None:
        super().__init__(f"Error:{text} in macro:{macro.label}")
        self.macro = macro
        self.text = text


class Macros:
    """The macros of a directory. Nothing is kept: each use finds what is there now.

    Args:
        directory: where the modules are; None for an installation without macros.
    """

    def __init__(self, directory: str | None) -> None:
        self._directory = Path(directory) if directory else None

    def find(self, name: str) -> Macro:
        """Return the macro `name`.

        Raises:
            BadRequest: there is none, or its module cannot be loaded.
        """
        for path in self._candidates(name):
            macro = _macro_of(path)
            if macro and macro.name == name:
                return macro
        raise BadRequest(f"Macro not found: {name}")

    def run(self, name: str, item: Mapping[str, Any], **context: Any) -> Document:
        """Return what the macro makes of `item`, which stays as it is.

        Args:
            name: of the macro.
            item: an item as stored.
            context: what the macro may ask for besides: `desk` and `stage`, and their ids
                `dest_desk_id` and `dest_stage_id`.

        Raises:
            BadRequest: there is no such macro.
            MacroFailed: it raised.
        """
        return _run(self.find(name), item, context)

    def translate(self, item: Mapping[str, Any], language: str) -> Document:
        """Return what all macros for translations into `language` make of `item`, in their order.

        Raises:
            BadRequest: a macro cannot be loaded.
            MacroFailed: one raised.
        """
        source = item.get("language")
        context = {"from_language": source, "to_language": language}
        result = dict(item)
        for path in self._candidates(""):
            macro = _macro_of(path)
            if macro is None or language not in macro.to_languages:
                continue
            if not macro.from_languages or source in macro.from_languages:
                result = _run(macro, result, context)
        return result

    def _candidates(self, name: str) -> Iterator[Path]:
        """Yield the module of that name first: the others need not be loaded then."""
        if self._directory is None or not self._directory.is_dir():
            return
        paths = sorted(path for path in self._directory.glob("*.py") if path.stem[0] != "_")
        yield from sorted(paths, key=lambda path: path.stem != name)


def _run(macro: Macro, item: Mapping[str, Any], context: Mapping[str, Any]) -> Document:
    changed = deepcopy(dict(item))
    try:
        result = macro.callback(changed, **_wanted(macro.callback, context))
    except ServiceError as error:
        raise MacroFailed(macro, error.message) from error
    except Exception as error:
        log.warning("macro.failed", macro=macro.name, exc_info=error)
        raise MacroFailed(macro, str(error)) from error
    if isinstance(result, tuple) and result:
        # A macro may return what has changed besides, for editors that show it.
        result = result[0]
    return dict(result) if isinstance(result, Mapping) else changed


def _wanted(callback: Callable[..., Any], context: Mapping[str, Any]) -> Document:
    """Return the part of the context that the callback has parameters for."""
    parameters = inspect.signature(callback).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return dict(context)
    return {name: value for name, value in context.items() if name in parameters}


def _macro_of(path: Path) -> Macro | None:
    """Load a module; None when it holds no macro.

    Raises:
        BadRequest: it cannot be loaded.
    """
    module = ModuleType(f"macro_{path.stem}")
    module.__file__ = str(path)
    try:
        # Compiled from its text each time: a cached form may be older than the file.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102
    except Exception as error:
        log.warning("macro.broken", path=str(path), exc_info=error)
        raise BadRequest(f"Macro cannot be loaded: {path.stem}: {error}") from error
    callback = getattr(module, "callback", None)
    if not callable(callback):
        return None
    name = str(getattr(module, "name", None) or path.stem)
    label = str(getattr(module, "label", None) or name)
    languages = [
        tuple(map(str, getattr(module, names, None) or ()))
        for names in ("from_languages", "to_languages")
    ]
    return Macro(name, label, callback, *languages)
