"""What other plugins may import of the sales module: its events. Everything else may change any day.

Amounts are those of the opportunity, in its own currency; ``base_amount`` is the same in the company's base currency,
converted on the day of the win. Imports tell none of these but the kernel's ``kernel.records_bulk_changed``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from flask_babel import lazy_gettext as _l

from crm_kernel.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class OpportunityCreated(Event):
    """An opportunity was opened, one at a time."""

    name: ClassVar[str] = "sfa.opportunity_created"
    event_label: ClassVar[Any] = _l("Opportunity created")

    opportunity_id: UUID
    customer_id: UUID | None
    stage_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class OpportunityStageChanged(Event):
    """An opportunity moved to another stage; winning, losing and reopening tell this too, before their own event."""

    name: ClassVar[str] = "sfa.opportunity_stage_changed"
    event_label: ClassVar[Any] = _l("Stage of an opportunity changed")
    field_labels: ClassVar[Mapping[str, Any]] = {
        "from_stage_id": _l("From stage"),
        "to_stage_id": _l("To stage"),
        "seconds": _l("Seconds in the stage before"),
    }

    opportunity_id: UUID
    customer_id: UUID | None
    from_stage_id: UUID
    to_stage_id: UUID
    #: Time spent in the stage it left, in seconds.
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpportunityWon(Event):
    """An opportunity was won; the sale is in the kernel's ledger."""

    name: ClassVar[str] = "sfa.opportunity_won"
    event_label: ClassVar[Any] = _l("Opportunity won")
    field_labels: ClassVar[Mapping[str, Any]] = {"base_amount": _l("Amount in the base currency")}

    opportunity_id: UUID
    customer_id: UUID | None
    amount: Decimal
    #: ISO 4217.
    currency: str
    base_amount: Decimal
    closed_on: dt.date


@dataclass(frozen=True, slots=True, kw_only=True)
class OpportunityLost(Event):
    """An opportunity was lost."""

    name: ClassVar[str] = "sfa.opportunity_lost"
    event_label: ClassVar[Any] = _l("Opportunity lost")

    opportunity_id: UUID
    customer_id: UUID | None
    #: A key of the module's list of reasons: ``price``, ``competitor``, ``no_budget``, …
    reason: str
    closed_on: dt.date


@dataclass(frozen=True, slots=True, kw_only=True)
class OpportunityReopened(Event):
    """A won or lost opportunity is open again; the sale of a won one was refunded in the kernel's ledger."""

    name: ClassVar[str] = "sfa.opportunity_reopened"
    event_label: ClassVar[Any] = _l("Opportunity reopened")
    field_labels: ClassVar[Mapping[str, Any]] = {"was": _l("What it was")}

    opportunity_id: UUID
    customer_id: UUID | None
    #: ``won`` or ``lost``: what it was.
    was: str


EVENTS = (
    OpportunityCreated,
    OpportunityStageChanged,
    OpportunityWon,
    OpportunityLost,
    OpportunityReopened,
)
