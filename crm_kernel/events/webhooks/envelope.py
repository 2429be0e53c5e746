"""Writes an event as the JSON that receivers read: CloudEvents 1.0, structured mode.

``data`` holds the event's ids and plain facts, never personal values; ``data.record`` the record itself where the webhook
asks for it, as its user may read it at that moment.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from flask import current_app

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.actor import Actor
from crm_kernel.errors import Forbidden, NotFound
from crm_kernel.events.models import StoredEvent
from crm_kernel.events.webhooks.subjects import facts_for, subjects_of
from crm_kernel.records.projection import json_ready
from crm_kernel.records.reading import read_one

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

CONTENT_TYPE = "application/cloudevents+json"
#: The type of a ping.
PING = "kernel.webhook_ping"


def envelope_of(uow: UnitOfWork, actor: Actor, event: StoredEvent, message_id: UUID, *, record: str) -> bytes:
    """Return an event as bytes to sign and send.

    Args:
        record: ``sent`` to put the record itself in, as ``actor`` may read it; ``named`` for its id alone.
    """
    data = facts_for(actor, event)
    if record == "sent":
        data["record"] = _record(uow, actor, event)
    about = {"subject": str(event.customer_uid)} if event.customer_uid else {}
    return _written(message_id, event.name, event.occurred_at, {**about, "crmversion": event.version}, data)


def ping_envelope(message_id: UUID, now: dt.datetime) -> bytes:
    """Return the message that only shows that one arrives."""
    return _written(message_id, PING, now, {}, {})


def _written(message_id: UUID, name: str, at: dt.datetime, extra: dict[str, Any], data: dict[str, Any]) -> bytes:
    config = runtime_of(current_app).config
    envelope = {
        "specversion": "1.0",
        "id": str(message_id),
        "source": config.base_url or "urn:crm",
        "type": name,
        "time": at,
        "datacontenttype": "application/json",
        **extra,
        "data": data,
    }
    return orjson.dumps(envelope, default=json_ready)


def _record(uow: UnitOfWork, actor: Actor, event: StoredEvent) -> dict[str, Any] | None:
    """Return the record that the event's own module keeps of it, else the first it names; None when it is gone."""
    subjects = subjects_of(event)
    if not subjects:
        return None
    module = event.name.partition(".")[0]
    main = next((subject for subject in subjects if subject.record_type.plugin == module), subjects[0])
    before, uow.actor = uow.actor, actor
    try:
        return {"type": main.record_type.name, **read_one(uow, main.record_type, main.uid)}
    except (NotFound, Forbidden):
        return None
    finally:
        uow.actor = before
