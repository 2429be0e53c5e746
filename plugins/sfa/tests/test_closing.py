"""Winning, losing, reopening: sale, touch point, event and history are one transaction with the stage."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
import sqlalchemy as sa
from crm_sfa.opportunities.closing import lose_opportunity, reopen_opportunity, win_opportunity
from crm_sfa.opportunities.models import Opportunity, StageChange
from crm_sfa.opportunities.services import create_opportunity, move_opportunity, update_opportunity
from crm_sfa.pipelines.models import Stage

from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.sales.models import ExchangeRate, Product, Sale, SaleLine
from crm_kernel.touchpoints.models import Interaction


def _sales(uow):
    return uow.session.scalars(sa.select(Sale).order_by(Sale.id)).all()


def _win_all(unit):
    """Win every deal there is in one transaction; the second one without amount is refused."""
    with unit() as uow:
        for deal in uow.session.scalars(sa.select(Opportunity).order_by(Opportunity.id)).all():
            win_opportunity(uow, deal)


def test_winning_records_sale_touch_point_event_and_step_together(uow, opportunity, customer, stage, recorded_events):
    win_opportunity(uow, opportunity)

    assert (opportunity.status, opportunity.stage_id) == ("won", stage("Won").id)
    assert (opportunity.close_date, opportunity.closed_at) == (uow.now.date(), uow.now)
    (sale,) = _sales(uow)
    assert opportunity.sale_id == sale.id
    assert (sale.channel, sale.source_plugin, sale.external_ref) == ("rep", "sfa", str(opportunity.uid))
    assert (sale.customer_id, sale.amount, sale.currency) == (customer.id, Decimal(1200), "USD")
    touch = uow.session.scalars(sa.select(Interaction)).one()
    assert (touch.customer_id, touch.kind, touch.summary) == (customer.id, "sfa.opportunity_won", "Forty chairs")
    assert (touch.subject_type, touch.subject_uid) == ("sfa.opportunity", opportunity.uid)
    (event,) = recorded_events("sfa.opportunity_won")
    assert (event.customer_id, event.amount, event.base_amount) == (customer.uid, Decimal(1200), Decimal(1200))
    last = uow.session.scalars(sa.select(StageChange).order_by(StageChange.id.desc())).first()
    assert last.to_stage_id == stage("Won").id


def test_nothing_of_a_win_stays_when_the_transaction_fails(unit, customer_factory):
    buyer = customer_factory(kind="organization")
    with unit() as uow:
        uid = create_opportunity(uow, {"name": "Chairs", "customer_id": buyer.id, "amount": Decimal(5)}).uid
        create_opportunity(uow, {"name": "Without amount"})

    with pytest.raises(InvalidInput):
        _win_all(unit)

    with unit() as uow:
        found = uow.session.scalars(sa.select(Opportunity).where(Opportunity.uid == uid)).one()
        assert (found.status, found.sale_id) == ("open", None)
        assert _sales(uow) == []
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(Interaction)) == 0


def test_winning_needs_an_amount_and_takes_it_with_the_action(uow, pipeline):
    bare = create_opportunity(uow, {"name": "Chairs"})

    with pytest.raises(InvalidInput) as refused:
        win_opportunity(uow, bare)
    assert refused.value.errors["amount"] == ["Winning needs an amount: give it here or on the opportunity."]
    assert bare.status == "open"

    win_opportunity(uow, bare, amount=Decimal("10.5"))
    assert (bare.currency, _sales(uow)[0].amount) == ("USD", Decimal("10.5"))


def test_an_amount_given_with_the_action_is_in_the_opportunitys_currency(uow, pipeline):
    uow.session.add(
        ExchangeRate(from_currency="EUR", to_currency="USD", rate=Decimal("1.25"), valid_on=dt.date(2020, 1, 1))
    )
    foreign = create_opportunity(uow, {"name": "Chairs", "amount": Decimal(10), "currency": "EUR"})

    win_opportunity(uow, foreign, amount=Decimal(8))

    assert (_sales(uow)[0].currency, _sales(uow)[0].amount, foreign.base_amount) == ("EUR", Decimal(8), Decimal(10))


def test_winning_without_a_known_rate_says_how_to_add_one(uow, pipeline):
    foreign = create_opportunity(uow, {"name": "Chairs", "amount": Decimal(10), "currency": "CHF"})

    with pytest.raises(InvalidInput) as refused:
        win_opportunity(uow, foreign)

    assert "No exchange rate from CHF to USD" in refused.value.errors["currency"][0]


def test_the_product_becomes_the_line_of_the_sale(uow, opportunity):
    product = Product(sku="C", name="Chair")
    uow.session.add(product)
    uow.session.flush()
    update_opportunity(uow, opportunity, {"product_id": product.id})

    win_opportunity(uow, opportunity)

    line = uow.session.scalars(sa.select(SaleLine)).one()
    assert (line.product_id, line.description, line.amount) == (product.id, "Chair", Decimal(1200))


@pytest.mark.parametrize(("days", "text"), [(1, "is in the future"), (-31, "is before the day it was opened")])
def test_the_day_of_closing_lies_between_the_opening_and_today(uow, opportunity, days, text):
    with pytest.raises(InvalidInput) as refused:
        win_opportunity(uow, opportunity, closed_on=uow.now.date() + dt.timedelta(days=days))

    assert text in refused.value.errors["closed_on"][0]


def test_a_closed_opportunity_is_not_closed_again(uow, opportunity):
    win_opportunity(uow, opportunity)

    with pytest.raises(Conflict, match=r"“Forty chairs” is closed already \(Won\)"):
        win_opportunity(uow, opportunity)
    with pytest.raises(Conflict, match="use the action Reopen first"):
        lose_opportunity(uow, opportunity, reason="price")


def test_a_pipeline_without_a_won_stage_says_what_to_add(uow, opportunity, stage):
    uow.session.delete(stage("Won"))

    with pytest.raises(Conflict, match="The pipeline “Sales” has no stage of the category “Won”"):
        win_opportunity(uow, opportunity)


def test_losing_needs_a_known_reason(uow, opportunity):
    for reason in ("", "weather"):
        with pytest.raises(InvalidInput) as refused:
            lose_opportunity(uow, opportunity, reason=reason)
        assert "Losing needs a reason" in refused.value.errors["reason"][0]


def test_losing_keeps_reason_and_note_and_tells_the_timeline(uow, opportunity, recorded_events):
    lose_opportunity(uow, opportunity, reason="competitor", note="Nearer by.")

    assert (opportunity.status, opportunity.lost_reason) == ("lost", "competitor")
    touch = uow.session.scalars(sa.select(Interaction)).one()
    assert (touch.kind, touch.summary, touch.body) == ("sfa.opportunity_lost", "Forty chairs", "Nearer by.")
    (event,) = recorded_events("sfa.opportunity_lost")
    assert (event.reason, event.closed_on) == ("competitor", uow.now.date())
    assert _sales(uow) == []


def test_reopening_a_win_refunds_the_sale_and_goes_back_to_the_stage_before(uow, opportunity, stage, recorded_events):
    move_opportunity(uow, opportunity, stage("Negotiation"))
    win_opportunity(uow, opportunity)

    reopen_opportunity(uow, opportunity)

    assert (opportunity.status, opportunity.stage_id) == ("open", stage("Negotiation").id)
    assert (opportunity.close_date, opportunity.closed_at, opportunity.sale_id) == (None, None, None)
    sale, refund = _sales(uow)
    assert (refund.refund_of_id, sale.base_amount + refund.base_amount) == (sale.id, 0)
    (event,) = recorded_events("sfa.opportunity_reopened")
    assert event.was == "won"


def test_winning_again_records_a_sale_of_its_own(uow, opportunity):
    win_opportunity(uow, opportunity)
    reopen_opportunity(uow, opportunity)

    win_opportunity(uow, opportunity, amount=Decimal(900))

    assert [sale.amount for sale in _sales(uow)] == [1200, -1200, 900]
    assert _sales(uow)[-1].external_ref == f"{opportunity.uid}:2"


def test_reopening_a_loss_forgets_the_reason(uow, opportunity, stage):
    lose_opportunity(uow, opportunity, reason="price", note="Too much.")

    reopen_opportunity(uow, opportunity)

    assert (opportunity.status, opportunity.lost_reason, opportunity.lost_note) == ("open", None, None)
    assert uow.session.get(Stage, opportunity.stage_id).name == "Qualification"
    with pytest.raises(Conflict, match="is open already"):
        reopen_opportunity(uow, opportunity)
