"""Options of integrations: the common ones, and those of each platform (cms contract 3.6)."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from cerberus import Validator

from apps.core.registry import Registry
from apps.core.service import Document
from apps.publisher.bodies import issue_of
from transmitters.cms.base import Platform

RENDITIONS = ["16-9", "baseImage", "viewImage", "original"]

COMMON: Mapping[str, Any] = {
    "author": {"type": ["string", "integer"], "nullable": True},
    "field_map": {
        "type": "dict",
        "nullable": True,
        "valuesrules": {"type": "string", "nullable": True},
    },
    "kill_overwrite": {"type": "boolean", "default": True},
    "retract_media": {"type": "boolean", "default": True},
    "rewrite_policy": {"allowed": ["new_post", "update_post"], "default": "new_post"},
    "supersede": {"allowed": ["none", "link", "retract"], "default": "none"},
    "slug_mode": {"allowed": ["suffix", "clean"], "default": "suffix"},
    "on_media_failure": {"allowed": ["fail", "omit"], "default": "fail"},
    "unmapped_terms": {"allowed": ["create", "skip", "fail"], "default": "create"},
    "keep_remote_terms": {"type": "boolean", "default": False},
    "on_remote_edit": {"allowed": ["overwrite", "fail", "skip"], "default": "overwrite"},
    "on_remote_missing": {"allowed": ["recreate", "fail"], "default": "recreate"},
    "renditions": {
        "type": "list",
        "minlength": 1,
        "schema": {"type": "string"},
        "default": RENDITIONS,
    },
    "embeds": {"allowed": ["allow", "strip"], "default": "allow"},
    "packages": {"type": "boolean", "default": True},
    "rehost": {"type": "boolean", "default": False},
    "byline": {"allowed": ["none", "prepend"], "default": "none"},
    "corrections": {"allowed": ["none", "show"], "default": "none"},
    "verify_public": {"type": "boolean", "default": True},
}
"""Rules of the options that every platform has, whatever their platform."""

PARALLEL, RATE = 16, 6000
"""Most requests to one site at once, and in a minute."""


def rules_of(platform: type[Platform]) -> dict[str, Any]:
    """Return the rules of all options of a platform, with its defaults; its own ones win."""
    modes = [mode.value for mode in platform.retract_modes]
    schedules = ["local", "remote"] if platform.can_schedule else ["local"]
    parallel = {"type": "integer", "min": 1, "max": PARALLEL, "default": platform.parallel}
    rate = {"type": "integer", "nullable": True, "min": 1, "max": RATE}
    return {
        **COMMON,
        "retract_mode": {"allowed": modes, "default": modes[0]},
        "kill_mode": {"allowed": modes, "default": platform.kill_mode.value},
        "schedule_mode": {"allowed": schedules, "default": "local"},
        "parallel": parallel,
        "rate_per_minute": {**rate, "default": platform.rate_per_minute},
        **platform.options,
    }


def issues_of(
    platform: type[Platform], options: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> Document:
    """Return what is wrong with the options of an integration, by name; empty when nothing is.

    Args:
        defaults: of its site, which may bring what is required.
    """
    rules = rules_of(platform)
    return _issues(rules, {**_fitting(rules, defaults), **options})


def issues_of_defaults(platforms: Registry[Platform], defaults: Mapping[str, Any]) -> Document:
    """Return what is wrong with the options that a site sets for all its integrations.

    Each has to be an option of a platform, and right for one that has it.
    """
    issues: Document = {}
    for name, value in defaults.items():
        found = [
            _issues({name: _optional(rules[name])}, {name: value})
            for platform in platforms
            if name in (rules := rules_of(platform))
        ]
        if not found:
            issues[name] = "unknown field"
        elif all(found):
            issues |= found[0]
    return issues


def whole_options(
    platform: type[Platform], options: Mapping[str, Any] | None, defaults: Mapping[str, Any] | None
) -> Document:
    """Return all options of an integration: its own, else those of its site, else the defaults.

    Args:
        options: of the integration.
        defaults: of its site; those that the platform does not have, or not so, are left out.
    """
    rules = rules_of(platform)
    filled = {name: deepcopy(rule["default"]) for name, rule in rules.items() if "default" in rule}
    return {**filled, **_fitting(rules, defaults), **(options or {})}


def _fitting(rules: Mapping[str, Any], defaults: Mapping[str, Any] | None) -> Document:
    """Return those options of a site that keep the rules of a platform."""
    return {
        name: value
        for name, value in (defaults or {}).items()
        if name in rules and not _issues({name: _optional(rules[name])}, {name: value})
    }


def target_of(options: Mapping[str, Any]) -> str:
    """Return what of a site an integration publishes to: two must not share it."""
    names: Iterable[str] = ("collection", "post_type", "kind")
    return next((str(options[name]) for name in names if options.get(name)), "")


def _issues(rules: Mapping[str, Any], options: Mapping[str, Any]) -> Document:
    validator = Validator(dict(rules))
    validator.validate(dict(options), normalize=False)
    return {name: issue_of(issues) for name, issues in validator.errors.items()}


def _optional(rules: Mapping[str, Any]) -> dict[str, Any]:
    return {name: rule for name, rule in rules.items() if name != "required"}
