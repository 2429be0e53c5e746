"""The demo company's opportunities: enough, believable, and the same for the same seed."""

from __future__ import annotations

import datetime as dt
from random import Random

import pytest
import sqlalchemy as sa
from crm_sfa.demo import load_demo
from crm_sfa.opportunities.models import Opportunity, StageChange

from crm_kernel.demo import company, demo_data
from crm_kernel.sales.models import Sale

pytestmark = pytest.mark.crm_databases("sqlite")
NOW = dt.datetime(2027, 3, 10, 9, 0, tzinfo=dt.UTC)


def test_the_demo_is_a_believable_pipeline_whose_wins_are_all_in_the_ledger(uow, monkeypatch):
    monkeypatch.setattr(company, "ORGANIZATIONS", 16)  # a third of the demo says as much
    uow.now = NOW
    for part in demo_data():
        part.load(uow, Random(part.name), NOW)

    load_demo(uow, Random("seed"), NOW)

    uow.session.flush()
    counted = sa.select(Opportunity.status, sa.func.count()).group_by(Opportunity.status)
    by_status = {row[0]: row[1] for row in uow.session.execute(counted)}
    steps, latest = uow.session.execute(sa.select(sa.func.count(), sa.func.max(StageChange.at))).one()
    first = uow.session.scalar(sa.select(sa.func.min(Opportunity.opened_on)))
    sold = set(uow.session.scalars(sa.select(Opportunity.sale_id).where(Opportunity.status == "won")))
    assert sum(by_status.values()) >= 64
    assert min(by_status.values()) >= 8
    assert steps > 2 * sum(by_status.values())
    assert (NOW.date() - first).days > 450
    assert sold == set(uow.session.scalars(sa.select(Sale.id).where(Sale.source_plugin == "sfa")))
    assert latest <= NOW
