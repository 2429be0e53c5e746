"""Wins, loses and reopens opportunities: the sale, the touch point and the event are one transaction with the stage."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.errors import Conflict, InvalidInput
from crm_sfa.contract import OpportunityLost, OpportunityReopened, OpportunityWon
from crm_sfa.opportunities import ledger, rules
from crm_sfa.opportunities.choices import LOST_REASONS
from crm_sfa.opportunities.history import customer_uid, enter_stage, noon
from crm_sfa.opportunities.models import Opportunity, StageChange
from crm_sfa.pipelines.choices import LOST, OPEN, WON
from crm_sfa.pipelines.models import Stage
from crm_sfa.pipelines.queries import first_of, stages_of

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def win_opportunity(
    uow: UnitOfWork,
    opportunity: Opportunity,
    *,
    amount: Decimal | None = None,
    closed_on: dt.date | None = None,
) -> None:
    """Win an open opportunity: its sale goes into the kernel's ledger, the customer's timeline tells it.

    ``amount`` replaces the opportunity's; it is in the opportunity's currency, in the company's if that has none.

    Raises:
        InvalidInput: no amount is known, or the day is in the future or before the opening.
        Conflict: it is closed already, or its pipeline has no won stage.
    """
    stage = rules.closing_stage(uow, opportunity, WON)
    day = rules.checked_closing_day(uow, opportunity, closed_on)
    if amount is not None:
        opportunity.amount = amount
        opportunity.currency = opportunity.currency or ledger.base_currency()
    if opportunity.amount is None:
        raise InvalidInput({"amount": [_("Winning needs an amount: give it here or on the opportunity.")]})
    _close(uow, opportunity, stage, day)
    ledger.record_win(uow, opportunity)
    ledger.tell_timeline(uow, opportunity, OpportunityWon.name)
    uow.record(
        OpportunityWon(
            opportunity_id=opportunity.uid,
            customer_id=customer_uid(uow, opportunity),
            amount=opportunity.amount,
            currency=str(opportunity.currency),
            base_amount=opportunity.base_amount or Decimal(0),
            closed_on=day,
        )
    )


def lose_opportunity(
    uow: UnitOfWork,
    opportunity: Opportunity,
    *,
    reason: str,
    note: str | None = None,
    closed_on: dt.date | None = None,
) -> None:
    """Lose an open opportunity for one of ``LOST_REASONS``.

    Raises:
        InvalidInput: the reason is missing or unknown, or the day is in the future or before the opening.
        Conflict: it is closed already, or its pipeline has no lost stage.
    """
    if reason not in LOST_REASONS:
        message = _("Losing needs a reason: found %(found)s, expected one of: %(known)s.")
        raise InvalidInput({"reason": [message % {"found": reason or "–", "known": ", ".join(LOST_REASONS)}]})
    stage = rules.closing_stage(uow, opportunity, LOST)
    day = rules.checked_closing_day(uow, opportunity, closed_on)
    opportunity.lost_reason, opportunity.lost_note = reason, note
    _close(uow, opportunity, stage, day)
    ledger.tell_timeline(uow, opportunity, OpportunityLost.name, note)
    customer = customer_uid(uow, opportunity)
    uow.record(OpportunityLost(opportunity_id=opportunity.uid, customer_id=customer, reason=reason, closed_on=day))


def reopen_opportunity(uow: UnitOfWork, opportunity: Opportunity) -> None:
    """Reopen a won or lost opportunity in the open stage it came from; the sale of a won one is refunded in full.

    The ledger keeps both entries, so that figures of the past stay what they were reported; winning it again records
    a new sale.

    Raises:
        Conflict: it is open, or its pipeline has no open stage.
    """
    was = opportunity.status
    if was == OPEN:
        raise Conflict(_("“%(name)s” is open already.", name=opportunity.name))
    stage = _stage_before(uow, opportunity)
    ledger.refund_win(uow, opportunity)
    opportunity.close_date = opportunity.closed_at = None
    opportunity.lost_reason = opportunity.lost_note = None
    enter_stage(uow, opportunity, stage)
    ledger.tell_timeline(uow, opportunity, OpportunityReopened.name)
    customer = customer_uid(uow, opportunity)
    uow.record(OpportunityReopened(opportunity_id=opportunity.uid, customer_id=customer, was=was))


def _close(uow: UnitOfWork, opportunity: Opportunity, stage: Stage, day: dt.date) -> None:
    opportunity.close_date = day
    opportunity.closed_at = uow.now if day == rules.today_of(uow) else noon(day)
    enter_stage(uow, opportunity, stage)


def _stage_before(uow: UnitOfWork, opportunity: Opportunity) -> Stage:
    last = (
        sa.select(Stage)
        .join(StageChange, StageChange.from_stage_id == Stage.id)
        .where(
            StageChange.opportunity_id == opportunity.id,
            Stage.pipeline_id == opportunity.pipeline_id,
            Stage.category == OPEN,
        )
        .order_by(StageChange.id.desc())
        .limit(1)
    )
    found = uow.session.scalars(last).first() or first_of(stages_of(uow, opportunity.pipeline_id), OPEN)
    if found is None:
        raise Conflict(_("The pipeline of “%(name)s” has no open stage: add one to it.", name=opportunity.name))
    return found
