"""Takes due work under a lease, and takes back what a vanished worker held.

Everything here is one short transaction of the caller's. The rules of order live in the claim's SQL (``lanes``): of the
jobs with one name and partition at most one runs at a time, the earliest first; a failing one holds the later ones back
until it succeeds, is dead or is cancelled.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.jobs import rates
from crm_kernel.jobs.lanes import EVENT, JOB, LEASED, MOST_LANES, READY, Lane, due_lanes, lane_parameters, picked

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: What begins the worker's name of a job that was published and that nobody has begun.
RELAY = "relay:"

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
    #: Key of the user who asked for it.
    user_id: int | None = None
    queue: str = "default"
    #: Where it stands in the batch it was claimed with.
    place: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a worker asks for: at most ``limit`` jobs of ``modules``, none with a name in ``parked``."""

    worker: str
    modules: Collection[str]
    limit: int
    lease: dt.timedelta
    parked: Collection[str] = field(default_factory=tuple)
    #: Only jobs of these queues; None for all.
    queues: Collection[str] | None = None
    #: Names of long jobs: they come last in the batch, in this order.
    late: Sequence[str] = ()


def claim(session: Session, wanted: Claim, now: dt.datetime) -> list[Lease]:
    """Lease the due jobs that may run now, in the order in which they are to run.

    Modules' queues take turns, and in one queue the names do: no backlog delays another's. A queue's rate and pause are
    kept. One statement when nothing is due, else four or five. Never waits for another worker; commits nothing.
    """
    if not wanted.modules or wanted.limit < 1:
        return []
    shares = _shares(session, wanted, now)
    if not shares:
        return []
    until = now + wanted.lease
    slots = 1 << (len(shares) - 1).bit_length()
    asked = {"now": now, "most": wanted.limit, "by": wanted.worker, "until": until}
    rows = session.execute(_take(slots), {**asked, **lane_parameters(shares, slots, wanted.late)})
    leases = [_lease(row, until) for row in rows]
    leases.sort(key=lambda lease: lease.place)
    rates.charge(session, Counter(lease.queue for lease in leases), now)
    _attach_events(session, leases)
    return leases


def _shares(session: Session, wanted: Claim, now: dt.datetime) -> list[tuple[Lane, int]]:
    lanes = [
        lane
        for lane in due_lanes(session, wanted.modules, now)
        if lane.name not in wanted.parked and (wanted.queues is None or lane.queue in wanted.queues)
    ]
    if not lanes:
        return []
    allowed = rates.allowances(session, {lane.queue for lane in lanes}, now)
    found = rates.shares(lanes, allowed, wanted.limit)
    # By chance: of more lanes than a claim looks into, none is left out for good.
    return found if len(found) <= MOST_LANES else random.sample(found, MOST_LANES)


@lru_cache(maxsize=8)
def _take(slots: int) -> sa.UpdateBase:
    """Return the claim's statement; building it takes longer than running it, so it is kept per number of lanes."""
    found = picked(slots).cte("picked")
    return (
        sa.update(JOB)
        .where(JOB.c.id == found.c.id, JOB.c.state == READY)
        .values(
            state=LEASED,
            place=found.c.place,
            worker=sa.bindparam("by"),
            leased_until=sa.bindparam("until"),
            attempts=JOB.c.attempts + 1,
        )
        .returning(*(JOB.c[name] for name in _RETURNED))
    )


def sweep(session: Session, now: dt.datetime) -> list[Lease]:
    """Make the jobs of expired leases ready again and return those that were being worked on when their worker vanished.

    A worker runs its batch in the order of the claim, so of the jobs it left behind only the first can have been begun:
    that one is returned, still leased, for the caller to count a failure; the others lose nothing, nor does what a relay
    published and nobody began. Two or three statements. A job whose transaction is still open (its row is locked) is left alone.
    """
    expired = sa.and_(JOB.c.state == LEASED, JOB.c.leased_until <= now)
    found = session.execute(
        sa.select(*(JOB.c[name] for name in _RETURNED), JOB.c.worker, JOB.c.leased_until)
        .where(expired)
        .order_by(JOB.c.worker, JOB.c.leased_until, JOB.c.place, JOB.c.id)
        .limit(_SWEEP)
    ).all()
    if not found:
        return []
    locked = sa.select(JOB.c.id).where(JOB.c.id.in_([row.id for row in found]), expired)
    free = set(session.scalars(locked.with_for_update(skip_locked=True)))
    batches = [list(rows) for _key, rows in groupby(found, key=lambda row: (row.worker, row.leased_until))]
    first = [batch[0] for batch in batches if not batch[0].worker.startswith(RELAY)]
    begun = [_lease(row, row.leased_until) for row in first if row.id in free]
    untouched = free - {lease.id for lease in begun}
    if untouched:
        session.execute(_ready().where(JOB.c.id.in_(sorted(untouched)), expired))
    return begun


def take_over(session: Session, job_id: int, token: int, *, worker: str, until: dt.datetime) -> Lease | None:
    """Begin a job that a relay has leased, and return its lease; None if it was begun, taken back or cancelled since."""
    published = sa.and_(JOB.c.id == job_id, JOB.c.attempts == token, JOB.c.state == LEASED)
    begin = sa.update(JOB).where(published, JOB.c.worker.startswith(RELAY)).values(worker=worker, leased_until=until)
    row = session.execute(begin.returning(*(JOB.c[name] for name in _RETURNED))).one_or_none()
    if row is None:
        return None
    lease = _lease(row, until)
    _attach_events(session, [lease])
    return lease


def release(session: Session, leases: Sequence[Lease], now: dt.datetime) -> None:
    """Give back jobs that were claimed and not begun: no failure is counted, and their queues' rates have them back."""
    if leases:
        session.execute(_ready().where(_any_of(leases), JOB.c.state == LEASED))
        rates.charge(session, {queue: -count for queue, count in Counter(x.queue for x in leases).items()}, now)


def put_behind(session: Session, lease: Lease, now: dt.datetime) -> None:
    """Give back a job that has had its turn and is left at its checkpoint: whatever else is due goes first."""
    session.execute(_ready().values(run_at=now).where(_any_of([lease]), JOB.c.state == LEASED))


def _any_of(leases: Sequence[Lease]) -> sa.ColumnElement[bool]:
    return sa.tuple_(JOB.c.id, JOB.c.attempts).in_([(lease.id, lease.token) for lease in leases])


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
    "user_id",
    "queue",
    "place",
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
        user_id=row.user_id,
        queue=row.queue,
        place=row.place or 0,
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
