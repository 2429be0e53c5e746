"""A new database on SQLite is switched to a write-ahead log by whoever comes first, while others may be writing."""

import sqlite3
import threading

import pytest
import sqlalchemy as sa

from crm_kernel import database


@pytest.fixture
def a_writer(tmp_path):
    """A connection that writes to a database still in SQLite's own journal mode."""
    writer = sqlite3.connect(tmp_path / "new.db", check_same_thread=False, isolation_level=None)
    writer.execute("CREATE TABLE part (id INTEGER)")
    writer.execute("BEGIN IMMEDIATE")
    yield writer
    writer.close()


@pytest.fixture
def engine(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'new.db'}", poolclass=sa.NullPool)
    database.configure_engine(engine)
    return engine


def test_a_first_connection_waits_for_another_processs_write(engine, a_writer):
    with pytest.raises(sqlite3.OperationalError, match="locked"):  # what SQLite says without waiting
        sqlite3.connect(engine.url.database, timeout=10).execute("PRAGMA journal_mode = WAL")
    commit = threading.Timer(0.2, a_writer.execute, ["COMMIT"])
    commit.start()

    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    commit.join()


def test_a_lock_that_stays_is_an_error_after_the_timeout(engine, a_writer, monkeypatch):
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0)

    with pytest.raises(sa.exc.OperationalError, match="locked"):
        engine.connect()
