"""Opportunities one at a time: where they start, how they move, what is refused and in which words."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
import sqlalchemy as sa
from crm_sfa.opportunities.closing import lose_opportunity, win_opportunity
from crm_sfa.opportunities.models import Opportunity, StageChange
from crm_sfa.opportunities.services import (
    create_opportunity,
    delete_opportunity,
    move_opportunity,
    update_opportunity,
)
from crm_sfa.pipelines.models import Pipeline, Stage
from crm_sfa.pipelines.services import create_pipeline

from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.sales.models import ExchangeRate


def _steps(uow, opportunity):
    query = sa.select(StageChange).where(StageChange.opportunity_id == opportunity.id).order_by(StageChange.id)
    return uow.session.scalars(query).all()


def _refusal(error, field):
    return " ".join(error.value.errors[field])


def test_an_opportunity_starts_in_the_first_open_stage_of_the_default_pipeline(uow, pipeline, stage, recorded_events):
    found = create_opportunity(uow, {"name": "Chairs"})

    assert (found.pipeline_id, found.stage_id, found.status) == (pipeline.id, stage("Qualification").id, "open")
    assert found.opened_on == uow.now.date()
    (event,) = recorded_events("sfa.opportunity_created")
    assert (event.opportunity_id, event.customer_id, event.stage_id) == (found.uid, None, stage("Qualification").uid)


def test_the_first_opportunity_makes_the_standard_pipeline(uow):
    create_opportunity(uow, {"name": "Chairs"})

    pipeline = uow.session.scalars(sa.select(Pipeline)).one()
    categories = uow.session.scalars(sa.select(Stage.category).order_by(Stage.position)).all()
    assert pipeline.is_default
    assert categories == ["open", "open", "open", "open", "won", "lost"]


def test_an_amount_without_currency_is_in_the_base_currency(uow, pipeline):
    found = create_opportunity(uow, {"name": "Chairs", "amount": Decimal("99.5")})

    assert (found.currency, found.base_amount) == ("USD", Decimal("99.5"))


def test_a_foreign_amount_is_converted_at_the_rate_of_the_day_and_stays_unknown_without_one(uow, pipeline):
    uow.session.add(
        ExchangeRate(from_currency="EUR", to_currency="USD", rate=Decimal("1.25"), valid_on=dt.date(2020, 1, 1))
    )

    known = create_opportunity(uow, {"name": "Chairs", "amount": Decimal(100), "currency": "EUR"})
    unknown = create_opportunity(uow, {"name": "Tables", "amount": Decimal(100), "currency": "CHF"})

    assert (known.base_amount, unknown.base_amount) == (Decimal(125), None)


@pytest.mark.parametrize("field", ["opened_on", "close_date"])
@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_its_days_keep_to_the_calendar(api, field, day):
    answer = api("administrator").post("/api/sfa/opportunities", {"name": "Chairs", field: day})

    assert (answer.status_code, list(answer.json["errors"])) == (422, [field])


def test_its_page_shows_the_base_amount_in_the_base_currency(login, api):
    made = api("administrator").post("/api/sfa/opportunities", {"name": "Chairs", "amount": "99.5", "currency": "USD"})

    page = login("administrator").get(f"/sfa/opportunities/{made.json['id']}").get_data(as_text=True)

    after = page.split("Amount in base currency", 1)[1][:200]
    assert "$99.50" in after


def test_an_opportunity_cannot_start_closed(uow, pipeline, stage):
    with pytest.raises(InvalidInput) as refused:
        create_opportunity(uow, {"name": "Chairs", "stage_id": stage("Won").id})

    assert _refusal(refused, "stage") == "“Won” means won: use the action Win, which records the sale."


def test_a_stage_of_another_pipeline_is_refused_with_those_that_fit(uow, pipeline, stage):
    other = create_pipeline(uow, {"name": "Tenders"})

    with pytest.raises(InvalidInput) as refused:
        create_opportunity(uow, {"name": "Chairs", "pipeline_id": other.id, "stage_id": stage("Proposal").id})

    assert _refusal(refused, "stage") == (
        "“Proposal” is a stage of another pipeline; expected one of “Tenders”: "
        "Qualification, Needs analysis, Proposal, Negotiation, Won, Lost."
    )


def test_an_inactive_pipeline_takes_no_new_opportunity(uow, pipeline):
    other = create_pipeline(uow, {"name": "Tenders", "active": False})

    with pytest.raises(InvalidInput) as refused:
        create_opportunity(uow, {"name": "Chairs", "pipeline_id": other.id})

    assert _refusal(refused, "pipeline") == "“Tenders” is inactive: choose another pipeline."


def test_a_close_date_before_the_opening_is_refused(uow, pipeline):
    data = {"name": "Chairs", "opened_on": dt.date(2027, 1, 2), "close_date": dt.date(2027, 1, 1)}

    with pytest.raises(InvalidInput) as refused:
        create_opportunity(uow, data)

    assert _refusal(refused, "close_date") == "2027-01-01 is before the day it was opened, 2027-01-02."


def test_every_step_is_kept_with_the_time_spent_in_the_stage_it_left(uow, opportunity, stage, recorded_events):
    started = uow.now
    uow.now = started + dt.timedelta(days=2, seconds=5)
    move_opportunity(uow, opportunity, stage("Proposal"))
    uow.now = started + dt.timedelta(days=3)
    move_opportunity(uow, opportunity, stage("Negotiation"))

    steps = [(step.from_stage_id, step.to_stage_id, step.seconds) for step in _steps(uow, opportunity)]
    assert steps == [
        (None, stage("Qualification").id, None),
        (stage("Qualification").id, stage("Proposal").id, 172805),
        (stage("Proposal").id, stage("Negotiation").id, 86395),
    ]
    assert opportunity.stage_since == uow.now
    events = recorded_events("sfa.opportunity_stage_changed")
    assert [(e.from_stage_id, e.seconds) for e in events] == [
        (stage("Qualification").uid, 172805),
        (stage("Proposal").uid, 86395),
    ]


def test_moving_to_where_it_is_changes_nothing(uow, opportunity, stage, recorded_events):
    move_opportunity(uow, opportunity, stage("Qualification"))

    assert len(_steps(uow, opportunity)) == 1
    assert recorded_events("sfa.opportunity_stage_changed") == []


@pytest.mark.parametrize(("name", "action"), [("Won", "Win"), ("Lost", "Lose")])
def test_a_move_to_a_closed_stage_names_the_action_instead(uow, opportunity, stage, name, action):
    with pytest.raises(InvalidInput) as refused:
        move_opportunity(uow, opportunity, stage(name))

    assert f"use the action {action}" in _refusal(refused, "stage")
    assert opportunity.status == "open"


def test_a_closed_opportunity_is_not_moved_back_without_reopening(uow, opportunity, stage):
    lose_opportunity(uow, opportunity, reason="price")

    with pytest.raises(Conflict, match=r"“Forty chairs” is closed \(Lost\): use the action Reopen first"):
        move_opportunity(uow, opportunity, stage("Proposal"))


def test_another_pipeline_means_its_first_open_stage(uow, opportunity):
    other = create_pipeline(uow, {"name": "Tenders"})

    update_opportunity(uow, opportunity, {"pipeline_id": other.id})

    entered = uow.session.get(Stage, opportunity.stage_id)
    assert (entered.pipeline_id, entered.name) == (other.id, "Qualification")


def test_a_recorded_sale_seals_what_it_was_recorded_of(uow, opportunity):
    win_opportunity(uow, opportunity)

    with pytest.raises(InvalidInput) as refused:
        update_opportunity(uow, opportunity, {"amount": Decimal(1), "customer_id": None, "name": "Fifty chairs"})

    assert set(refused.value.errors) == {"amount", "customer"}
    assert "use the action Reopen" in _refusal(refused, "amount")
    update_opportunity(uow, opportunity, {"name": "Fifty chairs"})
    assert opportunity.name == "Fifty chairs"


def test_a_won_opportunity_with_a_sale_is_not_deleted(uow, opportunity):
    win_opportunity(uow, opportunity)

    with pytest.raises(Conflict, match="use the action Reopen, which refunds it"):
        delete_opportunity(uow, opportunity)


def test_an_open_opportunity_is_deleted_with_its_history(uow, opportunity):
    delete_opportunity(uow, opportunity)
    uow.session.flush()

    assert uow.session.scalar(sa.select(sa.func.count()).select_from(StageChange)) == 0


def test_only_a_lost_opportunity_has_a_reason(uow, opportunity):
    with pytest.raises(InvalidInput) as refused:
        update_opportunity(uow, opportunity, {"lost_reason": "price"})
    assert "use the action Lose" in _refusal(refused, "lost_reason")

    lose_opportunity(uow, opportunity, reason="price")
    with pytest.raises(InvalidInput) as refused:
        update_opportunity(uow, opportunity, {"lost_reason": None})
    assert "keeps a reason" in _refusal(refused, "lost_reason")


def test_deleting_a_customer_keeps_the_opportunity_without_him(uow, opportunity, customer):
    uow.session.execute(sa.text("DELETE FROM customer WHERE id = :id"), {"id": customer.id})
    uow.session.refresh(opportunity)

    assert opportunity.customer_id is None


def test_an_open_opportunity_keeps_its_customer_from_retention(uow, opportunity, customer):
    from crm_kernel.customers.models import Customer
    from crm_kernel.customers.privacy.retention import create_rule, idle_number

    rule = create_rule(uow, {"name": "three years", "months": 36})
    long_ago = uow.now - dt.timedelta(days=1500)
    uow.session.execute(sa.update(Customer).values(updated_at=long_ago))
    kept = idle_number(uow, rule)
    uow.session.execute(sa.update(Opportunity).values(status="lost"))

    assert (kept, idle_number(uow, rule)) == (0, 1)
