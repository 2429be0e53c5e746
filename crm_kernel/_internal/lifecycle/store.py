"""The rows behind a module's life: its state, the generation, the last failure, the data map. Plain statements, no app."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from crm_kernel._internal.modules import GENERATION, LAST_FAILURE, DataMapRow, ModuleRow, SettingRow, refuse_missing
from crm_kernel.config import Config
from crm_kernel.database import READ_ONLY, make_engine, utcnow
from crm_kernel.errors import DatabaseUnavailable
from crm_kernel.migrations.running import database_errors


@dataclass(frozen=True, slots=True)
class StoredModule:
    """What the table ``module`` says about one module."""

    name: str
    state: str
    version: str
    changed_at: dt.datetime


@contextmanager
def reading_rows(config: Config) -> Iterator[sa.Connection]:
    """Open a connection on which nothing can be written.

    Raises:
        DatabaseUnavailable: unreachable, or not created yet.
    """
    with _connected(config) as connection:
        connection.execution_options(**{READ_ONLY: True, "postgresql_readonly": True})
        with connection.begin():
            yield connection


@contextmanager
def writing_rows(config: Config) -> Iterator[sa.Connection]:
    """Open a transaction that commits at its end; writers of modules wait for each other.

    Raises:
        DatabaseUnavailable: unreachable, read-only, or without the kernel's tables.
    """
    with _connected(config) as connection, connection.begin():
        if not sa.inspect(connection).has_table(ModuleRow.__tablename__):
            raise DatabaseUnavailable(
                f"{config.place_of('database_url')}: it has no tables yet. Create them: crm db upgrade"
            )
        lock_modules(connection)
        yield connection


def lock_modules(connection: sa.Connection) -> None:
    """Keep every other writer of modules out until this transaction ends; on SQLite its begin did that."""
    if connection.dialect.name == "postgresql" and sa.inspect(connection).has_table(ModuleRow.__tablename__):
        connection.exec_driver_sql("LOCK TABLE module IN SHARE ROW EXCLUSIVE MODE")


def stored_modules(connection: sa.Connection) -> dict[str, StoredModule]:
    """Return name → row of every module this instance knows; nothing before the tables exist."""
    if not sa.inspect(connection).has_table(ModuleRow.__tablename__):
        return {}
    table = ModuleRow.__table__
    return {
        row.name: StoredModule(**row._mapping) for row in connection.execute(sa.select(table).order_by(table.c.name))
    }


def write_state(connection: sa.Connection, name: str, state: str, version: str) -> None:
    """Insert or update a module's row."""
    values = {"state": state, "version": version, "changed_at": utcnow()}
    if not connection.execute(sa.update(ModuleRow).where(ModuleRow.name == name).values(values)).rowcount:
        connection.execute(sa.insert(ModuleRow).values(name=name, **values))


def generation(connection: sa.Connection) -> int:
    """Return the number that every change of the enabled set raises; 0 before the first."""
    found = read_setting(connection, GENERATION)
    return int(found["number"]) if found else 0


def raise_generation(connection: sa.Connection) -> int:
    """Raise the generation, so that servers replace their workers; return the new number."""
    number = generation(connection) + 1
    write_setting(connection, GENERATION, {"number": number})
    return number


def last_failure(connection: sa.Connection) -> dict[str, Any] | None:
    """Return why the newest generation could not be served (keys generation, module, reason, at), or None."""
    return read_setting(connection, LAST_FAILURE)


def write_failure(connection: sa.Connection, failure: Mapping[str, Any] | None) -> None:
    """Store or (with None) remove the reason why the newest generation cannot be served."""
    if failure is not None:
        write_setting(connection, LAST_FAILURE, failure)
    elif read_setting(connection, LAST_FAILURE) is not None:
        connection.execute(sa.delete(SettingRow).where(SettingRow.name == LAST_FAILURE))


def read_setting(connection: sa.Connection, name: str) -> dict[str, Any] | None:
    """Return a value of the table ``setting``, or None."""
    if not sa.inspect(connection).has_table(SettingRow.__tablename__):
        return None
    return connection.execute(sa.select(SettingRow.value).where(SettingRow.name == name)).scalar_one_or_none()


def write_setting(connection: sa.Connection, name: str, value: Mapping[str, Any]) -> None:
    """Insert or update a value of the table ``setting``."""
    if not connection.execute(sa.update(SettingRow).where(SettingRow.name == name).values(value=dict(value))).rowcount:
        connection.execute(sa.insert(SettingRow).values(name=name, value=dict(value)))


def replace_data_map(connection: sa.Connection, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store a module's declared columns; rows of tables it no longer declares but still has are kept."""
    declared = {row["table_name"] for row in rows}
    connection.execute(sa.delete(DataMapRow).where(DataMapRow.plugin == name, DataMapRow.table_name.in_(declared)))
    if rows:
        connection.execute(sa.insert(DataMapRow), [dict(row) for row in rows])


def make_missing_indexes(config: Config) -> list[str]:
    """Make the indexes over custom fields that are not there, and return their names; with no transaction open.

    Raises:
        DatabaseUnavailable: unreachable, or read-only.
    """
    from crm_kernel.records.custom_fields.indexes import make_missing

    with _engine(config) as engine:
        return make_missing(engine)


@contextmanager
def _connected(config: Config) -> Iterator[sa.Connection]:
    with _engine(config) as engine, engine.connect() as connection:
        yield connection


@contextmanager
def _engine(config: Config) -> Iterator[sa.Engine]:
    refuse_missing(config)
    engine = make_engine(config.database_url)
    try:
        with database_errors(config):
            yield engine
    finally:
        engine.dispose()
