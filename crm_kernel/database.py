"""The one database: engine rules, column types and the mixins every table is made of.

Knows nothing of the tables themselves. The SQLite rules come from measurement: SQLAlchemy's defaults lost 2,009 of
45,431 updates under four writers without any error, ``BEGIN IMMEDIATE`` lost none (docs/explanation/adr/0002).
"""

from __future__ import annotations

import datetime as dt
import sqlite3
import time
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column, registry
from uuid_utils.compat import uuid7

from crm_kernel._internal.expected_warnings import expect_expression_indexes
from crm_kernel.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from flask import Flask
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.engine.interfaces import Dialect

#: Names of constraints and indexes: batch migrations on SQLite can only drop what has a name.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

#: The MetaData that the kernel and all plugins share.
metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)

#: Gives the session and the engines of the app context; its ``Model`` is not used (see ``Model`` below).
db = SQLAlchemy(metadata=metadata, disable_autonaming=True)

#: Execution option of a connection: this transaction only reads.
READ_ONLY = "crm_read_only"

#: How long a connection to SQLite waits for another one's lock.
_BUSY_SECONDS = 10

_MONEY_SCALE = 10_000
_RATE_SCALE = 10**12


def utcnow() -> dt.datetime:
    """Return the current time, aware, in UTC."""
    return dt.datetime.now(dt.UTC)


class UTCDateTime(sa.types.TypeDecorator[dt.datetime]):
    """A point in time: aware in Python, UTC in the database. A naive value is refused, never guessed."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[dt.datetime]:
        """What Python sees."""
        return dt.datetime

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without zone was given ({value.isoformat()}): expected an aware datetime")
        try:
            return value.astimezone(dt.UTC)
        except OverflowError as error:
            raise ValueError(f"{value.isoformat()} has no date in UTC: expected a year from 2 to 9998") from error

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class Uid(sa.types.TypeDecorator[uuid.UUID]):
    """The public identity of a record: 16 bytes on SQLite, ``uuid`` on PostgreSQL (text made SQLite 6× larger)."""

    impl = sa.Uuid
    cache_ok = True

    @property
    def python_type(self) -> type[uuid.UUID]:
        """What Python sees."""
        return uuid.UUID

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.LargeBinary(16))
        return dialect.type_descriptor(sa.Uuid(as_uuid=True))

    def process_bind_param(self, value: uuid.UUID | str | None, dialect: Dialect) -> uuid.UUID | bytes | None:
        if value is None:
            return None
        found = value if isinstance(value, uuid.UUID) else uuid.UUID(str(value))
        return found.bytes if dialect.name == "sqlite" else found

    def process_result_value(self, value: Any, dialect: Dialect) -> uuid.UUID | None:
        return uuid.UUID(bytes=value) if isinstance(value, bytes) else value


class _Scaled(sa.types.TypeDecorator[Decimal]):
    """A Decimal kept exactly as a BIGINT of 1/scale units: the same on both databases, exact in sums."""

    impl = sa.BigInteger
    cache_ok = True
    scale: int = 1
    decimals: int = 0

    @property
    def python_type(self) -> type[Decimal]:
        """What Python sees."""
        return Decimal

    def process_bind_param(self, value: Decimal | int | str | None, dialect: Dialect) -> int | None:
        if value is None:
            return None
        if isinstance(value, float):
            raise TypeError(f"a float was given ({value!r}): expected a Decimal")
        scaled = Decimal(value) * self.scale
        if scaled != scaled.to_integral_value():
            raise ValueError(f"{value} has more than {self.decimals} decimals")
        return int(scaled)

    def process_result_value(self, value: int | None, dialect: Dialect) -> Decimal | None:
        # PostgreSQL answers sum(bigint) as numeric: int() makes both the same.
        return None if value is None else Decimal(int(value)).scaleb(-self.decimals)


class Amount(_Scaled):
    """An amount of money, a unit price or a quantity with four decimals; the currency stands beside it."""

    scale = _MONEY_SCALE
    decimals = 4
    cache_ok = True


class Rate(_Scaled):
    """An exchange rate or a ratio with twelve decimals: no money."""

    scale = _RATE_SCALE
    decimals = 12
    cache_ok = True


#: Surrogate key: never leaves the process.
Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
#: A JSON object or array.
Json = sa.JSON().with_variant(JSONB(), "postgresql")
#: A JSON value or SQL NULL; never the JSON literal ``null``.
NullableJson = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

TYPES: dict[Any, Any] = {
    int: Key,
    str: sa.String(),
    uuid.UUID: Uid(),
    Decimal: Amount(),
    dt.datetime: UTCDateTime(),
    dt.date: sa.Date(),
    bool: sa.Boolean(),
    dict[str, Any]: Json,
    list[Any]: Json,
    list[str]: Json,
}


class Model(DeclarativeBase):
    """Declarative base of the kernel's own tables; plugins call ``plugin_base(name)`` instead."""

    registry = registry(metadata=metadata, type_annotation_map=TYPES)


