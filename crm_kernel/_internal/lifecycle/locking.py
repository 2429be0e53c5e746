"""Keeps the verbs of a module's life apart: one at a time per instance, whoever runs it, from its first look on.

A verb is many transactions (each revision commits) and a child process, so no transaction's lock spans it. PostgreSQL
gives an advisory lock to a session of its own; beside a SQLite file stands a locked file for as long as a verb runs.
Both go with the process that holds them, also when it is killed. Nobody waits: who comes second is told who is first.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa

from crm_kernel._internal.advisory import VERBS, VERBS_SPACE
from crm_kernel._internal.modules import refuse_missing
from crm_kernel.config import Config
from crm_kernel.database import make_engine
from crm_kernel.errors import Conflict, DatabaseUnavailable
from crm_kernel.migrations.running import database_errors

#: What PostgreSQL keeps of a session's name.
_NAME_BYTES = 63


class Hold(StrEnum):
    """Whom a command keeps out."""

    #: Every other one.
    ALONE = "alone"
    #: Those that want to be alone; upgrades of the database serialise their steps among each other.
    SHARED = "shared"


@contextmanager
def one_at_a_time(config: Config, command: str, *, hold: Hold = Hold.ALONE) -> Iterator[None]:
    """Run the block while no other process changes the modules of this instance.

    Args:
        command: what runs, as somebody would type it; shown to who is refused meanwhile.

    Raises:
        Conflict: another command runs; the text names it and its process.
        DatabaseUnavailable: unreachable, not created yet, or its folder cannot be written.
    """
    if hold is Hold.ALONE:
        refuse_missing(config)
    engine = make_engine(config.database_url)
    try:
        with _held(config, engine, command, hold):
            yield
    finally:
        engine.dispose()


def _held(config: Config, engine: sa.Engine, command: str, hold: Hold) -> AbstractContextManager[None]:
    holder = f"process {os.getpid()} on {socket.gethostname()}: {command}"
    if engine.dialect.name == "postgresql":
        return _advisory_lock(config, engine, holder, command, hold)
    return _locked_file(config, engine.url.database or "", holder, command, hold)


@contextmanager
def _advisory_lock(config: Config, engine: sa.Engine, holder: str, command: str, hold: Hold) -> Iterator[None]:
    with database_errors(config):
        # Not one open transaction for minutes: that would keep the database from cleaning up.
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        with database_errors(config):
            name = holder.encode()[:_NAME_BYTES].decode(errors="ignore")
            connection.execute(sa.select(sa.func.set_config("application_name", name, sa.false())))
            if not connection.execute(sa.select(_try_lock(hold))).scalar_one():
                raise _refusal(_holder_on_postgresql(connection), command)
        yield
    finally:
        # The server notices a closed session only a moment later, and a next verb of this process would meet itself.
        with suppress(sa.exc.DBAPIError):
            connection.execute(sa.select(sa.func.pg_advisory_unlock_all()))
        connection.close()


def _try_lock(hold: Hold) -> sa.ColumnElement[bool]:
    take = sa.func.pg_try_advisory_lock if hold is Hold.ALONE else sa.func.pg_try_advisory_lock_shared
    return take(sa.cast(VERBS_SPACE, sa.Integer), sa.cast(VERBS, sa.Integer), type_=sa.Boolean)


def _holder_on_postgresql(connection: sa.Connection) -> str:
    names: sa.TableClause = sa.table("pg_stat_activity", sa.column("pid"), sa.column("application_name"))
    locks: sa.TableClause = sa.table(
        "pg_locks", *map(sa.column, ("pid", "locktype", "database", "classid", "objid", "objsubid", "granted"))
    )
    base: sa.TableClause = sa.table("pg_database", sa.column("oid"), sa.column("datname"))
    query = (
        sa.select(names.c.application_name)
        .join_from(names, locks, names.c.pid == locks.c.pid)
        .join(base, base.c.oid == locks.c.database)
        .where(base.c.datname == sa.func.current_database(), locks.c.locktype == "advisory", locks.c.granted)
        .where(locks.c.classid == VERBS_SPACE, locks.c.objid == VERBS, locks.c.objsubid == 2)
    )
    return str(connection.execute(query).scalars().first() or "")


@contextmanager
def _locked_file(config: Config, database: str, holder: str, command: str, hold: Hold) -> Iterator[None]:
    if database in ("", ":memory:"):  # nobody else can reach it
        yield
        return
    path = Path(f"{database}-modules")
    try:
        file = _take(path, hold, command)
    except OSError as error:
        raise DatabaseUnavailable(f"{config.place_of('database_url')}: {path}: {error.strerror}") from error
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, holder.encode(), 0)
        yield
    finally:
        _leave(path, file)


def _take(path: Path, hold: Hold, command: str) -> int:
    """Return the open, locked file; one that its holder removed between opening and locking is no lock any more."""
    how = fcntl.LOCK_EX if hold is Hold.ALONE else fcntl.LOCK_SH
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
                return file
        except BlockingIOError:
            holder = os.pread(file, 500, 0).decode(errors="replace")
            os.close(file)
            raise _refusal(holder, command) from None
        except FileNotFoundError:
            pass
        os.close(file)


def _leave(path: Path, file: int) -> None:
    """Remove the file, unless somebody shares it, and let the lock go."""
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    os.close(file)


def _refusal(holder: str, command: str) -> Conflict:
    who = f" ({holder})" if holder else ""
    return Conflict(
        f"another command changes the modules of this instance{who}. Nothing was changed. When it has ended: {command}"
    )
