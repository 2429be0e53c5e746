"""Takes a change of a record back: the values that the audit log kept return through the type's own update service.

Only while nobody has changed them since, and only as far as the actor may write them. What the log no longer holds, because
a person's values were erased, does not come back. Parts of a record (contact points, lines) are not taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.audit import plain
from crm_kernel.access.masking import HIDDEN
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.access.policy import authorize
from crm_kernel.collaboration.tags.services import put_tags_back
from crm_kernel.errors import Conflict, NotFound, StaleVersion
from crm_kernel.records.bulk_rows import attribute_of
from crm_kernel.records.custom_fields.values import as_values
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, plan_of, target_of
from crm_kernel.records.reading import record_of
from crm_kernel.records.services import update_record

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork


#: What the log calls the names of a record's tags.
_TAGS = "tags"


@dataclass(frozen=True, slots=True)
class Undone:
    """A record whose former values are back, and the names of the fields; ``tags`` for its tags."""

    record: Any
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Field:
    """One changed field: where it stands in a payload, and its value before and after as the log keeps it."""

    name: str
    plan: FieldPlan
    before: Any
    after: Any


def undo_change(uow: UnitOfWork, record_type: RecordType, uid: UUID, change: str) -> Undone:
    """Restore the values that a record had before a change, and return it, flushed.

    Args:
        change: the request id of the change: a request's own, or ``BulkRun.request_id`` for all records of a run.

    Raises:
        NotFound: there is no such record that the actor may see, or the log holds no such change of it.
        Forbidden: he may not change the record, or one of the fields.
        StaleVersion: somebody changed one of the values since; the text names them.
        Conflict: the change is of a kind that cannot be taken back.
        InvalidInput: a former value is not accepted any more.
    """
    record = record_of(uow, record_type, uid)
    authorize(uow.actor, record_type.permission("update"), record)
    plan = plan_of(record_type)
    before, after = _logged(uow, record_type, uid, change)
    found = _changed_fields(plan, before, after)
    if not found and _TAGS in after:
        put_tags_back(uow, record_type, uid, before.get(_TAGS) or [], after[_TAGS])
        return Undone(record, (_TAGS,))
    if not found:
        raise Conflict(_("This change cannot be taken back: none of its values can be written again."))
    newer = [str(field.plan.label) for field in found if not _same(uow, plan, record, field)]
    if newer:
        raise StaleVersion(_("Changed since, and left as it is: %(fields)s.", fields=", ".join(newer)))
    payload = _payload(uow, found)
    restored = update_record(uow, record_type, uid, payload, version=record.version)
    return Undone(restored, tuple(field.name for field in found))


def _logged(uow: UnitOfWork, record_type: RecordType, uid: UUID, change: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return path → value before and after a change, over all its rows; one query."""
    statement = (
        sa.select(AuditPayload.before, AuditPayload.after)
        .join(AuditLog, AuditLog.uid == AuditPayload.audit_uid)
        .where(AuditLog.request_id == change, AuditLog.record_type == record_type.name)
        .where(AuditLog.record_uid == uid, AuditLog.action == "updated")
        .order_by(AuditLog.id)
    )
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for old, new in uow.session.execute(statement):
        after |= new or {}
        before = {**(old or {}), **before}
    if not after:
        raise NotFound(_("The log holds no such change of this record (any more)."))
    return before, after


def _changed_fields(plan: TypePlan, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[_Field]:
    """Return the changed fields that a payload can hold; what follows from them (search words, the team) is left out."""
    if HIDDEN in (*before.values(), *after.values()):
        raise Conflict(_("This change cannot be taken back: the log keeps no secret values."))
    known = {path: (name, field) for name, path, field in _writable(plan)}
    return [_Field(*known[path], before.get(path), value) for path, value in after.items() if path in known]


def _writable(plan: TypePlan) -> list[tuple[str, str, FieldPlan]]:
    """Return (name, path in the log, plan) of every field that a payload can set, without parts."""
    found = [(name, attribute_of(field), field) for name, field in plan.fields.items()]
    for extension in plan.extensions:
        for name, field in plan.extension_fields[extension.name].items():
            full = f"extensions.{extension.name}."
            found.append((full + name, full + attribute_of(field), field))
    return [entry for entry in found if entry[2].writable and entry[2].kind is not Kind.COLLECTION]


def _same(uow: UnitOfWork, plan: TypePlan, record: Any, field: _Field) -> bool:
    current = _current(uow, plan, record, field)
    if isinstance(current, Decimal) and field.after is not None:  # 7 was written, 7.0000 is read
        return current == Decimal(str(field.after))
    return bool(plain(current) == field.after)


def _current(uow: UnitOfWork, plan: TypePlan, record: Any, field: _Field) -> Any:
    if field.name.startswith("cf_"):
        return as_values(plan.record_type, record.custom or {}).get(field.name)
    holder = record
    if field.name.startswith("extensions."):
        model = next(e.model for e in plan.extensions if e.name == field.name.split(".")[1])
        holder = uow.session.get(model, record.id)
    elif field.plan.side is not None:
        holder = uow.session.get(field.plan.side, record.id)
    return None if holder is None else getattr(holder, attribute_of(field.plan))


def _payload(uow: UnitOfWork, found: list[_Field]) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    for field in found:
        value = _public(uow, field) if field.plan.kind is Kind.REFERENCE else field.before
        if field.name.startswith("extensions."):
            _extensions, extension, name = field.name.split(".")
            payload.setdefault("extensions", {}).setdefault(extension, {})[name] = value
        else:
            payload[field.name] = value
    return payload


def _public(uow: UnitOfWork, field: _Field) -> str | None:
    """Return the public id behind a key of the log; whether the actor may see that record is for the service to say."""
    if field.before is None:
        return None
    model = target_of(field.plan).model
    uid = uow.session.scalar(sa.select(model.uid).where(model.id == int(cast(Any, field.before))))
    if uid is None:
        raise Conflict(_("%(field)s cannot be taken back: the former record is gone.", field=field.plan.label))
    return str(uid)
