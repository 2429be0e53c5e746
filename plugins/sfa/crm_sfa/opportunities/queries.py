"""Reads opportunities as the actor may see them: those a customer has open, and counts for the start page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.access.policy import visible
from crm_kernel.records.plan import record_type
from crm_sfa.opportunities.ledger import base_currency
from crm_sfa.opportunities.models import Opportunity, StageChange
from crm_sfa.opportunities.rules import today_of
from crm_sfa.pipelines.choices import OPEN
from crm_sfa.pipelines.models import Stage

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Open opportunities shown of one customer; nobody has more in hand at once.
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Workload:
    """What somebody has in hand: open opportunities, how many should have closed already, and what they are worth."""

    deals: int
    overdue: int
    #: In the base currency.
    value: Decimal
    #: Those with an amount whose exchange rate is not known: not in the value.
    unvalued: int = 0
    #: The oldest day whose rate is in the value; None where all of it is in the base currency.
    rates_since: dt.date | None = None


def seen_by(uow: UnitOfWork) -> sa.ColumnElement[bool]:
    """Return the predicate over ``Opportunity`` that limits a query to what the actor may see."""
    return visible(uow.actor, record_type("sfa.opportunity"))


def open_opportunities_of(uow: UnitOfWork, customer_id: int) -> Sequence[Any]:
    """Return a customer's open opportunities, the next to close first, at most ``SHOWN``; one query.

    Rows of ``uid, name, amount, currency, close_date, opened_on, stage_since, stage, color, probability``.
    """
    statement = (
        sa.select(
            Opportunity.uid,
            Opportunity.name,
            Opportunity.amount,
            Opportunity.currency,
            Opportunity.close_date,
            Opportunity.opened_on,
            Opportunity.stage_since,
            Stage.name.label("stage"),
            Stage.color,
            Stage.probability,
        )
        .join(Stage, Stage.id == Opportunity.stage_id)
        .where(Opportunity.customer_id == customer_id, Opportunity.status == OPEN, seen_by(uow))
        .order_by(Opportunity.close_date.asc().nulls_last(), Opportunity.id)
        .limit(SHOWN)
    )
    return uow.session.execute(statement).all()


def own_workload(uow: UnitOfWork) -> Workload:
    """Return what the actor owns and has open; one query."""
    late = Opportunity.close_date < today_of(uow)
    statement = sa.select(
        sa.func.count(),
        sa.func.count(sa.case((late, 1))),
        sa.func.sum(Opportunity.base_amount),
        *conversion(),
    ).where(Opportunity.status == OPEN, Opportunity.owner_id == uow.actor.user_id, seen_by(uow))
    deals, overdue, value, *converted = uow.session.execute(statement).one()
    return Workload(deals, overdue, value or Decimal(0), *converted)


def conversion() -> tuple[Any, Any]:
    """Return aggregates over what is converted: how many have no known rate, and the oldest day of a rate in use."""
    unvalued = sa.and_(Opportunity.amount.is_not(None), Opportunity.base_amount.is_(None))
    foreign = sa.and_(Opportunity.base_amount.is_not(None), Opportunity.currency != base_currency())
    return sa.func.count(sa.case((unvalued, 1))), sa.func.min(sa.case((foreign, Opportunity.rate_on)))


def steps_of(uow: UnitOfWork, opportunity_id: int) -> Sequence[Any]:
    """Return an opportunity's last fifty steps, latest first, rows of ``at, seconds, actor_name, stage, category, color``."""
    statement = (
        sa.select(
            StageChange.at,
            StageChange.seconds,
            StageChange.actor_name,
            Stage.name.label("stage"),
            Stage.category,
            Stage.color,
        )
        .outerjoin(Stage, Stage.id == StageChange.to_stage_id)
        .where(StageChange.opportunity_id == opportunity_id)
        .order_by(StageChange.id.desc())
        .limit(50)
    )
    return uow.session.execute(statement).all()
