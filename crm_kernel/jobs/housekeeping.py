"""Deletes what is over and expires what nobody will take: a job of the kernel's own, every night, in chunks.

Walks each table from its oldest row and stops at the first that is young enough: the work grows with what is to go.
Dead letters stay until somebody decides about them.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import current_app

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.contributions import Job, JobKind
from crm_kernel.jobs.lanes import EVENT, JOB, READY, heads
from crm_kernel.jobs.models import JobState

if TYPE_CHECKING:
    from crm_kernel.config import Config
    from crm_kernel.unit_of_work import UnitOfWork

#: Rows looked at per chunk.
CHUNK = 1000

_STEPS = ("parked", "jobs", "events")


def housekeeping_jobs() -> list[Job]:
    """Return the kernel's own jobs."""
    return [
        Job(
            name="kernel.housekeeping",
            handler=keep_house,
            kind=JobKind.CHUNKED,
            schedule="40 3 * * *",
            queue="housekeeping",
            priority=10,
        )
    ]


def keep_house(uow: UnitOfWork, payload: dict[str, Any]) -> dict[str, Any] | None:
    """Do one chunk and return where to go on, None at the end; the counts are the job's progress.

    In this order: expire deliveries to modules that are off, delete jobs that are over, delete delivered events.
    """
    here = payload.get("checkpoint") or {"step": 0, "after": 0, "counts": [0, 0, 0]}
    step, counts = here["step"], list(here["counts"])
    if step == len(_STEPS):
        return None
    config = runtime_of(current_app).config
    count, after = (_expire_parked, _delete_jobs, _delete_events)[step](uow, here["after"], config)
    counts[step] += count
    text = ", ".join(f"{name} {number}" for name, number in zip(_STEPS, counts, strict=True))
    there = {"step": step, "after": after} if after is not None else {"step": step + 1, "after": 0}
    return {**there, "counts": counts, "progress": {"done": sum(counts), "text": text}}


def _expire_parked(uow: UnitOfWork, _after: int, config: Config) -> tuple[int, int | None]:
    cutoff = uow.now - dt.timedelta(days=config.parked_days)
    loaded = runtime_of(current_app).manager.names
    for head in heads(uow.session):
        lane = head.lane
        if lane.module in loaded or head.run_at >= cutoff:
            continue
        waiting = (
            sa.select(JOB.c.id)
            .where(JOB.c.module == lane.module, JOB.c.queue == lane.queue, JOB.c.priority == lane.priority)
            .where(JOB.c.name == lane.name, JOB.c.state == READY, JOB.c.run_at < cutoff, JOB.c.event_id.is_not(None))
            .limit(CHUNK)
        )
        reason = f"expired: {lane.module} was off for more than {config.parked_days} days (parked_days)"
        found = sa.update(JOB).where(JOB.c.id.in_(waiting))
        ended = found.values(state=int(JobState.CANCELLED), finished_at=uow.now, error=reason)
        if count := uow.session.execute(ended).rowcount:  # type: ignore[attr-defined]
            return count, 0
    return 0, None


def _delete_jobs(uow: UnitOfWork, after: int, config: Config) -> tuple[int, int | None]:
    cutoff = uow.now - dt.timedelta(days=config.job_days)
    ids, more = _next(uow, JOB, JOB.c.created_at, after, cutoff)
    over = JOB.c.state.in_([int(JobState.DONE), int(JobState.CANCELLED)])
    gone = sa.delete(JOB).where(JOB.c.id.in_(ids), over, JOB.c.finished_at < cutoff)
    return _deleted(uow, gone, ids), more


def _delete_events(uow: UnitOfWork, after: int, config: Config) -> tuple[int, int | None]:
    cutoff = uow.now - dt.timedelta(days=config.event_days)
    ids, more = _next(uow, EVENT, EVENT.c.occurred_at, after, cutoff)
    # What is still to be delivered, dead or kept for its job's sake keeps its event.
    delivered = ~sa.exists().where(JOB.c.event_id == EVENT.c.id)
    return _deleted(uow, sa.delete(EVENT).where(EVENT.c.id.in_(ids), delivered), ids), more


def _next(
    uow: UnitOfWork, table: sa.Table, age: sa.ColumnElement[dt.datetime], after: int, cutoff: dt.datetime
) -> tuple[list[int], int | None]:
    """Return the next old rows' keys, and the last one if there may be more."""
    query = sa.select(table.c.id, age.label("age")).where(table.c.id > after).order_by(table.c.id).limit(CHUNK)
    rows = uow.session.execute(query).all()
    old = [row.id for row in rows if row.age < cutoff]
    return old, rows[-1].id if len(old) == CHUNK else None


def _deleted(uow: UnitOfWork, statement: sa.Delete, ids: list[int]) -> int:
    return uow.session.execute(statement).rowcount if ids else 0  # type: ignore[attr-defined]
