"""Fires schedules when their time has come, and keeps them at what modules declare and where users are.

A schedule's next time moves on in the transaction that enqueues its job, and the job's ``dedupe_key`` names schedule and
time: whatever happens to workers, one time gives one job. Times missed while nobody worked give one job together, and a
job that is still waiting or running is not joined by another.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask import current_app
from uuid_utils.compat import uuid7

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.models import AppUser
from crm_kernel.contributions import Job
from crm_kernel.errors import CrmError
from crm_kernel.jobs.cron import checked_cron, next_fire
from crm_kernel.jobs.models import JobRow, JobSchedule, JobState
from crm_kernel.jobs.schedules import change_times, note_change, zone_of
from crm_kernel.jobs.services import dialect_insert, enqueue

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

log = logging.getLogger("crm.jobs")

#: Most schedules one call fires; the next call goes on.
_MOST = 100


def fire_due(uow: UnitOfWork) -> int:
    """Enqueue the jobs whose time has come and move their schedules on; return how many were due.

    Schedules of modules that are off and of deactivated users rest and keep their missed time. One query when nothing
    is due; a schedule that another worker fires right now is left to it.
    """
    due = (
        sa.select(JobSchedule)
        .outerjoin(AppUser, AppUser.id == JobSchedule.user_id)
        .where(~JobSchedule.paused, JobSchedule.next_at <= uow.now)
        .where(JobSchedule.module.in_(sorted(runtime_of(current_app).manager.names)))
        .where(sa.or_(JobSchedule.user_id.is_(None), AppUser.active))
        .order_by(JobSchedule.next_at)
        .limit(_MOST)
        .with_for_update(skip_locked=True, of=JobSchedule)
    )
    found = uow.session.scalars(due).all()
    for row in found:
        _fire(uow, row)
    return len(found)


def follow_declarations(uow: UnitOfWork) -> None:
    """Bring the table to what the loaded modules declare and the time zones of users and site are; two or three queries."""
    runtime = runtime_of(current_app)
    declared: dict[str, Job] = {job.name: job for job in runtime.registry.all("jobs") if job.schedule is not None}
    rows = uow.session.scalars(sa.select(JobSchedule).where(JobSchedule.name == JobSchedule.job)).all()
    for row in rows:
        job = declared.pop(row.name, None)
        if (
            job is not None
            and not row.own_time
            and (row.cron, row.timezone) != (" ".join((job.schedule or "").split()), job.timezone)
        ):
            change_times(uow, row, job.schedule or "", job.timezone)
        elif job is None and row.module in runtime.manager.names:
            uow.session.delete(row)
    _insert(uow, list(declared.values()))
    _follow_zones(uow)


def is_under_way(uow: UnitOfWork, row: JobSchedule) -> bool:
    """Say whether the job that a schedule enqueued last still waits or runs; one query."""
    if row.last_job_id is None:
        return False
    state = uow.session.scalar(sa.select(JobRow.state).where(JobRow.id == row.last_job_id))
    return state in (JobState.READY, JobState.LEASED)


def _fire(uow: UnitOfWork, row: JobSchedule) -> None:
    fires, uow.asked_by = row.next_at, row.user_id
    try:
        row.last_at, row.next_at = fires, next_fire(row.cron, row.zone, max(fires, uow.now))
        if not is_under_way(uow, row):
            key = f"{row.uid}@{fires.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
            row.last_job_id = enqueue(uow, row.job, row.payload, dedupe_key=key)
    except CrmError as error:
        # Its job is gone from the loaded code, or its time zone from the machine: it rests until somebody looks.
        row.paused = True
        note_change(uow, row, {"paused": False}, {"paused": True})
        log.warning(
            "schedule %s is paused: %s. When that is mended: crm jobs schedule resume %s", row.name, error, row.uid
        )


def _insert(uow: UnitOfWork, jobs: Sequence[Job]) -> None:
    owners = runtime_of(current_app).registry
    for job in jobs:
        cron, zone = checked_cron(job.schedule or ""), zone_of(uow, job.timezone, None)
        values = {
            "uid": uuid7(),
            "name": job.name,
            "module": owners.owner("jobs", job.name),
            "job": job.name,
            "payload": {},
            "cron": cron,
            "timezone": job.timezone,
            "zone": zone,
            "next_at": next_fire(cron, zone, uow.now),
            "created_at": uow.now,
        }
        # Another worker may do the same at this moment.
        insert = dialect_insert(uow)(JobSchedule).values(values)
        uow.session.execute(insert.on_conflict_do_nothing(index_elements=["name"]))


def _follow_zones(uow: UnitOfWork) -> None:
    """Move the schedules on whose user, or whose site, has another time zone since."""
    site = runtime_of(current_app).config.timezone
    moved = (
        sa.select(JobSchedule, sa.case((JobSchedule.timezone == "site", site), else_=AppUser.timezone))
        .outerjoin(AppUser, AppUser.id == JobSchedule.user_id)
        .where(
            sa.or_(
                sa.and_(JobSchedule.timezone == "user", AppUser.timezone != JobSchedule.zone),
                sa.and_(JobSchedule.timezone == "site", JobSchedule.zone != site),
            )
        )
    )
    for row, zone in uow.session.execute(moved).all():
        row.zone, row.next_at = zone, next_fire(row.cron, zone, uow.now)
