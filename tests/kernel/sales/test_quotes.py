"""Which exchange rate holds on a day: the latest not after it, either way round, over a third currency, not too old."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from crm_kernel.errors import InvalidInput
from crm_kernel.sales.catalogue import add_exchange_rate
from crm_kernel.sales.money import base_quotes_on, rate_on, rates_on

MARCH = dt.date(2026, 3, 1)
DAY = dt.timedelta(days=1)


@pytest.fixture
def quote(uow):
    """Store a quote between any two currencies: ``quote("EUR", "GBP", "0.86", on=date)``."""
    return lambda source, target, value, on=MARCH: add_exchange_rate(
        uow, from_currency=source, to_currency=target, rate=Decimal(value), valid_on=on
    )


@pytest.fixture
def rate_days(crm_app, monkeypatch):
    """Set the age beyond which a rate is not used."""
    from crm_kernel._internal.runtime import runtime_of

    runtime = runtime_of(crm_app)

    def put(days):
        monkeypatch.setattr(runtime, "config", runtime.config.replace(rate_days=days))

    return put


def test_a_rate_the_other_way_round_is_turned(uow, quote):
    quote("USD", "JPY", "156.5")

    found = base_quotes_on(uow, [("JPY", MARCH)])["JPY", MARCH]

    assert (found.rate, found.how, found.day) == (Decimal("0.006389776358"), "inverse", MARCH)


def test_of_both_directions_the_newer_one_counts_and_on_one_day_that_which_was_asked_for(uow, quote):
    quote("EUR", "USD", "1.10")
    quote("USD", "EUR", "0.80", MARCH + DAY)
    quote("EUR", "USD", "1.30", MARCH + 2 * DAY)
    quote("USD", "EUR", "0.50", MARCH + 2 * DAY)

    found = rates_on(uow, [("EUR", MARCH + n * DAY) for n in range(4)])

    assert list(found.values()) == [Decimal("1.10"), Decimal("1.25"), Decimal("1.30"), Decimal("1.30")]


def test_a_cross_rate_is_made_over_the_currency_that_both_are_quoted_in_and_rounded_once(uow, quote):
    quote("EUR", "USD", "1.0825")
    quote("EUR", "GBP", "0.86", MARCH + DAY)

    found = base_quotes_on(uow, [("GBP", MARCH + DAY)])["GBP", MARCH + DAY]

    # 1.0825 / 0.86 = 1.25872093023255…; a quotient of rounded ones would end in …3256 or …3255 by chance.
    assert (found.rate, found.how, found.over) == (Decimal("1.258720930233"), "cross", "EUR")
    assert found.day == MARCH  # the older of its two


def test_a_rate_between_the_two_comes_before_a_newer_cross_rate(uow, quote):
    quote("GBP", "USD", "1.20")
    quote("EUR", "USD", "1.0825", MARCH + DAY)
    quote("EUR", "GBP", "0.86", MARCH + DAY)

    assert rate_on(uow, "GBP", MARCH + DAY) == Decimal("1.20")


def test_of_two_ways_across_the_one_with_the_newer_day_counts(uow, quote):
    for over, on, into in (("EUR", MARCH, "2"), ("CHF", MARCH + DAY, "3")):
        quote(over, "USD", into, on)
        quote(over, "GBP", "1", on)

    days = [MARCH, MARCH + DAY]
    found = base_quotes_on(uow, [("GBP", day) for day in days])

    assert [(found["GBP", day].rate, found["GBP", day].over) for day in days] == [
        (Decimal(2), "EUR"),
        (Decimal(3), "CHF"),
    ]


def test_one_day_and_many_give_the_same(uow, quote):
    for number in range(6):
        quote("EUR", "USD", f"1.{number}1", MARCH + 2 * number * DAY)
        quote("EUR", "GBP", f"0.8{number}", MARCH + 3 * number * DAY)
    wanted = [(code, MARCH + n * DAY) for code in ("EUR", "GBP") for n in range(20)]

    together = rates_on(uow, wanted)

    assert together == {pair: rate_on(uow, *pair) for pair in wanted}


def test_a_rate_of_the_future_is_never_used(uow, quote):
    quote("EUR", "USD", "1.10", MARCH + DAY)

    assert base_quotes_on(uow, [("EUR", MARCH)]) == {}


def test_a_rate_that_is_too_old_is_refused_with_its_day_and_the_setting(uow, quote, rate_days):
    quote("EUR", "USD", "1.10")
    rate_days(10)

    assert rate_on(uow, "EUR", MARCH + 10 * DAY) == Decimal("1.10")
    with pytest.raises(InvalidInput) as caught:
        rate_on(uow, "EUR", MARCH + 11 * DAY)

    [message] = caught.value.errors["currency"]
    assert all(part in message for part in ("EUR", "USD", "2026-03-01", "2026-03-12", "10 days", "rate_days"))


def test_where_the_pairs_own_rate_is_too_old_a_cross_rate_is_made(uow, quote, rate_days):
    quote("GBP", "USD", "9")
    quote("EUR", "USD", "1.2", MARCH + 30 * DAY)
    quote("EUR", "GBP", "0.8", MARCH + 30 * DAY)
    rate_days(10)

    assert rate_on(uow, "GBP", MARCH + 31 * DAY) == Decimal("1.5")


def test_a_rate_of_many_days_costs_one_query_and_across_three(uow, quote, count_queries):
    quote("EUR", "USD", "1.10")
    quote("EUR", "GBP", "0.86")
    days = [MARCH + n * DAY for n in range(50)]

    with count_queries() as direct:
        rates_on(uow, [("EUR", day) for day in days])
    with count_queries() as cross:
        rates_on(uow, [("GBP", day) for day in days])

    assert (len(direct), len(cross)) == (1, 3)


def test_of_the_history_before_the_first_day_only_the_last_quote_of_a_pair_is_read(uow, quote):
    from crm_kernel.sales.models import ExchangeRate
    from crm_kernel.sales.quotes import _load

    for number in range(-30, 5):
        quote("EUR", "USD", f"1.{number + 40}", MARCH + number * DAY)
    quote("USD", "EUR", "0.5", MARCH - 40 * DAY)

    read = _load(uow, ExchangeRate.id.is_not(None), [MARCH, MARCH + 2 * DAY], 0)

    assert read["EUR", "USD"].days == [MARCH, MARCH + DAY, MARCH + 2 * DAY]
    assert read["USD", "EUR"].days == [MARCH - 40 * DAY]
    found = rates_on(uow, [("EUR", MARCH), ("EUR", MARCH + 2 * DAY)])
    assert list(found.values()) == [Decimal("1.40"), Decimal("1.42")]


def test_sales_of_a_file_ask_once_for_their_rates(uow, quote, count_queries):
    from crm_kernel.sales.recording import create_sales

    quote("EUR", "USD", "1.25")
    day = dt.datetime(2026, 3, 5, 12, tzinfo=dt.UTC)
    rows = [
        {"title": "Boat", "channel": "rep", "amount": Decimal(1), "currency": "EUR", "occurred_at": day + n * DAY}
        for n in range(3)
    ]

    with count_queries() as queries:
        create_sales(uow, rows)

    assert sum("FROM exchange_rate" in statement for statement in queries.statements) == 1


@pytest.mark.parametrize("max_age", [0, 10])
def test_what_has_no_rate_is_told_of_each_sale_and_asked_once(uow, quote, rate_days, count_queries, max_age):
    from crm_kernel.sales.recording import create_sales

    quote("EUR", "USD", "1.25")
    rate_days(max_age)
    day = dt.datetime(2026, 5, 5, 12, tzinfo=dt.UTC)
    rows = [
        {"title": "Boat", "channel": "rep", "amount": Decimal(1), "currency": code, "occurred_at": day + n * DAY}
        for n in range(30)
        for code in ("EUR", "GBP")
    ]

    with count_queries() as queries, pytest.raises(InvalidInput) as caught:
        create_sales(uow, rows)

    wrong = set(caught.value.errors)
    assert wrong == {f"{n}.currency" for n, row in enumerate(rows) if row["currency"] == "GBP" or max_age}
    assert "No exchange rate from GBP" in caught.value.errors["1.currency"][0]
    if max_age:
        assert "rate_days" in caught.value.errors["0.currency"][0]
    assert len(queries) <= 8
