"""Tables as the database has them, without anybody's code: what reading and writing a disabled module's rows needs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Where a connection to SQLite keeps what it read of the schema.
_KNOWN = "crm_reflected"
_SQLITE_SCHEMA = sa.text("SELECT type, name, sql FROM sqlite_master")
_SQLITE_KEYS = sa.text(
    'SELECT m.name, min(f."from"), f."table", min(f."to") FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f '
    "WHERE m.type = 'table' GROUP BY m.name, f.id, f.\"table\" HAVING count(*) = 1 ORDER BY m.name, f.id"
)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key of one column: ``table.column`` refers to ``referred.key``."""

    table: str
    column: str
    referred: str
    key: str


@dataclass(frozen=True, slots=True)
class _Schema:
    """What SQLite says that it holds, and the tables that were read while it said so."""

    objects: frozenset[tuple[str, ...]]
    tables: dict[str, sa.Table] = field(default_factory=dict)


def reflected_tables(uow: UnitOfWork, names: Collection[str]) -> dict[str, sa.Table]:
    """Return table name → table for those of the names that exist; foreign keys are not followed.

    Values are the database's own (money a whole number, a ``uid`` bytes on SQLite): ``data_map.values`` writes them as
    JSON and back. Costs a few catalogue queries for all on PostgreSQL; on SQLite a dozen per table, but only when a
    connection reads it for the first time or the schema has changed: else one for all.
    """
    connection = uow.session.connection()
    if connection.dialect.name != "sqlite":
        return _reflected(connection, set(names) & set(sa.inspect(connection).get_table_names()))
    schema = _schema(connection)
    wanted = {name for kind, name, *_rest in schema.objects if kind == "table"} & set(names)
    schema.tables.update(_reflected(connection, wanted - schema.tables.keys()))
    return {name: schema.tables[name] for name in wanted}


def foreign_keys(uow: UnitOfWork) -> Iterator[ForeignKey]:
    """Yield the foreign keys of one column of all tables; one query on SQLite, two on PostgreSQL."""
    connection = uow.session.connection()
    if connection.dialect.name == "sqlite":
        for table, column, referred, key in connection.execute(_SQLITE_KEYS):
            yield ForeignKey(table, column, referred, key or "id")
        return
    for (_schema_name, name), keys in sa.inspect(connection).get_multi_foreign_keys().items():
        for found in keys:
            if len(found["constrained_columns"]) == 1:
                [column], refers = found["constrained_columns"], found["referred_columns"]
                yield ForeignKey(name, column, found["referred_table"], refers[0] if refers else "id")


def _schema(connection: sa.Connection) -> _Schema:
    """Return what the connection knows of the schema as it is now: by its text, since its number is given twice when
    a transaction that changed it is rolled back."""
    objects = frozenset(tuple(row) for row in connection.execute(_SQLITE_SCHEMA))
    known = connection.info.get(_KNOWN)
    if known is None or known.objects != objects:
        known = connection.info[_KNOWN] = _Schema(objects)
    return known


def _reflected(connection: sa.Connection, names: Collection[str]) -> dict[str, sa.Table]:
    return dict(reflect(connection, names).tables) if names else {}


def reflect(connection: sa.Connection, names: Collection[str]) -> sa.MetaData:
    """Return tables as the database has them; indexes over custom fields are left out on SQLite.

    SQLAlchemy's warning of each is ignored from the first engine of a process on (``_internal.expected_warnings``).
    """
    found = sa.MetaData()
    found.reflect(connection, only=sorted(names), resolve_fks=False)
    return found


def unique_keys(table: sa.Table) -> list[frozenset[str]]:
    """Return the columns of every unique key of a reflected table, the primary key among them; partial ones are not."""
    keys = [frozenset(column.name for column in table.primary_key.columns)]
    for constraint in table.constraints:
        if isinstance(constraint, sa.UniqueConstraint):
            keys.append(frozenset(column.name for column in constraint.columns))
    for index in table.indexes:
        if index.unique and not any(index.dialect_options[name].get("where") is not None for name in _DIALECTS):
            keys.append(frozenset(column.name for column in index.columns))
    return list(dict.fromkeys(key for key in keys if key))


_DIALECTS = ("sqlite", "postgresql")
