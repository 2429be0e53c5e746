"""The kinds of custom fields: each is a schema field, a column type and a way to be shown.

One schema field per kind checks what API, forms and imports send, as the fields of code do.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import orjson
import sqlalchemy as sa
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from marshmallow import ValidationError, validate
from marshmallow import fields as ma

from crm_kernel.database import Amount
from crm_kernel.records.calendar import within_calendar
from crm_kernel.records.custom_fields.json_value import KEY_TYPE, ExactNumber, IsoDate, Values
from crm_kernel.records.fields import Choice, Currency, Money, Reference, four_decimals
from crm_kernel.records.plan import Kind
from crm_kernel.records.texts import Text

#: Longest text of one line.
LINE = 255


class FieldKind(StrEnum):
    """What a custom field holds; it never changes."""

    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    DATE = "date"
    CHOICE = "choice"
    MULTICHOICE = "multichoice"
    REFERENCE = "reference"
    BOOLEAN = "boolean"
    EMAIL = "email"
    PHONE = "phone"
    URL = "url"


#: Kinds with a list of choices.
WITH_CHOICES = (FieldKind.CHOICE, FieldKind.MULTICHOICE)
#: Kinds whose words a search can find.
WORDS = (FieldKind.TEXT, FieldKind.EMAIL, FieldKind.PHONE, FieldKind.URL)

#: Kind of custom field → (kind of plan, column type).
STORED: Mapping[FieldKind, tuple[Kind, Any]] = {
    FieldKind.TEXT: (Kind.TEXT, sa.String()),
    FieldKind.NUMBER: (Kind.NUMBER, ExactNumber()),
    FieldKind.MONEY: (Kind.MONEY, Amount()),
    FieldKind.DATE: (Kind.DATE, IsoDate()),
    FieldKind.CHOICE: (Kind.CHOICE, sa.String()),
    FieldKind.MULTICHOICE: (Kind.MULTICHOICE, Values()),
    FieldKind.REFERENCE: (Kind.REFERENCE, KEY_TYPE),
    FieldKind.BOOLEAN: (Kind.BOOLEAN, sa.Boolean()),
    FieldKind.EMAIL: (Kind.EMAIL, sa.String()),
    FieldKind.PHONE: (Kind.TEXT, sa.String()),
    FieldKind.URL: (Kind.URL, sa.String()),
}


class Phone(Text):
    """A telephone number as its numbering plan knows it; kept in the international form, as contact points are found by."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        from crm_kernel.customers.normalising import contact_values
        from crm_kernel.customers.values.errors import ValueProblem

        found = super()._deserialize(value, attr, data, **kwargs)
        try:
            return None if found is None else contact_values().normalise("phone", found)[1]
        except ValueProblem as problem:
            raise ValidationError(_(problem.template).format(**problem.params)) from problem


class Day(ma.Date):
    """A day within the calendar; an empty text is none."""

    def deserialize(self, value: Any, attr: str | None = None, data: Any = None, **kwargs: Any) -> Any:
        """Return the day, None for an empty text where that is allowed."""
        return super().deserialize(_none_if_blank(self, value), attr, data, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dt.date:
        return super()._deserialize(value if isinstance(value, dt.date) else str(value), attr, data, **kwargs)


class MultiChoice(ma.Field[list[str]]):
    """Several of a fixed set of values: a list, or one text with the values separated by ``;`` as files have it.

    The values come in the order of the choices, each once; none at all is None.
    """

    #: How it is treated where a schema declares it (``records.plan.kind_of``).
    record_kind = Kind.MULTICHOICE

    def __init__(self, choices: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        #: value → lazy label, in order.
        self.choices = dict(choices)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return value

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        given = _listed(value)
        for found in given:
            if not isinstance(found, str) or found not in self.choices:
                known = ", ".join(self.choices)
                raise ValidationError(
                    _("Found %(found)s, expected one of: %(known)s.", found=str(found)[:60], known=known)
                )
        if not given and self.required:
            raise self.make_error("required")
        return [choice for choice in self.choices if choice in given] or None

    def _validate(self, value: Any) -> None:
        if value is not None:
            super()._validate(value)


def schema_field(kind: FieldKind, **options: Any) -> ma.Field[Any]:
    """Return the schema field of a kind.

    Args:
        options: ``required``, ``load_default``, ``metadata``; ``choices`` (value → label), ``target``, ``multiline`` and
            ``currency`` (name of the field beside an amount) as the kind needs them.
    """
    special = {name: options.pop(name, None) for name in ("choices", "target", "multiline", "currency", "name")}
    return _MAKERS[kind](special, {"allow_none": not options.get("required"), **options})


def currency_field(**options: Any) -> Currency:
    """Return the field of an amount's currency."""
    return Currency(allow_none=True, metadata={"label": _l("Currency"), **options})


_Maker = Callable[[dict[str, Any], dict[str, Any]], ma.Field[Any]]

_MAKERS: Mapping[FieldKind, _Maker] = {
    FieldKind.TEXT: lambda s, o: Text(None if s["multiline"] else LINE, **o),
    FieldKind.NUMBER: lambda s, o: ma.Decimal(as_string=True, validate=four_decimals, **o),
    FieldKind.MONEY: lambda s, o: Money(currency=s["currency"], **o),
    FieldKind.DATE: lambda s, o: Day(validate=[within_calendar], **o),
    FieldKind.CHOICE: lambda s, o: Choice(s["choices"], **o),
    FieldKind.MULTICHOICE: lambda s, o: MultiChoice(s["choices"], **o),
    FieldKind.REFERENCE: lambda s, o: Reference(s["target"], attribute=s["name"], **o),
    FieldKind.BOOLEAN: lambda s, o: ma.Boolean(**o),
    FieldKind.EMAIL: lambda s, o: Text(254, validate=validate.Email(), **o),
    FieldKind.PHONE: lambda s, o: Phone(100, **o),
    FieldKind.URL: lambda s, o: Text(2048, validate=validate.URL(schemes={"http", "https"}), **o),
}


def _listed(value: Any) -> list[Any]:
    if isinstance(value, str):
        text = value.strip()
        try:
            parts = orjson.loads(text) if text.startswith("[") else text.split(";")
        except orjson.JSONDecodeError:
            parts = [text]
        return [part.strip() if isinstance(part, str) else part for part in parts if part != ""]
    if not isinstance(value, list | tuple | set):
        raise ValidationError(_("Not a valid list."))
    return list(value)


def _none_if_blank(field: ma.Field[Any], value: Any) -> Any:
    return None if field.allow_none and isinstance(value, str) and not value.strip() else value
