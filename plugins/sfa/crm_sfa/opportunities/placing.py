"""Finds the stage of many opportunities without a query per opportunity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_sfa.opportunities.models import Opportunity
from crm_sfa.pipelines.choices import OPEN
from crm_sfa.pipelines.models import Stage
from crm_sfa.pipelines.services import ensure_default_pipeline

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Places:
    """Every stage by key, and the first open one of every pipeline; ``default`` is the default pipeline's key."""

    stages: Mapping[int, Stage]
    first_open: Mapping[int, Stage]
    default: int

    def stage_for(
        self, pipeline_id: int | None, stage_id: int | None, problems: dict[str, list[str]], path: str
    ) -> Stage | None:
        """Return the stage that a row names, or where it starts without; notes under ``path`` why there is none."""
        if stage_id is not None:
            stage = self.stages[stage_id]
            if pipeline_id not in (None, stage.pipeline_id):
                problems[f"{path}stage"] = [_("“%(stage)s” is a stage of another pipeline.", stage=stage.name)]
            return stage
        found = self.first_open.get(pipeline_id or self.default)
        if found is None:
            problems[f"{path}pipeline"] = [_("This pipeline has no open stage: add one first.")]
        return found

    def next_for(
        self, opportunity: Opportunity, changes: Mapping[str, Any], problems: dict[str, list[str]], path: str
    ) -> Stage | None:
        """Return the stage that changes lead to, or None when they lead nowhere else."""
        if "stage_id" not in changes and "pipeline_id" not in changes:
            return None
        stage_id = changes.get("stage_id") if "pipeline_id" in changes else changes["stage_id"]
        pipeline_id = changes.get("pipeline_id", opportunity.pipeline_id if "stage_id" in changes else None)
        return self.stage_for(pipeline_id, stage_id, problems, path)


def load_places(uow: UnitOfWork) -> Places:
    """Return where opportunities may be put, the standard pipeline made if there is none; two queries."""
    default = ensure_default_pipeline(uow)
    statement = sa.select(Stage).order_by(Stage.pipeline_id, Stage.position, Stage.id)
    stages = uow.session.scalars(statement).all()
    first_open: dict[int, Stage] = {}
    for stage in stages:
        if stage.category == OPEN:
            first_open.setdefault(stage.pipeline_id, stage)
    return Places({stage.id: stage for stage in stages}, first_open, default.id)
