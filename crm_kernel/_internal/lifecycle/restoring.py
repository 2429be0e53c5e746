"""Bringing an export back: the rows of a purged module into the empty tables of its re-enabled self."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from crm_kernel._internal.lifecycle import store
from crm_kernel._internal.lifecycle.archive import Archive, read_archive, rows_of
from crm_kernel._internal.lifecycle.auditing import Note, write_notes
from crm_kernel._internal.lifecycle.changes import Run
from crm_kernel._internal.lifecycle.locking import one_at_a_time
from crm_kernel._internal.lifecycle.purging import module_tables
from crm_kernel.config import Config
from crm_kernel.errors import Conflict, PluginError
from crm_kernel.migrations.branches import Branch, current_of
from crm_kernel.migrations.running import migration_connection


def restore(config: Config, folder: Path, *, run: Run = Run.COMMIT) -> dict[str, int]:
    """Insert an export's rows into the module's empty tables, in one transaction; return table → rows.

    Raises:
        InvalidInput: the folder is no intact export.
        PluginError: the module's tables are missing or at another revision than the export's.
        Conflict: a table holds rows already, a row refers to something that is gone, or another command changes the
            modules of this instance.
    """
    archive = read_archive(folder)
    running = one_at_a_time(config, f"crm modules restore {folder}")
    with running, migration_connection(config) as connection:
        transaction = connection.begin()
        try:
            written = _insert(connection, folder, archive)
        except sa.exc.IntegrityError as error:
            transaction.rollback()
            raise Conflict(
                f"{archive.module}: a row cannot be restored: {' '.join(str(error.orig).split())}. {_again(folder)}"
            ) from error
        except BaseException:
            transaction.rollback()
            raise
        transaction.commit() if run is Run.COMMIT else transaction.rollback()
    if run is Run.COMMIT:
        store.make_missing_indexes(config)
    return written


def _insert(connection: sa.Connection, folder: Path, archive: Archive) -> dict[str, int]:
    found = current_of(connection, Branch(archive.module, None))
    if found != archive.revision:
        raise PluginError(
            archive.module,
            f"its tables are at revision {found or 'none'}, the export at {archive.revision or 'none'}. "
            f"Install version {archive.version or 'of the export'} and run: crm modules enable {archive.module}",
        )
    tables = {table.name: table for table in module_tables(connection, archive.module)}
    missing = sorted(archive.tables.keys() - tables.keys())
    if missing:
        raise PluginError(
            archive.module, f"table {missing[0]} does not exist. Run: crm modules enable {archive.module}"
        )
    written = {name: _fill(connection, folder, table) for name, table in tables.items() if name in archive.tables}
    _refuse_dangling(connection, archive.module, folder)
    row = store.stored_modules(connection).get(archive.module)
    state = {"state": row.state if row else "installed"}
    after = {**state, "export": str(folder.absolute()), "rows": written}
    write_notes(connection, [Note(archive.module, "restored", state, after)])
    return written


def _fill(connection: sa.Connection, folder: Path, table: sa.Table) -> int:
    if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None:
        module = table.name.partition("_")[0]
        raise Conflict(
            f"table {table.name} holds rows already: an export is restored into empty tables only. To empty them: "
            f"crm modules disable {module} · crm modules purge {module} (exports them) · crm modules enable {module}"
        )
    count = 0
    for column in table.columns:
        if isinstance(column.type, sa.JSON):  # as reflected it would write the JSON literal null for a missing value
            column.type.none_as_null = True
    for batch in rows_of(folder / f"{table.name}.jsonl", table):
        connection.execute(sa.insert(table), batch)
        count += len(batch)
    _advance_sequence(connection, table)
    return count


def _advance_sequence(connection: sa.Connection, table: sa.Table) -> None:
    """Keys came with the rows: PostgreSQL's sequence must go on behind them."""
    keys = list(table.primary_key.columns)
    if connection.dialect.name != "postgresql" or len(keys) != 1 or not isinstance(keys[0].type, sa.Integer):
        return
    sequence = connection.execute(sa.select(sa.func.pg_get_serial_sequence(table.name, keys[0].name))).scalar()
    highest = connection.execute(sa.select(sa.func.max(keys[0]))).scalar()
    if sequence and highest:
        connection.execute(sa.select(sa.func.setval(sequence, highest)))


def _again(folder: Path) -> str:
    return f"Nothing was written. Bring back what it refers to, then: crm modules restore {folder}"


def _refuse_dangling(connection: sa.Connection, module: str, folder: Path) -> None:
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        table, row, parent, _index = broken[0]
        raise Conflict(
            f"{module}: {len(broken)} rows refer to something that is gone (first: {table} row {row} → {parent}). "
            f"{_again(folder)}"
        )
