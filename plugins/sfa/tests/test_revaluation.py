"""Open opportunities are valued anew at the rates of a day; closed ones, and what one may not see, keep their worth."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
import sqlalchemy as sa
from crm_sfa.opportunities.models import Opportunity
from crm_sfa.opportunities.services import create_opportunity
from crm_sfa.pipelines.services import ensure_default_pipeline

from crm_kernel.access.actor import Actor, Scope
from crm_kernel.access.models import AuditLog
from crm_kernel.errors import Forbidden, InvalidInput
from crm_kernel.sales.catalogue import add_exchange_rate
from crm_kernel.sales.money import local_day
from crm_kernel.sales.revaluing import CHUNK, PERMISSION, revalue_chunk, start_revaluation, worths

START = dt.date(2020, 1, 1)


@pytest.fixture
def deals(uow, pipeline):
    """Make an open deal: ``deals("100", "EUR")``; a euro was 1.25 dollars since 2020 and 100 yen were one."""
    for currency, rate in (("EUR", "1.25"), ("JPY", "0.01")):
        add_exchange_rate(uow, from_currency=currency, rate=Decimal(rate), valid_on=START)

    def make(amount, currency, **more):
        return create_opportunity(uow, {"name": "Chairs", "amount": Decimal(amount), "currency": currency, **more})

    return make


def quote_today(uow, rate, currency="EUR"):
    add_exchange_rate(uow, from_currency=currency, rate=Decimal(rate), valid_on=local_day(uow.now))


def run(uow, day, *, user=None):
    payload = {"day": day.isoformat(), "user": user, "run": "the run", "scopes": None}
    chunks = 0
    while (found := revalue_chunk(uow, payload)) is not None:
        payload["checkpoint"] = found
        chunks += 1
    return chunks


def test_an_amount_keeps_its_rate_and_the_day_of_it(uow, deals):
    deal, unknown = deals("100", "EUR"), deals("100", "CHF")

    assert (deal.base_amount, deal.rate, deal.rate_on) == (Decimal(125), Decimal("1.25"), local_day(uow.now))
    assert (unknown.base_amount, unknown.rate, unknown.rate_on) == (None, None, None)


def test_the_preview_says_what_is_kept_and_what_it_would_be_and_changes_nothing(uow, deals):
    deals("100", "EUR"), deals("50", "EUR"), deals("7", "CHF")
    today = local_day(uow.now)
    add_exchange_rate(uow, from_currency="EUR", rate=Decimal("1.5"), valid_on=today)

    franc, euro = worths(uow, today)

    assert (franc.currency, franc.count, franc.unvalued, franc.after) == ("CHF", 1, 1, None)
    assert (euro.count, euro.amount, euro.before, euro.after) == (2, Decimal(150), Decimal("187.5"), Decimal(225))
    assert set(uow.session.scalars(sa.select(Opportunity.base_amount))) == {Decimal(125), Decimal("62.5"), None}


def test_open_ones_are_valued_anew_and_audited_and_closed_ones_keep_their_worth(uow, deals):
    from crm_sfa.opportunities.closing import win_opportunity

    deal, won, yen, franc = deals("100", "EUR"), deals("10", "EUR"), deals("1001", "JPY"), deals("7", "CHF")
    win_opportunity(uow, won)
    today = local_day(uow.now)
    for currency, rate in (("EUR", "1.5"), ("CHF", "1.111"), ("JPY", "0.006393975192")):
        add_exchange_rate(uow, from_currency=currency, rate=Decimal(rate), valid_on=today)
    before = won.version

    run(uow, today)

    worth = [row.base_amount for row in (deal, won, yen, franc)]
    assert worth == [Decimal(150), Decimal("12.5"), Decimal("6.4004"), Decimal("7.777")]
    assert (franc.rate, franc.rate_on, won.version) == (Decimal("1.111"), today, before)


def test_running_it_again_changes_nothing(uow, deals):
    deal = deals("100", "EUR")
    day = START + dt.timedelta(days=1)
    add_exchange_rate(uow, from_currency="EUR", rate=Decimal("1.5"), valid_on=day)
    run(uow, day)
    version = deal.version

    run(uow, day)

    assert (deal.version, deal.rate_on) == (version, day)


def test_a_rate_that_has_not_moved_changes_nothing(uow, deals):
    deal = deals("100", "EUR")
    version = deal.version

    run(uow, START + dt.timedelta(days=1))

    assert (deal.version, deal.rate_on) == (version, local_day(uow.now))


def test_what_is_in_the_base_currency_is_not_written(uow, deals):
    deal = deals("100", "USD")
    version, asked = deal.version, deal.rate_on

    chunks = run(uow, START)

    assert (chunks, deal.version, deal.rate_on, deal.rate) == (0, version, asked, Decimal(1))
    assert [(worth.currency, worth.before, worth.after) for worth in worths(uow, START)] == [("USD", 100, 100)]


def test_what_was_valued_in_another_base_currency_is_valued_anew(uow, deals):
    deal = deals("100", "USD")
    uow.session.execute(sa.update(Opportunity).values(rate=Decimal("0.8"), base_amount=Decimal(80)))
    uow.session.expire_all()

    run(uow, START)

    assert (deal.rate, deal.base_amount, deal.rate_on) == (Decimal(1), Decimal(100), START)


def test_it_goes_on_where_a_chunk_ended(uow, deals):
    quote_today(uow, "1.5")
    for number in range(CHUNK + 1):
        deals(str(number + 1), "EUR")

    assert run(uow, START) == 2
    assert set(uow.session.scalars(sa.select(Opportunity.rate_on))) == {START}


def test_whoever_lacks_the_permission_is_refused(unit):
    seller = Actor(kind="user", name="Sal", grants={"sfa.*": Scope.ALL, "exchange_rate.read": Scope.ALL})

    with pytest.raises(Forbidden), unit(seller) as uow:
        start_revaluation(uow, START)


def test_what_one_may_not_see_is_neither_counted_nor_changed(uow, deals):
    quote_today(uow, "1.5")
    deal = deals("100", "EUR")
    uow.actor = Actor(kind="user", name="Sal", user_id=0, grants={"*": Scope.OWN})

    assert worths(uow, START) == []
    run(uow, START)

    assert deal.rate_on == local_day(uow.now)


def test_what_one_may_only_read_is_neither_counted_nor_changed(uow, deals):
    quote_today(uow, "1.5")
    deal = deals("100", "EUR")
    version = deal.version
    uow.actor = Actor(
        kind="user",
        name="Sal",
        user_id=0,
        grants={"sfa.opportunity.read": Scope.ALL, "sfa.opportunity.update": Scope.OWN, PERMISSION: Scope.ALL},
    )

    assert worths(uow, START) == []
    run(uow, START)

    assert deal.version == version


def test_amounts_that_roles_hide_are_neither_summed_nor_changed(uow, deals):
    quote_today(uow, "1.5")
    deal = deals("100", "EUR")
    version = deal.version
    rules = {"sfa.opportunity": {"amount": "hidden"}}
    uow.actor = Actor(kind="user", name="Sal", user_id=0, grants={"*": Scope.ALL}, field_rules=rules)

    assert worths(uow, START) == []
    run(uow, START)

    assert deal.version == version


def test_what_a_module_refuses_keeps_its_worth_and_the_others_do_not(uow, deals, monkeypatch):
    from crm_kernel.records import bulk

    quote_today(uow, "1.5")
    refused, other = deals("100", "EUR"), deals("10", "EUR")

    def ask(_uow, _type, rows):
        for place, (_record, changes) in enumerate(rows):
            if changes["base_amount"] == Decimal(125):
                raise InvalidInput({f"{place}.base_amount": ["Under review."]})

    monkeypatch.setattr(bulk, "_ask_plugins", ask)

    run(uow, START)

    assert (refused.base_amount, other.base_amount) == (Decimal(150), Decimal("12.5"))


def test_the_job_does_it_for_the_one_who_asked_and_the_audit_log_tells(unit, deliver_events):
    with unit() as uow:
        ensure_default_pipeline(uow)
        add_exchange_rate(uow, from_currency="EUR", rate=Decimal("1.25"), valid_on=START)
        quote_today(uow, "1.5")
        create_opportunity(uow, {"name": "Chairs", "amount": Decimal(100), "currency": "EUR"})
        start_revaluation(uow, START)

    deliver_events()

    with unit() as uow:
        assert uow.session.scalar(sa.select(Opportunity.rate_on)) == START
        told = sa.select(AuditLog.action).where(AuditLog.record_type == "sfa.opportunity", AuditLog.channel == "job")
        assert uow.session.scalars(told).all() == ["updated"]
