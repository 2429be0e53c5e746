"""Derives the data map from the mapped tables: which columns point at a customer, which hold personal data.

``column.info`` says the rest: ``personal`` (bool), ``merge`` (rule), ``reference`` (``CustomerReference``), ``retention``
(text). What contradicts itself there is refused when the module is loaded (``_internal.data_map_checks``).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from crm_kernel import database
from crm_kernel._internal.data_map_checks import is_only_key, points_at_customer
from crm_kernel.data_map.references import FILL_GAPS, KEY, MOVE, CustomerReference
from crm_kernel.migrations.autogenerate import import_kernel_models, owned_tables
from crm_kernel.migrations.branches import KERNEL, Branch


def data_map_of(name: str) -> list[dict[str, Any]]:
    """Return the rows of ``data_map`` for the kernel or a loaded plugin, by table and column."""
    if name == KERNEL:
        import_kernel_models()
    tables = sorted(owned_tables(Branch(name, None)))
    return [
        row
        for table in tables
        for column in database.metadata.tables[table].columns
        if (row := _entry(name, column)) is not None
    ]


def _entry(plugin: str, column: sa.Column[Any]) -> dict[str, Any] | None:
    is_key = points_at_customer(column)
    reference: CustomerReference | None = column.info.get("reference")
    if not (is_key or reference or column.info.get("personal")):
        return None
    return {
        "plugin": plugin,
        "table_name": column.table.name,
        "column_name": column.name,
        "points_to": KEY if is_key else reference.points_to if reference else None,
        "type_column": reference.type_column if reference else None,
        "json_key": reference.json_key if reference else None,
        "personal": bool(column.info.get("personal")),
        "merge_rule": _rule_of(column) if is_key else reference.merge if reference else column.info.get("merge"),
        "retention": column.info.get("retention"),
    }


def _rule_of(column: sa.Column[Any]) -> str:
    """A side table (its key is the customer) is merged field by field; other rows move to the remaining customer."""
    usual = FILL_GAPS if is_only_key(column) else MOVE
    return str(column.info.get("merge", usual))
