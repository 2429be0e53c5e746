"""Many rates at once: the rules of one at a time, asked of every module, told, and in as many statements as one."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import Actor, Scope
from crm_kernel.access.audit import store_audit
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.errors import Forbidden, InvalidInput
from crm_kernel.records.bulk import create_many, update_many
from crm_kernel.records.events import RecordsBulkChanged
from crm_kernel.records.plan import record_type
from crm_kernel.sales.catalogue import set_exchange_rate
from crm_kernel.sales.ecb import Published
from crm_kernel.sales.models import ExchangeRate
from crm_kernel.sales.publishing import store_published

DAY = dt.date(2026, 11, 20)


def published(count, rate="1.1"):
    return [Published("USD", DAY - dt.timedelta(days=n), Decimal(rate)) for n in range(count)]


def row(currency="JPY", day=DAY, **given):
    return {"from_currency": "EUR", "to_currency": currency, "rate": Decimal(2), "valid_on": day, **given}


@pytest.fixture
def veto(monkeypatch):
    """Let a module refuse rates above a limit: ``veto("1.5")``."""
    from crm_toybank import rules

    def above(limit):
        def refuse(kind, changes):
            over = kind.name == "exchange_rate" and changes["rate"] > Decimal(limit)
            return {"rate": ["Too much."]} if over else None

        monkeypatch.setattr(rules, "refuses_name", refuse)

    return above


@pytest.mark.crm_plugins("toybank")
@pytest.mark.usefixtures("toybank")
def test_a_module_refuses_published_rates_and_all_of_them_stay_out(uow, veto):
    veto("1.5")

    with pytest.raises(InvalidInput) as caught:
        store_published(uow, [*published(1), Published("JPY", DAY, Decimal(160))])

    assert caught.value.errors == {"file": ["JPY 2026-11-20: Too much."]}
    assert uow.session.scalar(sa.select(sa.func.count()).select_from(ExchangeRate)) == 0


@pytest.mark.crm_plugins("toybank")
@pytest.mark.usefixtures("toybank")
def test_a_module_refuses_a_correction_that_is_published(uow, veto):
    store_published(uow, published(2))
    veto("1.5")

    with pytest.raises(InvalidInput) as caught:
        store_published(uow, [*published(1), Published("USD", DAY - dt.timedelta(days=1), Decimal(2))])

    assert caught.value.errors == {"file": ["USD 2026-11-19: Too much."]}


@pytest.mark.crm_plugins("toybank")
@pytest.mark.usefixtures("toybank")
def test_a_module_refuses_a_rate_that_is_set_whether_the_day_has_one_or_not(uow, veto):
    set_exchange_rate(uow, from_currency="EUR", rate="1.2", valid_on=DAY)
    veto("1.5")

    for day in (DAY, dt.date(2026, 11, 21)):
        with pytest.raises(InvalidInput, match=r"Too much\."):
            set_exchange_rate(uow, from_currency="EUR", rate="1.6", valid_on=day)

    assert uow.session.scalars(sa.select(ExchangeRate.rate)).all() == [Decimal("1.2")]


def test_published_rates_are_told_added_and_corrected_ones_alike(uow):
    store_published(uow, published(3))
    uow.events.clear()

    store_published(uow, [*published(2, "1.2"), *published(5)[3:]])

    [event] = [event for event in uow.events if isinstance(event, RecordsBulkChanged)]
    assert (event.record_type, event.created, event.updated) == ("exchange_rate", 2, 2)


def test_a_published_correction_keeps_its_source_and_is_audited(uow):
    store_published(uow, published(1))
    store_published(uow, published(1, "1.2"))
    [rate] = uow.session.scalars(sa.select(ExchangeRate))
    uow.session.flush()

    assert (rate.rate, rate.source, rate.version) == (Decimal("1.2"), "ECB", 2)


def test_a_correction_of_many_days_costs_as_many_statements_as_one_of_few(uow, count_queries):
    store_published(uow, published(400))

    def statements(count, rate):
        uow.session.expire_all()
        with count_queries() as counted:
            assert store_published(uow, published(count, rate)).changed == count
        return len(counted)

    assert statements(3, "1.2") == statements(300, "1.3") <= 12


def test_adding_costs_as_many_statements_for_many_as_for_few(uow, count_queries):
    store_published(uow, [Published("JPY", DAY, Decimal(160))])  # the first in a process asks for custom fields, too

    def statements(rates):
        with count_queries() as counted:
            store_published(uow, rates)
        return len(counted)

    assert statements(published(3)) == statements(published(300)[3:]) <= 9


@pytest.mark.parametrize("missing", ["create", "update"])
def test_who_may_not_write_rates_stores_none(uow, missing):
    store_published(uow, published(1))
    grants = {"exchange_rate.create": Scope.ALL, "exchange_rate.update": Scope.ALL}
    uow.actor = Actor(kind="user", name="Sal", grants={k: v for k, v in grants.items() if not k.endswith(missing)})

    with pytest.raises(Forbidden):
        store_published(uow, published(2, "1.2"))


@pytest.mark.parametrize(
    ("rows", "errors"),
    [
        ([row(), row("USD"), row()], ["2.valid_on"]),
        ([row("CHF"), row("USD")], ["0.valid_on"]),
        ([row("EUR"), row("USD", rate=Decimal(0))], ["0.to_currency", "1.rate"]),
    ],
    ids=["twice", "known", "wrong"],
)
def test_rates_that_one_at_a_time_would_be_refused_are_refused_among_many(uow, rows, errors):
    create_many(uow, record_type("exchange_rate"), [row("CHF")])

    with pytest.raises(InvalidInput) as caught:
        create_many(uow, record_type("exchange_rate"), rows)

    assert sorted(caught.value.errors) == errors


@pytest.mark.parametrize(
    ("days", "refused"),
    [
        ([1, None, None], ["0.valid_on"]),
        ([1, 0, None], ["0.valid_on", "1.valid_on"]),
        ([1, 9, None], ["0.valid_on"]),
        ([None, 9, 1], ["2.valid_on"]),
        ([0, 9, None], []),
    ],
    ids=["kept", "swap", "chain", "left before", "own and free"],
)
def test_a_day_that_a_rate_has_is_free_for_no_other_of_the_same_batch(uow, days, refused):
    kind = record_type("exchange_rate")
    keys = create_many(uow, kind, [row(day=DAY + dt.timedelta(days=n)) for n in range(3)])
    moved = {
        key: {"rate": Decimal(3)} if n is None else {"valid_on": DAY + dt.timedelta(days=n)}
        for key, n in zip(keys, days, strict=True)
    }

    errors: list[str] = []
    try:
        update_many(uow, kind, moved)
    except InvalidInput as error:
        errors = sorted(error.errors)

    assert errors == refused


def test_a_day_that_a_rate_has_left_is_free_for_the_next_batch(uow):
    kind = record_type("exchange_rate")
    first, second = create_many(uow, kind, [row(day=DAY + dt.timedelta(days=n)) for n in range(2)])

    update_many(uow, kind, {first: {"valid_on": DAY + dt.timedelta(days=9)}})

    assert update_many(uow, kind, {second: {"valid_on": DAY}}) == [second]


def test_what_many_are_corrected_to_is_their_sources_only_if_that_is_told(uow):
    keys = create_many(uow, record_type("exchange_rate"), [row(source="Bank"), row("USD", source="Bank")])

    update_many(
        uow,
        record_type("exchange_rate"),
        {keys[0]: {"rate": Decimal(3)}, keys[1]: {"rate": Decimal(3), "source": "Bank"}},
    )

    sources = sa.select(ExchangeRate.source).order_by(ExchangeRate.id)
    assert uow.session.scalars(sources).all() == [None, "Bank"]
    store_audit(uow)
    query = sa.select(AuditPayload.after).join(AuditLog, AuditLog.uid == AuditPayload.audit_uid)
    after = uow.session.scalars(query.where(AuditLog.action == "updated")).all()
    assert sorted(sorted(values) for values in after) == [["rate"], ["rate", "source"]]
