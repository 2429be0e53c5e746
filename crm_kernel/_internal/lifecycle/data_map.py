"""Derives the data map from the mapped tables: which columns point at a customer, which hold personal data.

``column.info`` says the rest: ``personal`` (bool), ``merge`` (rule), ``retention`` (text).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from crm_kernel import database
from crm_kernel.migrations.autogenerate import owned_tables
from crm_kernel.migrations.branches import Branch

_CUSTOMER = "customer.id"


def data_map_of(name: str) -> list[dict[str, Any]]:
    """Return the rows of ``data_map`` for the kernel or a loaded plugin, by table and column."""
    tables = sorted(owned_tables(Branch(name, None)))
    return [
        row
        for table in tables
        for column in database.metadata.tables[table].columns
        if (row := _entry(name, column)) is not None
    ]


def _entry(plugin: str, column: sa.Column[Any]) -> dict[str, Any] | None:
    points = any(key.target_fullname == _CUSTOMER for key in column.foreign_keys)
    if not points and not column.info.get("personal"):
        return None
    return {
        "plugin": plugin,
        "table_name": column.table.name,
        "column_name": column.name,
        "points_to": _CUSTOMER if points else None,
        "personal": bool(column.info.get("personal")),
        "merge_rule": column.info.get("merge", _usual_rule(column)) if points else column.info.get("merge"),
        "retention": column.info.get("retention"),
    }


def _usual_rule(column: sa.Column[Any]) -> str:
    """A side table (its key is the customer) is merged field by field; other rows move to the remaining customer."""
    return "fill_gaps" if column.primary_key else "move"
