"""The demo company's opportunities: enough, believable, and the same for the same seed."""

from __future__ import annotations

import datetime as dt
from random import Random

import pytest
import sqlalchemy as sa
from crm_sfa.demo import load_demo
from crm_sfa.opportunities.models import Opportunity, StageChange

from crm_kernel.access.models import AuditLog
from crm_kernel.customers.duplicates.models import DuplicateCandidate
from crm_kernel.customers.models import Customer
from crm_kernel.demo import company, demo_data, words
from crm_kernel.events.models import StoredEvent
from crm_kernel.sales.models import Sale
from crm_kernel.touchpoints.models import Interaction

pytestmark = pytest.mark.crm_databases("sqlite")
NOW = dt.datetime(2027, 3, 10, 9, 0, tzinfo=dt.UTC)
_SFA = StoredEvent.name.like("sfa.%")
_WON = StoredEvent.name == "sfa.opportunity_won"


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


def test_every_event_and_change_of_the_demo_has_its_own_time_and_hand(uow, monkeypatch):
    monkeypatch.setattr(company, "ORGANIZATIONS", 8)
    uow.now = NOW
    for part in demo_data():
        part.load(uow, Random(part.name), NOW)

    load_demo(uow, Random("seed"), NOW)

    times = [*uow.session.scalars(sa.select(StoredEvent.occurred_at).where(_SFA).order_by(StoredEvent.id))]
    hands = {*uow.session.scalars(sa.select(StoredEvent.actor).where(_SFA))}
    changed = uow.session.execute(
        sa.select(AuditLog.actor, AuditLog.channel).where(AuditLog.record_type == "sfa.opportunity").distinct()
    )
    touched = sa.select(sa.func.max(Opportunity.updated_at)).where(Opportunity.status == "won")
    assert times == sorted(times)
    assert (times[-1] - times[0]).days > 300
    assert len({f"{moment:%Y-%m}" for moment in times if (NOW - moment).days <= 90}) >= 3
    assert hands <= {name for name, *_rest in words.USERS}
    assert {tuple(row) for row in changed} == {(hand, "web") for hand in hands}
    assert uow.session.scalar(touched) == max(uow.session.scalars(sa.select(StoredEvent.occurred_at).where(_WON)))
    assert uow.events == []
    assert uow.now == NOW


def test_nobody_of_the_demo_is_called_or_sold_to_before_being_known(uow, monkeypatch):
    monkeypatch.setattr(company, "ORGANIZATIONS", 8)
    uow.now = NOW
    for part in demo_data():
        part.load(uow, Random(part.name), NOW)

    load_demo(uow, Random("seed"), NOW)

    for model, moment in ((Interaction, Interaction.occurred_at), (Opportunity, Opportunity.created_at)):
        early = sa.select(sa.func.count()).select_from(model).join(Customer, Customer.id == model.customer_id)
        assert uow.session.scalar(early.where(moment < Customer.created_at)) == 0


def test_the_demo_has_people_who_are_there_twice_and_wait_to_be_merged(uow, monkeypatch):
    monkeypatch.setattr(company, "ORGANIZATIONS", 16)
    uow.now = NOW

    for part in demo_data():
        part.load(uow, Random(part.name), NOW)

    pairs = uow.session.scalars(sa.select(DuplicateCandidate)).all()
    assert len(pairs) >= company.TWICE
