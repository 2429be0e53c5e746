"""Many opportunities at once: history as it is, all rows or none, and nothing twice."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
import sqlalchemy as sa
from crm_sfa.opportunities.bulk import create_opportunities, update_opportunities
from crm_sfa.opportunities.models import Opportunity, StageChange
from crm_sfa.opportunities.record import OPPORTUNITY
from crm_sfa.opportunities.services import create_opportunity, update_opportunity
from crm_sfa.pipelines.services import create_pipeline
from crm_sfa.reports.queries import totals_of
from crm_sfa.reports.scope import ReportScope

from crm_kernel.access.models import AuditLog
from crm_kernel.errors import InvalidInput
from crm_kernel.records.bulk import create_many, update_many
from crm_kernel.sales.models import ExchangeRate, Sale

DAY = dt.date(2025, 5, 20)


def _count(uow, model):
    return uow.session.scalar(sa.select(sa.func.count()).select_from(model))


def _won(stage, **values):
    return {"name": "Chairs", "stage_id": stage("Won").id, "close_date": DAY, "amount": Decimal(70), **values}


def test_a_won_row_records_its_sale_on_the_day_it_closed(uow, pipeline, stage):
    (key,) = create_opportunities(uow, [_won(stage, opened_on=DAY - dt.timedelta(days=9))])

    found, sale = uow.session.get_one(Opportunity, key), uow.session.scalars(sa.select(Sale)).one()
    assert (found.status, found.base_amount, found.sale_id) == ("won", Decimal(70), sale.id)
    assert (sale.external_ref, sale.occurred_at.date(), sale.channel) == (str(found.uid), DAY, "rep")
    step = uow.session.scalars(sa.select(StageChange)).one()
    assert (step.to_stage_id, step.at.date(), step.seconds) == (stage("Won").id, DAY, None)


def test_missing_values_of_history_stay_missing_and_are_counted(uow, pipeline, stage):
    create_opportunities(
        uow,
        [
            _won(stage, amount=None),
            {"name": "Lost without a reason", "stage_id": stage("Lost").id, "close_date": DAY},
            {"name": "Open without anything"},
        ],
    )

    totals = totals_of(uow, ReportScope())
    assert (totals.won, totals.lost, totals.open, totals.won_without_value) == (1, 1, 1, 1)
    assert _count(uow, Sale) == 0


def test_the_missing_amount_given_later_records_the_sale_once(uow, pipeline, stage):
    (key,) = create_opportunities(uow, [_won(stage, amount=None)])

    for _again in range(2):
        update_opportunities(uow, {key: {"amount": Decimal(70)}})

    uow.session.expire_all()
    assert _count(uow, Sale) == 1
    assert uow.session.get_one(Opportunity, key).sale_id is not None


def test_rows_that_are_as_stored_change_nothing(uow, pipeline, stage, count_queries):
    row = _won(stage, source="old crm", external_ref="17")
    (key,) = create_opportunities(uow, [row])
    version = uow.session.get_one(Opportunity, key).version

    update_opportunities(uow, {key: row})

    uow.session.expire_all()
    assert uow.session.get_one(Opportunity, key).version == version
    assert (_count(uow, Sale), _count(uow, StageChange)) == (1, 1)


def test_an_update_may_close_and_keeps_the_step_at_the_day_of_closing(uow, pipeline, stage):
    (key,) = create_opportunities(uow, [{"name": "Chairs", "opened_on": DAY - dt.timedelta(days=4)}])

    update_opportunities(uow, {key: {"stage_id": stage("Won").id, "close_date": DAY, "amount": Decimal(70)}})

    last = uow.session.scalars(sa.select(StageChange).order_by(StageChange.id.desc())).first()
    assert (last.at.date(), last.seconds) == (DAY, 4 * 86400)
    assert _count(uow, Sale) == 1


def test_a_recorded_sale_seals_the_row(uow, pipeline, stage):
    first, second = create_opportunities(uow, [_won(stage), _won(stage)])

    with pytest.raises(InvalidInput) as refused:
        update_opportunities(uow, {first: {"amount": Decimal(1)}, second: {"stage_id": stage("Lost").id}})

    assert set(refused.value.errors) == {"0.amount", "1.stage"}


@pytest.fixture
def dear_euro(uow):
    """A rate at which the largest amount in euro is more than the ledger holds."""
    rate = ExchangeRate(from_currency="EUR", to_currency="USD", rate=Decimal(1000), valid_on=dt.date(2020, 1, 1))
    uow.session.add(rate)
    uow.session.flush()


def test_amounts_that_are_too_large_in_the_base_currency_are_refused_by_row_and_field(uow, pipeline, stage, dear_euro):
    too_much = {"amount": Decimal("9999999999999.9999"), "currency": "EUR"}

    with pytest.raises(InvalidInput) as created:
        create_opportunities(uow, [{"name": "Fine"}, {"name": "Dear", **too_much}, _won(stage, **too_much)])
    assert set(created.value.errors) == {"1.amount", "2.amount"}
    first, second = create_opportunities(uow, [{"name": "Fine"}, {"name": "Dear"}])
    with pytest.raises(InvalidInput) as updated:
        update_opportunities(uow, {first: {"name": "Finer"}, second: too_much})
    assert set(updated.value.errors) == {"1.amount"}


def test_a_single_amount_that_is_too_large_in_the_base_currency_is_refused(uow, pipeline, dear_euro):
    with pytest.raises(InvalidInput) as refused:
        create_opportunity(uow, {"name": "Dear", "amount": Decimal("9999999999999.9999"), "currency": "EUR"})

    assert set(refused.value.errors) == {"amount"}


def test_wrong_rows_are_all_named_and_none_is_stored(uow, pipeline, stage):
    other = create_pipeline(uow, {"name": "Tenders"})
    rows = [
        {"name": "Fine"},
        {"name": "Foreign stage", "pipeline_id": other.id, "stage_id": stage("Won").id},
        {"name": "Reason", "lost_reason": "price"},
        _won(stage, currency="CHF"),
        {"name": "Twice", "source": "old crm", "external_ref": "1"},
        {"name": "Twice", "source": "old crm", "external_ref": "1"},
    ]

    with pytest.raises(InvalidInput) as refused:
        create_opportunities(uow, rows)

    assert set(refused.value.errors) == {"1.stage", "2.lost_reason", "3.currency", "5.external_ref"}
    assert _count(uow, Opportunity) == 0


def test_a_reference_that_is_taken_is_refused(uow, pipeline):
    row = {"name": "Chairs", "source": "old crm", "external_ref": "1"}
    create_opportunities(uow, [row])

    with pytest.raises(InvalidInput) as refused:
        create_opportunities(uow, [row])

    assert refused.value.errors == {"0.external_ref": ["1 of old crm is another opportunity already."]}


def test_the_kernels_bulk_path_audits_indexes_and_tells_once(uow, pipeline, stage, recorded_events):
    keys = create_many(uow, OPPORTUNITY, [_won(stage), {"name": "Tables"}])
    changed = update_many(uow, OPPORTUNITY, {keys[1]: {"region": "East"}, keys[0]: {"region": None}})

    assert changed == [keys[1]]
    told = {event.record_type: event for event in recorded_events("kernel.records_bulk_changed")}
    assert (told["sfa.opportunity"].created, told["sfa.opportunity"].updated) == (2, 1)
    assert told["sale"].created == 1
    assert _count(uow, AuditLog) >= 2
    assert recorded_events("sfa.opportunity_created") == []


def test_the_cost_of_a_chunk_does_not_grow_with_its_rows(uow, pipeline, stage, count_queries):
    def cost(count):
        with count_queries() as queries:
            create_opportunities(uow, [{"name": f"Chairs {n}", "amount": Decimal(n)} for n in range(count)])
        return len(queries)

    assert cost(10) == cost(200) <= 12


def test_in_bulk_as_alone_a_new_owner_brings_his_team_and_no_owner_leaves_it(uow, pipeline, factories):
    north = factories.record("team", name="North")
    ada = factories.record("user", name="Ada", email="ada@example.com", team=north)
    bob = factories.record("user", name="Bob", email="bob@example.com")
    keys = create_opportunities(uow, [{"name": name, "owner_id": bob.id} for name in ("in bulk", "alone")])
    many, one = (uow.session.get_one(Opportunity, key) for key in keys)
    teams = []

    for owner in (ada.id, None, bob.id):
        update_opportunities(uow, {many.id: {"owner_id": owner}})
        update_opportunity(uow, one, {"owner_id": owner})
        teams.append((many.team_id, one.team_id))

    assert teams == [(north.id, north.id), (north.id, north.id), (None, None)]
