"""The indexes over custom fields: an expression and the key, so that a list sorted by the field walks it.

No model describes them and no revision owns them (migrations leave indexes over expressions alone); they follow the table
``custom_field``: made when a field asks for one, and looked after when tables are upgraded (``make_missing``), for SQLite
writes some tables anew then, without them. PostgreSQL makes them while others write; SQLite keeps writers waiting, some 2 s
per million rows.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.database import Key, NullableJson
from crm_kernel.records.custom_fields.json_value import json_value
from crm_kernel.records.custom_fields.kinds import STORED, FieldKind
from crm_kernel.records.custom_fields.models import CustomField, table_named

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


def make_missing(engine: Engine) -> list[str]:
    """Make the indexes that custom fields are to have and have not; return their names. Needs no app; see above."""
    fields: Any = CustomField.__table__
    in_use = sa.or_(fields.c.archived_at.is_(None), fields.c.kind == FieldKind.REFERENCE)
    wanted = sa.select(fields.c.record_type, fields.c.name, fields.c.kind).where(fields.c.indexed == sa.true(), in_use)
    with engine.connect() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        asked = [(table_named(row.record_type), row.name, row.kind) for row in connection.execute(wanted)]
        missing = [one for one in asked if one[0] in tables and not is_usable(connection, one[0], one[1])]
    for one in missing:
        create_index(engine, *one)
    return [index_name(table, name) for table, name, _kind in missing]


def drop_index(engine: Engine, table: str, name: str) -> None:
    """Drop the index over a custom field if it is there; call it with no transaction of this process open."""
    with _online(engine).begin() as connection:
        if exists(connection, table, name):
            connection.execute(sa.schema.DropIndex(_index(table, name, FieldKind.TEXT)))


def exists(connection: sa.Connection, table: str, name: str) -> bool:
    """Say whether the index is there and usable; one that was interrupted while PostgreSQL made it is dropped first."""
    found = _validity(connection, table, name)
    if found is False:
        connection.execute(sa.schema.DropIndex(_index(table, name, FieldKind.TEXT)))
    return bool(found)


def is_usable(connection: sa.Connection, table: str, name: str) -> bool:
    """Say whether the index is there and usable; one query, and changes nothing."""
    return bool(_validity(connection, table, name))


def percent_made(connection: sa.Connection, table: str, name: str) -> int | None:
    """Return how much of the table PostgreSQL has read for an index that it makes; None where nothing tells."""
    if connection.dialect.name == "sqlite":
        return None
    classes = sa.table("pg_class", sa.column("oid"), sa.column("relname"))
    under_way = sa.table(
        "pg_stat_progress_create_index", sa.column("index_relid"), sa.column("blocks_done"), sa.column("blocks_total")
    )
    joined = sa.join(under_way, classes, classes.c.oid == under_way.c.index_relid)
    wanted = sa.select(under_way.c.blocks_done, under_way.c.blocks_total).select_from(joined)
    found = connection.execute(wanted.where(classes.c.relname == index_name(table, name))).first()
    return None if found is None or not found.blocks_total else int(100 * found.blocks_done / found.blocks_total)


def _validity(connection: sa.Connection, table: str, name: str) -> bool | None:
    """Return whether the index can be used, None when there is none."""
    wanted = index_name(table, name)
    if connection.dialect.name == "sqlite":
        master = sa.table("sqlite_master", sa.column("type"), sa.column("name"))
        found = sa.select(master.c.name).where(master.c.type == "index", master.c.name == wanted)
        return True if connection.execute(found).first() is not None else None
    classes = sa.table("pg_class", sa.column("oid"), sa.column("relname"))
    indexes = sa.table("pg_index", sa.column("indexrelid"), sa.column("indisvalid"))
    joined = sa.join(classes, indexes, classes.c.oid == indexes.c.indexrelid)
    valid = sa.select(indexes.c.indisvalid).select_from(joined).where(classes.c.relname == wanted)
    return connection.execute(valid).scalar_one_or_none()


def _index(table: str, name: str, kind: str) -> sa.Index:
    # A table of its own: an index added to the mapped one would be taken for part of the schema.
    host = sa.Table(table, sa.MetaData(), sa.Column("id", Key), sa.Column("custom", NullableJson))
    _kind, type_ = STORED[FieldKind(kind)]
    value: Any = json_value(host.c.custom, name, type_)
    return sa.Index(index_name(table, name), value, host.c.id, _table=host, postgresql_concurrently=True)


def _online(engine: Engine) -> Engine:
    """Return an engine whose statements stand alone, as PostgreSQL wants it for an index made beside writers."""
    return engine.execution_options(isolation_level="AUTOCOMMIT") if engine.dialect.name == "postgresql" else engine
