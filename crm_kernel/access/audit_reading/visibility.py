"""Which entries of the audit log an actor sees: the policy's predicate of every record type, asked about the log's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask import current_app

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.models import AuditLog
from crm_kernel.access.policy import sees_all, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crm_kernel.access.actor import Actor
    from crm_kernel.records.record_type import RecordType

#: Opens the history of the records that one sees.
READ = "audit.read"
#: Opens the whole log, entries about no record and about deleted ones too, and its export.
OVERSEE = "audit.oversee"


def oversees(actor: Actor) -> bool:
    """Say whether the actor reads more of the log than the history of what he sees."""
    return actor.may(OVERSEE)


def visible_entries(actor: Actor, record_type: str | None = None) -> sa.ColumnElement[bool]:
    """Return the predicate over ``AuditLog``; no query.

    Entries about records follow the visibility of these. Those of records that are gone, of types that no loaded module
    has and of no record at all are for whoever oversees the log; everybody sees what he himself did to no record.

    Args:
        record_type: the only type that is asked for, which keeps the statement small.
    """
    known = {found.name: found for found in runtime_of(current_app).registry.all("record_types")}
    wanted = [known[record_type]] if record_type in known else [] if record_type else list(known.values())
    parts = [*_of_records(actor, wanted), *_own(actor)]
    if oversees(actor):
        parts += [AuditLog.record_uid.is_(None), AuditLog.record_type.not_in(list(known))]
    return sa.or_(sa.false(), *parts)


def _of_records(actor: Actor, wanted: list[RecordType]) -> Iterator[sa.ColumnElement[bool]]:
    readable = [found for found in wanted if actor.may(found.permission("read"))]
    whole = [found.name for found in readable if sees_all(actor, found)]
    if whole:
        # Deleted records are among them: whoever saw every record saw these too.
        yield sa.and_(AuditLog.record_type.in_(whole), AuditLog.record_uid.is_not(None))
    for found in readable:
        if found.name not in whole:
            yield sa.and_(AuditLog.record_type == found.name, _shown(actor, found))


def _shown(actor: Actor, record_type: RecordType) -> sa.ColumnElement[bool]:
    model = record_type.model
    same = model.uid == AuditLog.record_uid
    shown = sa.select(model.id).where(same, visible(actor, record_type)).correlate(AuditLog).exists()
    if not oversees(actor):
        return shown
    return sa.or_(shown, ~sa.select(model.id).where(same).correlate(AuditLog).exists())


def _own(actor: Actor) -> list[sa.ColumnElement[bool]]:
    if actor.user_uid is None:
        return []
    return [sa.and_(AuditLog.actor_uid == actor.user_uid, AuditLog.record_uid.is_(None))]
