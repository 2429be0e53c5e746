"""What webhooks tell about themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from crm_kernel.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDisabled(Event):
    """A webhook was switched off by itself: it failed for days, or its address said that it is gone."""

    name: ClassVar[str] = "kernel.webhook_disabled"
    webhook_id: UUID
    #: ``failing`` or ``gone``.
    reason: str


EVENTS = (WebhookDisabled,)
