"""The fixed list of changes a mapping may make to a text before it is validated: ``strip``, ``lower``, ``after:-``, …

A transform gets a text and gives a text (or None for "empty"); it raises ``ValueError`` with what it expected.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.numbers import plain_number
from crm_kernel.text import tokens

Transform = Callable[[str], "str | None"]

#: Digits of a number before its decimal sign, or places after it: ``1e300000000`` fills the memory once it is written out.
_MOST_DIGITS = 1_000


def whole_number(text: str) -> str:
    """Return ``4687`` for ``4687.0``."""
    number = _number(text)
    if number != number.to_integral_value():
        raise ValueError(_("a whole number"))
    return str(int(number))


def decimal_comma(text: str) -> str:
    """Return ``1234.56`` for ``1 234,56`` or ``1.234,56``."""
    return _written(text, ",", ".", "1.234,56")


def decimal_point(text: str) -> str:
    """Return ``1234.56`` for ``1,234.56``."""
    return _written(text, ".", ",", "1,234.56")


def given_name(text: str) -> str | None:
    """Return all but the last word of ``Anne Marie Dupont``; of ``Dupont, Anne Marie`` what follows the comma."""
    _family, comma, given = text.partition(",")
    return (given.strip() if comma else " ".join(text.split()[:-1])) or None


def family_name(text: str) -> str | None:
    """Return the last word of a name, or what stands before its comma."""
    family, comma, _given = text.partition(",")
    return (family.strip() if comma else " ".join(text.split()[-1:])) or None


def _written(text: str, decimal: str, group: str, example: str) -> str:
    bare = text.strip("€$£% \u00a0\u202f")
    for sign in (group, "'"):
        if (found := plain_number(bare, decimal, sign)) is not None:
            return found
    raise ValueError(_("a number written like %(example)s", example=example))


def _number(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(_("a number")) from error
    if not found.is_finite() or abs(found.adjusted()) > _MOST_DIGITS:
        raise ValueError(_("a number"))
    return found


def _date(form: str) -> Transform:
    with_time = any(part in form for part in ("%H", "%I", "%M", "%S"))

    def read(text: str) -> str:
        try:
            found = dt.datetime.strptime(text.strip(), form)  # noqa: DTZ007 - the zone is the source's, added later
        except ValueError as error:
            raise ValueError(_("a date written like %(form)s", form=form)) from error
        return found.isoformat() if with_time else found.date().isoformat()

    return read


def _times(factor: str) -> Transform:
    number = _number(factor)
    return lambda text: f"{_number(text) * number:f}"


def _null(empty: str) -> Transform:
    return lambda text: None if text == empty else text


#: Transforms without an argument.
PLAIN: dict[str, Transform] = {
    "strip": str.strip,
    "collapse": lambda text: " ".join(text.split()),
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
    "digits": lambda text: re.sub(r"\D", "", text),
    "whole_number": whole_number,
    "decimal_comma": decimal_comma,
    "decimal_point": decimal_point,
    "given_name": given_name,
    "family_name": family_name,
}
#: Transforms with an argument after a colon.
WITH_ARGUMENT: dict[str, Callable[[str], Transform]] = {
    "date": _date,
    "times": _times,
    "null": _null,
    "slug": lambda joint: lambda text: joint.join(tokens(text)),
    "prefix": lambda start: lambda text: start + text,
    "suffix": lambda end: lambda text: text + end,
    "before": lambda mark: lambda text: text.partition(mark)[0].strip(),
    "after": lambda mark: lambda text: text.partition(mark)[2].strip(),
}


def transform_of(name: str) -> Transform:
    """Return the transform of a name such as ``strip`` or ``date:%d/%m/%Y``."""
    kind, _colon, argument = name.partition(":")
    return WITH_ARGUMENT[kind](argument) if kind in WITH_ARGUMENT else PLAIN[kind]


def check_transform(name: str, path: str) -> None:
    """Refuse a transform that is not on the list, or whose argument does not fit.

    Raises:
        InvalidInput: naming the entry and the list.
    """
    kind, colon, argument = name.partition(":")
    known = ", ".join([*PLAIN, *(f"{found}:…" for found in WITH_ARGUMENT)])
    fits = bool(argument) if kind in WITH_ARGUMENT else kind in PLAIN and not colon
    try:
        if fits:
            transform_of(name)
    except ValueError:
        fits = False
    if not fits:
        text = _("found %(found)r, expected one of: %(known)s.", found=name, known=known)
        raise InvalidInput({f"{path}: transform": [text]})
