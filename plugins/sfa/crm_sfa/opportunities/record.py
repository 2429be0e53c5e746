"""The record type of opportunities: API, list, board, forms, actions, import and export follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import lazy_pgettext

from crm_kernel.errors import InvalidInput
from crm_kernel.records.calendars.dates import CalendarDates
from crm_kernel.records.record_type import Action, Board, BoardColumn, FormSection, RecordType, Services
from crm_kernel.records.valued import Valued
from crm_sfa.contract import OpportunityLost, OpportunityReopened, OpportunityWon
from crm_sfa.opportunities import bulk, closing, services
from crm_sfa.opportunities.models import Opportunity
from crm_sfa.opportunities.schemas import LoseSchema, OpportunitySchema, WinSchema
from crm_sfa.pipelines.choices import LOST, OPEN, WON
from crm_sfa.pipelines.queries import active_pipelines, stages_beside, stages_on_board

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Category of a stage → the action that leads into it.
_DIALOGS = {WON: "win", LOST: "lose"}


def board_columns(uow: UnitOfWork, arguments: Mapping[str, str]) -> Sequence[BoardColumn]:
    """Return the stages of the pipeline that the address names, or that a record is in, else of the default one.

    Raises:
        InvalidInput: the pipeline's id is none.
    """
    if "record" in arguments:
        record = sa.select(Opportunity.stage_id).where(Opportunity.uid == UUID(arguments["record"]))
        stages = stages_beside(uow, record)
    else:
        stages = stages_on_board(uow, _pipeline_of(arguments))
    return [BoardColumn(str(stage.uid), stage.name, stage.color, _DIALOGS.get(stage.category)) for stage in stages]


def board_choices(uow: UnitOfWork) -> Sequence[tuple[str, Mapping[str, str]]]:
    """Return one board per active pipeline, the default one first; one query."""
    return [(pipeline.name, {"pipeline": str(pipeline.uid)}) for pipeline in active_pipelines(uow)]


def _pipeline_of(arguments: Mapping[str, str]) -> UUID | None:
    text = arguments.get("pipeline")
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise InvalidInput({"pipeline": [_("%(found)s is no id of a pipeline.", found=text)]}) from error


OPPORTUNITY = RecordType(
    name="sfa.opportunity",
    model=Opportunity,
    schema=OpportunitySchema,
    label=_l("Opportunity"),
    label_plural=_l("Opportunities"),
    slug="opportunities",
    icon="target-arrow",
    columns=("name", "customer", "stage", "status", "amount", "close_date", "owner"),
    filters=(
        "status",
        "owner",
        "pipeline",
        "stage",
        "customer",
        "amount",
        "currency",
        "close_date",
        "opened_on",
        "product",
        "region",
        "team",
        "lost_reason",
        "source",
        "external_ref",
        "name",
    ),
    sorts=("name", "amount", "close_date", "created_at"),
    default_sort="-created_at",
    search=("name", "region"),
    form=(
        FormSection(title=_l("Opportunity"), fields=("name", "customer", "amount", "currency", "close_date", "owner")),
        FormSection(title=_l("Progress"), fields=("pipeline", "stage", "opened_on")),
        FormSection(title=_l("Details"), fields=("product", "region", "source", "external_ref")),
    ),
    board=Board(
        field="stage",
        columns=board_columns,
        card=("customer", "amount", "close_date", "owner"),
        total="amount",
        choices=board_choices,
    ),
    calendar=(CalendarDates(start="close_date"),),
    actions=(
        Action(
            name="win",
            label=lazy_pgettext("action", "Win"),
            service=closing.win_opportunity,
            schema=WinSchema,
            icon="trophy",
            color="success",
            available=lambda opportunity: opportunity.status == OPEN,
        ),
        Action(
            name="lose",
            label=lazy_pgettext("action", "Lose"),
            service=closing.lose_opportunity,
            schema=LoseSchema,
            icon="thumb-down",
            color="danger",
            available=lambda opportunity: opportunity.status == OPEN,
        ),
        Action(
            name="reopen",
            label=lazy_pgettext("action", "Reopen"),
            service=closing.reopen_opportunity,
            icon="arrow-back-up",
            color="secondary",
            available=lambda opportunity: opportunity.status != OPEN,
        ),
    ),
    services=Services(
        create=services.create_opportunity,
        update=services.update_opportunity,
        delete=services.delete_opportunity,
        create_many=bulk.create_opportunities,
        update_many=bulk.update_opportunities,
    ),
    valued=Valued(open=lambda: Opportunity.status == OPEN),
    customer="customer_id",
    in_use=lambda at: Opportunity.status == OPEN,
    timeline={
        OpportunityWon.name: lazy_pgettext("timeline", "Won"),
        OpportunityLost.name: lazy_pgettext("timeline", "Lost"),
        OpportunityReopened.name: lazy_pgettext("timeline", "Reopened"),
    },
    external_key=("source", "external_ref"),
    nav_section="work",
    nav_order=20,
)
