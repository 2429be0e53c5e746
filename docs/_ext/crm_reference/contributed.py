"""What the kernel and the modules contribute: events, permissions, settings, tables.

Every ``…_without_words`` function yields the items that say nothing of themselves; tests/docs keeps them empty.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from crm_kernel._internal.discovery import installed_plugins
from crm_kernel._internal.loading import load_plugins
from crm_kernel._internal.registry import Registry
from crm_kernel.config import NO_SETTINGS, Config
from crm_kernel.database import Model
from crm_kernel.events.catalogue import describe
from crm_reference.objects import comments
from crm_reference.prose import docstring, markdown, table

#: Modules of this repository; the reference covers those that are installed.
MODULES = ("sfa",)


@cache
def registry() -> Registry:
    """Return what the kernel and the repository's installed modules contribute; touches no database.

    Raises:
        RuntimeError: a module cannot be loaded: its part of the reference would be missing.
    """
    loaded = load_plugins([name for name in MODULES if name in installed_plugins()])
    if loaded.manager.failed:
        raise RuntimeError(f"the reference needs every module: {loaded.manager.failed}")
    return loaded.registry


def events_page() -> str:
    """Return every event of the kernel and the installed modules with its fields."""
    return "\n\n".join(event_section(event, owner) for owner, event in owned("events"))


def event_section(event: Any, owner: str) -> str:
    """Return one event: wire name, version, meaning, fields."""
    found = describe(event, module=owner)
    notes = comments(event.__module__)
    rows = [
        (f"`{f.name}`", f.type + (" or null" if f.optional else ""), notes.get((event.__name__, f.name), ""))
        for f in found.fields
    ]
    head = f"Version {found.version}. Class `{event.__name__}` of `{event.__module__}`."
    return "\n\n".join(
        [f"### {found.name}", markdown(docstring(event)), head, table(("field", "type", "meaning"), rows)]
    )


def events_without_words(events: Iterable[Any] | None = None) -> list[str]:
    """Return events without a docstring of their own."""
    found = [event for _owner, event in owned("events")] if events is None else events
    return [event.name for event in found if not describe(event, module="").summary]


def permissions_page() -> str:
    """Return every permission an admin can grant, by module."""
    parts = []
    for owner in ("kernel", *MODULES):
        types = [found for name, found in owned("record_types") if name == owner]
        listed = [found for name, found in owned("permissions") if name == owner]
        if types or listed:
            parts += [f"## {owner}", table(("permission", "allows"), [*_derived(types), *_listed(listed)])]
    return "\n\n".join(parts)


def _derived(types: Iterable[Any]) -> Iterator[tuple[str, str]]:
    for found in types:
        for verb in found.verbs:
            yield f"`{found.permission(verb)}`", f"{found.label_plural}: {verb}"
        for action in found.actions:
            yield f"`{found.permission(action.name)}`", f"{found.label_plural}: {action.label}"


def _listed(permissions: Iterable[Any]) -> Iterator[tuple[str, str]]:
    return ((f"`{found.name}`", str(found.label)) for found in permissions)


def permissions_without_words(found: Mapping[str, Any] | None = None) -> list[str]:
    """Return permissions whose label is empty or only repeats their name."""
    labels = registry().permissions() if found is None else found
    return [name for name, label in labels.items() if not str(label).strip() or str(label) == name]


def settings_page() -> str:
    """Return the kernel's settings and those of the installed modules."""
    rows = [(f"`{name}`", f"`{kind}`", f"`{default}`", text) for name, kind, default, text in kernel_settings()]
    parts = ["## kernel", table(("key of `crm.toml`", "type", "default", "meaning"), rows)]
    for owner in MODULES:
        found = [setting for name, setting in owned("settings") if name == owner]
        if found:
            parts += [f"## {owner}", table(("setting", "type", "default", "meaning"), map(_setting_row, found))]
    return "\n\n".join(parts)


def kernel_settings(config: Any = Config) -> list[tuple[str, str, str, str]]:
    """Return the kernel's settings: name, type, default, meaning."""
    notes = comments(config.__module__)
    return [
        (field.name, str(field.type), _plain(field.default), notes.get((config.__name__, field.name), ""))
        for field in dataclasses.fields(config)
        if field.name not in NO_SETTINGS
    ]


def _plain(value: Any) -> str:
    return ", ".join(value) or "()" if isinstance(value, tuple) else repr(value) if value == "" else str(value)


def _setting_row(found: Any) -> tuple[str, str, str, str]:
    text = " ".join(str(part) for part in (found.label, found.help) if part)
    return f"`{found.name}`", f"`{found.type.__name__}`", f"`{found.default!r}`", text


def settings_without_words(config: Any = Config, declared: Iterable[Any] | None = None) -> list[str]:
    """Return settings of the kernel without a comment, and of modules without a label."""
    declared = [setting for _owner, setting in owned("settings")] if declared is None else declared
    silent = [name for name, _kind, _default, text in kernel_settings(config) if not text]
    return silent + [setting.name for setting in declared if not str(setting.label).strip()]


def owned(kind: str) -> list[tuple[str, Any]]:
    """Return (module, record) of a kind, the kernel's first, then by name."""
    found = [(registry().owner(kind, name), record) for name, record in registry().records[kind].items()]
    return sorted(found, key=lambda pair: (pair[0] != "kernel", pair[0], pair[1].name))


def tables_page() -> str:
    """Return every table of the kernel with its columns."""
    from crm_kernel.migrations.autogenerate import import_kernel_models, owned_tables
    from crm_kernel.migrations.branches import kernel_branch

    import_kernel_models()
    tables = owned_tables(kernel_branch())
    classes = {mapper.local_table.name: mapper.class_ for mapper in Model.registry.mappers}
    return "\n\n".join(_table_section(classes[name]) for name in sorted(tables) if name in classes)


def _table_section(model: Any) -> str:
    notes = comments(model.__module__)
    rows = [
        (f"`{column.name}`", _column_type(column), _facts(column), notes.get((model.__name__, column.key), ""))
        for column in model.__table__.columns
    ]
    parts = [
        f"## {model.__table__.name}",
        markdown(docstring(model)),
        f"Class `{model.__name__}` of `{model.__module__}`.",
    ]
    return "\n\n".join([*parts, table(("column", "type", "", "meaning"), rows)])


def _column_type(column: Any) -> str:
    name = type(column.type).__name__
    length = getattr(column.type, "length", None)
    return f"{name}({length})" if length and name == "String" else name


def _facts(column: Any) -> str:
    facts = [f"→ `{key.target_fullname}`" for key in column.foreign_keys]
    facts += ["optional"] if column.nullable else []
    facts += ["personal"] if column.info.get("personal") else []
    facts += [f"merge: {column.info['merge']}"] if column.info.get("merge") else []
    return ", ".join(facts)
