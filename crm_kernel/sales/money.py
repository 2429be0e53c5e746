"""Conversion into the company's base currency: exact, rounded half-even once, never with a rate of the future.

Base amounts keep four decimals, so that sums over them are exact; how many decimals of a currency people see is ISO 4217's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from flask import current_app
from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.codes import currencies
from crm_kernel.sales.quotes import Quote, days_by_currency, quotes_on

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
    """Return what one unit of a currency was worth in the base currency on a day; one query, three for a cross rate.

    Raises:
        InvalidInput: ``currency`` is no currency, or no rate that is young enough is known for that day or before.
    """
    return rates_on(uow, [(currency, day)])[currency, day]


def rates_on(uow: UnitOfWork, wanted: Iterable[tuple[str, dt.date]]) -> dict[tuple[str, dt.date], Decimal]:
    """Return (currency, day) → rate for many at once; one query per foreign currency, three for cross rates.

    Which rate holds on a day is said in ``crm_kernel.sales.quotes``.

    Raises:
        InvalidInput: as for ``rate_on``.
    """
    rates, missing = rates_and_reasons(uow, list(wanted))
    for reason in missing.values():
        raise InvalidInput({"currency": [reason]})
    return rates


def rates_and_reasons(
    uow: UnitOfWork, wanted: Collection[tuple[str, dt.date]]
) -> tuple[dict[tuple[str, dt.date], Decimal], dict[tuple[str, dt.date], str]]:
    """Return (currency, day) → rate, and for the pairs without one why not; as many queries as ``rates_on``, twice if any."""
    quotes = base_quotes_on(uow, wanted)
    missing = [pair for pair in wanted if pair not in quotes]
    old = base_quotes_on(uow, missing, any_age=True) if missing and max_rate_days() else {}
    reasons = {pair: _why_none(*pair, old.get(pair)) for pair in missing}
    return {pair: quotes[pair].rate for pair in wanted if pair in quotes}, reasons


def base_quotes_on(
    uow: UnitOfWork, wanted: Iterable[tuple[str, dt.date]], *, any_age: bool = False
) -> dict[tuple[str, dt.date], Quote]:
    """Return (currency, day) → the quote into the base currency that holds; pairs without one are left out.

    As many queries as ``rates_on``.

    Args:
        any_age: a quote older than the setting ``rate_days`` is one too.
    """
    base, found = base_currency(), dict[tuple[str, dt.date], Quote]()
    for currency, days in days_by_currency(wanted).items():
        if currency == base:
            quotes = {day: Quote(Decimal(1), day, "direct") for day in days}
        else:
            quotes = quotes_on(uow, currency, base, days, max_days=0 if any_age else max_rate_days())
        found |= {(currency, day): quote for day, quote in quotes.items()}
    return found


def max_rate_days() -> int:
    """Return the age in days beyond which a rate is not used: the setting ``rate_days``; 0 for any."""
    from crm_kernel._internal.runtime import runtime_of

    return runtime_of(current_app).config.rate_days


def _why_none(currency: str, day: dt.date, old: Quote | None) -> str:
    if currency not in currencies():
        return str(_("%(found)s is no ISO 4217 currency code; expected for example EUR.", found=currency))
    base = base_currency()
    if old is not None:
        return _too_old(currency, base, day, old)
    text: str = _(
        "No exchange rate from %(currency)s to %(base)s is known on %(day)s or before. Add it under "
        "Exchange rates, or from a file with the columns from_currency, to_currency, rate and valid_on: "
        "crm import rates.csv --record exchange_rate",
        currency=currency,
        base=base,
        day=day.isoformat(),
    )
    return text


def _too_old(currency: str, base: str, day: dt.date, known: Quote) -> str:
    text: str = _(
        "The latest exchange rate from %(currency)s to %(base)s before %(day)s is of %(known)s: older than the %(days)s "
        "days of the setting rate_days. Add a newer one: crm rates set %(currency)s RATE --on %(day)s",
        currency=currency,
        base=base,
        day=day.isoformat(),
        known=known.day.isoformat(),
        days=max_rate_days(),
    )
    return text
