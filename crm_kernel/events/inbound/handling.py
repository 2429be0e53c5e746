"""Handles a stored message: the kind's handler runs in the name of the source's user, in one transaction with its end.

What cannot be handled as it is (a field that does not fit, a record that is not there) is a failed message with its reason,
which somebody may handle again once it is mended. Anything else is an error of ours: the job fails and is tried again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.acting import actor_of
from crm_kernel.contributions import InboundMessage, InboundWebhook
from crm_kernel.data_map.mentioned import note_mentioned
from crm_kernel.errors import Conflict, CrmError, Forbidden, InvalidInput, NotFound
from crm_kernel.events.inbound.models import MESSAGE, MessageState, MessageSubject, WebhookMessage, WebhookSource
from crm_kernel.events.inbound.storing import HANDLE
from crm_kernel.jobs.models import JobRow
from crm_kernel.jobs.queries import PENDING
from crm_kernel.jobs.services import enqueue
from crm_kernel.unit_of_work import attempt

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Messages deleted per chunk.
CHUNK = 500


def handle_message(uow: UnitOfWork, payload: Mapping[str, Any]) -> None:
    """Handle one message, if it still waits."""
    query = sa.select(WebhookMessage, WebhookSource).join(WebhookSource, WebhookSource.id == WebhookMessage.source_id)
    query = query.where(WebhookMessage.uid == UUID(payload["message"])).with_for_update(of=WebhookMessage)
    found = uow.session.execute(query).first()
    if found is None or found[0].state != MessageState.WAITING:
        return
    message, source = found
    state, told = _handled(uow, message, source)
    said = {"error": told[:1000]} if state == MessageState.FAILED else {"result": told[:300], "error": None}
    _update(uow, message, state=state, **said)
    note_mentioned(uow.session, MessageSubject.__table__, message.id, str(said.get("result", "")))


def handle_again(uow: UnitOfWork, message: WebhookMessage) -> None:
    """Enqueue a message once more: one that failed, or one that waits for a job that is dead or was cancelled.

    Raises:
        Conflict: it is done, or its job still waits or runs.
    """
    if message.state == MessageState.DONE:
        raise Conflict(f"message {message.uid} is done: only what failed or waits in vain is handled again")
    if message.state == MessageState.WAITING and _has_job(uow, message):
        raise Conflict(f"message {message.uid} is waiting: its job still waits or runs")
    _update(uow, message, state=MessageState.WAITING)
    uow.session.refresh(message)
    enqueue(uow, HANDLE, {"message": str(message.uid)})


def expire_messages(uow: UnitOfWork, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Delete one chunk of old messages, handled or not, the oldest first; None when there are no more."""
    cutoff = uow.now - dt.timedelta(days=runtime_of(current_app).config.webhook_days)
    old = sa.select(MESSAGE.c.id).where(MESSAGE.c.created_at < cutoff)
    ids = list(uow.session.scalars(old.order_by(MESSAGE.c.created_at).limit(CHUNK)))
    if not ids:
        return None
    uow.session.execute(sa.delete(MESSAGE).where(MESSAGE.c.id.in_(ids)))
    so_far = payload.get("checkpoint", {}).get("deleted", 0) + len(ids)
    return {"deleted": so_far, "progress": {"done": so_far}}


def _has_job(uow: UnitOfWork, message: WebhookMessage) -> bool:
    waiting = sa.and_(JobRow.name == HANDLE, JobRow.state.in_(PENDING))
    named = sa.cast(JobRow.payload, sa.Text).contains(str(message.uid))
    return uow.session.execute(sa.select(JobRow.id).where(waiting, named).limit(1)).first() is not None


def _handled(uow: UnitOfWork, message: WebhookMessage, source: WebhookSource) -> tuple[MessageState, str]:
    kind: InboundWebhook | None = runtime_of(current_app).registry.get("inbound_webhooks", source.kind)
    if kind is None:
        return MessageState.FAILED, f"no loaded module handles {source.kind!r}"
    actor = actor_of(uow, source.user_id, scopes=source.scopes)
    if actor is None:
        return MessageState.FAILED, "the user of its source is deactivated"
    uow.actor = actor  # and stays so: the audit log names who did it
    try:
        with attempt(uow):
            told = kind.handler(
                uow, InboundMessage(message.uid, message.message_id, message.content_type, message.body)
            )
    except (InvalidInput, NotFound, Conflict, Forbidden) as error:
        return MessageState.FAILED, _reason(error)
    return MessageState.DONE, told or ""


def _reason(error: CrmError) -> str:
    return f"{type(error).__name__}: {error}".replace("\x00", "")


def _update(uow: UnitOfWork, message: WebhookMessage, **values: Any) -> None:
    changes = {**values, "version": MESSAGE.c.version + 1, "updated_at": uow.now}
    uow.session.execute(sa.update(MESSAGE).where(MESSAGE.c.id == message.id).values(changes))
