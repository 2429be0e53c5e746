"""Applies revisions: each in one transaction together with its version row, under a lock, whoever else tries the same.

The lock and the reading of the current revision are inside the transaction of the step, so four processes that upgrade
at once apply every revision once, and a process that is killed leaves a whole number of revisions behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationStep

from crm_kernel._internal.advisory import MIGRATION
from crm_kernel.config import Config
from crm_kernel.database import make_engine
from crm_kernel.errors import CrmError, DatabaseUnavailable, PluginError
from crm_kernel.migrations.branches import (
    KERNEL,
    Branch,
    alembic_config,
    chain_of,
    current_of,
    kernel_branch,
    pending_of,
    scripts_of,
)

#: How long another process's step may take on SQLite before this one gives up.
_SQLITE_PATIENCE_MS = 600_000
#: SQLite's codes for a database that is locked, read-only, full, damaged or not there; others are faults in SQL.
_SQLITE_TROUBLE = ("BUSY", "LOCKED", "READONLY", "FULL", "IOERR", "CANTOPEN", "PERM", "CORRUPT", "NOTADB", "PROTOCOL")


class MigrationFailed(CrmError):
    """A revision failed and was rolled back; those before it are applied, a second run goes on from there."""

    exit_code: ClassVar[int] = 1
    title: ClassVar[str] = "Migration failed"


@dataclass(frozen=True, slots=True)
class Applied:
    """One revision that was applied, or would be."""

    branch: str
    revision: str
    message: str


@contextmanager
def migration_connection(config: Config) -> Iterator[sa.Connection]:
    """Open the connection that migrations run on: no foreign keys on SQLite while tables are rebuilt.

    Raises:
        DatabaseUnavailable: it cannot be reached, is locked or read-only.
    """
    engine = make_engine(config.database_url)
    if engine.dialect.name == "sqlite":
        # With foreign keys on, rebuilding a parent table deletes its cascading children (seen: 1 row -> 0).
        sa.event.listen(engine, "connect", _without_foreign_keys)
    try:
        with database_errors(config), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def database_errors(config: Config) -> Iterator[None]:
    """Turn an unreachable, locked or read-only database into one clear error that names where the URL stands."""
    try:
        yield
    except sa.exc.DatabaseError as error:
        if not _is_unavailable(error):
            raise
        raise DatabaseUnavailable(f"{config.place_of('database_url')}: {' '.join(str(error.orig).split())}") from error
    except Exception as error:
        if type(error).__module__ != "sqlite3":  # raised by BEGIN IMMEDIATE, outside SQLAlchemy's own translation
            raise
        raise DatabaseUnavailable(f"{config.place_of('database_url')}: {error}") from error


def refuse_impossible(connection: sa.Connection, branches: Sequence[Branch]) -> None:
    """Check, before the first statement, that every pending revision can be applied; reads only.

    Raises:
        PluginError: the database is ahead of the code, or a revision needs a kernel revision that will not be there.
    """
    with connection.begin():
        current = {branch.name: current_of(connection, branch) for branch in branches}
        kernel_now = current.get(KERNEL) or current_of(connection, kernel_branch())
    chain = [script.revision for script in chain_of(kernel_branch())]
    reached = chain if KERNEL in current else chain[: chain.index(kernel_now) + 1] if kernel_now in chain else []
    for branch in branches:
        for script in pending_of(branch, current[branch.name]):
            needed = getattr(script.module, "needs_kernel", None)
            if needed is not None and branch.name != KERNEL and needed not in reached:
                known = "run first: crm db upgrade" if needed in chain else "upgrade crm-kernel first"
                raise PluginError(
                    branch.name,
                    f"its revision {script.revision} needs the kernel's revision {needed}, "
                    f"found {kernel_now or 'none'}: {known}",
                )


def apply_next(connection: sa.Connection, branch: Branch) -> Applied | None:
    """Apply the next revision of a branch in a transaction of its own; None when it is at its head.

    Raises:
        MigrationFailed: the revision failed; it left nothing behind.
    """
    with connection.begin():
        return _apply_next(connection, branch)


def rehearse(connection: sa.Connection, branches: Sequence[Branch]) -> tuple[list[Applied], list[str]]:
    """Apply everything pending in one transaction, roll it back, and return what was applied with its SQL.

    Both databases have transactional DDL, so this is the same code path on the same data; it holds the write lock
    for as long as the migrations take.
    """
    transaction = connection.begin()
    applied: list[Applied] = []
    try:
        with _captured(connection) as statements:
            for branch in branches:
                while step := _apply_next(connection, branch):
                    applied.append(step)
    finally:
        transaction.rollback()
    return applied, statements


def revert_all(connection: sa.Connection, branch: Branch) -> None:
    """Run the downgrades of every applied revision of a branch, newest first, in one transaction; for tests of plugins."""
    with connection.begin():
        _lock(connection)
        done = current_of(connection, branch)
        for script in reversed(chain_of(branch)):
            if done == script.revision:
                _run(connection, branch, MigrationStep.downgrade_from_script(scripts_of(branch).revision_map, script))
                done = current_of(connection, branch)


def run_environment(connection: sa.Connection, branch: Branch, steps: Callable[..., Any]) -> None:
    """Run ``env.py`` for a branch with a function that yields the steps to take."""
    config = alembic_config(branch, connection=connection)
    scripts = scripts_of(branch)
    with EnvironmentContext(config, scripts, fn=steps):
        scripts.run_env()


def _apply_next(connection: sa.Connection, branch: Branch) -> Applied | None:
    _lock(connection)
    pending = pending_of(branch, current_of(connection, branch))
    if not pending:
        return None
    script = pending[0]
    try:
        _run(connection, branch, MigrationStep.upgrade_from_script(scripts_of(branch).revision_map, script))
        _check_foreign_keys(connection)
    except sa.exc.SQLAlchemyError as error:
        if _is_unavailable(error):
            raise
        detail = " ".join(str(getattr(error, "orig", error)).split())
        statement = " ".join(str(getattr(error, "statement", "") or "").split())[:200]
        raise MigrationFailed(f"{branch.name} {script.revision}: {detail} [{statement}]. It was rolled back") from error
    return Applied(branch.name, script.revision, script.doc.rstrip("."))


def _run(connection: sa.Connection, branch: Branch, step: MigrationStep) -> None:
    run_environment(connection, branch, lambda heads, context: [step])


def _lock(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION})
    # SQLite: the engine began with BEGIN IMMEDIATE, which is the lock.


def _check_foreign_keys(connection: sa.Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        table, row, parent, _index = broken[0]
        raise MigrationFailed(f"it would leave {len(broken)} dangling references (first: {table} row {row} → {parent})")


@contextmanager
def _captured(connection: sa.Connection) -> Iterator[list[str]]:
    statements: list[str] = []

    def remember(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        text = statement.strip()
        if not text.upper().startswith(("SELECT", "PRAGMA")):
            statements.append(f"{text};" + (f" -- {parameters!r}" if parameters else ""))

    sa.event.listen(connection, "before_cursor_execute", remember)
    try:
        yield statements
    finally:
        sa.event.remove(connection, "before_cursor_execute", remember)


def _is_unavailable(error: Exception) -> bool:
    code = getattr(getattr(error, "orig", None), "sqlite_errorname", None)
    if code is not None:
        return str(code).removeprefix("SQLITE_").startswith(_SQLITE_TROUBLE)
    # On PostgreSQL a read-only transaction is an internal error, an unreachable server an operational one.
    return isinstance(error, sa.exc.OperationalError | sa.exc.InternalError)


def _without_foreign_keys(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute(f"PRAGMA busy_timeout = {_SQLITE_PATIENCE_MS}")
