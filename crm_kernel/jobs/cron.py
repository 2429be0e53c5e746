"""When a cron expression fires, in a time zone with its clock changes. Pure: no database, no clock of its own.

A local time that a clock change leaves out fires once, at the end of the gap; one that comes twice fires the first time.
Only an expression with ``*`` as its hour goes by elapsed time: every quarter of an hour stays every quarter of an hour.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import ClassVar
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter

from crm_kernel.errors import CrmError, InvalidInput

_SECOND = dt.timedelta(seconds=1)
_FIELDS = 5


class InvalidSchedule(CrmError):
    """A cron expression or a time zone cannot be used; the text says what was found and what is expected."""

    status: ClassVar[int] = InvalidInput.status
    title: ClassVar[str] = InvalidInput.title


def checked_cron(expression: str) -> str:
    """Return an expression with single spaces, checked to fire at all.

    Raises:
        InvalidSchedule: it has not five fields, one is out of range, or no date ever fits it.
    """
    cleaned = " ".join(expression.split())
    expected = "expected minute, hour, day of month, month and day of week, for example 30 3 * * 1-5"
    # croniter would take seconds, random and hashed fields too: nobody could say when the next one is.
    if len(cleaned.split(" ")) != _FIELDS or not _is_plain(cleaned):
        raise InvalidSchedule(f"schedule {expression!r}: {expected}")
    try:
        croniter(cleaned, dt.datetime(2026, 1, 1)).get_next(dt.datetime)  # noqa: DTZ001  local times have no zone
    except (CroniterError, ValueError, KeyError, OverflowError) as error:
        raise InvalidSchedule(f"schedule {expression!r}: {' '.join(str(error).split())}; {expected}") from error
    return cleaned


@lru_cache(maxsize=64)
def checked_zone(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name.

    Raises:
        InvalidSchedule: there is none.
    """
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise InvalidSchedule(f"time zone {name!r}: unknown, expected a name such as Europe/Paris") from error


def next_fire(expression: str, zone: str, after: dt.datetime) -> dt.datetime:
    """Return the first moment after ``after`` at which a checked expression fires; UTC.

    Raises:
        InvalidSchedule: the zone is unknown.
    """
    tz, after = checked_zone(zone), after.replace(microsecond=0)  # no zone changes between two seconds
    elapsed = expression.split()[1] == "*"
    return _next_elapsed(expression, tz, after) if elapsed else _next_on_the_clock(expression, tz, after)


def _next_on_the_clock(expression: str, tz: ZoneInfo, after: dt.datetime) -> dt.datetime:
    times = croniter(expression, after.astimezone(tz).replace(tzinfo=None))
    while True:
        fires = _moment(times.get_next(dt.datetime), tz)
        if fires > after:
            return fires


def _moment(local: dt.datetime, tz: ZoneInfo) -> dt.datetime:
    """Return when a local time is: the first of two, the end of the gap if there is none."""
    first = local.replace(tzinfo=tz, fold=0).astimezone(dt.UTC)
    if first.astimezone(tz).replace(tzinfo=None) == local:
        return first
    return _change_between(local.replace(tzinfo=tz, fold=1).astimezone(dt.UTC), first, tz)


def _next_elapsed(expression: str, tz: ZoneInfo, after: dt.datetime) -> dt.datetime:
    offset = _offset(after, tz)
    fires = _next_at(expression, after, offset)
    if _offset(fires, tz) == offset:
        return fires
    change = _change_between(after, fires, tz)
    return _next_at(expression, change - _SECOND, _offset(change, tz))


def _next_at(expression: str, after: dt.datetime, offset: dt.timedelta) -> dt.datetime:
    local = (after + offset).replace(tzinfo=None)
    found: dt.datetime = croniter(expression, local).get_next(dt.datetime)
    return (found - offset).replace(tzinfo=dt.UTC)


def _offset(moment: dt.datetime, tz: ZoneInfo) -> dt.timedelta:
    found = moment.astimezone(tz).utcoffset()
    return found if found is not None else dt.timedelta()


def _change_between(early: dt.datetime, late: dt.datetime, tz: ZoneInfo) -> dt.datetime:
    """Return the second at which the zone's offset has become that of ``late``; both are whole seconds."""
    offset = _offset(late, tz)
    while late - early >= 2 * _SECOND:  # less has no whole second in between: it would be halved for ever
        middle = early + ((late - early) // 2 // _SECOND) * _SECOND
        if _offset(middle, tz) == offset:
            late = middle
        else:
            early = middle
    return late


def _is_plain(expression: str) -> bool:
    # Names of days and months hold an R or an H; nothing else that is plain does.
    names = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC MON TUE WED THU FRI SAT SUN"
    left = expression.upper()
    for name in names.split():
        left = left.replace(name, "0")
    return set(left) <= set("0123456789*/,- ")
