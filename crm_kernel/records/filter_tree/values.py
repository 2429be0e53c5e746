"""Turns the values of comparisons into what columns hold, and names what does not fit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from flask_babel import gettext as _
from marshmallow import ValidationError
from marshmallow import fields as ma

from crm_kernel.errors import InvalidInput
from crm_kernel.records import fields
from crm_kernel.records.filter_tree import periods
from crm_kernel.records.filter_tree.nodes import Relative, Value, Window
from crm_kernel.records.filter_tree.periods import Clock, Range
from crm_kernel.records.messages import flatten
from crm_kernel.records.numbers import Misread
from crm_kernel.records.plan import Kind
from crm_kernel.records.storable import refuse_unstorable

if TYPE_CHECKING:
    from crm_kernel.records.catalogue import Entry

_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_DATES = (Kind.DATE, Kind.DATETIME)
_ORDER = ("lt", "lte", "gt", "gte")
#: A number of more digits than any column holds; Python would take minutes to write some of them out.
_MOST_DIGITS = 40


def truth(value: Value, path: str) -> bool:
    """Return what ``empty`` asks for.

    Raises:
        InvalidInput: it is neither true nor false.
    """
    if isinstance(value, bool):
        return value
    found = _TRUTH.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise InvalidInput({path: [_("Expected true or false, found %(found)s.", found=_shown(value))]})
    return found


def operand(entry: Entry, operator: str, value: Value, clock: Clock, path: str) -> Any:
    """Return what the column is compared with: one value, or a ``Range`` for days and periods.

    Raises:
        InvalidInput: the value does not fit the field or the operator; the error is named by ``path``.
    """
    try:
        if operator in ("contains", "startswith"):
            return _text(entry, value)
        if operator == "during":
            return _period(entry, value, clock)
        if entry.plan.kind in _DATES:
            return _date(entry, operator, value, clock)
        return _typed(entry, value)
    except ValidationError as error:
        raise InvalidInput({path: flatten(error.messages)[""]}) from error
    except (ValueError, ArithmeticError) as error:
        message = _("%(found)s cannot be compared with this field.", found=_shown(value))
        raise InvalidInput({path: [message]}) from error


def operands(entry: Entry, values: Sequence[Any], clock: Clock, path: str) -> list[Any]:
    """Return the values of ``in``.

    Raises:
        InvalidInput: one does not fit the field.
    """
    return [operand(entry, "in", value, clock, f"{path}[{place}]") for place, value in enumerate(values)]


def period(entry: Entry, value: Value, clock: Clock, path: str) -> Range:
    """Return the period that related rows must lie in.

    Raises:
        InvalidInput: it is none.
    """
    found = operand(entry, "during", value, clock, path)
    assert isinstance(found, Range)
    return found


def _text(entry: Entry, value: Value) -> str:
    if not isinstance(value, str):
        raise ValidationError(_("Expected text."))
    if not value:  # part of every text: it would leave nothing out
        raise ValidationError(_("Expected one value; whether there is one at all is asked by “is empty” (empty)."))
    refuse_unstorable(entry.column, value)
    return value


def _typed(entry: Entry, value: Value) -> Any:
    if value is None or isinstance(value, tuple | Relative | Window):
        raise ValidationError(_("Expected one value; whether there is one at all is asked by “is empty” (empty)."))
    if isinstance(value, Misread):
        raise ValidationError(value.expected)
    found = entry.plan.field.deserialize([value] if entry.kind == "multichoice" else value)
    if found is None:
        raise ValidationError(_("Expected one value; whether there is one at all is asked by “is empty” (empty)."))
    if isinstance(found, Decimal) and found.adjusted() > _MOST_DIGITS:
        raise ValueError("too many digits")
    if isinstance(entry.plan.field, ma.Integer) and found != Decimal(str(value)):
        raise ValidationError(_("Not a valid integer."))
    if not isinstance(entry.plan.field, fields.Reference):
        refuse_unstorable(entry.column, found)
    return found


def _date(entry: Entry, operator: str, value: Value, clock: Clock) -> Any:
    timed = entry.plan.kind is Kind.DATETIME
    if isinstance(value, Relative):
        if operator not in _ORDER:
            raise ValidationError(_("Times relative to now go with lt, lte, gt, gte; use “during” for periods."))
        found = periods.moment_of(value, clock)
    elif timed and isinstance(value, str) and periods.is_day(value):
        if operator == "in":
            raise ValidationError(_("A list takes points in time; use “during” for days."))
        found = dt.date.fromisoformat(value)
        periods.days_of(value, clock)
    else:
        return _typed(entry, _with_zone(value, clock) if timed else value)
    if not timed:
        return found.astimezone(clock.zone).date() if isinstance(found, dt.datetime) else found
    if isinstance(found, dt.datetime):
        return found
    return Range(clock.start_of(found), clock.start_of(found + dt.timedelta(days=1)))


def _with_zone(value: Value, clock: Clock) -> Value:
    """Read a time without a zone in the reader's, as his pages show it."""
    try:
        found = dt.datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return value  # the field says what is wrong with it
    return found.replace(tzinfo=clock.zone).isoformat() if found and found.tzinfo is None else value


def _period(entry: Entry, value: Value, clock: Clock) -> Range:
    timed = entry.plan.kind is Kind.DATETIME
    if isinstance(value, Window):
        if value.unit == "hours" and not timed:
            raise ValidationError(_("This field has no hours: use days."))
        return periods.window_instants(value, clock) if timed else periods.window_days(value, clock)
    if not isinstance(value, str) or not (value in periods.PERIODS or periods.is_day(value)):
        known = ", ".join(periods.PERIODS)
        raise ValidationError(_("Expected a day, a window such as last_30_days, or one of: %(known)s.", known=known))
    days = periods.days_of(value, clock)
    return Range(clock.start_of(days.start), clock.start_of(days.end)) if timed else days


def _shown(value: Value) -> str:
    text = "" if value is None else str(value.to_json() if isinstance(value, Relative | Window) else value)
    return text[:60].replace("\x00", "\\0")
