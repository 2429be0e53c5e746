"""A module's row in use keeps its customer from every retention rule, however long nothing happened."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy.erasing import erase
from crm_kernel.customers.privacy.retention import create_rule, run_chunk


@pytest.fixture
def crm_plugins(toybank):
    return (toybank,)


@pytest.fixture
def long_ago(unit, factories):
    """Three firms of which nothing was heard for years: one with an open account, one with a closed one, one with none."""
    from crm_toybank.models import Account

    made = {name: factories.organization(display_name=name) for name in ("open", "closed", "none")}
    for name in ("open", "closed"):
        factories.record("toybank.account", customer=made[name], name=name)
    with unit() as uow:
        uow.session.execute(sa.update(Account).where(Account.name == "closed").values(open=False))
        uow.session.execute(sa.update(Customer).values(updated_at=uow.now - dt.timedelta(days=1500)))
    return made


def names(unit):
    with unit() as uow:
        return sorted(uow.session.scalars(sa.select(Customer.display_name)))


@pytest.mark.parametrize(("action", "left"), [("erase", ["open"]), ("anonymise", ["open", "–", "–"])])
def test_a_row_in_use_keeps_its_customer_from_a_rule(unit, long_ago, action, left):
    with unit() as uow:
        create_rule(uow, {"name": "three years", "months": 36, "action": action, "active": True})

    with unit() as uow:
        run_chunk(uow, {})

    assert names(unit) == left


def test_who_asks_to_be_erased_is_erased_all_the_same(unit, long_ago):
    with unit() as uow:
        erase(uow, uow.session.get(Customer, long_ago["open"].id))

    assert names(unit) == ["closed", "none"]
