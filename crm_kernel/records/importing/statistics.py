"""Refreshes PostgreSQL's statistics while an import grows its tables.

The planner of a table that was empty a minute ago reads it whole for every chunk: imports fell from 1,700 to 850
customers/s within three files and rose to 2,200 after one ANALYZE. Autovacuum would come later. SQLite needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from crm_kernel.records.models import SearchEntry
from crm_kernel.records.plan import plan_of
from crm_kernel.records.projection import table_of

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

#: The chunks after which statistics are refreshed: at the start, then each time the rows have grown fourfold.
_AFTER = frozenset({1, 4, 16, 64, 256, 1024, 4096})

_ANALYZE = sa.DDL("ANALYZE %(fullname)s")  # type: ignore[no-untyped-call]


def refresh_statistics(uow: UnitOfWork, record_type: RecordType, chunk: int) -> None:
    """Sample the tables of a record type anew behind some chunks; part of the chunk's transaction, well below a second."""
    connection = uow.session.connection()
    if chunk not in _AFTER or connection.dialect.name != "postgresql":
        return
    for table in _tables(record_type):
        connection.execute(_ANALYZE.against(table))


def _tables(record_type: RecordType) -> list[sa.Table]:
    plan = plan_of(record_type)
    models: set[Any] = {record_type.model, SearchEntry, *(extension.model for extension in plan.extensions)}
    models |= {field.side for field in plan.fields.values() if field.side is not None}
    models |= {cast(Any, field.field).model for field in plan.collections()}
    return sorted((table_of(model) for model in models), key=lambda table: table.name)
