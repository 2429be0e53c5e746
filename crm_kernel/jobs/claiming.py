"""Takes due work under a lease, and takes back what a vanished worker held.

Everything here is one short transaction of the caller's. The rules of order live in the claim's SQL: of the jobs with
one name and partition at most one runs at a time, the earliest first; a failing one holds the later ones back until it
succeeds, is dead or is cancelled.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.events.models import StoredEvent
from crm_kernel.jobs.models import JobRow, JobState

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: The tables as Core sees them: the runner moves rows by the thousand and needs no identity map.
JOB: sa.Table = JobRow.__table__  # type: ignore[assignment]
EVENT: sa.Table = StoredEvent.__table__  # type: ignore[assignment]

#: Written into the SQL as they are: a bound parameter would hide from the planner that the partial indexes apply.
READY: sa.ColumnElement[int] = sa.literal_column(str(int(JobState.READY)))
LEASED: sa.ColumnElement[int] = sa.literal_column(str(int(JobState.LEASED)))
#: State from which on a job is over.
OVER: sa.ColumnElement[int] = sa.literal_column(str(int(JobState.DONE)))

Aliased = sa.FromClause

_NOW: sa.BindParameter[dt.datetime] = sa.bindparam("now", type_=JOB.c.run_at.type)
_MOST: sa.BindParameter[int] = sa.bindparam("most", type_=sa.Integer())

#: Most leases taken back by one sweep.
_SWEEP = 500


@dataclass(frozen=True, slots=True)
class Fact:
    """The stored event that a delivery is about."""

    name: str
    version: int
    payload: dict[str, Any]
    request_id: str


@dataclass(slots=True)
class Lease:
    """A claimed job: only who holds ``token`` may finish it. ``failures`` and ``payload`` follow a chunked job's progress."""

    id: int
    token: int
    module: str
    name: str
    payload: dict[str, Any]
    partition: str | None
    failures: int
    max_attempts: int
    causation_depth: int
    run_at: dt.datetime
    until: dt.datetime
    event_id: int | None = None
    event: Fact | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a worker asks for: at most ``limit`` jobs of ``modules``, none with a name in ``parked``."""

    worker: str
    modules: Collection[str]
    limit: int
    lease: dt.timedelta
    parked: Collection[str] = field(default_factory=tuple)


def claim(session: Session, wanted: Claim, now: dt.datetime) -> list[Lease]:
    """Lease the due jobs that may run now, in the order in which they are to run.

    Modules take turns, so that one module's backlog does not delay another's. Two statements: the claim itself, and
    the events of the deliveries in it. Never waits for another worker; commits nothing.
    """
    if not wanted.modules or wanted.limit < 1:
        return []
    until = now + wanted.lease
    taken = _take(tuple(sorted(wanted.modules)), tuple(sorted(wanted.parked)))
    asked = {"now": now, "most": wanted.limit, "by": wanted.worker, "until": until}
    leases = [_lease(row, until) for row in session.execute(taken, asked)]
    leases.sort(key=lambda lease: (lease.run_at, lease.id))
    _attach_events(session, leases)
    return leases


@lru_cache(maxsize=32)
def _take(modules: tuple[str, ...], parked: tuple[str, ...]) -> sa.UpdateBase:
    """Return the claim's statement; building it takes longer than running it, so it is kept per set of modules."""
    picked = due(modules, parked).cte("picked")
    return (
        sa.update(JOB)
        .where(JOB.c.id.in_(sa.select(picked.c.id)), JOB.c.state == READY)
        .values(
            state=LEASED,
            worker=sa.bindparam("by"),
            leased_until=sa.bindparam("until"),
            attempts=JOB.c.attempts + 1,
        )
        .returning(*(JOB.c[name] for name in _RETURNED))
    )


def due(modules: Sequence[str], parked: Sequence[str] = ()) -> sa.Select[int]:
    """Return the query for the ids a claim takes, at most ``:most`` at ``:now``.

    A short walk along ``ix_job_due`` per module, whatever else the table holds.
    """
    heads = [_due_of(module, parked).subquery() for module in modules]
    every = sa.union_all(*(sa.select(head) for head in heads)).subquery()
    turn = sa.func.row_number().over(partition_by=every.c.module, order_by=(every.c.run_at, every.c.id))
    ranked = sa.select(every.c.id, every.c.run_at, turn.label("turn")).subquery()
    return sa.select(ranked.c.id).order_by(ranked.c.turn, ranked.c.run_at, ranked.c.id).limit(_MOST)


