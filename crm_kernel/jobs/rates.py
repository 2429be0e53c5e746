"""How many jobs of a queue may begin now: paused queues none, limited ones what their bucket holds.

The bucket is one time per queue, charged in the transaction of the claim, so a rate holds over all workers together.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from crm_kernel.jobs.lanes import Lane
from crm_kernel.jobs.models import JobQueue

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_MINUTE = dt.timedelta(minutes=1)

QUEUE: sa.Table = JobQueue.__table__  # type: ignore[assignment]


def allowances(session: Session, queues: Collection[str], now: dt.datetime) -> dict[str, int]:
    """Return how many jobs may begin now in each of the queues that has a rule: queue → number, 0 for a paused one.

    One query, which locks the rules until the claim commits; a queue that another claim holds right now may begin none.
    """
    rules = sa.select(QUEUE).where(QUEUE.c.name.in_(sorted(queues)))
    listed = {rule.name: rule for rule in session.execute(rules)}
    limited = [name for name, rule in listed.items() if rule.per_minute and not rule.paused]
    if limited:
        locked = sa.select(QUEUE).where(QUEUE.c.name.in_(limited)).with_for_update(skip_locked=True)
        free = {rule.name: _available(rule, now) for rule in session.execute(locked)}
    return {
        name: 0 if rule.paused else free.get(name, 0) for name, rule in listed.items() if rule.paused or rule.per_minute
    }


def charge(session: Session, begun: Mapping[str, int], now: dt.datetime) -> None:
    """Take the jobs that begin out of their queues' buckets: queue → number; a negative one puts them back."""
    if not begun:
        return
    for rule in session.execute(
        sa.select(QUEUE).where(QUEUE.c.name.in_(sorted(begun)), QUEUE.c.per_minute.is_not(None))
    ):
        spent = _floor(rule, now) + begun[rule.name] * _MINUTE / rule.per_minute
        session.execute(sa.update(QUEUE).where(QUEUE.c.name == rule.name).values(spent_until=spent))


def shares(lanes: Sequence[Lane], allowed: Mapping[str, int], limit: int) -> list[tuple[Lane, int]]:
    """Return lane → most jobs to take of it, leaving out lanes that may begin none.

    What a limited queue has left is divided among its most urgent lanes: the earlier ones get the odd ones.
    """
    found = [(lane, limit) for lane in lanes if lane.queue not in allowed]
    for queue, left in allowed.items():
        own = [lane for lane in lanes if lane.queue == queue]
        urgent = [lane for lane in own if lane.priority == min(lane.priority for lane in own)]
        each, odd = divmod(left, len(urgent)) if urgent else (0, 0)
        parts = [(lane, min(limit, each + (place < odd))) for place, lane in enumerate(urgent)]
        found += [(lane, most) for lane, most in parts if most]
    return found


def _available(rule: sa.Row[tuple[object, ...]], now: dt.datetime) -> int:
    # An interval is whole microseconds: a rate of seven a minute must not lose a job to rounding.
    return max(0, int((now - _floor(rule, now)) * rule.per_minute / _MINUTE + 1e-3))


def _floor(rule: sa.Row[tuple[object, ...]], now: dt.datetime) -> dt.datetime:
    full: dt.datetime = now - rule.burst * _MINUTE / rule.per_minute
    return full if rule.spent_until is None else max(full, rule.spent_until)
