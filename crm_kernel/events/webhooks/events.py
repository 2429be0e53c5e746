"""What webhooks tell about themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from flask_babel import lazy_gettext as _l

from crm_kernel.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDisabled(Event):
    """A webhook was switched off by itself: it failed for days, or its address said that it is gone."""

    name: ClassVar[str] = "kernel.webhook_disabled"
    event_label: ClassVar[Any] = _l("Webhook switched off")
    field_labels: ClassVar[Mapping[str, Any]] = {"reason": _l("Reason")}
    webhook_id: UUID
    #: ``failing`` or ``gone``.
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSignalled(Event):
    """An automation rule sends a record to one webhook; no other is told of it."""

    name: ClassVar[str] = "kernel.record_signalled"
    event_label: ClassVar[Any] = _l("Record sent by a rule")
    field_labels: ClassVar[Mapping[str, Any]] = {
        "record_type": _l("Records"),
        "record_id": _l("Record"),
        "webhook": _l("Webhook"),
    }
    record_type: str
    record_id: UUID
    customer_id: UUID | None
    #: The public id of the webhook; not ``webhook_id``, because the event is not about that.
    webhook: UUID


EVENTS = (WebhookDisabled, RecordSignalled)
