"""Makes one row for every table of a plugin from nothing but its columns: for rules that need rows of any plugin."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from crm_kernel.database import utcnow

_VALUES: dict[type, Callable[[], Any]] = {
    int: lambda: 1,
    str: lambda: "x",
    bool: lambda: True,
    float: lambda: 1.0,
    Decimal: lambda: Decimal(1),
    uuid.UUID: uuid.uuid4,
    dt.datetime: utcnow,
    dt.date: lambda: utcnow().date(),
    bytes: lambda: b"x",
    dict: dict,
    list: list,
}


def fill_tables(connection: sa.Connection, tables: list[sa.Table]) -> None:
    """Insert one customer and one row per table (a table that refuses it, by a check of its own, stays empty)."""
    from crm_kernel.customers.models import Customer

    known: dict[str, sa.Row[Any]] = {}
    for table in [Customer.__table__, *tables]:
        _add_row(connection, table, known)  # type: ignore[arg-type]


def _add_row(connection: sa.Connection, table: sa.Table, known: dict[str, sa.Row[Any]]) -> None:
    values = {column.name: _value(connection, column, known) for column in table.columns if _is_needed(column)}
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(table).values(values))
            known[table.name] = connection.execute(sa.select(table)).first()  # type: ignore[assignment]
    except sa.exc.IntegrityError:
        return


def _is_needed(column: sa.Column[Any]) -> bool:
    if column.foreign_keys:
        return True
    filled = column.default is not None or column.server_default is not None
    return not (filled or column.nullable or (column.primary_key and column.autoincrement))


def _value(connection: sa.Connection, column: sa.Column[Any], known: dict[str, sa.Row[Any]]) -> Any:
    for key in column.foreign_keys:
        target = key.column.table
        row = known.get(target.name) or connection.execute(sa.select(target)).first()
        return getattr(row, key.column.name) if row is not None else None
    return python_value(column)


def python_value(column: sa.Column[Any]) -> Any:
    """Return a value of a column's type that means nothing; None for a type that is not known."""
    return _VALUES.get(_python_type(column.type), lambda: None)()


def _python_type(kind: sa.types.TypeEngine[Any]) -> type:
    if isinstance(kind, sa.JSON):
        return dict
    # The project's own types say in their class what they give: TypeDecorator[Decimal], TypeDecorator[datetime].
    if type(kind).__module__ == "crm_kernel.database":
        return {"UTCDateTime": dt.datetime, "Uid": uuid.UUID}.get(type(kind).__name__, Decimal)
    try:
        return kind.python_type
    except NotImplementedError:
        return object
