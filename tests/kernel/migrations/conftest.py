"""A kernel of one small table and plugins that are nothing but revisions: migrations without models, in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from crm_kernel._internal import migrations
from crm_kernel.config import Config
from crm_kernel.database import make_engine
from crm_kernel.migrations import running
from crm_kernel.migrations.branches import Branch
from crm_kernel.testing.sites import write_distribution

_REVISION = '''"""{message}."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down!r}
branch_labels = {labels!r}
depends_on = None
needs_kernel = {needs!r}


def upgrade():
{body}


def downgrade():
    pass
'''


def revision_file(revision, body, *, name, down=None, needs=None, message="Change something"):
    """Return (file name, source) of a revision; ``body`` holds the lines of ``upgrade``."""
    lines = "\n".join(f"    {line}" for line in body)
    labels = None if down else (name,)
    source = _REVISION.format(message=message, revision=revision, down=down, labels=labels, needs=needs, body=lines)
    return f"{revision}_change.py", source


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that nobody gives back fails a test in a minute instead of hanging it."""
    monkeypatch.setattr(running, "_SQLITE_PATIENCE_MS", 60_000)


@pytest.fixture
def write_revision():
    """Return the function that makes a revision: ``write_revision("0001", ["op.execute(…)"], name="toy")``."""
    return revision_file


@pytest.fixture
def tiny_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Branch:
    """Put a kernel of one table in place of the real one."""
    folder = tmp_path / "kernel_versions"
    folder.mkdir()
    file, source = revision_file(
        "0001", ['op.create_table("customer", sa.Column("id", sa.Integer, primary_key=True))'], name="kernel"
    )
    (folder / file).write_text(source)
    branch = Branch("kernel", folder)
    monkeypatch.setattr(migrations, "kernel_branch", lambda: branch)
    monkeypatch.setattr(running, "kernel_branch", lambda: branch)
    return branch


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Install a plugin of revisions: ``install("toy", [revision, …], requires=[…])`` → its site folder."""

    def put(name, revisions, **options):
        site = tmp_path / f"site_{name}"
        files = {f"migrations/versions/{file}": source for file, source in revisions}
        write_distribution(site, name, files=files, **options)
        monkeypatch.syspath_prepend(str(site))
        return site

    return put


@pytest.fixture
def config(database_url: str) -> Config:
    """The settings of an empty database; the test runs on SQLite and on PostgreSQL."""
    # These tests are about statements and transactions, not about surviving a power cut.
    fast = "?options=-csynchronous_commit%3Doff" if database_url.startswith("postgresql") else ""
    return Config(database_url=database_url + fast, source="the test")


@pytest.fixture
def sqlite_config(tmp_path: Path) -> Config:
    """The settings of a SQLite file that does not exist yet."""
    return Config(database_url=f"sqlite:///{tmp_path / 'crm.db'}", source="the test")


@pytest.fixture
def schema_of():
    """Describe a database: table → columns, indexes and foreign keys, comparable between two databases."""

    def describe(config):
        engine = make_engine(config.database_url)
        try:
            inspector = sa.inspect(engine)
            return {
                table: (
                    [
                        (column["name"], str(column["type"]), column["nullable"])
                        for column in inspector.get_columns(table)
                    ],
                    sorted((index["name"], index["column_names"]) for index in inspector.get_indexes(table)),
                    sorted(
                        (key["constrained_columns"], key["referred_table"]) for key in inspector.get_foreign_keys(table)
                    ),
                )
                for table in sorted(inspector.get_table_names())
            }
        finally:
            engine.dispose()

    return describe
