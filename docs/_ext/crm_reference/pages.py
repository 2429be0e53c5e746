"""The generated parts of the reference by name: hooks, public names and errors are made here, the rest beside."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import crm_kernel
from crm_kernel import errors
from crm_kernel._internal.registry import KINDS
from crm_reference import contributed, surface
from crm_reference.objects import anchor, comment_of_value, comments, described, fields_without_words
from crm_reference.prose import docstring, markdown, signature, summary, table

_HOOKS_OF_REGISTRATION = "crm_register_"


def hooks(module: Any = None) -> dict[str, Callable[..., Any]]:
    """Return the hook specifications of a module (the kernel's if none is given) by name, as written."""
    from crm_kernel import hookspecs

    found = vars(module or hookspecs)
    return {name: value for name, value in found.items() if callable(value) and hasattr(value, "crm_spec")}


def hooks_page() -> str:
    """Return every hook: signature, docstring, and the record it returns."""
    asked_once = {name: hook for name, hook in hooks().items() if name.startswith(_HOOKS_OF_REGISTRATION)}
    asked_later = {name: hook for name, hook in hooks().items() if name not in asked_once}
    parts = ["## Asked once, while the application is built", *_hook_sections(asked_once)]
    parts += ["## Asked at run time", *_hook_sections(asked_later)]
    return "\n\n".join(parts)


def _hook_sections(found: Mapping[str, Callable[..., Any]]) -> Iterator[str]:
    for name, hook in found.items():
        yield f"### {name}"
        yield f"```python\n{signature(hook, name)}\n```"
        yield markdown(docstring(hook))


def hooks_without_words(module: Any = None) -> list[str]:
    """Return hooks without a docstring worth the name."""
    return [name for name, hook in hooks(module).items() if len(docstring(hook)) < 20]


def names_of(*homes: str) -> list[str]:
    """Return the public names that live in these modules, in the order of ``__all__``."""
    return [name for name in crm_kernel.__all__ if crm_kernel._HOMES[name] in homes]


def _described_names(*homes: str) -> str:
    return "\n\n".join(described(name, getattr(crm_kernel, name)) for name in names_of(*homes))


def records_page() -> str:
    """Return the declarations of record types and extensions."""
    return _described_names("records.record_type")


def fields_page() -> str:
    """Return the schema fields that records add to marshmallow's."""
    return _described_names("records.fields", "records.texts")


def contributions_page() -> str:
    """Return the records that plugins return from hooks."""
    return _described_names("contributions")


_ELSEWHERE = {
    "records.record_type": "records",
    "records.fields": "records",
    "records.texts": "records",
    "contributions": "contributions",
    "errors": "errors",
}


def names_page() -> str:
    """Return every name of ``crm_kernel.__all__``: a table of all, then those no other page describes."""
    rows = [(_link(name), f"`crm_kernel.{crm_kernel._HOMES[name]}`", _one_line(name)) for name in crm_kernel.__all__]
    here = [name for name in crm_kernel.__all__ if crm_kernel._HOMES[name] not in _ELSEWHERE]
    parts = [described(name, getattr(crm_kernel, name)) for name in here]
    return "\n\n".join([table(("name", "lives in", "what it is"), rows), "## In detail", *parts])


def _link(name: str) -> str:
    return f"[`{name}`](#{anchor(name)})"


def _one_line(name: str) -> str:
    found = getattr(crm_kernel, name)
    if inspect.isclass(found) or inspect.isfunction(found):
        return summary(found)
    return comment_of_value(name)


def names_without_words() -> list[str]:
    """Return the public names that say nothing of themselves."""
    return [name for name in crm_kernel.__all__ if not _one_line(name)]


def records_fields_without_words() -> list[str]:
    """Return the fields of what plugins declare and contribute that say nothing of themselves."""
    declared = [getattr(crm_kernel, name) for name in names_of("records.record_type", "contributions")]
    return fields_without_words(found for found in declared if dataclasses.is_dataclass(found))


def error_classes() -> list[type[errors.CrmError]]:
    """Return the deliberate errors in the order of their module."""
    found = [value for value in vars(errors).values() if inspect.isclass(value)]
    return [value for value in found if issubclass(value, errors.CrmError)]


def errors_page() -> str:
    """Return the error classes with HTTP status and exit code, and the exit codes of the command line."""
    from crm_cli.common import ExitCode

    rows = [
        (_link(error.__name__), str(error.status), str(error.exit_code), error.title, summary(error))
        for error in error_classes()
    ]
    notes = comments("crm_cli.common")
    codes = [
        (f"`{code.value}`", code.name.lower().replace("_", " "), notes.get(("ExitCode", code.name), ""))
        for code in ExitCode
    ]
    parts = ["## Exit codes of `crm`", table(("code", "name", "meaning"), codes)]
    parts += ["## Errors", table(("class", "HTTP status", "exit code", "title", "when"), rows)]
    return "\n\n".join([*parts, _described_names("errors")])


def kinds_page() -> str:
    """Return which hook returns which record, and how its names must start."""
    rows = [
        (
            f"[`{kind.hook}`](hooks.md#{kind.hook.replace('_', '-')})",
            f"`{kind.type.__name__}`",
            "`<plugin>.`" if kind.prefixed else "see the hook",
        )
        for kind in KINDS.values()
    ]
    return table(("hook", "returns", "names start with"), rows)


#: Name of a placeholder → what fills it.
PAGES: dict[str, Callable[[], str]] = {
    "hooks": hooks_page,
    "names": names_page,
    "records": records_page,
    "fields": fields_page,
    "contributions": contributions_page,
    "kinds": kinds_page,
    "errors": errors_page,
    "events": contributed.events_page,
    "permissions": contributed.permissions_page,
    "settings": contributed.settings_page,
    "macros": surface.macros_page,
    "fixtures": surface.fixtures_page,
    "rules": surface.rules_page,
    "tables": contributed.tables_page,
}

#: What must say something of itself → the items that do not.
SILENT: dict[str, Callable[[], list[str]]] = {
    "hooks": hooks_without_words,
    "names": names_without_words,
    "fields": records_fields_without_words,
    "events": contributed.events_without_words,
    "permissions": contributed.permissions_without_words,
    "settings": contributed.settings_without_words,
    "macros": surface.macros_without_words,
    "commands": surface.commands_without_words,
}
