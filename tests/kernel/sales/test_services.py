"""The ledger: each sale once, with the rate of its day; refunds that add up to nothing."""

from __future__ import annotations

import contextlib
import datetime as dt
from decimal import Decimal

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_kernel.customers.services import create_customer, delete_customer
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.sales.models import Sale, SaleLine
from crm_kernel.sales.services import Line, refund_sale

MARCH, APRIL = dt.date(2026, 3, 1), dt.date(2026, 4, 1)


@pytest.fixture
def customer(uow):
    """A person; the events so far are forgotten."""
    found = create_customer(uow, {"kind": "person", "family_name": "Lovelace"})
    uow.events.clear()
    return found


def refusal(call, *arguments, **options):
    with pytest.raises(InvalidInput) as caught:
        call(*arguments, **options)
    return caught.value.errors


def test_a_sale_in_the_base_currency_is_its_own_base_amount(uow, sell, customer):
    sale = sell("12.3456", customer=customer)

    assert (sale.amount, sale.rate, sale.base_amount) == (Decimal("12.3456"), Decimal(1), Decimal("12.3456"))
    event = uow.events[0]
    assert (event.name, event.sale_id, event.customer_id) == ("kernel.sale_recorded", sale.uid, customer.uid)


def test_a_sale_told_twice_is_stored_and_told_once_as_first_recorded(uow, sell):
    first, again = sell("10", ref="7"), sell("99", ref="7")
    other = sell("10", ref="7", source_plugin="sfa")

    assert again is first
    assert again.amount == 10
    assert other is not first
    assert len(uow.events) == 2


def test_a_repeat_needs_no_rate(sell, rate, uow):
    euro = rate("EUR", "1.1", MARCH)
    first = sell("10", "EUR", ref="7", on=MARCH)
    uow.session.delete(euro)
    uow.session.flush()

    assert sell("10", "EUR", ref="7", on=MARCH) is first


def test_the_rate_is_that_of_the_day_or_the_latest_before(sell, rate):
    rate("EUR", "1.10", MARCH)
    rate("EUR", "1.20", APRIL)

    days = [MARCH, MARCH + dt.timedelta(days=30), APRIL, APRIL + dt.timedelta(days=400)]
    assert [sell("100", "EUR", on=day).base_amount for day in days] == [110, 110, 120, 120]


def test_the_day_of_a_sale_is_that_of_the_company(crm_app, uow, sell, rate, monkeypatch):
    from crm_kernel._internal.runtime import runtime_of

    runtime = runtime_of(crm_app)
    monkeypatch.setattr(runtime, "config", runtime.config.replace(timezone="Pacific/Auckland"))
    rate("EUR", "1.10", MARCH)
    rate("EUR", "1.20", MARCH + dt.timedelta(days=1))

    assert sell("1", "EUR", on=MARCH).rate == Decimal("1.2")


def test_without_a_rate_the_refusal_names_currency_day_and_what_to_do(sell, rate):
    rate("EUR", "1.10", APRIL)

    text = refusal(sell, "10", "EUR", on=MARCH)["currency"][0]

    assert "EUR" in text
    assert "USD" in text
    assert "2026-03-01" in text
    assert "crm import" in text


def test_base_amount_and_margin_are_rounded_once(sell, rate):
    rate("JPY", "0.006543210987", MARCH)

    sale = sell("12345", "JPY", on=MARCH, margin=Decimal("1000.5"))

    assert (sale.base_amount, sale.base_margin) == (Decimal("80.7759"), Decimal("6.5465"))


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"amount": "1.00001"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": "1E+15"}, "amount"),
        ({"currency": "XYZ"}, "currency"),
        ({"channel": "pigeon"}, "channel"),
        ({"title": " "}, "title"),
        ({"margin": Decimal("0.00001")}, "margin"),
        ({"lines": [Line(description="Oar", unit_price=Decimal(3))]}, "lines"),
        ({"lines": [Line(description="Oar", unit_price=Decimal("0.00001"), amount=Decimal(10))]}, "lines"),
        (
            {"lines": [Line(description="Oar", unit_price=Decimal(5), quantity=Decimal("NaN"), amount=Decimal(10))]},
            "lines",
        ),
    ],
)
def test_a_wrong_sale_is_refused_by_field(uow, sell, options, path):
    assert list(refusal(sell, **options)) == [path]
    assert uow.session.execute(sa.select(sa.func.count()).select_from(Sale)).scalar() == 0


