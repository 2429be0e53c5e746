"""How one file writes its numbers, dates and times, and how they are brought into the form the schema reads.

What the mapping does not say is found out from the first rows of the columns that hold numbers and dates.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.importing.detection import Found, detect_dates, detect_decimal
from crm_kernel.records.importing.rows import Settled
from crm_kernel.records.importing.transforms import decimal_comma, decimal_point, transform_of
from crm_kernel.records.plan import FieldPlan, Kind

if TYPE_CHECKING:
    from crm_kernel.records.importing.mapping import Column, SourceSpec
    from crm_kernel.records.importing.sources import Source
    from crm_kernel.records.importing.targets import Target

_FORMS = {"day-first": ("%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y"), "month-first": ("%m/%d/%Y", "%m.%d.%Y", "%m-%d-%Y")}
_NUMBERS, _DATES = (Kind.NUMBER, Kind.MONEY), (Kind.DATE, Kind.DATETIME)


@dataclass(frozen=True, slots=True)
class Conventions:
    """The decimal sign, the forms of dates (of ``strptime``; none: ISO 8601) and the time zone of a file."""

    decimal: str | None = None
    dates: tuple[str, ...] = ()
    zone: dt.tzinfo = dt.UTC
    #: What was found out, for the result.
    detected: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: SourceSpec, source: Source, columns: Iterable[tuple[Column, Target]]) -> Conventions:
        """Return a file's conventions: those of the mapping, else those its first rows show.

        Raises:
            InvalidInput: they show two, or the time zone is unknown.
        """
        pairs = [(column, target) for column, target in columns if not column.transform]
        numbers = [c.name for c, t in pairs if t.field is not None and t.field.kind in _NUMBERS]
        dates = [c.name for c, t in pairs if t.field is not None and t.field.kind in _DATES]
        detected: dict[str, str] = {}
        decimal = spec.decimal
        forms: tuple[str, ...] = (spec.dates,) if spec.dates else ()
        if decimal is None and (found := _asked(source, numbers, detect_decimal)):
            decimal, detected["decimal"] = found.value, str(found)
        if not forms and (found := _asked(source, dates, detect_dates)):
            forms, detected["dates"] = _FORMS[found.value], str(found)
        return cls(decimal, forms, _zone(spec.timezone, source.name), detected)


def reader_of(field: FieldPlan | None, conventions: Conventions) -> Callable[[str], str] | None:
    """Return what brings a text of the file into the form the field's schema reads, or None for "as it is"."""
    if field is None:
        return None
    if field.kind in _NUMBERS and conventions.decimal:
        return decimal_comma if conventions.decimal == "," else decimal_point
    if field.kind is Kind.DATE and conventions.dates:
        return lambda text: _iso(text, conventions.dates)
    if field.kind is Kind.DATETIME:
        return lambda text: _moment(text, conventions)
    return None


def _asked(source: Source, columns: list[str], detect: Callable[[Iterable[str]], Found | None]) -> Found | None:
    texts = (row.get(column) for row in source.sample for column in columns)
    try:
        return detect(text for text in texts if isinstance(text, str) and not isinstance(text, Settled) and text)
    except InvalidInput as error:
        raise InvalidInput({f"{source.name} ({', '.join(columns)})": error.errors[""]}) from error


def _zone(name: str, file: str) -> dt.tzinfo:
    try:
        return dt.UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(
            {f"{file}: timezone": [_("found %(found)r, expected for example Europe/Paris.", found=name)]}
        ) from error


def _iso(text: str, forms: tuple[str, ...]) -> str:
    for form in forms:
        try:
            return str(transform_of(f"date:{form}")(text))
        except ValueError:
            continue
    return text  # perhaps ISO 8601; else the schema refuses it


def _moment(text: str, conventions: Conventions) -> str:
    iso = _iso(text, conventions.dates)
    try:
        found = dt.datetime.fromisoformat(iso)
    except ValueError:
        return text
    return (found if found.tzinfo else found.replace(tzinfo=conventions.zone)).isoformat()
