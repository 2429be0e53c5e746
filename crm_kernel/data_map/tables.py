"""Tables as the database has them, without anybody's code: what reading and writing a disabled module's rows needs."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def reflected_tables(uow: UnitOfWork, names: Collection[str]) -> dict[str, sa.Table]:
    """Return table name → table for those of the names that exist; foreign keys are not followed.

    Values are the database's own (money a whole number, a ``uid`` bytes on SQLite): ``data_map.values`` writes them as
    JSON and back. Costs a few catalogue queries per table on SQLite and a few for all on PostgreSQL.
    """
    connection = uow.session.connection()
    present = set(sa.inspect(connection).get_table_names())
    found = sa.MetaData()
    found.reflect(connection, only=sorted(set(names) & present), resolve_fks=False)
    return dict(found.tables)


def unique_keys(table: sa.Table) -> list[frozenset[str]]:
    """Return the columns of every unique key of a reflected table, the primary key among them; partial ones are not."""
    keys = [frozenset(column.name for column in table.primary_key.columns)]
    for constraint in table.constraints:
        if isinstance(constraint, sa.UniqueConstraint):
            keys.append(frozenset(column.name for column in constraint.columns))
    for index in table.indexes:
        if index.unique and not any(index.dialect_options[name].get("where") is not None for name in _DIALECTS):
            keys.append(frozenset(column.name for column in index.columns))
    return list(dict.fromkeys(key for key in keys if key))


_DIALECTS = ("sqlite", "postgresql")
