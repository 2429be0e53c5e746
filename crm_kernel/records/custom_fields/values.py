"""Puts the values of custom fields into rows, beside whatever the record type's own services write.

Services know nothing of custom fields: the values are taken out of what a schema loaded before a service sees it, and
written into the column ``custom`` of the same row, in the same transaction. A key without a value is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel._internal.rows import among
from crm_kernel.database import NullableJson
from crm_kernel.records.custom_fields.current import held
from crm_kernel.records.custom_fields.json_value import KEY_TYPE, json_value, read, stored, without
from crm_kernel.records.custom_fields.models import table_named
from crm_kernel.records.plan import plan_of, record_types

if TYPE_CHECKING:
    from crm_kernel.records.plan import TypePlan
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

Row = Mapping[str, Any]


def apart(data: Row) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (the record type's own values, those of custom fields) of what the schema loaded."""
    from crm_kernel.records.custom_fields.planning import is_custom

    custom = {name: value for name, value in data.items() if is_custom(name)}
    return ({name: value for name, value in data.items() if name not in custom}, custom) if custom else (dict(data), {})


def as_json(plan: TypePlan, values: Row) -> dict[str, Any]:
    """Return values of custom fields as the column keeps them; a field archived meanwhile is left out."""
    return {name: stored(plan.fields[name].column.type, value) for name, value in values.items() if name in plan.fields}  # type: ignore[union-attr]


def as_values(record_type: RecordType, custom: Row) -> dict[str, Any]:
    """Return what the column ``custom`` keeps as Python values; of a field that is not in use as it is kept."""
    fields = plan_of(record_type).fields
    return {name: read(fields[name].column.type, value) if name in fields else value for name, value in custom.items()}  # type: ignore[union-attr]


@contextmanager
def born_with(uow: UnitOfWork, plan: TypePlan, values: Row) -> Iterator[None]:
    """Give the first new object of the type that is added to the session in this block its custom values."""
    found = {name: value for name, value in as_json(plan, values).items() if value is not None}
    if not found:
        yield
        return
    left = [found]

    def give(_session: Any, added: Any) -> None:
        if left and type(added) is plan.record_type.model:
            added.custom = left.pop()

    sa.event.listen(uow.session, "transient_to_pending", give)
    try:
        yield
    finally:
        sa.event.remove(uow.session, "transient_to_pending", give)


def set_values(plan: TypePlan, record: Any, values: Row) -> list[str]:
    """Set custom values of a mapped object and return the names of those that changed; what is not given stays."""
    before = record.custom or {}
    after = _merged(before, as_json(plan, values))
    if after != before:
        record.custom = after
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def write_values(uow: UnitOfWork, plan: TypePlan, changes: Mapping[int, Row]) -> None:
    """Set custom values of many rows by key below the session; raises no version. Two statements per 5,000."""
    from crm_kernel.records.bulk_rows import slices

    table: Any = sa.inspect(plan.record_type.model).local_table
    connection = uow.session.connection()
    statement = sa.update(table).where(table.c.id == sa.bindparam("the_key"))
    statement = statement.values(custom=sa.bindparam("the_custom", type_=table.c.custom.type))
    for part in slices([key for key, values in changes.items() if values]):
        query = sa.select(table.c.id, table.c.custom).where(among(uow.session, table.c.id, part))
        known: dict[int, Any] = dict(connection.execute(query).all())
        rows = [
            {"the_key": key, "the_custom": _merged(known[key] or {}, as_json(plan, changes[key]))}
            for key in part
            if key in known
        ]
        connection.execute(statement, rows)


def forget_references(uow: UnitOfWork, record_type: RecordType, keys: Sequence[int]) -> None:
    """Empty the custom references to records that are being deleted: a key may be given again to another record.

    One statement per custom field that points to the type, by its index, none without any. What an archived field or one of
    a module that is away holds is taken out without audit rows: nobody reads it meanwhile.
    """
    for host, name in held().references.get(record_type.name, ()):
        plan = plan_of(record_types()[host]) if host in record_types() else None
        if plan is not None and name in plan.fields:
            _empty(uow, plan, name, keys)
        else:
            _take_out(uow, table_named(host) if plan is None else plan.record_type.model.__tablename__, name, keys)


def _empty(uow: UnitOfWork, plan: TypePlan, name: str, keys: Sequence[int]) -> None:
    model = plan.record_type.model
    column = json_value(model.custom, name, plan.fields[name].column.type)  # type: ignore[union-attr]
    for record in uow.session.scalars(sa.select(model).where(column.in_(keys))):
        set_values(plan, record, {name: None})
    uow.session.flush()


def _take_out(uow: UnitOfWork, table_name: str, name: str, keys: Sequence[int]) -> None:
    uow.session.flush()
    table = sa.table(table_name, sa.column("custom", NullableJson))
    where = json_value(table.c.custom, name, KEY_TYPE).in_(keys)
    rest = without(table.c.custom, [name], sqlite=uow.session.get_bind().dialect.name == "sqlite")
    uow.session.connection().execute(sa.update(table).where(where).values(custom=rest))


def _merged(before: Row, changes: Row) -> dict[str, Any]:
    return {name: value for name, value in {**before, **changes}.items() if value is not None}
