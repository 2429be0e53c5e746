"""The dates and times that records may hold: one range for every field of every module, checked when a schema loads.

Years have four digits from 1000 on, which is what date inputs, ISO texts and spreadsheets agree about; nothing that
people do with customers lies beyond 3000, so that a "for ever" of 9999-12-31 is refused instead of counted with. Both
ends are far enough from Python's own (years 1 and 9999) that a time in the range has a date in every time zone.
"""

from __future__ import annotations

import datetime as dt

from flask_babel import gettext as _
from marshmallow import Schema, ValidationError
from marshmallow import fields as ma

from crm_kernel.database import utcnow
from crm_kernel.records.fields import Collection

#: First and last year that a date or time may lie in; a time's year is read in the zone it was written with.
EARLIEST_YEAR, LATEST_YEAR = 1000, 3000
#: Nobody who is a customer was born before this year.
EARLIEST_BIRTH = 1850
#: The first zone of a day is fourteen hours ahead of UTC.
_FURTHEST_EAST = dt.timedelta(hours=14)


def within_calendar(value: dt.date) -> None:
    """Check a date or a time against the range.

    Raises:
        ValidationError: the year lies outside of it.
    """
    if not EARLIEST_YEAR <= value.year <= LATEST_YEAR:
        message = _(
            "Found the year %(found)s, expected %(first)s to %(last)s; leave it empty if there is no such day.",
            found=value.year,
            first=EARLIEST_YEAR,
            last=LATEST_YEAR,
        )
        raise ValidationError(message)


def birthday(value: dt.date) -> None:
    """Check that somebody alive may have been born on a day; today is the day of the zone where it begins first.

    Raises:
        ValidationError: the day is still to come, or lies before 1850.
    """
    today = (utcnow() + _FURTHEST_EAST).date()
    if value > today:
        raise ValidationError(_("Found %(found)s, expected no day to come.", found=value.isoformat()))
    if value.year < EARLIEST_BIRTH:
        message = _("Found the year %(found)s, expected %(first)s or later.", found=value.year, first=EARLIEST_BIRTH)
        raise ValidationError(message)


def keep_to_calendar(schema: type[Schema]) -> None:
    """Give every date and time of a schema, and of those inside of it, the range check, once.

    The registry calls it for the schemas of all record types, actions and extensions, so that no module can forget it.
    """
    for field in schema._declared_fields.values():
        _bind(field)


def _bind(field: ma.Field) -> None:  # type: ignore[type-arg]
    if isinstance(field, ma.DateTime | ma.Date) and within_calendar not in field.validators:
        field.validators.append(within_calendar)
    elif isinstance(field, Collection):
        keep_to_calendar(field.part_schema)
    elif isinstance(field, ma.List):
        _bind(field.inner)
    elif isinstance(field, ma.Nested) and isinstance(field.nested, type):
        keep_to_calendar(field.nested)
