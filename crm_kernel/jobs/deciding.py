"""Who sees a job and who decides about it: those who look after all jobs, and whoever asked for it.

Every edge goes through here. What somebody decided stands in the audit log, under the record type ``job``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.actor import Scope, matches
from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.policy import allowed
from crm_kernel.errors import Conflict, Forbidden, NotFound
from crm_kernel.jobs import queries, services
from crm_kernel.jobs.models import JobRow

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork

READ, UPDATE = "job.read", "job.update"


def sees_all(actor: Actor) -> bool:
    """Say whether the actor looks after all jobs; everybody else sees those he asked for."""
    return actor.scope_of(READ) is Scope.ALL and allowed(actor, READ)


def may_change(actor: Actor, job: JobRow) -> bool:
    """Say whether the actor may retry or cancel a job: one he asked for, or any with ``job.update``."""
    if actor.scope_of(UPDATE) is Scope.ALL and allowed(actor, UPDATE, job):
        return True
    limited = actor.token_scopes is not None and not any(matches(found, UPDATE) for found in actor.token_scopes)
    return _is_his(actor, job) and not limited


def seen_job(uow: UnitOfWork, uid: UUID) -> JobRow:
    """Return a job the actor may see.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    found = queries.job(uow, uid)
    if not (sees_all(uow.actor) or _is_his(uow.actor, found)):
        raise NotFound(f"job {uid}: no such job. List them with: crm jobs list")
    return found


def changeable_job(uow: UnitOfWork, uid: UUID) -> JobRow:
    """Return a job that the actor may decide about.

    Raises:
        NotFound: there is none, or it is somebody else's.
        Forbidden: the actor sees it and may not decide about it.
    """
    found = seen_job(uow, uid)
    if not may_change(uow.actor, found):
        raise Forbidden(_("%(who)s lacks the permission %(permission)s.", who=uow.actor.name, permission=UPDATE))
    return found


def retry(uow: UnitOfWork, uid: UUID) -> JobRow:
    """Make a job due now, as ``services.retry_job`` does, and note who decided it.

    Raises:
        NotFound: there is none, or it is somebody else's.
        Forbidden: the actor sees it and may not decide about it.
        Conflict: it is done, or being done right now.
    """
    changeable_job(uow, uid)
    found = services.retry_job(uow, uid)
    _note(uow, "retried", [found])
    return found


def cancel(uow: UnitOfWork, uid: UUID) -> JobRow:
    """Decide that a job is not to be done, as ``services.cancel_job`` does, and note who decided it.

    Raises:
        NotFound: there is none, or it is somebody else's.
        Forbidden: the actor sees it and may not decide about it.
        Conflict: it is done or cancelled already.
    """
    changeable_job(uow, uid)
    found = services.cancel_job(uow, uid)
    _note(uow, "cancelled", [found])
    return found


def retry_all(uow: UnitOfWork, uids: Collection[UUID]) -> list[JobRow]:
    """Make those of the jobs due now that the actor may decide about and that are not done or running; return them.

    One that somebody else decided about since the caller listed it is left alone.

    The oldest first: what one customer's deliveries still can keep of their order, they keep. A few queries per job.
    """
    rows = uow.session.scalars(sa.select(JobRow).where(JobRow.uid.in_(uids)).order_by(JobRow.id)).all()
    done = []
    for row in rows:
        listed = row.state
        # What somebody else decided since they were listed stands: a job cancelled meanwhile is not revived.
        if may_change(uow.actor, row) and services.lock_job(uow, row.uid).state == listed:
            try:
                done.append(services.retry_job(uow, row.uid))
            except Conflict:  # done or running by now
                continue
    _note(uow, "retried", done)
    return done


def _is_his(actor: Actor, job: JobRow) -> bool:
    return actor.user_id is not None and job.user_id == actor.user_id


def _note(uow: UnitOfWork, action: str, rows: Collection[JobRow]) -> None:
    record_audit_many(uow, "job", action, [AuditRow(row.uid, None, {"job": row.name}) for row in rows])
