"""URL rules that do not compile what tests do not use."""

from typing import Any

from werkzeug.routing import Rule


class LazyRule(Rule):
    """A rule that compiles the code which builds its URLs when a URL is built.

    Werkzeug compiles it for every rule of every application. Most tests make an application of
    their own and build no URL, yet spend a third of their time on it.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Any:
        compile_now = super()._compile_builder

        def build(rule: Rule, **values: Any) -> tuple[str, str]:
            return compile_now(append_unknown).__get__(rule, None)(**values)

        return build
