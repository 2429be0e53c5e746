"""Many sales at once: as exact as one at a time, each once, told once."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
import sqlalchemy as sa

from crm_kernel.errors import InvalidInput
from crm_kernel.records.bulk import changed_records
from crm_kernel.sales.bulk import NewSale, record_sales
from crm_kernel.sales.models import Product, Sale, SaleLine
from crm_kernel.sales.services import Line
from crm_kernel.testing.people import add_user

MARCH = dt.date(2026, 3, 1)


def _new(ref="1", amount="10", **values):
    usual = {"title": "Boat", "currency": "USD", "channel": "rep", "source_plugin": "sfa"}
    return NewSale(external_ref=ref, amount=Decimal(amount), **{**usual, **values})


def test_every_sale_has_the_rate_of_its_day_and_its_lines(uow, rate):
    rate("EUR", "1.25", MARCH)
    product = Product(sku="B", name="Boat")
    uow.session.add(product)
    uow.session.flush()
    day = dt.datetime(2026, 3, 5, 12, tzinfo=dt.UTC)
    line = Line(description="Boat", unit_price=Decimal(100), product_id=product.id)

    first, second = record_sales(
        uow, [_new("1", "100", currency="EUR", occurred_at=day, lines=[line]), _new("2", "7.5", margin=Decimal(2))]
    )

    euro, dollar = uow.session.get_one(Sale, first), uow.session.get_one(Sale, second)
    assert (euro.base_amount, euro.rate, euro.occurred_at) == (Decimal(125), Decimal("1.25"), day)
    assert (dollar.base_amount, dollar.base_margin, dollar.occurred_at) == (Decimal("7.5"), Decimal(2), uow.now)
    stored = uow.session.scalars(sa.select(SaleLine)).one()
    assert (stored.sale_id, stored.product_id, stored.amount) == (first, product.id, Decimal(100))


def test_a_sale_told_twice_is_stored_once_as_first_recorded(uow, sell):
    known = sell("3", ref="known", source_plugin="sfa")

    keys = record_sales(uow, [_new("a"), _new("known", "99"), _new("a", "99")])

    assert keys[0] == keys[2]
    assert keys[1] == known.id
    assert sorted(uow.session.scalars(sa.select(Sale.amount))) == [3, 10]


def test_one_event_names_the_run_whose_audit_rows_name_the_sales(uow):
    uow.events.clear()

    keys = record_sales(uow, [_new("a"), _new("b")])

    (event,) = uow.events
    assert (event.record_type, event.created) == ("sale", 2)
    uids = uow.session.scalars(sa.select(Sale.uid).where(Sale.id.in_(keys))).all()
    assert set(changed_records(uow, event)) == set(uids)


def test_wrong_sales_are_all_named_by_their_place_and_none_is_stored(uow):
    with pytest.raises(InvalidInput) as refused:
        record_sales(uow, [_new("a"), _new("b", title=" "), _new("c", "0.00001", channel="pigeon")])

    assert set(refused.value.errors) == {"1.title", "2.channel", "2.amount"}
    assert uow.session.scalar(sa.select(sa.func.count()).select_from(Sale)) == 0


def test_the_cost_does_not_grow_with_the_number_of_sales(uow, count_queries):
    def cost(count, start):
        with count_queries() as queries:
            record_sales(uow, [_new(f"{start}-{n}") for n in range(count)])
        return len(queries)

    assert cost(5, "few") == cost(500, "many") <= 8


def test_many_sales_belong_to_their_reps_teams_unless_they_name_one(uow):
    north, south = add_user(uow, team="North"), add_user(uow, team="South")

    keys = record_sales(
        uow, [_new("a", owner_id=north.id), _new("b", owner_id=north.id, team_id=south.team_id), _new("c")]
    )

    teams = [uow.session.get_one(Sale, key).team_id for key in keys]
    assert teams == [north.team_id, south.team_id, None]
