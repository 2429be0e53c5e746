"""Writes down which customers a text or a JSON value mentions by their ids, in a table beside it.

Whoever erases one then finds the values by keys, and reads no others. Such a table has two columns, both keys: the customer,
and the row with the value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from crm_kernel._internal.rows import IN_LIMIT
from crm_kernel.database import Uid

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def ids_in(text: str) -> list[UUID]:
    """Return the ids that stand anywhere in a text, each once."""
    return [UUID(found) for found in dict.fromkeys(found.lower() for found in _ID.findall(text))]


def note_mentioned(session: Session, table: Any, row: int, text: str) -> None:
    """Write down the customers whose ids stand in a text; one statement, and none for a text without ids.

    Args:
        table: what keeps them: the customer's key first, then the row's.
        row: the key of the row that the text is of.
    """
    uids = ids_in(text)
    customer, column = table.columns
    customers = sa.table("customer", sa.column("id", customer.type), sa.column("uid", Uid()))
    insert: Any = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    for start in range(0, len(uids), IN_LIMIT):
        named = customers.c.uid.in_(uids[start : start + IN_LIMIT])
        rows = sa.select(customers.c.id, sa.literal(row, column.type)).where(named)
        once = insert(table).from_select([customer.name, column.name], rows).on_conflict_do_nothing()
        session.execute(once)
