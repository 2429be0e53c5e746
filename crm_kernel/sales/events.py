"""The fact the kernel tells about sales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from flask_babel import lazy_gettext as _l

from crm_kernel.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleRecorded(Event):
    """A sale or a refund was recorded for the first time."""

    name: ClassVar[str] = "kernel.sale_recorded"
    event_label: ClassVar[Any] = _l("Sale recorded")
    field_labels: ClassVar[Mapping[str, Any]] = {"refund_of_id": _l("Refund of")}

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
