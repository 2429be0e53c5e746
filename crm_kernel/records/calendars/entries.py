"""Reads what stands on the days of a calendar: two queries whatever the number of days and records.

Each day is one arm of a UNION ALL: a range of the index with a limit, so that neither a crowded day nor a large table
makes a page dearer. Days are the reader's: a time stands on the day that it is in his zone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.records.calendars.dates import CalendarDates
from crm_kernel.records.filter_tree.periods import Clock
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan
from crm_kernel.records.projection import projection_of
from crm_kernel.records.reading import ListQuery, restrictions

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Records of one day are counted up to here; a page says "more than" beyond it.
MOST_COUNTED = 100
#: Length of written conditions from which on days are read one by one.
_LONG = 1_400
_ONE = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DayEntries:
    """The records of one day: the first of them in order, and how many there are."""

    day: dt.date
    #: Field → value, as a list reads them.
    items: tuple[dict[str, Any], ...]
    #: All of the day; ``MOST_COUNTED`` stands for as many or more.
    count: int


def entries_of(
    uow: UnitOfWork,
    plan: TypePlan,
    dates: CalendarDates,
    query: ListQuery,
    days: Sequence[dt.date],
    *,
    most: int,
) -> list[DayEntries]:
    """Return each day with its first ``most`` records, by start and key; ``query.fields`` are what is read of them.

    Raises:
        Forbidden: the query filters or sorts by a field that the actor may not see.
        InvalidInput: its tree names what the actor may not read.
    """
    found: dict[int, list[int]] = {number: [] for number in range(len(days))}
    for statement in _statements(_arms(uow, plan, dates, query, days), query):
        for number, key in uow.session.execute(statement):
            found[number].append(key)
    items = _items(uow, plan, query, {key for keys in found.values() for key in keys[:most]})
    return [
        DayEntries(day, tuple(items[key] for key in found[number][:most] if key in items), len(found[number]))
        for number, day in enumerate(days)
    ]


def _arms(
    uow: UnitOfWork, plan: TypePlan, dates: CalendarDates, query: ListQuery, days: Sequence[dt.date]
) -> list[sa.Select[Any]]:
    """Return one statement per day whose rows are (number of the day, key, start)."""
    model, limits = plan.record_type.model, restrictions(uow, plan, query)
    start: Any = plan.fields[dates.start].column
    clock = Clock.of(uow.now, uow.actor.timezone)
    return [
        sa.select(sa.literal_column(str(number), sa.Integer).label("day"), model.id.label("key"), start.label("at"))
        .where(*_on(plan, dates, day, clock), *limits)
        .order_by(start, model.id)
        .limit(MOST_COUNTED)
        for number, day in enumerate(days)
    ]


def _statements(arms: Sequence[sa.Select[Any]], query: ListQuery) -> Iterator[sa.Select[Any]]:
    """Yield what reads all arms, each day's keys in order: one statement, or one per day for long conditions.

    SQLite takes 32,766 parameters; a value of a condition is two characters at least, and stands in every arm.
    """
    many = len(str(query.tree)) + len(str(query.conditions)) > _LONG
    for together in [[arm] for arm in arms] if many else [arms]:
        united = sa.union_all(*(sa.select(arm.subquery()) for arm in together)).subquery()
        yield sa.select(united.c.day, united.c.key).order_by(united.c.day, united.c.at, united.c.key)


def _on(plan: TypePlan, dates: CalendarDates, day: dt.date, clock: Clock) -> tuple[sa.ColumnElement[bool], ...]:
    """Return what holds for the records of one day: a range of the index over the start first of all."""
    first = plan.fields[dates.start]
    start: Any = first.column
    begins, ends = _edges(first, day, clock)
    if dates.end is None:
        return start >= begins, start < ends
    earliest, _after = _edges(first, day - (dates.longest_days - 1) * _ONE, clock)
    end: Any = plan.fields[dates.end].column
    reaches = end >= begins if first.kind is Kind.DATE else end > begins
    return start >= earliest, start < ends, sa.or_(start >= begins, reaches)


def _edges(field: FieldPlan, day: dt.date, clock: Clock) -> tuple[Any, Any]:
    if field.kind is Kind.DATE:
        return day, day + _ONE
    return clock.start_of(day), clock.start_of(day + _ONE)


def _items(uow: UnitOfWork, plan: TypePlan, query: ListQuery, keys: set[int]) -> Mapping[int, dict[str, Any]]:
    if not keys:
        return {}
    projection = projection_of(uow.actor, plan, query.fields)
    statement = projection.statement.where(plan.record_type.model.id.in_(sorted(keys)))
    return {row[0]: projection.read(row) for row in uow.session.execute(statement)}
