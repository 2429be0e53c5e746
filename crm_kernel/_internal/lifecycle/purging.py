"""Purging a module: export its tables, then drop them, in one transaction; works when the module's code is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from crm_kernel._internal.discovery import installed_plugins
from crm_kernel._internal.lifecycle import store
from crm_kernel._internal.lifecycle.archive import write_archive
from crm_kernel._internal.lifecycle.auditing import Note, write_notes
from crm_kernel._internal.lifecycle.changes import Run
from crm_kernel._internal.lifecycle.locking import one_at_a_time
from crm_kernel.config import Config
from crm_kernel.data_map.tables import reflect
from crm_kernel.errors import Conflict, NotFound, PluginError
from crm_kernel.migrations.autogenerate import import_kernel_models, owned_tables
from crm_kernel.migrations.branches import Branch, current_of, kernel_branch
from crm_kernel.migrations.running import migration_connection
from crm_kernel.records.custom_fields.current import raised_version

#: Rows of the kernel's tables that belong to a module: (table, column, how the column names the module).
KERNEL_ROWS: Sequence[tuple[str, str, str]] = (
    ("job", "module", "is"),
    ("data_map", "plugin", "is"),
    ("module", "name", "is"),
    ("setting", "name", "prefix"),
    ("search_entry", "record_type", "prefix"),
    ("saved_view", "record_type", "prefix"),
    ("custom_field", "record_type", "prefix"),
    ("role_permission", "permission", "prefix"),
)


@dataclass(frozen=True, slots=True)
class Purge:
    """What was (or would be) exported and deleted."""

    module: str
    #: Table → exported rows.
    tables: dict[str, int]
    #: Kernel table → deleted rows.
    kernel_rows: dict[str, int]
    #: Where the export is; None in a rehearsal.
    folder: Path | None


def purge(config: Config, name: str, folder: Path, *, run: Run = Run.COMMIT) -> Purge:
    """Export every table of a module to a folder, then drop them with its version table and its rows in the kernel's.

    One transaction holds the write lock from the first exported row to the commit, so no row is lost between.

    Raises:
        NotFound: nothing of that name is known.
        Conflict: the module is enabled, or another command changes the modules of this instance.
        PluginError: another module's table references one of its tables.
        DatabaseUnavailable: the database cannot be reached or written.
    """
    with one_at_a_time(config, f"crm modules purge {name}"):
        _refuse_living(config, name)
        with migration_connection(config) as connection:
            transaction = connection.begin()
            try:
                found = _purged(connection, name, folder, run)
            except BaseException:
                transaction.rollback()
                raise
            transaction.commit() if run is Run.COMMIT else transaction.rollback()
    return found


def _purged(connection: sa.Connection, name: str, folder: Path, run: Run) -> Purge:
    store.lock_modules(connection)
    # Asked again: somebody may have enabled it since, and nobody can any more.
    _refuse_enabled(store.stored_modules(connection), name)
    tables = module_tables(connection, name)
    _refuse_referenced(connection, name, tables)
    found = _export(connection, name, folder, tables) if run is Run.COMMIT else _count(connection, tables)
    row = store.stored_modules(connection).get(name)
    kernel_rows = _delete(connection, name, tables)
    before = {"state": row.state, "version": row.version} if row else {"state": "installed"}
    after = {"state": "purged", "export": str(folder.absolute())}
    write_notes(connection, [Note(name, "purged", {**before, "rows": found}, after)])
    return Purge(name, found, kernel_rows, folder if run is Run.COMMIT else None)


def module_tables(connection: sa.Connection, name: str) -> list[sa.Table]:
    """Return the module's tables as the database has them, parents first; full-text tables are left out."""
    inspector = sa.inspect(connection)
    hidden = set(_full_text_tables(connection, name))
    import_kernel_models()
    kept = owned_tables(kernel_branch())  # whatever a plugin calls itself, the kernel's tables are not its own
    ordered = [table for table, _keys in inspector.get_sorted_table_and_fkc_names() if table is not None]
    names = [t for t in ordered if t.startswith(f"{name}_") and t not in kept and not _shadows(t, hidden)]
    found = reflect(connection, names)
    return [found.tables[t] for t in names]


