"""Which modules there are, in which state, and why: from wheel metadata, the database and one trial load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from crm_kernel._internal.discovery import InstalledPlugin, installed_plugins
from crm_kernel._internal.lifecycle import store
from crm_kernel._internal.lifecycle.inspection import inspect_modules
from crm_kernel._internal.resolution import dependants_of, dependencies_of
from crm_kernel.config import Config
from crm_kernel.errors import DatabaseUnavailable, NotFound
from crm_kernel.migrations.branches import KERNEL, stored_branches


@dataclass(frozen=True, slots=True)
class ModuleState:
    """One module as ``crm modules list`` shows it.

    ``state`` is ``installed`` (never enabled here), ``loaded``, ``failed``, ``disabled``, ``uninstalled`` (rows kept) or
    ``orphaned`` (tables without code).
    """

    name: str
    state: str
    #: Version of the installed wheel; empty without one.
    version: str
    #: Version that was enabled or upgraded last in this instance.
    enabled_version: str
    distribution: str
    summary: str
    #: Why it failed, or what its state asks to do.
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a module is as it is."""

    module: ModuleState
    #: Requirements of its wheel on the kernel and other modules' distributions.
    requires: Sequence[str]
    #: Installed modules it needs, with their states.
    dependencies: Mapping[str, str]
    #: Enabled modules that need it.
    dependants: Sequence[str]
    #: Its tables in the database.
    tables: Sequence[str]
    #: Why the newest set could not be served, if this module is the cause.
    last_failure: str


def module_states(config: Config) -> list[ModuleState]:
    """Return every module that is installed or known to this instance, by name.

    Loads the enabled ones once, in a child process, to tell loaded from failed.

    Raises:
        DatabaseUnavailable: it exists but cannot be reached. An instance without database shows what is installed.
    """
    installed = installed_plugins()
    rows, branches, _failure = _stored(config)
    enabled = {name for name, row in rows.items() if row.state == "enabled"}
    failed = inspect_modules(config, enabled).failed if enabled else {}
    return [
        _state(name, installed.get(name), rows.get(name), failed.get(name))
        for name in sorted({*installed, *rows, *branches} - {KERNEL})
    ]


def explain(config: Config, name: str) -> Explanation:
    """Return why a module is loaded, failed, disabled or gone, what it needs and what needs it.

    Raises:
        NotFound: nothing of that name is known.
    """
    installed = installed_plugins()
    states = {state.name: state for state in module_states(config)}
    if name not in states:
        raise NotFound(
            f"module {name}: neither installed nor known to this instance. Known: {', '.join(states) or 'none'}. "
            "See: crm modules list"
        )
    rows, _branches, failure = _stored(config)
    enabled = {other for other, row in rows.items() if row.state == "enabled"}
    plugin = installed.get(name)
    needs = sorted(dependencies_of(plugin, installed)) if plugin else []
    return Explanation(
        module=states[name],
        requires=[str(r) for r in plugin.requirements if str(r).startswith("crm")] if plugin else [],
        dependencies={other: states[other].state for other in needs},
        dependants=dependants_of(name, enabled, installed),
        tables=tables_of(config, name),
        last_failure=str(failure["reason"]) if failure and failure.get("module") == name else "",
    )


def tables_of(config: Config, name: str) -> list[str]:
    """Return the module's tables in the database, sorted; found by their prefix, so its code is not needed."""
    try:
        with store.reading_rows(config) as connection:
            return sorted(t for t in sa.inspect(connection).get_table_names() if t.startswith(f"{name}_"))
    except DatabaseUnavailable:
        return []


def stored_failure(config: Config) -> dict[str, object] | None:
    """Return why the newest set of modules could not be served (keys generation, module, reason, at), or None."""
    return _stored(config)[2]


def orphans(connection: sa.Connection) -> dict[str, list[str]]:
    """Return module → tables of modules whose code is not installed."""
    installed = installed_plugins()
    gone = (set(stored_branches(connection)) | set(store.stored_modules(connection))) - installed.keys() - {KERNEL}
    tables = sa.inspect(connection).get_table_names()
    found = {name: sorted(t for t in tables if t.startswith(f"{name}_")) for name in sorted(gone)}
    return {name: names for name, names in found.items() if names}


def module_without_code(config: Config, name: str) -> int | None:
    """Return how many tables this instance keeps of a module whose code is gone; None if it is no such module.

    Raises:
        DatabaseUnavailable: unreachable, or not created yet.
    """
    if name == KERNEL or name in installed_plugins():
        return None
    with store.reading_rows(config) as connection:
        tables = sa.inspect(connection).get_table_names()
        known = name in store.stored_modules(connection) or name in stored_branches(connection)
    return sum(table.startswith(f"{name}_") for table in tables) if known else None


def _stored(config: Config) -> tuple[dict[str, store.StoredModule], list[str], dict[str, object] | None]:
    from crm_kernel._internal.modules import missing_file

    if missing_file(config) is not None:
        return {}, [], None
    with store.reading_rows(config) as connection:
        return store.stored_modules(connection), stored_branches(connection), store.last_failure(connection)


def _state(
    name: str, plugin: InstalledPlugin | None, row: store.StoredModule | None, failure: str | None
) -> ModuleState:
    state, reason = _verdict(name, plugin, row, failure)
    return ModuleState(
        name=name,
        state=state,
        version=plugin.version if plugin else "",
        enabled_version=row.version if row else "",
        distribution=plugin.distribution if plugin else "",
        summary=plugin.summary if plugin else "",
        reason=reason,
    )


def _verdict(
    name: str, plugin: InstalledPlugin | None, row: store.StoredModule | None, failure: str | None
) -> tuple[str, str]:
    if row is not None and row.state == "enabled":
        return ("failed", failure) if failure else ("loaded", _upgrade_hint(name, plugin, row))
    if plugin is None:
        return "orphaned", f"its code is gone, its rows are kept: install crm-{name} again, or crm modules purge {name}"
    if row is None:
        return "installed", f"crm modules enable {name}"
    return row.state, f"its rows are kept: crm modules enable {name}"


def _upgrade_hint(name: str, plugin: InstalledPlugin | None, row: store.StoredModule) -> str:
    if plugin is None or not row.version or plugin.version == row.version:
        return ""
    return f"{plugin.version} is installed, {row.version} was enabled: crm modules upgrade {name}"
