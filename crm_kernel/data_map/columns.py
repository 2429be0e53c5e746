"""Reads the table ``data_map``: every covered column whose table is still in the database, whoever's code is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from crm_kernel._internal.modules import DataMapRow
from crm_kernel.data_map.references import KEY
from crm_kernel.records.custom_fields.models import CustomField, table_named

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveredColumn:
    """One column that points at a customer or holds personal data."""

    #: ``kernel`` or the module whose table it is.
    plugin: str
    table: str
    column: str
    #: ``customer.id`` (the key), ``customer.uid`` (the public id), or None for personal data only.
    points_to: str | None = None
    #: The column of the same table that must say ``customer``.
    type_column: str | None = None
    #: The member of the JSON object in which the reference is.
    json_key: str | None = None
    personal: bool = False
    #: ``move``, ``keep_target``, ``fill_gaps``, ``combine=package.module:function`` or ``stay``.
    merge_rule: str | None = None
    retention: str | None = None

    @property
    def is_foreign_key(self) -> bool:
        """Whether the whole column is a customer's key: rows are found by ``column = customer.id``."""
        return self.points_to == KEY and self.type_column is None and self.json_key is None


def covered_columns(uow: UnitOfWork) -> list[CoveredColumn]:
    """Return every covered column by table and column, custom fields that refer to customers included.

    Two queries and a look at the names of the tables; entries whose table is gone are left out.
    """
    connection = uow.session.connection()
    tables = set(sa.inspect(connection).get_table_names())
    rows = connection.execute(sa.select(DataMapRow.__table__))
    stored = [
        CoveredColumn(
            plugin=row.plugin,
            table=row.table_name,
            column=row.column_name,
            points_to=row.points_to,
            type_column=row.type_column,
            json_key=row.json_key,
            personal=row.personal,
            merge_rule=row.merge_rule,
            retention=row.retention,
        )
        for row in rows
    ]
    found = [*stored, *_custom_references(connection)]
    return sorted(
        (column for column in found if column.table in tables),
        key=lambda column: (column.table, column.column, column.json_key or ""),
    )


def customer_columns(uow: UnitOfWork) -> list[CoveredColumn]:
    """Return the covered columns that point at a customer."""
    return [column for column in covered_columns(uow) if column.points_to is not None]


def _custom_references(connection: sa.Connection) -> list[CoveredColumn]:
    query = sa.select(CustomField.record_type, CustomField.name).where(
        CustomField.kind == "reference", CustomField.target == "customer"
    )
    return [
        CoveredColumn(
            plugin=_plugin_of(record_type),
            table=table_named(record_type),
            column="custom",
            points_to=KEY,
            json_key=name,
            personal=True,
            merge_rule="move",
        )
        for record_type, name in connection.execute(query)
    ]


def _plugin_of(record_type: str) -> str:
    module, dot, _name = record_type.partition(".")
    return module if dot else "kernel"
