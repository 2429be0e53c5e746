"""The figures of pipelines, each from one SQL aggregate over what the actor may see.

Amounts are in the company's base currency: currencies are never mixed. The median is taken from the distribution of
days, which is small however many opportunities there are, so both databases give the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.models import AppUser
from crm_kernel.access.policy import visible
from crm_kernel.records.plan import record_type
from crm_sfa.opportunities.ledger import base_currency
from crm_sfa.opportunities.models import Opportunity
from crm_sfa.opportunities.queries import conversion
from crm_sfa.pipelines.choices import LOST, OPEN, WON
from crm_sfa.pipelines.models import Pipeline, Stage
from crm_sfa.reports.days import days_between
from crm_sfa.reports.scope import ReportScope, conditions, in_period, open_or_in_period

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Name of the slice of what has no region, no owner or no close date.
UNKNOWN = "unknown"
_FOUR = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts by status and the value of what was won."""

    won: int = 0
    lost: int = 0
    open: int = 0
    won_value: Decimal = Decimal(0)
    open_value: Decimal = Decimal(0)
    #: Won ones whose amount is not known: counted as won, worth nothing here.
    won_without_value: int = 0
    #: Open ones with an amount whose exchange rate is not known: not in ``open_value``.
    unvalued: int = 0
    #: The oldest day whose rate is in ``open_value``; None where all of it is in the base currency.
    rates_since: dt.date | None = None

    @property
    def win_rate(self) -> float | None:
        """Won of won and lost, to five decimals; None before anything closed."""
        closed = self.won + self.lost
        return round(self.won / closed, 5) if closed else None

    @property
    def mean_won_value(self) -> Decimal | None:
        """Mean value of the won ones whose amount is known, to four decimals."""
        valued = self.won - self.won_without_value
        return (self.won_value / valued).quantize(_FOUR) if valued else None


@dataclass(frozen=True, slots=True)
class DaysToWin:
    """How long won opportunities took from the day they began to the day they were won."""

    median: float | None
    #: To three decimals.
    mean: float | None


@dataclass(frozen=True, slots=True)
class Slice:
    """Won opportunities that share a region, a month or an owner."""

    #: What they share: a region, ``2017-03``, an owner's name; None for what has none.
    key: str | None
    deals: int
    value: Decimal
    #: The owner's public id, where he is one the actor may see.
    uid: UUID | None = None


@dataclass(frozen=True, slots=True)
class StageLoad:
    """What stands in an open stage."""

    uid: UUID
    name: str
    pipeline: str
    probability: int
    deals: int
    value: Decimal

    @property
    def weighted(self) -> Decimal:
        """The value times the stage's probability."""
        return (self.value * self.probability / 100).quantize(_FOUR)


def totals_of(uow: UnitOfWork, scope: ReportScope) -> Totals:
    """Return counts and values by status; one query."""
    unknown = sa.func.count(sa.case((Opportunity.amount.is_(None), 1)))
    statement = (
        sa.select(Opportunity.status, sa.func.count(), sa.func.sum(Opportunity.base_amount), unknown, *conversion())
        .where(*conditions(uow, scope), open_or_in_period(scope))
        .group_by(Opportunity.status)
    )
    found = {row[0]: row[1:] for row in uow.session.execute(statement)}
    won, lost, still = (found.get(status, (0, None, 0, 0, None)) for status in (WON, LOST, OPEN))
    return Totals(won[0], lost[0], still[0], won[1] or Decimal(0), still[1] or Decimal(0), won[2], *still[3:])


def days_to_win(uow: UnitOfWork, scope: ReportScope) -> DaysToWin:
    """Return median and mean of the days to win; one query."""
    days = days_between(Opportunity.opened_on, Opportunity.close_date)
    statement = (
        sa.select(days, sa.func.count())
        .where(Opportunity.close_date.is_not(None), *_won(uow, scope))
        .group_by(days)
        .order_by(days)
    )
    distribution = [(int(row[0]), int(row[1])) for row in uow.session.execute(statement)]
    count = sum(times for _days, times in distribution)
    if not count:
        return DaysToWin(None, None)
    mean = sum(value * times for value, times in distribution) / count
    return DaysToWin(median_of(distribution), round(mean, 3))


