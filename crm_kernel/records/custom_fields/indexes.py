"""The indexes over custom fields: an expression and the key, so that a list sorted by the field walks it.

No model describes them and no revision owns them (migrations leave indexes over expressions alone); they follow the
table ``custom_field``. PostgreSQL makes them while others write; SQLite keeps writers waiting, some 2 s per million rows.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.database import Key, NullableJson
from crm_kernel.records.custom_fields.json_value import json_value
from crm_kernel.records.custom_fields.kinds import STORED, FieldKind

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

#: Longest name of an index on PostgreSQL.
_LONGEST = 63


def index_name(table: str, name: str) -> str:
    """Return the name of the index over a custom field of a table."""
    full = f"ix_{table}_{name}"
    return full if len(full) <= _LONGEST else f"{full[: _LONGEST - 9]}_{hashlib.sha256(full.encode()).hexdigest()[:8]}"


def create_index(engine: Engine, table: str, name: str, kind: str) -> None:
    """Make the index over a custom field unless it is there; call it with no transaction of this process open."""
    made = _index(table, name, kind)
    with _online(engine).begin() as connection:
        if not exists(connection, table, name):
            connection.execute(sa.schema.CreateIndex(made))


def drop_index(engine: Engine, table: str, name: str) -> None:
    """Drop the index over a custom field if it is there; call it with no transaction of this process open."""
    with _online(engine).begin() as connection:
        if exists(connection, table, name):
            connection.execute(sa.schema.DropIndex(_index(table, name, FieldKind.TEXT)))


def exists(connection: sa.Connection, table: str, name: str) -> bool:
    """Say whether the index is there and usable; one that was interrupted while PostgreSQL made it is dropped first."""
    wanted = index_name(table, name)
    if connection.dialect.name == "sqlite":
        master = sa.table("sqlite_master", sa.column("type"), sa.column("name"))
        found = sa.select(master.c.name).where(master.c.type == "index", master.c.name == wanted)
        return connection.execute(found).first() is not None
    classes = sa.table("pg_class", sa.column("oid"), sa.column("relname"))
    indexes = sa.table("pg_index", sa.column("indexrelid"), sa.column("indisvalid"))
    joined = sa.join(classes, indexes, classes.c.oid == indexes.c.indexrelid)
    valid = sa.select(indexes.c.indisvalid).select_from(joined).where(classes.c.relname == wanted)
    found_valid = connection.execute(valid).scalar_one_or_none()
    if found_valid is False:
        connection.execute(sa.schema.DropIndex(_index(table, name, FieldKind.TEXT)))
    return bool(found_valid)


def _index(table: str, name: str, kind: str) -> sa.Index:
    # A table of its own: an index added to the mapped one would be taken for part of the schema.
    host = sa.Table(table, sa.MetaData(), sa.Column("id", Key), sa.Column("custom", NullableJson))
    _kind, type_ = STORED[FieldKind(kind)]
    value: Any = json_value(host.c.custom, name, type_)
    return sa.Index(index_name(table, name), value, host.c.id, _table=host, postgresql_concurrently=True)


def _online(engine: Engine) -> Engine:
    """Return an engine whose statements stand alone, as PostgreSQL wants it for an index made beside writers."""
    return engine.execution_options(isolation_level="AUTOCOMMIT") if engine.dialect.name == "postgresql" else engine
