"""From events to deliveries: which webhooks are to be told of an event, and one job for each that is.

The commit of an event enqueues one job for all its events, and only if some webhook waits for one of them; who may see what
is found out in that job, not in the request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from uuid_utils.compat import uuid7

from crm_kernel.access.acting import actor_of
from crm_kernel.access.actor import Actor
from crm_kernel.errors import CrmError
from crm_kernel.events.models import StoredEvent
from crm_kernel.events.webhooks.events import RecordSignalled
from crm_kernel.events.webhooks.models import DELIVERY, ENDPOINT, DeliveryState, WebhookEndpoint
from crm_kernel.events.webhooks.subjects import may_be_told
from crm_kernel.jobs.services import dialect_insert, enqueue
from crm_kernel.records.filter_tree import And, compile_tree, parse_text
from crm_kernel.records.plan import plan_of, record_type

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: The jobs: one tells webhooks apart, the other sends.
FAN_OUT, SEND = "kernel.webhooks_fan_out", "kernel.webhook_send"
#: The queue of both; an admin may pause it, limit it or give it workers of its own.
QUEUE = "webhooks"
#: What rules send to one webhook, whatever events it waits for.
SIGNAL = RecordSignalled.name
#: Every event.
ANY = "*"
#: Events that one job looks at.
CHUNK = 100


def enqueue_fan_out(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    """Enqueue the jobs that tell webhooks of the events just stored; one query.

    Args:
        rows: ``name`` and ``uid`` of each event.
    """
    wanted = {name for names in uow.session.connection().execute(_wanted()).scalars() for name in names}
    wanted.add(SIGNAL)
    told = [str(row["uid"]) for row in rows if row["name"] in wanted or ANY in wanted]
    for start in range(0, len(told), CHUNK):
        enqueue(uow, FAN_OUT, {"events": told[start : start + CHUNK]})


def fan_out(uow: UnitOfWork, payload: Mapping[str, Any]) -> None:
    """Make the deliveries of some events; a few queries per webhook and event it waits for."""
    uids = [UUID(text) for text in payload["events"]]
    events = uow.session.scalars(sa.select(StoredEvent).where(StoredEvent.uid.in_(uids)).order_by(StoredEvent.id)).all()
    endpoints = uow.session.scalars(sa.select(WebhookEndpoint).where(WebhookEndpoint.enabled)).all()
    for endpoint in endpoints:
        deliver(uow, endpoint, events)


def deliver(uow: UnitOfWork, endpoint: WebhookEndpoint, events: Iterable[StoredEvent]) -> int:
    """Make and enqueue a webhook's deliveries of those events that it waits for and its user may be told of.

    Returns how many; events that it was told of before are not among them.
    """
    wanted = [event for event in events if waits_for(endpoint, event)]
    actor = actor_of(uow, endpoint.user_id, scopes=endpoint.scopes) if wanted else None
    if actor is None:
        return 0
    return sum(_make(uow, endpoint, event) for event in wanted if is_told(uow, endpoint, actor, event))


def is_told(uow: UnitOfWork, endpoint: WebhookEndpoint, actor: Actor, event: StoredEvent) -> bool:
    """Say whether a webhook's user may be told of an event, and its filter lets it through."""
    return may_be_told(uow, actor, event) and _fits(uow, endpoint, actor, event)


def waits_for(endpoint: WebhookEndpoint, event: StoredEvent) -> bool:
    """Say whether a webhook wants an event: by its name, or because a rule sends the record to this one."""
    if event.name == SIGNAL:
        return event.payload.get("webhook") == str(endpoint.uid)
    return ANY in endpoint.events or event.name in endpoint.events


def enqueue_attempt(uow: UnitOfWork, delivery: Any, endpoint_uid: UUID, **options: Any) -> None:
    """Enqueue the next attempt at a delivery: its round and number name the only job that may make it.

    Attempts at one address run one after the other: one that is slow keeps one worker busy, never all.
    """
    payload = {"delivery": str(delivery.uid), "round": delivery.round, "attempt": delivery.attempts}
    enqueue(uow, SEND, payload, partition=str(endpoint_uid), **options)


def _make(uow: UnitOfWork, endpoint: WebhookEndpoint, event: StoredEvent) -> bool:
    values = {
        "uid": uuid7(),
        "webhook_id": endpoint.id,
        "event_uid": event.uid,
        "event_name": event.name,
        "state": DeliveryState.WAITING,
        "next_at": uow.now,
        "created_at": uow.now,
        "updated_at": uow.now,
    }
    insert = dialect_insert(uow)(DELIVERY).values(values)
    insert = insert.on_conflict_do_nothing(index_elements=["webhook_id", "event_uid"])
    made = uow.session.execute(insert.returning(DELIVERY.c.uid, DELIVERY.c.round, DELIVERY.c.attempts)).first()
    if made is not None:
        enqueue_attempt(uow, made, endpoint.uid)
    return made is not None


def _fits(uow: UnitOfWork, endpoint: WebhookEndpoint, actor: Actor, event: StoredEvent) -> bool:
    if not endpoint.filter:
        return True
    if event.customer_uid is None:
        return False
    customers = record_type("customer")
    before, uow.actor = uow.actor, actor
    try:
        plan = plan_of(customers)
        fits = compile_tree(uow, plan, And((parse_text(plan, endpoint.filter, actor),)))
    except CrmError:  # it names what is gone, or what the user may not read any more: nothing fits, nothing leaks
        return False
    finally:
        uow.actor = before
    query = sa.select(sa.literal(1)).where(customers.model.uid == event.customer_uid, fits)
    return uow.session.execute(query).first() is not None


@lru_cache(maxsize=1)
def _wanted() -> sa.Select[Any]:
    return sa.select(ENDPOINT.c.events).where(ENDPOINT.c.enabled)
