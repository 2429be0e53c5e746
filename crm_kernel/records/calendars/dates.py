"""The part of a record type's declaration that says where its records stand in a calendar."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarDates:
    """Where a record stands in a calendar: on the day of one field, or on all days from there to another's.

    Both are dates, or both times; a time that ends at midnight does not reach into the day that begins then. The table
    has an index that begins with ``start``.
    """

    start: str
    #: Field with the last day or the end; None, or a row without a value, for one day.
    end: str | None = None
    #: A record is shown on so many days from its start at most. It bounds what one page reads: a row that began earlier
    #: is not looked for.
    longest_days: int = 31
