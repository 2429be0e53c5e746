"""Enabling, disabling, upgrading and uninstalling modules: decided as one set, rows untouched, workers told.

Each returns what it did as ``Change`` records. ``Run.REHEARSE`` goes the same way and rolls everything back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from crm_kernel._internal import migrations
from crm_kernel._internal.discovery import InstalledPlugin, installed_plugins
from crm_kernel._internal.lifecycle import store
from crm_kernel._internal.lifecycle.auditing import notes_of, notes_of_steps, write_notes
from crm_kernel._internal.lifecycle.data_map import data_map_of
from crm_kernel._internal.lifecycle.inspection import Inspection, inspect_modules
from crm_kernel._internal.lifecycle.locking import Hold, one_at_a_time
from crm_kernel._internal.resolution import dependants_of
from crm_kernel.config import Config
from crm_kernel.errors import Conflict, NotFound, PluginError
from crm_kernel.migrations.autogenerate import import_kernel_models
from crm_kernel.migrations.branches import current_of, head_of


class Run(StrEnum):
    """Whether a change is made for good."""

    COMMIT = "commit"
    #: Everything is done and rolled back: the plan is what was done.
    REHEARSE = "rehearse"


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one module; ``before`` equals ``after`` when there was nothing to do."""

    module: str
    before: str
    after: str
    version: str = ""
    #: Revisions applied, oldest first.
    revisions: tuple[str, ...] = ()
    #: The SQL of a rehearsal.
    sql: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything changed."""
        return self.before != self.after or bool(self.revisions)


def enable(config: Config, names: Sequence[str], *, run: Run = Run.COMMIT) -> list[Change]:
    """Enable modules: resolve them as one set with the enabled ones, load them in a child process, migrate, switch on.

    Enabling what is enabled changes nothing.

    Raises:
        NotFound: a module is not installed.
        Conflict: another command changes the modules of this instance.
        PluginError: refused before any change: the set does not fit, does not load, or the kernel's tables are behind.
        MigrationFailed: a revision failed; the module stays off, a second run goes on.
    """
    installed = installed_plugins()
    for name in names:
        _require_installed(name, installed)
    with one_at_a_time(config, f"crm modules enable {' '.join(names)}"):
        enabled = _enabled(config)
        _require_current_kernel(config)
        inspection = inspect_modules(config, enabled | set(names))
        _refuse_failed(config, names, enabled, inspection)
        return _switched_on(config, list(dict.fromkeys(names)), enabled, inspection, run)


def upgrade_modules(config: Config, names: Sequence[str] = (), *, run: Run = Run.COMMIT) -> list[Change]:
    """Bring enabled modules (all if none is named) to their installed version: check, migrate, tell the workers.

    Raises:
        PluginError: refused before any change: a module is not enabled, does not load or its database is newer.
        Conflict: another command changes the modules of this instance.
        MigrationFailed: a revision failed; a second run goes on.
    """
    installed = installed_plugins()
    with one_at_a_time(config, " ".join(["crm modules upgrade", *names])):
        enabled = _enabled(config)
        for name in names:
            _require_installed(name, installed)
            if name not in enabled:
                raise PluginError(name, f"the module is not enabled. Enable it with: crm modules enable {name}")
        _require_current_kernel(config)
        inspection = inspect_modules(config, enabled)
        chosen = list(names) or sorted(enabled & installed.keys())
        for name in chosen:
            if name in inspection.failed:
                raise _refusal(name, inspection.failed[name], f" · go on without it: crm modules disable {name}")
        return _switched_on(config, chosen, enabled, inspection, run)


def disable(
    config: Config, names: Sequence[str], *, cascade: Collection[str] = (), run: Run = Run.COMMIT
) -> list[Change]:
    """Switch modules off; their rows stay, their deliveries wait. Never imports anything, so a broken one can be disabled.

    Args:
        cascade: dependants that may be switched off with them; ``dependants(config, names)`` names them.

    Raises:
        NotFound: nothing of that name is known.
        PluginError: an enabled module that is not named depends on it.
        Conflict: another command changes the modules of this instance.
    """
    installed = installed_plugins()
    with (
        one_at_a_time(config, f"crm modules disable {' '.join(names)}"),
        store.writing_rows(config) as connection,
    ):
        rows = store.stored_modules(connection)
        for name in names:
            _require_known(name, rows, installed)
        enabled = {name for name, row in rows.items() if row.state == "enabled"}
        leaving = set(names) | set(cascade)
        for name in names:
            left = [other for other in dependants_of(name, enabled, installed) if other not in leaving]
            if left:
                command = f"crm modules disable {name} --cascade"
                raise PluginError(name, f"{', '.join(left)} depends on it. Disable both with: {command}")
        order = [*sorted(set(cascade) - set(names)), *dict.fromkeys(names)]
        changes = [_switched_off(connection, name, rows, "disabled") for name in order]
        _finish(connection, changes, run)
    return changes


def upgrade_database(
    config: Config,
    names: Collection[str] | None = None,
    *,
    report: Callable[[migrations.Applied], None] = lambda applied: None,
) -> list[migrations.Applied]:
    """Apply pending revisions (see ``migrations.upgrade``) and store which of the kernel's columns hold personal data.

    Raises:
        PluginError: refused before the first statement.
        Conflict: a verb of a module's life runs; other upgrades of the database may run beside this one.
        MigrationFailed: a revision failed; a second run goes on.
        DatabaseUnavailable: the database cannot be reached or written.
    """
    with one_at_a_time(config, " ".join(["crm db upgrade", *(names or ())]), hold=Hold.SHARED):
        applied = migrations.upgrade(config, names, report=report)
        import_kernel_models()
        with store.writing_rows(config) as connection:
            store.replace_data_map(connection, "kernel", data_map_of("kernel"))
            write_notes(connection, notes_of_steps(store.stored_modules(connection), applied))
        store.make_missing_indexes(config)
    return applied


def dependants(config: Config, names: Sequence[str]) -> list[str]:
    """Return the enabled modules that need one of these, directly or through others, sorted."""
    installed, enabled = installed_plugins(), _enabled(config)
    found = {other for name in names for other in dependants_of(name, enabled, installed)}
    return sorted(found - set(names))


def uninstall(config: Config, name: str, *, run: Run = Run.COMMIT) -> Change:
    """Mark a disabled module as uninstalled: its tables and rows stay until they are purged.

    Raises:
        NotFound: nothing of that name is known.
        Conflict: it is still enabled, or another command changes the modules of this instance.
    """
    with one_at_a_time(config, f"crm modules uninstall {name}"), store.writing_rows(config) as connection:
        rows = store.stored_modules(connection)
        _require_known(name, rows, installed_plugins())
        if name in rows and rows[name].state == "enabled":
            raise Conflict(f"{name} is enabled. Disable it first: crm modules disable {name}")
        change = _switched_off(connection, name, rows, "uninstalled")
        write_notes(connection, notes_of([change]))
        _roll_back_rehearsal(connection, run)
    return change


def _refuse_failed(config: Config, names: Sequence[str], enabled: set[str], inspection: Inspection) -> None:
    for name in names:
        if name in inspection.failed:
            raise _refusal(name, inspection.failed[name])
    if inspection.failed:
        # Which of two conflicting modules fails is a matter of order: the newcomer must not break those at work.
        before = inspect_modules(config, enabled - set(names)).failed
        for other in sorted(inspection.failed.keys() - before.keys()):
            raise _refusal(names[0], f"with it the enabled module {other} fails: {inspection.failed[other]}")


def _refusal(name: str, reason: str, more: str = "") -> PluginError:
    return PluginError(name, f"{reason.rstrip('. ')}. What stands in its way: crm modules plan {name}{more}")


def _switched_on(
    config: Config, names: Sequence[str], enabled: set[str], inspection: Inspection, run: Run
) -> list[Change]:
    names, installed = sorted(names, key=inspection.loaded.index), installed_plugins()
    applied, sql = _migrated(config, names, run)
    with store.writing_rows(config) as connection:
        rows = store.stored_modules(connection)
        _refuse_changed(connection, names, enabled, rows, run)
        changes = []
        for name in names:
            row, version = rows.get(name), installed[name].version
            before = "installed" if row is None else row.state
            same = before == "enabled" and row is not None and row.version == version
            if not same:
                store.write_state(connection, name, "enabled", version)
            store.replace_data_map(connection, name, inspection.data_map.get(name, ()))
            revisions = tuple(step.revision for step in applied if step.branch == name)
            upgraded = before == "enabled" and not same
            changes.append(
                Change(
                    name, f"enabled {row.version}" if upgraded and row else before, "enabled", version, revisions, sql
                )
            )
        _finish(connection, changes, run)
    if run is Run.COMMIT:
        store.make_missing_indexes(config)
    return changes


def _refuse_changed(
    connection: sa.Connection, names: Sequence[str], enabled: set[str], rows: Mapping[str, store.StoredModule], run: Run
) -> None:
    """Look again in the transaction that switches on: a lock can be lost with its connection, rows cannot."""
    changed = {name for name, row in rows.items() if row.state == "enabled"} ^ enabled
    if run is Run.COMMIT:
        branches = [migrations.find_branch(name) for name in names]
        changed |= {branch.name for branch in branches if current_of(connection, branch) != head_of(branch)}
    if changed:
        raise Conflict(
            f"{sorted(changed)[0]} was changed meanwhile by somebody else: {', '.join(names)} is not switched on. "
            "See: crm modules list"
        )


def _enabled(config: Config) -> set[str]:
    with store.reading_rows(config) as connection:
        return {name for name, row in store.stored_modules(connection).items() if row.state == "enabled"}


def _migrated(config: Config, names: Sequence[str], run: Run) -> tuple[list[migrations.Applied], tuple[str, ...]]:
    try:
        if run is Run.REHEARSE:
            applied, sql = migrations.rehearsal(config, names)
            return applied, tuple(sql)
        return migrations.upgrade(config, names), ()
    except migrations.MigrationFailed as error:
        command = f"crm modules enable {' '.join(names)}"
        raise migrations.MigrationFailed(f"{error}. Mend the cause, then go on with: {command}") from error


def _switched_off(connection: sa.Connection, name: str, rows: Mapping[str, store.StoredModule], state: str) -> Change:
    row = rows.get(name)
    before = "installed" if row is None else row.state
    after = state if state != "disabled" or before == "enabled" else before
    if after != before:
        store.write_state(connection, name, after, row.version if row else "")
    return Change(name, before, after, row.version if row else "")


def _finish(connection: sa.Connection, changes: Sequence[Change], run: Run) -> None:
    if any(change.changed for change in changes):
        store.raise_generation(connection)
    write_notes(connection, notes_of(changes))
    _roll_back_rehearsal(connection, run)


def _roll_back_rehearsal(connection: sa.Connection, run: Run) -> None:
    if run is Run.REHEARSE:
        connection.get_transaction().rollback()  # type: ignore[union-attr]


def _require_installed(name: str, installed: Mapping[str, InstalledPlugin]) -> None:
    if name not in installed:
        known = ", ".join(installed) or "none"
        raise NotFound(
            f"module {name}: no installed distribution provides it: install its wheel first. Installed: {known}. "
            "See: crm modules list"
        )


def _require_known(name: str, rows: Mapping[str, store.StoredModule], installed: Mapping[str, InstalledPlugin]) -> None:
    if name not in rows and name not in installed:
        known = ", ".join(sorted({*rows, *installed})) or "none"
        raise NotFound(
            f"module {name}: neither installed nor known to this instance. Known: {known}. See: crm modules list"
        )


def _require_current_kernel(config: Config) -> None:
    kernel = migrations.status(config)[0]
    if kernel.state not in ("current", "empty"):
        raise PluginError("kernel", f"its tables are {kernel.state}. {kernel.hint or 'Run: crm db upgrade'}")
