"""A restore that brings back many is done again in chunks, and a legal hold keeps only whom it is about."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.customers.merging.services import merge
from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy import retention
from crm_kernel.customers.privacy.digests import erased_digest
from crm_kernel.customers.privacy.holds import hold_customer
from crm_kernel.customers.privacy.reapplying import reapply


@pytest.fixture
def firms(customer_factory):
    """Five customers."""
    return [customer_factory(kind="organization", display_name=f"Firm {n}") for n in range(5)]


@pytest.fixture
def by_two(monkeypatch):
    """Let two customers be done at a time."""
    monkeypatch.setattr(retention, "CHUNK", 2)


def names(unit):
    with unit() as uow:
        return sorted(uow.session.scalars(sa.select(Customer.display_name)))


def digests(unit, customers):
    with unit():
        return {erased_digest(one.uid) for one in customers}


@pytest.mark.parametrize(("way", "left"), [("erase", []), ("anonymise", ["–"] * 5)])
def test_many_are_done_again_in_chunks_with_a_receipt_each(unit, firms, by_two, way, left):
    known = digests(unit, firms)
    lists = {"digests": known} if way == "erase" else {"digests": set(), "anonymised": known}

    with unit() as uow:
        done = [(receipt.action, receipt.customers) for receipt in reapply(uow, **lists).receipts]

    assert done == [(way, 2), (way, 2), (way, 1)]
    assert names(unit) == left


def test_a_hold_keeps_whom_it_is_about_and_names_him(unit, firms, by_two):
    with unit() as uow:
        hold_customer(uow, {"customer_id": firms[1].id, "reason": "Lawsuit"})
    known = digests(unit, firms)

    with unit() as uow:
        done = reapply(uow, known)
        numbers = [receipt.customers for receipt in done.receipts]

    assert [(kept.customer, kept.reason) for kept in done.kept] == [(firms[1].uid, "Lawsuit")]
    assert numbers == [1, 2, 1]
    assert names(unit) == ["Firm 1"]


def test_who_was_merged_into_a_held_customer_is_kept_with_it(unit, firms, by_two):
    with unit() as uow:
        merge(uow, uow.session.get(Customer, firms[0].id), uow.session.get(Customer, firms[3].id))
        hold_customer(uow, {"customer_id": firms[3].id, "reason": "Lawsuit"})
    known = digests(unit, firms)

    with unit() as uow:
        done = reapply(uow, known)

    assert [kept.customer for kept in done.kept] == [firms[3].uid]
    assert names(unit) == ["Firm 0", "Firm 3"]


def test_who_was_merged_goes_with_the_one_he_became_and_is_counted_once(unit, firms, by_two):
    with unit() as uow:
        merge(uow, uow.session.get(Customer, firms[4].id), uow.session.get(Customer, firms[0].id))
    known = digests(unit, firms)

    with unit() as uow:
        numbers = [receipt.customers for receipt in reapply(uow, known).receipts]

    assert numbers == [3, 2]
    assert names(unit) == []
