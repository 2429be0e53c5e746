"""Finds rows by many values, and writes them below the ORM: many at once, and once only.

For services that write what was checked already: Core ``executemany`` on SQLite, ``COPY`` on PostgreSQL (three times
faster there), with keys reserved beforehand so that parts can name their record. Mapped defaults do not apply: the
caller gives every column it wants set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_kernel.database import Uid

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: Values of one ``IN`` list; SQLite takes 32,766 parameters in all.
IN_LIMIT = 5_000


def among(session: Session, column: Any, values: Collection[Any]) -> sa.ColumnElement[bool]:
    """Return ``column IN (values)`` with one parameter for all of them: whole numbers, texts, or ids on PostgreSQL.

    A thousand parameters cost the drivers more than the database needs to find the rows: each is named, cast and read again
    in a text that is no statement they know. Values of other types are listed one by one.
    """
    kind, sqlite = column.type, session.get_bind().dialect.name == "sqlite"
    plain = isinstance(kind, sa.Integer | sa.String) and not isinstance(kind, sa.Enum)
    found: sa.ColumnElement[bool]
    if sqlite and plain:
        listed = sa.func.json_each(sa.literal(json.dumps(list(values)), sa.Text)).table_valued("value", name="wanted")
        found = column.in_(sa.select(listed.c.value))
    elif not sqlite and (plain or isinstance(kind, Uid | sa.Uuid)):
        # A cast to VARCHAR(n)[] would cut what is longer, and find it by its beginning.
        one = sa.Text() if isinstance(kind, sa.String) else kind
        found = column == sa.any_(sa.literal(list(values), ARRAY(one)))
    else:
        found = column.in_(list(values))
    return found


def reserve_keys(session: Session, table: sa.Table, count: int) -> list[int]:
    """Return ``count`` unused primary keys of a table, ascending; one query.

    On SQLite the writing transaction holds the only write lock, so the keys after the largest one are free; on
    PostgreSQL they come from the column's sequence and may have gaps.
    """
    key = next(iter(table.primary_key))
    if session.get_bind().dialect.name == "sqlite":
        start = (session.execute(sa.select(sa.func.max(key))).scalar() or 0) + 1
        return list(range(start, start + count))
    sequence = sa.func.pg_get_serial_sequence(table.name, key.name)
    numbers = sa.func.generate_series(1, count).table_valued("n")
    keys = session.execute(sa.select(sa.func.nextval(sequence)).select_from(numbers)).scalars()
    return sorted(keys)


def insert_rows(session: Session, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns: one ``executemany`` or one ``COPY``.

    Raises:
        sa.exc.DBAPIError: the database refuses one; ``IntegrityError`` for a taken value, on both databases.
    """
    if not rows:
        return
    if session.get_bind().dialect.name == "sqlite":
        session.execute(sa.insert(table), list(rows))
    else:
        _copy(session, table, rows)


def insert_tuples(session: Session, table: sa.Table, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows of whole numbers and texts, straight to the driver: half the time of ``insert_rows`` for narrow rows."""
    if not rows:
        return
    if session.get_bind().dialect.name == "sqlite":
        quote = session.connection().dialect.identifier_preparer.quote
        marks, columns = ", ".join("?" * len(names)), ", ".join(quote(name) for name in names)
        statement = f"INSERT INTO {quote(table.name)} ({columns}) VALUES ({marks})"  # noqa: S608 - names of our own columns
        session.connection().exec_driver_sql(statement, list(rows))
    else:
        _copy(session, table, [dict(zip(names, row, strict=True)) for row in rows])


def add_once(session: Session, record: Any, find: Callable[[], Any]) -> tuple[Any, bool]:
    """Add a record unless one with its unique key is there; return (the stored one, whether it is new), flushed.

    ``find()`` returns the stored one or None. Safe against another transaction that adds the same at the same time:
    the database decides, inside a savepoint.
    """
    known = find()
    if known is not None:
        return known, False
    try:
        with session.begin_nested():
            session.add(record)
    except sa.exc.IntegrityError:
        known = find()
        if known is None:  # another constraint was broken
            raise
        return known, False
    return record, True


def _copy(session: Session, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    connection = session.connection()
    dialect = connection.dialect
    names = list(rows[0])
    convert = [table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names]
    quote = dialect.identifier_preparer.quote
    columns = ", ".join(quote(name) for name in names)
    raw: Any = connection.connection.driver_connection
    statement, driver = f"COPY {quote(table.name)} ({columns}) FROM STDIN", dialect.loaded_dbapi
    try:
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row([f(row[n]) if f else row[n] for n, f in zip(names, convert, strict=True)])
    except driver.Error as error:  # SQLAlchemy does not see this statement: nobody else gives the error its name
        raise sa.exc.DBAPIError.instance(statement, None, error, driver.Error, dialect=dialect) from error


def update_rows(session: Session, table: sa.Table, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Set columns of rows by primary key; one ``executemany`` per set of columns. Raises ``version`` where there is one."""
    key = next(iter(table.primary_key))
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for number, values in changes.items():
        parameters = {f"new_{name}": value for name, value in values.items()}
        groups.setdefault(tuple(values), []).append({"the_key": number, **parameters})
    for names, rows in groups.items():
        values = {name: sa.bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
        if "version" in table.c:
            values["version"] = table.c.version + 1
        session.connection().execute(sa.update(table).where(key == sa.bindparam("the_key")).values(values), rows)
