"""The page that takes a file of exchange rates: the same code as ``crm rates import``, for who may write rates."""

from __future__ import annotations

import io

import pytest
import sqlalchemy as sa

from crm_kernel.errors import UnitOfWorkError
from crm_kernel.sales import file_pages
from crm_kernel.sales.models import ExchangeRate
from crm_kernel.unit_of_work import current_uow

PAGE = "/exchange-rates/file"
HISTORY = b"Date,USD,JPY,XXQ,\n2026-11-20,1.0825,169.30,2,\n2026-11-19,1.0811,,2,\n"


@pytest.fixture
def stored(unit):
    """Return what is stored: (currency, day) in order."""

    def read():
        with unit() as uow:
            rows = uow.session.execute(sa.select(ExchangeRate.to_currency, ExchangeRate.valid_on))
            return sorted((code, str(day)) for code, day in rows)

    return read


def sent(content=HISTORY, **fields):
    return {"data": {"file": (io.BytesIO(content), "eurofxref.csv"), **fields}, "content_type": "multipart/form-data"}


def test_a_file_is_stored_and_the_page_says_what_became_of_it(login, stored):
    admin = login("administrator")

    first = admin.post(PAGE, **sent(since="2026-11-20"))
    told = admin.get(first.location).text
    again = admin.get(admin.post(PAGE, **sent()).location).text

    assert first.status_code == 303
    assert "Added: 2, changed: 0, as they were: 0." in told
    assert "Not known here: XXQ." in told
    assert "Added: 1, changed: 0, as they were: 2." in again
    assert stored() == [("JPY", "2026-11-20"), ("USD", "2026-11-19"), ("USD", "2026-11-20")]


@pytest.mark.parametrize(
    ("content", "fields", "told"),
    [
        (b"hello", {}, "Not a file of exchange rates"),
        (b"PK\x03\x04broken", {}, "Not a file of exchange rates"),
        (b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x/>', {}, "a DOCTYPE"),
        (HISTORY, {"since": "soon"}, "Not a valid date."),
    ],
)
def test_what_is_no_such_file_is_refused_and_nothing_is_stored(login, stored, content, fields, told):
    answer = login("administrator").post(PAGE, **sent(content, **fields))

    assert answer.status_code == 422
    assert told in answer.text
    assert stored() == []


def test_a_form_without_a_file_asks_for_one(login):
    answer = login("administrator").post(PAGE, data={})

    assert answer.status_code == 422
    assert "Choose a file." in answer.text


@pytest.mark.parametrize("grants", [{"exchange_rate.read": "all"}, {"exchange_rate.create": "all"}])
def test_who_may_not_add_and_change_rates_sees_no_page_and_stores_nothing(login, stored, grants):
    browser = login(grants=grants)

    assert PAGE not in browser.get("/").text
    assert browser.get(PAGE).status_code == 403
    assert browser.post(PAGE, **sent()).status_code == 403
    assert stored() == []


def test_who_may_add_and_change_rates_is_led_to_the_page(login):
    browser = login(grants={"exchange_rate.create": "all", "exchange_rate.update": "all"})

    assert PAGE in browser.get("/").text


def test_a_file_is_read_before_the_transaction_that_stores_it(login, stored, monkeypatch):
    def read_alone(content):
        with pytest.raises(UnitOfWorkError):
            current_uow()
        return read(content)

    read = file_pages.read_ecb
    monkeypatch.setattr(file_pages, "read_ecb", read_alone)

    assert login("administrator").post(PAGE, **sent()).status_code == 303
    assert len(stored()) == 3


def test_a_larger_file_than_is_taken_is_refused_by_its_size(login, stored, monkeypatch):
    monkeypatch.setattr(file_pages, "LARGEST", 3_000_000)
    browser = login("administrator")

    most = browser.post(PAGE, **sent(HISTORY.ljust(3_000_000, b"\n")))
    more = browser.post(PAGE, **sent(HISTORY.ljust(3_000_001, b"\n")))

    assert most.status_code == 303
    assert more.status_code == 422
    assert "Larger than 3 MB, the most that is taken." in more.text
