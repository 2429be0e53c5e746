"""Reads pipelines and stages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from crm_sfa.pipelines.models import Pipeline, Stage

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def default_pipeline(uow: UnitOfWork) -> Pipeline | None:
    """Return the pipeline for opportunities that name none: the default one, else the first active one."""
    order = (Pipeline.is_default.desc(), Pipeline.position, Pipeline.id)
    return uow.session.scalars(sa.select(Pipeline).where(Pipeline.active).order_by(*order).limit(1)).first()


def active_pipelines(uow: UnitOfWork) -> Sequence[Pipeline]:
    """Return the pipelines in use, the default one first, then in their order; one query."""
    order = (Pipeline.is_default.desc(), Pipeline.position, Pipeline.id)
    return uow.session.scalars(sa.select(Pipeline).where(Pipeline.active).order_by(*order)).all()


def stages_of(uow: UnitOfWork, pipeline_id: int) -> Sequence[Stage]:
    """Return a pipeline's stages in order."""
    order = (Stage.position, Stage.id)
    return uow.session.scalars(sa.select(Stage).where(Stage.pipeline_id == pipeline_id).order_by(*order)).all()


def first_of(stages: Iterable[Stage], category: str) -> Stage | None:
    """Return the first of some stages that is of a category."""
    return next((stage for stage in stages if stage.category == category), None)


def stages_on_board(uow: UnitOfWork, pipeline_uid: UUID | None) -> Sequence[Stage]:
    """Return the stages of a pipeline in order, of the default one without; one query."""
    chosen = sa.select(Pipeline.id)
    if pipeline_uid is not None:
        chosen = chosen.where(Pipeline.uid == pipeline_uid)
    else:
        order = (Pipeline.is_default.desc(), Pipeline.position, Pipeline.id)
        chosen = chosen.where(Pipeline.active).order_by(*order).limit(1)
    return _in_order(uow, chosen)


def stages_beside(uow: UnitOfWork, stage_id: sa.Select[int]) -> Sequence[Stage]:
    """Return the stages of the pipeline that the selected stage belongs to, in order; one query."""
    return _in_order(uow, sa.select(Stage.pipeline_id).where(Stage.id == stage_id.scalar_subquery()))


def _in_order(uow: UnitOfWork, pipeline_id: sa.Select[int]) -> Sequence[Stage]:
    wanted = Stage.pipeline_id == pipeline_id.scalar_subquery()
    return uow.session.scalars(sa.select(Stage).where(wanted).order_by(Stage.position, Stage.id)).all()
