"""What tests of merging look at: every row of every table, and ties."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

#: Tables that tell what happened, and marks that move forward.
_TOLD = ("merge_run", "merge_item", "audit_", "event", "job", "alembic_", "sqlite_", "search_entry_")
_FORWARD = ("version", "updated_at")


@pytest.fixture
def snapshot(uow):
    """Return every row of the database but what tells of the merge: ``snapshot()`` → table → rows."""

    def look():
        uow.session.flush()
        connection = uow.session.connection()
        known = sa.MetaData()
        known.reflect(connection, resolve_fks=False)
        tables = [t for t in known.tables.values() if not t.name.startswith(_TOLD)]
        found = {}
        for table in tables:
            columns = [column for column in table.columns if column.name not in _FORWARD]
            found[table.name] = sorted(map(repr, connection.execute(sa.select(*columns))))
        found.pop("search_entry", None)  # its keys are its own; what it says is asked by searching
        return found

    return look


@pytest.fixture
def tie(uow):
    """Tie two customers: ``tie(one, other)``."""
    from crm_kernel.customers.relationships import create_relationship

    def make(one, other, kind="partner"):
        data = dict.fromkeys(("role", "valid_from", "valid_to", "notes"))
        return create_relationship(uow, {**data, "from_customer_id": one.id, "to_customer_id": other.id, "type": kind})

    return make
