"""Reads numbers as people write them, and writes them back: the decimal sign and the groups of a language, of a file.

``babel.numbers.parse_decimal`` would take ``1e5``, ``NaN`` and ``1_000`` for numbers and, unless strict, ``1,5`` for 15 in
English; strict, it refuses groups with another space than its own. So CLDR gives the signs and the size of the groups, and
what does not fit them is refused, never guessed at. The API's numbers are not read here: they are always ``1234.56``.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import lru_cache

from babel import Locale
from babel.numbers import format_decimal, get_decimal_symbol, get_group_symbol
from flask_babel import get_locale
from flask_babel import gettext as _

#: Signs that look like another one and mean it.
_ALIKE = str.maketrans({"\u2212": "-", "\u2019": "'"})
_EXAMPLE = Decimal("1234.56")


class Misread(str):
    """What was typed where a number belongs, kept to be shown again; ``expected`` says how one is written.

    Never given to a schema: one that looks like a number elsewhere (``1.23`` where points part thousands) would pass.
    """

    __slots__ = ("expected",)

    expected: str


def typed_number(text: str) -> str:
    """Return what a person typed as plain decimal text (``-1234.56``), read as the reader's language writes numbers.

    Spaces part groups in every language; a point is a decimal sign wherever it parts no groups, as on number pads.
    Returns a ``Misread`` for anything else.
    """
    locale = get_locale() or Locale("en")
    found = plain_number(text, *_signs(locale))
    return _misread(text, locale) if found is None else found


def number_text(plain: str) -> str:
    """Return plain decimal text as the reader's language writes it, without groups: what ``typed_number`` reads."""
    return plain.replace(".", get_decimal_symbol(get_locale() or Locale("en")))


def decimal_text(value: Decimal | int) -> str:
    """Return a number as the reader's language writes it, with all its decimals: three are not enough for a rate."""
    return str(format_decimal(value, locale=get_locale() or Locale("en"), decimal_quantization=False))


def plain_number(text: str, decimals: str, group: str, sizes: tuple[int, int] = (3, 3)) -> str | None:
    """Return a number as plain decimal text, or None if it is not written with these signs.

    Args:
        decimals: the signs that may part the decimals.
        group: the sign that may part groups of digits; spaces always may.
        sizes: digits of the last group, and of those before it.
    """
    found = _pattern(decimals, group, sizes).fullmatch(_compact(text))
    if found is None:
        return None
    whole = re.sub(r"\D", "", found["whole"]) or "0"
    sign = "-" if found["sign"] == "-" else ""
    return sign + whole + (f".{found['part']}" if found["part"] else "")


def _compact(text: str) -> str:
    # NFKC makes one space of all kinds and plain digits of full-width ones.
    return unicodedata.normalize("NFKC", text).translate(_ALIKE).strip()


def _signs(locale: Locale) -> tuple[str, str, tuple[int, int]]:
    decimal, group = get_decimal_symbol(locale), _compact(get_group_symbol(locale)) or " "
    return decimal + ("" if group == "." or decimal == "." else "."), group, locale.decimal_formats[None].grouping


@lru_cache(maxsize=64)
def _pattern(decimals: str, group: str, sizes: tuple[int, int]) -> re.Pattern[str]:
    last, before = sizes
    marks, groups = re.escape(decimals), re.escape("".join({group, " "}))
    grouped = rf"[0-9]{{1,{before}}}(?P<by>[{groups}])(?:[0-9]{{{before}}}(?P=by))*[0-9]{{{last}}}"
    whole, part = rf"(?P<whole>(?:{grouped}|[0-9]+)?)", rf"(?:[{marks}](?P<part>[0-9]+))?"
    return re.compile(rf"(?P<sign>[-+]?) ?(?=[0-9{marks}]){whole}{part}")


def _misread(text: str, locale: Locale) -> Misread:
    found = Misread(text)
    example = format_decimal(_EXAMPLE, locale=locale)
    found.expected = _("“%(found)s” is not a number as it is written here; expected for example %(example)s.",
                       found=text[:40], example=example)  # fmt: skip
    return found