class RecordMixin:
    """What every record type's table has: key, public ``uid``, optimistic ``version``, custom fields and its two times."""

    id: Mapped[int] = mapped_column(primary_key=True, sort_order=-20)
    uid: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid7, sort_order=-19)
    version: Mapped[int] = mapped_column(sa.Integer, default=1, server_default="1", sort_order=-18)
    #: Values of custom fields by name, as ``records.custom_fields`` stores them; None for none.
    custom: Mapped[dict[str, Any] | None] = mapped_column(NullableJson, sort_order=89)
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow, sort_order=90)
    updated_at: Mapped[dt.datetime] = mapped_column(default=utcnow, onupdate=utcnow, sort_order=91)

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.__table__.c.version}  # type: ignore[attr-defined]


class OwnedMixin:
    """Adds who looks after a record; row visibility own/team/all is a predicate over these two columns."""

    @declared_attr
    @classmethod
    def owner_id(cls) -> Mapped[int | None]:
        """The user who looks after it."""
        return mapped_column(sa.ForeignKey("app_user.id", ondelete="SET NULL"), index=True)

    @declared_attr
    @classmethod
    def team_id(cls) -> Mapped[int | None]:
        """The team it belongs to: the owner's at the time of assignment."""
        return mapped_column(sa.ForeignKey("team.id", ondelete="SET NULL"), index=True)


def init_database(app: Flask) -> None:
    """Bind the database of ``app.config`` and give its engines the project's rules. Connects to nothing."""
    from crm_kernel.unit_of_work import track_changes

    db.init_app(app)
    if not sa.event.contains(db.session, "after_flush", track_changes):
        sa.event.listen(db.session, "after_flush", track_changes)
    with app.app_context():
        for engine in db.engines.values():
            configure_engine(engine)


def make_engine(url: str) -> Engine:
    """Return an engine of its own under the same rules, for commands and migrations outside any app.

    Raises:
        DatabaseUnavailable: the URL is not one SQLAlchemy can use.
    """
    try:
        engine = sa.create_engine(url)
    except (sa.exc.ArgumentError, ModuleNotFoundError, sa.exc.NoSuchModuleError) as error:
        raise DatabaseUnavailable(
            f"database_url: {error}; expected sqlite:///file.db or postgresql+psycopg://…"
        ) from error
    configure_engine(engine)
    return engine


def configure_engine(engine: Engine) -> None:
    """Attach the rules for SQLite (WAL, foreign keys, ``BEGIN IMMEDIATE``) or PostgreSQL to an engine."""
    if engine.dialect.name == "sqlite":
        expect_expression_indexes()
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    else:
        sa.event.listen(engine, "connect", _prepare_postgresql)


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    # Compiling a plan costs more than running it (11 of 52 ms in a count of 200,000 customers): ours are short.
    autocommit, connection.autocommit = connection.autocommit, True
    connection.execute("SET jit = off")
    connection.autocommit = autocommit


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we write BEGIN ourselves: pysqlite's own comes too late
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
    _switch_to_wal(cursor)
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
    # SQLite's own lower() knows ASCII only: "É" would be found on PostgreSQL and not here.
    connection.create_function("lower", 1, _lower, deterministic=True)


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    """Make the journal a write-ahead log; the mode stays with the file, so only its first connections do anything.

    SQLite refuses the switch at once while another connection writes (``busy_timeout`` is not asked), which is what
    several processes starting on a new database are to each other: we wait as long as the timeout would have.

    Raises:
        sqlite3.OperationalError: the database stayed locked for :data:`_BUSY_SECONDS`.
    """
    give_up = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _begin_sqlite(connection: Connection) -> None:
    raw: Any = connection.connection.dbapi_connection
    reads = connection.get_execution_options().get(READ_ONLY)
    try:
        raw.execute(f"PRAGMA query_only = {1 if reads else 0}")
        raw.execute("BEGIN" if reads else "BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:  # the driver's own: SQLAlchemy wraps only what goes through it
        raise DatabaseUnavailable(f"the database refused the transaction: {error}") from error
