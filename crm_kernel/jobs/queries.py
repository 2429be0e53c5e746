"""Reads the ``job`` table for lists, the command line and health checks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.errors import NotFound
from crm_kernel.jobs.models import JobRow, JobSchedule, JobState

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: States in which a job still waits for something.
PENDING = (JobState.READY, JobState.LEASED)
#: States whose jobs a partial index of their own holds: few among millions that are done.
_INDEXED = (JobState.READY, JobState.LEASED, JobState.DEAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs a list shows; None means any."""

    states: Collection[JobState] | None = None
    module: str | None = None
    name: str | None = None
    queue: str | None = None
    #: Deliveries of events (True), or what was enqueued (False).
    deliveries: bool | None = None
    #: Only what this user asked for: his key.
    user_id: int | None = None
    #: Only jobs older than this one: the last of the page before.
    before: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How much of one module's work waits: due and running, dead, and since when the oldest waits."""

    module: str
    waiting: int
    dead: int
    oldest_due: dt.datetime | None


def jobs(uow: UnitOfWork, wanted: JobFilter, *, limit: int = 50) -> Sequence[JobRow]:
    """Return jobs and deliveries, newest first; one query along the primary key."""
    query = _matching(sa.select(JobRow), wanted).order_by(JobRow.id.desc()).limit(limit)
    return uow.session.scalars(query).all()


def dead_jobs(
    uow: UnitOfWork,
    *,
    module: str | None = None,
    name: str | None = None,
    queue: str | None = None,
    limit: int = 50,
) -> Sequence[JobRow]:
    """Return the dead letters, newest first; one query along the partial index of dead jobs."""
    query = _matching(sa.select(JobRow), JobFilter(module=module, name=name, queue=queue))
    query = query.where(JobRow.state == sa.literal_column(str(int(JobState.DEAD))))
    return uow.session.scalars(query.order_by(JobRow.id.desc()).limit(limit)).all()


def job(uow: UnitOfWork, uid: UUID) -> JobRow:
    """Return one job.

    Raises:
        NotFound: no such job.
    """
    found = uow.session.scalars(sa.select(JobRow).where(JobRow.uid == uid)).one_or_none()
    if found is None:
        raise NotFound(f"job {uid}: no such job. List them with: crm jobs list")
    return found


def job_uid(uow: UnitOfWork, key: int) -> UUID:
    """Return the public id of a job that ``enqueue`` stored; one query by the primary key."""
    return uow.session.scalars(sa.select(JobRow.uid).where(JobRow.id == key)).one()


def backlogs(uow: UnitOfWork) -> list[Backlog]:
    """Return what waits and what is dead per module, by name; done jobs are not looked at. One query."""
    waiting = JobRow.state.in_(PENDING)
    dead = JobRow.state == JobState.DEAD
    # Three conditions joined by OR, each spelled as a partial index spells it.
    unfinished = sa.or_(*(JobRow.state == sa.literal_column(str(int(state))) for state in (*PENDING, JobState.DEAD)))
    rows = uow.session.execute(
        sa.select(
            JobRow.module,
            sa.func.count().filter(waiting),
            sa.func.count().filter(dead),
            sa.func.min(JobRow.run_at).filter(waiting),
        )
        .where(unfinished)
        .group_by(JobRow.module)
        .order_by(JobRow.module)
    )
    return [Backlog(module=m, waiting=w, dead=d, oldest_due=o) for m, w, d, o in rows]


def schedules(uow: UnitOfWork) -> Sequence[JobSchedule]:
    """Return the schedules, those that rest last, else the next first; one query."""
    return uow.session.scalars(sa.select(JobSchedule).order_by(JobSchedule.paused, JobSchedule.next_at)).all()


def _matching(query: sa.Select[JobRow], wanted: JobFilter) -> sa.Select[JobRow]:
    if wanted.states is not None and set(wanted.states) <= set(_INDEXED):
        # Each spelled as a partial index spells it.
        query = query.where(sa.or_(*(JobRow.state == sa.literal_column(str(int(state))) for state in wanted.states)))
    elif wanted.states is not None:
        query = query.where(JobRow.state.in_(sorted(wanted.states)))
    if wanted.module is not None:
        query = query.where(JobRow.module == wanted.module)
    if wanted.name is not None:
        query = query.where(JobRow.name == wanted.name)
    if wanted.queue is not None:
        query = query.where(JobRow.queue == wanted.queue)
    if wanted.deliveries is not None:
        query = query.where(JobRow.event_id.is_not(None) if wanted.deliveries else JobRow.event_id.is_(None))
    if wanted.user_id is not None:
        query = query.where(JobRow.user_id == wanted.user_id)
    if wanted.before is not None:
        query = query.where(JobRow.id < sa.select(JobRow.id).where(JobRow.uid == wanted.before).scalar_subquery())
    return query
