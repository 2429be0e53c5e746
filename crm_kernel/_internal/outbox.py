"""Stores the events of a unit of work and one job per subscriber, in the same commit as the rows they speak of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from uuid_utils.compat import uuid7

from crm_kernel import contributions as c
from crm_kernel._internal.advisory import EVENTS_SPACE
from crm_kernel._internal.followers import Followers, insert_event
from crm_kernel._internal.rows import reserve_keys
from crm_kernel._internal.runtime import runtime_of
from crm_kernel.events.models import StoredEvent
from crm_kernel.events.webhooks.fanout import enqueue_fan_out
from crm_kernel.jobs.models import JobRow
from crm_kernel.jobs.signals import work_stored
from crm_kernel.rules.following import rule_deliveries

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Customers share so many locks: a bulk commit must not exhaust the server's lock table.
_LOCK_COUNT = 256


# Core, on the connection: publishing is what every write pays, and the ORM's insert takes three times as long.
_EVENT = cast(sa.Table, StoredEvent.__table__)
_INSERT_EVENT = sa.insert(_EVENT)
_TAKE_LOCKS = sa.text("SELECT pg_advisory_xact_lock(:space, key) FROM unnest(CAST(:keys AS int[])) AS key")
_INSERT_JOB = sa.insert(cast(sa.Table, JobRow.__table__))


def store_events(uow: UnitOfWork) -> None:
    """Insert the recorded events and the jobs of who follows them: subscribers, rules, webhooks; a few statements for all.

    One event that nobody follows but its subscribers takes two: the event and its deliveries.
    """
    if not uow.events:
        return
    rows, followers, deliveries = _stored(uow)
    if followers.rules:
        deliveries += rule_deliveries(uow, rows)
    store_deliveries(uow, uow.session.connection(), deliveries)
    if followers.webhooks:
        enqueue_fan_out(uow, rows)


def store_past_events(uow: UnitOfWork) -> None:
    """Insert the recorded events and the jobs of their subscribers; no rule and no webhook follows what is long past."""
    if uow.events:
        _rows, _followers, deliveries = _stored(uow)
        store_deliveries(uow, uow.session.connection(), deliveries)


def store_deliveries(uow: UnitOfWork, connection: sa.Connection, deliveries: list[dict[str, Any]]) -> None:
    """Insert rows of ``delivery_row`` and wake the runner after the commit."""
    if deliveries:
        connection.execute(_INSERT_JOB, deliveries)
        uow.after_commit(work_stored)


def subscribers_of(event_name: str) -> list[c.Subscriber]:
    """Return the active subscribers of an event, by name."""
    runtime = runtime_of(current_app)
    found = [s for s in runtime.registry.all("subscribers") if s.event.name == event_name]
    return sorted(c.active(found, runtime.manager.names), key=lambda s: s.name)


def keep_order(connection: sa.Connection, customers: Iterable[UUID | None]) -> None:
    """Let commits about one customer store their events one after the other, until this one is committed.

    Ids are given at the insert and seen at the commit: without this, a later id could be delivered first. SQLite has
    one writer anyway. Locks are taken in ascending order and last in the transaction, so that nobody waits in a circle.
    """
    keys = sorted({customer.int % _LOCK_COUNT for customer in customers if customer is not None})
    if keys and connection.dialect.name == "postgresql":
        connection.execute(_TAKE_LOCKS, {"space": EVENTS_SPACE, "keys": keys})


def delivery_row(
    uow: UnitOfWork, subscriber: c.Subscriber, *, event_id: int, customer: UUID | None, depth: int
) -> dict[str, Any]:
    """Return the values of the job that delivers an event to one subscriber."""
    return {
        "module": runtime_of(current_app).registry.owner("subscribers", subscriber.name),
        "name": subscriber.name,
        "queue": subscriber.queue,
        "priority": subscriber.priority,
        "event_id": event_id,
        "payload": {},
        "partition": str(customer) if customer else None,
        "run_at": uow.now,
        "max_attempts": subscriber.max_attempts,
        "causation_depth": depth,
        "created_at": uow.now,
    }


def _stored(uow: UnitOfWork) -> tuple[list[dict[str, Any]], Followers, list[dict[str, Any]]]:
    """Insert the recorded events; return their rows, who else may follow them, and the deliveries to their subscribers."""
    connection = uow.session.connection()
    rows = [_event_row(uow, event) for event in uow.events]
    keep_order(connection, (row["customer_uid"] for row in rows))
    ids, followers = _insert(uow, connection, rows)
    listeners = {name: subscribers_of(name) for name in {row["name"] for row in rows}}
    depth = uow.causation_depth + 1
    deliveries = [
        delivery_row(uow, subscriber, event_id=event_id, customer=row["customer_uid"], depth=depth)
        for event_id, row in zip(ids, rows, strict=True)
        for subscriber in listeners[row["name"]]
    ]
    return rows, followers, deliveries


def _insert(uow: UnitOfWork, connection: sa.Connection, rows: list[dict[str, Any]]) -> tuple[list[int], Followers]:
    if len(rows) == 1:
        key, followers = insert_event(connection, rows[0])
        return [key], followers
    # Keys beforehand: SQLite gives back the keys of several rows in order only by inserting them one at a time.
    ids = reserve_keys(uow.session, _EVENT, len(rows))
    connection.execute(_INSERT_EVENT, [{"id": key, **row} for key, row in zip(ids, rows, strict=True)])
    return ids, Followers()


def _event_row(uow: UnitOfWork, event: Any) -> dict[str, Any]:
    return {
        "uid": uuid7(),
        "name": event.name,
        "version": event.version,
        "occurred_at": uow.now,
        "payload": event.to_json(),
        "customer_uid": event.customer_uid(),
        "actor": uow.actor.name,
        "channel": uow.channel,
        "request_id": uow.request_id,
        "causation_depth": uow.causation_depth,
    }
