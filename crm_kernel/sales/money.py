"""Conversion into the company's base currency: exact, rounded half-even once, never with a rate of the future."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.codes import currencies
from crm_kernel.sales.models import ExchangeRate

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Decimals of every amount.
CENT_OF_CENT = Decimal("0.0001")
#: Largest amount the database holds.
LARGEST = Decimal(2**63 - 1) * CENT_OF_CENT


def base_currency() -> str:
    """Return the ISO 4217 code that all base amounts are in: the setting ``base_currency``."""
    from crm_kernel._internal.runtime import runtime_of

    return runtime_of(current_app).config.base_currency


def local_day(moment: dt.datetime) -> dt.date:
    """Return the day of a time in the company's time zone: the day whose rate applies."""
    from crm_kernel._internal.runtime import runtime_of

    return moment.astimezone(ZoneInfo(runtime_of(current_app).config.timezone)).date()


def rounded(value: Decimal) -> Decimal:
    """Return an amount with four decimals, half to even."""
    with localcontext(prec=60):
        return value.quantize(CENT_OF_CENT, rounding=ROUND_HALF_EVEN)


def product(left: Decimal, right: Decimal) -> Decimal:
    """Return the exact product of two amounts or rates, rounded once to four decimals."""
    with localcontext(prec=60):
        return rounded(left * right)


def share(total: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Return the part of ``total`` that ``part`` is of ``whole``, rounded once to four decimals."""
    with localcontext(prec=60):
        return rounded(total * part / whole)


def rate_on(uow: UnitOfWork, currency: str, day: dt.date) -> Decimal:
    """Return what one unit of a currency was worth in the base currency: the latest rate not after the day; one query.

    Raises:
        InvalidInput: ``currency`` is no currency, or no rate is known for that day or before.
    """
    return rates_on(uow, [(currency, day)])[currency, day]


def rates_on(uow: UnitOfWork, wanted: Iterable[tuple[str, dt.date]]) -> dict[tuple[str, dt.date], Decimal]:
    """Return (currency, day) → rate for many at once; one query per foreign currency.

    Raises:
        InvalidInput: as for ``rate_on``.
    """
    base, found = base_currency(), dict[tuple[str, dt.date], Decimal]()
    days: dict[str, set[dt.date]] = {}
    for currency, day in wanted:
        days.setdefault(currency, set()).add(day)
    for currency, its_days in days.items():
        known = _rates(uow, currency, max(its_days)) if currency != base else [(dt.date.min, Decimal(1))]
        for day in its_days:
            rate = next((rate for valid_on, rate in known if valid_on <= day), None)
            if rate is None:
                raise _no_rate(currency, base, day)
            found[currency, day] = rate
    return found


def _rates(uow: UnitOfWork, currency: str, until: dt.date) -> list[tuple[dt.date, Decimal]]:
    """Return the rates of a currency up to a day, latest first."""
    if currency not in currencies():
        message = _("%(found)s is no ISO 4217 currency code; expected for example EUR.", found=currency)
        raise InvalidInput({"currency": [message]})
    table = ExchangeRate
    query = sa.select(table.valid_on, table.rate).where(
        table.from_currency == currency, table.to_currency == base_currency(), table.valid_on <= until
    )
    return [(row[0], row[1]) for row in uow.session.execute(query.order_by(table.valid_on.desc()))]


def _no_rate(currency: str, base: str, day: dt.date) -> InvalidInput:
    return InvalidInput(
        {
            "currency": [
                _(
                    "No exchange rate from %(currency)s to %(base)s is known on %(day)s or before. Add it under "
                    "Exchange rates, or from a file with the columns from_currency, to_currency, rate and valid_on: "
                    "crm import rates.csv --record exchange_rate",
                    currency=currency,
                    base=base,
                    day=day.isoformat(),
                )
            ]
        }
    )
