"""Says of numbers in a table whether they are valid: phone numbers, IBANs, company and VAT numbers.

Owns how a row tells the kind of its number; the checks belong to ``phones`` and ``identifiers``. Nothing is stored,
and no register is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.customers.values.identifiers import IDENTIFIER_TYPES, normalize_identifier
from crm_kernel.customers.values.phones import PhoneKeyParser

#: The type of phone numbers, beside those of ``IDENTIFIER_TYPES``.
PHONE = "phone"
#: Other names of types, as tables use them.
_ALIASES = {"fr_vat": "vat", "eu_vat": "vat", "tva": "vat", "mobile": PHONE, "tel": PHONE}
#: Columns that hold a phone number; the first that a row fills counts.
_PHONES = ("national", "phone", "phone_number", "mobile", "tel", "e164", "international", "rfc3966")
_KINDS, _VALUES = ("kind", "type"), ("number", "value", "identifier")
_REGIONS = ("region", "country", "country_code")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one number; ``normalized`` is empty when it is invalid, ``reason`` when it is valid."""

    type: str
    value: str
    valid: bool
    normalized: str
    reason: str


class Checker:
    """Checks numbers of any type; remembers what it has read, so make one per table.

    Args:
        region: ISO 3166 country of phone numbers whose row names none.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._phones: dict[str, PhoneKeyParser] = {}

    def check(self, type_name: str, value: str, region: str = "") -> Verdict:
        """Return the verdict on one number; an unknown type is a reason for refusal, not an error."""
        kind = _ALIASES.get(type_name, type_name)
        try:
            normalized = self._phone(value, region) if kind == PHONE else normalize_identifier(kind, value)
        except ValueProblem as problem:
            return Verdict(kind, value, False, "", str(problem))
        return Verdict(kind, value, True, normalized, "")

    def check_row(self, row: Mapping[str, Any], *, type_name: str = "", column: str = "") -> Verdict:
        """Return the verdict on the number of a row.

        Without ``type_name`` and ``column`` the columns tell: ``kind`` or ``type`` beside ``number`` or ``value``, a
        column named as a type (``iban``), or one for phone numbers (``national``, ``e164``), read in the country
        that the column ``region`` or ``country`` names.
        """
        found_type, found_column = number_column(list(row))
        column = column or found_column
        kind = type_name or found_type or _text(row, _KINDS)
        if column == _PHONES[0] or column in _PHONES:
            column = next((name for name in _PHONES if str(row.get(name) or "").strip()), column)
        return self.check(kind, str(row.get(column) or ""), _text(row, _REGIONS))

    def _phone(self, value: str, region: str) -> str:
        code = region or self._region
        if code not in self._phones:
            self._phones[code] = PhoneKeyParser(code)
        return self._phones[code](value)


def number_column(columns: Sequence[str]) -> tuple[str, str]:
    """Return (type, column) of the numbers in a table; the type is empty when each row tells its own.

    Both are empty when no column is named as one of numbers.
    """
    for column in columns:
        kind = _ALIASES.get(column, column)
        if kind in IDENTIFIER_TYPES:
            return kind, column
    for column in _PHONES:
        if column in columns:
            return PHONE, column
    value = next((column for column in _VALUES if column in columns), "")
    return "", value if any(kind in columns for kind in _KINDS) else ""


def _text(row: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((str(row[name]).strip() for name in names if row.get(name)), "")
