"""When a deal was closed: changing many deals, and undoing that, leaves the moment alone unless the day changes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from uuid import UUID

import pytest
import sqlalchemy as sa
from crm_sfa.opportunities.bulk import create_opportunities, update_opportunities
from crm_sfa.opportunities.closing import lose_opportunity, win_opportunity
from crm_sfa.opportunities.history import noon
from crm_sfa.opportunities.models import Opportunity
from crm_sfa.opportunities.services import create_opportunity

from crm_kernel.access.actor import SYSTEM
from crm_kernel.records.importing import import_folder, undoing
from crm_kernel.records.importing.mapping import parse_mapping
from crm_kernel.unit_of_work import writing

DAY = dt.date(2025, 5, 20)
MAPPING = {
    "file": "deals.csv",
    "record_type": "sfa.opportunity",
    "match": ["source", "external_ref"],
    "columns": {"Ref": "external_ref", "Name": "name", "Region": "region"},
    "constants": {"source": "old crm"},
}


@pytest.mark.parametrize("close", [win_opportunity, lambda uow, deal: lose_opportunity(uow, deal, reason="price")])
def test_another_change_of_a_closed_deal_keeps_the_moment_it_was_closed(uow, opportunity, close):
    close(uow, opportunity)

    update_opportunities(uow, {opportunity.id: {"region": "Elsewhere"}})

    assert (opportunity.region, opportunity.closed_at) == ("Elsewhere", uow.now)


def test_another_day_of_closing_moves_the_moment(uow, pipeline, stage):
    (key,) = create_opportunities(uow, [{"name": "Chairs", "stage_id": stage("Lost").id, "close_date": DAY}])

    update_opportunities(uow, {key: {"close_date": DAY - dt.timedelta(days=1)}})

    assert uow.session.get_one(Opportunity, key).closed_at == noon(DAY - dt.timedelta(days=1))


def test_a_deal_that_many_changes_reopen_has_no_moment_of_closing(uow, pipeline, stage):
    (key,) = create_opportunities(uow, [{"name": "Chairs", "stage_id": stage("Lost").id, "close_date": DAY}])

    update_opportunities(uow, {key: {"stage_id": stage("Negotiation").id}})

    assert uow.session.get_one(Opportunity, key).closed_at is None


def test_importing_over_a_won_deal_and_undoing_it_keeps_the_moment_it_was_closed(crm_app, unit, tmp_path):
    with unit() as uow:
        deal = create_opportunity(
            uow, {"name": "Chairs", "amount": Decimal(5), "source": "old crm", "external_ref": "1"}
        )
        win_opportunity(uow, deal)
        before = _values(uow)
    (tmp_path / "deals.csv").write_text("Ref,Name,Region\n1,Chairs,East\n")

    with crm_app.app_context():
        result = import_folder(parse_mapping({"source": [MAPPING]}, "deals", "deals.toml"), tmp_path, actor=SYSTEM)
    with unit() as uow:
        assert _values(uow) == (*before[:-1], "East")
    with crm_app.app_context():
        with writing(SYSTEM) as uow:
            undoing.begin_undo(uow, UUID(result.run_id))
        undoing.undo(SYSTEM, UUID(result.run_id))

    with unit() as uow:
        assert _values(uow) == before


def _values(uow):
    columns = (Opportunity.status, Opportunity.close_date, Opportunity.closed_at, Opportunity.region)
    return tuple(uow.session.execute(sa.select(*columns)).one())
