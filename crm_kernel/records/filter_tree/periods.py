"""Times that move with the clock: "this month", "the last 30 days", "-2w", in the time zone of whoever asks.

Every period is half-open: it begins at its start and ends before its end, so that neighbours neither overlap nor leave
a gap. Days begin at midnight of the reader's zone, which twice a year is not 24 hours after the last; weeks begin on
Monday. Hours are counted on the clock of the world, days and longer on the clock on the wall.
"""

from __future__ import annotations

import datetime as dt
import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from crm_kernel.records.calendar import EARLIEST_YEAR, LATEST_YEAR
from crm_kernel.records.filter_tree.nodes import Relative, Window

#: Units of a window; an hour has no meaning for a date without time.
UNITS = ("hours", "days", "weeks", "months", "years")

_OFFSET = re.compile(r"([+-])(\d{1,4})([hdwmy])", re.ASCII)
_LETTERS = {"h": "hours", "d": "days", "w": "weeks", "m": "months", "y": "years"}
_WINDOW = re.compile(r"(last|next)_(\d{1,4})_(hours|days|weeks|months|years)", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Clock:
    """Now, and the zone whose days are meant."""

    now: dt.datetime
    zone: dt.tzinfo

    @classmethod
    def of(cls, now: dt.datetime, timezone: str) -> Clock:
        """Return the clock of somebody in a time zone by its IANA name."""
        return cls(now, ZoneInfo(timezone))

    @property
    def today(self) -> dt.date:
        """The day it is there."""
        return self.now.astimezone(self.zone).date()

    def start_of(self, day: dt.date) -> dt.datetime:
        """Return the instant at which a day begins there, in UTC."""
        return dt.datetime.combine(day, dt.time(), self.zone).astimezone(dt.UTC)

    def shifted(self, number: int, unit: str) -> dt.datetime:
        """Return now plus a number of units, in UTC; the last day of a shorter month where the day does not exist."""
        if unit == "hours":
            return self.now + dt.timedelta(hours=number)
        wall = self.now.astimezone(self.zone)
        day = shifted(wall.date(), number, unit)
        return dt.datetime.combine(day, wall.time(), self.zone).astimezone(dt.UTC)


@dataclass(frozen=True, slots=True)
class Range:
    """From ``start`` on, before ``end``: two days, or two instants."""

    start: dt.date
    end: dt.date


def shifted(day: dt.date, number: int, unit: str) -> dt.date:
    """Return a day plus a number of days, weeks, months or years.

    Raises:
        ValueError: it lies outside of the years that records may hold.
    """
    if unit in ("days", "weeks"):
        days = number * (7 if unit == "weeks" else 1)
        return _kept(dt.date.fromordinal(min(max(day.toordinal() + days, 1), dt.date.max.toordinal())))
    months = day.year * 12 + day.month - 1 + number * (12 if unit == "years" else 1)
    year, month = divmod(months, 12)
    if not EARLIEST_YEAR <= year <= LATEST_YEAR:
        raise ValueError(f"the year {year}")
    return _kept(dt.date(year, month + 1, min(day.day, monthrange(year, month + 1)[1])))


def _kept(day: dt.date) -> dt.date:
    if not EARLIEST_YEAR <= day.year <= LATEST_YEAR:
        raise ValueError(f"the year {day.year}")
    return day


def _week(day: dt.date) -> dt.date:
    return day - dt.timedelta(days=day.weekday())


def _month(day: dt.date) -> dt.date:
    return day.replace(day=1)


def _quarter(day: dt.date) -> dt.date:
    return day.replace(month=day.month - (day.month - 1) % 3, day=1)


def _year(day: dt.date) -> dt.date:
    return day.replace(month=1, day=1)


#: Unit → first day of the one that a day lies in, and the length of one: (number, unit of ``shifted``).
_SPANS: Mapping[str, tuple[Callable[[dt.date], dt.date], int, str]] = {
    "week": (_week, 1, "weeks"),
    "month": (_month, 1, "months"),
    "quarter": (_quarter, 3, "months"),
    "year": (_year, 1, "years"),
}
_DAYS = {"today": 0, "yesterday": -1, "tomorrow": 1}
_TURNS = {"last": -1, "this": 0, "next": 1}
_STARTS = tuple(f"start_of_{unit}" for unit in _SPANS)

#: The periods that have a name.
PERIODS = (*_DAYS, *(f"{turn}_{unit}" for unit in _SPANS for turn in ("this", "last", "next")))
#: The moments that have a name.
MOMENTS = ("now", *_DAYS, *_STARTS)


def is_relative(text: str) -> bool:
    """Say whether a text names a moment by its distance from now."""
    return text in MOMENTS or _OFFSET.fullmatch(text) is not None


def window_of(text: str) -> Window | None:
    """Return the window that a URL spells (``last_30_days``), or None."""
    found = _WINDOW.fullmatch(text)
    return Window(found[1], int(found[2]), found[3]) if found else None


def is_day(text: str) -> bool:
    """Say whether a text has the form of an ISO day."""
    return _DAY.fullmatch(text) is not None


def days_of(text: str, clock: Clock) -> Range:
    """Return the days of a named period or of one ISO day.

    Raises:
        ValueError: it is neither, or lies outside of the years that records may hold.
    """
    if is_day(text):
        day = _kept(dt.date.fromisoformat(text))
        return Range(day, day + dt.timedelta(days=1))
    if text in _DAYS:
        day = clock.today + dt.timedelta(days=_DAYS[text])
        return Range(day, day + dt.timedelta(days=1))
    turn, _separator, unit = text.partition("_")
    if text not in PERIODS:
        raise ValueError(text)
    first, length, step = _SPANS[unit]
    start = shifted(first(clock.today), length * _TURNS[turn], step)
    return Range(start, shifted(start, length, step))


def window_days(window: Window, clock: Clock) -> Range:
    """Return the days of a window, today included: the last 30 days begin on the day 30 days ago.

    Raises:
        ValueError: the unit has no days, or the days lie outside of the years that records may hold.
    """
    if window.unit == "hours":
        raise ValueError("hours")
    one, today = dt.timedelta(days=1), clock.today
    if window.direction == "last":
        return Range(shifted(today, -window.number, window.unit), today + one)
    return Range(today, shifted(today, window.number, window.unit) + one)


def window_instants(window: Window, clock: Clock) -> Range:
    """Return the instants of a window: the last 30 days begin at this time of day, 30 days ago, and end now.

    Raises:
        ValueError: an end lies outside of the years that records may hold.
    """
    if window.direction == "last":
        return Range(clock.shifted(-window.number, window.unit), clock.now)
    return Range(clock.now, clock.shifted(window.number, window.unit))


def moment_of(relative: Relative, clock: Clock) -> dt.datetime | dt.date:
    """Return a relative time: an instant for ``now`` and distances, a day for the others.

    Raises:
        ValueError: it lies outside of the years that records may hold.
    """
    text = relative.text
    if text == "now":
        return clock.now
    if text in _DAYS:
        return clock.today + dt.timedelta(days=_DAYS[text])
    if text in _STARTS:
        return _SPANS[text.removeprefix("start_of_")][0](clock.today)
    found = _OFFSET.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return clock.shifted(int(found[1] + found[2]), _LETTERS[found[3]])
