"""Keeps what is to be done again and again: declared by ``Job(schedule=…)`` or scheduled at run time, for a site or a user.

A schedule's next time moves on in the transaction that enqueues its job, and the job's ``dedupe_key`` names schedule and
time: whatever happens to workers, one time gives one job. Times missed while nobody worked give one job together, and a
job that is still waiting or running is not joined by another.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from uuid_utils.compat import uuid7

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.models import AppUser
from crm_kernel.contributions import Job
from crm_kernel.errors import CrmError, NotFound
from crm_kernel.jobs.cron import InvalidSchedule, checked_cron, checked_zone, next_fire
from crm_kernel.jobs.models import JobRow, JobSchedule, JobState
from crm_kernel.jobs.services import dialect_insert, enqueue, json_payload, registered_job

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Most schedules one call fires; the next call goes on.
_MOST = 100


def schedule_job(
    uow: UnitOfWork,
    job: str,
    cron: str,
    *,
    payload: Mapping[str, Any] | None = None,
    timezone: str = "site",
    user_id: int | None = None,
) -> JobSchedule:
    """Enqueue a job at the times a cron expression names, from now on, and return the schedule, flushed.

    Args:
        job: a ``Job`` that a loaded module registers.
        cron: minute, hour, day of month, month, day of week.
        payload: what every run is given; JSON, no personal values.
        timezone: ``site``, ``user`` (follows what the user chooses later, too) or an IANA name.
        user_id: whose schedule it is: it goes with the user, and rests while the user is deactivated.

    Raises:
        UnknownJob: nobody registers the job, or the payload is not JSON.
        InvalidSchedule: the expression never fires, the zone is unknown, or ``user`` was asked for without a user.
    """
    registered_job(job)
    zone = _zone(uow, timezone, user_id)
    uid = uuid7()
    cleaned = checked_cron(cron)
    found = JobSchedule(
        uid=uid,
        name=f"{job}@{uid.hex}",
        module=runtime_of(current_app).registry.owner("jobs", job),
        job=job,
        payload=json_payload(job, payload or {}),
        cron=cleaned,
        timezone=timezone,
        zone=zone,
        user_id=user_id,
        next_at=next_fire(cleaned, zone, uow.now),
    )
    uow.session.add(found)
    uow.session.flush()
    return found


def unschedule(uow: UnitOfWork, uid: UUID) -> None:
    """Remove a schedule that was made at run time; what it enqueued stays.

    Raises:
        NotFound: no such schedule.
        InvalidSchedule: a module declares it; it can be paused.
    """
    found = schedule(uow, uid)
    if found.name == found.job:
        raise InvalidSchedule(f"schedule {found.name}: the module {found.module} declares it. Pause it instead")
    uow.session.delete(found)


def pause_schedule(uow: UnitOfWork, uid: UUID) -> JobSchedule:
    """Let a schedule rest until ``resume_schedule``, and return it.

    Raises:
        NotFound: no such schedule.
    """
    found = schedule(uow, uid)
    found.paused = True
    return found


def resume_schedule(uow: UnitOfWork, uid: UUID) -> JobSchedule:
    """Let a schedule go on with its next time from now, and return it; the times between are not made up for.

    Raises:
        NotFound: no such schedule.
    """
    found = schedule(uow, uid)
    if found.paused:
        found.paused, found.next_at = False, next_fire(found.cron, found.zone, uow.now)
    return found


def schedule(uow: UnitOfWork, uid: UUID) -> JobSchedule:
    """Return one schedule.

    Raises:
        NotFound: no such schedule.
    """
    found = uow.session.scalars(sa.select(JobSchedule).where(JobSchedule.uid == uid)).one_or_none()
    if found is None:
        raise NotFound(f"schedule {uid}: no such schedule. List them with: crm jobs schedules")
    return found


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
    """Bring the table to what the loaded modules declare and the users' time zones are; two or three queries."""
    runtime = runtime_of(current_app)
    declared: dict[str, Job] = {job.name: job for job in runtime.registry.all("jobs") if job.schedule is not None}
    rows = uow.session.scalars(sa.select(JobSchedule).where(JobSchedule.name == JobSchedule.job)).all()
    for row in rows:
        job = declared.pop(row.name, None)
        if job is not None and (row.cron, row.timezone) != (" ".join((job.schedule or "").split()), job.timezone):
            _change(uow, row, job)
        elif job is None and row.module in runtime.manager.names:
            uow.session.delete(row)
    _insert(uow, list(declared.values()))
    _follow_users(uow)


def _fire(uow: UnitOfWork, row: JobSchedule) -> None:
    fires = row.next_at
    if not _is_under_way(uow, row):
        key = f"{row.uid}@{fires.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
        try:
            row.last_job_id = enqueue(uow, row.job, row.payload, dedupe_key=key)
        except CrmError:  # its job is gone from the loaded code: it rests until somebody looks
            row.paused = True
    row.last_at, row.next_at = fires, next_fire(row.cron, row.zone, max(fires, uow.now))


def _is_under_way(uow: UnitOfWork, row: JobSchedule) -> bool:
    if row.last_job_id is None:
        return False
    state = uow.session.scalar(sa.select(JobRow.state).where(JobRow.id == row.last_job_id))
    return state in (JobState.READY, JobState.LEASED)


def _change(uow: UnitOfWork, row: JobSchedule, job: Job) -> None:
    row.cron, row.timezone = checked_cron(job.schedule or ""), job.timezone
    row.zone = _zone(uow, job.timezone, None)
    row.next_at = next_fire(row.cron, row.zone, uow.now)


def _insert(uow: UnitOfWork, jobs: Sequence[Job]) -> None:
    owners = runtime_of(current_app).registry
    for job in jobs:
        cron, zone = checked_cron(job.schedule or ""), _zone(uow, job.timezone, None)
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


def _follow_users(uow: UnitOfWork) -> None:
    moved = (
        sa.select(JobSchedule, AppUser.timezone)
        .join(AppUser, AppUser.id == JobSchedule.user_id)
        .where(JobSchedule.timezone == "user", AppUser.timezone != JobSchedule.zone)
    )
    for row, zone in uow.session.execute(moved).all():
        row.zone, row.next_at = zone, next_fire(row.cron, zone, uow.now)


def _zone(uow: UnitOfWork, timezone: str, user_id: int | None) -> str:
    if timezone == "site":
        return runtime_of(current_app).config.timezone
    if timezone != "user":
        return checked_zone(timezone).key
    zone = uow.session.scalar(sa.select(AppUser.timezone).where(AppUser.id == user_id))
    if zone is None:
        raise InvalidSchedule("time zone 'user': no user was named whose zone it is; expected user_id")
    return zone
