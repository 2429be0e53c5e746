"""Finds what stands in the way of deleting a record that an import created: others' rows that point at it, and changes.

Rows point by a foreign key, by a custom field, or by a type and an id (notes, files). Tags are changes of the record.
What belongs to the record itself (its parts, side tables, extensions) goes with it and does not count; neither do tables
of machinery, which no record type declares (candidates of duplicates, histories).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.access.models import AuditLog
from crm_kernel.database import NullableJson
from crm_kernel.records.custom_fields.current import held
from crm_kernel.records.custom_fields.json_value import KEY_TYPE, json_value
from crm_kernel.records.custom_fields.models import table_named
from crm_kernel.records.plan import TypePlan, plan_of, record_types
from crm_kernel.records.projection import table_of
from crm_kernel.records.record_type import RecordType

if TYPE_CHECKING:
    from crm_kernel.data_map.references import CustomerReference
    from crm_kernel.unit_of_work import UnitOfWork


def pointed_at(uow: UnitOfWork, record_type: RecordType, keys: Collection[int]) -> dict[int, str]:
    """Return key → label of a type whose rows point at the record; one query per column or custom field that may.

    Rows of the very records asked about do not count: they go together.
    """
    found: dict[int, str] = {}
    own = table_of(record_type.model)
    for label, table, column in (*_columns(record_type), *_custom(record_type)):
        query = sa.select(column).where(column.in_(keys)).distinct()
        if table is own:
            query = query.where(own.c.id.not_in(keys))
        found |= dict.fromkeys(uow.session.scalars(query), label)
    for label, named in _subjects(record_type):
        query = sa.select(own.c.id).where(own.c.id.in_(keys), named).distinct()
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


def _columns(record_type: RecordType) -> Iterator[tuple[str, sa.Table, sa.Column[Any]]]:
    own = table_of(record_type.model)
    for label, table in _tables(record_type):
        for column in table.columns:
            if any(key.column.table is own for key in column.foreign_keys):
                yield label, table, column


def _custom(record_type: RecordType) -> Iterator[tuple[str, sa.FromClause, Any]]:
    """Yield custom fields that refer to a type; archived ones and those of modules that are away may come back."""
    for host, name in held().references.get(record_type.name, ()):
        kind = record_types().get(host)
        table = sa.table(table_named(host), sa.column("custom", NullableJson)) if kind is None else table_of(kind.model)
        label = host if kind is None else str(kind.label_plural)
        yield label, table, json_value(table.c.custom, name, KEY_TYPE)


def _subjects(record_type: RecordType) -> Iterator[tuple[str, sa.ColumnElement[bool]]]:
    """Yield what says that a row names the record by its type and id; history, which is to keep a former id, aside."""
    own = table_of(record_type.model)
    for label, table in _tables(record_type):
        for column in table.columns:
            reference: CustomerReference | None = column.info.get("reference")
            if table is not own and reference and reference.type_column and reference.merge == "move":
                key = own.c.id if reference.holds == "key" else own.c.uid
                yield label, sa.and_(column == key, table.c[reference.type_column] == record_type.name)


def _tables(record_type: RecordType) -> Iterator[tuple[str, sa.Table]]:
    """Yield label and tables of every type, but for those whose rows belong to the records of one."""
    belonging = _belonging(plan_of(record_type))
    for other in record_types().values():
        for table in {table_of(other.model), *_parts(plan_of(other))} - belonging:
            yield str(other.label_plural), table


def _belonging(plan: TypePlan) -> set[sa.Table]:
    sides = {table_of(field.side) for field in plan.fields.values() if field.side is not None}
    return sides | _parts(plan) | {table_of(extension.model) for extension in plan.extensions}


def _parts(plan: TypePlan) -> set[sa.Table]:
    return {table_of(cast(Any, field.field).model) for field in plan.collections()}
