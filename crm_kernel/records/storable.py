"""Refuses values that a column cannot hold before the database does: an answer for the sender instead of a crash."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

#: Our types ask the dialect only how to write what they have checked; streams check outside any application context.
_ANY = DefaultDialect()
_LARGEST = 2**63 - 1


def refuse_unstorable(column: Any, value: Any) -> None:
    """Check one value against a column's type.

    Raises:
        ValueError: a text with NUL, a number beyond the database's integers, a time without zone, too many decimals.
    """
    if isinstance(value, str) and "\x00" in value:
        raise ValueError("a NUL character")
    kind = column.type
    stored = kind.process_bind_param(value, _ANY) if isinstance(kind, sa.types.TypeDecorator) else value
    if isinstance(stored, int) and abs(stored) > _LARGEST:
        raise ValueError(f"{value} is too large")
