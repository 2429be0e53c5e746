"""The fact the kernel tells about sales."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from crm_kernel.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleRecorded(Event):
    """A sale or a refund was recorded for the first time."""

    name: ClassVar[str] = "kernel.sale_recorded"

    sale_id: UUID
    #: None for an anonymous sale.
    customer_id: UUID | None
    #: ``web``, ``phone``, ``store``, ``app`` or ``rep``.
    channel: str
    source_plugin: str
    #: In the company's base currency; negative for a refund.
    base_amount: Decimal
    refund_of_id: UUID | None


EVENTS = (SaleRecorded,)
