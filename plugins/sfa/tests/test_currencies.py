"""Amounts of different currencies are never added: boards show each by itself, figures say at which rates they are."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from decimal import Decimal

import pytest
from crm_sfa.opportunities.panels import value_text
from crm_sfa.opportunities.queries import own_workload
from crm_sfa.opportunities.services import create_opportunity
from crm_sfa.pipelines.services import ensure_default_pipeline
from crm_sfa.reports.queries import funnel_of, totals_of
from crm_sfa.reports.scope import ReportScope

from crm_kernel.access.actor import Actor, Scope
from crm_kernel.sales.catalogue import add_exchange_rate
from crm_kernel.sales.money import local_day

START = dt.date(2020, 1, 1)
AMOUNTS = (("100.50", "EUR"), ("50", "EUR"), ("50", "USD"), ("1600", "JPY"), ("1.234", "KWD"))


@pytest.fixture
def fill(unit):
    """Store open deals in euros, dollars, yen and dinars; no rate of the dinar is known."""
    with unit() as uow:
        ensure_default_pipeline(uow)
        add_exchange_rate(uow, from_currency="EUR", rate=Decimal("1.25"), valid_on=START)
        add_exchange_rate(uow, from_currency="USD", to_currency="JPY", rate=Decimal(160), valid_on=START)
        for amount, currency in AMOUNTS:
            create_opportunity(uow, {"name": "Chairs", "amount": Decimal(amount), "currency": currency})


def test_a_boards_column_has_a_sum_per_currency_with_its_own_decimals(fill, login):
    page = login("administrator").get("/sfa/opportunities?view=board").text

    [total] = re.findall(r"[^<>\n]*€[^<>\n]* \+ [^<>\n]*", page)
    assert set(total.strip().split(" + ")) == {"€150.50", "$50", "¥1,600", "KWD1.234"}


def test_what_is_open_is_summed_in_the_base_currency_and_says_what_is_left_out(fill, unit):
    with unit() as uow:
        found, today = totals_of(uow, ReportScope()), local_day(uow.now)
        funnel = sum(stage.value for stage in funnel_of(uow, ReportScope()))

        text = value_text(found.open_value, found)

    # 150.50 euros × 1.25 + 50 dollars + 1600 yen / 160; the dinars are worth nobody knows what.
    assert (found.open_value, found.unvalued, found.rates_since) == (Decimal("248.1250"), 1, today)
    assert funnel == found.open_value
    assert text.startswith("$248.12, at rates since ")
    assert text.endswith(", 1 without an exchange rate left out")


def test_a_sum_of_base_amounts_alone_says_nothing_of_rates(unit):
    with unit() as uow:
        ensure_default_pipeline(uow)
        create_opportunity(uow, {"name": "Chairs", "amount": Decimal(50), "currency": "USD"})
        found = totals_of(uow, ReportScope())

        assert value_text(found.open_value, found) == "$50"


def test_the_tile_of_ones_own_work_says_the_same(fill, unit, login):
    owner = login("representative").user
    with unit() as uow:
        for amount, currency in (("100", "EUR"), ("7", "KWD")):
            create_opportunity(
                uow, {"name": "Desks", "amount": Decimal(amount), "currency": currency, "owner_id": owner.id}
            )
    with unit(Actor(kind="user", name="R", user_id=owner.id, grants={"sfa.*": Scope.ALL})) as uow:
        found = own_workload(uow)
        text = value_text(found.value, found)

    assert (found.deals, found.value, found.unvalued) == (2, Decimal(125), 1)
    assert text.startswith("$125, at rates since ")


def test_the_dashboard_shows_it(fill, login):
    page = login("administrator").get("/sfa/dashboard").text

    assert "1 without an exchange rate left out" in page


def test_an_export_keeps_each_amount_beside_its_currency_and_adds_nothing(fill, login):
    text = login("administrator").get("/sfa/opportunities/export.csv").text

    rows = list(csv.DictReader(io.StringIO(text.lstrip("\ufeff"))))
    found = {(Decimal(row["amount"]), row["currency"]) for row in rows}
    assert (len(rows), found) == (len(AMOUNTS), {(Decimal(amount), currency) for amount, currency in AMOUNTS})
