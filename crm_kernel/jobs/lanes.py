"""Where due work stands, and which of it a claim takes: the queries behind ``claiming``.

A *lane* is the jobs of one module, queue, priority and name. Lanes are what makes a claim fair and cheap: it looks at
the head of each, however many jobs stand behind it, so one slow subscriber's backlog delays nobody else's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
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

#: Most lanes one claim looks into.
MOST_LANES = 64

_LANE = ("module", "queue", "priority", "name")
_NOW: sa.BindParameter[dt.datetime] = sa.bindparam("now", type_=JOB.c.run_at.type)
_MOST: sa.BindParameter[int] = sa.bindparam("most", type_=sa.Integer())


@dataclass(frozen=True, slots=True)
class Lane:
    """The jobs of one module, queue, priority and name."""

    module: str
    queue: str
    priority: int
    name: str


@dataclass(frozen=True, slots=True)
class Head:
    """A lane that has waiting jobs, and when the first of them is due."""

    lane: Lane
    run_at: dt.datetime


def heads(session: Session) -> list[Head]:
    """Return every lane with waiting jobs, of whatever module: one probe of ``ix_job_due`` per lane, one query."""
    return [Head(Lane(*row[:4]), row.run_at) for row in session.execute(_heads())]


def due_lanes(session: Session, modules: Collection[str], now: dt.datetime) -> list[Lane]:
    """Return the lanes of these modules whose first job is due; one query."""
    return [head.lane for head in heads(session) if head.lane.module in modules and head.run_at <= now]


def picked(lanes: int) -> sa.Select[int, int]:
    """Return the query for what a claim takes from so many lanes: id and place, at most ``:most`` at ``:now``.

    Modules' queues take turns. Within one the lowest priority number goes first, and names of one priority take turns.
    What is long comes last. The lanes are bound by ``lane_parameters``.
    """
    found = sa.union_all(*(sa.select(_due_in(number).subquery()) for number in range(lanes))).subquery()
    f = found.c
    in_lane = sa.func.row_number().over(partition_by=[f[part] for part in _LANE], order_by=(f.run_at, f.id))
    standing = sa.select(found, in_lane.label("standing")).subquery()
    s = standing.c
    turn = sa.func.row_number().over(
        partition_by=(s.module, s.queue), order_by=(s.priority, s.standing, s.run_at, s.id)
    )
    r = sa.select(s.id, s.run_at, s.late, turn.label("turn")).subquery().c
    place = sa.func.row_number().over(order_by=(r.late, r.turn, r.run_at, r.id)).label("place")
    return sa.select(r.id, place).order_by(place).limit(_MOST)


def lane_parameters(shares: Sequence[tuple[Lane, int]], slots: int, late: Sequence[str] = ()) -> dict[str, Any]:
    """Return what ``picked(slots)`` binds: lane → most jobs of it; slots that are left over take nothing.

    Args:
        late: names whose jobs come last, at most one of each lane, in this order.
    """
    padded = [*shares, *[(Lane("", "", 0, ""), 0)] * (slots - len(shares))]
    rank = {name: number for number, name in enumerate(late, start=1)}
    return {
        f"{part}_{number}": value
        for number, (lane, most) in enumerate(padded)
        for part, value in (
            ("module", lane.module),
            ("queue", lane.queue),
            ("priority", lane.priority),
            ("name", lane.name),
            ("most", min(most, 1) if lane.name in rank else most),
            ("late", rank.get(lane.name, 0)),
        )
    }


@lru_cache(maxsize=1)
def _heads() -> sa.Select[Any]:
    """A loose index scan: the first waiting job, then again and again the first of the next lane."""

    def first(job: sa.FromClause) -> sa.Select[Any]:
        order = [job.c[part] for part in _LANE]
        return sa.select(job.c.id).where(job.c.state == READY).order_by(*order, job.c.run_at, job.c.id).limit(1)

    lane = sa.select(first(JOB.alias()).scalar_subquery().label("id")).cte("lane", recursive=True)
    here, there = JOB.alias("here"), JOB.alias("there")
    # Expressions, not columns: SQLite compares two columns without affinity, and would then walk along whole modules.
    last = (here.c.module + "", here.c.queue + "", here.c.priority + 0, here.c.name + "")
    beyond = sa.tuple_(*(there.c[part] for part in _LANE)) > sa.tuple_(*last)
    further = first(there).where(beyond).correlate(here).scalar_subquery()
    lane = lane.union_all(sa.select(further).join_from(lane, here, here.c.id == lane.c.id))
    return sa.select(*(JOB.c[part] for part in (*_LANE, "run_at"))).join_from(lane, JOB, JOB.c.id == lane.c.id)


def _due_in(number: int) -> sa.Select[Any]:
    job = JOB.alias()
    lane = [job.c[part] == sa.bindparam(f"{part}_{number}", type_=job.c[part].type) for part in _LANE]
    late = sa.cast(sa.bindparam(f"late_{number}", type_=sa.Integer()), sa.Integer).label("late")
    alone = job.c.partition.is_(None)
    first = ~sa.or_(_held_back(job), _running(job))
    return (
        sa.select(job.c.id, *(job.c[part] for part in _LANE), job.c.run_at, late)
        .where(*lane, job.c.state == READY, job.c.run_at <= _NOW, sa.or_(alone, first))
        .order_by(job.c.run_at, job.c.id)
        .limit(sa.bindparam(f"most_{number}", type_=sa.Integer()))
        .with_for_update(skip_locked=True, of=job)
    )


def _held_back(job: sa.FromClause) -> sa.Exists:
    """Say whether an earlier job of the partition must run first.

    An earlier delivery always must. An earlier job that was scheduled for later and never tried does not: a reminder in
    eight months holds back nothing.
    """
    earlier = JOB.alias()
    waiting = sa.or_(earlier.c.event_id.is_not(None), earlier.c.failures > 0, earlier.c.run_at <= _NOW)
    return sa.exists().where(*_same_partition(earlier, job), earlier.c.id < job.c.id, earlier.c.state < OVER, waiting)


def _running(job: sa.FromClause) -> sa.Exists:
    other = JOB.alias()
    return sa.exists().where(*_same_partition(other, job), other.c.state == LEASED)


def _same_partition(one: sa.FromClause, other: sa.FromClause) -> tuple[sa.ColumnElement[bool], ...]:
    # "IS NOT NULL" is said aloud because the partial indexes say it.
    return one.c.name == other.c.name, one.c.partition == other.c.partition, one.c.partition.is_not(None)
