"""A merge never gains the permission to contact somebody."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from crm_kernel.customers.consent.gate import may_contact
from crm_kernel.customers.consent.ledger import Spoken, record_consent
from crm_kernel.customers.consent.models import Consent
from crm_kernel.customers.merging.services import merge, unmerge

MAIL = {"channel": "email", "value": "ada@example.org"}


@pytest.fixture
def said(uow):
    """Record what a customer said some days ago: ``said(customer, "given", 3)``."""

    def record(customer, status, days, purpose="marketing"):
        when = uow.now - dt.timedelta(days=days)
        spoken = Spoken(channel="email", purpose=purpose, status=status, captured_at=when)
        return record_consent(uow, customer, spoken, source="test")

    return record


def verdict(uow, customer, purpose="marketing"):
    return may_contact(uow, customer.uid, channel="email", purpose=purpose)


@pytest.mark.parametrize("refused", ["withdrawn", "denied"])
@pytest.mark.parametrize("who", ["source", "target"])
def test_an_older_refusal_of_either_wins(uow, person, said, snapshot, who, refused):
    both = {"source": person(contact_points=[MAIL]), "target": person(contact_points=[MAIL])}
    other = both["target" if who == "source" else "source"]
    said(both[who], refused, days=9), said(other, "given", days=1)
    before = snapshot()

    run = merge(uow, both["source"], both["target"])

    assert verdict(uow, both["target"]).reason == refused
    unmerge(uow, run)
    assert verdict(uow, other).allowed
    assert snapshot() == before


def test_a_consent_stays_where_the_other_said_nothing(uow, person, said):
    source, target = person(contact_points=[MAIL]), person()
    said(source, "given", days=1)

    merge(uow, source, target)

    assert verdict(uow, target).allowed
    assert uow.session.scalar(sa.select(sa.func.count(Consent.id))) == 1


def test_a_consent_without_an_address_and_an_address_without_consent_make_no_permission(uow, person, said):
    source, target = person(), person(contact_points=[MAIL])
    said(source, "given", days=1)

    merge(uow, source, target)

    assert not verdict(uow, target).allowed


def test_an_objection_to_what_is_allowed_until_then_wins(uow, person, said):
    source, target = person(contact_points=[MAIL]), person(contact_points=[MAIL])
    said(source, "withdrawn", days=3, purpose="survey")
    assert verdict(uow, target, "survey").allowed

    merge(uow, source, target)

    assert not verdict(uow, target, "survey").allowed


def test_a_suppressed_address_stays_suppressed(uow, person, said):
    from crm_kernel.customers.consent.suppression import suppress

    source, target = person(contact_points=[MAIL]), person(contact_points=[MAIL])
    said(target, "given", days=3)
    suppress(uow, "ada@example.org", channel="email", reason="complaint", source="test")

    run = merge(uow, source, target)

    assert verdict(uow, target).reason == "suppressed"
    unmerge(uow, run)
    assert verdict(uow, target).reason == "suppressed"


def test_the_gate_asked_by_the_old_id_answers_for_the_survivor(uow, person, said):
    source, target = person(contact_points=[MAIL]), person()
    said(source, "given", days=1)

    merge(uow, source, target)

    assert verdict(uow, source).allowed
