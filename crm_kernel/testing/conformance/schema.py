"""Rules of the database: own tables only, removable, and never in the way of deleting a customer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from crm_kernel.testing.conformance.rows import fill_tables
from crm_kernel.testing.conformance.rule import Subject, rule

#: Table → what is compared of it.
Snapshot = dict[str, list[str]]


@rule("owns-its-tables", "A module that changes another's table cannot be removed.", schema=True)
def owns_its_tables(subject: Subject) -> Iterator[str]:
    """Yield tables without the plugin's prefix, and tables of others that its migrations have changed."""
    before = snapshot(subject.apps.databases.template(subject.kind, subject.modules[:-1]))
    after = snapshot(subject.url)
    for table in sorted(after.keys() - before.keys()):
        if not table.startswith(f"{subject.plugin}_") and table != f"alembic_version_{subject.plugin}":
            yield f"table {table}: expected a name starting '{subject.plugin}_'"
    for table in sorted(before):
        for change in sorted(set(before[table]) ^ set(after.get(table, []))):
            yield f"table {table} of another module: {change}"


@rule(
    "migrations-match-models",
    "Otherwise the next revision, written for something else, carries the difference.",
    schema=True,
)
def migrations_match_models(subject: Subject) -> Iterator[str]:
    """Yield how the migrated tables differ from the models."""
    from crm_kernel._internal.migrations import check

    yield from check(subject.config, subject.plugin)


@rule("migrations-reversible", "A module must be removable without a trace, and come back the same.", schema=True)
def migrations_reversible(subject: Subject) -> Iterator[str]:
    """Yield what is left after the downgrade, and what differs after upgrading again."""
    from crm_kernel._internal.migrations import downgrade, upgrade

    first = snapshot(subject.url)
    downgrade(subject.config, subject.plugin)
    for table in sorted(snapshot(subject.url)):
        if table.startswith(f"{subject.plugin}_"):
            yield f"table {table} is still there after the downgrade"
    upgrade(subject.config, subject.modules)
    second = snapshot(subject.url)
    for table in sorted(first.keys() | second.keys()):
        for change in sorted(set(first.get(table, [])) ^ set(second.get(table, []))):
            yield f"table {table} differs after downgrade and upgrade: {change}"


@rule("customer-keys-cascade", "Rows of a disabled module must not keep a customer from being erased.", schema=True)
def customer_keys_cascade(subject: Subject) -> Iterator[str]:
    """Yield foreign keys to customers without ``ON DELETE``; a unique one without a merge rule is not even loaded."""
    for table in subject.tables:
        for key in sorted(table.foreign_keys, key=lambda key: key.parent.name):
            if key.target_fullname != "customer.id":
                continue
            where = f"{table.name}.{key.parent.name}"
            if (key.ondelete or "").upper() not in ("CASCADE", "SET NULL"):
                yield f"{where}: found ondelete={key.ondelete!r}, expected 'CASCADE' (or 'SET NULL' for rows that stay)"


@rule("customers-can-be-erased", "Erasure is a right; no module may make the database refuse it.", schema=True)
def customers_can_be_erased(subject: Subject) -> Iterator[str]:
    """Yield the refusal when a customer with a row in every table of the plugin is deleted."""
    with _scratch(subject) as connection:
        fill_tables(connection, subject.tables)
        try:
            connection.execute(sa.text("DELETE FROM customer"))
        except sa.exc.IntegrityError as error:
            yield f"the database refused to delete a customer: {' '.join(str(error.orig).split())}"


@rule("disabling-keeps-rows", "Disabling is a switch, not a deletion.", schema=True)
def disabling_keeps_rows(subject: Subject) -> Iterator[str]:
    """Yield tables whose rows are gone after disabling, and routes that are still there."""
    from crm_kernel._internal.lifecycle import disable
    from crm_kernel.testing.apps import build, let_go

    with _engine(subject.url) as engine:
        with engine.begin() as connection:
            fill_tables(connection, subject.tables)
            before = _counts(connection, subject.tables)
        disable(subject.config, [subject.plugin])
        with engine.connect() as connection:
            after = _counts(connection, subject.tables)
    for table in before:
        if after[table] != before[table]:
            yield f"table {table}: {before[table]} rows before disabling, {after[table]} after"
    rest = build(subject.url, tuple(name for name in subject.modules if name != subject.plugin))
    let_go(rest)
    yield from (
        f"route {r.rule} is still there" for r in rest.url_map.iter_rules() if subject.owns_endpoint(r.endpoint)
    )


def snapshot(url: str) -> Snapshot:
    """Return every table of a database with its columns, keys and indexes in words, order left out."""
    with _engine(url) as engine, engine.connect() as connection:
        inspector = sa.inspect(connection)
        return {
            table: sorted([*_columns(inspector, table), *_keys(inspector, table)])
            for table in inspector.get_table_names()
        }


def _columns(inspector: sa.Inspector, table: str) -> Iterator[str]:
    for column in inspector.get_columns(table):
        yield f"column {column['name']} {column['type']} nullable={column['nullable']} default={column['default']}"


def _keys(inspector: sa.Inspector, table: str) -> Iterator[str]:
    yield f"primary key {inspector.get_pk_constraint(table)['constrained_columns']}"
    for key in inspector.get_foreign_keys(table):
        target = f"{key['referred_table']}{key['referred_columns']}"
        yield f"foreign key {key['constrained_columns']} to {target} {key.get('options')}"
    for unique in inspector.get_unique_constraints(table):
        yield f"unique {unique['name']} {sorted(unique['column_names'])}"
    for index in inspector.get_indexes(table):
        yield f"index {index['name']} {index['column_names']} unique={bool(index['unique'])}"


def _counts(connection: sa.Connection, tables: list[sa.Table]) -> dict[str, int]:
    return {t.name: connection.execute(sa.select(sa.func.count()).select_from(t)).scalar_one() for t in tables}


@contextmanager
def _scratch(subject: Subject) -> Iterator[sa.Connection]:
    """Yield a connection whose changes are rolled back."""
    with _engine(subject.url) as engine, engine.connect() as connection:
        yield connection
        connection.rollback()


@contextmanager
def _engine(url: str) -> Iterator[sa.Engine]:
    from crm_kernel.database import make_engine

    engine = make_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()
