"""Refuses tables of a module that say nothing, or nonsense, about what merging two customers does with their rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from crm_kernel.data_map.references import (
    COMBINE,
    KEY,
    RULES,
    CustomerReference,
    combining_function,
    is_rule,
)
from crm_kernel.errors import RegistrationError


def check_tables(plugin: str, tables: Iterable[sa.Table]) -> None:
    """Check every column that points at a customer.

    Raises:
        RegistrationError: a key of a customer is part of a unique key and has no rule, a rule or its function is
            unknown, or a reference names a column that its table does not have.
    """
    for table in sorted(tables, key=lambda table: table.name):
        for column in table.columns:
            if points_at_customer(column):
                _check_key(plugin, column)
            if (reference := column.info.get("reference")) is not None:
                _check_reference(plugin, column, reference)


def points_at_customer(column: sa.Column[Any]) -> bool:
    """Say whether a column is a foreign key to customers."""
    return any(key.target_fullname == KEY for key in column.foreign_keys)


def is_only_key(column: sa.Column[Any]) -> bool:
    """Say whether a column alone is its table's primary key: one row per customer."""
    return list(column.table.primary_key.columns) == [column]


def is_in_unique_key(column: sa.Column[Any]) -> bool:
    """Say whether a column is part of a key that two customers' rows could share once they are one customer's."""
    table = column.table
    constraints = [c for c in table.constraints if isinstance(c, sa.UniqueConstraint | sa.PrimaryKeyConstraint)]
    indexes = [index for index in table.indexes if index.unique]
    return any(column in set(key.columns) for key in (*constraints, *indexes))


def _check_key(plugin: str, column: sa.Column[Any]) -> None:
    item, rule = f"{column.table.name}.{column.name}", column.info.get("merge")
    expected = f"info={{'merge': …}} with one of {', '.join(RULES)} or 'combine=package.module:function'"
    if rule is None:
        if is_in_unique_key(column) and not is_only_key(column):
            found = "a unique key that contains the customer, and no merge rule"
            raise RegistrationError(plugin, item, found=found, expected=expected)
        return
    if not isinstance(rule, str) or not is_rule(rule):
        raise RegistrationError(plugin, item, found=rule, expected=expected)
    if rule.startswith(COMBINE):
        _check_function(plugin, item, rule)


def _check_function(plugin: str, item: str, rule: str) -> None:
    try:
        found = combining_function(rule)
    except (ImportError, AttributeError) as error:
        raise RegistrationError(
            plugin, item, found=rule, expected=f"a function that can be imported: {error}"
        ) from error
    if not callable(found):
        raise RegistrationError(plugin, item, found=rule, expected="a function of two rows: (kept, gone) -> changes")


def _check_reference(plugin: str, column: sa.Column[Any], reference: Any) -> None:
    item = f"{column.table.name}.{column.name}"
    if not isinstance(reference, CustomerReference):
        raise RegistrationError(plugin, item, found=reference, expected="a CustomerReference")
    if reference.type_column is not None and reference.type_column not in column.table.columns:
        expected = f"a column of {column.table.name}"
        raise RegistrationError(plugin, f"{item} type_column", found=reference.type_column, expected=expected)
    if (reference.json_key is not None) != isinstance(column.type, sa.JSON):
        expected = "a json_key on a JSON column, and on no other"
        raise RegistrationError(plugin, f"{item} json_key", found=reference.json_key, expected=expected)
