"""The rhythms people choose a schedule's times by: every hour, every day, on days of the week, or a cron expression.

Pure: a rhythm is only another way to write five fields, and what it cannot say stays an expression.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from crm_kernel.jobs.cron import InvalidSchedule, checked_cron

HOURLY, DAILY, WEEKLY, CRON = "hourly", "daily", "weekly", "cron"
#: Sunday is 0, as cron counts; in the order a week is written in.
DAYS = ("1", "2", "3", "4", "5", "6", "0")

_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_HOURLY = re.compile(r"([0-5]?\d) \* \* \* \*")
_CLOCK = re.compile(r"([0-5]?\d) ([01]?\d|2[0-3]) \* \* (\*|[0-6](?:,[0-6])*)")


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A schedule's times as a form shows and sends them: texts, of which the kind uses its own."""

    kind: str
    #: ``HH:MM`` of a daily or weekly one.
    time: str = "03:00"
    #: Minutes past the hour of an hourly one.
    minute: str = "0"
    #: Days of a weekly one: ``0`` for Sunday to ``6``.
    days: tuple[str, ...] = ("1",)
    cron: str = ""


def rhythm_of(cron: str) -> Rhythm:
    """Return the rhythm that a checked expression is written as; ``cron`` for one that is more than the others say."""
    if hourly := _HOURLY.fullmatch(cron):
        return Rhythm(HOURLY, minute=hourly[1], cron=cron)
    clock = _CLOCK.fullmatch(cron)
    if clock is None:
        return Rhythm(CRON, cron=cron)
    time = f"{int(clock[2]):02}:{int(clock[1]):02}"
    if clock[3] == "*":
        return Rhythm(DAILY, time=time, cron=cron)
    return Rhythm(WEEKLY, time=time, days=tuple(clock[3].split(",")), cron=cron)


def cron_of(rhythm: Rhythm) -> str:
    """Return the five fields of a rhythm.

    Raises:
        InvalidSchedule: it lacks its time, minute or days, or the expression never fires.
    """
    if rhythm.kind == HOURLY:
        return checked_cron(f"{_minute(rhythm.minute)} * * * *")
    if rhythm.kind == DAILY:
        return checked_cron(f"{_clock(rhythm.time)} * * *")
    if rhythm.kind == WEEKLY:
        return checked_cron(f"{_clock(rhythm.time)} * * {_week(rhythm.days)}")
    return checked_cron(rhythm.cron)


def _clock(text: str) -> str:
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise InvalidSchedule(f"time {text!r}: expected hours and minutes such as 03:30")
    return f"{int(found[2])} {int(found[1])}"


def _minute(text: str) -> int:
    if not re.fullmatch(r"[0-5]?[0-9]", text.strip()):
        raise InvalidSchedule(f"minute {text!r}: expected 0 to 59")
    return int(text)


def _week(days: Sequence[str]) -> str:
    chosen = [day for day in DAYS if day in days]
    if not chosen:
        raise InvalidSchedule("days: none chosen, expected at least one day of the week")
    return ",".join(chosen)
