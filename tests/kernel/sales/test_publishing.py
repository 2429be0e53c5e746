"""Rates of the European Central Bank: read in each of its forms, stored once, corrected, and never over what people entered."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from decimal import Decimal

import pytest
import sqlalchemy as sa

from crm_kernel.access.models import AuditLog
from crm_kernel.errors import InvalidInput
from crm_kernel.outbound import Answer, Unreachable
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import update_record
from crm_kernel.sales import publishing
from crm_kernel.sales.catalogue import add_exchange_rate
from crm_kernel.sales.ecb import Published, read_ecb
from crm_kernel.sales.models import ExchangeRate
from crm_kernel.sales.money import rate_on
from crm_kernel.sales.publishing import store_published

DAY = dt.date(2026, 11, 20)
XML = b"""<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
  <gesmes:subject>Reference rates</gesmes:subject>
  <gesmes:Sender><gesmes:name>European Central Bank</gesmes:name></gesmes:Sender>
  <Cube><Cube time='2026-11-20'><Cube currency='USD' rate='1.0825'/><Cube currency='JPY' rate='169.30'/></Cube></Cube>
</gesmes:Envelope>"""
DAILY = b"Date, USD, JPY, \n20 November 2026, 1.0825, 169.30, \n"
HISTORY = b"Date,USD,JPY,CYP,\n2026-11-20,1.0825,169.30,N/A,\n2026-11-19,1.0811,,N/A,\n"
BOTH = [Published("USD", DAY, Decimal("1.0825")), Published("JPY", DAY, Decimal("169.30"))]


def packed(content, name="eurofxref.csv"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("content", [XML, DAILY, packed(DAILY)], ids=["xml", "csv", "zip"])
def test_the_rates_of_a_day_are_read_in_each_form(content):
    assert read_ecb(content) == BOTH


def test_a_history_leaves_out_what_was_not_published():
    earlier = Published("USD", DAY - dt.timedelta(days=1), Decimal("1.0811"))

    assert read_ecb(packed(HISTORY)) == [*BOTH, earlier]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "Date"),
        (b"a;b\n1;2\n", "Date"),
        (b"<html></html>", "time"),
        (b"<a", "unclosed"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a time="2026-11-20"/>', "DOCTYPE"),
        (b"Date,USD\n2026-11-20,much\n", "much"),
        (b"Date,USD\n2026-11-20,-1\n", "-1"),
        (b"Date,USD\n2026-11-20,1e30\n", "1e30"),
        (b"Date,USD\n2026-11-20,10000000\n", "10000000"),
        (b"Date,USD\n2026-11-20,1E-14\n", "1E-14"),
        (packed(HISTORY * 99)[:60] + bytes(9) + packed(HISTORY * 99)[69:], "decompressing"),
        (b"Date,USD\nyesterday,1\n", "yesterday"),
        (b"Date,DOLLARS\n2026-11-20,1\n", "DOLLARS"),
        (b"PK\x03\x04 and then nothing", "zip"),
        (b"\xff\xfeD\x00", "decode"),
    ],
)
def test_another_file_is_refused_with_what_is_wrong(uow, content, told):
    with pytest.raises(InvalidInput) as caught:
        read_ecb(content)

    [message] = caught.value.errors["file"]
    assert "European Central Bank" in message
    assert told in message


def test_rates_are_stored_with_their_source_and_audited(uow):
    found = store_published(uow, BOTH)

    rows = uow.session.scalars(sa.select(ExchangeRate).order_by(ExchangeRate.id)).all()
    assert (found.added, found.latest) == (2, DAY)
    assert [(r.from_currency, r.to_currency, r.rate, r.source) for r in rows] == [
        ("EUR", "USD", Decimal("1.0825"), "ECB"),
        ("EUR", "JPY", Decimal("169.30"), "ECB"),
    ]
    audited = sa.select(AuditLog.record_uid).where(AuditLog.record_type == "exchange_rate")
    assert set(uow.session.scalars(audited)) == {row.uid for row in rows}


def test_one_currency_is_converted_over_the_euro(uow):
    store_published(uow, BOTH)

    assert rate_on(uow, "JPY", DAY) == Decimal("0.006393975192")  # 1.0825 / 169.30


def test_a_file_read_twice_adds_nothing_and_a_correction_changes_only_its_rate(uow):
    store_published(uow, BOTH)

    again = store_published(uow, [BOTH[0], Published("JPY", DAY, Decimal("169.31"))])

    assert (again.added, again.changed, again.unchanged, again.kept) == (0, 1, 1, 0)
    assert uow.session.scalar(sa.select(ExchangeRate.rate).where(ExchangeRate.to_currency == "JPY")) == Decimal(
        "169.31"
    )


def test_what_somebody_entered_stays(uow):
    add_exchange_rate(uow, from_currency="EUR", to_currency="USD", rate=Decimal("1.5"), valid_on=DAY)

    found = store_published(uow, BOTH)

    assert (found.added, found.kept) == (1, 1)
    assert rate_on(uow, "EUR", DAY) == Decimal("1.5")


@pytest.mark.parametrize(
    "changes", [{"rate": "1.25"}, {"rate": "1.25", "source": "ECB"}, {"rate": "1.25", "source": "Bank"}]
)
def test_what_somebody_corrected_stays_also_where_a_form_sends_the_source_as_it_was(uow, changes):
    store_published(uow, BOTH[:1])
    row = uow.session.scalars(sa.select(ExchangeRate)).one()

    update_record(uow, record_type("exchange_rate"), row.uid, changes, version=row.version)
    found = store_published(uow, BOTH[:1])

    assert (found.kept, found.changed) == (1, 0)
    assert (row.rate, row.source) == (Decimal("1.25"), "Bank" if changes.get("source") == "Bank" else None)


def test_a_rate_that_is_moved_to_another_day_is_not_the_banks_any_more(uow):
    store_published(uow, BOTH[:1])
    row = uow.session.scalars(sa.select(ExchangeRate)).one()
    changes = {"valid_on": "2026-11-19", "source": "ECB"}

    update_record(uow, record_type("exchange_rate"), row.uid, changes, version=row.version)

    assert row.source is None


def test_a_change_that_says_nothing_else_keeps_the_source(uow):
    store_published(uow, BOTH[:1])
    row = uow.session.scalars(sa.select(ExchangeRate)).one()
    changes = {"rate": "1.082500", "source": "ECB"}

    update_record(uow, record_type("exchange_rate"), row.uid, changes, version=row.version)

    assert (row.source, row.version) == ("ECB", 1)


def test_earlier_days_and_unknown_currencies_are_left_out(uow):
    told = [*BOTH, Published("XQQ", DAY, Decimal(1)), Published("USD", dt.date(1999, 1, 4), Decimal("1.1789"))]

    found = store_published(uow, told, since=DAY)

    assert (found.added, found.unknown) == (2, ("XQQ",))


def test_a_history_costs_as_many_statements_as_a_day(uow, count_queries):
    days = [Published("USD", DAY - dt.timedelta(days=n), Decimal("1.1")) for n in range(400)]

    with count_queries() as statements:
        store_published(uow, days)

    assert len(statements) <= 8


def test_fetching_asks_the_banks_address_by_the_guarded_way(monkeypatch):
    asked = []

    def answer(url, **options):
        asked.append((url, options["method"]))
        return Answer(status, {}, XML, truncated=False, milliseconds=1)

    monkeypatch.setattr(publishing, "send", answer)
    status = 200
    assert publishing.fetch_ecb("latest", policy=None) == XML
    assert asked == [("https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml", "GET")]
    status = 404
    with pytest.raises(Unreachable, match="404"):
        publishing.fetch_ecb("latest", policy=None)