def test_lines_add_up_and_keep_their_order(uow, sell):
    lines = [
        Line(description="Boat", unit_price=Decimal("9.5")),
        Line(description="Oar", quantity=Decimal("2"), unit_price=Decimal("0.5"), amount=Decimal("0.5")),
    ]

    sale = sell("10", lines=lines)

    found = uow.session.execute(
        sa.select(SaleLine).where(SaleLine.sale_id == sale.id).order_by(SaleLine.position)
    ).scalars()
    assert [(line.description, line.quantity, line.amount) for line in found] == [
        ("Boat", 1, Decimal("9.5")),
        ("Oar", 2, Decimal("0.5")),
    ]


def test_a_sale_belongs_to_the_reps_team(uow, sell):
    from crm_kernel.testing.people import add_user

    rep = add_user(uow, team="North")

    assert sell(owner_id=rep.id).team_id == rep.team_id


def test_a_sale_outlives_its_customer_without_naming_it(uow, sell, customer):
    sale = sell("10", customer=customer)

    delete_customer(uow, customer)
    uow.session.refresh(sale)

    assert (sale.customer_id, sale.amount) == (None, 10)


def test_a_refund_gives_back_all_that_is_left(uow, sell, customer):
    sale = sell("10", customer=customer, margin=Decimal(4))
    uow.events.clear()

    part, rest = refund_sale(uow, sale, amount=Decimal("2.5")), refund_sale(uow, sale)

    assert [(r.amount, r.margin, r.refund_of_id, r.customer_id) for r in (part, rest)] == [
        (Decimal("-2.5"), -1, sale.id, customer.id),
        (Decimal("-7.5"), -3, sale.id, customer.id),
    ]
    assert [event.refund_of_id for event in uow.events] == [sale.uid, sale.uid]
    with pytest.raises(Conflict, match="wholly refunded"):
        refund_sale(uow, sale)


def test_a_refund_told_twice_counts_once(uow, sell):
    sale = sell("10")

    first = refund_sale(uow, sale, amount=Decimal(4), external_ref="r1")

    assert refund_sale(uow, sale, amount=Decimal(4), external_ref="r1") is first


def test_more_than_was_paid_and_a_refund_itself_are_not_refunded(uow, sell):
    sale = sell("10")
    for amount in ("10.0001", "0", "-1", "1.00001", "NaN"):
        assert list(refusal(refund_sale, uow, sale, amount=Decimal(amount))) == ["amount"]

    with pytest.raises(Conflict, match="refund itself"):
        refund_sale(uow, refund_sale(uow, sale))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    amount=st.integers(1, 10**11),
    rate_=st.integers(1, 10**15),
    margin=st.integers(-(10**11), 10**11),
    parts=st.lists(st.integers(1, 9999), max_size=4),
)
def test_a_wholly_refunded_sale_sums_to_exactly_nothing(uow, sell, rate, amount, rate_, margin, parts):
    with uow.session.begin_nested() as example:
        rate("EUR", Decimal(rate_).scaleb(-12), MARCH)
        sale = sell(Decimal(amount).scaleb(-4), "EUR", on=APRIL, margin=Decimal(margin).scaleb(-4))

        with contextlib.suppress(Conflict):
            for part in parts:
                given_back = (sale.amount * part / 10_000 / len(parts)).quantize(Decimal("0.0001"))
                if given_back > 0:
                    refund_sale(uow, sale, amount=given_back)
            refund_sale(uow, sale)

        columns = [sa.func.sum(c) for c in (Sale.amount, Sale.base_amount, Sale.margin, Sale.base_margin)]
        family = sa.or_(Sale.id == sale.id, Sale.refund_of_id == sale.id)
        sums = uow.session.execute(sa.select(*columns).where(family)).one()
        example.rollback()

    assert tuple(sums) == (0, 0, 0, 0)
