"""Creates, changes and deletes pipelines and stages, so that every opportunity always has a stage that fits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _
from flask_babel import pgettext

from crm_kernel.errors import Conflict, InvalidInput
from crm_sfa.opportunities.models import Opportunity
from crm_sfa.pipelines.choices import CERTAIN, LOST, OPEN, WON
from crm_sfa.pipelines.models import Pipeline, Stage
from crm_sfa.pipelines.queries import default_pipeline, stages_of

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def standard_stages() -> list[dict[str, Any]]:
    """Return the stages of a pipeline that has no model to copy, named in the actor's language."""
    return [
        {"name": _("Qualification"), "category": OPEN, "probability": 10, "color": "gray"},
        {"name": _("Needs analysis"), "category": OPEN, "probability": 25, "color": "azure"},
        {"name": _("Proposal"), "category": OPEN, "probability": 50, "color": "blue"},
        {"name": _("Negotiation"), "category": OPEN, "probability": 75, "color": "indigo"},
        {"name": pgettext("opportunity", "Won"), "category": WON, "probability": 100, "color": "green"},
        {"name": pgettext("opportunity", "Lost"), "category": LOST, "probability": 0, "color": "red"},
    ]


def ensure_default_pipeline(uow: UnitOfWork) -> Pipeline:
    """Return the pipeline for opportunities that name none; makes the first one, with the standard stages, if needed."""
    return default_pipeline(uow) or create_pipeline(uow, {"name": _("Sales"), "is_default": True})


def create_pipeline(uow: UnitOfWork, data: Mapping[str, Any]) -> Pipeline:
    """Create a pipeline with the stages of the default one (the standard ones when it is the first).

    Raises:
        InvalidInput: it would be the default and inactive.
    """
    model = default_pipeline(uow)
    pipeline = _new_pipeline(uow, data)
    for position, stage in enumerate(_copied_stages(uow, model) if model else standard_stages()):
        uow.session.add(Stage(pipeline_id=pipeline.id, position=position, **stage))
    uow.session.flush()
    return pipeline


def import_pipelines(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Create pipelines without any stage, as imports do, which bring their own; return the keys in order.

    Raises:
        InvalidInput: by ``<row>.active``: a default pipeline is inactive.
    """
    keys = []
    for index, row in enumerate(rows):
        try:
            keys.append(_new_pipeline(uow, row).id)
        except InvalidInput as error:
            raise InvalidInput({f"{index}.{path}": texts for path, texts in error.errors.items()}) from error
    return keys


def update_pipeline(uow: UnitOfWork, pipeline: Pipeline, changes: Mapping[str, Any]) -> None:
    """Change a pipeline; the one that becomes the default takes the place of the one that was.

    Raises:
        InvalidInput: the default pipeline would be made inactive, or there would be none left.
    """
    if pipeline.is_default and changes.get("is_default") is False:
        raise InvalidInput({"is_default": [_("Make another pipeline the default instead: there must be one.")]})
    wanted = {"is_default": pipeline.is_default, "active": pipeline.active, **changes}
    _refuse_inactive_default(wanted)
    if wanted["is_default"] and not pipeline.is_default:
        _take_default(uow)
    for name, value in changes.items():
        if getattr(pipeline, name) != value:
            setattr(pipeline, name, value)


def delete_pipeline(uow: UnitOfWork, pipeline: Pipeline) -> None:
    """Delete a pipeline with its stages.

    Raises:
        Conflict: it is the default one, or opportunities are in it.
    """
    if pipeline.is_default:
        raise Conflict(_("%(name)s is the default pipeline: make another one the default first.", name=pipeline.name))
    _refuse_used(uow, Opportunity.pipeline_id == pipeline.id, pipeline.name)
    uow.session.delete(pipeline)


def create_stage(uow: UnitOfWork, data: Mapping[str, Any]) -> Stage:
    """Create a stage, at the end of its pipeline unless a position is given."""
    values = _with_certainty({"category": OPEN, **data})
    if values.get("position") is None:
        values["position"] = max((stage.position for stage in stages_of(uow, values["pipeline_id"])), default=-1) + 1
    stage = Stage(**values)
    uow.session.add(stage)
    return stage


def update_stage(uow: UnitOfWork, stage: Stage, changes: Mapping[str, Any]) -> None:
    """Change a stage.

    Raises:
        InvalidInput: its category or pipeline would change while opportunities are in it.
    """
    for name in ("category", "pipeline_id"):
        if name in changes and changes[name] != getattr(stage, name):
            _refuse_moving_used(uow, stage, name.removesuffix("_id"))
    for name, value in _with_certainty({"category": stage.category, **changes}).items():
        if getattr(stage, name) != value:
            setattr(stage, name, value)


def delete_stage(uow: UnitOfWork, stage: Stage) -> None:
    """Delete a stage; the history of opportunities that passed it keeps its steps without its name.

    Raises:
        Conflict: opportunities are in it.
    """
    _refuse_used(uow, Opportunity.stage_id == stage.id, stage.name)
    uow.session.delete(stage)


def _new_pipeline(uow: UnitOfWork, data: Mapping[str, Any]) -> Pipeline:
    values = {"position": 0, "is_default": default_pipeline(uow) is None, **data}
    _refuse_inactive_default(values)
    if values["is_default"]:
        _take_default(uow)
    pipeline = Pipeline(**values)
    uow.session.add(pipeline)
    uow.session.flush()
    return pipeline


def _refuse_inactive_default(values: Mapping[str, Any]) -> None:
    if values["is_default"] and not values.get("active", True):
        raise InvalidInput(
            {"active": [_("The default pipeline is always active: make another one the default first.")]}
        )


def _take_default(uow: UnitOfWork) -> None:
    """Take the default from the pipeline that has it, before another gets it: the database allows one at any moment."""
    for pipeline in uow.session.scalars(sa.select(Pipeline).where(Pipeline.is_default)):
        pipeline.is_default = False
    uow.session.flush()


def _copied_stages(uow: UnitOfWork, model: Pipeline) -> list[dict[str, Any]]:
    names = ("name", "category", "probability", "color")
    return [{name: getattr(stage, name) for name in names} for stage in stages_of(uow, model.id)]


def _with_certainty(values: dict[str, Any]) -> dict[str, Any]:
    certain = CERTAIN.get(values["category"])
    return values if certain is None else {**values, "probability": certain}


def _used(uow: UnitOfWork, condition: sa.ColumnElement[bool]) -> int:
    return uow.session.scalar(sa.select(sa.func.count()).select_from(Opportunity).where(condition)) or 0


def _refuse_used(uow: UnitOfWork, condition: sa.ColumnElement[bool], name: str) -> None:
    if count := _used(uow, condition):
        raise Conflict(
            _("%(name)s holds opportunities (%(count)s): move them elsewhere, then delete it.", name=name, count=count)
        )


def _refuse_moving_used(uow: UnitOfWork, stage: Stage, field: str) -> None:
    if count := _used(uow, Opportunity.stage_id == stage.id):
        message = _(
            "Cannot change while opportunities are in the stage (%(count)s): move them, or add another stage.",
            count=count,
        )
        raise InvalidInput({field: [message]})
