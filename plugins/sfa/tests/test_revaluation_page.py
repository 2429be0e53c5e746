"""The page of revaluation: amounts by currency, never added to each other; the button starts the job."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import sqlalchemy as sa
from crm_sfa.opportunities.models import Opportunity
from crm_sfa.opportunities.services import create_opportunity
from crm_sfa.pipelines.services import ensure_default_pipeline

from crm_kernel.sales.catalogue import add_exchange_rate

START = dt.date(2020, 1, 1)


def fill(unit):
    with unit() as uow:
        ensure_default_pipeline(uow)
        add_exchange_rate(uow, from_currency="EUR", rate=Decimal("1.25"), valid_on=START)
        add_exchange_rate(uow, from_currency="USD", to_currency="JPY", rate=Decimal(160), valid_on=START)
        for amount, currency in (("100", "EUR"), ("50", "EUR"), ("1600", "JPY"), ("1.234", "KWD")):
            create_opportunity(uow, {"name": "Chairs", "amount": Decimal(amount), "currency": currency})


def test_each_currency_has_a_line_with_its_own_decimals_and_only_base_amounts_are_added(unit, login):
    fill(unit)

    page = login("administrator").get("/revaluation?on=2020-01-01").text

    assert [text for text in ("€150", "$187.50", "¥1,600", "$10", "KWD1.234", "none known") if text not in page] == []
    assert "$197.50" in page  # 187.50 + 10
    assert "1 record without a known rate" in page
    assert "0.00625 of" in page
    assert "turned round" in page


def test_the_button_values_anew_and_a_day_to_come_is_refused(unit, login, deliver_events):
    fill(unit)
    person = login("administrator")

    with unit() as uow:
        add_exchange_rate(uow, from_currency="EUR", rate=Decimal("1.30"), valid_on=dt.date(2020, 1, 2))
    assert person.get("/revaluation?on=2999-01-01").status_code == 422
    assert person.post("/revaluation", data={"on": "2020-01-02"}).status_code == 302
    deliver_events()

    with unit() as uow:
        days = sa.select(Opportunity.rate_on).where(Opportunity.currency == "EUR").distinct()
        assert uow.session.scalars(days).all() == [dt.date(2020, 1, 2)]


def test_it_is_shown_to_nobody_without_the_permission(login):
    assert login("reader").get("/revaluation").status_code == 403