def median_of(distribution: Sequence[tuple[int, int]]) -> float | None:
    """Return the median of an ascending distribution of (value, times); the mean of the two middle ones if even."""
    count = sum(times for _value, times in distribution)
    if not count:
        return None
    low, high = _at(distribution, (count - 1) // 2), _at(distribution, count // 2)
    return low if low == high else (low + high) / 2


def won_by_region(uow: UnitOfWork, scope: ReportScope) -> list[Slice]:
    """Return what was won per region, by name; one query."""
    return _slices(uow, scope, Opportunity.region)


def won_by_month(uow: UnitOfWork, scope: ReportScope) -> list[Slice]:
    """Return what was won per month of closing (``2017-03``), in order; months without a win are left out; one query."""
    year, month = sa.extract("year", Opportunity.close_date), sa.extract("month", Opportunity.close_date)
    statement = (
        sa.select(year, month, sa.func.count(), sa.func.sum(Opportunity.base_amount))
        .where(*_won(uow, scope))
        .group_by(year, month)
    )
    found = [
        Slice(None if row[0] is None else f"{int(row[0])}-{int(row[1]):02}", row[2], row[3] or Decimal(0))
        for row in uow.session.execute(statement)
    ]
    return sorted(found, key=lambda part: part.key or "9999")


def by_quarter(months: Iterable[Slice]) -> list[Slice]:
    """Return months put together to quarters (``2017Q1``), in order."""
    found: dict[str | None, Slice] = {}
    for part in months:
        key = part.key and f"{part.key[:4]}Q{(int(part.key[5:]) + 2) // 3}"
        so_far = found.get(key, Slice(key, 0, Decimal(0)))
        found[key] = Slice(key, so_far.deals + part.deals, so_far.value + part.value)
    return list(found.values())


def won_by_rep(uow: UnitOfWork, scope: ReportScope) -> list[Slice]:
    """Return what was won per owner, the largest value first; one query."""
    seen = sa.and_(AppUser.id == Opportunity.owner_id, visible(uow.actor, record_type("user")))
    value = sa.func.sum(Opportunity.base_amount)
    statement = (
        sa.select(Opportunity.owner_id, AppUser.name, AppUser.uid, sa.func.count(), value)
        .outerjoin(AppUser, seen)
        .where(*_won(uow, scope))
        .group_by(Opportunity.owner_id, AppUser.name, AppUser.uid)
    )
    found = [
        Slice(_("(hidden)") if row[0] is not None and row[1] is None else row[1], row[3], row[4] or Decimal(0), row[2])
        for row in uow.session.execute(statement)
    ]
    return sorted(found, key=lambda part: (-part.value, part.key or ""))


def funnel_of(uow: UnitOfWork, scope: ReportScope) -> list[StageLoad]:
    """Return the open stages of the active pipelines (or the scope's) in order, with what stands in them; one query."""
    inside = sa.and_(Opportunity.stage_id == Stage.id, *conditions(uow, scope))
    statement = (
        sa.select(
            Stage.uid,
            Stage.name,
            Pipeline.name,
            Stage.probability,
            sa.func.count(Opportunity.id),
            sa.func.sum(Opportunity.base_amount),
        )
        .join(Pipeline, Pipeline.id == Stage.pipeline_id)
        .outerjoin(Opportunity, inside)
        .where(Stage.category == OPEN, Pipeline.uid == scope.pipeline if scope.pipeline else Pipeline.active)
        .group_by(
            Pipeline.position,
            Pipeline.id,
            Pipeline.name,
            Stage.position,
            Stage.id,
            Stage.uid,
            Stage.name,
            Stage.probability,
        )
        .order_by(Pipeline.position, Pipeline.id, Stage.position, Stage.id)
    )
    return [StageLoad(*row[:5], row[5] or Decimal(0)) for row in uow.session.execute(statement)]


def pipeline_report(uow: UnitOfWork, scope: ReportScope | None = None) -> dict[str, Any]:
    """Return the report of ``crm sfa report``: counts, values, rates, and the won value by region, quarter and owner.

    Amounts are Decimals in the base currency, which ``currency`` names. Slices are mappings of name → value; what has
    no region, owner or close date is under ``unknown``. Five queries.
    """
    scope = scope or ReportScope()
    totals, days = totals_of(uow, scope), days_to_win(uow, scope)
    return {
        "currency": base_currency(),
        "won": totals.won,
        "lost": totals.lost,
        "open": totals.open,
        "won_value": totals.won_value,
        "win_rate": totals.win_rate,
        "mean_won_value": totals.mean_won_value,
        "median_days_to_win": days.median,
        "mean_days_to_win": days.mean,
        "won_without_value": totals.won_without_value,
        "by_region": _as_mapping(won_by_region(uow, scope)),
        "by_quarter": _as_mapping(by_quarter(won_by_month(uow, scope))),
        "by_rep": _as_mapping(won_by_rep(uow, scope)),
    }


def _won(uow: UnitOfWork, scope: ReportScope) -> list[sa.ColumnElement[bool]]:
    return [Opportunity.status == WON, *conditions(uow, scope), *in_period(scope)]


def _slices(uow: UnitOfWork, scope: ReportScope, column: Any) -> list[Slice]:
    statement = (
        sa.select(column, sa.func.count(), sa.func.sum(Opportunity.base_amount))
        .where(*_won(uow, scope))
        .group_by(column)
    )
    found = [Slice(row[0], row[1], row[2] or Decimal(0)) for row in uow.session.execute(statement)]
    return sorted(found, key=lambda part: (part.key is None, part.key))


def _as_mapping(slices: Iterable[Slice]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for part in slices:
        name = UNKNOWN if part.key is None else part.key
        # Two owners of one name are two: the second one's line says so.
        found[name if name not in found else f"{name} ({part.uid})"] = part.value
    return found


def _at(distribution: Sequence[tuple[int, int]], place: int) -> int:
    for value, times in distribution:
        if place < times:
            return value
        place -= times
    raise IndexError(place)
