"""Totals: base amounts only, refunds taken off, nothing of what the actor may not see; products and rates."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from crm_kernel.access.actor import Actor, Scope
from crm_kernel.customers.services import create_customer
from crm_kernel.errors import InvalidInput
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import page_of, parse_query, read_one
from crm_kernel.sales.catalogue import (
    create_product,
    update_exchange_rate,
    update_product,
)
from crm_kernel.sales.figures import ledger_figures
from crm_kernel.sales.money import LARGEST
from crm_kernel.sales.queries import sales_by, sales_of
from crm_kernel.sales.services import Line, refund_sale

DAY = dt.date


def test_currencies_are_never_mixed_in_a_total(uow, sell, rate):
    rate("EUR", "1.2", DAY(2026, 1, 1))
    sell("50", "USD", on=DAY(2026, 2, 1))
    sell("50", "EUR", on=DAY(2026, 2, 1))

    assert [(found.count, found.base_amount) for found in sales_by(uow)] == [(2, 110)]


def test_figures_are_exact_also_where_a_sum_has_more_than_64_bits(uow, sell):
    for amount in (LARGEST, LARGEST, LARGEST, Decimal("-0.0001"), Decimal("-17.5")):
        sell(str(amount))

    figures = ledger_figures(uow)

    assert figures.amounts == {"USD": 3 * LARGEST - Decimal("17.5001")}
    assert figures.base_amount == 3 * LARGEST - Decimal("17.5001")


def test_an_empty_ledger_has_a_total_of_nothing(uow):
    assert [(found.count, found.base_amount, found.base_margin) for found in sales_by(uow)] == [(0, 0, 0)]
    assert sales_by(uow, "channel") == []


def test_sales_are_grouped_by_time_in_order(uow, sell):
    for day in (DAY(2026, 3, 31), DAY(2026, 4, 1), DAY(2025, 12, 31), DAY(2026, 10, 1)):
        sell("10", on=day)

    grouped = {name: [found.group[name] for found in sales_by(uow, name)] for name in ("year", "quarter", "month")}
    assert grouped == {
        "year": [2025, 2026],
        "quarter": ["2025-Q4", "2026-Q1", "2026-Q2", "2026-Q4"],
        "month": ["2025-12", "2026-03", "2026-04", "2026-10"],
    }


def test_months_are_taken_in_utc_on_both_databases(uow, sell):
    from crm_kernel.sales.models import Sale

    sale = sell("10")
    sale.occurred_at = dt.datetime(2026, 1, 31, 23, 30, tzinfo=dt.timezone(dt.timedelta(hours=-5)))
    uow.session.flush()

    assert [found.group["month"] for found in sales_by(uow, "month")] == ["2026-02"]
    assert uow.session.get(Sale, sale.id) is sale


def test_sales_are_grouped_by_who_and_how(uow, sell):
    from crm_kernel.testing.people import add_user

    rep = add_user(uow, name="Rep", team="North")
    ada = create_customer(uow, {"kind": "person", "family_name": "Lovelace"})
    sell("10", channel="rep", owner_id=rep.id, customer=ada)
    sell("5")

    found = {(t.group["channel"], t.group["owner"], t.group["customer"]): t.base_amount for t in sales_by(
        uow, "channel", "owner", "customer")}  # fmt: skip
    assert found == {("rep", (rep.uid, "Rep"), (ada.uid, "Lovelace")): 10, ("store", None, None): 5}
    assert {t.group["team"][1] if t.group["team"] else None for t in sales_by(uow, "team")} == {"North", None}


def test_a_period_includes_its_start_and_not_its_end(uow, sell):
    noon = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    sell("10", on=DAY(2026, 3, 1))

    assert sales_by(uow, since=noon)[0].count == 1
    assert sales_by(uow, until=noon)[0].count == 0


def test_refunds_are_taken_off_and_not_counted(uow, sell):
    refund_sale(uow, sell("10", margin=Decimal(4)), amount=Decimal(5))

    found = sales_by(uow)[0]
    assert (found.count, found.base_amount, found.base_margin) == (1, 5, 2)


def test_an_unknown_group_is_a_programming_error(uow):
    with pytest.raises(ValueError, match="expected groups of"):
        sales_by(uow, "weather")


def test_totals_hold_only_what_the_actor_may_see(uow, sell):
    from crm_kernel.testing.people import add_user

    rep = add_user(uow)
    sell("10", owner_id=rep.id)
    sell("5")

    uow.actor = Actor(kind="user", name="rep", user_id=rep.id, grants={"sale.read": Scope.OWN})

    assert sales_by(uow)[0].base_amount == 10


def test_a_customers_sales_are_summed_up_in_one_query(uow, sell, count_queries):
    ada = create_customer(uow, {"kind": "person", "family_name": "Lovelace"})
    today = uow.now.date()
    sell("10", customer=ada, on=today - dt.timedelta(days=500))
    last = sell("7", customer=ada, on=today - dt.timedelta(days=1))
    sell("99")

    with count_queries() as queries:
        found = sales_of(uow, ada)

    queries.at_most(1)
    assert (found.count, found.base_amount, found.last_year, found.last_at) == (2, 17, 7, last.occurred_at)


def test_a_sale_is_read_with_its_lines_and_written_by_nobody(uow, sell):
    product = create_product(uow, {"sku": "B1", "name": "Boat", "unit_price": Decimal("9.5")})
    sale = sell("9.5", lines=[Line(description="Boat", unit_price=Decimal("9.5"), product_id=product.id)])
    sales = record_type("sale")

    item = read_one(uow, sales, sale.uid)

    assert sales.verbs == ("read", "export")
    assert (item["title"], item["amount"], item["lines"][0]["product"]["title"]) == ("Boat", Decimal("9.5"), "Boat")
    assert page_of(uow, sales, parse_query(sales, [("channel", "store"), ("amount__gte", "9")])).items


def test_a_price_without_a_currency_is_in_the_base_currency(uow):
    product = create_product(uow, {"sku": "B1", "name": "Boat", "unit_price": Decimal(5)})
    assert product.currency == "USD"

    update_product(uow, product, {"currency": None, "unit_price": None})
    assert product.currency is None


def test_a_products_number_is_its_own(uow):
    create_product(uow, {"sku": "B1", "name": "Boat"})
    other = create_product(uow, {"sku": "B2", "name": "Boat"})

    for call in (
        lambda: create_product(uow, {"sku": "B1", "name": "Bow"}),
        lambda: update_product(uow, other, {"sku": "B1"}),
    ):
        with pytest.raises(InvalidInput) as caught:
            call()
        assert list(caught.value.errors) == ["sku"]
    update_product(uow, other, {"sku": "B2", "name": "Big boat"})


def test_a_day_has_one_rate_between_two_currencies(uow, rate):
    first = rate("EUR", "1.1", DAY(2026, 1, 1))

    for currency, value, path in [("EUR", "1.2", "valid_on"), ("USD", "1", "to_currency"), ("GBP", "0", "rate")]:
        with pytest.raises(InvalidInput) as caught:
            rate(currency, value, DAY(2026, 1, 1))
        assert list(caught.value.errors) == [path]
    update_exchange_rate(uow, first, {"rate": Decimal("1.15")})
    assert first.rate == Decimal("1.15")


def test_the_refund_action_stands_on_the_page_of_a_sale_only(uow, sell):
    refund = record_type("sale").action("refund")
    sale = sell("10")

    refund.service(uow, sale, amount=Decimal(4))

    given_back = recent = uow.session.query(type(sale)).filter_by(refund_of_id=sale.id).one()
    assert recent.amount == -4
    assert (refund.available(sale), refund.available(given_back)) == (True, False)


def test_a_customers_sum_says_when_sales_were_converted_at_the_rates_of_their_days(uow, sell, rate, factories):
    ada, day = factories.person(), dt.date(2026, 3, 1)
    rate("JPY", "0.01", day), rate("KWD", "3.25", day)
    sell("5", customer=ada, on=day)
    alone = sales_of(uow, ada)
    sell("1000", "JPY", customer=ada, on=day), sell("1.234", "KWD", customer=ada, on=day)

    found = sales_of(uow, ada)

    assert (alone.base_amount, alone.converted) == (Decimal(5), False)
    assert (found.base_amount, found.converted) == (Decimal("19.0105"), True)  # 5 + 10 + 4.0105
