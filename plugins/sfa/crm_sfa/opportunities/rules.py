"""What must be true of an opportunity: which stage it may be in, which fields fit together, what closing seals.

Checks and raises; writes nothing. Errors are keyed by the schema's field names.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from flask_babel import gettext as _

from crm_kernel.errors import Conflict, InvalidInput
from crm_sfa.opportunities.models import Opportunity
from crm_sfa.pipelines.choices import CATEGORIES, LOST, OPEN, WON
from crm_sfa.pipelines.models import Pipeline, Stage
from crm_sfa.pipelines.queries import first_of, stages_of
from crm_sfa.pipelines.services import ensure_default_pipeline

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Attributes that a recorded sale has taken over.
SEALED = ("amount", "currency", "customer_id", "close_date", "product_id")


def today_of(uow: UnitOfWork) -> dt.date:
    """Return the day it is for the actor."""
    return uow.now.astimezone(ZoneInfo(uow.actor.timezone)).date()


def starting_stage(uow: UnitOfWork, data: Mapping[str, Any]) -> Stage:
    """Return the stage in which a new opportunity starts; at most two queries, unless the first pipeline is made.

    Raises:
        InvalidInput: stage and pipeline do not fit, the pipeline takes none, or the stage is a closed one.
    """
    if data.get("stage_id") is None:
        return _first_open(uow, _pipeline_for(uow, data.get("pipeline_id")))
    stage = uow.session.get_one(Stage, data["stage_id"])
    if data.get("pipeline_id") not in (None, stage.pipeline_id):
        raise _foreign_stage(uow, stage, data["pipeline_id"])
    _pipeline_for(uow, stage.pipeline_id)
    if stage.category != OPEN:
        raise _closed_stage(stage)
    return stage


def next_stage(uow: UnitOfWork, opportunity: Opportunity, changes: Mapping[str, Any]) -> Stage | None:
    """Return the stage that changes of pipeline or stage lead to, or None when they lead nowhere else.

    Raises:
        InvalidInput, Conflict: as for ``refuse_move``; or stage and pipeline do not fit.
    """
    pipeline_id = changes.get("pipeline_id", opportunity.pipeline_id)
    stage_id = changes.get("stage_id", opportunity.stage_id)
    if pipeline_id == opportunity.pipeline_id and stage_id == opportunity.stage_id:
        return None
    if stage_id == opportunity.stage_id and "stage_id" not in changes:
        stage = _first_open(uow, _pipeline_for(uow, pipeline_id))
    else:
        stage = uow.session.get_one(Stage, stage_id)
    if stage.pipeline_id != pipeline_id:
        raise _foreign_stage(uow, stage, pipeline_id)
    refuse_move(opportunity, stage)
    return stage


def refuse_move(opportunity: Opportunity, stage: Stage) -> None:
    """Refuse a move that closes or reopens: these have actions of their own, which ask what is needed.

    Raises:
        Conflict: the opportunity is closed.
        InvalidInput: the stage is a closed one; the text names the action.
    """
    if stage.category == opportunity.status:
        return
    if opportunity.status != OPEN:
        raise Conflict(
            _(
                "“%(name)s” is closed (%(status)s): use the action Reopen first.",
                name=opportunity.name,
                status=CATEGORIES[opportunity.status],
            )
        )
    raise _closed_stage(stage)


def closing_stage(uow: UnitOfWork, opportunity: Opportunity, category: str) -> Stage:
    """Return the stage of the opportunity's pipeline that winning or losing leads to; one query.

    Raises:
        Conflict: the opportunity is closed already, or its pipeline has no such stage.
    """
    if opportunity.status != OPEN:
        raise Conflict(
            _(
                "“%(name)s” is closed already (%(status)s): use the action Reopen first.",
                name=opportunity.name,
                status=CATEGORIES[opportunity.status],
            )
        )
    found = first_of(stages_of(uow, opportunity.pipeline_id), category)
    if found is None:
        pipeline = uow.session.get_one(Pipeline, opportunity.pipeline_id)
        message = _("The pipeline “%(name)s” has no stage of the category “%(category)s”: add one to it.")
        raise Conflict(message % {"name": pipeline.name, "category": CATEGORIES[category]})
    return found


def checked_closing_day(uow: UnitOfWork, opportunity: Opportunity, closed_on: dt.date | None) -> dt.date:
    """Return the day of closing, today if none is given.

    Raises:
        InvalidInput: it is in the future, or before the opportunity began.
    """
    today = today_of(uow)
    day = closed_on or today
    if day > today:
        raise InvalidInput({"closed_on": [_("%(day)s is in the future: expected today or before.", day=day)]})
    if day < opportunity.opened_on:
        message = _("%(day)s is before the day it was opened, %(opened)s.", day=day, opened=opportunity.opened_on)
        raise InvalidInput({"closed_on": [message]})
    return day


def check_dates(opened_on: dt.date, close_date: dt.date | None) -> None:
    """Refuse a close date before the day of opening.

    Raises:
        InvalidInput: under ``close_date``.
    """
    if close_date is not None and close_date < opened_on:
        message = _("%(day)s is before the day it was opened, %(opened)s.", day=close_date, opened=opened_on)
        raise InvalidInput({"close_date": [message]})


def refuse_sealed(opportunity: Opportunity, changes: Mapping[str, Any]) -> None:
    """Refuse changes that would contradict what closing has recorded.

    Raises:
        InvalidInput: naming every such field.
    """
    errors = {}
    if opportunity.sale_id is not None:
        sealed = _("Its sale is recorded: use the action Reopen, which refunds it, then change this and win again.")
        errors = {name.removesuffix("_id"): [sealed] for name in SEALED if name in changes}
    if opportunity.status != LOST and changes.get("lost_reason") is not None:
        errors["lost_reason"] = [_("Only a lost opportunity has a reason: use the action Lose.")]
    if opportunity.status == LOST and "lost_reason" in changes and changes["lost_reason"] is None:
        errors["lost_reason"] = [_("A lost opportunity keeps a reason: choose another one, or reopen it.")]
    if opportunity.status != OPEN and "close_date" in changes and changes["close_date"] is None:
        errors.setdefault("close_date", [_("A closed opportunity keeps the day it closed.")])
    if errors:
        raise InvalidInput(errors)


def _pipeline_for(uow: UnitOfWork, pipeline_id: int | None) -> Pipeline:
    found = ensure_default_pipeline(uow) if pipeline_id is None else uow.session.get_one(Pipeline, pipeline_id)
    if not found.active:
        raise InvalidInput({"pipeline": [_("“%(name)s” is inactive: choose another pipeline.", name=found.name)]})
    return found


def _first_open(uow: UnitOfWork, pipeline: Pipeline) -> Stage:
    found = first_of(stages_of(uow, pipeline.id), OPEN)
    if found is None:
        raise InvalidInput({"pipeline": [_("“%(name)s” has no open stage: add one to it.", name=pipeline.name)]})
    return found


def _foreign_stage(uow: UnitOfWork, stage: Stage, pipeline_id: int) -> InvalidInput:
    pipeline = uow.session.get_one(Pipeline, pipeline_id)
    known = ", ".join(found.name for found in stages_of(uow, pipeline_id))
    message = _(
        "“%(stage)s” is a stage of another pipeline; expected one of “%(pipeline)s”: %(known)s.",
        stage=stage.name,
        pipeline=pipeline.name,
        known=known,
    )
    return InvalidInput({"stage": [message]})


def _closed_stage(stage: Stage) -> InvalidInput:
    if stage.category == WON:
        message = _("“%(stage)s” means won: use the action Win, which records the sale.", stage=stage.name)
    else:
        message = _("“%(stage)s” means lost: use the action Lose, which asks for the reason.", stage=stage.name)
    return InvalidInput({"stage": [message]})
