"""Reads stored events and the state of their deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.errors import NotFound
from crm_kernel.events.models import StoredEvent
from crm_kernel.jobs.models import JobRow, JobState

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events a list shows; None means any."""

    #: Exact wire name, or all of a module: ``sfa.*``.
    name: str | None = None
    customer_uid: UUID | None = None
    #: Only events before this one, for paging: the id of the last one of the page before.
    before: UUID | None = None


def events(uow: UnitOfWork, wanted: EventFilter, *, limit: int = 50) -> Sequence[StoredEvent]:
    """Return events, newest first, in one query along an index."""
    query = sa.select(StoredEvent).order_by(StoredEvent.id.desc()).limit(limit)
    if wanted.name is not None:
        prefix, star, _ = wanted.name.partition("*")
        starts = StoredEvent.name.startswith(prefix, autoescape=True)
        query = query.where(starts if star else StoredEvent.name == wanted.name)
    if wanted.customer_uid is not None:
        query = query.where(StoredEvent.customer_uid == wanted.customer_uid)
    if wanted.before is not None:
        last = sa.select(StoredEvent.id).where(StoredEvent.uid == wanted.before).scalar_subquery()
        query = query.where(StoredEvent.id < last)
    return uow.session.scalars(query).all()


def event(uow: UnitOfWork, event_uid: UUID) -> StoredEvent:
    """Return one event.

    Raises:
        NotFound: no such event.
    """
    found = uow.session.scalars(sa.select(StoredEvent).where(StoredEvent.uid == event_uid)).one_or_none()
    if found is None:
        raise NotFound(f"event {event_uid}: no such event. List them with: crm events list")
    return found


def overtaken(uow: UnitOfWork, stored: StoredEvent, subscriber: str, *, job_id: int | None = None) -> bool:
    """Say whether a later event about the same customer reaches a subscriber before this one would; one query.

    It has reached it, is on its way now, or waits in front of this one: a customer's deliveries go in the order of their jobs.

    Args:
        job_id: the delivery that is to be made; None for a new one, which comes behind all others.
    """
    if stored.customer_uid is None:
        return False
    before = JobRow.state.in_((JobState.DONE, JobState.LEASED))
    waits = JobRow.state == JobState.READY
    waits_in_front = waits if job_id is None else sa.and_(waits, JobRow.id < job_id)
    later = (
        sa.select(JobRow.id)
        .join(StoredEvent, StoredEvent.id == JobRow.event_id)
        .where(StoredEvent.customer_uid == stored.customer_uid, StoredEvent.id > stored.id, JobRow.name == subscriber)
        .where(sa.or_(before, waits_in_front))
    )
    return bool(uow.session.scalar(sa.select(later.exists())))


def deliveries_of(uow: UnitOfWork, event_ids: Sequence[int]) -> dict[int, list[JobRow]]:
    """Return the deliveries of some events: event key → deliveries by subscriber, then age. One query."""
    found: dict[int, list[JobRow]] = {event_id: [] for event_id in event_ids}
    query = sa.select(JobRow).where(JobRow.event_id.in_(event_ids)).order_by(JobRow.name, JobRow.id)
    for row in uow.session.scalars(query):
        found[row.event_id or 0].append(row)
    return found


def dead_deliveries(
    uow: UnitOfWork, *, subscriber: str | None = None, event_uid: UUID | None = None, limit: int | None = None
) -> list[tuple[JobRow, StoredEvent]]:
    """Return deliveries that gave up, with their events, oldest first; one query along the index of dead jobs."""
    query = (
        sa.select(JobRow, StoredEvent)
        .join(StoredEvent, StoredEvent.id == JobRow.event_id)
        .where(JobRow.state == sa.literal_column(str(int(JobState.DEAD))))
        .order_by(JobRow.id)
        .limit(limit)
    )
    if subscriber is not None:
        query = query.where(JobRow.name == subscriber)
    if event_uid is not None:
        query = query.where(StoredEvent.uid == event_uid)
    return [(job, stored) for job, stored in uow.session.execute(query)]
