"""Reads the audit log, newest first, by who, what, which record, which channel and when.

What is given as ``seen`` limits the rows to those an actor may see (``audit_reading.visible_entries``); the command line,
which acts as the system, gives nothing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.access.models import AuditLog, AuditPayload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """What rows must match; None asks nothing."""

    #: Name of the one who acted.
    actor: str | None = None
    actor_uid: UUID | None = None
    #: The one row with this public id.
    uid: UUID | None = None
    action: str | None = None
    record_type: str | None = None
    record_uid: UUID | None = None
    channel: str | None = None
    request_id: str | None = None
    #: Aware times: from the first on, before the second.
    since: dt.datetime | None = None
    until: dt.datetime | None = None


def audit_rows(
    uow: UnitOfWork,
    wanted: AuditFilter,
    *,
    limit: int,
    before: UUID | None = None,
    seen: sa.ColumnElement[bool] | None = None,
) -> Sequence[Any]:
    """Return rows with the columns of ``AuditLog`` and ``before`` and ``after``, newest first; one query along an index.

    Args:
        before: only rows older than this one: the last ``uid`` of the page before.
        seen: a predicate over ``AuditLog`` that every row fulfils.
    """
    query = sa.select(*AuditLog.__table__.columns, AuditPayload.before, AuditPayload.after)
    query = query.outerjoin(AuditPayload, AuditPayload.audit_uid == AuditLog.uid).where(*_conditions(wanted))
    if seen is not None:
        query = query.where(seen)
    if before is not None:
        query = query.where(AuditLog.id < sa.select(AuditLog.id).where(AuditLog.uid == before).scalar_subquery())
    return uow.session.execute(query.order_by(AuditLog.id.desc()).limit(limit)).all()


def _conditions(wanted: AuditFilter) -> list[sa.ColumnElement[bool]]:
    same = ("uid", "actor", "actor_uid", "action", "record_type", "record_uid", "channel", "request_id")
    given = [(getattr(AuditLog, name), getattr(wanted, name)) for name in same]
    found = [column == value for column, value in given if value is not None]
    if wanted.since is not None:
        found.append(AuditLog.at >= wanted.since)
    if wanted.until is not None:
        found.append(AuditLog.at < wanted.until)
    return found
