"""Finds the exchange rate that holds on a day: quoted as it is, the other way round, or over a third currency.

A quote holds from its day on until the next one of the same pair. Between two currencies the newer of both directions
counts, on the same day the one as it is asked for; only without either a cross rate is made, over the currency whose
older leg is newest. What is computed is rounded half-even to twelve decimals, once.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import TYPE_CHECKING

import sqlalchemy as sa

from crm_kernel.sales.models import ExchangeRate

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Decimals of a computed rate.
_TWELVE = Decimal("1E-12")
#: Largest rate a BIGINT × 10^12 holds, rounded down.
MAX_RATE = Decimal(9_000_000)

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Quote:
    """What one unit of a currency is worth in another."""

    rate: Decimal
    #: The day it is quoted for; of a cross rate the older of its two.
    day: dt.date
    #: ``direct``, ``inverse``, or ``cross``.
    how: str
    #: The third currency of a cross rate.
    over: str | None = None


@dataclass(slots=True)
class _Series:
    """The quotes of one pair, ascending by day."""

    days: list[dt.date] = field(default_factory=list)
    rates: list[Decimal] = field(default_factory=list)

    def on(self, day: dt.date) -> tuple[dt.date, Decimal] | None:
        """Return the day and value of the latest quote not after a day."""
        place = bisect_right(self.days, day)
        return (self.days[place - 1], self.rates[place - 1]) if place else None


def quotes_on(
    uow: UnitOfWork, currency: str, base: str, days: Collection[dt.date], *, max_days: int = 0
) -> dict[dt.date, Quote]:
    """Return day → what a currency was worth in another one; days without a usable quote are left out.

    One query, and two more where a cross rate must be made.

    Args:
        max_days: age in days beyond which a quote is not used; 0 for any.
    """
    table = ExchangeRate
    both = sa.or_(
        sa.and_(table.from_currency == currency, table.to_currency == base),
        sa.and_(table.from_currency == base, table.to_currency == currency),
    )
    pair = _load(uow, both, days, max_days)
    found = {day: quote for day in days if (quote := _fresh(_quoted(pair, currency, base, day), day, max_days))}
    missing = [day for day in days if day not in found]
    return found | _crossed(uow, currency, base, missing, max_days) if missing else found


def _crossed(
    uow: UnitOfWork, currency: str, base: str, days: Collection[dt.date], max_days: int
) -> dict[dt.date, Quote]:
    table = ExchangeRate
    mine = _load(uow, _touches(currency), days, max_days)
    pivots = {code for pair in mine for code in pair} - {currency, base}
    if not pivots:
        return {}
    third = sa.or_(table.from_currency.in_(pivots), table.to_currency.in_(pivots))
    legs = mine | _load(uow, sa.and_(_touches(base), third), days, max_days)
    made: dict[dt.date, Quote] = {}
    for day in days:
        crosses = [_fresh(_cross(legs, currency, base, over, day), day, max_days) for over in sorted(pivots)]
        if known := [quote for quote in crosses if quote]:
            made[day] = max(known, key=lambda quote: quote.day)
    return made


def _touches(currency: str) -> sa.ColumnElement[bool]:
    return sa.or_(ExchangeRate.from_currency == currency, ExchangeRate.to_currency == currency)


def _load(
    uow: UnitOfWork, which: sa.ColumnElement[bool], days: Collection[dt.date], max_days: int
) -> dict[Pair, _Series]:
    """Return the quotes that can hold on one of the days: those since the first of them, and of every pair the last before."""
    table, first, last = ExchangeRate, min(days), max(days)
    pair = (table.from_currency, table.to_currency)
    young = [table.valid_on >= first - dt.timedelta(days=max_days)] if max_days else []
    before = sa.select(*pair, sa.func.max(table.valid_on)).where(which, table.valid_on <= first, *young).group_by(*pair)
    query = sa.select(*pair, table.valid_on, table.rate)
    parts = [query.where(sa.tuple_(*pair, table.valid_on).in_(before))]
    if last > first:
        parts.append(query.where(which, table.valid_on > first, table.valid_on <= last))
    found: dict[Pair, _Series] = {}
    for source, target, day, rate in uow.session.execute(sa.union_all(*parts).order_by("valid_on")):
        series = found.setdefault((source, target), _Series())
        series.days.append(day)
        series.rates.append(rate)
    return found


def _quoted(series: Mapping[Pair, _Series], source: str, target: str, day: dt.date) -> Quote | None:
    direct = series[source, target].on(day) if (source, target) in series else None
    inverse = series[target, source].on(day) if (target, source) in series else None
    if direct and (not inverse or direct[0] >= inverse[0]):
        return Quote(direct[1], direct[0], "direct")
    if inverse is None:
        return None
    with localcontext(prec=60):
        return Quote(1 / inverse[1], inverse[0], "inverse")


def _cross(series: Mapping[Pair, _Series], source: str, target: str, over: str, day: dt.date) -> Quote | None:
    first, second = _quoted(series, source, over, day), _quoted(series, over, target, day)
    if first is None or second is None:
        return None
    with localcontext(prec=60):
        return Quote(first.rate * second.rate, min(first.day, second.day), "cross", over)


def _fresh(quote: Quote | None, day: dt.date, max_days: int) -> Quote | None:
    """Return a quote rounded as it is stored, or None where it is too old or too large or small to be kept."""
    if quote is None or (max_days and (day - quote.day).days > max_days):
        return None
    with localcontext(prec=60):
        rate = quote.rate.quantize(_TWELVE, rounding=ROUND_HALF_EVEN)
    return Quote(rate, quote.day, quote.how, quote.over) if 0 < rate <= MAX_RATE else None


def days_by_currency(pairs: Iterable[tuple[str, dt.date]]) -> dict[str, set[dt.date]]:
    """Return currency → the days of it among (currency, day)."""
    days: dict[str, set[dt.date]] = {}
    for currency, day in pairs:
        days.setdefault(currency, set()).add(day)
    return days
