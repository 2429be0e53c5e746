"""Does at once what a schedule does at its times; its next time stays."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.errors import Conflict
from crm_kernel.jobs.firing import is_under_way
from crm_kernel.jobs.models import JobRow, JobSchedule
from crm_kernel.jobs.queries import job_uid
from crm_kernel.jobs.schedules import schedule
from crm_kernel.jobs.services import UnknownJob, enqueue

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def run_now(uow: UnitOfWork, uid: UUID) -> UUID:
    """Put a schedule's job with its payload into its queue now, paused or not, and return the job's public id.

    While it waits or runs, the schedule enqueues no other, as if it had fired. It is whose the schedule is, and the actor's
    where the schedule is nobody's.

    Raises:
        NotFound: no such schedule.
        Conflict: the job of the last time still waits or runs, or its module is off.
    """
    row = _locked(uow, uid)
    if is_under_way(uow, row):
        raise Conflict(_("The job of this schedule waits or runs already."))
    try:
        row.last_job_id = enqueue(uow, row.job, row.payload)
    except UnknownJob as error:
        message = _("No loaded module registers the job %(job)s: nothing can do it now.", job=row.job)
        raise Conflict(message) from error
    if row.user_id is not None:
        uow.session.execute(sa.update(JobRow).where(JobRow.id == row.last_job_id).values(user_id=row.user_id))
    return job_uid(uow, row.last_job_id)


def _locked(uow: UnitOfWork, uid: UUID) -> JobSchedule:
    # Two clicks at once, or one beside the worker that fires it: the second waits here and finds the job of the first.
    query = sa.select(JobSchedule).where(JobSchedule.uid == uid).with_for_update()
    return uow.session.scalars(query.execution_options(populate_existing=True)).one_or_none() or schedule(uow, uid)
