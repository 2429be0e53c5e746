"""Two who write rates at the same moment, on PostgreSQL: the second one sees what the first has stored."""

from __future__ import annotations

import datetime as dt
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
import sqlalchemy as sa

from crm_kernel.records.bulk import update_many
from crm_kernel.records.plan import record_type
from crm_kernel.sales.catalogue import set_exchange_rate
from crm_kernel.sales.ecb import Published
from crm_kernel.sales.models import ExchangeRate
from crm_kernel.sales.publishing import store_published

pytestmark = pytest.mark.crm_databases("postgresql")

DAY = dt.date(2026, 11, 20)


@pytest.fixture
def at_once(unit):
    """Let two write at once, the second while the first has written and not committed; their answers."""

    def run(first, second):
        wrote = threading.Event()

        def early():
            with unit() as uow:
                done = first(uow)
                wrote.set()
                time.sleep(0.5)  # long enough for the other one to look and to write
            return done

        def late():
            with unit() as uow:
                uow.session.execute(sa.select(sa.func.count()).select_from(ExchangeRate))
                wrote.wait(10)
                return second(uow)

        with ThreadPoolExecutor(2) as pool:
            return [task.result(30) for task in (pool.submit(early), pool.submit(late))]

    return run


def publish(rate):
    return lambda uow: store_published(uow, [Published("USD", DAY, Decimal(rate))])


def enter(rate):
    def write(uow):
        set_exchange_rate(uow, from_currency="EUR", to_currency="USD", rate=rate, valid_on=DAY)

    return write


def correct(rate):
    def write(uow):
        [key] = uow.session.scalars(sa.select(ExchangeRate.id))
        update_many(uow, record_type("exchange_rate"), {key: {"rate": Decimal(rate)}})

    return write


@pytest.fixture
def stored(unit):
    """The rates that are stored, with their sources."""

    def read():
        with unit() as uow:
            rows = uow.session.execute(sa.select(ExchangeRate.rate, ExchangeRate.source))
            return [(rate, source) for rate, source in rows]

    return read


def test_a_file_read_twice_at_once_adds_its_days_once(at_once, stored):
    first, second = at_once(publish("1.1"), publish("1.1"))

    assert (first.added, second.added, second.unchanged) == (1, 0, 1)
    assert stored() == [(Decimal("1.1"), "ECB")]


def test_of_two_who_set_a_day_at_once_the_later_one_is_kept(at_once, stored):
    at_once(enter("1.2"), enter("1.3"))

    assert stored() == [(Decimal("1.3"), None)]


def test_what_somebody_enters_while_a_file_is_read_stays(at_once, stored, unit):
    with unit() as uow:
        publish("1.1")(uow)

    _none, second = at_once(enter("1.2"), publish("1.15"))

    assert second.kept == 1
    assert stored() == [(Decimal("1.2"), None)]


def test_what_many_are_corrected_to_while_a_file_is_read_stays(at_once, stored, unit):
    with unit() as uow:
        publish("1.1")(uow)

    _none, second = at_once(correct("1.2"), publish("1.15"))

    assert second.kept == 1
    assert stored() == [(Decimal("1.2"), None)]


def test_a_correction_waits_for_the_file_that_is_being_read(at_once, stored, unit):
    with unit() as uow:
        publish("1.1")(uow)

    at_once(publish("1.15"), correct("1.2"))

    assert stored() == [(Decimal("1.2"), None)]
