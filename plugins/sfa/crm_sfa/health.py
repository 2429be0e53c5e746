"""The module's checks of ``crm doctor``."""

from __future__ import annotations

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.actor import SYSTEM
from crm_kernel.contributions import Health, HealthResult
from crm_kernel.unit_of_work import reading
from crm_sfa.pipelines.choices import CATEGORIES
from crm_sfa.pipelines.models import Pipeline, Stage


def check_pipelines() -> HealthResult:
    """Find active pipelines in which an opportunity cannot start, be won or be lost; two queries."""
    with reading(SYSTEM) as uow:
        rows = uow.session.execute(
            sa.select(Pipeline.name, Stage.category).outerjoin(Stage).where(Pipeline.active).order_by(Pipeline.position)
        )
        found: dict[str, set[str | None]] = {}
        for name, category in rows:
            found.setdefault(name, set()).add(category)
    if not found:
        return HealthResult(Health.WARNING, _("There is no active pipeline."), _("Create one under Pipelines."))
    lacking = {name: [c for c in CATEGORIES if c not in categories] for name, categories in found.items()}
    lines = [f"{name}: {', '.join(missing)}" for name, missing in lacking.items() if missing]
    if lines:
        message = _("Stages of these categories are missing: %(found)s.", found="; ".join(lines))
        return HealthResult(Health.WARNING, message, _("Add them under Stages."))
    return HealthResult(Health.OK, _("%(count)s active pipelines, all complete.", count=len(found)))