def sweep(session: Session, now: dt.datetime) -> list[Lease]:
    """Make the jobs of expired leases ready again and return those that were being worked on when their worker vanished.

    A worker runs its batch in the order of the claim, so of the jobs it left behind only the first can have been begun:
    that one is returned, still leased, for the caller to count a failure; the others lose nothing. Two or three
    statements. A job whose transaction is still open (its row is locked) is left alone.
    """
    expired = sa.and_(JOB.c.state == LEASED, JOB.c.leased_until <= now)
    found = session.execute(
        sa.select(*(JOB.c[name] for name in _RETURNED), JOB.c.worker, JOB.c.leased_until)
        .where(expired)
        .order_by(JOB.c.worker, JOB.c.leased_until, JOB.c.run_at, JOB.c.id)
        .limit(_SWEEP)
    ).all()
    if not found:
        return []
    locked = sa.select(JOB.c.id).where(JOB.c.id.in_([row.id for row in found]), expired)
    free = set(session.scalars(locked.with_for_update(skip_locked=True)))
    batches = [list(rows) for _key, rows in groupby(found, key=lambda row: (row.worker, row.leased_until))]
    begun = [_lease(batch[0], batch[0].leased_until) for batch in batches if batch[0].id in free]
    untouched = free - {lease.id for lease in begun}
    if untouched:
        session.execute(_ready().where(JOB.c.id.in_(sorted(untouched)), expired))
    return begun


def release(session: Session, leases: Sequence[Lease]) -> None:
    """Give back jobs that were claimed and not begun, or left at a checkpoint; no failure is counted."""
    if leases:
        held = sa.tuple_(JOB.c.id, JOB.c.attempts).in_([(lease.id, lease.token) for lease in leases])
        session.execute(_ready().where(held, JOB.c.state == LEASED))


def _ready() -> sa.Update:
    # run_at stays: a job that is given back keeps its place in the queue.
    return sa.update(JOB).values(state=READY, leased_until=None, worker=None)


_RETURNED = (
    "id",
    "attempts",
    "module",
    "name",
    "payload",
    "partition",
    "failures",
    "max_attempts",
    "causation_depth",
    "run_at",
    "event_id",
)


def _lease(row: Any, until: dt.datetime) -> Lease:
    return Lease(
        id=row.id,
        token=row.attempts,
        module=row.module,
        name=row.name,
        payload=row.payload,
        partition=row.partition,
        failures=row.failures,
        max_attempts=row.max_attempts,
        causation_depth=row.causation_depth,
        run_at=row.run_at,
        until=until,
        event_id=row.event_id,
    )


def _attach_events(session: Session, leases: Sequence[Lease]) -> None:
    wanted = {lease.event_id for lease in leases if lease.event_id is not None}
    if not wanted:
        return
    columns = (EVENT.c.id, EVENT.c.name, EVENT.c.version, EVENT.c.payload, EVENT.c.request_id)
    rows = session.execute(sa.select(*columns).where(EVENT.c.id.in_(wanted)))
    facts = {row.id: Fact(row.name, row.version, row.payload, row.request_id) for row in rows}
    for lease in leases:
        if lease.event_id is not None:
            lease.event = facts.get(lease.event_id)


def _due_of(module: str, parked: Sequence[str]) -> sa.Select[Any]:
    job = JOB.alias()
    conditions = [job.c.module == module, job.c.state == READY, job.c.run_at <= _NOW]
    if parked:
        conditions.append(job.c.name.not_in(parked))
    alone = job.c.partition.is_(None)
    first = ~sa.or_(_held_back(job), _running(job))
    return (
        sa.select(job.c.id, job.c.module, job.c.run_at)
        .where(*conditions, sa.or_(alone, first))
        .order_by(job.c.run_at, job.c.id)
        .limit(_MOST)
        .with_for_update(skip_locked=True, of=job)
    )


def _held_back(job: Aliased) -> sa.Exists:
    """Say whether an earlier job of the partition must run first.

    An earlier delivery always must. An earlier job that was scheduled for later and never tried does not: a reminder in
    eight months holds back nothing.
    """
    earlier = JOB.alias()
    waiting = sa.or_(earlier.c.event_id.is_not(None), earlier.c.failures > 0, earlier.c.run_at <= _NOW)
    return sa.exists().where(*_same_partition(earlier, job), earlier.c.id < job.c.id, earlier.c.state < OVER, waiting)


def _running(job: Aliased) -> sa.Exists:
    other = JOB.alias()
    return sa.exists().where(*_same_partition(other, job), other.c.state == LEASED)


def _same_partition(one: Aliased, other: Aliased) -> tuple[sa.ColumnElement[bool], ...]:
    # "IS NOT NULL" is said aloud because the partial indexes say it.
    return one.c.name == other.c.name, one.c.partition == other.c.partition, one.c.partition.is_not(None)
