"""Writes many records of a type that has services for one at a time only: these are called row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any
from uuid import UUID

from crm_kernel.errors import InvalidInput
from crm_kernel.records import bulk_rows
from crm_kernel.records.custom_fields.values import apart, born_with, set_values
from crm_kernel.records.identities import born_as

if TYPE_CHECKING:
    from crm_kernel.records.plan import TypePlan
    from crm_kernel.unit_of_work import UnitOfWork

Row = Mapping[str, Any]
Sides = Mapping[str, Row]


def create_singly(
    uow: UnitOfWork,
    plan: TypePlan,
    rows: Sequence[dict[str, Any]],
    extensions: Sequence[Sides],
    uids: Sequence[UUID | None],
) -> list[int]:
    """Create records by the type's single service and return their keys in order; the session audits and indexes.

    Raises:
        InvalidInput: rows are refused; paths start with the row's number.
    """
    create: Any = plan.record_type.services.create
    records, errors = [], dict[str, list[str]]()
    for number, (row, uid) in enumerate(zip_longest(rows, uids)):
        try:
            own, custom = apart(row)
            with born_as(uow, plan.record_type.model, uid), born_with(uow, plan, custom):
                records.append(create(uow, own))
        except InvalidInput as error:
            errors |= {f"{number}.{path}": messages for path, messages in error.errors.items()}
    if errors:
        raise InvalidInput(errors)
    uow.session.flush()
    keys = [record.id for record in records]
    bulk_rows.write_sides(uow, plan, dict(zip(keys, extensions, strict=False)))
    return keys


def update_singly(uow: UnitOfWork, plan: TypePlan, changes: Mapping[int, Row]) -> None:
    """Change records by the type's single service; the session audits and indexes.

    Raises:
        InvalidInput: changes are refused; paths start with their place.
    """
    update: Any = plan.record_type.services.update
    errors: dict[str, list[str]] = {}
    for place, (key, values) in enumerate(changes.items()):
        try:
            own, custom = apart(values)
            record = uow.session.get_one(plan.record_type.model, key)
            set_values(plan, record, custom)
            update(uow, record, own)
        except InvalidInput as error:
            errors |= {f"{place}.{path}": messages for path, messages in error.errors.items()}
    if errors:
        raise InvalidInput(errors)
    uow.session.flush()
