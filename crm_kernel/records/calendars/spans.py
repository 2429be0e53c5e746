"""The days that one page of a calendar shows: whole weeks of a month, a week, a day, or the days from one on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel.errors import InvalidInput
from crm_kernel.records.calendar import EARLIEST_YEAR, LATEST_YEAR
from crm_kernel.records.filter_tree.periods import shifted

#: How many days a page shows.
MONTH, WEEK, DAY, AGENDA = "month", "week", "day", "agenda"
SPANS: Mapping[str, object] = {MONTH: _l("Month"), WEEK: _l("Week"), DAY: _l("Day"), AGENDA: _l("Agenda")}
#: Days of an agenda.
AGENDA_DAYS = 31
_ONE = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Days:
    """The days of one page, in order, and the days that lead to the pages before and after."""

    span: str
    #: The day that was asked for.
    anchor: dt.date
    days: tuple[dt.date, ...]
    #: None where records cannot have dates any more.
    earlier: dt.date | None
    later: dt.date | None

    def outside(self, day: dt.date) -> bool:
        """Say whether a day fills up the weeks of a month and belongs to its neighbour."""
        return self.span == MONTH and (day.year, day.month) != (self.anchor.year, self.anchor.month)


def days_around(anchor: dt.date, span: str, first_weekday: int) -> Days:
    """Return the days of the page that a day is on; weeks begin with ``first_weekday`` (Monday is 0)."""
    start, end = _BOUNDS[span](anchor, first_weekday)
    days = tuple(dt.date.fromordinal(number) for number in range(start.toordinal(), end.toordinal()))
    step = {MONTH: (1, "months"), WEEK: (1, "weeks"), DAY: (1, "days"), AGENDA: (AGENDA_DAYS, "days")}[span]
    return Days(span, anchor, days, _moved(anchor, -step[0], step[1]), _moved(anchor, *step))


def span_named(text: str | None) -> str:
    """Return a span by its name; the month without one.

    Raises:
        InvalidInput: there is none of that name.
    """
    if not text:
        return MONTH
    if text not in SPANS:
        raise InvalidInput(
            {"span": [_("Found %(found)s, expected one of: %(known)s.", found=text[:20], known=", ".join(SPANS))]}
        )
    return text


def day_named(text: str | None, today: dt.date) -> dt.date:
    """Return the day that an address names; today without one.

    Raises:
        InvalidInput: it is no day, or lies outside of the years that records may hold.
    """
    if not text:
        return today
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or not EARLIEST_YEAR < day.year < LATEST_YEAR:
        raise InvalidInput({"day": [_("Found %(found)s, expected a day such as 2026-11-22.", found=text[:20])]})
    return day


def _moved(anchor: dt.date, number: int, unit: str) -> dt.date | None:
    try:
        found = shifted(anchor, number, unit)
    except ValueError:
        return None
    return found if EARLIEST_YEAR < found.year < LATEST_YEAR else None


def _week_of(day: dt.date, first_weekday: int) -> dt.date:
    return day - dt.timedelta(days=(day.weekday() - first_weekday) % 7)


def _month(day: dt.date, first_weekday: int) -> tuple[dt.date, dt.date]:
    first = day.replace(day=1)
    last = shifted(first, 1, "months") - _ONE
    return _week_of(first, first_weekday), _week_of(last, first_weekday) + 7 * _ONE


def _week(day: dt.date, first_weekday: int) -> tuple[dt.date, dt.date]:
    first = _week_of(day, first_weekday)
    return first, first + 7 * _ONE


#: Span → first day of its page, and the day after its last.
_BOUNDS: Mapping[str, Callable[[dt.date, int], tuple[dt.date, dt.date]]] = {
    MONTH: _month,
    WEEK: _week,
    DAY: lambda day, _first: (day, day + _ONE),
    AGENDA: lambda day, _first: (day, day + AGENDA_DAYS * _ONE),
}
