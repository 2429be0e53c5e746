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
    queries = {}

    def look():
        uow.session.flush()
        connection = uow.session.connection()
        names = frozenset(sa.inspect(connection).get_table_names())
        if names not in queries:  # to read the catalogue takes longer than to read the rows
            queries[names] = _queries(connection)
        found = {name: sorted(map(repr, connection.execute(query))) for name, query in queries[names].items()}
        found.pop("search_entry", None)  # its keys are its own; what it says is asked by searching
        return found

    return look


def _queries(connection):
    known = sa.MetaData()
    known.reflect(connection, resolve_fks=False)
    tables = [table for table in known.tables.values() if not table.name.startswith(_TOLD)]
    return {table.name: sa.select(*(c for c in table.columns if c.name not in _FORWARD)) for table in tables}


@pytest.fixture
def same_tables(uow, monkeypatch):
    """Let merges read the catalogue of the database once for all of a test, in which no table comes or goes."""
    from crm_kernel.customers.merging import book, undoing
    from crm_kernel.data_map.tables import reflected_tables

    known = reflected_tables(uow, sa.inspect(uow.session.connection()).get_table_names())

    def chosen(_uow, names):
        return {name: known[name] for name in names if name in known}

    for module in (book, undoing):
        monkeypatch.setattr(module, "reflected_tables", chosen)


@pytest.fixture
def tie(uow):
    """Tie two customers: ``tie(one, other)``."""
    from crm_kernel.customers.relationships import create_relationship

    def make(one, other, kind="partner"):
        data = dict.fromkeys(("role", "valid_from", "valid_to", "notes"))
        return create_relationship(uow, {**data, "from_customer_id": one.id, "to_customer_id": other.id, "type": kind})

    return make


@pytest.fixture
def shop(uow):
    """A module whose code is gone: its tables and its rows of the data map are all there is."""
    from crm_kernel._internal.modules import DataMapRow, ModuleRow

    connection = uow.session.connection()
    known = sa.MetaData()
    customer = sa.Table("customer", known, sa.Column("id", sa.BigInteger, primary_key=True))

    def key(**options):
        return sa.Column("customer_id", sa.BigInteger, sa.ForeignKey(customer.c.id, ondelete="CASCADE"), **options)

    tables = {
        "profile": sa.Table("shop_profile", known, key(primary_key=True), sa.Column("card", sa.String(20), unique=True),
                            sa.Column("size", sa.String(3))),
        "basket": sa.Table("shop_basket", known, sa.Column("id", sa.Integer, primary_key=True), key(),
                           sa.Column("note", sa.String(20))),
        "point": sa.Table("shop_point", known, sa.Column("id", sa.Integer, primary_key=True), key(),
                          sa.Column("year", sa.Integer), sa.UniqueConstraint("customer_id", "year")),
        "tag": sa.Table("shop_tag", known, key(primary_key=True), sa.Column("word", sa.String(20), primary_key=True)),
    }  # fmt: skip
    tables["gain"] = sa.Table(
        "shop_gain", known, sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("point_id", sa.Integer, sa.ForeignKey("shop_point.id", ondelete="CASCADE")),
        sa.Column("day", sa.Integer), sa.UniqueConstraint("point_id", "day"),
    )  # fmt: skip
    known.create_all(connection, tables=list(tables.values()))
    rules = {"profile": "fill_gaps", "basket": "move", "point": "keep_target", "tag": "keep_target"}
    uow.session.add(ModuleRow(name="shop", state="uninstalled"))
    uow.session.add_all(
        DataMapRow(
            plugin="shop",
            table_name=f"shop_{name}",
            column_name="customer_id",
            points_to="customer.id",
            merge_rule=rule,
        )
        for name, rule in rules.items()
    )
    uow.session.flush()

    def add(name, **values):
        connection.execute(sa.insert(tables[name]).values(values))

    add.tables = tables
    add.rows = lambda name: sorted(map(tuple, connection.execute(sa.select(tables[name]))))
    yield add
    uow.session.rollback()
    connection = uow.session.connection()
    known.drop_all(connection, tables=list(tables.values()))
    uow.session.commit()
