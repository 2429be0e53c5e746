"""Finds what stands in the way of deleting a record that an import created: others' rows that point at it, and changes.

What belongs to the record itself (its parts, side tables, extensions) goes with it and does not count; neither do tables
of machinery, which no record type declares (candidates of duplicates, histories).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.access.models import AuditLog
from crm_kernel.records.plan import TypePlan, plan_of, record_types
from crm_kernel.records.projection import table_of
from crm_kernel.records.record_type import RecordType

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def pointed_at(uow: UnitOfWork, record_type: RecordType, keys: Collection[int]) -> dict[int, str]:
    """Return key → label of a type whose rows point at the record; one query per column that may.

    Rows of the very records asked about do not count: they go together.
    """
    found: dict[int, str] = {}
    own = table_of(record_type.model)
    for label, column in _columns(record_type):
        query = sa.select(column).where(column.in_(keys)).distinct()
        if column.table is own:
            query = query.where(own.c.id.not_in(keys))
        found |= dict.fromkeys(uow.session.scalars(query), label)
    return found


def changed_since(uow: UnitOfWork, record_type: RecordType, uids: Sequence[UUID], requests: Sequence[str]) -> set[UUID]:
    """Return which records the audit log knows changes of that no request of these made; one query."""
    query = sa.select(AuditLog.record_uid).where(
        AuditLog.record_type == record_type.name,
        AuditLog.record_uid.in_(uids),
        AuditLog.request_id.not_in(requests),
        AuditLog.action.not_in(("exported", "refused")),
    )
    return {uid for uid in uow.session.scalars(query.distinct()) if uid is not None}


def _columns(record_type: RecordType) -> Iterator[tuple[str, sa.Column[Any]]]:
    own, belonging = table_of(record_type.model), _belonging(plan_of(record_type))
    for other in record_types().values():
        plan = plan_of(other)
        for table in {table_of(other.model), *_parts(plan)} - belonging:
            for column in table.columns:
                if any(key.column.table is own for key in column.foreign_keys):
                    yield str(other.label_plural), column


def _belonging(plan: TypePlan) -> set[sa.Table]:
    sides = {table_of(field.side) for field in plan.fields.values() if field.side is not None}
    return sides | _parts(plan) | {table_of(extension.model) for extension in plan.extensions}


def _parts(plan: TypePlan) -> set[sa.Table]:
    return {table_of(cast(Any, field.field).model) for field in plan.collections()}
