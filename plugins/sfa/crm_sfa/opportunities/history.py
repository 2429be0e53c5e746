"""Moves an opportunity from one stage to another and keeps the step, with the time spent in the stage it left."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.customers.models import Customer
from crm_sfa.contract import OpportunityStageChanged
from crm_sfa.opportunities.models import Opportunity, StageChange
from crm_sfa.pipelines.models import Stage

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def note_start(uow: UnitOfWork, opportunity: Opportunity) -> None:
    """Keep the first step of an opportunity that has its key."""
    _keep_step(uow, opportunity, None, uow.now, None)


def enter_stage(uow: UnitOfWork, opportunity: Opportunity, stage: Stage) -> None:
    """Put an opportunity into a stage, whatever the category, and tell it; the rules are the caller's."""
    left = uow.session.get_one(Stage, opportunity.stage_id)
    seconds = change_stage(uow, opportunity, stage, at=uow.now)
    uow.record(
        OpportunityStageChanged(
            opportunity_id=opportunity.uid,
            customer_id=customer_uid(uow, opportunity),
            from_stage_id=left.uid,
            to_stage_id=stage.uid,
            seconds=seconds,
        )
    )


def change_stage(uow: UnitOfWork, opportunity: Opportunity, stage: Stage, *, at: dt.datetime) -> int:
    """Put an opportunity into a stage at a time, keep the step, and return the seconds spent in the one it left."""
    seconds = max(0, int((at - opportunity.stage_since).total_seconds()))
    left, opportunity.stage_id = opportunity.stage_id, stage.id
    opportunity.pipeline_id, opportunity.status, opportunity.stage_since = stage.pipeline_id, stage.category, at
    _keep_step(uow, opportunity, left, at, seconds)
    return seconds


def customer_uid(uow: UnitOfWork, opportunity: Opportunity) -> UUID | None:
    """Return the public id of the opportunity's customer; at most one query."""
    if opportunity.customer_id is None:
        return None
    return uow.session.scalar(sa.select(Customer.uid).where(Customer.id == opportunity.customer_id))


def noon(day: dt.date) -> dt.datetime:
    """Return the middle of a day, UTC: the moment of what is known by its day only, and that day in nearly every zone."""
    return dt.datetime.combine(day, dt.time(12), dt.UTC)


def _keep_step(
    uow: UnitOfWork, opportunity: Opportunity, left: int | None, at: dt.datetime, seconds: int | None
) -> None:
    uow.session.add(
        StageChange(
            opportunity_id=opportunity.id,
            from_stage_id=left,
            to_stage_id=opportunity.stage_id,
            at=at,
            actor_id=uow.actor.user_id,
            actor_name=uow.actor.name,
            seconds=seconds,
        )
    )
