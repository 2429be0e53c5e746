"""One statement of an erasure and the rows it is about: what the plan counts and what carrying it out runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

#: What stands where a text was and none may be missing.
BLANK = "–"


@dataclass(frozen=True, slots=True)
class Step:
    """One statement, and the rows it is about."""

    table: sa.Table
    module: str
    #: A key of ``choices.FATES``.
    fate: str
    where: sa.ColumnElement[bool]
    #: None for rows that stay as they are.
    statement: Any = None
    #: A key of ``choices.WHY`` or a module's own words; empty where nothing stays.
    why: str = ""

    def count(self) -> sa.Select[Any]:
        """Return the number of the rows."""
        return sa.select(sa.func.count()).select_from(self.table).where(self.where)


def emptied(column: sa.Column[Any]) -> Any:
    """Return the value that says nothing of anybody: NULL, or what a column takes that must not be NULL."""
    if column.nullable:
        return sa.null()
    if isinstance(column.type, sa.LargeBinary):
        return b""
    return {} if isinstance(column.type, sa.JSON) else BLANK
