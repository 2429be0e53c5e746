"""Shows what stands in the queues and takes an admin's decisions about them: a rate, a pause."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.errors import CrmError
from crm_kernel.jobs.lanes import LEASED, READY
from crm_kernel.jobs.models import JobQueue, JobRow, JobState
from crm_kernel.jobs.services import checked_queue
from crm_kernel.jobs.signals import work_stored

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_DEAD: sa.ColumnElement[int] = sa.literal_column(str(int(JobState.DEAD)))


class InvalidRate(CrmError):
    """A queue was to be limited to something that is no rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """One queue: what waits in it and how it is limited."""

    name: str
    due: int
    later: int
    running: int
    dead: int
    oldest_due: dt.datetime | None
    paused: bool
    per_minute: int | None
    burst: int


def queue_depths(uow: UnitOfWork) -> list[QueueDepth]:
    """Return every queue with unfinished jobs or a rule, by name; done jobs are not looked at. Two queries."""
    row, now = JobRow, uow.now
    # Each state spelled as a partial index spells it.
    unfinished = sa.or_(row.state == READY, row.state == LEASED, row.state == _DEAD)
    is_due = sa.and_(row.state == READY, row.run_at <= now)
    counts = (
        sa.select(
            row.queue,
            sa.func.count().filter(is_due).label("due"),
            sa.func.count().filter(row.state == READY, row.run_at > now).label("later"),
            sa.func.count().filter(row.state == LEASED).label("running"),
            sa.func.count().filter(row.state == _DEAD).label("dead"),
            sa.func.min(row.run_at).filter(is_due).label("oldest_due"),
        )
        .where(unfinished)
        .group_by(row.queue)
    )
    counted = {found.queue: found for found in uow.session.execute(counts)}
    rules = {rule.name: rule for rule in uow.session.scalars(sa.select(JobQueue))}
    return [_depth(name, counted.get(name), rules.get(name)) for name in sorted({*counted, *rules})]


def limit_queue(uow: UnitOfWork, name: str, *, per_minute: int | None, burst: int = 1) -> JobQueue:
    """Let at most so many jobs of a queue begin per minute, over all workers, and return the rule; None lifts it.

    Args:
        burst: jobs that may begin at once after a quiet time.

    Raises:
        InvalidRate: a number is below 1.
        UnknownJob: it is no name for a queue.
    """
    if burst < 1 or (per_minute is not None and per_minute < 1):
        raise InvalidRate(f"queue {name}: found {per_minute} a minute, {burst} at once, expected 1 or more of each")
    rule = _rule(uow, name)
    _note(uow, rule, "limited", {"per_minute": per_minute, "burst": burst})
    rule.per_minute, rule.burst, rule.spent_until = per_minute, burst, None
    uow.after_commit(work_stored)
    return rule


def pause_queue(uow: UnitOfWork, name: str) -> JobQueue:
    """Begin no more jobs of a queue, and return its rule; what runs goes on.

    Raises:
        UnknownJob: it is no name for a queue.
    """
    rule = _rule(uow, name)
    _note(uow, rule, "paused", {"paused": True})
    rule.paused = True
    return rule


def resume_queue(uow: UnitOfWork, name: str) -> JobQueue:
    """Let a paused queue go on, and return its rule.

    Raises:
        UnknownJob: it is no name for a queue.
    """
    rule = _rule(uow, name)
    _note(uow, rule, "resumed", {"paused": False})
    rule.paused = False
    uow.after_commit(work_stored)
    return rule


def _rule(uow: UnitOfWork, name: str) -> JobQueue:
    found = uow.session.get(JobQueue, checked_queue(name), with_for_update=True)
    if found is None:
        found = JobQueue(name=name, burst=1, paused=False)
        uow.session.add(found)
    return found


def _note(uow: UnitOfWork, rule: JobQueue, action: str, after: dict[str, Any]) -> None:
    """Write into the audit log what an admin decides, unless it says already what the rule said."""
    before = {name: getattr(rule, name) for name in after}
    if before != after:
        about = {"queue": rule.name}
        record_audit_many(uow, "job_queue", action, [AuditRow(None, {**about, **before}, {**about, **after})])


def _depth(name: str, counted: Any, rule: JobQueue | None) -> QueueDepth:
    return QueueDepth(
        name=name,
        due=counted.due if counted else 0,
        later=counted.later if counted else 0,
        running=counted.running if counted else 0,
        dead=counted.dead if counted else 0,
        oldest_due=counted.oldest_due if counted else None,
        paused=bool(rule and rule.paused),
        per_minute=rule.per_minute if rule else None,
        burst=rule.burst if rule else 1,
    )
