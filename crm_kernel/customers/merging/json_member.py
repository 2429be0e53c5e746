"""One member of a JSON object as SQL, on either database: finding it and writing it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from crm_kernel.records.custom_fields.json_value import KEY, KEY_TYPE, json_value


def is_member(column: Any, name: str, value: Any) -> sa.ColumnElement[bool]:
    """Return the predicate: the member holds this whole number or text."""
    found: sa.ColumnElement[bool] = member_of(column, name, whole=isinstance(value, int)) == value
    return found


def member_of(column: Any, name: str, *, whole: bool) -> Any:
    """Return the member as a whole number, or as a text; that of a custom field as its index is made over it."""
    if whole and KEY.match(name):
        return json_value(column, name, KEY_TYPE)
    member = sa.type_coerce(column, sa.JSON)[name]
    return member.as_integer() if whole else member.as_string()


def with_member(column: Any, name: str, value: Any, connection: sa.Connection) -> Any:
    """Return the object with another value of the member, the others as they are."""
    if connection.dialect.name == "sqlite":
        changed = sa.func.json_set(column, sa.literal(f'$."{name}"'), value)
        return sa.type_coerce(changed, sa.Text)
    from sqlalchemy.dialects.postgresql import ARRAY, JSONB

    path = sa.cast([name], ARRAY(sa.Text))
    return sa.func.jsonb_set(sa.type_coerce(column, JSONB), path, sa.func.to_jsonb(sa.cast(value, _type_of(value))))


def _type_of(value: Any) -> sa.types.TypeEngine[Any]:
    return sa.BigInteger() if isinstance(value, int) else sa.Text()
