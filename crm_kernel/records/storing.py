"""Writes checked values into rows: the generic services of types without rules of their own, parts, extensions.

Decides nothing about who may write what: that is over when these are called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.errors import Conflict
from crm_kernel.records.fields import Collection
from crm_kernel.records.plan import TypePlan, plan_of, side_key
from crm_kernel.records.record_type import RecordType

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def generic_create(uow: UnitOfWork, record_type: RecordType, data: Mapping[str, Any]) -> Any:
    """Create a record of a type without rules of its own."""
    parts, own = _apart(plan_of(record_type), data)
    record = record_type.model(**own)
    uow.session.add(record)
    uow.session.flush()
    _write_parts(uow, record, parts)
    return record


def generic_update(uow: UnitOfWork, record_type: RecordType, record: Any, changes: Mapping[str, Any]) -> None:
    """Change a record of a type without rules of its own, its collections by the ids of their parts."""
    parts, own = _apart(plan_of(record_type), changes)
    set_changed(record, own)
    _write_parts(uow, record, parts)


def _apart(
    plan: TypePlan, data: Mapping[str, Any]
) -> tuple[list[tuple[Collection, list[dict[str, Any]]]], dict[str, Any]]:
    collections = {field.name: cast(Collection, field.field) for field in plan.collections()}
    parts = [(collections[name], data[name]) for name in collections if name in data]
    return parts, {name: value for name, value in data.items() if name not in collections}


def _write_parts(uow: UnitOfWork, record: Any, given: list[tuple[Collection, list[dict[str, Any]]]]) -> None:
    for collection, parts in given:
        model: Any = collection.model
        stored = uow.session.scalars(sa.select(model).where(getattr(model, collection.key) == record.id))
        left = {str(part.uid): part for part in stored}
        for part in parts:
            values = {name: value for name, value in part.items() if name not in ("id", "uid")}
            known = left.pop(str(part.get("id") or part.get("uid")), None)
            if known is None:
                uow.session.add(model(**{collection.key: record.id}, **values))
            else:
                set_changed(known, values)
        for gone in left.values():
            uow.session.delete(gone)


def set_changed(record: Any, changes: Mapping[str, Any]) -> list[str]:
    """Set those attributes that differ and return their names: a change of nothing is none."""
    changed = [attribute for attribute, value in changes.items() if getattr(record, attribute) != value]
    for attribute in changed:
        setattr(record, attribute, changes[attribute])
    return changed


class unique_conflicts:
    """Turn a violated unique or foreign key constraint into ``Conflict``."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, sa.exc.IntegrityError):
            raise Conflict(_("This value is already taken: %(detail)s", detail=_constraint(error))) from error


def _constraint(error: sa.exc.IntegrityError) -> str:
    return str(error.orig).strip().splitlines()[0]


def write_extensions(
    uow: UnitOfWork, plan: TypePlan, key: int, extensions: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Write the given fields of a record's extensions, flushed, and return the names of those that changed.

    An extension that is not given stays as it is. Names are those of the API: ``extensions.bank.risk``.
    """
    changed: list[str] = []
    for extension in plan.extensions:
        values = extensions.get(extension.name)
        if not values:
            continue
        row = uow.session.get(extension.model, key)
        if row is None and all(value is None for value in values.values()):
            continue
        if row is None:
            row = extension.model(**{side_key(extension.model).key: key})
            uow.session.add(row)
        names = {field.field.attribute or name: name for name, field in plan.extension_fields[extension.name].items()}
        changed += [f"extensions.{extension.name}.{names.get(found, found)}" for found in set_changed(row, values)]
    uow.session.flush()
    return changed
