"""Sends what a webhook has missed since a time: events of before it was set up, and deliveries that failed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.errors import Conflict, NotFound
from crm_kernel.events.models import StoredEvent
from crm_kernel.events.webhooks.fanout import ANY, QUEUE, SIGNAL, deliver
from crm_kernel.events.webhooks.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from crm_kernel.events.webhooks.services import replay_delivery
from crm_kernel.jobs.services import enqueue

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: The job.
REPLAY = "kernel.webhook_replay"
#: Events looked at per chunk.
CHUNK = 200


def replay_since(uow: UnitOfWork, endpoint: WebhookEndpoint, since: dt.datetime) -> int:
    """Enqueue a job that sends a webhook what it has not been told since then, and return its number.

    Raises:
        Conflict: the webhook is switched off.
    """
    if not endpoint.enabled:
        raise Conflict(_("The webhook is switched off: switch it on first."))
    return enqueue(uow, REPLAY, {"webhook": str(endpoint.uid), "since": since.isoformat()}, queue=QUEUE)


def replay_chunk(uow: UnitOfWork, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Do one chunk, oldest events first; None at the end. What was delivered is not sent again."""
    endpoint = _endpoint(uow, UUID(payload["webhook"]))
    here = payload.get("checkpoint") or {"after": 0, "sent": 0}
    events = _events(uow, endpoint, here["after"], dt.datetime.fromisoformat(payload["since"]))
    if not events or not endpoint.enabled:
        return None
    sent = here["sent"] + _failed_again(uow, endpoint, events) + deliver(uow, endpoint, events)
    return {"after": events[-1].id, "sent": sent, "progress": {"done": sent}}


def _endpoint(uow: UnitOfWork, uid: UUID) -> WebhookEndpoint:
    found = uow.session.scalar(sa.select(WebhookEndpoint).where(WebhookEndpoint.uid == uid))
    if found is None:
        raise NotFound(f"webhook {uid}: no such webhook")
    return found


def _events(uow: UnitOfWork, endpoint: WebhookEndpoint, after: int, since: dt.datetime) -> list[StoredEvent]:
    query = sa.select(StoredEvent).where(StoredEvent.id > after, StoredEvent.occurred_at >= since)
    if ANY not in endpoint.events:
        query = query.where(StoredEvent.name.in_([*endpoint.events, SIGNAL]))
    return list(uow.session.scalars(query.order_by(StoredEvent.id).limit(CHUNK)))


def _failed_again(uow: UnitOfWork, endpoint: WebhookEndpoint, events: list[StoredEvent]) -> int:
    query = sa.select(WebhookDelivery).where(
        WebhookDelivery.webhook_id == endpoint.id,
        WebhookDelivery.event_uid.in_([event.uid for event in events]),
        WebhookDelivery.state.in_((DeliveryState.FAILED, DeliveryState.WITHHELD)),
    )
    failed = uow.session.scalars(query.order_by(WebhookDelivery.id)).all()
    for delivery in failed:
        replay_delivery(uow, delivery)
    return len(failed)
