"""The meaning of a filter tree, written a second time: plain Python over plain rows, knowing nothing of SQL.

``fits(tree, row, world)`` follows the grammar's words alone. Rows are dicts of field → value; relations are callables
in ``world`` that give the rows related to one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

UNITS = {"h": "hours", "d": "days", "w": "weeks", "m": "months", "y": "years"}


@dataclass(frozen=True)
class World:
    """What surrounds the rows: the time, its zone, and the relations by name."""

    now: dt.datetime
    zone: ZoneInfo
    relations: Mapping[str, Callable[[Mapping[str, Any]], list[Mapping[str, Any]]]]


def fits(tree: Any, row: Mapping[str, Any], world: World) -> bool:
    if "and" in tree:
        return all(fits(part, row, world) for part in tree["and"])
    if "or" in tree:
        return any(fits(part, row, world) for part in tree["or"])
    if "not" in tree:
        return not fits(tree["not"], row, world)
    if "has" in tree:
        found = len(_related(tree, row, world))
        least = tree.get("at_least", 0 if "at_most" in tree else 1)
        return least <= found <= tree.get("at_most", found)
    if "sum" in tree:
        rows = [r for r in _related(tree, row, world) if tree.get("currency") in (None, r["currency"])]
        total = sum((r[tree["of"]] or Decimal(0) for r in rows), Decimal(0))
        return _ordered(tree["op"], total, Decimal(str(tree["value"])))
    return _leaf(row[tree["field"]], tree.get("op", "eq"), tree["value"], world)


def _related(tree: Any, row: Mapping[str, Any], world: World) -> list[Mapping[str, Any]]:
    rows = world.relations[tree.get("has") or tree["sum"]](row)
    if "within" in tree:
        name = tree.get("on", "created_at")
        rows = [r for r in rows if _leaf(r[name], "during", tree["within"], world)]
    return [r for r in rows if "where" not in tree or fits(tree["where"], r, world)]


def _leaf(found: Any, op: str, value: Any, world: World) -> bool:
    if op == "empty":
        return (found in (None, "")) is (value is True)
    if op == "ne":
        return not _leaf(found, "eq", value, world)
    if found is None:
        return False
    if op == "in":
        return any(_leaf(found, "eq", part, world) for part in value)
    if op == "contains":
        return value.lower() in found.lower()
    if op == "startswith":
        return found.lower().startswith(value.lower())
    if op == "during":
        start, end = _period(found, value, world)
        return start <= found < end
    if isinstance(found, dt.date):
        return _dated(found, op, value, world)
    wanted = Decimal(str(value)) if isinstance(found, Decimal) else type(found)(value)
    return _ordered(op, found, wanted)


def _ordered(op: str, left: Any, right: Any) -> bool:
    return {
        "eq": left == right, "ne": left != right, "lt": left < right,
        "lte": left <= right, "gt": left > right, "gte": left >= right,
    }[op]  # fmt: skip


def _dated(found: dt.date, op: str, value: Any, world: World) -> bool:
    timed = isinstance(found, dt.datetime)
    text = value["relative"] if isinstance(value, dict) else value
    moment = _moment(text, world)
    if not timed:
        return _ordered(op, found, moment.astimezone(world.zone).date() if isinstance(moment, dt.datetime) else moment)
    if isinstance(moment, dt.datetime):
        return _ordered(op, found, moment)
    # A day is compared whole, by the day it was there.
    return _ordered(op, found.astimezone(world.zone).date(), moment)


def _moment(text: str, world: World) -> dt.date:
    today = world.now.astimezone(world.zone).date()
    named = {
        "now": world.now,
        "today": today,
        "yesterday": today - dt.timedelta(days=1),
        "tomorrow": today + dt.timedelta(days=1),
        "start_of_week": today - dt.timedelta(days=today.weekday()),
        "start_of_month": today.replace(day=1),
        "start_of_quarter": today.replace(month=(today.month - 1) // 3 * 3 + 1, day=1),
        "start_of_year": today.replace(month=1, day=1),
    }
    if text in named:
        return named[text]
    if text[0] in "+-":
        return _moved(world, int(text[:-1]), UNITS[text[-1]])
    return dt.date.fromisoformat(text) if len(text) == 10 else dt.datetime.fromisoformat(text)


def _moved(world: World, number: int, unit: str) -> dt.datetime:
    if unit == "hours":
        return world.now + dt.timedelta(hours=number)
    wall = world.now.astimezone(world.zone).replace(tzinfo=None)
    if unit in ("days", "weeks"):
        wall += dt.timedelta(days=number * (7 if unit == "weeks" else 1))
    else:
        wall = _months_later(wall, number * (12 if unit == "years" else 1))
    return wall.replace(tzinfo=world.zone).astimezone(dt.UTC)


def _months_later(wall: dt.datetime, months: int) -> dt.datetime:
    first = wall.year * 12 + wall.month - 1 + months
    for day in (wall.day, 30, 29, 28):
        try:
            return wall.replace(year=first // 12, month=first % 12 + 1, day=day)
        except ValueError:
            continue
    raise AssertionError(wall)


def _period(found: dt.date, value: Any, world: World) -> tuple[dt.date, dt.date]:
    timed = isinstance(found, dt.datetime)
    if isinstance(value, dict):
        return _window(value, world, timed=timed)
    start, end = _days(value, world)
    if not timed:
        return start, end
    midnight = dt.time()
    return dt.datetime.combine(start, midnight, world.zone), dt.datetime.combine(end, midnight, world.zone)


def _window(value: Any, world: World, *, timed: bool) -> tuple[dt.date, dt.date]:
    if "unit" not in value:
        ((unit, number),) = value.items()
        value = {"last": number, "unit": unit}
    back = "last" in value
    other = _moved(world, -value["last"] if back else value["next"], value["unit"])
    start, end = (other, world.now) if back else (world.now, other)
    if timed:
        return start, end
    days = [moment.astimezone(world.zone).date() for moment in (start, end)]
    return days[0], days[1] + dt.timedelta(days=1)


def _days(text: str, world: World) -> tuple[dt.date, dt.date]:
    today = world.now.astimezone(world.zone).date()
    one = dt.timedelta(days=1)
    days = {"today": 0, "yesterday": -1, "tomorrow": 1}
    if text in days:
        return today + days[text] * one, today + (days[text] + 1) * one
    if text[0].isdigit():
        return dt.date.fromisoformat(text), dt.date.fromisoformat(text) + one
    turn, unit = text.split("_")
    start = _moment(f"start_of_{unit}", world)
    offset = {"last": -1, "this": 0, "next": 1}[turn]
    if unit == "week":
        return start + offset * 7 * one, start + (offset + 1) * 7 * one
    length = {"month": 1, "quarter": 3, "year": 12}[unit]
    whole = dt.datetime.combine(start, dt.time())
    return _months_later(whole, offset * length).date(), _months_later(whole, (offset + 1) * length).date()
