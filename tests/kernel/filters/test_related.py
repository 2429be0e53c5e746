"""Filters over the kernel's own records: related ones, sums, events, side tables; and who may find what by them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from crm_kernel.access.actor import SYSTEM, Actor, Scope
from crm_kernel.errors import InvalidInput
from crm_kernel.records.filter_tree import compile_tree, parse_tree
from crm_kernel.records.plan import plan_of, record_type
from crm_kernel.sales.services import record_sale, refund_sale
from crm_kernel.testing.people import add_user

SALES = "sale.customer"


@pytest.fixture
def ask(unit):
    """Find records by a tree: ``ask({...})`` → names of customers; ``ask({...}, "sale", actor)`` → titles of sales."""
    import sqlalchemy as sa

    def run(tree, name="customer", actor=SYSTEM):
        with unit() as uow:
            uow.actor = actor
            wanted = record_type(name)
            plan = plan_of(wanted)
            title = plan.fields[wanted.title].column
            where = compile_tree(uow, plan, parse_tree(plan, tree, actor))
            return sorted(uow.session.execute(sa.select(title).where(where)).scalars())

    return run


@pytest.fixture
def ledger(unit, factories):
    """Ada bought twice and gave one back, Bob once, Cyd never; the seller of Bob's sale is ``.seller``."""
    ada, bob, _cyd = (factories.organization(display_name=name) for name in ("Ada", "Bob", "Cyd"))
    with unit() as uow:
        seller = add_user(uow, "representative", name="Seller")
        ada, bob = (uow.session.merge(customer) for customer in (ada, bob))
        common = {"channel": "store", "source_plugin": "kernel"}
        past = uow.now - dt.timedelta(days=40)
        first = record_sale(
            uow,
            title="chair",
            amount=Decimal(100),
            currency="USD",
            customer=ada,
            occurred_at=past,
            external_ref="1",
            **common,
        )
        record_sale(uow, title="table", amount=Decimal(50), currency="USD", customer=ada, external_ref="2", **common)
        record_sale(
            uow,
            title="lamp",
            amount=Decimal(500),
            currency="USD",
            customer=bob,
            owner_id=seller.id,
            external_ref="3",
            **common,
        )
        refund_sale(uow, first)
        return seller.id


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"has": SALES}, ["Ada", "Bob"]),
        ({"not": {"has": SALES}}, ["Cyd"]),
        ({"has": SALES, "at_least": 2}, ["Ada"]),
        ({"has": SALES, "at_most": 2}, ["Bob", "Cyd"]),
        ({"has": SALES, "at_most": 0}, ["Cyd"]),
        ({"has": SALES, "within": {"days": 30}, "where": {"field": "amount", "op": "gt", "value": 60}}, ["Bob"]),
        ({"not": {"has": SALES, "within": {"last": 1, "unit": "hours"}, "at_least": 2}}, ["Bob", "Cyd"]),
        ({"has": SALES, "where": {"has": "sale.refund_of"}}, ["Ada"]),
        ({"has": SALES, "where": {"not": {"has": "sale.refund_of", "where": {"field": "amount", "op": "lt", "value": 0}}}}, ["Ada", "Bob"]),
        ({"has": SALES, "where": {"field": "refund_of", "op": "empty", "value": False}}, ["Ada"]),
        ({"sum": SALES, "of": "base_amount", "op": "gte", "value": 100}, ["Bob"]),
        ({"sum": SALES, "of": "base_amount", "op": "lt", "value": 100}, ["Ada", "Cyd"]),
        ({"not": {"sum": SALES, "of": "base_amount", "op": "eq", "value": 0}}, ["Ada", "Bob"]),
        ({"sum": SALES, "of": "amount", "op": "eq", "value": 50, "currency": "USD", "within": "today"}, []),
        ({"sum": SALES, "of": "amount", "op": "eq", "value": 0, "currency": "EUR"}, ["Ada", "Bob", "Cyd"]),
        ({"has": "event:kernel.sale_recorded", "within": "today"}, ["Ada", "Bob"]),
        ({"has": "event:kernel.sale_recorded", "at_least": 3}, ["Ada"]),
        ({"field": "given_name", "op": "empty", "value": True}, ["Ada", "Bob", "Cyd"]),
        ({"not": {"field": "industry", "value": "Steel"}}, ["Ada", "Bob", "Cyd"]),
        ({"field": "city", "op": "ne", "value": "Paris"}, ["Ada", "Bob", "Cyd"]),
    ],
)  # fmt: skip
def test_customers_are_found_by_what_they_bought(ask, ledger, tree, expected):
    assert ask(tree) == expected


def test_a_record_of_the_same_type_is_told_apart_from_the_one_that_is_asked_for(ask, ledger):
    refunded = {"has": "sale.refund_of", "where": {"field": "amount", "op": "lt", "value": 0}}

    assert ask(refunded, "sale") == ["chair"]
    assert ask({"and": [{"not": refunded}, {"field": "amount", "op": "gt", "value": 0}]}, "sale") == ["lamp", "table"]


def test_nobody_finds_a_customer_by_a_sale_he_may_not_see(ask, ledger):
    def seller(reach):
        grants = {"customer.read": Scope.ALL, "sale.read": reach}
        return Actor(kind="user", name="s", user_id=ledger, grants=grants)

    assert ask({"has": SALES}, actor=seller(Scope.ALL)) == ["Ada", "Bob"]
    assert ask({"has": SALES}, actor=seller(Scope.OWN)) == ["Bob"]
    assert ask({"has": SALES, "where": {"has": "sale.refund_of"}}, actor=seller(Scope.OWN)) == []
    assert ask({"sum": SALES, "of": "base_amount", "op": "lt", "value": 500}, actor=seller(Scope.OWN)) == ["Ada", "Cyd"]


def test_events_are_asked_by_those_alone_who_see_all_they_tell_of(ask, ledger):
    grants = {"customer.read": Scope.ALL, "sale.read": Scope.OWN}
    seller = Actor(kind="user", name="s", user_id=ledger, grants=grants)

    with pytest.raises(InvalidInput, match="Unknown relation event:kernel"):
        ask({"has": "event:kernel.sale_recorded"}, actor=seller)

    assert ask({"has": "event:kernel.customer_created"}, actor=seller) == ["Ada", "Bob", "Cyd"]


def test_me_is_the_user_who_asks_when_the_filter_runs(ask, ledger, unit):
    from crm_kernel.access.models import AppUser

    with unit() as uow:
        uid = uow.session.get(AppUser, ledger).uid
    me = Actor(kind="user", name="s", user_id=ledger, user_uid=uid, grants={"*": Scope.ALL})

    assert ask({"has": SALES, "where": {"field": "owner", "value": "me"}}, actor=me) == ["Bob"]
    with pytest.raises(InvalidInput, match="Not a record id"):
        ask({"has": SALES, "where": {"field": "owner", "value": "me"}})
