"""Reads what people typed into a form: numbers in their language, times in their time zone, boxes that are not ticked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import get_timezone
from marshmallow import missing

from crm_kernel.records.numbers import typed_number
from crm_kernel.records.plan import FieldPlan, Kind

#: What the form of a yes or no that may be unknown sends → its value.
TRUTHS: Mapping[str, bool | None] = {"": None, "true": True, "false": False}


def submitted(field: FieldPlan, texts: Sequence[str]) -> Any:
    """Return what a form sent for a field as the payload of its schema; ``missing`` for nothing to say.

    Args:
        texts: all values sent under the field's name; the last one counts, of a multiple choice each.
    """
    if field.kind is Kind.MULTICHOICE:
        return [text for text in texts if text] or None
    # Browsers send the line breaks of a text area as two signs, whatever it held.
    text = texts[-1].replace("\r\n", "\n").strip() if texts else ""
    if field.kind is Kind.BOOLEAN:
        return TRUTHS.get(text, text) if field.field.allow_none else bool(text)
    if text == "":
        if field.field.allow_none or field.field.required:
            return None
        return "" if field.kind in (Kind.TEXT, Kind.EMAIL, Kind.URL) else missing
    if field.kind in (Kind.NUMBER, Kind.MONEY):
        return typed_number(text)
    if field.kind is Kind.DATETIME:
        return _aware(text)
    return text


def _aware(text: str) -> str:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        return text
    return (found if found.tzinfo else found.replace(tzinfo=reader_zone())).isoformat()


def reader_zone() -> ZoneInfo:
    """Return the reader's time zone as one that can be put to a time.

    Flask-Babel's is pytz's, which a time takes for the local mean time of the 19th century: 10:30 in Paris was 10:21 UTC.
    """
    return ZoneInfo(str(get_timezone() or "UTC"))
