"""Keeps what is to be done again and again: declared by ``Job(schedule=…)`` or scheduled at run time, for a site or a user.

What the worker does with it when its time has come is in ``firing``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from uuid_utils.compat import uuid7

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.models import AppUser
from crm_kernel.contributions import Job
from crm_kernel.errors import NotFound
from crm_kernel.jobs.cron import InvalidSchedule, checked_cron, checked_zone, next_fire
from crm_kernel.jobs.models import JobSchedule
from crm_kernel.jobs.services import json_payload, registered_job

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


class FollowsRecord(InvalidSchedule):
    """A schedule that a record keeps in step with itself was to be changed by itself."""


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
    zone = zone_of(uow, timezone, user_id)
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
        FollowsRecord: it is a record's.
    """
    found = _own(uow, uid)
    if found.name == found.job:
        raise InvalidSchedule(f"schedule {found.name}: the module {found.module} declares it. Pause it instead")
    uow.session.delete(found)


def drop_schedule(uow: UnitOfWork, uid: UUID) -> None:
    """Remove the schedule of a record that no longer wants it; one that is gone already is none to remove."""
    uow.session.execute(sa.delete(JobSchedule).where(JobSchedule.uid == uid))


def pause_schedule(uow: UnitOfWork, uid: UUID) -> JobSchedule:
    """Let a schedule rest until ``resume_schedule``, and return it.

    Raises:
        NotFound: no such schedule.
        FollowsRecord: it is a record's.
    """
    found = _own(uow, uid)
    if not found.paused:
        note_change(uow, found, {"paused": False}, {"paused": True})
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
        note_change(uow, found, {"paused": True}, {"paused": False})
    return found


def reschedule(uow: UnitOfWork, uid: UUID, cron: str, timezone: str) -> JobSchedule:
    """Let a schedule fire at other times from now on, and return it; the module's declaration is left aside from then on.

    Raises:
        NotFound: no such schedule.
        InvalidSchedule: the expression never fires, or the zone is unknown.
        FollowsRecord: it is a record's.
    """
    found = _own(uow, uid)
    _retime(uow, found, cron, timezone, found.name == found.job)
    return found


def restore_schedule(uow: UnitOfWork, uid: UUID) -> JobSchedule:
    """Let a declared schedule fire at the times its module declares again, and return it.

    Raises:
        NotFound: no such schedule.
        InvalidSchedule: no loaded module declares its times.
    """
    found = schedule(uow, uid)
    job = declared_of(found)
    if job is None:
        raise InvalidSchedule(
            f"schedule {found.name}: no loaded module declares its times, so there are none to restore"
        )
    _retime(uow, found, job.schedule or "", job.timezone, False)
    return found


def declared_of(row: JobSchedule) -> Job | None:
    """Return the ``Job`` whose declaration a schedule stands for; None if it was made at run time, or its module is off."""
    jobs: list[Job] = runtime_of(current_app).registry.all("jobs")
    wanted = (job for job in jobs if job.name == row.name and job.schedule is not None)
    return next(wanted, None) if row.name == row.job else None


def owner_of(row: JobSchedule) -> str | None:
    """Return the record type whose records a schedule follows; None for one that is changed here."""
    job: Job | None = runtime_of(current_app).registry.get("jobs", row.job)
    return None if job is None else job.scheduled_by


def preview(uow: UnitOfWork, uid: UUID, cron: str, timezone: str, *, number: int = 3) -> list[dt.datetime]:
    """Return when a schedule would fire next with these times: so many moments in the zone they are reckoned in.

    Raises:
        NotFound: no such schedule.
        InvalidSchedule: the expression never fires, or the zone is unknown.
    """
    cleaned, zone = checked_cron(cron), zone_of(uow, timezone, schedule(uow, uid).user_id)
    moments: list[dt.datetime] = []
    for _number in range(number):
        moments.append(next_fire(cleaned, zone, moments[-1] if moments else uow.now))
    return [moment.astimezone(checked_zone(zone)) for moment in moments]


def schedule(uow: UnitOfWork, uid: UUID) -> JobSchedule:
    """Return one schedule.

    Raises:
        NotFound: no such schedule.
    """
    found = uow.session.scalars(sa.select(JobSchedule).where(JobSchedule.uid == uid)).one_or_none()
    if found is None:
        raise NotFound(f"schedule {uid}: no such schedule. List them with: crm jobs schedules")
    return found


def _own(uow: UnitOfWork, uid: UUID) -> JobSchedule:
    """Return a schedule that no record keeps in step with itself: changed here, the two would say different things."""
    found = schedule(uow, uid)
    owner = owner_of(found)
    if owner is not None:
        raise FollowsRecord(f"schedule {found.name}: it follows a record ({owner}). Change or disable that instead")
    return found


def _retime(uow: UnitOfWork, row: JobSchedule, cron: str, timezone: str, own: bool) -> None:
    before = {"cron": row.cron, "timezone": row.timezone}
    change_times(uow, row, cron, timezone)
    row.own_time = own
    after = {"cron": row.cron, "timezone": row.timezone}
    if after != before:
        note_change(uow, row, before, after)


def change_times(uow: UnitOfWork, row: JobSchedule, cron: str, timezone: str) -> None:
    """Give a schedule other times, without a word in the audit log.

    Raises:
        InvalidSchedule: what is given names no times, or no time zone.
    """
    row.zone = zone_of(uow, timezone, row.user_id)
    row.cron, row.timezone = checked_cron(cron), timezone
    row.next_at = next_fire(row.cron, row.zone, uow.now)


def note_change(uow: UnitOfWork, row: JobSchedule, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Write into the audit log what of a schedule is other than before."""
    change = AuditRow(row.uid, {"job": row.job, **before}, {"job": row.job, **after})
    record_audit_many(uow, "job_schedule", "updated", [change])


def zone_of(uow: UnitOfWork, timezone: str, user_id: int | None) -> str:
    """Return the IANA name that ``site``, ``user`` or a name stands for now.

    Raises:
        InvalidSchedule: there is no such zone, or nobody whose it is.
    """
    if timezone == "site":
        return runtime_of(current_app).config.timezone
    if timezone != "user":
        return checked_zone(timezone).key
    zone = uow.session.scalar(sa.select(AppUser.timezone).where(AppUser.id == user_id))
    if zone is None:
        raise InvalidSchedule("time zone 'user': no user was named whose zone it is; expected user_id")
    return zone
