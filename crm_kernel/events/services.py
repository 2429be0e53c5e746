"""Delivers events again: dead deliveries once their reason is gone, or an event to a subscriber that came later.

What an administrator decides about deliveries stands in the audit log, under the record type ``event``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from crm_kernel._internal.outbox import delivery_row, keep_order, store_deliveries, subscribers_of
from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.errors import Conflict, NotFound
from crm_kernel.events.models import StoredEvent
from crm_kernel.events.queries import dead_deliveries, event, overtaken
from crm_kernel.jobs.models import JobRow, JobState
from crm_kernel.jobs.services import cancel_job, lock_job, retry_job

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def retry_dead(
    uow: UnitOfWork, *, subscriber: str | None = None, event_uid: UUID | None = None, limit: int = 1000
) -> list[JobRow]:
    """Make dead deliveries due again, oldest first, at most ``limit``, and return them without those that somebody
    else had made, or discarded, by now.

    One that comes after later ones about the same customer is marked ``out_of_order``. A few queries per delivery.

    Raises:
        NotFound: ``event_uid`` is no event.
    """
    if event_uid is not None:
        event(uow, event_uid)
    dead = dead_deliveries(uow, subscriber=subscriber, event_uid=event_uid, limit=limit)
    return _decided(uow, "retried", dead, retry_job)


def discard_dead(uow: UnitOfWork, event_uid: UUID, *, subscriber: str | None = None) -> list[JobRow]:
    """Decide that an event's dead deliveries (to one subscriber) are not to be made, and return them without those
    that somebody else had made due, or discarded, by now.

    Raises:
        NotFound: no such event.
        Conflict: none of its deliveries is dead.
    """
    stored = event(uow, event_uid)
    dead = dead_deliveries(uow, subscriber=subscriber, event_uid=event_uid)
    if not dead:
        raise Conflict(f"{stored.name} {stored.uid} has no dead delivery" + (f" to {subscriber}" if subscriber else ""))
    return _decided(uow, "discarded", dead, cancel_job)


def listening_to(stored: StoredEvent) -> list[str]:
    """Return the active subscribers that listen to an event, in order; no query."""
    return [found.name for found in subscribers_of(stored.name)]


def replay_event(uow: UnitOfWork, event_uid: UUID, *, subscriber: str) -> dict[str, object]:
    """Deliver a stored event once more to one of its subscribers and return the new delivery's values.

    For a module that was enabled later, or after its rows were restored: a handler that has run runs again. The
    delivery is marked ``out_of_order`` if the subscriber has had a later event about the customer.

    Raises:
        NotFound: no such event, or no active subscriber of that name listens to it.
        Conflict: a delivery of it to that subscriber is still on its way.
    """
    stored = event(uow, event_uid)
    listening = {found.name: found for found in subscribers_of(stored.name)}
    if subscriber not in listening:
        known = ", ".join(listening) or "nobody"
        raise NotFound(f"{subscriber} does not listen to {stored.name}; listening: {known}")
    _refuse_pending(uow, stored, subscriber)
    connection = uow.session.connection()
    keep_order(connection, [stored.customer_uid])
    values = delivery_row(
        uow, listening[subscriber], event_id=stored.id, customer=stored.customer_uid, depth=stored.causation_depth + 1
    )
    values["out_of_order"] = overtaken(uow, stored, subscriber)
    store_deliveries(uow, connection, [values])
    _note(uow, "replayed", [(stored, subscriber)])
    return values


def _decided(
    uow: UnitOfWork,
    action: str,
    dead: Sequence[tuple[JobRow, StoredEvent]],
    decide: Callable[[UnitOfWork, UUID], JobRow],
) -> list[JobRow]:
    done = []
    for job, stored in dead:
        # Somebody else may have decided since they were listed: what was discarded stays so, what was retried goes on.
        if lock_job(uow, job.uid).state == JobState.DEAD:
            done.append((decide(uow, job.uid), stored))
    _note(uow, action, [(stored, job.name) for job, stored in done])
    return [job for job, _stored in done]


def _note(uow: UnitOfWork, action: str, deliveries: Sequence[tuple[StoredEvent, str]]) -> None:
    rows = [AuditRow(stored.uid, None, {"event": stored.name, "subscriber": name}) for stored, name in deliveries]
    record_audit_many(uow, "event", action, rows)


def _refuse_pending(uow: UnitOfWork, stored: StoredEvent, subscriber: str) -> None:
    pending = sa.select(JobRow.id).where(
        JobRow.event_id == stored.id, JobRow.name == subscriber, JobRow.state.in_((JobState.READY, JobState.LEASED))
    )
    if uow.session.scalar(sa.select(pending.exists())):
        raise Conflict(f"{stored.name} {stored.uid} is on its way to {subscriber} already.")