def _refuse_living(config: Config, name: str) -> None:
    with store.reading_rows(config) as connection:
        rows = store.stored_modules(connection)
        tables = sa.inspect(connection).get_table_names()
    _refuse_enabled(rows, name)
    known = name in rows or name in installed_plugins() or Branch(name, None).version_table in tables
    if not known or name == "kernel":
        raise NotFound(f"module {name}: neither installed nor known to this instance. See: crm modules list")


def _refuse_enabled(rows: Mapping[str, store.StoredModule], name: str) -> None:
    if name in rows and rows[name].state == "enabled":
        raise Conflict(f"{name} is enabled. Disable it first: crm modules disable {name}")


def _refuse_referenced(connection: sa.Connection, name: str, tables: Sequence[sa.Table]) -> None:
    inspector, own = sa.inspect(connection), {table.name for table in tables}
    for (_schema, other), keys in inspector.get_multi_foreign_keys().items():
        for key in keys:
            if key["referred_table"] in own and other not in own:
                raise PluginError(
                    name,
                    f"table {other} references {key['referred_table']}: purge its module first "
                    f"(crm modules purge {str(other).partition('_')[0]})",
                )


def _export(connection: sa.Connection, name: str, folder: Path, tables: list[sa.Table]) -> dict[str, int]:
    if connection.dialect.name == "postgresql" and tables:
        locked = ", ".join(f'"{table.name}"' for table in tables)
        connection.exec_driver_sql(f"LOCK TABLE {locked} IN ACCESS EXCLUSIVE MODE")
    row = store.stored_modules(connection).get(name)
    revision = current_of(connection, Branch(name, None))
    archive = write_archive(
        connection, folder, tables, module=name, version=row.version if row else "", revision=revision
    )
    return {table: rows for table, (rows, _digest) in archive.tables.items()}


def _count(connection: sa.Connection, tables: Sequence[sa.Table]) -> dict[str, int]:
    return {t.name: connection.execute(sa.select(sa.func.count()).select_from(t)).scalar_one() for t in tables}


def _delete(connection: sa.Connection, name: str, tables: Sequence[sa.Table]) -> dict[str, int]:
    for virtual in _full_text_tables(connection, name):
        connection.exec_driver_sql(f'DROP TABLE "{virtual}"')
    quote = connection.dialect.identifier_preparer.quote
    drops = [quote(table.name) for table in reversed(tables)]
    if connection.dialect.name == "postgresql" and drops:
        drops = [", ".join(drops)]  # one statement: tables that reference each other in a circle go together
    for names in drops:
        connection.exec_driver_sql(f"DROP TABLE {names}")
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {quote(Branch(name, None).version_table)}")
    present = set(sa.inspect(connection).get_table_names())
    deleted = {
        table: _delete_rows(connection, table, column, how, name)
        for table, column, how in KERNEL_ROWS
        if table in present
    }
    if deleted.get("custom_field"):
        raised_version(connection)  # what runs meanwhile looks for values in tables that are gone now
    return deleted


def _delete_rows(connection: sa.Connection, table: str, column: str, how: str, name: str) -> int:
    key: sa.ColumnClause[str] = sa.column(column, sa.String)
    belongs = key == name if how == "is" else key.startswith(f"{name}.", autoescape=True)
    return connection.execute(sa.delete(sa.table(table, key)).where(belongs)).rowcount


def _full_text_tables(connection: sa.Connection, name: str) -> list[str]:
    if connection.dialect.name != "sqlite":
        return []
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%'"
    return [found for (found,) in connection.exec_driver_sql(query) if found.startswith(f"{name}_")]


def _shadows(table: str, virtual: set[str]) -> bool:
    return table in virtual or any(table.startswith(f"{one}_") for one in virtual)
