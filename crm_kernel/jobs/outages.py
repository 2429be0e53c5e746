"""Tells a database that does not answer from a job whose own statement is wrong: both arrive as the same error."""

from __future__ import annotations

from crm_kernel.errors import DatabaseUnavailable

#: SQLite's names of what the statement cannot be blamed for; ``SQLITE_ERROR`` is a fault in SQL.
_SQLITE = ("BUSY", "LOCKED", "READONLY", "FULL", "IOERR", "CANTOPEN", "PERM", "PROTOCOL")
#: The same of PostgreSQL, by how its codes begin: connection lost, no resources, shutting down or not up yet. A
#: deadlock or a lock not given is about rows, and a pause with a count is right for it.
_POSTGRESQL = ("08", "53", "57P01", "57P02", "57P03")


def is_outage(error: DatabaseUnavailable) -> bool:
    """Say whether the database is locked, full, read-only or away, whatever a job does.

    False for an error without a driver's error behind it, and for SQL that cannot run (SQLite calls that operational,
    too): a job that fails by itself must be counted, or it would be tried for ever.
    """
    cause = error.__cause__
    driver = getattr(cause, "orig", cause)
    if driver is None:
        return False
    name = getattr(driver, "sqlite_errorname", None)
    if name is not None:
        return str(name).removeprefix("SQLITE_").startswith(_SQLITE)
    # psycopg gives no code when the connection broke or never came about.
    code = getattr(driver, "sqlstate", None)
    return code is None or str(code).startswith(_POSTGRESQL)
